//! What `run.NAME` gives in expressions.
//!
//! Law: each follows from what is recorded, so the same history gives the same value for ever. Each is computed when it
//! is asked for: what costs as much as the run has steps costs it only there.

use serde_json::json;

use super::failure_value::failure_value;
use crate::event::{BlockReason, TimerId};
use crate::state::{
    Awaited, Phase, RouteUses, RunState, RunStatus, StepState, StepUsage, VerdictNote, Warning,
};
use everfold_base::id::{StepId, StepPath};
use everfold_base::json::Value;
use everfold_language::definition::{FinishStatus, Step};

/// The run as one value, as processes get it: the names that say which run it is, and how it stands. No later name is
/// among them: what pipelines made of the whole value is decided as it was.
pub(super) fn whole(state: &RunState) -> Value {
    const NAMES: [&str; 11] = [
        "id",
        "short_id",
        "root",
        "title",
        "pipeline",
        "labels",
        "status",
        "outcome",
        "failure",
        "origin",
        "started_at",
    ];
    NAMES.into_iter().filter_map(|name| Some((name.to_owned(), field(state, name)?))).collect()
}

/// One name of the run.
pub(super) fn field(state: &RunState, name: &str) -> Option<Value> {
    let started = state.facts.started.as_ref();
    Some(match name {
        "id" => json!(started.map(|started| started.run.to_string())),
        "short_id" => json!(started.map(|started| started.run.short())),
        "root" => json!(state.root().map(|root| root.short())),
        "title" => json!(started.and_then(|started| started.title.clone())),
        "pipeline" => json!(state.pipeline()),
        "labels" => json!(state.labels()),
        "search" => search(state),
        "status" => json!(status(state)),
        "outcome" => json!(outcome(state).0),
        "failure" => outcome(state).1,
        "origin" => json!(state.origin().map(|origin| json!({
            "run": origin.run, "version": origin.version, "how": origin.how,
        }))),
        "started_at" => json!(started.map(|started| started.at)),
        "cancelled" => cancelled(state),
        "usage" => usage(&state.usage_of_steps()),
        "signals" => json!(state.signal_counts()),
        "steps" => steps(state),
        "routes" => state.route_uses().iter().map(route).collect(),
        "waiting" => waiting(state),
        "gates" => gates(state),
        "top" => json!(state.top().map(|top| top.to_string())),
        "number" => json!(state.number().map(|number| number.number)),
        "warnings" => state.warnings().iter().map(warning).collect(),
        _unknown => return None,
    })
}

/// The run's status as expressions have always seen it: one that is being stopped is a running one, so that former
/// histories are decided as they were.
fn status(state: &RunState) -> RunStatus {
    match state.status() {
        RunStatus::Stopping => RunStatus::Running,
        other => other,
    }
}

/// What was used up, with the cost in US dollars.
pub(super) fn usage(usage: &StepUsage) -> Value {
    json!({
        "cost": usage.cost_micros as f64 / 1_000_000.0,
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.cached_tokens,
    })
}

/// The same with the model.
pub(super) fn usage_of_step(used: &StepUsage) -> Value {
    let mut value = usage(used);
    value["model"] = json!(used.model);
    value
}

/// What the newest round of a step used up, and how long it worked.
fn in_round(state: &RunState, step: &StepId) -> Value {
    let (used, worked) = state.in_round(step);
    let mut value = usage(&used);
    value["worked"] = json!(worked);
    value
}

/// How the run ends, once its steps have ended: its status, and of a failed one the failure with its step.
fn outcome(state: &RunState) -> (Option<&'static str>, Value) {
    let facts = &state.facts;
    let is_certain = facts.outcome.is_some() || (facts.started.is_some() && facts.unended == 0);
    let (status, failure) = match &facts.ended {
        Some(ended) => (ended.status, ended.failure.clone().map(|failure| (failure, ended.path.clone()))),
        None if is_certain && !facts.queue.waits => super::outcome::outcome(state),
        None => return (None, Value::Null),
    };
    let failure = failure.map_or(Value::Null, |(failure, path)| {
        let mut value = failure_value(&failure);
        value["step"] = json!(path.map(|path| path.to_string()));
        value
    });
    let word = match status {
        FinishStatus::Succeeded => RunStatus::Succeeded,
        FinishStatus::Failed => RunStatus::Failed,
        FinishStatus::Cancelled => RunStatus::Cancelled,
    };
    (Some(word.as_str()), failure)
}

/// What the run is found by: every declared attribute, null where it has none.
fn search(state: &RunState) -> Value {
    let declared = state.definition().search.keys().map(|name| (name.clone(), Value::Null));
    declared.chain(state.search().iter().map(|(name, value)| (name.clone(), value.json()))).collect()
}

/// Who had the run cancelled, why and when; null of one that was not.
fn cancelled(state: &RunState) -> Value {
    state.cancelling().map_or(
        Value::Null,
        |cancelling| json!({"by": cancelling.by, "reason": cancelling.reason, "at": cancelling.at}),
    )
}

