//! A run as a text: its head, its steps, what it waits for and how it failed.

use everfold_engine::driver::Waiting;
use everfold_engine::event::OriginKind;
use everfold_engine::id::RunId;
use everfold_engine::state::StepStatus;
use everfold_engine::time::Timestamp;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::lines::account_text::account_lines;
use super::lines::hint_commands::in_place;
use super::lines::notice_text::notice_lines;
use super::spend::is_more_than_nothing;
use crate::text::{self, cut, cut_styled, instant, plain, run_style, span, step_mark, took, verdict};
use crate::view::{
    AwaitView, EffectsView, FailureView, GateView, RunView, SeenView, StepPhase, StepView, next_lines,
};

/// So many attempts that were held back are listed.
const HELD_MAX: usize = 10;

/// The whole answer as a text, within the columns of a terminal.
pub(crate) fn text(view: &RunView, now: Timestamp, program: &str, within: Option<usize>) -> String {
    let mut lines = lines_at(view, now, program, within);
    if !view.output.is_null() {
        lines.extend([
            String::new(),
            format!("{}  {}", "output".bold(), cut(&view.output.to_string(), 2_000)),
        ]);
    }
    lines = lines.into_iter().map(|line| wrapped(line, within)).collect();
    lines.extend(next_lines(view, program, within));
    lines.join("\n") + "\n"
}

/// A line in as many as the terminal has room for. Words stay whole: paths and commands can be copied.
fn wrapped(line: String, within: Option<usize>) -> String {
    let Some(within) = within.filter(|within| line.len() > *within) else { return line };
    let leading = line.len() - line.trim_start().len();
    let indent = " ".repeat(if leading == 0 { HEAD_WIDTH } else { leading + 2 });
    let options = textwrap::Options::new(within)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .subsequent_indent(&indent);
    textwrap::fill(&line, options)
}

/// The width of the names in the head of a run.
const HEAD_WIDTH: usize = 10;

