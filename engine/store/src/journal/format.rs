//! The bytes of segment and group headers.
//!
//! Law: every header has a CRC of its own; CRCs of a group are seeded by the segment's nonce and the
//! group's offset, so bytes that were valid elsewhere, or before, never pass here.
//!
//! Called by everything in the journal. All numbers are little-endian and of fixed width.

use crate::record::ByteReader;
use everfold_base::id::Position;
use everfold_base::time::Timestamp;

/// The format of segments as they are written.
pub(crate) const SEGMENT_FORMAT: u32 = 1;
/// That of compressed ones, and the newest that this code reads.
pub(crate) const COMPRESSED_FORMAT: u32 = 2;
/// The length of a segment's header; the first group starts here.
pub(crate) const SEGMENT_HEADER: usize = 128;
/// The length of a group's header.
pub(crate) const GROUP_HEADER: usize = 64;
/// Groups start at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;
/// The longest body of a group: more than the largest append needs, less than a segment holds.
pub(crate) const GROUP_BODY_MAX: usize = 12 * 1024 * 1024;

const SEGMENT_MAGIC: [u8; 8] = *b"EVFLDSEG";
const GROUP_MAGIC: [u8; 4] = *b"EVGR";
const ABANDONED: u32 = 1;

/// What stands at the start of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// 1, 2, … without gaps; also the file's name.
    pub(crate) number: u64,
    /// Drawn for this file; seeds its CRCs.
    pub(crate) nonce: u64,
    /// The store that the segment belongs to.
    pub(crate) store: u128,
    /// The store's epoch when the segment was made.
    pub(crate) epoch: u64,
    /// The position of the first event that goes here.
    pub(crate) first_position: Position,
    /// The sequence number of the first group that goes here.
    pub(crate) first_sequence: u64,
    /// Where the predecessor's durable groups end; 0 in the first segment.
    pub(crate) previous_end: u64,
    /// The CRC of the last group before this segment, in whatever segment; 0 where there is none.
    pub(crate) previous_crc: u32,
    /// The predecessor's tail was given up after a failed sync: what stands behind its end is nothing.
    pub(crate) previous_abandoned: bool,
    /// The latest commit time before this segment.
    pub(crate) committed_at: Timestamp,
    /// The file's length when it was made.
    pub(crate) capacity: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        self.encode_as(SEGMENT_FORMAT)
    }

    /// The header of a file of this format.
    pub(crate) fn encode_as(&self, format: u32) -> [u8; SEGMENT_HEADER] {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&format.to_le_bytes());
        let flags = if self.previous_abandoned { ABANDONED } else { 0 };
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.nonce.to_le_bytes());
        bytes.extend_from_slice(&self.store.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.first_position.0.to_le_bytes());
        bytes.extend_from_slice(&self.first_sequence.to_le_bytes());
        bytes.extend_from_slice(&self.previous_end.to_le_bytes());
        bytes.extend_from_slice(&self.committed_at.0.to_le_bytes());
        bytes.extend_from_slice(&self.capacity.to_le_bytes());
        bytes.extend_from_slice(&self.previous_crc.to_le_bytes());
        bytes.resize(SEGMENT_HEADER - 4, 0);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.try_into().expect("the fields above fill the header")
    }

    /// The format that a header names, whatever else it says.
    pub(crate) fn format_of(bytes: &[u8]) -> Option<u32> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        Some(u32::from_le_bytes(*rest.first_chunk()?)).filter(|_| *magic == SEGMENT_MAGIC)
    }

    /// Reads a header.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let damaged = |what: String| BadHeader::Damaged(what);
        if bytes.len() < SEGMENT_HEADER {
            return Err(damaged("the file is shorter than a segment's header".into()));
        }
        let (content, crc) = bytes[..SEGMENT_HEADER].split_at(SEGMENT_HEADER - 4);
        if crc != crc32fast::hash(content).to_le_bytes() {
            return Err(damaged("the segment's header fails its checksum".into()));
        }
        let mut reader = ByteReader(content);
        if reader.array::<8>().map_err(damaged)? != SEGMENT_MAGIC {
            return Err(damaged("this is no segment of a journal".into()));
        }
        let format = reader.u32().map_err(damaged)?;
        if format > COMPRESSED_FORMAT {
            return Err(BadHeader::TooNew(format));
        }
        let mut fields = || -> Result<Self, String> {
            let flags = reader.u32()?;
            Ok(Self {
                number: reader.u64()?,
                nonce: reader.u64()?,
                store: u128::from_le_bytes(reader.array()?),
                epoch: reader.u64()?,
                first_position: Position(reader.u64()?),
                first_sequence: reader.u64()?,
                previous_end: reader.u64()?,
                previous_abandoned: flags & ABANDONED != 0,
                committed_at: Timestamp(reader.i64()?),
                capacity: reader.u64()?,
                previous_crc: reader.u32()?,
            })
        };
        fields().map_err(damaged)
    }
}

/// Why a segment's header could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// Not what was written.
    Damaged(String),
    /// Written by a newer everfold, in this format.
    TooNew(u32),
}

