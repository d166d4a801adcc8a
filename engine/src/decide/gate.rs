//! Gates: what is judged next, and what the evidence says.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::Loaded;
use super::draft::{Draft, Interrupt, settled};
use super::ready::render_texts;
use super::refusal::Refusal;
use super::route::{self, Next, Place};
use super::scope::RunScope;
use crate::definition::{Gate, Poll, Probe, Routes, Setting, Span, Step};
use crate::event::{
    BlockReason, GateEvaluated, ProbeFailed, ProbeScheduled, SignalTaken, SignalTaker, TimerId, TimerKind,
    TimerSet,
};
use crate::expr::EvalError;
use crate::failure::{Failure, FailureKind};
use crate::id::{AttemptId, StepPath, Version};
use crate::json::{Hash, JsonText, Value};
use crate::policy::{self, EVALUATOR, Judgement, Verdict};
use crate::state::{GateVerdict, Key, RunState};

/// How a gate asks again that does not say.
static POLL_DEFAULT: Poll = Poll {
    every: Setting::Fixed(Span(Duration::from_secs(10))),
    max: Some(Setting::Fixed(3)),
    span: None,
    on_timeout: Routes(Vec::new()),
};

/// A poll's numbers, computed.
struct Bounds {
    every: Span,
    max: Option<u32>,
    span: Option<Span>,
}

impl Bounds {
    fn of(poll: &Poll, scope: &RunScope<'_>) -> Result<Self, EvalError> {
        Ok(Self {
            every: poll.every.resolve(scope)?,
            max: poll.max.as_ref().map(|max| max.resolve(scope)).transpose()?,
            span: poll.span.as_ref().map(|span| span.resolve(scope)).transpose()?,
        })
    }
}

/// Findings are cut here: they go into a prompt.
const FINDINGS_CHARS_MAX: usize = 16 * 1024;

/// The current gate of a step that is judged.
pub(super) fn current(state: &RunState, at: usize) -> Option<&Gate> {
    state.graph.step(at).gates.get(state.facts.steps[at].judging.gate)
}

/// The steps whose current gate hears a signal of this name now. Costs as much as there are steps
/// that ever hear it.
pub(super) fn listening(state: &RunState, name: &str) -> Vec<usize> {
    let hears = |at: &usize| {
        let names = current(state, *at).map(|gate| gate.wake.as_slice()).unwrap_or_default();
        names.iter().any(|known| known == name) && state.hears(*at)
    };
    state.graph.woken_by(name).iter().copied().filter(hears).collect()
}

/// The current gate of a step asks at once: it heard the signal that was recorded at that version.
///
/// That is neither evidence nor a poll, and the pause until the next poll begins anew. A gate that is
/// being asked is asked once more unless it passes; one that blocks its step goes on if it passes.
pub(super) fn wake(draft: &mut Draft<'_>, at: usize, signal: Version) {
    let Some(gate) = current(draft.state, at).map(|gate| gate.id.clone()) else { return };
    let id = draft.state.attempt_id(Key::step(at));
    draft.record(SignalTaken { signal, by: SignalTaker::Gate { id, gate } });
}

/// Judges the current gate of a step, or schedules the probe that it needs.
pub(super) fn judge(draft: &mut Draft<'_>, at: usize) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(at);
    let Some(gate) = step.gates.get(draft.state.facts.steps[at].judging.gate) else { return Ok(()) };
    let id = draft.state.attempt_id(Key::step(at));
    let probe_no = draft.state.facts.steps[at].judging.probe_no + 1;
    match settled(prepare(draft.state, draft.loaded, at, step, gate, probe_no))? {
        Ok(Prepared::Judged(probe_no, evidence, evaluated)) => {
            record(draft, gate, id, probe_no, JsonText::new(&evidence), 0, evaluated);
        }
        Ok(Prepared::Probe(kind, document)) => {
            let task = draft.payload_of(&document);
            draft.record(ProbeScheduled { id, gate: gate.id.clone(), probe_no, kind, task });
        }
        // There is no evidence, and asking again would not help.
        Err(failure) => {
            let (gate, message) = (gate.id.clone(), failure.message);
            draft.record(ProbeFailed { id, gate, probe_no, message, permanent: true, took_ms: 0 });
        }
    }
    Ok(())
}