fn steps(state: &RunState) -> Value {
    let one = |(at, (step, facts)): (usize, (&Step, &StepState))| {
        let failure = facts.failure.as_ref().or(facts.unit.failure.as_ref());
        json!({
            "id": step.id, "stage": step.stage, "status": state.status_at(at),
            "round": facts.round, "rounds": facts.rounds_run, "attempts": facts.unit.attempt,
            "started_at": facts.started_at, "ended_at": facts.ended_at, "worked": state.worked_seconds(&step.id),
            "tolerated": facts.phase == Phase::Failed { tolerated: true },
            "failure": failure.map(|failure| &failure.message),
            "usage": usage_of_step(&state.usage_of(&step.id)), "in_round": in_round(state, &step.id),
        })
    };
    state.steps().enumerate().map(one).collect()
}

/// What the run waits for, of whom and since when; limits of time that bound something else are left out.
fn waiting(state: &RunState) -> Value {
    state.awaited().iter().filter_map(|awaited| waits(state, awaited)).collect()
}

/// What a reminder is about, how often it came, this time included, and how often it may.
pub(super) fn reminder(state: &RunState, timer: &TimerId) -> Option<Value> {
    let awaited = state.reminds_of(timer)?;
    let (mut value, reminded) = (waits(state, &awaited)?, state.reminded(&awaited)?);
    if let Value::Object(fields) = &mut value {
        fields.remove("reminded");
        fields.insert("count".to_owned(), json!(reminded.count));
        fields.insert("max".to_owned(), json!(reminded.max));
    }
    Some(value)
}

fn waits(state: &RunState, awaited: &Awaited) -> Option<Value> {
    let none: &[String] = &[];
    let since = |path: &StepPath| state.waits_since(path);
    let (kind, path, title, roles, since, until) = match awaited {
        Awaited::Approval { id, roles } => {
            let title = state.asking_unit(id).and_then(|unit| Some(unit.approval()?.title.clone()));
            ("approval", Some(&id.path), title, roles.as_slice(), since(&id.path), state.expires_at(id))
        }
        Awaited::Question { id, roles } => {
            let title = state.asking_unit(id).and_then(|unit| Some(unit.question()?.title.clone()));
            ("question", Some(&id.path), title, roles.as_slice(), since(&id.path), state.expires_at(id))
        }
        Awaited::Unblock { path, reason } => {
            ("unblock", Some(path), Some(blocked_by(reason)), none, state.blocked_since(path), None)
        }
        Awaited::Signal { path, name } => ("signal", Some(path), Some(name.clone()), none, since(path), None),
        Awaited::Resume => {
            let pause = state.pauses().next();
            let reason = pause.and_then(|pause| pause.reason.clone());
            ("resume", None, reason, none, pause.map(|pause| pause.since), None)
        }
        Awaited::Budget { budget, until } => ("budget", None, Some(budget.clone()), none, None, *until),
        Awaited::Timer { is_limit: true, .. } => return None,
        Awaited::Timer { path, at, .. } => ("time", Some(path), None, none, since(path), Some(*at)),
    };
    Some(json!({
        "kind": kind, "step": path.map(ToString::to_string), "title": title, "roles": roles,
        "since": since, "until": until,
        "reminded": state.reminded(awaited).map_or(0, |reminded| reminded.count),
    }))
}

/// Why a step is blocked, in one word, and the gate that is to blame.
fn blocked_by(reason: &BlockReason) -> String {
    let word = match reason {
        BlockReason::Lost => "lost",
        BlockReason::Failed => "failed",
        BlockReason::Gate { .. } => "gate",
        BlockReason::UsedUp { .. } => "used_up",
        BlockReason::NoEvidence { .. } => "no_evidence",
        BlockReason::Rejected => "rejected",
        BlockReason::Held => "held",
        BlockReason::Unchanged { .. } => "unchanged",
        BlockReason::Asked => "asked",
        BlockReason::Signal { name } => return format!("signal {name}"),
        BlockReason::Broken { .. } => "broken",
    };
    reason.gate().map_or_else(|| word.to_owned(), |gate| format!("{word} {gate}"))
}

/// What the gates said, oldest first.
fn gates(state: &RunState) -> Value {
    let one = |note: &VerdictNote| {
        json!({
            "step": note.step, "gate": note.gate, "round": note.round, "verdict": note.verdict,
            "reason": note.reason, "code": note.code, "tolerated": note.tolerated, "at": note.at,
        })
    };
    state.verdicts().map(one).collect()
}

fn route(uses: &RouteUses) -> Value {
    json!({
        "step": uses.step, "place": uses.place, "to": uses.to, "used": uses.used, "max": uses.max,
        "causes": uses.causes,
    })
}

fn warning(warning: &Warning) -> Value {
    json!({
        "step": warning.step, "gate": warning.gate, "kind": warning.failure.kind,
        "code": warning.failure.code, "message": warning.failure.message,
    })
}
