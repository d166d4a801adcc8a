//! What a read model is.

use everfold_engine::envelope::{Envelope, flag};
use everfold_engine::event::RunEvent;
use everfold_engine::id::RunId;

/// One event of a run, read.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// The run.
    pub run: RunId,
    /// What surrounds the event.
    pub envelope: &'a Envelope,
    /// The event.
    pub event: &'a RunEvent,
}

impl Fact<'_> {
    /// Whether a fork copied it: spend and audit skip such facts.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        self.envelope.header.flags & flag::COPIED != 0
    }
}

/// A read model: a name, the schema of its data, and the fold.
///
/// A changed schema number means that the data is to be folded anew.
pub trait Projection: Default + Send + Sync + 'static {
    /// The name in answers and file names.
    const NAME: &'static str;
    /// The version of the data's form and meaning.
    const SCHEMA: u32;

    /// Folds one fact. Facts come in the order of their positions, each once.
    fn apply(&mut self, fact: &Fact<'_>);
}
