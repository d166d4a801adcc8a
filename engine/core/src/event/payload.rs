//! The bytes of one kind of event: its schemas, and why bytes are none.
//!
//! Law: bounded, and read to the last byte.

use bincode::Options as _;
use serde::{Serialize, de::DeserializeOwned};

/// No event payload is longer; an append holds at most as much.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

fn options() -> impl bincode::Options {
    everfold_base::codec::options(BYTES_MAX)
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

    /// The bytes of this schema, where they are not those of the fields: `Some` where a schema leaves out no field.
    fn whole(&self) -> Option<Result<Vec<u8>, CodecError>> {
        None
    }

    /// Reads the newest schema's bytes.
    fn newest(bytes: &[u8]) -> Result<Self, CodecError> {
        self::bytes(Self::NAME, bytes)
    }

    /// Reads an older schema's bytes; `None` where there was no such schema.
    fn upcast(_schema: u16, _bytes: &[u8]) -> Option<Result<Self, CodecError>> {
        None
    }
}

pub(super) fn write<T: Stored>(event: &T) -> Result<(u16, Vec<u8>), CodecError> {
    let bytes = event.whole().unwrap_or_else(|| bytes_of(T::NAME, event))?;
    Ok((event.schema(), bytes))
}

/// The bytes of one struct.
pub(super) fn bytes_of<T: Serialize>(name: &'static str, event: &T) -> Result<Vec<u8>, CodecError> {
    options().serialize(event).map_err(|error| CodecError::Unwritable { name, what: error.to_string() })
}

pub(super) fn read<T: Stored>(schema: u16, bytes: &[u8]) -> Result<T, CodecError> {
    if schema == T::SCHEMA {
        return T::newest(bytes);
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
