//! The mark of answers that are not compressed.

/// Marks an answer that goes out as it is: a compressor holds memory of its own for each reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uncompressed;
