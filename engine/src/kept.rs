//! Folds of small streams of the engine's own, such as the access tokens.
//!
//! Law: pure, like the core of a run: [`Kept::apply`] neither fails nor chooses, and the form of a
//! fact, once released, is read for ever.

use crate::actor::Actor;
use crate::envelope::StreamId;
use crate::time::Timestamp;

/// What surrounds a fact.
#[derive(Debug, Clone, Copy)]
pub struct Noted<'a> {
    /// Who caused it.
    pub by: &'a Actor,
    /// When.
    pub at: Timestamp,
}

/// A fold of a stream, with the form of its facts.
pub trait Kept: Clone + Default + Send + Sync + 'static {
    /// A fact.
    type Event: Send + Sync;

    /// The stream.
    fn stream() -> StreamId;

    /// Folds one fact.
    fn apply(&mut self, event: &Self::Event, noted: &Noted<'_>);

    /// Kind, schema and bytes of a fact.
    ///
    /// # Errors
    /// It is over its limit.
    fn encode(event: &Self::Event) -> Result<(u16, u16, Vec<u8>), String>;

    /// Reads a fact.
    ///
    /// # Errors
    /// A newer Everfold wrote it, or the bytes are not what was written.
    fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self::Event, String>;
}
