//! Where the blocks of a compressed segment lie in its file.
//!
//! Law: how long the blocks are stands in front of each and once more at the end of the file. While one of the two is what was
//! written, or the frames themselves tell, no block is lost that is whole; and a copy that is not what was written is named.
//!
//! Called by `compressed`, which reads the blocks, and by verification.

use std::io;

use super::format::SEGMENT_HEADER;
use crate::files::StoreFile;

/// Bytes of the segment in a block.
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;
/// Bytes in front of a block: its length, its checksum.
pub(super) const FRONT_BYTES: usize = 8;
/// Bytes at the end of the file.
const TRAILER_BYTES: usize = 24;
const TRAILER_MAGIC: [u8; 8] = *b"EVFLDEND";
/// What each frame of Zstandard begins with.
const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// No file of a segment is longer; what stands behind is not searched for blocks.
const SEARCHED_MAX: u64 = 128 * 1024 * 1024;
/// So many blocks in a row may be damaged, and the next one is still known by its number.
const DAMAGED_MAX: usize = 1024;

/// Where a block lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockPlace {
    /// Where its compressed bytes are.
    pub(super) offset: u64,
    pub(super) length: u32,
}

impl BlockPlace {
    /// Behind its last byte.
    fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// The blocks of a file, and where the segment ended that they were made from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockLayout {
    pub(super) blocks: Vec<BlockPlace>,
    pub(super) end: u64,
}

/// A copy of the lengths that is not what was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LengthFault {
    /// The first byte of the file that is not.
    pub(super) offset: u64,
    pub(super) what: String,
}

impl BlockLayout {
    /// The layout of a file: as its end says, or, where that is not what was written, as the blocks themselves do.
    pub(super) fn find(file: &dyn StoreFile) -> io::Result<Self> {
        let length = file.length()?;
        match Self::of_table(file, length)? {
            Some(found) => Ok(found),
            None => {
                let searched = usize::try_from(length.min(SEARCHED_MAX)).unwrap_or(usize::MAX);
                let mut bytes = vec![0; searched];
                let read = file.read_at(&mut bytes, 0)?;
                Self::search(&bytes[..read])
            }
        }
    }

    /// What the end of the file says; `None` where that is not what was written.
    fn of_table(file: &dyn StoreFile, length: u64) -> io::Result<Option<Self>> {
        let Some(at) = length.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        let Some(trailer) = read(file, at, TRAILER_BYTES)? else { return Ok(None) };
        let (end, count) = (u64_at(&trailer, 8), u32_at(&trailer, 16));
        let bytes = u64::from(count) * 4;
        if trailer[..8] != TRAILER_MAGIC || bytes > at || block_count(end) != count as usize {
            return Ok(None);
        }
        let from = at - bytes;
        let Some(table) = read(file, from, usize::try_from(bytes).unwrap_or(usize::MAX))? else {
            return Ok(None);
        };
        if table_crc(&table, end) != u32_at(&trailer, 20) {
            return Ok(None);
        }
        let mut offset = SEGMENT_HEADER as u64;
        let blocks = table.chunks(4).map(|length| {
            let block = BlockPlace { offset: offset + FRONT_BYTES as u64, length: u32_at(length, 0) };
            offset = block.end();
            block
        });
        let found = Self { blocks: blocks.collect(), end };
        // Bytes between that do not belong there: each block has to be found for itself.
        Ok((found.behind() == from).then_some(found))
    }

    /// The blocks that are whole, wherever they stand, up to the last one; those between them are damaged.
    fn search(bytes: &[u8]) -> io::Result<Self> {
        let mut blocks = Vec::new();
        let mut offset = SEGMENT_HEADER;
        loop {
            let number = blocks.len();
            if let Some(block) = whole_block(bytes, offset, number) {
                offset = block.offset as usize + block.length as usize;
                blocks.push(block);
                continue;
            }
            let Some((at, next)) = next_whole_block(bytes, offset, number) else { break };
            let length = at.saturating_sub(offset + FRONT_BYTES);
            let damaged = BlockPlace {
                offset: (offset + FRONT_BYTES) as u64,
                length: u32::try_from(length).unwrap_or(u32::MAX),
            };
            blocks.resize(next, damaged);
            offset = at;
        }
        let mut end = SEGMENT_HEADER as u64;
        if let Some(last) = blocks.last() {
            let from = last.offset as usize;
            let bytes = zstd::bulk::decompress(&bytes[from..from + last.length as usize], BLOCK_BYTES)?;
            end += ((blocks.len() - 1) * BLOCK_BYTES + bytes.len()) as u64;
        }
        Ok(Self { blocks, end })
    }

    /// Where the lengths at the end of the file stand.
    fn behind(&self) -> u64 {
        self.blocks.last().map_or(SEGMENT_HEADER as u64, BlockPlace::end)
    }