/// All gates of a step are judged again on the same artefacts.
pub(super) fn recheck(
    _draft: &mut Draft<'_>,
    path: &StepPath,
    _policies: &BTreeMap<String, String>,
    _reason: Option<&String>,
) -> Result<(), Refusal> {
    Err(Refusal::NotBlocked(path.clone()))
}

enum Prepared {
    Judged(u32, Value, Evaluated),
    Probe(String, Value),
}

fn prepare(
    state: &RunState,
    loaded: &Loaded,
    at: usize,
    step: &Step,
    gate: &Gate,
    probe_no: u32,
) -> Result<Prepared, EvalError> {
    let scope = scope(state, loaded, at, gate, probe_no)?;
    if let Some(when) = &gate.when
        && !when.eval_bool(&scope)?
    {
        let reason = match &gate.otherwise {
            None => format!("does not apply: `{}` is false", when.source()),
            Some(otherwise) => otherwise.render_text(&scope)?,
        };
        let judgement = Judgement::new(Verdict::Skipped, reason);
        let evaluated = Evaluated { policy: when.source().to_owned(), judgement, tolerated: false };
        return Ok(Prepared::Judged(0, Value::Null, evaluated));
    }
    match &gate.probe {
        Probe::Expression(expression) => {
            let value = expression.eval(&scope)?;
            let evidence = json!({"value": value, "source": {"expression": expression.source()}});
            let evaluated = evaluate(state, loaded, at, gate, probe_no, &evidence)?;
            Ok(Prepared::Judged(probe_no, evidence, evaluated))
        }
        Probe::All(_) | Probe::Any(_) | Probe::Not(_) | Probe::AtLeast { .. } => Err(not_yet(gate)),
        Probe::Task(task) => {
            let document =
                json!({"spec": task.spec.render(&scope)?, "env": render_texts(&step.env, &scope)?});
            Ok(Prepared::Probe(task.kind.clone(), document))
        }
    }
}

/// The names of a gate's expressions: those of the step, its output, and how often it was judged.
fn scope<'a>(
    state: &'a RunState,
    loaded: &'a Loaded,
    at: usize,
    gate: &Gate,
    probe_no: u32,
) -> Result<RunScope<'a>, EvalError> {
    let step = &state.facts.steps[at];
    let scope = RunScope::of(state, loaded, Key::step(at));
    let previous = match step.gates.iter().find(|verdict| verdict.gate == gate.id) {
        None => Value::Null,
        Some(former) => json!({
            "round": step.round, "verdict": former.verdict, "evidence": former.evidence.value(loaded)?,
        }),
    };
    let name = place_name(state, at, gate);
    let used =
        state.facts.routes.iter().filter(|(route, _)| route.starts_with(&name)).map(|(_, route)| route.used);
    let elapsed = step.judging.since.map_or(0, |since| state.last_at().since(since).as_millis());
    let known = json!({
        "round": step.round, "probe_no": probe_no, "used": used.sum::<u32>(),
        "elapsed": u64::try_from(elapsed).unwrap_or(u64::MAX), "previous": previous,
    });
    Ok(scope.with("output", step.output.value(loaded).unwrap_or(Value::Null)).with("gate", known))
}

fn place_name(state: &RunState, at: usize, gate: &Gate) -> String {
    format!("{}/gate:{}", state.graph.step(at).id, gate.id)
}

/// A judgement with the policy that gave it.
pub(super) struct Evaluated {
    policy: String,
    judgement: Judgement,
    /// It failed, and its route says `continue`.
    tolerated: bool,
}

