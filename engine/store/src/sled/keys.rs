//! The keys of the index: one tree, distinguished by their first byte.
//!
//! Law: keys sort as they are read: a stream's events by version and chunk, streams by id, timers
//! by time. Ids hold no control characters, so a zero byte ends them.
//!
//! | first byte | key | value |
//! | --- | --- | --- |
//! | `b` | kind, id | nothing: the stream is busy |
//! | `d` | key's hash | where the write appended |
//! | `e` | kind, id, 0, first version, chunk | appends that follow one another |
//! | `h` | kind, id | the head |
//! | `l` | | the layout of all this |
//! | `m` | | the last position that the index holds |
//! | `s` | kind, id, 0, fold version, chunk | a snapshot |
//! | `w` | time, kind, id | nothing: the stream wakes then |
//! | `x` | time, key's hash | nothing: the write's entry was made then |

use std::ops::Range;

use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::id::Version;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

pub(crate) const LAYOUT: &[u8] = b"l";
pub(crate) const POSITION: &[u8] = b"m";
pub(crate) const BUSY: u8 = b'b';
pub(crate) const DEDUP: u8 = b'd';
pub(crate) const EVENTS: u8 = b'e';
pub(crate) const HEAD: u8 = b'h';
pub(crate) const SNAPSHOT: u8 = b's';
pub(crate) const WAKE: u8 = b'w';
pub(crate) const MADE: u8 = b'x';

fn named(first: u8, stream: &StreamId, room: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + stream.id.len() + room);
    key.push(first);
    key.push(stream.kind.code());
    key.extend_from_slice(stream.id.as_bytes());
    key
}

pub(crate) fn head(stream: &StreamId) -> Vec<u8> {
    named(HEAD, stream, 1)
}

pub(crate) fn busy(stream: &StreamId) -> Vec<u8> {
    named(BUSY, stream, 0)
}

/// A chunk of the value that starts with a version.
pub(crate) fn batch(stream: &StreamId, first: Version, chunk: u16) -> Vec<u8> {
    let mut key = named(EVENTS, stream, 11);
    key.push(0);
    key.extend_from_slice(&first.0.to_be_bytes());
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

/// All values of a stream's events.
pub(crate) fn batches(stream: &StreamId) -> Range<Vec<u8>> {
    ended(named(EVENTS, stream, 1))
}

/// First version and chunk of a value's key.
pub(crate) fn version_and_chunk(key: &[u8]) -> Option<(Version, u16)> {
    let (rest, chunk) = key.split_last_chunk::<2>()?;
    let (_, version) = rest.split_last_chunk::<8>()?;
    Some((Version(u64::from_be_bytes(*version)), u16::from_be_bytes(*chunk)))
}

pub(crate) fn snapshot(stream: &StreamId, fold_version: u32, chunk: u16) -> Vec<u8> {
    let mut key = named(SNAPSHOT, stream, 7);
    key.push(0);
    key.extend_from_slice(&fold_version.to_be_bytes());
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

/// Fold version and chunk of a snapshot's key.
pub(crate) fn fold_and_chunk(key: &[u8]) -> Option<(u32, u16)> {
    let (rest, chunk) = key.split_last_chunk::<2>()?;
    let (_, fold) = rest.split_last_chunk::<4>()?;
    Some((u32::from_be_bytes(*fold), u16::from_be_bytes(*chunk)))
}

/// All chunks of all snapshots of a stream.
pub(crate) fn snapshots(stream: &StreamId) -> Range<Vec<u8>> {
    ended(named(SNAPSHOT, stream, 1))
}

fn ended(mut start: Vec<u8>) -> Range<Vec<u8>> {
    let mut end = start.clone();
    start.push(0);
    end.push(1);
    start..end
}

pub(crate) fn wake(at: Timestamp, stream: &StreamId) -> Vec<u8> {
    let mut key = Vec::with_capacity(11 + stream.id.len());
    key.push(WAKE);
    key.extend_from_slice(&sortable(at));
    key.push(stream.kind.code());
    key.extend_from_slice(stream.id.as_bytes());
    key
}

/// All timers up to and with a time.
pub(crate) fn wakes_until(until: Timestamp) -> Range<Vec<u8>> {
    let mut end = vec![WAKE];
    match until.0.checked_add(1) {
        Some(after) => end.extend_from_slice(&sortable(Timestamp(after))),
        None => end = vec![WAKE + 1],
    }
    vec![WAKE]..end
}

/// The time and stream of a timer's key.
pub(crate) fn wake_of(key: &[u8]) -> Option<(Timestamp, StreamId)> {
    let (time, rest) = key.get(1..)?.split_first_chunk::<8>()?;
    Some((from_sortable(*time), stream_of(rest)?))
}

pub(crate) fn dedup(key: &Hash) -> [u8; 33] {
    let mut bytes = [DEDUP; 33];
    bytes[1..].copy_from_slice(&key.0);
    bytes
}

pub(crate) fn made(at: Timestamp, key: &Hash) -> [u8; 41] {
    let mut bytes = [MADE; 41];
    bytes[1..9].copy_from_slice(&sortable(at));
    bytes[9..].copy_from_slice(&key.0);
    bytes
}

/// The time and the idempotency key of an entry's age.
pub(crate) fn made_of(key: &[u8]) -> Option<(Timestamp, Hash)> {
    let (time, rest) = key.get(1..)?.split_first_chunk::<8>()?;
    Some((from_sortable(*time), Hash(rest.try_into().ok()?)))
}

/// The stream of what follows the first byte of a head's or busy stream's key.
pub(crate) fn stream_of(rest: &[u8]) -> Option<StreamId> {
    let (kind, id) = rest.split_first()?;
    Some(StreamId { kind: StreamKind::from_code(*kind)?, id: std::str::from_utf8(id).ok()?.into() })
}

/// Heads of a kind with ids after one.
pub(crate) fn heads_after(kind: StreamKind, after: Option<&str>) -> Range<Vec<u8>> {
    let mut start = vec![HEAD, kind.code()];
    if let Some(after) = after {
        start.extend_from_slice(after.as_bytes());
        start.push(0);
    }
    start..vec![HEAD, kind.code() + 1]
}

fn sortable(at: Timestamp) -> [u8; 8] {
    (at.0 ^ i64::MIN).to_be_bytes()
}

fn from_sortable(bytes: [u8; 8]) -> Timestamp {
    Timestamp(i64::from_be_bytes(bytes) ^ i64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_they_are_read() {
        let (a, ab) = (StreamId::engine("a"), StreamId::engine("ab"));
        assert!(batch(&a, Version(2), 1) < batch(&a, Version(10), 0));
        assert!(batches(&a).contains(&batch(&a, Version(u64::MAX), u16::MAX)));
        assert!(!batches(&a).contains(&batch(&ab, Version(1), 0)));
        assert!(wake(Timestamp(-5), &a) < wake(Timestamp(3), &a));
        assert!(wakes_until(Timestamp(3)).contains(&wake(Timestamp(3), &ab)));
        assert!(!wakes_until(Timestamp(3)).contains(&wake(Timestamp(4), &a)));
        assert_eq!(wake_of(&wake(Timestamp(3), &ab)), Some((Timestamp(3), ab)));
        assert_eq!(version_and_chunk(&batch(&a, Version(7), 3)), Some((Version(7), 3)));
        assert!(!heads_after(StreamKind::Engine, Some("a")).contains(&head(&a)));
    }
}
