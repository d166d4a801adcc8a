//! The bytes of a compressed segment: what it held up to its durable end, in blocks.
//!
//! Law: a compressed segment gives out the very bytes that it was made from, under their former offsets; of a block that is
//! damaged it gives zeros, so that the groups in it fail as they would in the segment itself, and those around are read.
//!
//! Compression is Zstandard (RFC 8878). A flipped bit costs one block at most: how long the blocks are stands in front of
//! each, and once more in a table at the end.
//!
//! Opened by everything that reads a segment; written by `compress`.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::block_layout;
use super::block_layout::{BLOCK_BYTES, BlockLayout, BlockPlace, FRONT_BYTES};
use super::format::{COMPRESSED_FORMAT, SEGMENT_HEADER, SegmentHeader};
use crate::files::{FileAccess, FileId, Files, StoreFile};

/// Less compresses faster and leaves a fifth more.
const LEVEL: i32 = 3;

/// The block that was decompressed last.
struct HeldBlock {
    decompressor: zstd::bulk::Decompressor<'static>,
    number: Option<usize>,
    bytes: Vec<u8>,
    is_damaged: bool,
}

impl HeldBlock {
    fn new() -> io::Result<Self> {
        let decompressor = zstd::bulk::Decompressor::new()?;
        let bytes = Vec::with_capacity(BLOCK_BYTES);
        Ok(Self { decompressor, number: None, bytes, is_damaged: false })
    }

    /// Decompresses a block; whether it is what was written.
    fn fill(&mut self, file: &dyn StoreFile, number: usize, block: BlockPlace) -> io::Result<bool> {
        self.number = None;
        self.bytes.clear();
        if block.length as usize > block_layout::length_max() {
            return Ok(false);
        }
        let front = block.offset - FRONT_BYTES as u64;
        let Some(whole) = block_layout::read(file, front, FRONT_BYTES + block.length as usize)? else {
            return Ok(false);
        };
        let bytes = &whole[FRONT_BYTES..];
        let is_whole = block_layout::block_crc(number, bytes) == block_layout::u32_at(&whole, 4);
        Ok(is_whole && self.decompressor.decompress_to_buffer(bytes, &mut self.bytes).is_ok())
    }
}

/// An open compressed segment, read under the offsets of the segment that it was.
struct CompressedFile {
    file: Box<dyn StoreFile>,
    header: [u8; SEGMENT_HEADER],
    layout: BlockLayout,
    held: Mutex<HeldBlock>,
}

/// Opens a segment for reading, compressed or not.
///
/// # Errors
/// Those of the operating system. Damage is none: it shows where it is read.
pub(crate) fn open(files: &dyn Files, path: &Path) -> io::Result<Box<dyn StoreFile>> {
    let file = files.open(path, FileAccess::Read)?;
    let Some(header) = compressed_header(file.as_ref())? else { return Ok(file) };
    let layout = BlockLayout::find(file.as_ref())?;
    Ok(Box::new(CompressedFile { file, header, layout, held: Mutex::new(HeldBlock::new()?) }))
}

/// What of the lengths of a compressed segment's blocks is not what was written.
pub(crate) struct DamagedLengths {
    /// Bytes of the file, and what is wrong there.
    pub(crate) places: Vec<(u64, String)>,
    /// Each block is whole all the same, up to the segment's end.
    pub(crate) is_readable: bool,
}

/// Compares both copies of the lengths of a segment's blocks with each other and with the file; `None` where they agree, and
/// for a segment that is not compressed. `end` is where the segment ended.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn damaged_lengths(
    files: &dyn Files,
    path: &Path,
    end: Option<u64>,
) -> io::Result<Option<DamagedLengths>> {
    let file = files.open(path, FileAccess::Read)?;
    if compressed_header(file.as_ref())?.is_none() {
        return Ok(None);
    }
    let layout = BlockLayout::find(file.as_ref())?;
    let faults = layout.faults(file.as_ref())?;
    if faults.is_empty() {
        return Ok(None);
    }
    let mut held = HeldBlock::new()?;
    let mut is_readable = end.is_none_or(|end| end == layout.end);
    for (number, block) in layout.blocks.iter().enumerate() {
        is_readable = is_readable && held.fill(file.as_ref(), number, *block)?;
    }
    let places = faults.into_iter().map(|fault| (fault.offset, fault.what)).collect();
    Ok(Some(DamagedLengths { places, is_readable }))
}