/// Judges evidence by the gate's policy, and looks whether a failure is tolerated.
pub(super) fn evaluate(
    state: &RunState,
    loaded: &Loaded,
    at: usize,
    gate: &Gate,
    probe_no: u32,
    evidence: &Value,
) -> Result<Evaluated, EvalError> {
    let scope = scope(state, loaded, at, gate, probe_no)?.with("evidence", evidence.clone());
    let (policy, judgement) = match (&gate.policy, &gate.probe) {
        (Some(policy), _) => {
            let value = policy.eval(&scope)?;
            (policy.source().to_owned(), read_policy(policy.source(), &value)?)
        }
        (None, Probe::Expression(expression)) => {
            let value = evidence.get("value").cloned().unwrap_or_default();
            let mut judgement = read_policy(expression.source(), &value)?;
            if value.is_boolean() {
                judgement.reason = format!("`{}` is {value}", expression.source());
            }
            ("default:expression".to_owned(), judgement)
        }
        (None, Probe::All(_) | Probe::Any(_) | Probe::Not(_) | Probe::AtLeast { .. }) => {
            return Err(not_yet(gate));
        }
        (None, Probe::Task(task)) => {
            let judgement = policy::judge_default(&task.kind, evidence).ok_or_else(|| EvalError::Failed {
                expression: format!("default:{}", task.kind),
                message: "this kind of probe has no default policy; give the gate a `policy`".into(),
            })?;
            (format!("default:{}", task.kind), judgement)
        }
    };
    let tolerated = judgement.verdict == Verdict::Fail && {
        let failure = failure_of(gate, &judgement.reason);
        matches!(next(state, &scope, at, gate, &failure)?, Next::Continue)
    };
    Ok(Evaluated { policy, judgement, tolerated })
}

fn not_yet(gate: &Gate) -> EvalError {
    EvalError::Failed {
        expression: gate.id.clone(),
        message: "gates of several probes do not work yet".into(),
    }
}

fn read_policy(source: &str, value: &Value) -> Result<Judgement, EvalError> {
    let mut judgement = policy::judge_value(value)
        .map_err(|message| EvalError::Failed { expression: source.to_owned(), message })?;
    if value.is_boolean() {
        judgement.reason = format!("`{source}` is {value}");
    }
    Ok(judgement)
}

