//! An event in one line.
//!
//! Law: every kind is named in [`event_detail`], so that a new one must be thought of.

use std::time::Duration;

use everfold_engine::budgets::named;
use everfold_engine::event::{
    HaltScope, RunEvent, ScheduledWork, SearchValue, SignalTaker, SpareReason, Spent,
};
use everfold_engine::failure::Failure;
use everfold_engine::json::Payload;
use serde::{Deserialize as _, Serialize};
use serde_json::{Value, json};

use super::budget::usd;
use crate::text::{count, cut, plain, span, verdict};

/// What answers call an event that the server could not read.
const UNREADABLE: &str = "Unreadable";

/// An event of an answer.
pub(crate) struct ShownEvent<'a>(pub(crate) &'a Value);

impl ShownEvent<'_> {
    /// The event's name.
    pub(crate) fn name(&self) -> &str {
        self.0["event"]["type"].as_str().unwrap_or("?")
    }

    pub(crate) fn version(&self) -> u64 {
        self.0["version"].as_u64().unwrap_or(0)
    }

    pub(crate) fn at(&self) -> &str {
        self.0["recorded_at"].as_str().unwrap_or_default()
    }

    pub(crate) fn actor(&self) -> &str {
        self.0["actor"].as_str().unwrap_or_default()
    }

    /// What it is about: `build 2.1`, `build.3 1.1`, `build 2`, `build`.
    pub(crate) fn place(&self) -> String {
        let event = &self.0["event"];
        let id = if event["id"].is_object() { &event["id"] } else { &event["timer"]["id"] };
        if id.is_object() {
            let (round, attempt) = (&id["round"], &id["attempt"]);
            return format!("{} {round}.{attempt}", path(&id["path"]));
        }
        if event["path"].is_object() {
            let round = event["round"].as_u64().map(|round| format!(" {round}")).unwrap_or_default();
            return format!("{}{round}", path(&event["path"]));
        }
        if event["unblocked"].is_object() {
            return path(&event["unblocked"]["path"]);
        }
        self.step_name().to_owned()
    }

    fn step_name(&self) -> &str {
        let event = &self.0["event"];
        event["step"].as_str().or(event["target"].as_str()).unwrap_or_default()
    }

    /// The event itself; none where this version does not know it, or where it could not be read.
    pub(crate) fn event(&self) -> Option<RunEvent> {
        RunEvent::deserialize(&self.0["event"]).ok()
    }

    /// What it says beyond its name and place.
    pub(crate) fn detail(&self) -> String {
        match self.event() {
            Some(event) => event_detail(&event),
            None if self.name() == UNREADABLE => {
                cut(self.0["event"]["message"].as_str().unwrap_or_default(), 120)
            }
            None => String::new(),
        }
    }
}

/// What an event says beyond its name and place; empty where these say it all. The function takes
/// out of each text that somebody chose what a terminal would act on, and colours the verdict alone.
pub(crate) fn event_detail(event: &RunEvent) -> String {
    match event {
        RunEvent::GateEvaluated(event) => {
            let warning = match (event.tolerated, &event.code) {
                (true, Some(code)) => format!(" (warning {})", plain(code)),
                (true, None) => " (warning)".to_owned(),
                (false, _) => String::new(),
            };
            let (gate, reason) = (plain(&event.gate), cut(&event.reason, 100));
            format!("{gate} {}{warning}: {reason}", verdict(event.verdict))
        }
        other => plain(&words_of(other)),
    }
}

