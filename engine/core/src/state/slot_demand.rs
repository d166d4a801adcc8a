//! The slots that a run needs, and whether it has them.

use serde::{Deserialize, Serialize};

use crate::event::WantedSlot;

/// What a run waits for before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queue {
    /// The slots, in the order of the file; it holds them from its admission to its end.
    pub(crate) slots: Vec<WantedSlot>,
    /// It is not admitted yet.
    pub(crate) waits: bool,
}
