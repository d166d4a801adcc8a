//! The people of a case: who decides what, and when; and the signals that come.
//!
//! Law: a decision goes to the engine as a person's would, with its actor and roles, and may be refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use everfold_engine::actor::Actor;
use everfold_engine::definition::case::{
    CaseDecision, CaseDecisionKind, CaseSignal, CaseStubs, PipelineCase, StepStubs, StubResult, StubTurns,
};
use everfold_engine::driver::{Engine, Submission, SubmitError};
use everfold_engine::event::{QuestionAnswered, RunEvent, SignalReceived, VoteCast};
use everfold_engine::id::{AttemptId, RunId, StepId, StepPath};
use everfold_engine::input::InputKind;
use everfold_engine::json::{JsonText, Payload, Value};
use everfold_engine::time::Timestamp;

use super::world::{CaseWorld, RunStubs};

/// What a step asks of people.
#[derive(Clone, PartialEq)]
pub(super) enum OpenTask {
    Approval(AttemptId),
    Question(AttemptId),
    Blocked,
}

impl OpenTask {
    fn takes(&self, kind: &CaseDecisionKind) -> bool {
        matches!(
            (self, kind),
            (Self::Approval(_), CaseDecisionKind::Vote { .. })
                | (Self::Question(_), CaseDecisionKind::Answer(_))
                | (Self::Blocked, CaseDecisionKind::Unblock { .. })
        )
    }
}

/// The people of a case.
pub(super) struct CasePeople<'a> {
    case: &'a PipelineCase,
    world: Arc<CaseWorld>,
    run: RunId,
    started_at: Timestamp,
    open: BTreeMap<(RunId, StepPath), (OpenTask, Timestamp)>,
    /// Decisions that were given, by run and place in the list.
    given: BTreeSet<(RunId, usize)>,
    /// When the steps of the run first began.
    begun: BTreeMap<StepId, Timestamp>,
    sent: BTreeSet<usize>,
}

/// Something that is due.
pub(super) enum DueAct {
    Decision(RunId, usize, Box<CaseDecision>),
    Signal(usize),
}

impl<'a> CasePeople<'a> {
    pub(super) fn new(
        case: &'a PipelineCase,
        world: &Arc<CaseWorld>,
        run: RunId,
        started_at: Timestamp,
    ) -> Self {
        Self {
            case,
            world: Arc::clone(world),
            run,
            started_at,
            open: BTreeMap::new(),
            given: BTreeSet::new(),
            begun: BTreeMap::new(),
            sent: BTreeSet::new(),
        }
    }

