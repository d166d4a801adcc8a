//! Gates: what is judged next, what the evidence says, and where a failure leads.

use serde_json::json;

use super::acts_as;
use super::draft::{Draft, Interrupt, settled};
use super::multi_probe::{self, NoVerdict, default_name};
use super::render::render_env;
use super::route::{self, Next, RoutePlace};
use super::scope::{RunScope, failure_value};
use crate::event::{BlockReason, GateEvaluated, ProbeFailed, ProbeScheduled};
use crate::policy::{self, EVALUATOR, Judgement, Verdict};
use crate::state::{GateVerdict, Key, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::AttemptId;
use everfold_base::json::{Hash, JsonText, Value};
use everfold_base::time::Timestamp;
use everfold_language::definition::{Gate, Probe, Step};
use everfold_language::expr::Loaded;
use everfold_language::expr::{EvalError, Expr};

/// The policy of a verdict without a judgement: polling was over, and its route says `next`.
pub(super) const GAVE_UP: &str = "on_timeout: continue";

/// The current gate of a step that is judged.
pub(super) fn current(state: &RunState, at: usize) -> Option<&Gate> {
    state.graph.step(at).gates.get(state.facts.steps[at].judging.gate)
}

/// One judging of a gate: all that its expressions may depend on beside the run's state.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) at: usize,
    pub(super) gate: &'a Gate,
    pub(super) id: &'a AttemptId,
    pub(super) probe_no: u32,
    pub(super) now: Timestamp,
}

/// Judges the current gate of a step, or schedules the probe that it needs.
pub(super) fn judge(draft: &mut Draft<'_>, at: usize) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(at);
    let Some(gate) = step.gates.get(draft.state.facts.steps[at].judging.gate) else { return Ok(()) };
    let id = draft.state.attempt_id(Key::step(at));
    let probe_no = draft.state.facts.steps[at].judging.probe_no + 1;
    let case = Case { at, gate, id: &id, probe_no, now: draft.now() };
    match settled(prepare(draft.state, draft.loaded, case, step))? {
        Ok(PreparedGate::Judged(probe_no, evidence, evaluated)) => {
            record(draft, Case { probe_no, ..case }, JsonText::new(&evidence), 0, evaluated);
        }
        Ok(PreparedGate::Probe(kind, document)) => {
            let task = draft.payload_of(&document);
            draft.record(ProbeScheduled { id, gate: gate.id.clone(), probe_no, kind, task });
        }
        // There is no evidence, and asking again would not help.
        Err(failure) => {
            let (gate, message) = (gate.id.clone(), failure.message);
            let (permanent, broken) = (true, true);
            draft.record(ProbeFailed { id, gate, probe_no, message, permanent, took_ms: 0, broken });
        }
    }
    Ok(())
}

enum PreparedGate {
    Judged(u32, Value, Evaluated),
    Probe(String, Value),
}

fn prepare(
    state: &RunState,
    loaded: &Loaded,
    case: Case<'_>,
    step: &Step,
) -> Result<PreparedGate, EvalError> {
    let gate = case.gate;
    let scope = scope(state, loaded, case)?;
    if let Some((policy, judgement)) = passed_over(gate, &scope)? {
        let evaluated = Evaluated { policy, judgement, tolerated: false, evidence: None };
        return Ok(PreparedGate::Judged(0, Value::Null, evaluated));
    }
    let (kind, spec) = match &gate.probe {
        Probe::Expression(expression) => {
            let evidence = multi_probe::expression(expression, &scope)?;
            let evaluated = evaluate(state, loaded, case, &evidence)?;
            return Ok(PreparedGate::Judged(case.probe_no, evidence, evaluated));
        }
        Probe::Task(task) => (task.kind.clone(), multi_probe::task_spec(task, &scope)?),
        Probe::All(_) | Probe::Any(_) | Probe::Not(_) | Probe::AtLeast { .. } => {
            let (spec, asks) = multi_probe::prepare(&gate.probe, &scope)?;
            if !asks {
                // Nothing but expressions, or nothing that applies: there is no prober to ask.
                let evaluated = evaluate(state, loaded, case, &spec)?;
                let evidence = evaluated.evidence.clone().unwrap_or(spec);
                return Ok(PreparedGate::Judged(case.probe_no, evidence, evaluated));
            }
            (multi_probe::KIND.to_owned(), spec)
        }
    };
    let (env, hidden) = render_env(&step.env, &scope)?;
    let mut document = json!({"spec": spec, "env": env});
    multi_probe::hide(&mut document, &hidden);
    acts_as::note(&mut document, acts_as::of_gate(step, gate, &scope)?);
    if gate.fresh {
        let began = state.facts.steps[case.at].started_at;
        let commit = scope.round_began_at();
        document["fresh"] = json!({"commit": commit, "at": began.unwrap_or(case.now)});
    }
    Ok(PreparedGate::Probe(kind, document))
}

