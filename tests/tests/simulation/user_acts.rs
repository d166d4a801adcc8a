//! What people, hooks and late reports do to a run, and how all of them help it to its end.

use everfold_engine::actor::Actor;
use everfold_engine::driver::{Submission, SubmitError};
use everfold_engine::event::{
    AttemptStarted, BreakpointsSet, CancelRequested, HaltScope, NoteAdded, RunEvent, RunPaused, RunResumed,
    Spent, StepCancelRequested,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{InputId, RunId};
use everfold_engine::input::InputKind;
use everfold_engine::json::Payload;
use everfold_engine::state::{Awaited, PausedBy, RunState};
use everfold_engine::time::Timestamp;
use serde_json::json;

use super::plan::ScriptedAct;
use super::user_inputs;

/// What a user does, perhaps sensibly.
pub fn act(
    state: &RunState,
    history: &[RunEvent],
    act: &ScriptedAct,
    at: Timestamp,
) -> Option<(Actor, InputKind)> {
    let ada = Actor::User("ada".into());
    let kind = match act.kind % 64 {
        0..3 => InputKind::Cancel(CancelRequested { reason: None }),
        3..6 => InputKind::Pause(RunPaused { reason: None, interrupt: act.luck % 2 == 1 }),
        6..10 => resume(state)?,
        10..12 => InputKind::Note(NoteAdded { text: "seen".into() }),
        12..15 => {
            InputKind::Breakpoints(BreakpointsSet { steps: vec![user_inputs::path(state, act.luck).step] })
        }
        15..18 => {
            let path = user_inputs::path(state, act.luck);
            InputKind::CancelStep(StepCancelRequested { path, reason: Some("enough".into()) })
        }
        18..27 => {
            let signal = user_inputs::any_signal(act.luck);
            return Some((if act.luck.is_multiple_of(2) { Actor::Hook("ci".into()) } else { ada }, signal));
        }
        27..30 => user_inputs::recheck(state, act.pick, act.luck),
        30..37 => return late(history, act, at).map(|kind| (Actor::Engine, kind)),
        _answers => {
            let kind = answer(state, act, at)?;
            return Some((Actor::User(["ada", "bob"][usize::from(act.luck % 2)].into()), kind));
        }
    };
    Some((ada, kind))
}

/// A report that comes once more, with another result: the first one is history.
fn late(history: &[RunEvent], act: &ScriptedAct, at: Timestamp) -> Option<InputKind> {
    let reported: Vec<&RunEvent> = history
        .iter()
        .filter(|event| {
            super::side_effects::ended(event).is_some() || matches!(event, RunEvent::GateEvaluated(_))
        })
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
    let id = super::side_effects::ended(event)?.clone();
    if act.luck.is_multiple_of(4) {
        return Some(InputKind::AttemptStarted(AttemptStarted { id, began_at: None, holder: None }));
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
        notes: Default::default(),
        ask: None,
    })
}

/// What lifts the run's own pause.
fn resume(state: &RunState) -> Option<InputKind> {
    let is_own = state.pauses().any(|pause| !matches!(pause.by, PausedBy::Halt(_)));
    let prompt = state.has_interrupted().then(|| Payload::Inline(json!("Go on.").into()));
    is_own.then_some(InputKind::Resume(RunResumed { reason: Some("go on".into()), prompt }))
}

fn answer(state: &RunState, act: &ScriptedAct, at: Timestamp) -> Option<InputKind> {
    let mut awaited = state.awaited();
    awaited.retain(|awaited| !matches!(awaited, Awaited::Timer { .. }));
    if awaited.is_empty() {
        return None;
    }
    match act.pick.get(&awaited) {
        Awaited::Resume => resume(state),
        other => user_inputs::answer(state, other, act.luck, at),
    }
}

/// What brings a run that stands still nearer to its end, and who does it.
pub fn help(state: &RunState, turn: usize) -> Option<Help> {
    let mut awaited = state.awaited();
    awaited.retain(|awaited| !matches!(awaited, Awaited::Timer { .. }));
    let (by, kind) = match awaited.first()? {
        Awaited::Resume => match resume(state) {
            Some(kind) => ("ada", kind),
            None => return state.halts().next().cloned().map(Help::Release),
        },
        Awaited::Budget { budget, .. } => {
            let (budget, add) = (Some(budget.clone()), more_of(state, budget));
            ("ada", InputKind::RaiseBudget { budget, add, reason: None })
        }
        other => user_inputs::help(state, other, turn)?,
    };
    Some(Help::Input(Actor::User(by.into()), kind))
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

/// A submission that is recognised when it is repeated.
pub fn submission(run: RunId, (actor, kind): (Actor, InputKind), about: &str) -> Submission {
    Submission { run, kind, actor, id: Some(InputId::derive(about)), dedup: None }
}

/// Whether repeating a submission may help.
pub fn may_repeat(error: &SubmitError) -> bool {
    matches!(error, SubmitError::Busy | SubmitError::Full | SubmitError::Store(_) | SubmitError::ShuttingDown)
}