    /// Takes note of what people are asked, and of what is not asked any more.
    pub(super) fn note(&mut self, run: RunId, event: &RunEvent, at: Timestamp) {
        let mut asks = |path: &StepPath, task| {
            self.open.insert((run, path.clone()), (task, at));
        };
        match event {
            RunEvent::ApprovalRequested(event) => asks(&event.id.path, OpenTask::Approval(event.id.clone())),
            RunEvent::QuestionAsked(event) => asks(&event.id.path, OpenTask::Question(event.id.clone())),
            RunEvent::StepBlocked(event) => asks(&event.path, OpenTask::Blocked),
            RunEvent::ApprovalDecided(event) => drop(self.open.remove(&(run, event.id.path.clone()))),
            RunEvent::QuestionAnswered(event) => drop(self.open.remove(&(run, event.id.path.clone()))),
            RunEvent::RunUnblocked(event) => drop(self.open.remove(&(run, event.unblocked.path.clone()))),
            RunEvent::StepSucceeded(event) => drop(self.open.remove(&(run, event.path.clone()))),
            RunEvent::StepSkipped(event) => drop(self.open.remove(&(run, event.path.clone()))),
            RunEvent::StepFailed(event) => drop(self.open.remove(&(run, event.path.clone()))),
            RunEvent::StepCancelled(event) => drop(self.open.remove(&(run, event.path.clone()))),
            RunEvent::ReworkRequested(event) => {
                self.open.retain(|(of, path), _| *of != run || !event.reset.contains(&path.step));
            }
            RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                self.open.retain(|(of, _), _| *of != run);
            }
            RunEvent::StepScheduled(event) if run == self.run => {
                self.begun.entry(event.id.path.step.clone()).or_insert(at);
            }
            _other => {}
        }
    }

    /// What is due next, and when.
    pub(super) async fn next(&self) -> Option<(Timestamp, DueAct)> {
        let mut next: Option<(Timestamp, DueAct)> = None;
        let mut offer = |at: Timestamp, act: DueAct| {
            if next.as_ref().is_none_or(|(earlier, _)| at < *earlier) {
                next = Some((at, act));
            }
        };
        for ((run, path), (task, since)) in &self.open {
            let Some(RunStubs::Own(stubs)) = self.world.stubs_of(*run).await else { continue };
            let mut decisions = stubs.decide.iter().enumerate();
            let mine =
                decisions.find(|(at, decision)| decision.task == *path && !self.given.contains(&(*run, *at)));
            if let Some((at, decision)) = mine
                && task.takes(&decision.kind)
            {
                offer(since.plus(decision.after), DueAct::Decision(*run, at, Box::new(decision.clone())));
            }
        }
        for (at, signal) in self.case.signals.iter().enumerate().filter(|(at, _)| !self.sent.contains(at)) {
            let from = match &signal.at {
                None => Some(self.started_at),
                Some(step) => self.begun.get(step).copied(),
            };
            if let Some(from) = from {
                offer(from.plus(signal.after), DueAct::Signal(at));
            }
        }
        next
    }

    /// Does what is due.
    pub(super) async fn act(&mut self, engine: &Engine, act: DueAct) {
        let (run, kind, actor, refused, what) = match act {
            DueAct::Decision(run, at, decision) => {
                self.given.insert((run, at));
                let Some((task, _)) = self.open.get(&(run, decision.task.clone())) else { return };
                let what = format!("line {}: {} {}", decision.line, decision.kind.verb(), decision.task);
                let kind = input_of(&decision, task);
                (run, kind, Actor::User(decision.by), decision.refused, what)
            }
            DueAct::Signal(at) => {
                self.sent.insert(at);
                let signal: &CaseSignal = &self.case.signals[at];
                let payload = Payload::Inline(JsonText::new(&signal.data));
                let kind =
                    InputKind::Signal(SignalReceived { name: signal.name.clone(), payload, delivery: None });
                let what = format!("line {}: the signal {}", signal.line, signal.name);
                let user = || Actor::User(signal.by.clone());
                let actor = signal.hook.clone().map_or_else(user, Actor::Hook);
                (self.run, kind, actor, signal.refused.clone(), what)
            }
        };
        let submission = Submission { run, kind, actor, id: None, dedup: None };
        let answer = match engine.submit(submission).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Refused(refusal)) => Err((refusal.code(), refusal.to_string())),
            Err(other) => Err(("", other.to_string())),
        };
        match (answer, refused) {
            (Ok(()), None) => {}
            (Err((code, _)), Some(wanted)) if code == wanted => {}
            (Ok(()), Some(wanted)) => {
                self.world.fail(format!("{what} is taken, and not refused as {wanted}"))
            }
            (Err((code, message)), None) => {
                self.world.fail(format!("{what} is refused as {code}: {message}"));
            }
            (Err((code, message)), Some(wanted)) => {
                self.world.fail(format!("{what} is refused as {code}, not as {wanted}: {message}"));
            }
        }
    }

    /// Decisions and signals that never came to be. A decision in a child's stub has come where one of the runs that the
    /// stub answers for was given it: a stub may answer for a child that is tried again.
    pub(super) fn left(&self) -> Vec<String> {
        let runs = self.world.own_stubs();
        let given: Vec<(usize, &CaseDecision)> = runs
            .iter()
            .flat_map(|(run, stubs)| {
                let decisions = stubs.decide.iter().enumerate();
                decisions.filter(|(at, _)| self.given.contains(&(*run, *at)))
            })
            .collect();
        let mut all = Vec::new();
        decisions_of(&self.case.stubs, &mut all);
        let decisions = all.into_iter().filter(|decision| !given.contains(decision)).map(|(_, decision)| {
            let (line, verb, task) = (decision.line, decision.kind.verb(), &decision.task);
            format!("line {line}: {verb} {task}: the step did not ask for it")
        });
        let signals = self.case.signals.iter().enumerate().filter(|(at, _)| !self.sent.contains(at));
        let signals = signals.map(|(_, signal)| {
            format!("line {}: the signal {}: its moment did not come", signal.line, signal.name)
        });
        decisions.chain(signals).collect()
    }
}

/// The decisions of stubs, each with its place in its list, and those of every child below that really runs.
fn decisions_of<'c>(stubs: &'c CaseStubs, all: &mut Vec<(usize, &'c CaseDecision)>) {
    all.extend(stubs.decide.iter().enumerate());
    let stubs = stubs.steps.values().flat_map(|stubs| match stubs {
        StepStubs::Attempts(turns) => std::slice::from_ref(turns),
        StepStubs::Items(items) => items,
    });
    let stubs = stubs.flat_map(|turns| match turns {
        StubTurns::Always(stub) => std::slice::from_ref(stub),
        StubTurns::InTurn(stubs) => stubs,
    });
    for stub in stubs {
        if let StubResult::Run(child) = &stub.result {
            decisions_of(child, all);
        }
    }
}

/// What a decision about a task tells the run.
pub(super) fn input_of(decision: &CaseDecision, task: &OpenTask) -> InputKind {
    let inline = |value: &Value| Payload::Inline(JsonText::new(value));
    let id = match task {
        OpenTask::Approval(id) | OpenTask::Question(id) => Some(id.clone()),
        OpenTask::Blocked => None,
    };
    match (&decision.kind, id) {
        (CaseDecisionKind::Vote { vote, comment, value }, Some(id)) => InputKind::Vote(VoteCast {
            id,
            vote: *vote,
            comment: comment.clone(),
            roles: decision.roles.clone(),
            comments: Vec::new(),
            edited: value.as_ref().map(inline),
            seen: None,
        }),
        (CaseDecisionKind::Answer(answer), Some(id)) => {
            InputKind::Answer(QuestionAnswered { id, answer: inline(answer), roles: decision.roles.clone() })
        }
        (CaseDecisionKind::Unblock { decision: unblock, output, reason }, _) => InputKind::Unblock {
            path: Some(decision.task.clone()),
            decision: *unblock,
            output: output.as_ref().map(JsonText::new),
            reason: reason.clone(),
            policies: BTreeMap::new(),
            keeps_items: true,
        },
        // `OpenTask::takes` lets no other pair through.
        (CaseDecisionKind::Vote { .. } | CaseDecisionKind::Answer(_), None) => InputKind::Advance,
    }
}
