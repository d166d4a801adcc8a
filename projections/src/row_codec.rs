//! Rows as bytes: bincode 1.3 with short numbers. A read model's schema number stands for the form.

use std::io::{self, Read};
use std::marker::PhantomData;

use bincode::{ErrorKind, Options as _};
use serde::de::Visitor;
use serde::{Deserialize, Serialize};

use crate::projection::FoldError;

/// What is allocated for a row at first; most rows are shorter.
const ROOM_BYTES: usize = 256;

/// Writes a value behind what is there.
pub(crate) fn write(bytes: &mut Vec<u8>, value: &impl Serialize) -> Result<(), FoldError> {
    // With a limit it would be gone through twice.
    let options = bincode::DefaultOptions::new();
    options.serialize_into(bytes, value).map_err(|error| FoldError::Row(error.to_string()))
}

/// A value as bytes.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, FoldError> {
    encode_in(ROOM_BYTES, value)
}

/// The same for a value of about so many bytes.
pub(crate) fn encode_in(room: usize, value: &impl Serialize) -> Result<Vec<u8>, FoldError> {
    let mut bytes = Vec::with_capacity(room);
    write(&mut bytes, value)?;
    Ok(bytes)
}

/// Reads a value, which may borrow its texts, and moves behind it.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &mut &'a [u8]) -> Result<T, FoldError> {
    let options = bincode::DefaultOptions::new();
    let value = options.deserialize_from_custom_seed(PhantomData, RowInput(bytes));
    value.map_err(|error| FoldError::Row(error.to_string()))
}

/// The bytes that are left of a row. No length that they name makes room for more than they have.
struct RowInput<'left, 'a>(&'left mut &'a [u8]);

impl<'a> RowInput<'_, 'a> {
    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length).ok_or_else(cut_row)?;
        *self.0 = left;
        Ok(taken)
    }
}

impl Read for RowInput<'_, '_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.read(room)
    }

    fn read_exact(&mut self, room: &mut [u8]) -> io::Result<()> {
        room.copy_from_slice(self.take(room.len())?);
        Ok(())
    }
}

impl<'a> bincode::BincodeRead<'a> for RowInput<'_, 'a> {
    fn forward_read_str<V: Visitor<'a>>(&mut self, length: usize, visitor: V) -> bincode::Result<V::Value> {
        let text = std::str::from_utf8(self.take(length)?).map_err(ErrorKind::InvalidUtf8Encoding)?;
        visitor.visit_borrowed_str(text)
    }

    fn get_byte_buffer(&mut self, length: usize) -> bincode::Result<Vec<u8>> {
        Ok(self.take(length)?.to_vec())
    }

    fn forward_read_bytes<V: Visitor<'a>>(&mut self, length: usize, visitor: V) -> bincode::Result<V::Value> {
        visitor.visit_borrowed_bytes(self.take(length)?)
    }
}

fn cut_row() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early")
}

/// Seven bits to a byte, the lowest first.
pub(crate) fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads what [`number`] wrote, and moves behind it.
pub(crate) fn read_number(bytes: &mut &[u8]) -> Result<u64, FoldError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(cut_number)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(cut_number())
}

fn cut_number() -> FoldError {
    FoldError::Row("a number ends too early".to_owned())
}

/// Bytes in one piece, where a list of them would be written one by one.
pub(crate) mod raw {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_byte_buf(RawBytes)
    }

    struct RawBytes;

    impl Visitor<'_> for RawBytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}
