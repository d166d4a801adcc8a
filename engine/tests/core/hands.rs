//! What people and what comes from outside may do to a run: by a number of luck, perhaps sensibly.
//!
//! The laws of the core and the simulation of the driver do the same things.

use everfold_engine::definition::Vote;
use everfold_engine::event::{Measure, QuestionTerms, Spent, UnblockDecision};
use everfold_engine::id::{StepId, StepPath};
use everfold_engine::input::InputKind;
use everfold_engine::json::JsonText;
use everfold_engine::state::{Awaited, RunState};
use everfold_engine::time::Timestamp;
use proptest::sample::Index;
use serde_json::json;

/// A step, or one of its items.
pub fn path(state: &RunState, luck: u8) -> StepPath {
    let steps: Vec<StepId> = state.steps().map(|(step, _)| step.id.clone()).collect();
    let step = &steps[usize::from(luck) % steps.len()];
    if luck.is_multiple_of(3) { StepPath::item(step, u32::from(luck % 4)) } else { StepPath::step(step) }
}

/// A signal, small or large, sometimes with a delivery's id.
pub fn signal(name: &str, luck: u8) -> InputKind {
    let payload = match luck % 4 {
        0 => json!({"ok": true, "round": 1}),
        1 => json!({"ok": false, "text": "x".repeat(2_000)}),
        2 => json!("words"),
        _ => json!(null),
    };
    let delivery = luck.is_multiple_of(5).then(|| format!("d{luck}"));
    InputKind::Signal { name: name.into(), payload: payload.into(), delivery }
}

/// One of the signals that the pipelines know.
pub fn any_signal(luck: u8) -> InputKind {
    signal(["go", "stop", "ci"][usize::from(luck % 3)], luck)
}

/// An operator has a step's gates judged again.
pub fn recheck(state: &RunState, pick: Index, luck: u8) -> InputKind {
    let steps: Vec<_> = state.steps().map(|(step, _)| step.id.clone()).collect();
    let policies = match luck % 3 {
        0 => [("g0".to_owned(), "evidence != null".to_owned())].into(),
        1 => [("g0".to_owned(), "no such name".to_owned())].into(),
        _ => std::collections::BTreeMap::new(),
    };
    InputKind::Recheck { path: StepPath::step(pick.get(&steps)), policies, reason: None }
}

/// A decision on what is blocked.
pub fn decide(path: &StepPath, decision: UnblockDecision) -> InputKind {
    InputKind::Unblock {
        path: Some(path.clone()),
        decision,
        output: None,
        reason: Some("because".into()),
        policies: Default::default(),
    }
}

/// What one of those who are awaited might do; who may resume is the caller's to know.
pub fn answer(state: &RunState, awaited: &Awaited, luck: u8, now: Timestamp) -> Option<InputKind> {
    Some(match awaited {
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
            let terms = &state.asking_unit(id)?.question()?.terms;
            let (id, roles) = (id.clone(), vec![]);
            let items = json!({"choice": luck, "items": {"1": 1}});
            match luck % 4 {
                0 => InputKind::SaveAnswer { id, answer: json!({"text": "y".repeat(1_500)}).into(), roles },
                1 => InputKind::SaveAnswer { id, answer: items.into(), roles },
                _ => InputKind::Answer { id, answer: fitting(terms), roles },
            }
        }
        Awaited::Unblock { path, .. } => {
            let decision = match luck % 5 {
                0 => UnblockDecision::Retry,
                1 => UnblockDecision::Recheck,
                2 => UnblockDecision::Proceed,
                3 => UnblockDecision::Skip,
                _ => UnblockDecision::Fail,
            };
            decide(path, decision)
        }
        Awaited::Signal { name, .. } => signal(name, luck),
        Awaited::Budget { budget, .. } => raise(state, budget, now)?,
        Awaited::Resume | Awaited::Timer { .. } => return None,
    })
}

/// What brings a run that awaits this nearer to its end; `turn` picks another voter each time, because a
/// quorum wants several.
pub fn help(state: &RunState, awaited: &Awaited, turn: usize) -> Option<(&'static str, InputKind)> {
    let voter = ["ada", "bob", "cyd"][turn % 3];
    let kind = match awaited {
        Awaited::Approval { id, .. } => InputKind::Vote {
            id: id.clone(),
            vote: Vote::Approve,
            comment: None,
            roles: vec![],
            comments: Vec::new(),
            edited: None,
        },
        Awaited::Question { id, .. } => {
            let terms = &state.asking_unit(id)?.question()?.terms;
            InputKind::Answer { id: id.clone(), answer: fitting(terms), roles: vec![] }
        }
        Awaited::Unblock { path, .. } => decide(path, UnblockDecision::Fail),
        Awaited::Signal { name, .. } => signal(name, 4),
        Awaited::Budget { .. } | Awaited::Resume | Awaited::Timer { .. } => return None,
    };
    Some((voter, kind))
}

/// What gives a budget room again.
pub fn raise(state: &RunState, budget: &str, now: Timestamp) -> Option<InputKind> {
    let held = state.budgets(now).find(|view| view.terms.id == budget)?;
    let add = match held.over? {
        Measure::Cost => Spent { cost_micros: 2_000_000, ..Spent::default() },
        Measure::Tokens => Spent { tokens: 1_000, ..Spent::default() },
        Measure::Wall => Spent { wall_ms: 60_000, ..Spent::default() },
    };
    Some(InputKind::RaiseBudget { budget: Some(budget.to_owned()), add, reason: Some("go on".into()) })
}

/// An answer that any question of the pipelines takes.
pub fn fitting(terms: &QuestionTerms) -> JsonText {
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
