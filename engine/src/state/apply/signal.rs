//! Signals that came, and who took them.

use crate::event::{SignalReceived, SignalTaken, SignalTaker};
use crate::state::EventMeta;
use crate::state::RunState;
use crate::time::Timestamp;

impl RunState {
    pub(super) fn signal_received(&mut self, _event: &SignalReceived, _meta: &EventMeta) {}

    pub(super) fn signal_taken(&mut self, event: &SignalTaken, _at: Timestamp) {
        match &event.by {
            SignalTaker::Gate { id, gate } => self.gate_woken(id, gate),
            SignalTaker::Wait(_) | SignalTaker::Step(_) | SignalTaker::Run => {}
        }
    }
}
