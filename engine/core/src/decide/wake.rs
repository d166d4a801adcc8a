//! Gates that a signal has ask at once: the `wake` of a gate.

use super::draft::Draft;
use super::gate::current;
use super::offered_signal::OfferedSignal;
use crate::event::{Hearing, SignalTaken, SignalTaker};
use crate::state::{Key, RunState};
use everfold_base::id::Version;
use everfold_language::expr::{EvalError, Loaded};

/// The steps whose current gate this signal wakes now. Costs as much as there are steps that any signal of its name wakes.
/// A condition that fails on the payload does not hold: what comes from outside must not break the run.
pub(super) fn woken(
    state: &RunState,
    loaded: &Loaded,
    offer: &OfferedSignal,
) -> Result<Vec<usize>, EvalError> {
    let mut woken = Vec::new();
    for at in state.graph.woken_by(&offer.name).iter().copied().filter(|at| state.hears(*at)) {
        let wakes = current(state, at).map(|gate| gate.wake.as_slice()).unwrap_or_default();
        for wake in wakes.iter().filter(|wake| wake.signal() == offer.name) {
            let holds = match wake.when() {
                None => Ok(true),
                Some(when) => when.eval_bool(&offer.scope_of_step(state, loaded, at)?),
            };
            match holds {
                Ok(true) => {
                    woken.push(at);
                    break;
                }
                Ok(false) | Err(EvalError::Failed { .. }) => {}
                Err(needs) => return Err(needs),
            }
        }
    }
    Ok(woken)
}

/// The current gate of a step asks at once: it heard the signal that was recorded at that version.
///
/// That is neither evidence nor a poll, and the pause until the next poll begins anew. A gate that is
/// being asked is asked once more unless it passes; one that blocks its step goes on if it passes.
pub(super) fn wake(draft: &mut Draft<'_>, at: usize, signal: Version) {
    let Some(gate) = current(draft.state, at).map(|gate| gate.id.clone()) else { return };
    let id = draft.state.attempt_id(Key::step(at));
    let by = SignalTaker::Gate { id, gate };
    draft.record(SignalTaken { signal, by, how: Hearing::Now, ends: None, reason: None, decision: None });
}
