//! What the caller of a verification knows about stored bytes.

use crate::stream_head::Snapshot;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::RunId;
use everfold_base::json::Hash;

/// What the caller knows about stored bytes.
pub trait Meaning: Send {
    /// Checks one event: that it decodes, and follows from the stream's state. Called in the order of
    /// the positions.
    ///
    /// # Errors
    /// What is wrong with it.
    fn event(&mut self, event: &Envelope) -> Result<(), String>;

    /// The blobs that an event names.
    fn blobs(&mut self, event: &Envelope) -> Vec<(RunId, Hash)>;

    /// Checks a snapshot against the fold of the stream's events, which have all been shown.
    ///
    /// # Errors
    /// What is wrong with it.
    fn snapshot(&mut self, stream: &StreamId, snapshot: &Snapshot) -> Result<(), String>;
}

/// Knows nothing: bytes alone are verified.
pub struct NoMeaning;

impl Meaning for NoMeaning {
    fn event(&mut self, _event: &Envelope) -> Result<(), String> {
        Ok(())
    }

    fn blobs(&mut self, _event: &Envelope) -> Vec<(RunId, Hash)> {
        Vec::new()
    }

    fn snapshot(&mut self, _stream: &StreamId, _snapshot: &Snapshot) -> Result<(), String> {
        Ok(())
    }
}
