//! What people, hooks and late reports do to a run, and how all of them help it to its end.

use everfold_engine::actor::Actor;
use everfold_engine::definition::Vote;
use everfold_engine::driver::{Submission, SubmitError};
use everfold_engine::event::{HaltScope, QuestionTerms, RunEvent, Spent, UnblockDecision};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{InputId, RunId, StepId, StepPath};
use everfold_engine::input::InputKind;
use everfold_engine::json::JsonText;
use everfold_engine::state::{Awaited, PausedBy, RunState};
use everfold_engine::time::Timestamp;
use proptest::sample::Index;
use serde_json::json;

use super::plan::Act;

/// What somebody does, perhaps sensibly.
pub fn act(state: &RunState, history: &[RunEvent], act: &Act, at: Timestamp) -> Option<(Actor, InputKind)> {
    let ada = Actor::User("ada".into());
    let kind = match act.kind % 64 {
        0..3 => InputKind::Cancel { reason: None },
        3..6 => InputKind::Pause { reason: None },
        6..10 => resume(state)?,
        10..12 => InputKind::Note { text: "seen".into() },
        12..15 => InputKind::Breakpoints { steps: vec![path(state, act.luck).step] },
        15..18 => InputKind::CancelStep { path: path(state, act.luck), reason: Some("enough".into()) },
        18..27 => {
            let signal = signal(["go", "stop", "ci"][usize::from(act.luck % 3)], act.luck);
            return Some((if act.luck.is_multiple_of(2) { Actor::Hook("ci".into()) } else { ada }, signal));
        }
        27..30 => recheck(state, act),
        30..37 => return late(history, act, at).map(|kind| (Actor::Engine, kind)),
        _answers => {
            let kind = answer(state, act.luck, act.pick)?;
            return Some((Actor::User(["ada", "bob"][usize::from(act.luck % 2)].into()), kind));
        }
    };
    Some((ada, kind))
}

/// A step, or one of its items.
fn path(state: &RunState, luck: u8) -> StepPath {
    let steps: Vec<StepId> = state.steps().map(|(step, _)| step.id.clone()).collect();
    let step = &steps[usize::from(luck) % steps.len()];
    if luck.is_multiple_of(3) { StepPath::item(step, u32::from(luck % 4)) } else { StepPath::step(step) }
}

fn signal(name: &str, luck: u8) -> InputKind {
    let payload = match luck % 4 {
        0 => json!({"ok": true, "round": 1}),
        1 => json!({"ok": false, "text": "x".repeat(2_000)}),
        2 => json!("words"),
        _ => json!(null),
    };
    let delivery = luck.is_multiple_of(5).then(|| format!("d{luck}"));
    InputKind::Signal { name: name.into(), payload: payload.into(), delivery }
}

fn recheck(state: &RunState, act: &Act) -> InputKind {
    let steps: Vec<_> = state.steps().map(|(step, _)| step.id.clone()).collect();
    let policies = match act.luck % 3 {
        0 => [("g0".to_owned(), "evidence != null".to_owned())].into(),
        1 => [("g0".to_owned(), "no such name".to_owned())].into(),
        _ => std::collections::BTreeMap::new(),
    };
    InputKind::Recheck { path: StepPath::step(act.pick.get(&steps)), policies, reason: None }
}

/// A report that comes once more, with another result: the first one is history.
fn late(history: &[RunEvent], act: &Act, at: Timestamp) -> Option<InputKind> {
    let reported: Vec<&RunEvent> = history
        .iter()
        .filter(|event| super::ledger::ended(event).is_some() || matches!(event, RunEvent::GateEvaluated(_)))
        .collect();
    if reported.is_empty() {
        return None;
    }
    let event = *act.pick.get(&reported);
    if let RunEvent::GateEvaluated(judged) = event {
        let evidence = json!({"exit": act.luck % 2, "output": "late"}).into();
        let (id, gate, probe_no) = (judged.id.clone(), judged.gate.clone(), judged.probe_no);
        return Some(InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms: 1 });
    }
    let id = super::ledger::ended(event)?.clone();
    if act.luck.is_multiple_of(4) {
        return Some(InputKind::AttemptStarted { id });
    }
    let result = match act.luck % 2 {
        0 => Ok(json!("late").into()),
        _ => Err(Failure::new(FailureKind::Error, "late")),
    };
    Some(InputKind::AttemptFinished {
        id,
        result,
        commit: None,
        artefacts: Vec::new(),
        ended_at: at,
        told: Default::default(),
        ask: None,
    })
}

/// What lifts the run's own pause.
fn resume(state: &RunState) -> Option<InputKind> {
    let is_own = state.pauses().any(|pause| !matches!(pause.by, PausedBy::Halt(_)));
    is_own.then_some(InputKind::Resume { reason: Some("go on".into()) })
}

fn unblock(luck: u8) -> UnblockDecision {
    match luck % 5 {
        0 => UnblockDecision::Retry,
        1 => UnblockDecision::Recheck,
        2 => UnblockDecision::Proceed,
        3 => UnblockDecision::Skip,
        _ => UnblockDecision::Fail,
    }
}