/// What stands before a group's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    /// 1, 2, … through the whole journal.
    pub(crate) sequence: u64,
    /// The header's checksum of the group before, in whatever segment.
    pub(crate) previous_crc: u32,
    /// The body's checksum.
    pub(crate) body_crc: u32,
    /// The body's length in bytes.
    pub(crate) body_bytes: u32,
    /// The number of records.
    pub(crate) appends: u32,
    /// The first event's position.
    pub(crate) first_position: Position,
    /// The number of events.
    pub(crate) events: u32,
    /// When the group was written; never decreases.
    pub(crate) committed_at: Timestamp,
}

impl GroupHeader {
    /// The header's bytes and its checksum, for a place.
    pub(crate) fn encode(&self, nonce: u64, offset: u64) -> ([u8; GROUP_HEADER], u32) {
        let mut bytes = [0; GROUP_HEADER];
        let mut at = 8;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&self.sequence.to_le_bytes());
        put(&nonce.to_le_bytes());
        put(&self.first_position.0.to_le_bytes());
        put(&self.committed_at.0.to_le_bytes());
        put(&self.previous_crc.to_le_bytes());
        put(&self.body_crc.to_le_bytes());
        put(&self.body_bytes.to_le_bytes());
        put(&self.appends.to_le_bytes());
        put(&self.events.to_le_bytes());
        bytes[..4].copy_from_slice(&GROUP_MAGIC);
        let crc = seeded(nonce, offset, &bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// Reads the header at a place, with its checksum; `None` where there is no valid one.
    pub(crate) fn decode(bytes: &[u8], nonce: u64, offset: u64) -> Option<(Self, u32)> {
        let bytes = bytes.get(..GROUP_HEADER)?;
        if bytes[..4] != GROUP_MAGIC {
            return None;
        }
        let crc = seeded(nonce, offset, &bytes[8..]);
        if bytes[4..8] != crc.to_le_bytes() {
            return None;
        }
        let mut reader = ByteReader(&bytes[8..]);
        let mut fields = || -> Result<Option<Self>, String> {
            let sequence = reader.u64()?;
            if reader.u64()? != nonce {
                return Ok(None);
            }
            Ok(Some(Self {
                sequence,
                first_position: Position(reader.u64()?),
                committed_at: Timestamp(reader.i64()?),
                previous_crc: reader.u32()?,
                body_crc: reader.u32()?,
                body_bytes: reader.u32()?,
                appends: reader.u32()?,
                events: reader.u32()?,
            }))
        };
        Some((fields().ok()??, crc))
    }

    /// The bytes that the group takes in its segment.
    pub(crate) fn length(&self) -> u64 {
        group_length(self.body_bytes as usize)
    }

    /// The position behind the group's last event.
    pub(crate) fn next_position(&self) -> Position {
        Position(self.first_position.0 + u64::from(self.events))
    }
}

/// The bytes that a group with such a body takes in its segment.
pub(crate) fn group_length(body_bytes: usize) -> u64 {
    ((GROUP_HEADER + body_bytes) as u64).next_multiple_of(ALIGNMENT)
}

/// The checksum of a group's body.
pub(crate) fn body_crc(nonce: u64, offset: u64, body: &[u8]) -> u32 {
    seeded(nonce, offset.wrapping_add(1), body)
}

fn seeded(nonce: u64, offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&nonce.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Bytes of the length in front of a record.
pub(crate) const RECORD_LENGTH: usize = 4;

/// Splits a group's body into its records.
pub(crate) fn records(body: &[u8]) -> impl Iterator<Item = Result<&[u8], String>> {
    let mut reader = ByteReader(body);
    std::iter::from_fn(move || {
        if reader.0.is_empty() {
            return None;
        }
        let record = reader.u32().and_then(|length| reader.take(length as usize));
        if record.is_err() {
            reader.0 = &[];
        }
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> GroupHeader {
        GroupHeader {
            sequence: 7,
            previous_crc: 1,
            body_crc: 2,
            body_bytes: 100,
            appends: 3,
            first_position: Position(40),
            events: 9,
            committed_at: Timestamp(1_000),
        }
    }

    #[test]
    fn s2_a_group_is_valid_only_in_its_segment_and_at_its_offset() {
        let (bytes, crc) = group().encode(11, 128);
        assert_eq!(GroupHeader::decode(&bytes, 11, 128), Some((group(), crc)));
        assert_eq!(GroupHeader::decode(&bytes, 11, 136), None);
        assert_eq!(GroupHeader::decode(&bytes, 12, 128), None);
        assert_ne!(body_crc(11, 128, b"body"), body_crc(11, 136, b"body"));
    }

    #[test]
    fn s2_no_flipped_bit_of_a_header_passes() {
        let (bytes, _) = group().encode(11, 128);
        for bit in 0..GROUP_HEADER * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(GroupHeader::decode(&flipped, 11, 128), None, "bit {bit}");
        }
    }

    #[test]
    fn s3_a_segments_header_says_where_its_predecessor_ends() {
        let header = SegmentHeader {
            number: 2,
            nonce: 11,
            store: 5,
            epoch: 6,
            first_position: Position(41),
            first_sequence: 8,
            previous_end: 4_096,
            previous_crc: 77,
            previous_abandoned: true,
            committed_at: Timestamp(1_000),
            capacity: 16 << 20,
        };
        let mut bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..SEGMENT_HEADER * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
