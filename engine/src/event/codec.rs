//! Events as bytes: bincode 1.3 with fixed-width integers, under explicit kind and schema numbers.
//!
//! Law: what one release wrote, every later one reads. `encode` writes the newest schema of a kind;
//! `decode` reads every schema there ever was, older ones through an upcaster.

use bincode::Options as _;
use serde::{Serialize, de::DeserializeOwned};

use super::RunEvent;

/// No event payload is longer; an append holds at most as much.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(BYTES_MAX).reject_trailing_bytes()
}

/// Why bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A newer Everfold wrote it.
    #[error("event kind {0} is unknown to this everfold; a newer one wrote it")]
    UnknownKind(u16),
    /// A newer Everfold wrote it.
    #[error("{name} has schema {schema}; this everfold reads up to {known}")]
    UnknownSchema {
        /// The kind's name.
        name: &'static str,
        /// The schema found.
        schema: u16,
        /// The newest known one.
        known: u16,
    },
    /// The bytes are not what was written.
    #[error("{name} cannot be read: {what}")]
    Corrupt {
        /// The kind's name.
        name: &'static str,
        /// What was found.
        what: String,
    },
    /// The event is over the limit of 4 MiB.
    #[error("{name} is too large or cannot be written: {what}")]
    Unwritable {
        /// The kind's name.
        name: &'static str,
        /// What was found.
        what: String,
    },
}

/// The schema that [`encode`] writes.
const SCHEMA: u16 = 1;

/// The schema number and the bytes of an event.
///
/// # Errors
/// [`CodecError::Unwritable`] over 4 MiB.
pub fn encode(event: &RunEvent) -> Result<(u16, Vec<u8>), CodecError> {
    Ok((SCHEMA, event.write()?))
}

/// Reads the event of a kind and schema.
///
/// # Errors
/// [`CodecError`]: a kind or schema of the future, or bytes that are not what was written.
pub fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<RunEvent, CodecError> {
    RunEvent::read(kind, schema, bytes)
}

pub(super) fn write<T: Serialize>(name: &'static str, event: &T) -> Result<Vec<u8>, CodecError> {
    options().serialize(event).map_err(|error| CodecError::Unwritable { name, what: error.to_string() })
}

/// An upcaster is an arm here: it reads the frozen struct of an older schema and makes the newest.
pub(super) fn read<T: DeserializeOwned>(
    name: &'static str,
    schema: u16,
    bytes: &[u8],
) -> Result<T, CodecError> {
    match schema {
        SCHEMA => options()
            .deserialize(bytes)
            .map_err(|error| CodecError::Corrupt { name, what: error.to_string() }),
        schema => Err(CodecError::UnknownSchema { name, schema, known: SCHEMA }),
    }
}
