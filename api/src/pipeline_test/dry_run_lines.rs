//! The events of a dry run as lines: what would be run, asked, awaited and sent.
//!
//! Law: what the engine masks in a history is masked here, since everything shown is taken from the history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use everfold_engine::definition::ExecutorTask;
use everfold_engine::driver::Blobs as _;
use everfold_engine::event::{RunEvent, ScheduledWork, SkipReason, TimerKind, TimerSet};
use everfold_engine::id::{AttemptId, RunId};
use everfold_engine::json::{Hash, Payload, Value};
use everfold_engine::policy::Verdict;
use everfold_engine::time::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::child_pipelines::WHOLE_CHILD;
use super::dry_run_work::{probe, work};
use super::outcome::CaseEvent;
use super::world::CaseWorld;
use crate::text::{count, cut, plain, span};

/// What of a text is shown.
pub(super) const TEXT_CHARS: usize = 400;
/// What of a value is in a report; a longer one is cut to a text.
const VALUE_CHARS: usize = 16 * 1024;

/// Something that would happen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRunLine {
    /// Milliseconds after the start.
    pub at_ms: i64,
    /// The step that started the run, where it is a child.
    pub child_of: Option<String>,
    /// The step, or an item of it; none of the run as a whole.
    pub step: Option<String>,
    /// What: `command`, `gives`, `gate`, `approval`, `notice`, …
    pub what: String,
    /// It in one line.
    pub text: String,
    /// The value that it is about, where it is about one.
    pub value: Option<Value>,
    /// The value is made up, or that it goes so is assumed.
    pub made_up: bool,
}

/// What is known of a run of the play.
#[derive(Clone)]
struct PlayedRun {
    definition: Hash,
    child_of: Option<String>,
    is_whole: bool,
}

/// The events of a dry run as lines.
pub(super) struct DryRunStory<'a> {
    world: &'a CaseWorld,
    start: Timestamp,
    passing: &'a BTreeMap<Hash, BTreeSet<String>>,
    /// The pipelines that steps name, by the names under which they are started.
    named: &'a BTreeMap<String, String>,
    /// What no person of a case answered: tasks by their id, signals by their name.
    volunteered: &'a BTreeSet<(RunId, String)>,
    runs: BTreeMap<RunId, PlayedRun>,
    /// What was asked of the probe of a gate last.
    probes: BTreeMap<(RunId, String), String>,
}

/// A line without its place in time.
struct DrySaying {
    step: Option<String>,
    what: String,
    text: String,
    value: Option<Value>,
    made_up: bool,
}

impl DrySaying {
    fn of(step: impl ToString, what: &str, text: impl Into<String>) -> Self {
        Self { step: Some(step.to_string()), ..Self::run(what, text) }
    }

    fn run(what: &str, text: impl Into<String>) -> Self {
        Self { step: None, what: what.to_owned(), text: text.into(), value: None, made_up: false }
    }

    fn with(self, value: Value) -> Self {
        Self { value: Some(value), ..self }
    }

    fn made_up(self, made_up: bool) -> Self {
        Self { made_up, ..self }
    }
}

impl<'a> DryRunStory<'a> {
    pub(super) fn new(
        world: &'a CaseWorld,
        start: Timestamp,
        passing: &'a BTreeMap<Hash, BTreeSet<String>>,
        named: &'a BTreeMap<String, String>,
        volunteered: &'a BTreeSet<(RunId, String)>,
    ) -> Self {
        let (runs, probes) = (BTreeMap::new(), BTreeMap::new());
        Self { world, start, passing, named, volunteered, runs, probes }
    }

    /// The lines of all events.
    pub(super) fn lines(mut self, events: &[CaseEvent]) -> Vec<DryRunLine> {
        let mut lines = Vec::new();
        for seen in events {
            self.note(seen);
            let Some(run) = self.runs.get(&seen.run).cloned() else { continue };
            // A pipeline that stands for a child is no step of anything: what it gives is said of the step above.
            let said = if run.is_whole { None } else { self.say(seen, &run) };
            let Some(DrySaying { step, what, text, value, made_up }) = said else { continue };
            let text = cut(&plain(&text), TEXT_CHARS);
            let value = value.map(|value| match value.to_string() {
                long if long.len() > VALUE_CHARS => json!(cut(&long, VALUE_CHARS)),
                _short => value,
            });
            lines.push(DryRunLine {
                at_ms: seen.at_ms,
                child_of: run.child_of,
                step,
                what,
                text,
                value,
                made_up,
            });
        }
        lines
    }

