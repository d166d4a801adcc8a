//! Folds of small streams of the engine's own, such as the access tokens.
//!
//! Law: pure, like the core of a run: [`Aggregate::apply`] neither fails nor chooses, and the form of a
//! fact, once released, is read for ever.

use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// What surrounds a fact.
#[derive(Debug, Clone, Copy)]
pub struct EventStamp<'a> {
    /// Who caused it.
    pub by: &'a Actor,
    /// When.
    pub at: Timestamp,
}

/// A fold of a stream, with the form of its facts.
pub trait Aggregate: Clone + Default + Send + Sync + 'static {
    /// A fact.
    type Event: Send + Sync;

    /// The stream.
    fn stream() -> StreamId;

    /// Folds one fact.
    fn apply(&mut self, event: &Self::Event, stamp: &EventStamp<'_>);

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

/// Longer texts are named by their hash.
const PLAIN_BYTES_MAX: usize = 200;

/// The stream of the engine's own that belongs to a text: `engine/SPACE:TEXT`, or `engine/SPACE#HASH` where the text is
/// long or holds control characters.
pub(crate) fn stream_of(space: &str, text: &str) -> StreamId {
    let is_plain = text.len() <= PLAIN_BYTES_MAX && !text.chars().any(char::is_control);
    StreamId::engine(match is_plain {
        true => format!("{space}:{text}"),
        false => format!("{space}#{}", Hash::of(text.as_bytes())),
    })
}

/// Kind, schema and bytes of an event as text, for tests of stored bytes.
#[cfg(test)]
pub(crate) fn stored_text<A: Aggregate>(event: &A::Event) -> String {
    let (kind, schema, bytes) = A::encode(event).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}/{schema}/{hex}")
}