/// Whether a segment is compressed.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn is_compressed(files: &dyn Files, path: &Path) -> io::Result<bool> {
    Ok(compressed_header(files.open(path, FileAccess::Read)?.as_ref())?.is_some())
}

/// The header of a compressed segment; `None` of any other file.
fn compressed_header(file: &dyn StoreFile) -> io::Result<Option<[u8; SEGMENT_HEADER]>> {
    let mut header = [0; SEGMENT_HEADER];
    let read = file.read_at(&mut header, 0)?;
    Ok((SegmentHeader::format_of(&header[..read]) == Some(COMPRESSED_FORMAT)).then_some(header))
}

impl CompressedFile {
    /// How many bytes of the segment a block has.
    fn bytes_of(&self, number: usize) -> usize {
        let from = SEGMENT_HEADER as u64 + (number * BLOCK_BYTES) as u64;
        usize::try_from(self.layout.end.saturating_sub(from)).unwrap_or(usize::MAX).min(BLOCK_BYTES)
    }

    /// Brings a block into `held`.
    fn hold(&self, number: usize, held: &mut HeldBlock) -> io::Result<()> {
        if held.number == Some(number) {
            return Ok(());
        }
        let length = self.bytes_of(number);
        let is_whole = match self.layout.blocks.get(number) {
            Some(block) => held.fill(self.file.as_ref(), number, *block)?,
            None => false,
        };
        held.is_damaged = !is_whole || held.bytes.len() != length;
        if held.is_damaged {
            held.bytes.clear();
            held.bytes.resize(length, 0);
        }
        held.number = Some(number);
        Ok(())
    }
}

impl StoreFile for CompressedFile {
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a compressed segment is not written"))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < bytes.len() && offset + (done as u64) < self.layout.end {
            let at = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(done);
            let source = match at.checked_sub(SEGMENT_HEADER) {
                None => &self.header[at..],
                Some(behind) => {
                    self.hold(behind / BLOCK_BYTES, &mut held)?;
                    &held.bytes[behind % BLOCK_BYTES..]
                }
            };
            let length = source.len().min(bytes.len() - done);
            bytes[done..done + length].copy_from_slice(&source[..length]);
            done += length;
        }
        Ok(done)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.file.forget_cached()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.layout.end)
    }

    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }

    fn lock(&self) -> io::Result<bool> {
        self.file.lock()
    }

    fn damage_in(&self, range: Range<u64>) -> Option<String> {
        let block = |offset: u64| {
            let behind = offset.saturating_sub(SEGMENT_HEADER as u64) / BLOCK_BYTES as u64;
            usize::try_from(behind).unwrap_or(usize::MAX)
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        (block(range.start)..=block(range.end.min(self.layout.end).saturating_sub(1))).find_map(|number| {
            self.hold(number, &mut held).ok()?;
            let at = self.layout.blocks.get(number)?.offset;
            held.is_damaged.then(|| {
                format!("block {number} of the compressed segment, at byte {at} of the file, is damaged")
            })
        })
    }
}

/// What is written of a compressed segment, piece by piece.
pub(crate) struct CompressedBytes {
    compressor: zstd::bulk::Compressor<'static>,
    table: Vec<u8>,
}

impl CompressedBytes {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { compressor: zstd::bulk::Compressor::new(LEVEL)?, table: Vec::new() })
    }

    /// The first bytes of the file.
    pub(crate) fn header(header: &SegmentHeader) -> [u8; SEGMENT_HEADER] {
        header.encode_as(COMPRESSED_FORMAT)
    }

    /// The next block of the segment's bytes, as it is written.
    pub(crate) fn block(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let compressed = self.compressor.compress(bytes)?;
        let length = u32::try_from(compressed.len()).expect("a block is far below 4 GiB").to_le_bytes();
        let crc = block_layout::block_crc(self.table.len() / 4, &compressed).to_le_bytes();
        self.table.extend_from_slice(&length);
        Ok([length.as_slice(), &crc, &compressed].concat())
    }

    /// The table and the trailer of a segment that ended there.
    pub(crate) fn ending(self, end: u64) -> Vec<u8> {
        block_layout::ending(self.table, end)
    }
}
