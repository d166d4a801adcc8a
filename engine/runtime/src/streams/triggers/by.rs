//! Who orders something by hand.

use everfold_base::actor::Actor;
use everfold_store::Dedup;

/// Who orders something, and what makes the order recognisable when it comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// Recognises a repeated order: it gets the answer that it was done.
    pub dedup: Option<Dedup>,
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        Self { actor, dedup: None }
    }
}
