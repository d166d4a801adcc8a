//! Events as bytes: bincode 1.3 with fixed-width integers, under explicit kind and schema numbers.
//!
//! Law: what one release wrote, every later one reads. `encode` writes the newest schema of a kind;
//! `decode` reads every schema there ever was, older ones through an upcaster.

use super::payload::CodecError;
use super::run_event::RunEvent;

/// The schema number and the bytes of an event.
///
/// # Errors
/// [`CodecError::Unwritable`] over 4 MiB.
pub fn encode(event: &RunEvent) -> Result<(u16, Vec<u8>), CodecError> {
    event.write()
}

/// Reads the event of a kind and schema.
///
/// # Errors
/// [`CodecError`]: a kind or schema of the future, or bytes that are not what was written.
pub fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<RunEvent, CodecError> {
    RunEvent::read(kind, schema, bytes)
}
