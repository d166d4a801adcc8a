//! Steps that wait for a person before they begin.

use crate::event::{BreakpointHit, BreakpointsSet};
use crate::state::RunState;

impl RunState {
    pub(super) fn breakpoints_set(&mut self, _event: &BreakpointsSet) {}

    pub(super) fn breakpoint_hit(&mut self, _event: &BreakpointHit) {}
}
