//! Signals: who hears them, and what follows.

use super::draft::{Draft, Interrupt};
use super::gate;
use super::refusal::Refusal;
use crate::event::SignalReceived;
use crate::json::JsonText;

/// Every gate that waits for the signal asks at once.
pub(super) fn receive(
    draft: &mut Draft<'_>,
    name: &str,
    payload: &JsonText,
    delivery: Option<&String>,
) -> Result<Result<(), Interrupt>, Refusal> {
    if draft.state.is_ended() {
        return Err(Refusal::Ended(draft.state.status()));
    }
    let payload = draft.payload(payload.clone());
    draft.record(SignalReceived { name: name.to_owned(), payload, delivery: delivery.cloned() });
    let signal = draft.state.version();
    for at in gate::listening(draft.state, name) {
        gate::wake(draft, at, signal);
    }
    Ok(Ok(()))
}
