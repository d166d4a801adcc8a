//! How facts stand as bytes: bincode with fixed-width integers, bounded, and read to the last byte.
//!
//! Law: kinds keep their numbers for ever, and what one release wrote, every later one reads.
//!
//! Called by whatever has a stream of its own; the facts of runs have schemas besides, in `event`.

use bincode::Options as _;
use serde::{Serialize, de::DeserializeOwned};

/// The only schema so far of facts that are no run's.
pub(crate) const SCHEMA: u16 = 1;

/// Why stored bytes are no fact of their stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// A newer everfold wrote it.
    #[error("kind {0}, schema {1} is of a newer everfold")]
    Unknown(u16, u16),
    /// The bytes are not what was written, or would be more than there may be.
    #[error("{0}")]
    Bytes(String),
}

/// Of at most so many bytes.
pub(crate) fn options(bytes_max: u64) -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(bytes_max).reject_trailing_bytes()
}

pub(crate) fn write(value: &impl Serialize, bytes_max: u64) -> Result<Vec<u8>, StoredError> {
    options(bytes_max).serialize(value).map_err(|error| StoredError::Bytes(error.to_string()))
}

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], bytes_max: u64) -> Result<T, StoredError> {
    options(bytes_max).deserialize(bytes).map_err(|error| StoredError::Bytes(error.to_string()))
}

/// Numbers the variants of an enum of facts, which hold a struct each of the same name.
macro_rules! stored {
    ($event:ident, $bytes_max:expr, { $($name:ident = $kind:literal),* $(,)? }) => {
        impl $event {
            /// Its name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $( Self::$name(_) => stringify!($name), )* }
            }

            /// Kind, schema and bytes.
            ///
            /// # Errors
            /// [`StoredError::Bytes`](crate::stored::StoredError::Bytes): it is larger than any such event can be.
            pub fn encode(&self) -> Result<(u16, u16, Vec<u8>), $crate::stored::StoredError> {
                let (kind, bytes) = match self {
                    $( Self::$name(event) => ($kind, $crate::stored::write(event, $bytes_max)), )*
                };
                bytes.map(|bytes| (kind, $crate::stored::SCHEMA, bytes))
            }

            /// Reads stored bytes.
            ///
            /// # Errors
            /// [`StoredError`](crate::stored::StoredError)
            pub fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self, $crate::stored::StoredError> {
                match (kind, schema) {
                    $( ($kind, $crate::stored::SCHEMA) => {
                        $crate::stored::read(bytes, $bytes_max).map(Self::$name)
                    } )*
                    _newer => Err($crate::stored::StoredError::Unknown(kind, schema)),
                }
            }
        }
    };
}

pub(crate) use stored;
