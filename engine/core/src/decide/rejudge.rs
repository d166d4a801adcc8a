//! A recorded verdict, decided again: by the policy that gave it, or by another one.

use super::admission;
use super::gate::{self, Case, GAVE_UP};
use super::multi_probe;
use crate::event::GateEvaluated;
use crate::policy::{Judgement, Verdict};
use crate::state::RunState;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_language::expr::EvalError;
use everfold_language::expr::Loaded;

/// Judges a recorded verdict's evidence again, by the recorded policy or by `policy`.
///
/// `state` is the run's state right before the event, `at` the event's time, and `evidence` the value
/// of its `evidence`. The law: without another policy the judgement is the recorded one. `None`: it is
/// the verdict of no gate of a step, or none was judged (polling was over, and its route says `next`)
/// and another policy is asked about.
///
/// # Errors
/// - [`EvalError::Needs`]: values that must be loaded first.
/// - [`EvalError::Failed`]: the policy cannot be read, or gives no verdict on this evidence.
pub fn rejudge(
    state: &RunState,
    loaded: &Loaded,
    at: Timestamp,
    event: &GateEvaluated,
    evidence: &Value,
    policy: Option<&str>,
) -> Result<Option<Judgement>, EvalError> {
    if event.id.path.step.as_str() == admission::ADMIT {
        return admission::rejudge(state, loaded, event, evidence, policy);
    }
    let Some(step) = state.graph.find(&event.id.path.step) else { return Ok(None) };
    let graph = state.graph.clone();
    let Some(gate) = graph.step(step).gates.iter().find(|gate| gate.id == event.gate) else {
        return Ok(None);
    };
    let case = Case { at: step, gate, id: &event.id, probe_no: event.probe_no, now: state.clock_at(at) };
    if event.policy == GAVE_UP {
        return Ok(policy.is_none().then(|| Judgement::new(Verdict::Fail, event.reason.clone())));
    }
    if event.probe_no == 0 {
        // Nothing was probed: it did not apply, whatever its policy.
        let case = Case { probe_no: state.facts.steps[step].judging.probe_no + 1, ..case };
        let scope = gate::scope(state, loaded, case)?;
        let reason = multi_probe::passed_over(gate.when.as_ref(), gate.otherwise.as_ref(), &scope)?;
        return Ok(Some(match reason {
            Some(reason) => Judgement::new(Verdict::Skipped, reason),
            None => Judgement::new(Verdict::Pass, "it applies"),
        }));
    }
    let text = policy.unwrap_or(&event.policy);
    let own = if text.starts_with("default:") { None } else { Some(gate::parse(text)?) };
    let scope = gate::scope(state, loaded, case)?;
    gate::judge_by(own.as_ref(), gate, &scope, evidence)
        .map(|(judgement, _)| Some(judgement))
        .map_err(EvalError::from)
}