    fn note(&mut self, seen: &CaseEvent) {
        match &seen.event {
            RunEvent::RunStarted(started) => {
                let above = started.parent.as_ref().map(|parent| {
                    let above = self.runs.get(&parent.run).and_then(|run| run.child_of.clone());
                    let above = above.map(|above| format!("{above}/")).unwrap_or_default();
                    format!("{above}{}", parent.id.path)
                });
                let run = PlayedRun { definition: started.definition, child_of: above, is_whole: false };
                self.runs.insert(seen.run, run);
            }
            RunEvent::StepScheduled(event) => {
                if let ScheduledWork::Task(task) = &event.work
                    && self.value(seen.run, &task.task)["spec"]["name"] == WHOLE_CHILD
                    && let Some(run) = self.runs.get_mut(&seen.run)
                {
                    run.is_whole = true;
                }
            }
            RunEvent::ProbeScheduled(event) => {
                let asked = probe(&event.kind, &self.value(seen.run, &event.task)["spec"]);
                self.probes.insert((seen.run, format!("{}/{}", event.id.path, event.gate)), asked);
            }
            _other => {}
        }
    }

    fn say(&self, seen: &CaseEvent, run: &PlayedRun) -> Option<DrySaying> {
        match &seen.event {
            RunEvent::AttemptSucceeded(_)
            | RunEvent::AttemptFailed(_)
            | RunEvent::AttemptAsked(_)
            | RunEvent::AttemptLost(_)
            | RunEvent::ChildFinished(_)
            | RunEvent::StepScheduled(_)
            | RunEvent::RetryScheduled(_)
            | RunEvent::ItemsExpanded(_) => self.of_work(seen),
            RunEvent::GateEvaluated(_) | RunEvent::ProbeFailed(_) => self.of_gate(seen, run),
            RunEvent::ApprovalRequested(_)
            | RunEvent::ApprovalDecided(_)
            | RunEvent::QuestionAsked(_)
            | RunEvent::QuestionAnswered(_)
            | RunEvent::SignalReceived(_)
            | RunEvent::TimerSet(_) => self.of_people(seen),
            _of_the_run => self.of_run(seen),
        }
    }

    fn of_work(&self, seen: &CaseEvent) -> Option<DrySaying> {
        Some(match &seen.event {
            RunEvent::StepScheduled(event) => match &event.work {
                ScheduledWork::Task(task) => {
                    let document = self.value(seen.run, &task.task);
                    let mut spec = document["spec"].clone();
                    if task.kind == ExecutorTask::RUN
                        && let Some(named) = spec["pipeline"].as_str().and_then(|name| self.named.get(name))
                    {
                        spec["pipeline"] = json!(named);
                    }
                    DrySaying::of(&event.id.path, &task.kind, work(&task.kind, &spec, &document["env"]))
                        .with(spec)
                }
                _follows => return None,
            },
            RunEvent::RetryScheduled(event) => DrySaying::of(
                &event.id.path,
                "retry",
                format!("attempt {} begins at {}", event.id.attempt.0, event.at),
            ),
            RunEvent::ItemsExpanded(event) => {
                let most = event.max_in_flight.map(|most| format!(", {most} at once")).unwrap_or_default();
                DrySaying::of(
                    &event.step,
                    "items",
                    format!("{}{most}", count(event.items.len() as u64, "item")),
                )
            }
            RunEvent::AttemptSucceeded(event) => self.gives(seen.run, &event.id, &event.output),
            RunEvent::ChildFinished(event) => match &event.failure {
                Some(failure) => DrySaying::of(&event.id.path, "fails", &failure.message),
                None => self.gives(seen.run, &event.id, &event.output),
            },
            RunEvent::AttemptFailed(event) => DrySaying::of(&event.id.path, "fails", &event.failure.message),
            RunEvent::AttemptLost(event) => DrySaying::of(&event.id.path, "lost", &event.reason),
            RunEvent::AttemptAsked(event) => {
                let ask = self.value(seen.run, &event.ask);
                DrySaying::of(&event.id.path, "asks", ask["text"].as_str().unwrap_or_default())
                    .with(ask.clone())
            }
            _other => return None,
        })
    }

