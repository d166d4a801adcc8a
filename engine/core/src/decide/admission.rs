//! Gates before the first step: judged when the run starts, and when it leaves its queue.

use super::begin::{Admission, Beginning};
use super::draft::{Draft, Interrupt, settled};
use super::refusal::Refusal;
use crate::event::{GateEvaluated, ProbeFailed, RunAdmitted, RunFailed};
use crate::policy::EVALUATOR;
use crate::policy::Judgement;
use crate::state::RunState;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{Attempt, AttemptId, Round, StepId, StepPath};
use everfold_base::json::{Hash, JsonText, Value};
use everfold_language::expr::EvalError;
use everfold_language::expr::Loaded;

/// Verdicts of `admit` are recorded under this name, which no step can have.
pub const ADMIT: &str = "$admit";
/// The round of the judging at the start.
pub(super) const AT_START: Round = Round(1);
/// The round of the judging on leaving the queue.
pub(super) const FROM_QUEUE: Round = Round(2);

/// The attempt under which a round of the admission is judged.
#[must_use]
pub fn admission_id(round: Round) -> AttemptId {
    AttemptId { path: StepPath::step(&StepId::new(ADMIT)), round, attempt: Attempt::FIRST }
}

/// The run holds all its slots: it begins, if its gates still let it. They are asked again where it waited.
pub(super) fn admitted(
    draft: &mut Draft<'_>,
    admitted: &RunAdmitted,
) -> Result<Result<(), Interrupt>, Refusal> {
    if !draft.state.is_queued() {
        return Ok(Ok(())); // It began before, or is over.
    }
    // A forked run was admitted in its origin's history; its own history has no judgement yet.
    if admitted.at_once && draft.state.origin().is_none() {
        draft.record(RunAdmitted { admission: Vec::new(), at_once: true });
        return Ok(Ok(()));
    }
    let beginning = match settled(again(draft.state, draft.loaded)) {
        Ok(beginning) => beginning.unwrap_or_else(Err),
        Err(interrupt) => return Ok(Err(interrupt)),
    };
    draft.record(RunAdmitted { at_once: false, ..admitted.clone() });
    if draft.state.facts.outcome.is_none() {
        match &beginning {
            Ok(beginning) => drop(record(draft, &beginning.admission(&admitted.admission), FROM_QUEUE)),
            Err(failure) => draft.record(RunFailed { path: None, failure: failure.clone(), result: None }),
        }
    }
    Ok(Ok(()))
}

/// The run as it was when it started.
fn again(state: &RunState, loaded: &Loaded) -> Result<Result<Beginning, Failure>, EvalError> {
    let (input, config) = (state.input().value(loaded)?, state.config().value(loaded)?);
    let Some(run) = state.run() else {
        return Ok(Err(Failure::new(FailureKind::Error, "the run has not started")));
    };
    let config = if config.is_null() { Value::Object(serde_json::Map::new()) } else { config };
    let new = RunState::new(state.definition().clone());
    Ok(Beginning::new(new, run, state.title(), &input)
        .map(|beginning| beginning.rooted(state.root()).in_folder(state.cwd()))
        .map(|beginning| beginning.with_config(config).with_labels(state.labels()))
        .map_err(|refusal| Failure::new(FailureKind::Validation, refusal.to_string())))
}

/// Judges the recorded evidence of a gate of `admit` again. `None`: the pipeline has no such gate.
pub(super) fn rejudge(
    state: &RunState,
    loaded: &Loaded,
    event: &GateEvaluated,
    evidence: &Value,
    policy: Option<&str>,
) -> Result<Option<Judgement>, EvalError> {
    match again(state, loaded)? {
        Ok(beginning) => beginning.rejudge(&event.gate, evidence, policy.unwrap_or(&event.policy)),
        Err(_never_started) => Ok(None),
    }
}

/// Records what was judged, and the failure that follows; whether the run is admitted.
pub(super) fn record(draft: &mut Draft<'_>, admission: &Admission, round: Round) -> bool {
    let (judged, is_admitted) = match admission {
        Admission::Admitted(judged) => (judged.as_slice(), true),
        Admission::Refused(judged) => (judged.as_slice(), false),
        // Evidence that was not collected is none.
        Admission::Probe(probe) => {
            let message = "its evidence was not collected".to_owned();
            no_evidence(draft, round, &probe.gate, message.clone(), 0);
            let failure = failure(&probe.gate, None, &message);
            draft.record(RunFailed { path: None, failure, result: None });
            return false;
        }
    };
    for one in judged {
        match &one.evidence {
            None => no_evidence(draft, round, &one.gate, one.judgement.reason.clone(), one.took_ms),
            Some(evidence) => {
                let evidence = draft.payload(JsonText::new(evidence));
                let findings = one.judgement.findings.as_ref().map(|findings| draft.payload_of(findings));
                draft.record(GateEvaluated {
                    id: admission_id(round),
                    gate: one.gate.clone(),
                    probe_no: 1,
                    evidence,
                    policy_hash: Hash::of(one.policy.as_bytes()),
                    policy: one.policy.clone(),
                    evaluator: EVALUATOR,
                    verdict: one.judgement.verdict,
                    reason: one.judgement.reason.clone(),
                    findings,
                    took_ms: one.took_ms,
                    code: one.code.clone(),
                    tolerated: false,
                });
            }
        }
    }
    if let (false, Some(last)) = (is_admitted, judged.last()) {
        let failure = failure(&last.gate, last.code.clone(), &last.judgement.reason);
        draft.record(RunFailed { path: None, failure, result: None });
    }
    is_admitted
}

fn no_evidence(draft: &mut Draft<'_>, round: Round, gate: &str, message: String, took_ms: u64) {
    let (id, gate) = (admission_id(round), gate.to_owned());
    draft.record(ProbeFailed { id, gate, probe_no: 1, message, permanent: true, took_ms, broken: false });
}

fn failure(gate: &str, code: Option<String>, reason: &str) -> Failure {
    let mut failure = Failure::new(FailureKind::Gate, format!("not admitted: gate “{gate}”: {reason}"))
        .with_hint("start the run again when the gate lets it");
    failure.code = code;
    failure
}