fn head(view: &RunView, now: Timestamp) -> Vec<String> {
    let title = view.title.as_ref().map(|title| format!(" — {}", cut(title, 200))).unwrap_or_default();
    let number = view.number.map(|number| format!(" #{number}")).unwrap_or_default();
    let ended = match view.ended_at {
        Some(ended) => format!(", took {}", span(ended.since(view.started_at))),
        None => format!(", {} ago", span(now.since(view.started_at))),
    };
    let behind = view.initiator.as_ref().map(|who| format!(" for {who}")).unwrap_or_default();
    let mut lines = vec![
        format!("run {}  {}{number}{title}", view.short_id.bold(), view.pipeline),
        format!("status    {}", view.status.style(run_style(view.status))),
        format!("started   {} by {}{behind}{ended}", instant(view.started_at), view.started_by),
    ];
    if let Some(parent) = &view.parent {
        let top = match parent.top {
            Some(top) if top != parent.run => format!(", below {}", top.short()),
            _none_other => String::new(),
        };
        lines.push(format!("parent    {} step {}{top}", parent.short_id, parent.step));
    }
    if let Some(origin) = &view.origin {
        let how = match origin.how {
            OriginKind::Fork => "fork of",
            OriginKind::Retry => "retry of",
            OriginKind::Restart => "restart of",
            OriginKind::Handover => "goes on with",
        };
        lines.push(format!("origin    {how} {} at version {}", origin.run.short(), origin.version));
    }
    if let Some(effects) = &view.effects {
        lines.extend(effect_lines(effects));
    }
    if let Some(cancelled) = &view.cancelled {
        let why = cancelled.reason.as_ref().map(|reason| format!(": {}", cut(reason, 200)));
        lines.push(format!(
            "cancelled by {} {}{}",
            cancelled.by,
            instant(cancelled.at),
            why.unwrap_or_default()
        ));
    }
    if let Some(workspace) = &view.workspace {
        let branch = workspace.branch.as_ref().map(|branch| format!(" ({branch})")).unwrap_or_default();
        lines.push(match view.workspace_removed {
            true => format!("workspace removed; it was {}{branch}", workspace.path),
            false => format!("workspace {}{branch}", workspace.path),
        });
    }
    if !view.slots.is_empty() {
        let slots: Vec<&str> = view.slots.iter().map(|slot| slot.key.as_str()).collect();
        // It may have some of them already; which ones its own history does not say.
        let is_awaited = |awaited: &AwaitView| matches!(awaited, AwaitView::Slot { .. });
        let word = match (view.waits_for_slots, slots.len()) {
            (false, _) => "holds",
            // Its pause alone keeps it from them.
            (true, _) if !view.paused.is_empty() && !view.awaits.iter().any(is_awaited) => {
                "asks, when it goes on, for"
            }
            (true, 1) => "waits for",
            (true, _) => "waits until it has all of",
        };
        lines.push(format!("slots     {word} {}", slots.join(", ")));
    }
    if !view.labels.is_empty() {
        let labels: Vec<String> =
            view.labels.iter().map(|(key, value)| plain(&format!("{key}={value}"))).collect();
        lines.push(format!("labels    {}", labels.join(" ")));
    }
    for budget in &view.budget {
        let scope = budget.scope.as_ref().map(|scope| format!(" for {}", cut(scope, 60))).unwrap_or_default();
        let until = budget.until.map(|at| format!(", until {}", instant(at))).unwrap_or_default();
        let waits = if budget.is_reserved { "; starts wait for what is reserved" } else { "" };
        lines.push(format!("budget    {}{scope}: {}{until}{waits}", budget.id, budget.summary));
    }
    if view.usage.input_tokens > 0 || view.usage.output_tokens > 0 {
        let usage = &view.usage;
        // Not every agent says what it cost.
        let cost = if is_more_than_nothing(&usage.cost_usd) {
            format!(", {} USD", usage.cost_usd)
        } else {
            String::new()
        };
        lines.push(format!(
            "usage     {} tokens read, {} written{cost}",
            usage.input_tokens, usage.output_tokens
        ));
    }
    lines
}

fn steps(view: &RunView, now: Timestamp) -> Vec<String> {
    let widest = view.steps.iter().map(|step| step.id.chars().count()).max().unwrap_or(0).clamp(4, 32);
    view.steps.iter().map(|step| step_line(step, widest, now)).collect()
}

/// A step in one line: mark, name, status, round and attempt, time, and what there is to say.
pub(crate) fn step_line(step: &StepView, width: usize, now: Timestamp) -> String {
    let number = match (step.round, step.attempt) {
        (0, _) => String::new(),
        (round, 0) => format!("{round}"),
        (round, attempt) => format!("{round}.{attempt}"),
    };
    let took = took(step.started_at, step.ended_at, now);
    let line = format!(
        "{} {:width$}  {:<9}  {number:<5}  {took:>7}  {}",
        step_mark(step.status),
        cut(&step.id, width),
        doing(step),
        remarks(step),
    );
    line.trim_end().to_owned()
}

/// What a step is doing, in one word.
fn doing(step: &StepView) -> &'static str {
    match step.phase {
        Some(StepPhase::Starting) if step.status == StepStatus::Scheduled => "starting",
        Some(StepPhase::Stopping) => "stopping",
        Some(StepPhase::Suspended) => "suspended",
        _status => step.status.as_str(),
    }
}

