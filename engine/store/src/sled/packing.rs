//! Values of events, compressed.
//!
//! Law: a value that does not get shorter is kept as it is; what is given out is what was put in, or an error.
//!
//! Compression is Zstandard (RFC 8878), each value by itself.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::record::ByteReader;

/// Fast before small: each value is compressed while writers may wait for its thread.
const LEVEL: i32 = 1;
/// Bytes in front: how many there were before.
pub(crate) const PACKED_FRONT: usize = 4;

thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The bytes of a value, compressed where that is shorter.
pub(crate) fn pack(value: &[u8]) -> Vec<u8> {
    let compressed = COMPRESSOR.with_borrow_mut(|held| {
        if held.is_none() {
            *held = zstd::bulk::Compressor::new(LEVEL).ok();
        }
        held.as_mut()?.compress(value).ok()
    });
    let shorter = compressed.filter(|bytes| bytes.len() < value.len());
    let (length, bytes) = match &shorter {
        Some(bytes) => (value.len(), bytes.as_slice()),
        None => (0, value),
    };
    let length = u32::try_from(length).expect("a value is far below 4 GiB");
    [length.to_le_bytes().as_slice(), bytes].concat()
}

/// What [`pack`] was given.
pub(crate) fn unpack(packed: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let mut reader = ByteReader(packed);
    let length = reader.u32()? as usize;
    if length == 0 {
        return Ok(Cow::Borrowed(reader.0));
    }
    let bytes = DECOMPRESSOR.with_borrow_mut(|held| {
        if held.is_none() {
            *held = zstd::bulk::Decompressor::new().ok();
        }
        held.as_mut().map(|decompressor| decompressor.decompress(reader.0, length))
    });
    match bytes {
        Some(Ok(bytes)) if bytes.len() == length => Ok(Cow::Owned(bytes)),
        Some(Ok(bytes)) => Err(format!("{} bytes were compressed, not {length}", bytes.len())),
        Some(Err(error)) => Err(format!("it cannot be decompressed: {error}")),
        None => Err("there is no memory to decompress it".into()),
    }
}