    fn gives(&self, run: RunId, id: &AttemptId, output: &Payload) -> DrySaying {
        let value = self.value(run, output);
        DrySaying::of(&id.path, "gives", value.to_string())
            .with(value)
            .made_up(self.world.is_made_up(run, id))
    }

    fn of_gate(&self, seen: &CaseEvent, run: &PlayedRun) -> Option<DrySaying> {
        Some(match &seen.event {
            RunEvent::GateEvaluated(event) => {
                let name = format!("{}/{}", event.id.path.step, event.gate);
                let taken = self.passing.get(&run.definition).is_some_and(|all| all.contains(&name));
                let asked = self.probes.get(&(seen.run, format!("{}/{}", event.id.path, event.gate)));
                let asked = asked.map(|asked| format!("{asked}; ")).unwrap_or_default();
                let verdict = match event.verdict {
                    Verdict::Pass if taken => "is taken to pass".to_owned(),
                    verdict => format!("{}: {}", verdict.as_str(), event.reason),
                };
                DrySaying::of(&event.id.path, "gate", format!("{}: {asked}{verdict}", event.gate))
                    .made_up(taken)
            }
            RunEvent::ProbeFailed(event) => {
                DrySaying::of(&event.id.path, "gate", format!("{}: {}", event.gate, event.message))
            }
            _other => return None,
        })
    }

    fn of_people(&self, seen: &CaseEvent) -> Option<DrySaying> {
        let of = |roles: &[String]| match roles {
            [] => "anyone".to_owned(),
            roles => roles.join(" or "),
        };
        let is_made_up = |what: String| self.volunteered.contains(&(seen.run, what));
        Some(match &seen.event {
            RunEvent::ApprovalRequested(event) => {
                let votes = match event.terms.quorum {
                    1 => String::new(),
                    quorum => format!("{quorum} of "),
                };
                let shown = self.value(seen.run, &event.show);
                let text = format!("“{}” waits for {votes}{}", event.title, of(&event.terms.roles));
                DrySaying::of(&event.id.path, "approval", text)
                    .with(json!({"show": shown, "roles": event.terms.roles}))
            }
            RunEvent::ApprovalDecided(event) => {
                let decision = json!(event.decision);
                let word = decision.as_str().unwrap_or_default().to_owned();
                let is_made_up = is_made_up(event.id.to_string());
                let text = if is_made_up { format!("{word} is taken for the answer") } else { word };
                DrySaying::of(&event.id.path, "decided", text).made_up(is_made_up)
            }
            RunEvent::QuestionAsked(event) => {
                let options = match event.terms.options.as_slice() {
                    [] => String::new(),
                    options => format!(": {}", options.join(" | ")),
                };
                let text = format!("“{}” waits for {}{options}", event.title, of(&event.terms.roles));
                DrySaying::of(&event.id.path, "question", text)
            }
            RunEvent::QuestionAnswered(event) => {
                let answer = self.value(seen.run, &event.answer);
                DrySaying::of(&event.id.path, "answered", answer.to_string())
                    .with(answer)
                    .made_up(is_made_up(event.id.to_string()))
            }
            RunEvent::SignalReceived(event) => {
                let payload = self.value(seen.run, &event.payload);
                let is_made_up = is_made_up(event.name.clone());
                let comes = if is_made_up { "is taken to come" } else { "comes" };
                DrySaying::run("signal", format!("“{}” {comes}", event.name))
                    .with(payload)
                    .made_up(is_made_up)
            }
            RunEvent::TimerSet(event) => return timer(event, self.start.0 + seen.at_ms),
            _other => return None,
        })
    }

