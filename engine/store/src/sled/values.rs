//! The values of the index, and how long ones are cut into chunks.
//!
//! Law: no value is longer than 8 KiB, because sled never syncs what is much longer. A value of events
//! or a snapshot carries its length and checksum, so one that lacks a chunk is noticed.
//!
//! Called by the parts of the index that write and read.

use std::borrow::Cow;

use super::packing;
use crate::append::{DedupKeep, Fence};
use crate::index_record::{DedupRecord, HeadRecord};
use crate::record::ByteReader;
use crate::stream_head::{Snapshot, StreamNote};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// The longest value. A leaf holds up to 17 values and stays far below a quarter of a segment of sled's:
/// what is larger goes to a file of its own, which sled never syncs.
pub(crate) const CHUNK_BYTES: usize = 8 * 1024;

const OPEN: u8 = 1;
const BUSY: u8 = 2;
const WAKE: u8 = 4;
const FENCE: u8 = 8;

pub(crate) fn encode_head(head: &HeadRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(65);
    bytes.extend_from_slice(&head.version.0.to_le_bytes());
    bytes.extend_from_slice(&head.position.0.to_le_bytes());
    bytes.extend_from_slice(&head.hash.0);
    let bits = [
        (head.note.open, OPEN),
        (head.note.busy, BUSY),
        (head.note.wake_at.is_some(), WAKE),
        (head.fence.is_some(), FENCE),
    ];
    bytes.push(bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit));
    if let Some(wake_at) = head.note.wake_at {
        bytes.extend_from_slice(&wake_at.0.to_le_bytes());
    }
    if let Some(Fence(fence)) = head.fence {
        bytes.extend_from_slice(&fence.to_le_bytes());
    }
    bytes
}

pub(crate) fn decode_head(bytes: &[u8]) -> Result<HeadRecord, String> {
    let mut reader = ByteReader(bytes);
    let (version, position) = (Version(reader.u64()?), Position(reader.u64()?));
    let hash = Hash(reader.array()?);
    let bits = reader.u8()?;
    let wake_at = if bits & WAKE == 0 { None } else { Some(Timestamp(reader.i64()?)) };
    let fence = if bits & FENCE == 0 { None } else { Some(Fence(reader.u64()?)) };
    reader.end()?;
    let note = StreamNote { open: bits & OPEN != 0, busy: bits & BUSY != 0, wake_at };
    Ok(HeadRecord { version, hash, position, note, fence })
}

pub(crate) fn encode_dedup(dedup: &DedupRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(61);
    bytes.extend_from_slice(&dedup.body.0);
    bytes.push(u8::from(dedup.keep == DedupKeep::Stream));
    bytes.extend_from_slice(&dedup.first_version.0.to_le_bytes());
    bytes.extend_from_slice(&dedup.first_position.0.to_le_bytes());
    bytes.extend_from_slice(&dedup.count.to_le_bytes());
    bytes.extend_from_slice(&dedup.committed_at.0.to_le_bytes());
    bytes
}

pub(crate) fn decode_dedup(bytes: &[u8]) -> Result<DedupRecord, String> {
    let mut reader = ByteReader(bytes);
    let record = DedupRecord {
        body: Hash(reader.array()?),
        keep: if reader.u8()? == 0 { DedupKeep::Week } else { DedupKeep::Stream },
        first_version: Version(reader.u64()?),
        first_position: Position(reader.u64()?),
        count: reader.u32()?,
        committed_at: Timestamp(reader.i64()?),
    };
    reader.end()?;
    Ok(record)
}

/// What stands before an append's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchPlace {
    pub(crate) committed_at: Timestamp,
    pub(crate) first_position: Position,
}

/// Bytes before an append's record: commit time, first position, length.
const PLACE_BYTES: usize = 20;
/// Where the first append's position stands in joined appends.
const FIRST_POSITION: std::ops::Range<usize> = 8..16;
/// Bytes before a whole value: length, checksum.
const FRONT_BYTES: usize = 8;
/// Bytes before the joined appends of a value of events: the first position, how many bytes were compressed.
const EVENTS_FRONT_BYTES: usize = 8 + packing::PACKED_FRONT;

/// A value of one append.
pub(crate) fn joined(place: &BatchPlace, record: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(PLACE_BYTES + record.len());
    join(&mut value, place, record);
    value
}

/// Whether an append can join others in a value of one chunk.
pub(crate) fn fits(value: &[u8], record: &[u8]) -> bool {
    FRONT_BYTES + EVENTS_FRONT_BYTES + value.len() + PLACE_BYTES + record.len() <= CHUNK_BYTES
}

/// Adds an append to those of a value.
pub(crate) fn join(value: &mut Vec<u8>, place: &BatchPlace, record: &[u8]) {
    value.extend_from_slice(&place.committed_at.0.to_le_bytes());
    value.extend_from_slice(&place.first_position.0.to_le_bytes());
    let length = u32::try_from(record.len()).expect("an append is bounded far below 4 GiB");
    value.extend_from_slice(&length.to_le_bytes());
    value.extend_from_slice(record);
}

/// Calls `put` with the chunks of joined appends.
pub(crate) fn event_chunks(value: &[u8], put: impl FnMut(u16, Vec<u8>)) {
    // In front of what is compressed: it says whether a reader may look at the rest.
    let first_position = &value[FIRST_POSITION];
    chunks(first_position, &packing::pack(value), put);
}

/// The joined appends of a value whose chunks are joined, for [`appends_in`].
pub(crate) fn unpacked(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let mut reader = ByteReader(whole(bytes)?);
    let first_position = reader.u64()?.to_le_bytes();
    let value = packing::unpack(reader.0)?;
    match value.get(FIRST_POSITION) {
        Some(found) if found == first_position => Ok(value),
        _ => Err("it is of another position than it says".into()),
    }
}

