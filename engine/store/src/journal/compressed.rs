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

use super::format::{COMPRESSED_FORMAT, SEGMENT_HEADER, SegmentHeader};
use crate::files::{FileAccess, FileId, Files, StoreFile};

/// Bytes of the segment in a block.
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;
/// Bytes in front of a block: its length, its checksum.
const FRONT_BYTES: usize = 8;
/// Bytes at the end of the file.
const TRAILER_BYTES: usize = 24;
const TRAILER_MAGIC: [u8; 8] = *b"EVFLDEND";
/// Less compresses faster and leaves a fifth more.
const LEVEL: i32 = 3;

/// Where a block lies in the file.
#[derive(Debug, Clone, Copy)]
struct BlockPlace {
    /// Where its compressed bytes are.
    offset: u64,
    length: u32,
}

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
        if block.length as usize > zstd::zstd_safe::compress_bound(BLOCK_BYTES) {
            return Ok(false);
        }
        let front = block.offset - FRONT_BYTES as u64;
        let Some(whole) = read(file, front, FRONT_BYTES + block.length as usize)? else { return Ok(false) };
        let bytes = &whole[FRONT_BYTES..];
        let is_whole = block_crc(number, bytes) == u32_at(&whole, 4);
        Ok(is_whole && self.decompressor.decompress_to_buffer(bytes, &mut self.bytes).is_ok())
    }
}

/// An open compressed segment, read under the offsets of the segment that it was.
struct CompressedFile {
    file: Box<dyn StoreFile>,
    header: [u8; SEGMENT_HEADER],
    blocks: Vec<BlockPlace>,
    end: u64,
    held: Mutex<HeldBlock>,
}

/// Opens a segment for reading, compressed or not.
///
/// # Errors
/// Those of the operating system. Damage is none: it shows where it is read.
pub(crate) fn open(files: &dyn Files, path: &Path) -> io::Result<Box<dyn StoreFile>> {
    let file = files.open(path, FileAccess::Read)?;
    let Some(header) = compressed_header(file.as_ref())? else { return Ok(file) };
    let length = file.length()?;
    let (blocks, end) = match table(file.as_ref(), length)? {
        Some(found) => found,
        None => walk(file.as_ref(), length)?,
    };
    Ok(Box::new(CompressedFile { file, header, blocks, end, held: Mutex::new(HeldBlock::new()?) }))
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

/// Reads exactly so many bytes; `None` where the file has fewer.
fn read(file: &dyn StoreFile, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, offset)?;
    Ok((read == length).then_some(bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The blocks as the table says, and where the segment ends; `None` where the table is not what was written.
fn table(file: &dyn StoreFile, length: u64) -> io::Result<Option<(Vec<BlockPlace>, u64)>> {
    let Some(at) = length.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    let Some(trailer) = read(file, at, TRAILER_BYTES)? else { return Ok(None) };
    let (end, count) = (u64_at(&trailer, 8), u32_at(&trailer, 16));
    let bytes = u64::from(count) * 4;
    if trailer[..8] != TRAILER_MAGIC || bytes > at || block_count(end) != count as usize {
        return Ok(None);
    }
    let Some(table) = read(file, at - bytes, usize::try_from(bytes).unwrap_or(usize::MAX))? else {
        return Ok(None);
    };
    if table_crc(&table, end) != u32_at(&trailer, 20) {
        return Ok(None);
    }
    let mut offset = SEGMENT_HEADER as u64;
    let blocks = table.chunks(4).map(|length| {
        let block = BlockPlace { offset: offset + FRONT_BYTES as u64, length: u32_at(length, 0) };
        offset = block.offset + u64::from(block.length);
        block
    });
    Ok(Some((blocks.collect(), end)))
}

/// The blocks that follow one another from the first on: as many as are whole, where the table is damaged.
fn walk(file: &dyn StoreFile, length: u64) -> io::Result<(Vec<BlockPlace>, u64)> {
    let (mut blocks, mut held) = (Vec::new(), HeldBlock::new()?);
    let mut end = SEGMENT_HEADER as u64;
    let mut offset = end;
    while let Some(front) = read(file, offset, FRONT_BYTES)? {
        let block = BlockPlace { offset: offset + FRONT_BYTES as u64, length: u32_at(&front, 0) };
        let behind = block.offset + u64::from(block.length);
        // The table and the trailer look like no block, or like one that is damaged.
        if behind > length || !held.fill(file, blocks.len(), block)? {
            break;
        }
        end += held.bytes.len() as u64;
        blocks.push(block);
        offset = behind;
    }
    Ok((blocks, end))
}

/// How many blocks a segment of this end has.
fn block_count(end: u64) -> usize {
    let bytes = end.saturating_sub(SEGMENT_HEADER as u64);
    usize::try_from(bytes.div_ceil(BLOCK_BYTES as u64)).unwrap_or(usize::MAX)
}

fn table_crc(table: &[u8], end: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table);
    hasher.update(&end.to_le_bytes());
    hasher.finalize()
}

fn block_crc(number: usize, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(number as u64).to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

impl CompressedFile {
    /// How many bytes of the segment a block has.
    fn bytes_of(&self, number: usize) -> usize {
        let from = SEGMENT_HEADER as u64 + (number * BLOCK_BYTES) as u64;
        usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX).min(BLOCK_BYTES)
    }

    /// Brings a block into `held`.
    fn hold(&self, number: usize, held: &mut HeldBlock) -> io::Result<()> {
        if held.number == Some(number) {
            return Ok(());
        }
        let length = self.bytes_of(number);
        let is_whole = match self.blocks.get(number) {
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
        while done < bytes.len() && offset + (done as u64) < self.end {
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
        Ok(self.end)
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
        (block(range.start)..=block(range.end.min(self.end).saturating_sub(1))).find_map(|number| {
            self.hold(number, &mut held).ok()?;
            let at = self.blocks.get(number)?.offset;
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
        let crc = block_crc(self.table.len() / 4, &compressed).to_le_bytes();
        self.table.extend_from_slice(&length);
        Ok([length.as_slice(), &crc, &compressed].concat())
    }

    /// The table and the trailer of a segment that ended there.
    pub(crate) fn ending(self, end: u64) -> Vec<u8> {
        let count = u32::try_from(self.table.len() / 4).expect("a segment is far below 4 GiB");
        let crc = table_crc(&self.table, end);
        let mut bytes = self.table;
        bytes.extend_from_slice(&TRAILER_MAGIC);
        bytes.extend_from_slice(&end.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}
