//! How facts stand as bytes: bincode with fixed-width integers, bounded, and read to the last byte.
//!
//! Law: kinds keep their numbers for ever, and what one release wrote, every later one reads.
//!
//! Called by every aggregate that has a stream of its own. The facts of runs have schemas besides, in
//! `everfold_core::event`.

use bincode::Options as _;
use serde::{Serialize, de::DeserializeOwned};

/// The only schema so far of facts that are no run's.
pub const SCHEMA: u16 = 1;

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

/// The encoding of stored values, of at most so many bytes.
pub fn options(bytes_max: u64) -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(bytes_max).reject_trailing_bytes()
}

/// The bytes of a value.
///
/// # Errors
/// [`StoredError::Bytes`]: they would be over the limit.
pub fn write(value: &impl Serialize, bytes_max: u64) -> Result<Vec<u8>, StoredError> {
    options(bytes_max).serialize(value).map_err(|error| StoredError::Bytes(error.to_string()))
}

/// Reads a value, to the last byte.
///
/// # Errors
/// [`StoredError::Bytes`]: they are not what was written.
pub fn read<T: DeserializeOwned>(bytes: &[u8], bytes_max: u64) -> Result<T, StoredError> {
    options(bytes_max).deserialize(bytes).map_err(|error| StoredError::Bytes(error.to_string()))
}

/// Numbers the variants of an enum of facts, which hold a struct each of the same name.
#[macro_export]
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
            /// [`StoredError::Bytes`](crate::codec::StoredError::Bytes): it is larger than any such event can be.
            pub fn encode(&self) -> Result<(u16, u16, Vec<u8>), $crate::codec::StoredError> {
                let (kind, bytes) = match self {
                    $( Self::$name(event) => ($kind, $crate::codec::write(event, $bytes_max)), )*
                };
                bytes.map(|bytes| (kind, $crate::codec::SCHEMA, bytes))
            }

            /// Reads stored bytes.
            ///
            /// # Errors
            /// [`StoredError`](crate::codec::StoredError)
            pub fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self, $crate::codec::StoredError> {
                match (kind, schema) {
                    $( ($kind, $crate::codec::SCHEMA) => {
                        $crate::codec::read(bytes, $bytes_max).map(Self::$name)
                    } )*
                    _newer => Err($crate::codec::StoredError::Unknown(kind, schema)),
                }
            }
        }
    };
}

pub use stored;