/// Whether the gate does not apply, and why.
fn passed_over(gate: &Gate, scope: &RunScope<'_>) -> Result<Option<(String, Judgement)>, EvalError> {
    let Some(when) = &gate.when else { return Ok(None) };
    let reason = multi_probe::passed_over(Some(when), gate.otherwise.as_ref(), scope)?;
    Ok(reason.map(|reason| (when.source().to_owned(), Judgement::new(Verdict::Skipped, reason))))
}

/// The names of a gate's expressions: those of the step, its output, and how often it was judged.
pub(super) fn scope<'a>(
    state: &'a RunState,
    loaded: &'a Loaded,
    case: Case<'_>,
) -> Result<RunScope<'a>, EvalError> {
    let step = &state.facts.steps[case.at];
    let scope = RunScope::of(state, loaded, Key::step(case.at));
    let previous = match step.judged.get(&case.gate.id) {
        None => Value::Null,
        Some(former) => {
            let evidence = if mentions_gate(step.policies.get(&case.gate.id), case.gate) {
                former.evidence.value(loaded)?
            } else {
                Value::Null
            };
            json!({"round": former.round, "verdict": former.verdict, "evidence": evidence})
        }
    };
    let name = format!("{}/", place_name(state, case.at, case.gate));
    let routes = state.facts.routes.range(name.clone()..).take_while(|(route, _)| route.starts_with(&name));
    let used: u32 = routes.map(|(_, route)| route.used).sum();
    // Of a round that was reset it is no longer known.
    let since = step.judging.since.filter(|_| step.round == case.id.round);
    let elapsed = since.map_or(0, |since| case.now.since(since).as_millis());
    let known = json!({
        "round": case.id.round, "probe_no": case.probe_no, "used": used,
        "elapsed": u64::try_from(elapsed).unwrap_or(u64::MAX), "previous": previous,
    });
    Ok(scope.with("gate", known))
}

/// Whether an expression of the gate looks at `gate`: its former evidence may be large, and is
/// loaded only then.
fn mentions_gate(own: Option<&String>, gate: &Gate) -> bool {
    let looks = |expr: &Expr| expr.references().iter().any(|reference| reference.path() == ["gate"]);
    let routes = gate.on_fail.0.iter().chain(gate.poll.iter().flat_map(|poll| &poll.on_timeout.0));
    own.is_some_and(|own| own.contains("gate"))
        || gate.when.iter().chain(&gate.policy).any(looks)
        || multi_probe::expressions(&gate.probe).into_iter().any(looks)
        || routes.filter_map(|route| route.when.as_ref()).any(looks)
}

pub(super) fn place_name(state: &RunState, at: usize, gate: &Gate) -> String {
    format!("{}/gate:{}", state.graph.step(at).id, gate.id)
}

/// A judgement with the policy that gave it.
pub(super) struct Evaluated {
    pub(super) policy: String,
    pub(super) judgement: Judgement,
    /// It failed, and its route says `next`.
    pub(super) tolerated: bool,
    /// The evidence with what each member says; `None`: as it was given.
    pub(super) evidence: Option<Value>,
}

