//! What callers hand to the engine, and what it answers.

use everfold_base::actor::Actor;
use everfold_base::id::{InputId, Position, RunId, Version};
use everfold_core::input::{InputKind, StartOptions};
use everfold_language::definition::Definition;
use everfold_ports::BroughtCredentials;
use everfold_store::{Appended, Dedup};
use std::sync::Arc;

/// A run to start: what its history records of the request, and what only the runtime needs.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The run's id where it is derived; else one is drawn.
    pub run: Option<RunId>,
    /// What it is pinned to.
    pub definition: Arc<Definition>,
    /// What is recorded of it.
    pub options: StartOptions,
    /// The actor of the request.
    pub actor: Actor,
    /// Recognises a repeated start.
    pub dedup: Option<Dedup>,
    /// What the request brings for the run, which is in no event.
    pub credentials: BroughtCredentials,
    /// The caller tries again later: a start that its `admit` gates cannot judge yet is refused, and not recorded as failed.
    pub may_wait: bool,
}

impl StartRequest {
    /// A start with a drawn id; the same request again starts another run.
    #[must_use]
    pub fn new(definition: Arc<Definition>, options: StartOptions, actor: Actor) -> Self {
        Self {
            run: None,
            definition,
            options,
            actor,
            dedup: None,
            credentials: BroughtCredentials::default(),
            may_wait: false,
        }
    }
}

/// A run that is durably started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run: RunId,
    /// Its version after the start.
    pub version: Version,
    /// The place of that event.
    pub position: Position,
    /// It had been started before by the same request.
    pub repeated: bool,
    /// It holds the key that was asked for, and is the answer; nothing was started.
    pub held: bool,
}

/// An input of the outside.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The run.
    pub run: RunId,
    /// What happens to it.
    pub kind: InputKind,
    /// The actor that causes it.
    pub actor: Actor,
    /// Makes a repeated one recognisable; `None`: derived from the idempotency key, else drawn.
    pub id: Option<InputId>,
    /// Recognises a repeated request.
    pub dedup: Option<Dedup>,
}

/// An input that was taken, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The version that the answer rests on.
    pub version: Version,
    /// The place of that event.
    pub position: Position,
    /// Something was recorded; false for what is history already.
    pub changed: bool,
    /// It was recorded before, under the same idempotency key: this is the first answer once more.
    pub repeated: bool,
}

impl Accepted {
    /// The first answer to a write, once more.
    pub(crate) fn again(first: &Appended) -> Self {
        let (version, position) = (first.last_version(), first.last_position());
        Self { version, position, changed: true, repeated: true }
    }
}
