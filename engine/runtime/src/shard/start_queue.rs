//! The runs of a shard with attempts that are to be planned, in the order in which they take turns.

use everfold_base::id::RunId;
use std::collections::VecDeque;

/// The runs with attempts that are to be planned.
#[derive(Default)]
pub(crate) struct StartQueue {
    pub(crate) runs: VecDeque<RunId>,
}