fn answer(state: &RunState, luck: u8, pick: Index) -> Option<InputKind> {
    let mut awaited = state.awaited();
    awaited.retain(|awaited| !matches!(awaited, Awaited::Timer { .. }));
    if awaited.is_empty() {
        return None;
    }
    Some(match pick.get(&awaited) {
        Awaited::Approval { id, .. } => {
            let vote = match luck % 5 {
                0 => Vote::Reject,
                1 => Vote::Changes,
                _ => Vote::Approve,
            };
            let edited = (luck % 7 == 3).then(|| json!({"n": luck}).into());
            let (comment, roles) = (Some("so".into()), vec![]);
            InputKind::Vote { id: id.clone(), vote, comment, roles, comments: Vec::new(), edited }
        }
        Awaited::Question { id, .. } => {
            let terms = state.asking_unit(id)?.question()?.terms.clone();
            let (id, roles) = (id.clone(), vec![]);
            match luck % 4 {
                0 => InputKind::SaveAnswer { id, answer: json!({"text": "y".repeat(1_500)}).into(), roles },
                1 => InputKind::SaveAnswer { id, answer: json!({"choice": luck}).into(), roles },
                _ => InputKind::Answer { id, answer: fitting(&terms), roles },
            }
        }
        Awaited::Unblock { path, .. } => decide(path, unblock(luck)),
        Awaited::Signal { name, .. } => signal(name, luck),
        Awaited::Resume => resume(state)?,
        // Budgets are lifted by their own inputs.
        Awaited::Budget { .. } | Awaited::Timer { .. } => return None,
    })
}

fn decide(path: &StepPath, decision: UnblockDecision) -> InputKind {
    InputKind::Unblock {
        path: Some(path.clone()),
        decision,
        output: None,
        reason: Some("because".into()),
        policies: Default::default(),
    }
}

/// What brings a run that stands still nearer to its end, and who does it; `turn` picks another voter
/// each time, because a quorum wants several.
pub fn help(state: &RunState, turn: usize) -> Option<Help> {
    let voter = Actor::User(["ada", "bob", "cyd"][turn % 3].into());
    let mut awaited = state.awaited();
    awaited.retain(|awaited| !matches!(awaited, Awaited::Timer { .. }));
    let kind = match awaited.first()? {
        Awaited::Approval { id, .. } => InputKind::Vote {
            id: id.clone(),
            vote: Vote::Approve,
            comment: None,
            roles: vec![],
            comments: Vec::new(),
            edited: None,
        },
        Awaited::Question { id, .. } => {
            let terms = state.asking_unit(id)?.question()?.terms.clone();
            InputKind::Answer { id: id.clone(), answer: fitting(&terms), roles: vec![] }
        }
        Awaited::Unblock { path, .. } => decide(path, UnblockDecision::Fail),
        Awaited::Signal { name, .. } => signal(name, 4),
        Awaited::Resume => match resume(state) {
            Some(kind) => kind,
            None => return state.halts().next().cloned().map(Help::Release),
        },
        Awaited::Budget { budget, .. } => {
            InputKind::RaiseBudget { budget: Some(budget.clone()), add: more_of(state, budget), reason: None }
        }
        Awaited::Timer { .. } => return None,
    };
    Some(Help::Input(voter, kind))
}

/// Much more of everything that a budget limits; by more than that it cannot be raised.
fn more_of(state: &RunState, id: &str) -> Spent {
    let terms = state.budgets(state.last_at()).map(|budget| budget.terms).find(|terms| terms.id == id);
    let more = |limit: Option<u64>| limit.map_or(0, |_| 1_000_000_000);
    terms.map_or_else(Spent::default, |terms| Spent {
        cost_micros: more(terms.cost_micros),
        tokens: more(terms.tokens),
        wall_ms: more(terms.wall_ms),
    })
}

/// See [`help`].
#[allow(clippy::large_enum_variant, reason = "there is one of them at a time")]
pub enum Help {
    Input(Actor, InputKind),
    /// What is paused is more than this run.
    Release(HaltScope),
}

/// An answer that any question of the pipelines takes.
fn fitting(terms: &QuestionTerms) -> JsonText {
    let mut answer = json!({"text": "because"});
    if let Some(option) = terms.options.first() {
        answer["choice"] = json!(option);
    }
    for item in
        terms.items.as_ref().map(JsonText::value).iter().flat_map(|items| items.as_array().expect("there"))
    {
        let option = item["options"].as_array().expect("there").first().cloned();
        answer["items"][item["id"].as_str().expect("there")] = option.unwrap_or(json!("yes"));
    }
    answer.into()
}

/// A submission that is recognised when it is repeated.
pub fn submission(run: RunId, (actor, kind): (Actor, InputKind), about: &str) -> Submission {
    Submission { run, kind, actor, id: Some(InputId::derive(about)), dedup: None }
}

/// Whether repeating a submission may help.
pub fn may_repeat(error: &SubmitError) -> bool {
    matches!(error, SubmitError::Busy | SubmitError::Full | SubmitError::Store(_) | SubmitError::ShuttingDown)
}
