//! What a read model is.

use everfold_base::actor::Actor;
use everfold_base::envelope::{EventView, flag};
use everfold_base::id::{Position, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_core::event::RunEvent;

use crate::columns::DefinitionColumns;
use crate::storage::StorageError;
use crate::write_batch::WriteBatch;

/// One event of a run, read.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// The run.
    pub run: RunId,
    /// The context of the event.
    pub context: &'a EventContext,
    /// The event.
    pub event: &'a RunEvent,
    /// The position from which it counts: its own, or that of the fork that copied it.
    pub position: Position,
    /// Of a `RunForked`: the history that becomes the run's own with it, without its origin's end.
    pub copied: &'a [CopiedEvent],
}

/// The part of an envelope that models read.
#[derive(Debug, Clone)]
pub struct EventContext {
    /// The event's place in its run.
    pub version: Version,
    /// The event's own place in the store.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// Bits of [`flag`].
    pub flags: u16,
}

impl EventContext {
    /// The context of an event of the log.
    #[must_use]
    pub fn of(event: &EventView<'_>) -> Self {
        Self {
            version: event.version,
            position: event.position,
            recorded_at: event.recorded_at,
            actor: event.actor.clone(),
            flags: event.flags,
        }
    }
}

/// One event of a copied history.
#[derive(Debug, Clone)]
pub struct CopiedEvent {
    /// Its context.
    pub context: EventContext,
    /// The event.
    pub event: RunEvent,
}

impl<'a> Fact<'a> {
    /// An event of the log.
    #[must_use]
    pub fn new(
        run: RunId,
        context: &'a EventContext,
        event: &'a RunEvent,
        copied: &'a [CopiedEvent],
    ) -> Self {
        Self { run, context, event, position: context.position, copied }
    }

    /// The history that a fork takes over, as facts that count from the fork on.
    pub fn taken_over(&self) -> impl Iterator<Item = Fact<'a>> + use<'a> {
        let (run, position) = (self.run, self.position);
        self.copied.iter().map(move |CopiedEvent { context, event }| Fact {
            run,
            context,
            event,
            position,
            copied: &[],
        })
    }

    /// Whether a fork copied it: it counts with the `RunForked` that follows, and for spend and audit not
    /// at all.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        self.context.flags & flag::COPIED != 0
    }
}

/// A fact that a read model cannot fold, or data of its own that it cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A row is not what was written.
    #[error("a row cannot be read: {0}")]
    Row(String),
}

/// A read model: a name, the schema of its data, and the fold.
///
/// A changed schema number means that the data is folded anew. What a model keeps in memory is a cache:
/// everything that counts goes through the [`WriteBatch`], and into the storage together with the position.
pub trait Projection: Sized + Send + Sync + 'static {
    /// The name in answers and keys.
    const NAME: &'static str;
    /// The version of the data's form and meaning.
    const SCHEMA: u32;

    /// Whether the model handles an event: it gets no others.
    fn handles(event: &RunEvent) -> bool;

    /// Continues from what is stored.
    ///
    /// # Errors
    /// What is there cannot be read.
    fn open(batch: &WriteBatch) -> Result<Self, FoldError>;

    /// Stores what lists know of a definition. It comes before the runs that are pinned to it.
    ///
    /// # Errors
    /// As of [`Projection::apply`].
    fn define(&mut self, _defined: &DefinitionColumns, _batch: &mut WriteBatch) -> Result<(), FoldError> {
        Ok(())
    }

    /// Folds one fact. Facts come in the order of their positions, each once; copied ones with their fork.
    ///
    /// # Errors
    /// The model stops here until it is built again; the others go on.
    fn apply(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError>;

    /// Puts all that was folded into the [`WriteBatch`] for readers: indexes follow the rows.
    ///
    /// # Errors
    /// As of [`Projection::apply`].
    fn publish(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError>;

    /// Puts what changed since the last checkpoint and what readers do not read, before a checkpoint.
    ///
    /// # Errors
    /// As of [`Projection::apply`].
    fn settle(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError>;

    /// How many rows the next checkpoint would put.
    fn unsettled(&self) -> usize;

    /// Shrinks the caches by what is stored. Called when a checkpoint is written.
    fn trim(&mut self);
}
