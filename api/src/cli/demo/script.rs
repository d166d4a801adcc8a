//! The demo's script: its chapters, in their order.

use std::time::Duration;

use everfold_engine::clock::{self, Stopwatch};
use everfold_engine::state::StepStatus;
use everfold_engine::time::Timestamp;
use everfold_workflows::demo::{Execution, LONG_STEP, TASK};
use serde_json::{Value, json};

use super::agent::{self, Process};
use super::engine::DemoEngine;
use super::fault::stopped;
use super::orch;
use super::proof::Proof;
use super::screen::Screen;
use super::stage::DemoStage;
use crate::cli::args::{DemoArgs, DemoStory};
use crate::cli::context::CommandContext;
use crate::cli::interrupt::Interrupts;
use crate::cli::output::note;
use crate::fault::{Code, Fault};
use crate::text::quoted;
use crate::view::{AwaitView, RunView};

/// How long anything may take that takes a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a person may take.
const PATIENCE_WITH_PEOPLE: Duration = Duration::from_secs(3_600);
/// The exit code of an interrupted command.
const INTERRUPTED: u8 = 130;

/// The agent that outlives the engine.
struct Survivor {
    process: Process,
    engines: [i32; 2],
}

pub(crate) async fn run(context: &CommandContext, args: DemoArgs) -> Result<u8, Fault> {
    if context.program != "everfold" {
        return Err(Fault::new(Code::Usage, "the demo has a data folder of its own")
            .hint("leave --dir away; --folder DIR says where the demo is played"));
    }
    if args.story == Some(DemoStory::Orch) {
        return orch::run(context, args).await;
    }
    let mut interrupts = Interrupts::listen()?;
    let stage = DemoStage::set(&args)?;
    let mut screen = Screen::new(context.json);
    let played = tokio::select! {
        played = play(&stage, &mut screen, &args) => played,
        _interrupted = interrupts.next() => {
            stage.let_go();
            note(format!("interrupted; the run goes on with: {} resume", stage.typed));
            note(format!("or remove all of it: rm -rf {}", stage.folder_typed()));
            return Ok(INTERRUPTED);
        }
    };
    stage.let_go();
    let (survivor, proof) = played.map_err(|fault| {
        let stays = format!("everything stays as it is in {}", stage.folder_typed());
        let hint = fault.hint.as_ref().map_or_else(|| stays.clone(), |hint| format!("{hint}\n  {stays}"));
        fault.hint(hint)
    })?;
    if context.json {
        context.out.json(&summary(&stage, &survivor, &proof))?;
    }
    Ok(0)
}

/// The whole story.
async fn play(stage: &DemoStage, screen: &mut Screen, args: &DemoArgs) -> Result<(Survivor, Proof), Fault> {
    stage.show(screen);
    stage.scratch.hold(true).map_err(stopped("the agents' folder cannot be written"))?;

    screen.chapter("An engine starts the built-in pipeline `delivery`");
    let arguments = stage.run_arguments();
    screen.command(&stage.shown(&arguments));
    let mut engine = DemoEngine::start(&stage.program, &stage.arguments(&arguments))?;
    let (task, run) = brief(stage, screen, &mut engine).await?;
    engine.hear(screen, "approve 1.1", "asks").await;

    approve(stage, screen, &task, args.manual).await?;
    let (execution, process) = developer_at_work(stage, screen, &mut engine, args.manual).await?;
    engine.hear(screen, "develop 1.1", "begins").await;

    screen.chapter("The developer is at work. Now the engine is killed");
    let first = engine.pid();
    screen.command(&format!("kill -9 {first}"));
    let status = engine.kill(screen).await?;
    let killed_at = clock::now();
    stage.must_have_no_owner().await?;
    screen.fact("engine", &format!("process {first} ended ({status}); no engine owns the data folder"));
    let line = goes_on_alone(stage, &run, process, killed_at).await?;
    screen.fact(
        "agent",
        &format!("process {} lives on under its supervisor. Without any engine it wrote:", process.pid),
    );
    screen.line(format!("            {line}"));

    screen.chapter("The engine is started again, as any user would do it");
    let resume = ["resume".to_owned(), run.short_id.clone()];
    screen.command(&stage.shown(&resume));
    screen.new_engine();
    let mut engine = DemoEngine::start(&stage.program, &stage.arguments(&resume))?;
    let second = engine.pid();
    attached(stage, screen, &mut engine, &run, process).await?;
    screen.fact("agent", &format!("process {}: re-attached, the same one, not started again", execution.pid));
    stage.scratch.hold(false).map_err(stopped("the agents' folder cannot be written"))?;
    engine.end(screen, PATIENCE * 2).await?;

    screen.chapter("What is left of it");
    let proof = Proof::gather(stage, &run).await?;
    proof.show(stage, screen);
    Ok((Survivor { process, engines: [first, second] }, proof))
}