pub(super) fn record(
    draft: &mut Draft<'_>,
    gate: &Gate,
    id: AttemptId,
    probe_no: u32,
    evidence: JsonText,
    took_ms: u64,
    evaluated: Evaluated,
) {
    let Evaluated { policy, judgement, tolerated } = evaluated;
    let evidence = draft.payload(evidence);
    let findings = judgement.findings.as_ref().map(|findings| draft.payload_of(findings));
    draft.record(GateEvaluated {
        id,
        gate: gate.id.clone(),
        probe_no,
        evidence,
        policy_hash: Hash::of(policy.as_bytes()),
        policy,
        evaluator: EVALUATOR,
        verdict: judgement.verdict,
        reason: judgement.reason,
        findings,
        took_ms,
        code: gate.code.clone(),
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
    let own = Place { name: place_name(state, at, gate), routes: &gate.on_fail, by_person: false };
    if let Some(next) = route::choose(state, scope, &own, Some(failure))? {
        return Ok(next);
    }
    let step = state.graph.step(at);
    let of_step = Place { name: format!("{}/on_fail", step.id), routes: &step.on_fail, by_person: false };
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
    let Some((failure, next, findings)) = settle_failed(draft.state, draft.loaded, at, gate)? else {
        return Ok(());
    };
    let key = Key::step(at);
    let from = route::From {
        key,
        id: draft.state.attempt_id(key),
        gate: Some(gate.id.clone()),
        by: None,
        failure,
        blocked: BlockReason::Gate { gate: gate.id.clone() },
        findings,
    };
    route::take(draft, next, from)
}

fn settle_failed(
    state: &RunState,
    loaded: &Loaded,
    at: usize,
    gate: &Gate,
) -> Result<Option<(Failure, Next, Value)>, Interrupt> {
    let Some(verdict) = newest(state, at, gate) else { return Ok(None) };
    let failure = failure_of(gate, &verdict.reason);
    let evidence = settled(verdict.evidence.value(loaded))?.unwrap_or_default();
    let own_findings = settled(verdict.findings.value(loaded))?.unwrap_or_default();
    let findings = if own_findings.is_null() { default_findings(&failure, &evidence) } else { own_findings };
    let next = settled(scope(state, loaded, at, gate, verdict.probe_no).and_then(|scope| {
        let scope = scope.with("evidence", evidence).with("failure", super::scope::failure_value(&failure));
        next(state, &scope, at, gate, &failure)
    }))?;
    Ok(Some(match next {
        Ok(next) => (failure, next, findings),
        Err(broken) => (broken, Next::Fail(None), findings),
    }))
}

/// Reason and evidence as text: what the next round is told.
fn default_findings(failure: &Failure, evidence: &Value) -> Value {
    let shown = match evidence.get("output").and_then(Value::as_str) {
        Some(output) => output.trim_end().to_owned(),
        None => {
            let mut evidence = evidence.clone();
            if let Some(fields) = evidence.as_object_mut() {
                fields.remove("source");
            }
            crate::json::canonical(&evidence)
        }
    };
    let skipped = shown.chars().count().saturating_sub(FINDINGS_CHARS_MAX);
    let tail: String = shown.chars().skip(skipped).collect();
    json!(format!("{}\n{tail}", failure.message))
}

/// A gate has no verdict yet: it asks again later, or it is over.
pub(super) fn open(draft: &mut Draft<'_>, at: usize, permanent: bool) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let Some(gate) = graph.step(at).gates.get(draft.state.facts.steps[at].judging.gate) else {
        return Ok(());
    };
    let poll = gate.poll.as_ref().unwrap_or(&POLL_DEFAULT);
    let judging = &draft.state.facts.steps[at].judging;
    let key = Key::step(at);
    let id = draft.state.attempt_id(key);
    let now = draft.meta.at;
    let bounds = scope(draft.state, draft.loaded, at, gate, judging.probe_no)
        .and_then(|scope| Bounds::of(poll, &scope));
    let bounds = settled(bounds)?;
    if let Ok(bounds) = &bounds {
        let next_at = now.plus(bounds.every.0);
        let has_probes = bounds.max.is_none_or(|max| judging.polls < max);
        let has_time =
            bounds.span.is_none_or(|span| judging.since.is_none_or(|since| next_at <= since.plus(span.0)));
        let is_bounded = bounds.max.is_some() || bounds.span.is_some() || judging.polls < 3;
        if !permanent && has_probes && has_time && is_bounded {
            let timer = TimerId { id, kind: TimerKind::Poll, name: gate.id.clone() };
            draft.record(TimerSet { timer, at: next_at });
            return Ok(());
        }
    }
    let probes = judging.polls;
    let many = if probes == 1 { "" } else { "s" };
    let message = match bounds {
        Ok(_) => format!("gate “{}” has no verdict after {probes} probe{many}", gate.id),
        Err(broken) => format!("gate “{}” cannot ask again: {}", gate.id, broken.message),
    };
    let mut failure = Failure::new(FailureKind::Gate, message)
        .with_hint("look at what the last probe said in the run's events; unblock with recheck, retry, proceed, skip or fail");
    failure.code.clone_from(&gate.code);
    let next = {
        let place = Place {
            name: format!("{}/timeout", place_name(draft.state, at, gate)),
            routes: &poll.on_timeout,
            by_person: false,
        };
        let chosen = scope(draft.state, draft.loaded, at, gate, judging.probe_no).and_then(|scope| {
            let scope = scope.with("failure", super::scope::failure_value(&failure));
            route::choose(draft.state, &scope, &place, Some(&failure))
        });
        settled(chosen)?.ok().flatten().unwrap_or(Next::Block(None))
    };
    if matches!(next, Next::Continue) {
        let judgement = Judgement::new(Verdict::Fail, failure.message);
        let evaluated = Evaluated { policy: "on_timeout: continue".into(), judgement, tolerated: true };
        record(draft, gate, id, probes, JsonText::null(), 0, evaluated);
        return Ok(());
    }
    let blocked = BlockReason::NoEvidence { gate: gate.id.clone() };
    let findings = route::failure_findings(&failure);
    route::take(
        draft,
        next,
        route::From { key, id, gate: Some(gate.id.clone()), by: None, failure, blocked, findings },
    )
}
