//! Waiting for a run: what `run` and `resume` do once the run is there.

use std::collections::BTreeSet;
use std::time::Duration;

use everfold_engine::clock::{self, Stopwatch};
use everfold_engine::state::RunStatus;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::context::CommandContext;
use super::interrupt::{Interrupted, Interrupts};
use super::output::{columns, note};
use super::progress::RunProgress;
use super::run_text::awaited_moments;
use super::wait_state::{resting, rests};
use crate::client::{Follow, FollowMessage, Followed};
use crate::fault::{Code, Fault};
use crate::view::{AwaitView, RunView, next_lines, next_steps};

/// How long a second Ctrl-C is awaited after the first.
const SECOND_INTERRUPT: Duration = Duration::from_millis(1_500);

/// How long the end of a run is held up for notices that were not sent yet.
const TELLING: Duration = Duration::from_secs(3);
/// How often it is looked whether all that a run waits for rests.
const LOOK_BELOW: Duration = Duration::from_millis(100);
/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The exit code of an interrupted command.
pub(super) const INTERRUPTED: u8 = 130;
/// The exit code where only people, timers or signals are awaited.
pub(super) const AWAITED: u8 = 6;

/// The exit code of a run's end.
pub(crate) fn code_of(status: RunStatus) -> u8 {
    match status {
        RunStatus::Failed => 1,
        RunStatus::Cancelled => 5,
        _ended_well_or_not_ended => 0,
    }
}

/// Follows a run to its end and drives it, in whichever process owns the folder; gives the exit code. What happened up to
/// the state that was `seen` is not printed again.
pub(crate) async fn wait(
    context: &CommandContext,
    mut interrupts: Interrupts,
    run: &RunView,
    no_wait: bool,
    seen: Option<RunView>,
) -> Result<u8, Fault> {
    let from = seen.as_ref().map_or(1, |seen| seen.version.get() + 1);
    let mut progress = RunProgress::new(context.json, seen);
    let follow = Follow { run: run.id.to_string(), from, live: true, drive: true };
    let mut followed = Followed::new(&context.client, follow);
    let mut asked = BTreeSet::new();
    let mut cancelled = false;
    // Behind the first Ctrl-C: when this command ends.
    let mut leaves_at: Option<Instant> = None;
    let mut at_rest: Option<Box<RunView>> = None;
    let mut looks = tokio::time::interval(LOOK_BELOW);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = followed.next() => message?,
            interrupted = interrupts.next() => {
                if cancelled || interrupted == Interrupted::BySystem {
                    return Ok(interrupted_now(context, run, &mut progress));
                }
                if leaves_at.take().is_none() {
                    let once_more = format!("interrupted: {}   (Ctrl-C again cancels it)", left(context, run));
                    progress.interrupt();
                    note(once_more);
                    leaves_at = Some(Instant::now() + SECOND_INTERRUPT);
                    continue;
                }
                cancelled = true;
                cancel(context, run).await?;
                continue;
            }
            () = moment(leaves_at) => return Ok(INTERRUPTED),
            () = tick(&progress) => {
                progress.tick();
                continue;
            }
            // What runs below it do is no event of its own.
            _look = looks.tick(), if at_rest.is_some() => {
                if let Some(view) = &at_rest
                    && let Some(below) = resting(context, view).await
                {
                    progress.finish();
                    return leave(context, (**view).clone(), &below).await;
                }
                continue;
            }
        };
        match message {
            FollowMessage::Event(event) => progress.event(&event),
            FollowMessage::State(view) => {
                progress.state(&view);
                if !no_wait {
                    tell_what_is_asked(context, &progress, &view, &mut asked);
                }
                at_rest = Some(view).filter(|view| no_wait && rests(view));
            }
            FollowMessage::End => {
                progress.finish();
                let view = after_notices(context, run).await?;
                return finish(context, &view, code_of(view.status));
            }
        }
    }
}