fn remarks(step: &StepView) -> String {
    let mut parts = Vec::new();
    if let Some(items) = &step.items {
        let failed = if items.failed > 0 { format!(", {} failed", items.failed) } else { String::new() };
        parts.push(format!("{} of {} items{failed}", items.ended, items.total));
    }
    // What it used up names the model from then on.
    if let Some(model) = step.model.as_ref().filter(|_| step.usage.is_none()) {
        parts.push(cut(model, 40));
    }
    if let Some(progress) = &step.progress {
        let of = if progress.of > 0 { format!("/{}", progress.of) } else { String::new() };
        let note = progress.note.as_ref().map(|note| format!(" {}", cut(note, 80))).unwrap_or_default();
        parts.push(format!("{}{of}{note}", progress.done));
    }
    if !step.gates.is_empty() {
        let gates: Vec<String> = step
            .gates
            .iter()
            .map(|gate| format!("{} {}{}", gate.gate, verdict(gate.verdict), warning(gate)))
            .collect();
        parts.push(gates.join(", "));
    }
    if step.tolerated {
        parts.push("tolerated".to_owned());
    }
    if let Some(note) = &step.note {
        let code = step.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
        parts.push(cut(&format!("{code}{}", note.lines().next().unwrap_or_default()), 80));
    } else if let Some(code) = &step.code {
        parts.push(code.clone());
    }
    if let Some(child) = &step.child {
        parts.push(format!("run {}", child.short()));
    }
    if let Some(line) = &step.line {
        parts.push(cut(line, 80).dimmed().to_string());
    }
    if step.status == StepStatus::Pending && step.standby {
        parts.push("standby".dimmed().to_string());
    }
    parts.join("  ")
}

/// A failure that the run goes on with.
fn warning(gate: &GateView) -> String {
    match (gate.tolerated, &gate.code) {
        (false, _) => String::new(),
        (true, None) => " (warning)".to_owned(),
        (true, Some(code)) => format!(" (warning {code})"),
    }
}

fn waits(view: &RunView, now: Timestamp, program: &str) -> Vec<String> {
    if view.awaits.is_empty() && view.in_line.is_empty() && !view.disk_full {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "waits for".bold().to_string()];
    if view.disk_full {
        let what = "the disk is full, so that nothing is recorded; it goes on by itself";
        lines.push(format!("  room on the disk: {what}"));
    }
    lines.extend(in_line(view, program));
    for awaited in &view.awaits {
        match awaited {
            AwaitView::Approval { step, title, roles, quorum, votes, show, seen, .. } => {
                let who = if roles.is_empty() { "anyone".to_owned() } else { roles.join(" or ") };
                let quorum =
                    if *quorum > 1 { format!(", {} of {quorum} votes", votes.len()) } else { String::new() };
                lines.push(format!("  {step}: {} ({who}{quorum})", cut(title, 200)));
                for shown in show.as_array().into_iter().flatten() {
                    let text = shown.as_str().map_or_else(|| shown.to_string(), str::to_owned);
                    lines.push(format!("    {}", cut(&text, 200)));
                }
                lines.extend(seen.iter().flat_map(seen_lines));
            }
            AwaitView::Question { step, title, text, options, items, roles, draft, saved_by, .. } => {
                let who = if roles.is_empty() { "anyone".to_owned() } else { roles.join(" or ") };
                lines.push(format!("  {step}: {} ({who})", cut(title, 200)));
                lines.extend(asked(text, options, items, draft));
                if let Some(by) = saved_by {
                    lines.push(format!("    saved by {by}, and not yet answered"));
                }
            }
            AwaitView::Unblock { step, message, .. } => {
                lines.push(format!("  {step}: a decision, because {message}"));
                let failure =
                    view.step(step.split('.').next().unwrap_or(step)).and_then(|it| it.failure.as_ref());
                if let Some(failure) = failure {
                    lines.extend(failure_lines(failure));
                }
            }
            AwaitView::Timer { step, at, limit: true } => {
                lines.push(format!("  {step}: at most until {}", instant(*at)));
            }
            AwaitView::Timer { step, at, .. } => lines.push(format!("  {step}: {}", moment(*at, now))),
            AwaitView::Signal { step, name, .. } => lines.push(format!("  {step}: the signal {name}")),
            AwaitView::Resume => {
                for pause in &view.paused {
                    let reason =
                        pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                    let whose = if pause.shared {
                        format!("the pause of {}", pause.by)
                    } else {
                        format!("the end of the pause by {}", pause.by)
                    };
                    lines.push(format!("  {whose}, since {}{}", instant(pause.since), cut(&reason, 200)));
                    if !pause.interrupted.is_empty() {
                        lines.push(format!("  interrupted: {}", cut(&pause.interrupted.join(", "), 200)));
                    }
                }
            }
            AwaitView::Budget { budget, message, until, .. } => {
                let resets = until.map(|at| format!(", resets at {}", instant(at))).unwrap_or_default();
                lines.push(format!("  held: budget {budget} {message}{resets}"));
            }
            AwaitView::Slot { key, holders } => {
                let holders: Vec<String> = holders.iter().map(RunId::short).collect();
                lines.push(format!("  {key}: held by {}", holders.join(", ")));
            }
        }
        lines.extend(reminders(awaited));
    }
    lines
}

