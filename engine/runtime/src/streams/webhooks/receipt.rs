//! The answer to a delivery that is durable.

use everfold_base::id::{Position, Version};
use everfold_core::hooks::TriggerOutcome;
use tokio::sync::oneshot;

/// A delivery that is durable.
#[derive(Debug)]
pub struct Receipt {
    /// The version of its event in its source's stream.
    pub delivery: Version,
    /// The number of this handling: 1, and one more for each redelivery.
    pub nth: u32,
    /// The place in the store.
    pub position: Position,
    /// It came before; nothing was recorded.
    pub repeated: bool,
    /// Resolves when it is handled, with what it led to; never where the engine ends before.
    pub outcome: oneshot::Receiver<Vec<TriggerOutcome>>,
}
