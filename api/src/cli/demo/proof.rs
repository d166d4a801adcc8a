//! What the demo ends with: the merge, every gate decision, and that nothing ran twice.

use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use everfold_workflows::demo::{EXECUTIONS, Execution};
use owo_colors::{OwoColorize as _, Style};
use serde_json::{Value, json};
use tokio::process::Command;

use super::agent;
use super::fault::stopped;
use super::screen::Screen;
use super::stage::DemoStage;
use crate::client::{Client, Leave};
use crate::fault::{Code, Fault};
use crate::node::Replay;
use crate::text::cut;
use crate::view::RunView;

/// The longest evidence that is shown.
const EVIDENCE_CHARS_MAX: usize = 64;

/// Everything that was looked up after the end.
pub(super) struct Proof {
    pub(super) view: RunView,
    /// The agents' own record.
    pub(super) executions: Vec<Execution>,
    /// The merge commit on the repository's main branch.
    pub(super) merged: String,
    /// The history of the main branch, drawn by git.
    history: String,
    /// What the merged program's tests say.
    pub(super) tests: String,
    /// `{step, round, gate, verdict, evidence, version}`, in order.
    pub(super) decisions: Vec<Value>,
    /// The findings that the second round of development received, as it prints them.
    pub(super) findings: String,
    pub(super) replay: Replay,
    /// Events whose hashes were checked.
    pub(super) verified_events: u64,
}

impl Proof {
    /// Looks everything up.
    ///
    /// # Errors
    /// Whatever is not as it must be.
    pub(super) async fn gather(stage: &DemoStage, run: &RunView) -> Result<Self, Fault> {
        let client = stage.client();
        let asked = ask(&client, run).await;
        client.leave(Leave::Waiting).await;
        let (view, audit, replay) = asked?;
        if view.status != RunStatus::Succeeded {
            return Err(Fault::new(Code::DemoStopped, format!("the run is {}", view.status)));
        }
        if let Some(difference) = replay.differences.first() {
            let message =
                format!("decided again, version {} differs: {}", difference.version, difference.message);
            return Err(Fault::new(Code::DemoStopped, message));
        }
        let executions = stage.executions()?;
        must_be_once(&executions)?;
        let repository = stage.scratch.repository.as_path();
        let merged = view.output["merged"].as_str().unwrap_or_default().to_owned();
        git(repository, &["merge-base", "--is-ancestor", &merged, "main"]).await?;
        let history =
            git(repository, &["log", "--graph", "--oneline", "--no-decorate", "--no-color", "main"]).await?;
        let tests = command(repository, "sh", &["test.sh"]).await?;
        let verified = stage.answer(&["--json", "store", "verify"].map(str::to_owned)).await?;
        let verified: Value = serde_json::from_str(&verified).unwrap_or_default();
        let second = agent::written(&stage.layout, run.id, 2, Timestamp(0))
            .map_err(stopped("the agent's log cannot be read"))?;
        Ok(Self {
            findings: second.into_iter().next().unwrap_or_default(),
            executions,
            merged,
            history,
            tests: tests.lines().next_back().unwrap_or_default().to_owned(),
            decisions: audit["items"].as_array().into_iter().flatten().filter_map(decision).collect(),
            replay,
            verified_events: verified["events"].as_u64().unwrap_or(0),
            view,
        })
    }

    pub(super) fn show(&self, stage: &DemoStage, screen: &Screen) {
        screen.line(format!("   {}", "merged into main".bold()));
        let short = self.merged.get(..7).unwrap_or(&self.merged);
        for line in self.history.lines() {
            let line = line.replacen(short, &short.yellow().bold().to_string(), 1);
            screen.line(format!("     {line}"));
        }
        screen.line("");
        screen.line(format!("   {}", "every decision, with the evidence it was made on".bold()));
        for line in self.decision_table() {
            screen.line(format!("     {line}"));
        }
        screen.line("");
        let agents: Vec<String> = self
            .executions
            .iter()
            .map(|execution| format!("{} {}", execution.step, execution.round))
            .collect();
        screen.proven("nothing ran twice: agents/executions.log, which the agents write themselves, has one line for each of");
        screen.line(format!("     {}", agents.join(", ")));
        screen.proven(&format!("the findings came back to the agent: “{}”", self.findings));
        screen.proven(&format!("the merged program: {}", self.tests));
        screen.proven(&format!(
            "the history: the hashes of all {} events are right; {} inputs decided again give the same",
            self.verified_events, self.replay.inputs
        ));
        screen.line("");
        screen.line("Try next".bold().to_string());
        for (command, why) in self.next(stage) {
            screen.line(format!("   {}", format!("# {why}").dimmed()));
            screen.line(format!("   {}", command.cyan()));
        }
        screen.line("");
        screen.line(format!("All of it is in {0}; remove it with: rm -rf {0}", stage.folder_typed()));
    }