/// What it waits for that no command answers: moments.
pub(super) fn awaited_moments(view: &RunView, now: Timestamp) -> Vec<String> {
    let line = |awaited: &AwaitView| match awaited {
        AwaitView::Timer { step, at, limit: false } => {
            Some(format!("  {step} waits until {}", moment(*at, now)))
        }
        _answered => None,
    };
    view.awaits.iter().filter_map(line).collect()
}

fn moment(at: Timestamp, now: Timestamp) -> String {
    let left = if at > now { format!("in {}", span(at.since(now))) } else { "due".to_owned() };
    format!("{} ({left})", instant(at))
}

/// The bytes that are approved: files and the commit by their hashes, and votes that count on.
fn seen_lines(seen: &SeenView) -> Vec<String> {
    let measured = seen.parts.iter().filter(|part| part.kind.is_measured());
    let mut lines: Vec<String> = measured
        .map(|part| {
            format!("    {:.12}  {}", part.hash.as_deref().unwrap_or("missing"), cut(&part.what, 200))
        })
        .collect();
    let kept = seen.kept.iter().map(|vote| format!("    {} approved it in round {}", vote.by, vote.round));
    lines.extend(kept);
    if !lines.is_empty() {
        lines.push(format!("    seen {:.12}", seen.digest));
    }
    lines
}

