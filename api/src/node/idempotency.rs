//! The idempotency key of a write, for the store and for the run.

use everfold_engine::id::InputId;
use everfold_engine::store::Dedup;

/// What makes a repeated write recognisable.
pub(crate) struct Idempotency {
    /// The key and the body's hash for the store; `None`: the write has no key.
    pub(crate) dedup: Option<Dedup>,
    /// The id of the input to the run: equal for equal keys.
    pub(crate) input: InputId,
}