    fn decision_table(&self) -> Vec<String> {
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let row = |gate: &str, place: &str, verdict: &str, evidence: &str| {
            // Padded before it is coloured: colours have no width.
            let style = match verdict {
                "pass" | "approve" => Style::new().green(),
                "fail" | "reject" => Style::new().red(),
                _other => Style::new(),
            };
            let verdict = format!("{verdict:<8}");
            format!("{gate:<16} {place:<12} {} {}", verdict.style(style), cut(evidence, EVIDENCE_CHARS_MAX))
        };
        let head = row("gate", "step, round", "verdict", "evidence");
        let rows = self.decisions.iter().map(|decision| {
            let place = format!("{}, {}", text(decision, "step"), decision["round"]);
            row(&text(decision, "gate"), &place, &text(decision, "verdict"), &text(decision, "evidence"))
        });
        std::iter::once(head.dimmed().to_string()).chain(rows).collect()
    }

    /// Commands to try, each with what it shows.
    pub(super) fn next(&self, stage: &DemoStage) -> [(String, &'static str); 3] {
        let run = &self.view.short_id;
        let failed = self.decisions.iter().find(|decision| decision["verdict"] == "fail");
        let version = failed.and_then(|decision| decision["version"].as_u64()).unwrap_or(1);
        [
            (format!("{} show {run}", stage.typed), "where the run is and what came of it"),
            (format!("{} state {run} --at {version}", stage.typed), "what it was like when the tests failed"),
            (
                format!("{} logs {run} develop --round 1", stage.typed),
                "the agent's words, before, without and after an engine",
            ),
        ]
    }
}

async fn ask(client: &Client, run: &RunView) -> Result<(RunView, Value, Replay), Fault> {
    let path = format!("/api/v1/runs/{}", run.id);
    Ok((
        client.get(&path).await?,
        client.get(&format!("{path}/audit")).await?,
        client.get(&format!("{path}/replay")).await?,
    ))
}

/// A gate's or a person's decision, as a row.
fn decision(item: &Value) -> Option<Value> {
    let (gate, verdict, evidence) = match item["kind"].as_str()? {
        // What does not apply was not decided on.
        "gate" if item["verdict"] == "skipped" => return None,
        "gate" => (item["gate"].clone(), item["verdict"].clone(), evidence(item)),
        "approval" => {
            let by: Vec<&str> =
                item["by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let by: Vec<&str> = by.into_iter().map(|by| by.strip_prefix("user:").unwrap_or(by)).collect();
            let comment = item["comment"].as_str().map(|comment| format!(": {comment}")).unwrap_or_default();
            (json!("a person"), item["decision"].clone(), format!("{}{comment}", by.join(", ")))
        }
        _other => return None,
    };
    Some(json!({
        "step": item["step"], "round": item["round"], "gate": gate,
        "verdict": verdict, "evidence": evidence, "version": item["version"],
    }))
}

/// The evidence in a few words: the reason, and the last thing that a command said.
fn evidence(item: &Value) -> String {
    let reason = item["reason"].as_str().unwrap_or_default();
    let said = item["evidence"]["output"].as_str().unwrap_or_default();
    match said.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(last) if !reason.contains(last) => format!("{reason}: {last}"),
        _nothing_more => reason.to_owned(),
    }
}

/// Every agent ran once for each of its rounds, and none besides.
fn must_be_once(executions: &[Execution]) -> Result<(), Fault> {
    let ran: Vec<(&str, u32)> =
        executions.iter().map(|execution| (execution.step.as_str(), execution.round)).collect();
    if ran == EXECUTIONS {
        return Ok(());
    }
    Err(Fault::new(Code::DemoStopped, format!("the agents ran {ran:?}, not each once: {EXECUTIONS:?}")))
}

async fn git(repository: &std::path::Path, arguments: &[&str]) -> Result<String, Fault> {
    command(repository, "git", arguments).await
}

async fn command(folder: &std::path::Path, program: &str, arguments: &[&str]) -> Result<String, Fault> {
    let mut command = Command::new(program);
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("GIT_") {
            command.env_remove(&variable);
        }
    }
    let output = command
        .args(arguments)
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(stopped(&format!("{program} could not be started")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let message = format!("`{program} {}` failed ({})", arguments.join(" "), output.status);
    let said = text(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    Err(Fault::new(Code::DemoStopped, message).hint(format!("it said\n    {}", said.replace('\n', "\n    "))))
}
