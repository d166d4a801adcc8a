//! What shards are told.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Accepted, QueryError, SubmitError};
use crate::actor::Actor;
use crate::definition::Definition;
use crate::id::{InputId, RunId};
use crate::input::InputKind;
use crate::state::RunState;
use crate::store::Dedup;

/// Where an answer goes.
pub(super) type Answer = oneshot::Sender<Result<Accepted, SubmitError>>;

/// A look at a state.
pub(super) type Look = Box<dyn FnOnce(Result<&RunState, QueryError>) + Send>;

/// An input on its way to its run.
pub(super) struct Queued {
    pub(super) id: InputId,
    pub(super) actor: Actor,
    pub(super) kind: InputKind,
    pub(super) dedup: Option<Dedup>,
    pub(super) answer: Option<Answer>,
    /// For a start or a fork: what the run is pinned to.
    pub(super) definition: Option<Arc<Definition>>,
}

impl Queued {
    /// An input of the engine's own.
    pub(super) fn own(id: InputId, kind: InputKind) -> Self {
        Self { id, actor: Actor::Engine, kind, dedup: None, answer: None, definition: None }
    }

    /// What the run is pinned to that this starts; `None`: it acts on one that is there.
    pub(super) fn starts(&self) -> Option<&Arc<Definition>> {
        self.definition.as_ref().filter(|_| matches!(self.kind, InputKind::Start(_)))
    }

    /// Answers the one who waits, if anyone does.
    pub(super) fn answer(&mut self, answer: Result<Accepted, SubmitError>) {
        if let Some(waiting) = self.answer.take() {
            // Nobody waits any more when the caller went away.
            let _gone = waiting.send(answer);
        }
    }
}

impl Message {
    /// The run that it is about; `None`: it is about them all.
    pub(super) fn run(&self) -> Option<RunId> {
        match self {
            Self::Input { run, .. }
            | Self::Look { run, .. }
            | Self::Drive { run, .. }
            | Self::Align { run, .. }
            | Self::Abandoned { run, .. } => Some(*run),
            Self::Release | Self::Shutdown => None,
        }
    }
}

/// What a shard is told.
pub(super) enum Message {
    /// An input of the outside.
    Input { run: RunId, queued: Box<Queued> },
    /// A look at a run's state.
    Look { run: RunId, look: Look },
    /// The run is to be gone on with; answered when it is folded and its living work is re-attached.
    /// A run that is set aside is tried again only with `even_aside`.
    Drive { run: RunId, even_aside: bool, done: oneshot::Sender<bool> },
    /// The run is to stand still, or go on, with its pipeline and the engine; answered when it does.
    /// With `drives` it is gone on with, too.
    Align { run: RunId, drives: bool, done: oneshot::Sender<bool> },
    /// The run was given up, durably: what it has in progress here ends. It is loaded anew, or forgotten where it
    /// cannot be folded.
    Abandoned { run: RunId, is_folded: bool, done: oneshot::Sender<bool> },
    /// Recovery is over: new attempts may start.
    Release,
    /// The engine ends.
    Shutdown,
}
