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
    crate::stored::options(BYTES_MAX)
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

/// What the bytes of one kind of event are.
pub(super) trait Stored: Serialize + DeserializeOwned {
    /// The kind's name.
    const NAME: &'static str;

    /// The newest schema.
    const SCHEMA: u16 = 1;

    /// The schema of this event's bytes: an older one where that says all of it in the same bytes, so that
    /// older programs read it.
    fn schema(&self) -> u16 {
        Self::SCHEMA
    }

    /// Reads an older schema's bytes; `None` where there was no such schema.
    fn upcast(_schema: u16, _bytes: &[u8]) -> Option<Result<Self, CodecError>> {
        None
    }
}

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

pub(super) fn write<T: Stored>(event: &T) -> Result<(u16, Vec<u8>), CodecError> {
    let bytes = options()
        .serialize(event)
        .map_err(|error| CodecError::Unwritable { name: T::NAME, what: error.to_string() })?;
    Ok((event.schema(), bytes))
}

pub(super) fn read<T: Stored>(schema: u16, bytes: &[u8]) -> Result<T, CodecError> {
    if schema == T::SCHEMA {
        return self::bytes(T::NAME, bytes);
    }
    T::upcast(schema, bytes).unwrap_or(Err(CodecError::UnknownSchema {
        name: T::NAME,
        schema,
        known: T::SCHEMA,
    }))
}

/// Reads the bytes of one struct, to the last.
pub(super) fn bytes<T: DeserializeOwned>(name: &'static str, bytes: &[u8]) -> Result<T, CodecError> {
    options().deserialize(bytes).map_err(|error| CodecError::Corrupt { name, what: error.to_string() })
}
