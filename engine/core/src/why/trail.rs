//! The newest event of each kind that a run's state came from: what shows a cause.
//!
//! Law: how much is remembered is bounded ([`TOPICS_MAX`]), whatever the history is long; what lies beyond has causes
//! without evidence.

use std::collections::BTreeMap;

use everfold_base::actor::Actor;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, Position, Round, StepId, StepPath, Version};
use everfold_base::json::{Payload, Value};
use everfold_base::time::Timestamp;

use super::cause::{Evidence, LookedAt};
use super::condition::briefly;
use crate::event::{ReworkSource, RunEvent, SkipReason, TimerId};
use crate::policy::Verdict;

/// Topics that are remembered of a run; those of further items are not.
const TOPICS_MAX: usize = 5_000;
/// Fields of a gate's evidence that are shown.
const FIELDS_MAX: usize = 4;

/// Where an event stands, and who caused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailPlace {
    /// Its place in the run.
    pub version: Version,
    /// Its place in the log.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
}

/// What an event is about, of which the newest is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// How the run began, was admitted or ended.
    Run,
    Cancelled,
    Queued,
    Paused,
    Halted,
    Breakpoint,
    Budget,
    /// A round of a step began.
    Round,
    /// Work was to begin, or began.
    Work,
    /// An attempt failed or vanished.
    Failed,
    Retry,
    /// A step or item ended.
    Ended,
    Blocked,
    Asked,
    Rework,
    Probe,
    /// A gate said fail.
    Failing,
    /// A gate was judged.
    Verdict,
    Stop,
    Timer,
}

/// What of the event is remembered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NotedFact {
    Nothing,
    Failure(Failure),
    Lost(String),
    Verdict { round: Round, verdict: Verdict, reason: String, evidence: Vec<LookedAt> },
    Rework { source: ReworkSource, used: u32, max: Option<u32> },
    Skipped(SkipReason),
    Reason(Option<String>),
}

/// A remembered event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TrailEvent {
    pub(super) place: TrailPlace,
    pub(super) event: &'static str,
    pub(super) noted: NotedFact,
}

impl TrailEvent {
    pub(super) fn evidence(&self) -> Evidence {
        Evidence {
            run: None,
            version: self.place.version,
            position: self.place.position,
            event: self.event.to_owned(),
            actor: self.place.actor.to_string(),
        }
    }
}

/// The newest events of a run's history, by what they are about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trail {
    newest: BTreeMap<(Topic, String), TrailEvent>,
}

impl Trail {
    /// Remembers an event that is newer than all before.
    pub fn note(&mut self, place: &TrailPlace, event: &RunEvent) {
        let name = event.name();
        for (topic, about, noted) in topics(event) {
            let key = (topic, about);
            if self.newest.len() >= TOPICS_MAX && !self.newest.contains_key(&key) {
                continue;
            }
            self.newest.insert(key, TrailEvent { place: place.clone(), event: name, noted });
        }
    }

    pub(super) fn get(&self, topic: Topic, about: &str) -> Option<&TrailEvent> {
        self.newest.get(&(topic, about.to_owned()))
    }
}

/// A gate of a step, as the trail calls it.
pub(super) fn of_gate(step: &StepId, gate: &str) -> String {
    format!("{step}/{gate}")
}

/// A gate of a step in one of its rounds.
pub(super) fn of_gate_in(step: &StepId, gate: &str, round: Round) -> String {
    format!("{step}/{gate}/{round}")
}

/// A round of a step or item, as the trail calls it.
pub(super) fn of_round(path: &StepPath, round: Round) -> String {
    format!("{path}/{round}")
}

/// A timer, as the trail calls it.
pub(super) fn of_timer(timer: &TimerId) -> String {
    format!("{}/{:?}/{}", timer.id.path, timer.kind, timer.name)
}