    fn of_run(&self, seen: &CaseEvent) -> Option<DrySaying> {
        Some(match &seen.event {
            RunEvent::RunStarted(event) => {
                let title = event.title.as_ref().map(|title| format!(": {title}")).unwrap_or_default();
                DrySaying::run("start", format!("{}{title}", event.pipeline))
                    .with(self.value(seen.run, &event.input))
            }
            RunEvent::RunQueued(event) => {
                let keys: Vec<&str> = event.slots.iter().map(|slot| slot.key.as_str()).collect();
                DrySaying::run("slots", keys.join(", "))
            }
            RunEvent::WorkspacePrepared(event) => match &event.workspace {
                Some(workspace) => DrySaying::run("workspace", place(workspace)),
                None => return None,
            },
            RunEvent::StepSkipped(event) => DrySaying::of(&event.path, "skipped", skipped(event.reason)),
            RunEvent::StepFailed(event) => {
                let goes_on = if event.tolerated { "; the run goes on" } else { "" };
                DrySaying::of(&event.path, "failed", format!("{}{goes_on}", event.failure.message))
            }
            RunEvent::StepBlocked(event) => {
                DrySaying::of(&event.path, "blocked", format!("waits for a decision: {}", event.message))
            }
            RunEvent::ReworkRequested(event) => {
                DrySaying::of(&event.source.id.path, "rework", format!("{} begins anew", event.target))
            }
            RunEvent::NoticeQueued(event) => {
                let with = self.value(seen.run, &event.with)["with"].clone();
                let text = with["text"].as_str().map_or_else(|| with.to_string(), str::to_owned);
                DrySaying::run("notice", format!("{} by {}: {text}", event.notice, event.function)).with(with)
            }
            RunEvent::BudgetExceeded(event) => {
                DrySaying::run("budget", format!("{} is used up", event.reading.budget))
            }
            RunEvent::RunSucceeded(_) => DrySaying::run("end", "succeeded"),
            RunEvent::RunCancelled(_) => DrySaying::run("end", "cancelled"),
            RunEvent::RunFailed(event) => DrySaying::run("end", format!("failed: {}", event.failure.message)),
            _silent => return None,
        })
    }

    /// A value of an event, wherever it is kept.
    fn value(&self, run: RunId, payload: &Payload) -> Value {
        match payload {
            Payload::Inline(text) => text.value(),
            Payload::Blob(blob) => {
                let bytes = self.world.blobs.get(run, blob).unwrap_or_default();
                serde_json::from_slice(&bytes).unwrap_or_default()
            }
        }
    }
}

fn place(workspace: &everfold_engine::artefact::Workspace) -> String {
    match (&workspace.branch, &workspace.base) {
        (Some(branch), Some(base)) => format!("a worktree on the branch {branch} from {base}"),
        (Some(branch), None) => format!("a worktree on the branch {branch}"),
        _folder => workspace.path.clone(),
    }
}

fn skipped(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::When => "its `when` is false",
        SkipReason::Standby => "it stands by for a rework",
        SkipReason::Bypassed => "the run has finished before",
        SkipReason::Person => "a person skips it",
        SkipReason::Join => "what it needs did not come",
    }
}

/// A timer that people would see; a limit of work is none.
fn timer(event: &TimerSet, now_ms: i64) -> Option<DrySaying> {
    let after = u64::try_from(event.at.0 - now_ms).unwrap_or(0);
    let after = span(Duration::from_millis(after));
    let text = match event.timer.kind {
        TimerKind::Wait => format!("for {after}, until {}", crate::text::instant(event.at)),
        TimerKind::Expiry | TimerKind::Signal => format!("at most {after}"),
        TimerKind::Reminder => format!("people are reminded after {after}"),
        TimerKind::Deadline => format!("the round has {after}"),
        TimerKind::Retry | TimerKind::Poll | TimerKind::Timeout | TimerKind::Budget => return None,
    };
    Some(DrySaying::of(&event.timer.id.path, "timer", text))
}