/// Judges evidence by the gate's policy, and looks whether a failure is tolerated.
pub(super) fn evaluate(
    state: &RunState,
    loaded: &Loaded,
    case: Case<'_>,
    evidence: &Value,
) -> Result<Evaluated, NoVerdict> {
    let own = match state.facts.steps[case.at].policies.get(&case.gate.id) {
        Some(text) if state.current(case.id).is_some() => Some(parse(text)?),
        _pipelines => case.gate.policy.clone(),
    };
    let scope = scope(state, loaded, case)?;
    let (judgement, judged) = judge_by(own.as_ref(), case.gate, &scope, evidence)?;
    let policy = own.map_or_else(|| default_name(&case.gate.probe), |own| own.source().to_owned());
    let tolerated = judgement.verdict == Verdict::Fail && state.current(case.id).is_some() && {
        let failure = failure_of(case.gate, &judgement.reason);
        let scope = scope
            .with("evidence", judged.as_ref().unwrap_or(evidence).clone())
            .with("failure", failure_value(&failure));
        match next(state, &scope, case.at, case.gate, &failure) {
            Ok(next) => matches!(next, Next::Gate),
            Err(needs @ EvalError::Needs(_)) => return Err(needs.into()),
            // The verdict stands. What is wrong with its route is said where the route is taken: there it sees the
            // verdict, too.
            Err(EvalError::Failed { .. }) => false,
        }
    };
    Ok(Evaluated { policy, judgement, tolerated, evidence: judged })
}

/// A policy that is given as a text.
pub(super) fn parse(policy: &str) -> Result<Expr, EvalError> {
    Expr::parse(policy).map_err(|error| EvalError::Failed {
        expression: policy.to_owned(),
        message: error.to_string(),
        code: None,
    })
}

/// Judges evidence by this policy, else by the probe's own. Members are judged first, each by its own.
pub(super) fn judge_by(
    own: Option<&Expr>,
    gate: &Gate,
    scope: &RunScope<'_>,
    evidence: &Value,
) -> Result<(Judgement, Option<Value>), NoVerdict> {
    if gate.fresh
        && let Some(stale) = policy::judge_fresh(evidence)
    {
        return Ok((stale, None));
    }
    let Some((combined, judged)) = multi_probe::judge(&gate.probe, gate.fresh, scope, evidence)? else {
        return Ok((multi_probe::judge_one(own, &gate.probe, scope, evidence)?, None));
    };
    let judgement = match own {
        None => combined,
        Some(own) => multi_probe::judge_one(Some(own), &gate.probe, scope, &judged)?,
    };
    Ok((judgement, Some(judged)))
}

/// Records a verdict on evidence as it was given, or with what its members say.
pub(super) fn record(
    draft: &mut Draft<'_>,
    case: Case<'_>,
    evidence: JsonText,
    took_ms: u64,
    evaluated: Evaluated,
) {
    let Evaluated { policy, judgement, tolerated, evidence: judged } = evaluated;
    let evidence = draft.payload(judged.map_or(evidence, |judged| JsonText::new(&judged)));
    let findings = judgement.findings.as_ref().map(|findings| draft.payload_of(findings));
    draft.record(GateEvaluated {
        id: case.id.clone(),
        gate: case.gate.id.clone(),
        probe_no: case.probe_no,
        evidence,
        policy_hash: Hash::of(policy.as_bytes()),
        policy,
        evaluator: EVALUATOR,
        verdict: judgement.verdict,
        reason: judgement.reason,
        findings,
        took_ms,
        code: case.gate.code.clone(),
        tolerated,
    });
}

fn failure_of(gate: &Gate, reason: &str) -> Failure {
    let mut failure = Failure::new(FailureKind::Gate, format!("gate “{}” failed: {reason}", gate.id));
    failure.code.clone_from(&gate.code);
    failure
}

/// Where a failed gate leads: its own route, else the step's, else the run fails.
fn next(
    state: &RunState,
    scope: &RunScope<'_>,
    at: usize,
    gate: &Gate,
    failure: &Failure,
) -> Result<Next, EvalError> {
    let own = RoutePlace { name: place_name(state, at, gate), routes: &gate.on_fail, by_person: false };
    if let Some(next) = route::choose(state, scope, &own, Some(failure))? {
        return Ok(next);
    }
    let step = state.graph.step(at);
    let of_step =
        RoutePlace { name: format!("{}/on_fail", step.id), routes: &step.on_fail, by_person: false };
    Ok(route::choose(state, scope, &of_step, Some(failure))?.unwrap_or(Next::Fail(None)))
}

/// The newest verdict of a step's current gate.
fn newest<'a>(state: &'a RunState, at: usize, gate: &Gate) -> Option<&'a GateVerdict> {
    state.facts.steps[at].gates.iter().find(|verdict| verdict.gate == gate.id)
}