/// What an event is remembered by.
fn topics(event: &RunEvent) -> Vec<(Topic, String, NotedFact)> {
    let run = |topic| vec![(topic, String::new(), NotedFact::Nothing)];
    let of = |topic, path: &StepPath, noted| vec![(topic, path.to_string(), noted)];
    match event {
        RunEvent::RunStarted(_)
        | RunEvent::RunForked(_)
        | RunEvent::RunAdmitted(_)
        | RunEvent::RunCancelled(_)
        | RunEvent::RunSucceeded(_)
        | RunEvent::RunFailed(_) => run(Topic::Run),
        RunEvent::CancelRequested(event) => {
            vec![(Topic::Cancelled, String::new(), NotedFact::Reason(event.reason.clone()))]
        }
        RunEvent::RunAbandoned(event) => {
            vec![(Topic::Cancelled, String::new(), NotedFact::Reason(event.reason.clone()))]
        }
        RunEvent::RunQueued(_) => run(Topic::Queued),
        RunEvent::RunPaused(_) => run(Topic::Paused),
        RunEvent::RunHalted(event) => vec![(Topic::Halted, event.scope.to_string(), NotedFact::Nothing)],
        RunEvent::BreakpointHit(event) => of(Topic::Breakpoint, &event.path, NotedFact::Nothing),
        RunEvent::BudgetExceeded(event) => {
            vec![(Topic::Budget, event.reading.budget.clone(), NotedFact::Nothing)]
        }
        RunEvent::StepScheduled(event) => {
            let mut both = of(Topic::Round, &event.id.path, NotedFact::Nothing);
            both.extend(of(Topic::Work, &event.id.path, NotedFact::Nothing));
            both
        }
        RunEvent::AttemptStarted(event) => of(Topic::Work, &event.id.path, NotedFact::Nothing),
        RunEvent::ChildStarted(event) => of(Topic::Work, &event.id.path, NotedFact::Nothing),
        RunEvent::FundsRequested(event) => of(Topic::Work, &event.id.path, NotedFact::Nothing),
        RunEvent::AttemptFailed(event) => failed(&event.id, NotedFact::Failure(event.failure.clone())),
        RunEvent::AttemptLost(event) => failed(&event.id, NotedFact::Lost(event.reason.clone())),
        RunEvent::ChildFinished(event) => match &event.failure {
            Some(failure) => failed(&event.id, NotedFact::Failure(failure.clone())),
            None => Vec::new(),
        },
        RunEvent::RetryScheduled(event) => {
            // The attempt that is to begin is another one than that of the events of work before.
            let mut both = of(Topic::Retry, &event.id.path, NotedFact::Nothing);
            both.extend(of(Topic::Work, &event.id.path, NotedFact::Nothing));
            both
        }
        RunEvent::StepSucceeded(event) => of(Topic::Ended, &event.path, NotedFact::Nothing),
        RunEvent::StepSkipped(event) => of(Topic::Ended, &event.path, NotedFact::Skipped(event.reason)),
        RunEvent::StepFailed(event) => {
            of(Topic::Ended, &event.path, NotedFact::Failure(event.failure.clone()))
        }
        RunEvent::StepCancelled(event) => of(Topic::Ended, &event.path, NotedFact::Nothing),
        RunEvent::StepBlocked(event) => of(Topic::Blocked, &event.path, NotedFact::Nothing),
        RunEvent::ApprovalRequested(event) => of(Topic::Asked, &event.id.path, NotedFact::Nothing),
        RunEvent::QuestionAsked(event) => of(Topic::Asked, &event.id.path, NotedFact::Nothing),
        RunEvent::ReworkRequested(event) => {
            let noted = NotedFact::Rework { source: event.source.clone(), used: event.used, max: event.max };
            event.reset.iter().map(|step| (Topic::Rework, step.to_string(), noted.clone())).collect()
        }
        RunEvent::ProbeScheduled(event) => {
            vec![(Topic::Probe, of_gate(&event.id.path.step, &event.gate), NotedFact::Nothing)]
        }
        RunEvent::GateEvaluated(event) => {
            let about = of_gate(&event.id.path.step, &event.gate);
            let noted = NotedFact::Verdict {
                round: event.id.round,
                verdict: event.verdict,
                reason: event.reason.clone(),
                evidence: fields(&event.evidence),
            };
            let mut topics = vec![(Topic::Verdict, about.clone(), noted.clone())];
            if event.verdict == Verdict::Fail {
                let of_round = of_gate_in(&event.id.path.step, &event.gate, event.id.round);
                topics.push((Topic::Failing, of_round, noted.clone()));
                topics.push((Topic::Failing, about, noted));
            }
            topics
        }
        RunEvent::StopRequested(event) => {
            event.ids.iter().map(|id| (Topic::Stop, id.path.to_string(), NotedFact::Nothing)).collect()
        }
        RunEvent::TimerSet(event) => vec![(Topic::Timer, of_timer(&event.timer), NotedFact::Nothing)],
        RunEvent::WorkspacePrepared(_)
        | RunEvent::WorkspaceShared(_)
        | RunEvent::WorkspaceRemoved(_)
        | RunEvent::WorktreeReset(_)
        | RunEvent::ItemsExpanded(_)
        | RunEvent::AttemptSucceeded(_)
        | RunEvent::AttemptAsked(_)
        | RunEvent::ChildStopped(_)
        | RunEvent::ProgressReported(_)
        | RunEvent::SearchSet(_)
        | RunEvent::WorkSpared(_)
        | RunEvent::ProbeFailed(_)
        | RunEvent::VoteCast(_)
        | RunEvent::ApprovalDecided(_)
        | RunEvent::AnswerSaved(_)
        | RunEvent::QuestionAnswered(_)
        | RunEvent::SignalReceived(_)
        | RunEvent::SignalTaken(_)
        | RunEvent::TimerFired(_)
        | RunEvent::RunResumed(_)
        | RunEvent::RunReleased(_)
        | RunEvent::RunUnblocked(_)
        | RunEvent::RecheckRequested(_)
        | RunEvent::StepCancelRequested(_)
        | RunEvent::BreakpointsSet(_)
        | RunEvent::UsageRecorded(_)
        | RunEvent::BudgetsOpened(_)
        | RunEvent::BudgetRaised(_)
        | RunEvent::FundsGranted(_)
        | RunEvent::FundsAnswered(_)
        | RunEvent::BudgetPeriodBegan(_)
        | RunEvent::SpendReported(_)
        | RunEvent::NoticeQueued(_)
        | RunEvent::NoticeSent(_)
        | RunEvent::NoticeFailed(_)
        | RunEvent::ClockRead(_)
        | RunEvent::Advanced(_)
        | RunEvent::NoteAdded(_) => Vec::new(),
    }
}

/// How an attempt ended: the newest of all, and of its round, which later ones do not replace.
fn failed(id: &AttemptId, noted: NotedFact) -> Vec<(Topic, String, NotedFact)> {
    let abouts = [id.path.to_string(), of_round(&id.path, id.round)];
    abouts.map(|about| (Topic::Failed, about, noted.clone())).into()
}

/// The plain fields of evidence, the first few.
fn fields(evidence: &Payload) -> Vec<LookedAt> {
    let Payload::Inline(text) = evidence else { return Vec::new() };
    let value = text.value();
    let plain = |value: &&Value| !value.is_null() && !value.is_object() && !value.is_array();
    let fields = value.as_object().into_iter().flatten().filter(|(_, value)| plain(value));
    let fields = fields.map(|(name, value)| LookedAt { name: name.clone(), value: briefly(value) });
    fields.take(FIELDS_MAX).collect()
}
