//! The actor of a request, and its idempotency key.

use everfold_base::actor::Actor;
use everfold_store::Dedup;

/// The actor of a request, and what identifies the request when it comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The actor.
    pub actor: Actor,
    /// Recognises a repeated request: it gets its first answer.
    pub dedup: Option<Dedup>,
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        Self { actor, dedup: None }
    }
}
