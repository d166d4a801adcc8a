//! What a read model is.

use everfold_engine::actor::Actor;
use everfold_engine::envelope::{EventView, flag};
use everfold_engine::event::RunEvent;
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::time::Timestamp;

use crate::shelf::ShelfError;
use crate::stages::Staged;
use crate::tx::Tx;

/// One event of a run, read.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// The run.
    pub run: RunId,
    /// What surrounds the event.
    pub around: &'a Around,
    /// The event.
    pub event: &'a RunEvent,
    /// Where it counts from: its own place in the store, or that of the fork that copied it.
    pub position: Position,
    /// Of a `RunForked`: the history that becomes the run's own with it, without its origin's end.
    pub copied: &'a [Copied],
}

/// What models ask of an envelope. The rest of it stays with the thread that read it.
#[derive(Debug, Clone)]
pub struct Around {
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

impl Around {
    /// What the log says around an event.
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
pub struct Copied {
    /// What surrounds it.
    pub around: Around,
    /// The event.
    pub event: RunEvent,
}

impl<'a> Fact<'a> {
    /// An event of the log.
    #[must_use]
    pub fn new(run: RunId, around: &'a Around, event: &'a RunEvent, copied: &'a [Copied]) -> Self {
        Self { run, around, event, position: around.position, copied }
    }

    /// The history that a fork takes over, as facts that count from the fork on.
    pub fn taken_over(&self) -> impl Iterator<Item = Fact<'a>> + use<'a> {
        let (run, position) = (self.run, self.position);
        self.copied.iter().map(move |Copied { around, event }| Fact {
            run,
            around,
            event,
            position,
            copied: &[],
        })
    }

    /// Whether a fork copied it: it counts with the `RunForked` that follows, and for spend and audit not
    /// at all.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        self.around.flags & flag::COPIED != 0
    }
}

/// A fact that a read model cannot fold, or data of its own that it cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The shelf failed.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// A row is not what was written.
    #[error("a row cannot be read: {0}")]
    Row(String),
}

/// A read model: a name, the schema of its data, and the fold.
///
/// A changed schema number means that the data is folded anew. What a model keeps in memory is a cache:
/// everything that counts goes through the [`Tx`], and into the shelf together with the position.
pub trait Projection: Sized + Send + Sync + 'static {
    /// The name in answers and keys.
    const NAME: &'static str;
    /// The version of the data's form and meaning.
    const SCHEMA: u32;

    /// Whether an event says anything to the model: it is shown no others.
    fn heeds(event: &RunEvent) -> bool;

    /// Goes on from what is there.
    ///
    /// # Errors
    /// What is there cannot be read.
    fn open(tx: &Tx) -> Result<Self, FoldError>;

    /// Takes note of a definition that names stages. It comes before the runs that are pinned to it.
    ///
    /// # Errors
    /// As of [`Projection::apply`].
    fn define(&mut self, _staged: &Staged, _tx: &mut Tx) -> Result<(), FoldError> {
        Ok(())
    }

    /// Folds one fact. Facts come in the order of their positions, each once; copied ones with their fork.
    ///
    /// # Errors
    /// The model stops here until it is built again; the others go on.
    fn apply(&mut self, fact: &Fact<'_>, tx: &mut Tx) -> Result<(), FoldError>;

    /// Puts all that was folded into the [`Tx`], to be shown: indexes follow the rows.
    ///
    /// # Errors
    /// As of [`Projection::apply`].
    fn publish(&mut self, tx: &mut Tx) -> Result<(), FoldError>;

    /// Puts what readers need not see and what changed since the last time, before a checkpoint.
    ///
    /// # Errors
    /// As of [`Projection::apply`].
    fn settle(&mut self, tx: &mut Tx) -> Result<(), FoldError>;

    /// How many rows the next checkpoint would put.
    fn unsettled(&self) -> usize;

    /// Forgets what the shelf has, where there is much. The checkpoint is written.
    fn trim(&mut self);
}
