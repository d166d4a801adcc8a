//! Messages to shards, and the rule by which a run belongs to a shard.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::{QueryError, SubmitError};
use crate::start::submission::Accepted;
use everfold_base::actor::Actor;
use everfold_base::id::{InputId, RunId};
use everfold_core::input::InputKind;
use everfold_core::state::RunState;
use everfold_language::definition::Definition;
use everfold_ports::RecordReceipt;
use everfold_store::Dedup;

/// Where an answer goes.
pub(crate) type Answer = oneshot::Sender<Result<Accepted, SubmitError>>;

/// A query that reads a state.
pub(crate) type Query = Box<dyn FnOnce(Result<&RunState, QueryError>) + Send>;

/// An input on its way to its run.
pub(crate) struct Queued {
    pub(crate) id: InputId,
    pub(crate) actor: Actor,
    pub(crate) kind: InputKind,
    pub(crate) dedup: Option<Dedup>,
    pub(crate) answer: Option<Answer>,
    /// Work that waits until this is recorded.
    pub(crate) receipt: Option<RecordReceipt>,
    /// For a start or a fork: what the run is pinned to.
    pub(crate) definition: Option<Arc<Definition>>,
}

impl Queued {
    /// An input of the engine's own.
    pub(crate) fn own(id: InputId, kind: InputKind) -> Self {
        Self { id, actor: Actor::Engine, kind, dedup: None, answer: None, receipt: None, definition: None }
    }

    /// The definition of the run that this starts; `None`: it acts on a run that exists.
    pub(crate) fn starts(&self) -> Option<&Arc<Definition>> {
        self.definition.as_ref().filter(|_| matches!(self.kind, InputKind::Start(_)))
    }

    /// Answers the caller, if one waits.
    pub(crate) fn answer(&mut self, answer: Result<Accepted, SubmitError>) {
        if let Some(waiting) = self.answer.take() {
            // There is no receiver when the caller went away.
            let _gone = waiting.send(answer);
        }
    }

    /// What it led to is durable.
    pub(crate) fn recorded(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            receipt.recorded();
        }
    }
}

impl ShardMessage {
    /// The run that it is about; `None`: it is about them all.
    pub(crate) fn run(&self) -> Option<RunId> {
        match self {
            Self::Input { run, .. }
            | Self::Query { run, .. }
            | Self::Drive { run, .. }
            | Self::Align { run, .. }
            | Self::Abandoned { run, .. } => Some(*run),
            Self::Release | Self::Shutdown => None,
        }
    }
}

/// A message to a shard.
pub(crate) enum ShardMessage {
    /// An input of the outside.
    Input { run: RunId, queued: Box<Queued> },
    /// A query to a run's state.
    Query { run: RunId, query: Query },
    /// The run is to be driven; answered when it is folded and its living work is re-attached.
    /// A run that is quarantined is tried again only with `even_quarantined`.
    Drive { run: RunId, even_quarantined: bool, done: oneshot::Sender<bool> },
    /// The run is to take over the pauses of its pipeline and the engine; answered when it has. With `drives` it is
    /// driven, too.
    Align { run: RunId, drives: bool, done: oneshot::Sender<bool> },
    /// The run was abandoned, durably: its work here ends. It is loaded anew, or forgotten where it cannot be folded.
    Abandoned { run: RunId, is_folded: bool, done: oneshot::Sender<bool> },
    /// Recovery is over: new attempts may start.
    Release,
    /// The engine ends.
    Shutdown,
}

/// Which of `count` shards a run belongs to.
pub(crate) fn shard_of(run: RunId, count: usize) -> usize {
    let (high, low) = run.0.as_u64_pair();
    let spread = (high ^ low).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    usize::try_from(spread).unwrap_or_default() % count.max(1)
}
