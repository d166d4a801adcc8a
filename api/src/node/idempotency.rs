//! The idempotency key of a write, for the store and for the run.

use everfold_engine::id::{InputId, RunId};
use everfold_engine::json::Hash;
use everfold_engine::store::Dedup;

/// What makes a repeated write recognisable.
pub(crate) struct Idempotency {
    /// The key and the body's hash for the store; `None`: the write has no key.
    pub(crate) dedup: Option<Dedup>,
    /// The id of the input to the run: equal for equal keys.
    pub(crate) input: InputId,
}

impl Idempotency {
    /// That of the part of a write to several runs that goes to this one. Each has a key of its own, so that a repeat
    /// gets the first answer of each run.
    pub(crate) fn of_run(&self, run: RunId) -> Self {
        let key = |of: Hash| Hash::of(format!("{of}\n{run}").as_bytes());
        Self {
            dedup: self.dedup.map(|of| Dedup { key: key(of.key), ..of }),
            input: InputId::derive(&format!("{}/{run}", self.input)),
        }
    }
}