/// Cancels a run whose command was interrupted twice. Where the run has ended meanwhile the server refuses that, and the command
/// goes on to tell of the end.
async fn cancel(context: &CommandContext, run: &RunView) -> Result<(), Fault> {
    let body = json!({ "reason": "interrupted twice" });
    let cancelled = context.client.post::<Value>(&format!("/api/v1/runs/{}/cancel", run.id), &body).await;
    match cancelled {
        Ok(_view) => note("cancelling; Ctrl-C again leaves the rest to a later resume"),
        Err(fault) if fault.code == Code::Ended => {}
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// Resolves at a moment; without one never.
async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The run that has ended, once its notices were sent, or after a time limit.
pub(crate) async fn after_notices(context: &CommandContext, run: &RunView) -> Result<RunView, Fault> {
    let since = Stopwatch::start();
    loop {
        let view: RunView = context.client.get(&format!("/api/v1/runs/{}", run.id)).await?;
        if view.notices_outstanding == 0 {
            return Ok(view);
        }
        if since.elapsed() > TELLING {
            let count = view.notices_outstanding;
            let what = if count == 1 { "notice is" } else { "notices are" };
            let (program, short) = (&context.program, &view.short_id);
            note(format!("{count} {what} not sent yet; try again with: {program} resume {short}"));
            return Ok(view);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn interrupted_now(context: &CommandContext, run: &RunView, progress: &mut RunProgress) -> u8 {
    progress.finish();
    note(left(context, run));
    INTERRUPTED
}

/// What becomes of a run that is not waited for any more, and how to come back to it.
fn left(context: &CommandContext, run: &RunView) -> String {
    let (short, program) = (&run.short_id, &context.program);
    match context.client.server() {
        None => format!("run {short} stays as it is; go on with: {program} resume {short}"),
        Some(server) => {
            format!(
                "run {short} goes on at {}; come back to it with: {program} resume {short}",
                server.address()
            )
        }
    }
}

async fn tick(progress: &RunProgress) {
    match progress.ticks() {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}

/// Says once what each question needs: the command to type in another terminal.
fn tell_what_is_asked(
    context: &CommandContext,
    progress: &RunProgress,
    view: &RunView,
    asked: &mut BTreeSet<String>,
) {
    let waits_for_people = view.awaits.iter().any(|awaited| !matches!(awaited, AwaitView::Timer { .. }));
    if !waits_for_people {
        return;
    }
    let new: Vec<String> = next_steps(view, &context.program)
        .into_iter()
        .filter(|next| asked.insert(next.command.clone()))
        .map(|next| match next.why.as_str() {
            "" => format!("    {}", next.command),
            why => format!("    {}   # {why}", next.command),
        })
        .collect();
    if !new.is_empty() {
        progress.say(&format!("  in another terminal:\n{}", new.join("\n")));
    }
}

/// Tells what a run and those below it wait for.
async fn leave(context: &CommandContext, mut view: RunView, below: &[RunView]) -> Result<u8, Fault> {
    // This process drove the run as the owner, and it ends now.
    let goes_on = matches!(view.status, RunStatus::Running | RunStatus::Queued | RunStatus::Stopping);
    view.driven &= !goes_on || !context.client.is_owner().await;
    let code = finish(context, &view, AWAITED)?;
    if !context.json {
        below.iter().for_each(|run| context.out.raw(&ending(run, &context.program)));
    }
    Ok(code)
}

fn finish(context: &CommandContext, view: &RunView, code: u8) -> Result<u8, Fault> {
    if context.json {
        context.out.json(view)?;
        return Ok(code);
    }
    context.out.raw(&ending(view, &context.program));
    Ok(code)
}

/// How a run that was waited for ended, or what it waits for.
pub(crate) fn ending(view: &RunView, program: &str) -> String {
    use owo_colors::OwoColorize as _;
    let took = view
        .ended_at
        .map(|ended| format!(" after {}", crate::text::span(ended.since(view.started_at))))
        .unwrap_or_default();
    let status = view.status.style(crate::text::run_style(view.status));
    let mut lines = vec![format!("run {} {status}{took}", view.short_id)];
    if let Some(failure) = &view.failure {
        let place = failure.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
        let said = crate::text::failure(failure.kind.as_str(), failure.code.as_deref(), &failure.message);
        lines.push(format!("  {place}{said}"));
        for line in failure.detail.iter().flat_map(|detail| detail.lines()) {
            lines.push(format!("  | {}", crate::text::cut(line, 200)));
        }
        lines.push(format!("  hint: {}", failure.hint));
    }
    if !view.output.is_null() {
        lines.push(format!("output {}", crate::text::cut(&view.output.to_string(), 4_000)));
    }
    lines.extend(awaited_moments(view, clock::now()));
    lines.extend(next_lines(view, program, columns()));
    lines.join("\n") + "\n"
}