/// The appends that [`join`] put together.
pub(crate) fn appends_in(value: &[u8]) -> Result<Vec<(BatchPlace, &[u8])>, String> {
    let mut reader = ByteReader(value);
    let mut appends = Vec::new();
    while !reader.0.is_empty() {
        let committed_at = Timestamp(reader.i64()?);
        let first_position = Position(reader.u64()?);
        let length = reader.u32()?;
        appends.push((BatchPlace { committed_at, first_position }, reader.take(length as usize)?));
    }
    Ok(appends)
}

/// The first position of a value whose first chunk is there, whatever the rest is; none of a bare key,
/// whose value is still on its way.
pub(crate) fn first_position(bytes: &[u8]) -> Option<Position> {
    let place = bytes.get(FRONT_BYTES..FRONT_BYTES + 8)?;
    Some(Position(u64::from_le_bytes(place.try_into().ok()?)))
}

/// Calls `put` with the chunks of a snapshot.
pub(crate) fn snapshot_chunks(snapshot: &Snapshot, put: impl FnMut(u16, Vec<u8>)) {
    let mut front = Vec::with_capacity(48);
    front.extend_from_slice(&snapshot.version.0.to_le_bytes());
    front.extend_from_slice(&snapshot.hash.0);
    chunks(&front, &snapshot.bytes, put);
}

/// Reads what [`snapshot_chunks`] wrote, joined.
pub(crate) fn decode_snapshot(bytes: &[u8], fold_version: u32) -> Result<Snapshot, String> {
    let mut reader = ByteReader(whole(bytes)?);
    let (version, hash) = (Version(reader.u64()?), Hash(reader.array()?));
    Ok(Snapshot { version, hash, fold_version, bytes: reader.0.to_vec() })
}

/// Calls `put` with the chunks of a value.
pub(crate) fn chunks(front: &[u8], rest: &[u8], mut put: impl FnMut(u16, Vec<u8>)) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(front);
    crc.update(rest);
    let length = u32::try_from(front.len() + rest.len()).expect("batches and snapshots are far below 4 GiB");
    let mut chunk = Vec::with_capacity((8 + front.len() + rest.len()).min(CHUNK_BYTES));
    chunk.extend_from_slice(&length.to_le_bytes());
    chunk.extend_from_slice(&crc.finalize().to_le_bytes());
    chunk.extend_from_slice(front);
    let (first, rest) = rest.split_at(rest.len().min(CHUNK_BYTES - chunk.len()));
    chunk.extend_from_slice(first);
    put(0, chunk);
    for (number, piece) in (1..).zip(rest.chunks(CHUNK_BYTES)) {
        put(number, piece.to_vec());
    }
}

fn whole(bytes: &[u8]) -> Result<&[u8], String> {
    let mut reader = ByteReader(bytes);
    let (length, crc) = (reader.u32()?, reader.u32()?);
    if reader.0.len() != length as usize {
        return Err(format!("{} bytes are there of {length}", reader.0.len()));
    }
    if crc32fast::hash(reader.0) != crc {
        return Err("the checksum is wrong".into());
    }
    Ok(reader.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that no compression makes fewer (xorshift).
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn s5_values_have_at_most_8_kib_and_a_lost_chunk_is_noticed() {
        let place = BatchPlace { committed_at: Timestamp(7), first_position: Position(9) };
        for length in [0, 1, CHUNK_BYTES - 41, CHUNK_BYTES - 40, CHUNK_BYTES - 39, CHUNK_BYTES, 100_000] {
            for record in [noise(length), vec![7; length]] {
                let mut pieces = Vec::new();
                event_chunks(&joined(&place, &record), |number, piece| {
                    assert_eq!(usize::from(number), pieces.len());
                    assert!(piece.len() <= CHUNK_BYTES);
                    pieces.push(piece);
                });
                assert_eq!(first_position(&pieces[0]), Some(place.first_position));
                let value = pieces.concat();
                assert_eq!(appends_in(&unpacked(&value).unwrap()), Ok(vec![(place, record.as_slice())]));
                pieces.pop();
                assert!(unpacked(&pieces.concat()).is_err());
            }
        }
    }

    #[test]
    fn s5_appends_of_a_stream_share_a_value_as_long_as_they_fit_into_one_chunk() {
        let place = |at| BatchPlace { committed_at: Timestamp(7), first_position: Position(at) };
        let record = noise(1_000);
        let mut value = joined(&place(1), &record);
        let mut count = 1;
        while fits(&value, &record) {
            count += 1;
            join(&mut value, &place(count), &record);
        }
        assert_eq!(count, 8);
        let mut pieces = Vec::new();
        event_chunks(&value, |_, piece| pieces.push(piece));
        assert_eq!(pieces.len(), 1);
        let value = unpacked(&pieces[0]).unwrap();
        let places: Vec<_> = appends_in(&value).unwrap().into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, (1..=8).map(place).collect::<Vec<_>>());
    }

    #[test]
    fn s5_a_compressed_value_with_a_flipped_bit_is_noticed() {
        let place = BatchPlace { committed_at: Timestamp(7), first_position: Position(9) };
        let mut pieces = Vec::new();
        event_chunks(&joined(&place, &[7; 2_000]), |_, piece| pieces.push(piece));
        let mut value = pieces.concat();
        assert!(value.len() < 200, "{} bytes", value.len());
        for bit in 0..value.len() * 8 {
            value[bit / 8] ^= 1 << (bit % 8);
            assert!(unpacked(&value).is_err(), "bit {bit}");
            value[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