/// A gate said fail: its route is taken.
pub(super) fn failed(draft: &mut Draft<'_>, at: usize) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let Some(gate) = graph.step(at).gates.get(draft.state.facts.steps[at].judging.gate) else {
        return Ok(());
    };
    let key = Key::step(at);
    let id = draft.state.attempt_id(key);
    let case = Case { at, gate, id: &id, probe_no: 0, now: draft.now() };
    let Some(GateConsequence { failure, next, findings, is_stale }) =
        settle_failed(draft.state, draft.loaded, case)?
    else {
        return Ok(());
    };
    let from = route::From {
        key,
        id,
        gate: Some(gate.id.clone()),
        is_stale,
        by: None,
        failure,
        blocked: BlockReason::Gate { gate: gate.id.clone() },
        findings,
    };
    route::take(draft, next, from)
}

/// What is known of a gate that failed.
struct FailedGate {
    verdict: Verdict,
    failure: Failure,
    evidence: Value,
    /// The findings for a reworked step where the route has none.
    findings: Value,
}

fn seen(
    state: &RunState,
    loaded: &Loaded,
    at: usize,
    gate: &Gate,
) -> Result<Option<(u32, FailedGate)>, Interrupt> {
    let Some(newest) = newest(state, at, gate) else { return Ok(None) };
    let failure = failure_of(gate, &newest.reason);
    let mut evidence = settled(newest.evidence.value(loaded))?.unwrap_or_default();
    // A fork with nothing changed tells the next round what its origin told it.
    policy::forget_place(&mut evidence);
    let own = settled(newest.findings.value(loaded))?.unwrap_or_default();
    let findings =
        if own.is_null() { multi_probe::default_findings(&failure.message, &evidence) } else { own };
    Ok(Some((newest.probe_no, FailedGate { verdict: newest.verdict, failure, evidence, findings })))
}

/// What follows from a gate that failed.
struct GateConsequence {
    failure: Failure,
    next: Next,
    findings: Value,
    /// It wants fresh evidence, and nothing changed.
    is_stale: bool,
}

fn settle_failed(
    state: &RunState,
    loaded: &Loaded,
    case: Case<'_>,
) -> Result<Option<GateConsequence>, Interrupt> {
    let Some((probe_no, seen)) = seen(state, loaded, case.at, case.gate)? else { return Ok(None) };
    let case = Case { probe_no, ..case };
    let FailedGate { failure, evidence, findings, .. } = seen;
    let is_stale = case.gate.fresh && policy::is_stale(&evidence);
    let next = settled(scope(state, loaded, case).and_then(|scope| {
        let scope = scope.with("evidence", evidence).with("failure", failure_value(&failure));
        next(state, &scope, case.at, case.gate, &failure)
    }))?;
    Ok(Some(match next {
        Ok(next) => GateConsequence { failure, next, findings, is_stale },
        Err(broken) => {
            // Where it leads is unknown: a person decides.
            let message = format!("{}; its route cannot be followed: {}", failure.message, broken.message);
            GateConsequence {
                failure: Failure { message, ..failure },
                next: Next::Block(None),
                findings,
                is_stale,
            }
        }
    }))
}

/// The findings for the step that a failed gate sends back to: those of its route to that step, else those of
/// the verdict. A gate without a verdict: `None`.
pub(super) fn findings_for(
    state: &RunState,
    loaded: &Loaded,
    case: Case<'_>,
    target: usize,
) -> Result<Option<Value>, Interrupt> {
    let Some((probe_no, seen)) = seen(state, loaded, case.at, case.gate)? else { return Ok(None) };
    if seen.verdict != Verdict::Fail {
        return Ok(None);
    }
    let case = Case { probe_no, ..case };
    let own = &case.gate.on_fail;
    let routes = if own.is_empty() { &state.graph.step(case.at).on_fail } else { own };
    let said = settled(scope(state, loaded, case).and_then(|scope| {
        let scope = scope.with("evidence", seen.evidence).with("failure", failure_value(&seen.failure));
        route::findings_for(state, &scope, routes, target)
    }))?;
    Ok(Some(said.ok().flatten().unwrap_or(seen.findings)))
}