    /// What of either copy of the lengths is not what was written, the first place of each.
    pub(super) fn faults(&self, file: &dyn StoreFile) -> io::Result<Vec<LengthFault>> {
        let (mut first, mut number) = (None, 0_u64);
        for (block, place) in self.blocks.iter().enumerate() {
            let at = place.offset - FRONT_BYTES as u64;
            let front = read(file, at, FRONT_BYTES)?.unwrap_or_default();
            if let Some(byte) = difference(front.get(..4).unwrap_or_default(), &place.length.to_le_bytes()) {
                first.get_or_insert((at + byte, block, u32_at(&front, 0), place.length));
                number += 1;
            }
        }
        let mut faults = Vec::new();
        if let Some((offset, block, said, length)) = first {
            let more =
                if number > 1 { format!(", and {} more are wrong", number - 1) } else { String::new() };
            let what =
                format!("the length in front of block {block} says {said} bytes, and it has {length}{more}");
            faults.push(LengthFault { offset, what });
        }
        let from = self.behind();
        let table: Vec<u8> = self.blocks.iter().flat_map(|block| block.length.to_le_bytes()).collect();
        let expected = ending(table, self.end);
        let left = file.length()?.saturating_sub(from);
        let compared = usize::try_from(left).unwrap_or(usize::MAX).min(expected.len());
        let found = read(file, from, compared)?.unwrap_or_default();
        let fault = match difference(&found, &expected) {
            Some(byte) if byte == found.len() as u64 => {
                let lacking = expected.len() - found.len();
                Some((
                    byte,
                    format!("the file's last {lacking} bytes are missing, with lengths of the blocks"),
                ))
            }
            Some(byte) => {
                let what = "the lengths of the blocks at the end of the file are not what was written";
                Some((byte, what.to_owned()))
            }
            None if left > expected.len() as u64 => {
                let surplus = left - expected.len() as u64;
                let what =
                    format!("{surplus} bytes stand behind the lengths of the blocks, where the file ended");
                Some((expected.len() as u64, what))
            }
            None => None,
        };
        faults.extend(fault.map(|(byte, what)| LengthFault { offset: from + byte, what }));
        Ok(faults)
    }
}

/// The first byte in which `found` is not `expected`; its end, where that is all.
fn difference(found: &[u8], expected: &[u8]) -> Option<u64> {
    let different = found.iter().zip(expected).position(|(one, other)| one != other);
    let at = different.or((found.len() < expected.len()).then_some(found.len()))?;
    Some(at as u64)
}

/// The block of this number whose front stands at `offset`, if it is whole. Where the length in front is not, the frame
/// tells how long it is.
fn whole_block(bytes: &[u8], offset: usize, number: usize) -> Option<BlockPlace> {
    let from = offset + FRONT_BYTES;
    let rest = bytes.get(from..)?;
    let rest = &rest[..rest.len().min(length_max())];
    let (said, crc) = (u32_at(bytes, offset) as usize, u32_at(bytes, offset + 4));
    let is_whole = |length: &usize| rest.get(..*length).is_some_and(|block| block_crc(number, block) == crc);
    let length = Some(said)
        .filter(is_whole)
        .or_else(|| zstd::zstd_safe::find_frame_compressed_size(rest).ok().filter(is_whole))?;
    Some(BlockPlace { offset: from as u64, length: u32::try_from(length).ok()? })
}

/// Where the front of the next whole block behind a damaged place stands, and its number, which is that one or a later one.
fn next_whole_block(bytes: &[u8], from: usize, number: usize) -> Option<(usize, usize)> {
    let behind = bytes.get(from + FRONT_BYTES + 1..)?;
    behind.windows(FRAME_MAGIC.len()).enumerate().filter(|(_, window)| *window == FRAME_MAGIC).find_map(
        |(at, _)| {
            let offset = from + 1 + at;
            let length = Some(u32_at(bytes, offset) as usize).filter(|length| *length <= length_max())?;
            let block = bytes.get(offset + FRONT_BYTES..)?.get(..length)?;
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(block);
            let crc = u32_at(bytes, offset + 4);
            let found =
                (number..number + DAMAGED_MAX).find(|number| numbered_crc(*number, &hasher) == crc)?;
            Some((offset, found))
        },
    )
}

/// The longest that a compressed block can be.
pub(super) fn length_max() -> usize {
    zstd::zstd_safe::compress_bound(BLOCK_BYTES)
}

/// Reads exactly so many bytes; `None` where the file has fewer.
pub(super) fn read(file: &dyn StoreFile, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, offset)?;
    Ok((read == length).then_some(bytes))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
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

/// The checksum of a block of this number.
pub(super) fn block_crc(number: usize, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes);
    numbered_crc(number, &hasher)
}

fn numbered_crc(number: usize, block: &crc32fast::Hasher) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(number as u64).to_le_bytes());
    hasher.combine(block);
    hasher.finalize()
}

/// What stands behind the last block of a segment that ended there: the lengths, each 4 bytes, and the trailer.
pub(super) fn ending(lengths: Vec<u8>, end: u64) -> Vec<u8> {
    let count = u32::try_from(lengths.len() / 4).expect("a segment is far below 4 GiB");
    let crc = table_crc(&lengths, end);
    let mut bytes = lengths;
    bytes.extend_from_slice(&TRAILER_MAGIC);
    bytes.extend_from_slice(&end.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}
