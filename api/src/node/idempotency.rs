//! What makes a repeated write recognisable.

use everfold_engine::id::InputId;
use everfold_engine::store::Dedup;

/// What makes a repeated write recognisable.
pub(crate) struct Idempotency {
    /// For the store.
    pub(crate) dedup: Option<Dedup>,
    /// For the run: equal for equal keys.
    pub(crate) input: InputId,
}