/// Waits for the brief; gives the task of the one who is to approve it.
async fn brief(
    stage: &DemoStage,
    screen: &mut Screen,
    engine: &mut DemoEngine,
) -> Result<(String, RunView), Fault> {
    engine
        .until(screen, "the brief waits for approval", PATIENCE, async || {
            let Some(runs) = stage.ask::<Value>("/api/v1/runs?limit=1").await? else { return Ok(None) };
            let Some(id) = runs["items"][0]["id"].as_str() else { return Ok(None) };
            let Some(view) = stage.ask::<RunView>(&format!("/api/v1/runs/{id}")).await? else {
                return Ok(None);
            };
            if view.status.is_ended() {
                let failure =
                    view.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
                return Err(Fault::new(
                    Code::DemoStopped,
                    format!("the run {} too early: {failure}", view.status),
                ));
            }
            let asked = view.awaits.iter().find_map(|awaited| match awaited {
                AwaitView::Approval { task, .. } => Some(task.clone()),
                _other => None,
            });
            Ok(asked.map(|task| (task, view)))
        })
        .await
}

/// Approves through the command line, as a person in another terminal would.
async fn approve(stage: &DemoStage, screen: &mut Screen, task: &str, manual: bool) -> Result<(), Fault> {
    let decision = ["approve", task, "-m", "Go ahead"].map(str::to_owned);
    if manual {
        screen.chapter("The brief waits for you. In another terminal, type");
        screen.line(format!("     {}", stage.shown(&decision)));
        return Ok(());
    }
    screen.chapter("The brief waits for a person. You would type in another terminal, and the demo does now");
    screen.command(&stage.shown(&decision));
    let answer = stage.answer(&decision).await?;
    let first = answer.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    screen.line(format!("   {first}"));
    Ok(())
}

/// Waits until the developer's process has left its trace, and lives.
async fn developer_at_work(
    stage: &DemoStage,
    screen: &mut Screen,
    engine: &mut DemoEngine,
    manual: bool,
) -> Result<(Execution, Process), Fault> {
    let patience = if manual { PATIENCE_WITH_PEOPLE } else { PATIENCE };
    engine
        .until(screen, "the developer is at work", patience, async || {
            let executions = stage.executions()?;
            let Some(execution) = agent::at_work(&executions) else { return Ok(None) };
            Ok(Process::of(execution.pid).map(|process| (execution.clone(), process)))
        })
        .await
}

/// Waits for a line that the agent writes while no engine runs; gives it.
async fn goes_on_alone(
    stage: &DemoStage,
    run: &RunView,
    process: Process,
    killed_at: Timestamp,
) -> Result<String, Fault> {
    let since = Stopwatch::start();
    loop {
        let written = agent::written(&stage.layout, run.id, 1, killed_at);
        if let Some(line) = written.map_err(stopped("the agent's log cannot be read"))?.first() {
            return Ok(line.clone());
        }
        if !process.lives() {
            return Err(Fault::new(
                Code::DemoStopped,
                format!("the agent, process {}, is gone", process.pid),
            ));
        }
        if since.elapsed() > PATIENCE {
            return Err(Fault::new(Code::DemoStopped, "the agent lives, but writes nothing more"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the new engine has taken up the old process.
async fn attached(
    stage: &DemoStage,
    screen: &mut Screen,
    engine: &mut DemoEngine,
    run: &RunView,
    process: Process,
) -> Result<(), Fault> {
    let path = format!("/api/v1/runs/{}", run.id);
    engine
        .until(screen, "the agent is re-attached", PATIENCE, async || {
            let Some(view) = stage.ask::<RunView>(&path).await? else { return Ok(None) };
            let step = view.step(LONG_STEP);
            let is_heard = step.is_some_and(|step| step.status == StepStatus::Running && step.line.is_some());
            if !process.lives() {
                return Err(Fault::new(
                    Code::DemoStopped,
                    format!("process {} did not survive", process.pid),
                ));
            }
            Ok((is_heard && view.driven).then_some(()))
        })
        .await
}

/// What `--json` answers.
fn summary(stage: &DemoStage, survivor: &Survivor, proof: &Proof) -> Value {
    json!({
        "task": TASK,
        "folder": stage.folder,
        "dir": stage.layout.root(),
        "repository": stage.scratch.repository,
        "run": proof.view.id,
        "engines": survivor.engines,
        "agent_pid": survivor.process.pid,
        "executions": proof.executions.iter().map(|execution| json!({
            "step": execution.step, "round": execution.round, "attempt": execution.attempt, "pid": execution.pid,
        })).collect::<Vec<_>>(),
        "merged": proof.merged,
        "decisions": proof.decisions,
        "tests": proof.tests,
        "findings": proof.findings,
        "replay": proof.replay,
        "verified_events": proof.verified_events,
        "next": proof.next(stage).iter().map(|(command, _)| command).collect::<Vec<_>>(),
        "remove": format!("rm -rf {}", quoted(&stage.folder)),
    })
}