/// How often people were reminded of something, and when they are next.
fn reminders(awaited: &AwaitView) -> Option<String> {
    let next = |at: Timestamp| instant(at);
    match awaited.reminders() {
        (0, None) => None,
        (0, Some(at)) => Some(format!("    reminds at {}", next(at))),
        (count, None) => Some(format!("    reminded {}", times(count))),
        (count, Some(at)) => Some(format!("    reminded {}, next at {}", times(count), next(at))),
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// The attempts and probes that wait for their turn.
fn in_line(view: &RunView, program: &str) -> Vec<String> {
    let line = |waiting: &Waiting| {
        let gate = waiting.gate.as_ref().map(|gate| format!(" gate {gate}")).unwrap_or_default();
        let reasons: Vec<String> = waiting.reasons.iter().map(ToString::to_string).collect();
        let priority = match waiting.priority {
            0 => String::new(),
            priority => format!(", priority {priority}"),
        };
        format!(
            "  {}{gate}: {}{priority}, since {}",
            waiting.attempt.path,
            cut(&in_place(&reasons.join("; "), program, false), 300),
            instant(waiting.since)
        )
    };
    let mut lines: Vec<String> = view.in_line.iter().map(line).collect();
    let more = view.in_line_total.saturating_sub(view.in_line.len());
    if more > 0 {
        lines.push(format!("  and {more} more in line"));
    }
    lines
}

/// What a question asks, with what was saved of an answer.
fn asked(text: &Value, options: &[String], items: &Value, draft: &Value) -> Vec<String> {
    const LINES_MAX: usize = 40;
    let mut lines = Vec::new();
    let shown = |value: &Value| match value {
        Value::String(text) => cut(text, 200),
        other => cut(&other.to_string(), 200),
    };
    let whole = text.as_str().unwrap_or_default();
    lines.extend(whole.lines().take(LINES_MAX).map(|line| format!("    {}", cut(line, 200))));
    if whole.lines().count() > LINES_MAX {
        lines.push("    …".to_owned());
    }
    for option in options {
        let mark = if draft["choice"] == option.as_str() { "*" } else { "-" };
        lines.push(format!("    {mark} {}", cut(option, 200)));
    }
    for item in items.as_array().into_iter().flatten() {
        let id = item["id"].as_str().unwrap_or_default();
        let options: Vec<String> = item["options"].as_array().into_iter().flatten().map(shown).collect();
        let options = if options.is_empty() { String::new() } else { format!(" ({})", options.join(", ")) };
        let optional = if item["optional"] == true { " (may stay open)" } else { "" };
        lines.push(format!("    {id}. {}{options}{optional}", shown(&item["text"])));
        if let Some(state) = draft["states"][id].as_str() {
            lines.push(format!("       {state}"));
        }
        if !draft["items"][id].is_null() {
            lines.push(format!("       saved: {}", shown(&draft["items"][id])));
        }
    }
    if let Some(text) = draft["text"].as_str() {
        lines.push(format!("    saved: {}", cut(text, 200)));
    }
    lines
}

fn failed(failure: &FailureView) -> Vec<String> {
    let place = match (&failure.step, failure.round, failure.attempt) {
        (Some(step), Some(round), Some(attempt)) => format!(" in {step} {round}.{attempt}"),
        (Some(step), ..) => format!(" in {step}"),
        (None, ..) => String::new(),
    };
    let mut lines = vec![String::new(), format!("{}{place}", "failed".red().bold())];
    lines.extend(failure_lines(failure));
    lines
}

fn failure_lines(failure: &FailureView) -> Vec<String> {
    let said = text::failure(failure.kind.as_str(), failure.code.as_deref(), &failure.message);
    let mut lines = vec![format!("    {said}")];
    if let Some(detail) = &failure.detail {
        lines.extend(detail.lines().map(|line| format!("    {} {}", "|".dimmed(), cut(line, 200))));
    }
    lines.push(format!("    {} {}", "hint:".cyan(), failure.hint));
    lines
}

/// A former state as a text: what it was like then, without anything to do about it.
pub(crate) fn past(view: &RunView, within: Option<usize>) -> String {
    let lines = lines_at(view, view.updated_at, "everfold", within);
    lines.into_iter().map(|line| wrapped(line, within) + "\n").collect()
}

/// A run at a moment: its head, its steps, the people that it waited for, and its failure.
fn lines_at(view: &RunView, now: Timestamp, program: &str, within: Option<usize>) -> Vec<String> {
    let mut lines = head(view, now);
    lines.push(String::new());
    lines.extend(steps(view, now).into_iter().map(|line| match within {
        Some(within) => cut_styled(&line, within),
        None => line,
    }));
    lines.extend(waits(view, now, program));
    if let Some(failure) = &view.failure {
        lines.extend(failed(failure));
    }
    lines.extend(account_lines(view));
    lines.extend(notice_lines(view));
    lines
}

/// What of a fork's work is not done, and what it would have done.
fn effect_lines(effects: &EffectsView) -> Vec<String> {
    let mut said = Vec::new();
    if effects.held {
        said.push("what acts outside is held back".to_owned());
    }
    if effects.replays {
        said.push(format!("{} attempts ended as in the origin", effects.replayed_total));
    }
    let mut lines = vec![format!("effects   {}", said.join(", "))];
    let shown = effects.held_back.iter().take(HELD_MAX);
    lines.extend(shown.map(|held| format!("          {} would have: {}", held.id, cut(&held.would, 200))));
    let more = (effects.held_back_total as usize).saturating_sub(effects.held_back.len().min(HELD_MAX));
    if more > 0 {
        lines.push(format!("          and {more} more"));
    }
    lines
}