/// What an event without a colour says.
fn words_of(event: &RunEvent) -> String {
    match event {
        RunEvent::RunStarted(event) => match &event.title {
            Some(title) => format!("{}: {}", event.pipeline, cut(title, 100)),
            None => event.pipeline.clone(),
        },
        RunEvent::StepScheduled(event) => match &event.work {
            ScheduledWork::Task(task) => task.kind.clone(),
            ScheduledWork::Kept(kept) => format!("kept: done as {} of run {}", kept.id, kept.run.short()),
            other => word(other),
        },
        RunEvent::RunQueued(event) => {
            event.slots.iter().map(|slot| slot.key.as_str()).collect::<Vec<_>>().join(", ")
        }
        RunEvent::RunForked(event) => {
            let origin = &event.origin;
            format!("{} of {} at {}", word(&origin.how), origin.run.short(), origin.version.get())
        }
        RunEvent::ChildStarted(event) => event.child.short(),
        RunEvent::ChildFinished(event) => {
            event.failure.as_ref().map_or_else(|| event.child.short(), failure_line)
        }
        RunEvent::WorkspacePrepared(event) => match (&event.workspace, &event.failure) {
            (Some(workspace), _) => workspace.path.clone(),
            (None, failure) => failure.as_ref().map(failure_line).unwrap_or_default(),
        },
        RunEvent::AttemptFailed(event) => failure_line(&event.failure),
        RunEvent::StepFailed(event) => failure_line(&event.failure),
        RunEvent::RunFailed(event) => failure_line(&event.failure),
        RunEvent::ItemsExpanded(event) => count(event.items.len() as u64, "item"),
        RunEvent::AttemptLost(event) => cut(&event.reason, 120),
        RunEvent::StopRequested(event) => {
            format!("{}, {}", count(event.ids.len() as u64, "attempt"), word(&event.reason))
        }
        RunEvent::RetryScheduled(event) => format!("not before {}", word(&event.at)),
        RunEvent::StepSkipped(event) => word(&event.reason),
        RunEvent::StepBlocked(event) => cut(&event.message, 120),
        RunEvent::ProbeScheduled(event) => format!("{} #{}", event.gate, event.probe_no),
        RunEvent::ProbeFailed(event) => format!("{}: {}", event.gate, cut(&event.message, 100)),
        RunEvent::ReworkRequested(event) => {
            let max = event.max.map(|max| format!(" of {max}")).unwrap_or_default();
            let by = event.source.gate.as_ref().or(event.source.by.as_ref());
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            format!("rework {}{max}{by}", event.used)
        }
        RunEvent::ApprovalRequested(event) => cut(&event.title, 100),
        RunEvent::VoteCast(event) => {
            commented(&with_value(word(&event.vote), event.edited.as_ref()), event.comment.as_deref())
        }
        RunEvent::ApprovalDecided(event) => commented(&word(&event.decision), event.comment.as_deref()),
        RunEvent::QuestionAsked(event) => cut(&event.title, 100),
        RunEvent::AnswerSaved(event) => answer_line(&json!(event.answer)),
        RunEvent::QuestionAnswered(event) => answer_line(&json!(event.answer)),
        RunEvent::AttemptAsked(event) => cut(json!(event.ask)["text"].as_str().unwrap_or_default(), 100),
        RunEvent::TimerSet(event) => format!("{} at {}", word(&event.timer.kind), word(&event.at)),
        RunEvent::TimerFired(event) => word(&event.timer.kind),
        RunEvent::ProgressReported(event) => event.progress.to_string(),
        RunEvent::SearchSet(event) => {
            let one = |(name, value): (&String, &Option<SearchValue>)| match value {
                Some(value) => format!("{name} = {}", value.json()),
                None => format!("{name} taken away"),
            };
            cut(&event.values.iter().map(one).collect::<Vec<_>>().join(", "), 100)
        }
        RunEvent::WorkSpared(event) => match &event.reason {
            SpareReason::Recorded { run, version } => {
                format!("ends as in event {version} of {}", run.short())
            }
            SpareReason::Held { would, .. } => format!("held back, would have: {}", cut(would, 100)),
        },
        RunEvent::UsageRecorded(event) => {
            let less = match event.less_micros {
                0 => String::new(),
                less => format!(", {} USD less than was counted", usd(less)),
            };
            format!("{} + {} tokens{less}", event.usage.input_tokens, event.usage.output_tokens)
        }
        RunEvent::SignalReceived(event) => match json!(event.payload) {
            Value::Null => event.name.clone(),
            payload => format!("{} {}", event.name, cut(&payload.to_string(), 100)),
        },
        RunEvent::SignalTaken(event) => {
            let by = match &event.by {
                SignalTaker::Gate { gate, .. } => return format!("gate {gate} asks now"),
                SignalTaker::Wait(id) => format!("wait {}", id.path),
                SignalTaker::Step(id) => format!("step {}", id.path),
                SignalTaker::Run => "run".to_owned(),
                SignalTaker::Nobody => "no part of the run".to_owned(),
            };
            let past = event.decision.as_ref().map(|decision| decision.bypassed.join(", "));
            let past = past.filter(|gates| !gates.is_empty()).map(|gates| format!(" past {gates}"));
            let how = word(&event.how);
            let how = format!("{} by {by}, {how}{}", event.signal.get(), past.unwrap_or_default());
            commented(&how, event.reason.as_deref())
        }
        RunEvent::BreakpointsSet(event) => {
            event.steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        RunEvent::RunHalted(event) => commented(scope(&event.scope), event.reason.as_deref()),
        RunEvent::RunReleased(event) => scope(&event.scope).to_owned(),
        RunEvent::StepCancelRequested(event) => reason(event.reason.as_deref()),
        RunEvent::RunPaused(event) if event.interrupt => commented("interrupt", event.reason.as_deref()),
        RunEvent::RunPaused(event) => reason(event.reason.as_deref()),
        RunEvent::RunResumed(event) => reason(event.reason.as_deref()),
        RunEvent::CancelRequested(event) => reason(event.reason.as_deref()),
        RunEvent::RunAbandoned(event) => reason(event.reason.as_deref()),
        RunEvent::RunUnblocked(event) => {
            let decision = with_value(word(&event.unblocked.decision), event.unblocked.output.as_ref());
            let said = match event.bypassed.as_slice() {
                [] => decision,
                gates => format!("{decision} past {}", gates.join(", ")),
            };
            commented(&said, event.unblocked.reason.as_deref())
        }
        RunEvent::RecheckRequested(event) => {
            let gates: Vec<&str> = event.policies.keys().map(String::as_str).collect();
            let by = if gates.is_empty() {
                String::new()
            } else {
                format!("by own policies for {}", gates.join(", "))
            };
            commented(&by, event.reason.as_deref())
        }
        RunEvent::BudgetsOpened(event) => {
            event.budgets.iter().map(|budget| budget.id.as_str()).collect::<Vec<_>>().join(", ")
        }
        RunEvent::BudgetExceeded(event) => {
            let until = event.reading.until.filter(|_| !event.is_reserved());
            let until = until.map(|at| format!(" until {}", word(&at))).unwrap_or_default();
            let (measure, budget) = (word(&event.measure), named(&event.reading.budget));
            format!("the {measure} of {budget} is {}{until}", event.taken())
        }
        RunEvent::BudgetRaised(event) => {
            let Spent { cost_micros, tokens, wall_ms } = event.add;
            let parts = [
                (cost_micros > 0).then(|| format!("{} USD", usd(cost_micros))),
                (tokens > 0).then(|| count(tokens, "token")),
                (wall_ms > 0).then(|| span(Duration::from_millis(wall_ms))),
            ];
            let by = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
            commented(&format!("{} by {by}", event.budget), event.reason.as_deref())
        }
        RunEvent::FundsGranted(event) => if event.exempt { "exempt" } else { "" }.to_owned(),
        RunEvent::FundsAnswered(event) => match &event.refused {
            Some(refused) => format!("{} has no room", named(&refused.budget)),
            None => "there is room".to_owned(),
        },
        RunEvent::BudgetPeriodBegan(event) => format!("{} until {}", event.budget, word(&event.until)),
        RunEvent::WorktreeReset(event) => format!("to {}", cut(&event.commit, 12)),
        RunEvent::ClockRead(event) => format!("the clock says {}", word(&event.clock)),
        RunEvent::WorkspaceRemoved(event) => event.path.clone(),
        RunEvent::WorkspaceShared(event) => format!("of {}", event.owner.short()),
        RunEvent::NoteAdded(event) => cut(&event.text, 120),
        RunEvent::NoticeQueued(event) => match &event.fallback {
            Some(why) => format!("{} by its fallback: {}", event.notice, cut(why, 120)),
            None => String::new(),
        },
        RunEvent::NoticeSent(event) => match &event.reason {
            Some(reason) => format!("{}: {}", event.notice, cut(reason, 120)),
            None => String::new(),
        },
        // It has a colour.
        RunEvent::GateEvaluated(_)
        | RunEvent::AttemptStarted(_)
        | RunEvent::AttemptSucceeded(_)
        | RunEvent::StepSucceeded(_)
        | RunEvent::StepCancelled(_)
        | RunEvent::RunCancelled(_)
        | RunEvent::RunSucceeded(_)
        | RunEvent::Advanced(_)
        | RunEvent::RunAdmitted(_)
        | RunEvent::BreakpointHit(_)
        | RunEvent::NoticeFailed(_)
        | RunEvent::ChildStopped(_)
        | RunEvent::FundsRequested(_)
        | RunEvent::SpendReported(_) => String::new(),
    }
}

fn path(path: &Value) -> String {
    let step = path["step"].as_str().unwrap_or_default();
    path["item"].as_u64().map_or_else(|| step.to_owned(), |item| format!("{step}.{item}"))
}

/// A value as its JSON says it: the word of an enum, the text of a time.
fn word(value: &impl Serialize) -> String {
    json!(value).as_str().unwrap_or_default().to_owned()
}

fn scope(scope: &HaltScope) -> &str {
    match scope {
        HaltScope::Engine => "engine",
        HaltScope::Pipeline(name) => name,
    }
}

fn failure_line(failure: &Failure) -> String {
    crate::text::failure(failure.kind.as_str(), None, &cut(&failure.message, 120))
}

/// What was decided, with the value that a person put in another's place.
fn with_value(word: String, value: Option<&Payload>) -> String {
    value.map_or_else(|| word.clone(), |value| format!("{word} with {}", cut(&json!(value).to_string(), 60)))
}

fn commented(word: &str, comment: Option<&str>) -> String {
    comment.map_or_else(|| word.to_owned(), |comment| format!("{word}: {}", cut(comment, 100)))
}

/// Why, in one line.
fn reason(reason: Option<&str>) -> String {
    cut(reason.unwrap_or_default(), 100)
}

/// What was answered, in one line.
pub(crate) fn answer_line(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let items = answer["items"].as_object().into_iter().flatten();
    let items = items.map(|(id, value)| format!("{id}={}", text(value).unwrap_or_else(|| value.to_string())));
    let states = answer["states"].as_object().into_iter().flatten();
    let said = states.filter(|(_, state)| *state == "resolved" || *state == "dismissed");
    let said = said.map(|(id, state)| format!("{id} {}", state.as_str().unwrap_or_default()));
    let words = text(&answer["choice"]).into_iter().chain(text(&answer["text"]));
    let parts: Vec<String> = words.chain(items).chain(said).collect();
    cut(&parts.join("; "), 100)
}
