//! Rows as bytes: bincode 1.3 with short numbers. A read model's schema number stands for the form.

use bincode::Options as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::projection::FoldError;

/// No row is longer.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_limit(BYTES_MAX).allow_trailing_bytes()
}

/// Writes a value behind what is there.
pub(crate) fn write(bytes: &mut Vec<u8>, value: &impl Serialize) -> Result<(), FoldError> {
    options().serialize_into(bytes, value).map_err(|error| FoldError::Row(error.to_string()))
}

/// A value as bytes.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, FoldError> {
    let mut bytes = Vec::with_capacity(256);
    write(&mut bytes, value)?;
    Ok(bytes)
}

/// Reads a value, and moves behind it.
pub(crate) fn read<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, FoldError> {
    options().deserialize_from(bytes).map_err(|error| FoldError::Row(error.to_string()))
}
