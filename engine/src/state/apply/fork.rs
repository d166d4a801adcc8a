//! A copied history becomes another run's own.

use crate::event::RunForked;
use crate::state::EventMeta;
use crate::state::RunState;

impl RunState {
    pub(super) fn run_forked(&mut self, _event: &RunForked, _meta: &EventMeta) {
        self.forget_notices();
    }
}
