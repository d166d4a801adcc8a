//! Reads streams, heads, timers and snapshots from the index.
//!
//! Law: what is given out was checked: a batch's checksum, that versions follow one another, and each event the hash of the
//! one before it.
//! A stream with a fault is an error of its own and concerns no other.
//!
//! Called on blocking threads.

use std::collections::BTreeSet;

use super::error::IndexError;
use super::index::Index;
use super::keys;
use super::values;
use super::values::BatchPlace;
use crate::error::ReadError;
use crate::index_record::{DedupRecord, HeadRecord};
use crate::record;
use crate::stream_head::{Snapshot, StreamHead};
use everfold_base::envelope::{Envelope, StreamId, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// The version that the value begins with in which a version stands, or would stand.
fn value_holding(
    db: &::sled::Db,
    stream: &StreamId,
    version: Version,
) -> Result<Option<Version>, IndexError> {
    let wanted = keys::batch(stream, version.max(Version::FIRST), u16::MAX);
    let Some(item) = db.range(keys::batches(stream).start..=wanted).next_back() else { return Ok(None) };
    Ok(Some(place_of(&item?.0)?.0))
}

fn place_of(key: &[u8]) -> Result<(Version, u16), IndexError> {
    keys::version_and_chunk(key).ok_or_else(|| IndexError::new("a key of the events is not readable"))
}

/// Calls `visit` with the key, the first version and the joined chunks of each value, until it says
/// `false`.
fn whole_values(
    items: ::sled::Iter,
    mut visit: impl FnMut(&[u8], Version, &[u8]) -> bool,
) -> Result<(), IndexError> {
    let mut value: Option<(::sled::IVec, Version, Vec<u8>)> = None;
    for item in items {
        let (key, bytes) = item?;
        let (version, chunk) = place_of(&key)?;
        match &mut value {
            Some((first, _, joined)) if chunk > 0 && first[..first.len() - 2] == key[..key.len() - 2] => {
                joined.extend_from_slice(&bytes);
            }
            _ => {
                if let Some((key, version, bytes)) = value.replace((key, version, bytes.to_vec()))
                    && !visit(&key, version, &bytes)
                {
                    return Ok(());
                }
            }
        }
    }
    if let Some((key, version, bytes)) = value {
        visit(&key, version, &bytes);
    }
    Ok(())
}

fn each_place_in(
    items: ::sled::Iter,
    visit: &mut dyn FnMut(Position, StreamId, Version),
) -> Result<(), IndexError> {
    whole_values(items, |key, version, bytes| {
        let stream = key.get(1..key.len() - 11).and_then(keys::stream_of);
        let value = values::unpacked(bytes).unwrap_or_default();
        let appends = values::appends_in(&value).unwrap_or_default();
        let mut next = version;
        for (place, record) in appends {
            let Some((stream, (head, _))) = stream.clone().zip(record::decode_outline(record).ok()) else {
                break;
            };
            visit(place.first_position, stream, next);
            next = Version(next.0 + u64::from(head.count));
        }
        true
    })
}

impl Index {
    pub(crate) fn head(&self, stream: &StreamId) -> Result<Option<HeadRecord>, IndexError> {
        self.guarded(|db| match db.get(keys::head(stream))? {
            None => Ok(None),
            Some(value) => values::decode_head(&value)
                .map(Some)
                .map_err(|what| IndexError::new(format!("the head of {stream}: {what}"))),
        })
    }

    pub(crate) fn dedup(&self, key: &Hash) -> Result<Option<DedupRecord>, IndexError> {
        self.guarded(|db| match db.get(keys::dedup(key))? {
            None => Ok(None),
            Some(value) => values::decode_dedup(&value)
                .map(Some)
                .map_err(|what| IndexError::new(format!("an idempotency entry: {what}"))),
        })
    }

    /// Up to `limit` events from a version on, none behind the position `last`.
    pub(crate) fn read(
        &self,
        stream: &StreamId,
        from: Version,
        limit: usize,
        last: Position,
    ) -> Result<Vec<Envelope>, ReadError> {
        let fault = |version, what: &str| ReadError::DamagedStream {
            stream: stream.clone(),
            version,
            what: what.to_owned(),
        };
        // Before the events, so that they hold at least as much.
        let head = self.head(stream)?.filter(|head| head.position <= last);
        let mut events: Vec<Envelope> = Vec::new();
        let mut expected = None;
        // Of the event before the first one, from which on it is read.
        let (before, mut previous) = (Version(from.0.saturating_sub(1)), Hash::ZERO);
        self.each_value(stream, before, last, |first, appends| {
            let damaged = |what| ReadError::DamagedStream { stream: stream.clone(), version: first, what };
            let mut next = expected.unwrap_or(first);
            if next != first {
                return Err(damaged(format!("batch {first} follows event {}", next.0 - 1)));
            }
            for (place, bytes) in appends {
                let (head, batch) =
                    record::decode(bytes, place.first_position, place.committed_at).map_err(damaged)?;
                if head.stream != *stream || head.first_version != next {
                    return Err(damaged(format!(
                        "batch {} of {} stands here",
                        head.first_version, head.stream
                    )));
                }
                next = Version(next.0 + u64::from(head.count));
                for event in batch {
                    if event.header.version >= from {
                        events.push(event);
                    } else if event.header.version == before {
                        previous = event.hash;
                    }
                }
            }
            expected = Some(next);
            Ok(events.len() < limit)
        })?;
        events.truncate(limit);
        let from = from.max(Version::FIRST);
        if events.first().is_some_and(|event| event.header.version != from) {
            return Err(fault(from, "the event is not in the index"));
        }
        if let Some(version) = record::first_unlinked(&events, previous) {
            return Err(ReadError::Unlinked { stream: stream.clone(), version });
        }
        let reached = events.last().map_or(Version(from.0 - 1), |event| event.header.version);
        if let Some(head) = head
            && events.len() < limit
            && reached < head.version.min(Version(from.0.saturating_add(limit as u64) - 1))
        {
            return Err(fault(reached.next(), "the event is not in the index, and the head is behind it"));
        }
        Ok(events)
    }

    /// Calls `visit` with the appends of each value from the one on that holds `from`, until it says
    /// `false`; none behind the position `last`.
    fn each_value(
        &self,
        stream: &StreamId,
        from: Version,
        last: Position,
        mut visit: impl FnMut(Version, Vec<(BatchPlace, &[u8])>) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        self.guarded(|db| {
            let mut failed = None;
            let start = value_holding(db, stream, from)?.unwrap_or(from.max(Version::FIRST));
            let range = keys::batch(stream, start, 0)..keys::batches(stream).end;
            whole_values(db.range(range), |_, version, bytes| {
                // One that is being brought in at this moment: not all of it need be there.
                if values::first_position(bytes).is_none_or(|first| first > last) {
                    return false;
                }
                let damaged = |what| ReadError::DamagedStream { stream: stream.clone(), version, what };
                let outcome = values::unpacked(bytes)
                    .map_err(damaged)
                    .and_then(|value| visit(version, values::appends_in(&value).map_err(damaged)?));
                outcome.unwrap_or_else(|error| {
                    failed = Some(error);
                    false
                })
            })?;
            Ok(failed.map_or(Ok(()), Err))
        })?
    }

    pub(crate) fn streams(
        &self,
        kind: StreamKind,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(StreamId, StreamHead)>, IndexError> {
        self.guarded(|db| {
            let mut streams = Vec::new();
            for item in db.range(keys::heads_after(kind, after)).take(limit) {
                let (key, value) = item?;
                let stream = keys::stream_of(&key[1..]);
                let stream = stream.ok_or_else(|| IndexError::new("a stream's key is not readable"))?;
                let head = values::decode_head(&value)
                    .map_err(|what| IndexError::new(format!("the head of {stream}: {what}")))?;
                streams.push((stream, head.public()));
            }
            Ok(streams)
        })
    }

    pub(crate) fn due(&self, until: Timestamp) -> Result<Vec<StreamId>, IndexError> {
        let unreadable = || IndexError::new("a key of the due streams is not readable");
        self.guarded(|db| {
            let mut due = BTreeSet::new();
            for key in db.scan_prefix([keys::BUSY]).keys() {
                due.insert(keys::stream_of(&key?[1..]).ok_or_else(unreadable)?);
            }
            for key in db.range(keys::wakes_until(until)).keys() {
                due.insert(keys::wake_of(&key?).ok_or_else(unreadable)?.1);
            }
            Ok(due.into_iter().collect())
        })
    }

    pub(crate) fn next_wake(&self) -> Result<Option<Timestamp>, IndexError> {
        self.guarded(|db| match db.scan_prefix([keys::WAKE]).keys().next() {
            None => Ok(None),
            Some(key) => keys::wake_of(&key?)
                .map(|(at, _)| Some(at))
                .ok_or_else(|| IndexError::new("a timer's key is not readable")),
        })
    }

    /// Replaces a stream's snapshots by one.
    pub(crate) fn save_snapshot(&self, stream: &StreamId, snapshot: &Snapshot) -> Result<(), IndexError> {
        self.guarded(|db| {
            // Not atomic, and need not be: one that is not whole fails its checksum and is not used.
            for key in db.range(keys::snapshots(stream)).keys() {
                db.remove(key?)?;
            }
            let mut failed = None;
            values::snapshot_chunks(snapshot, |chunk, value| {
                if let Err(error) = db.insert(keys::snapshot(stream, snapshot.fold_version, chunk), value) {
                    failed = Some(error);
                }
            });
            failed.map_or(Ok(()), |error| Err(error.into()))
        })
    }

    /// The snapshot under a fold, whole, of this history; anything else is none.
    pub(crate) fn load_snapshot(
        &self,
        stream: &StreamId,
        fold_version: u32,
    ) -> Result<Option<Snapshot>, ReadError> {
        let bytes = self.guarded(|db| {
            let mut range = keys::snapshots(stream);
            range.start = keys::snapshot(stream, fold_version, 0);
            let last = keys::snapshot(stream, fold_version, u16::MAX);
            let mut bytes = Vec::new();
            for value in db.range(range.start..=last).values() {
                bytes.extend_from_slice(&value?);
            }
            Ok(bytes)
        })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let Ok(snapshot) = values::decode_snapshot(&bytes, fold_version) else {
            tracing::warn!(%stream, "a snapshot is not whole and is not used");
            return Ok(None);
        };
        let last = self.read(stream, snapshot.version, 1, Position(u64::MAX))?;
        let known = last.first().filter(|event| event.header.version == snapshot.version);
        Ok(known.is_some_and(|event| event.hash == snapshot.hash).then_some(snapshot))
    }

    /// The append that begins with a version, with its place; an error where its value is not whole.
    pub(crate) fn batch(
        &self,
        stream: &StreamId,
        first: Version,
    ) -> Result<Option<(BatchPlace, Vec<u8>)>, IndexError> {
        self.guarded(|db| {
            let Some(version) = value_holding(db, stream, first)? else { return Ok(None) };
            let range = keys::batch(stream, version, 0)..=keys::batch(stream, version, u16::MAX);
            let mut bytes = Vec::new();
            for value in db.range(range).values() {
                bytes.extend_from_slice(&value?);
            }
            let value = values::unpacked(&bytes).map_err(IndexError::new)?;
            for (place, record) in values::appends_in(&value).map_err(IndexError::new)? {
                let (head, _) = record::decode_outline(record).map_err(IndexError::new)?;
                if head.first_version == first {
                    return Ok(Some((place, record.to_vec())));
                }
            }
            Ok(None)
        })
    }

    /// Visits the first position, stream and first version of every append that is whole.
    pub(crate) fn each_place(
        &self,
        visit: &mut dyn FnMut(Position, StreamId, Version),
    ) -> Result<(), IndexError> {
        self.guarded(|db| each_place_in(db.scan_prefix([keys::EVENTS]), visit))
    }

    /// The same of one stream alone: what of another one cannot be read does not end it.
    pub(crate) fn each_place_of(
        &self,
        stream: &StreamId,
        visit: &mut dyn FnMut(Position, StreamId, Version),
    ) -> Result<(), IndexError> {
        self.guarded(|db| each_place_in(db.range(keys::batches(stream)), visit))
    }

    /// Visits every head.
    pub(crate) fn each_head(
        &self,
        visit: &mut dyn FnMut(StreamId, Result<HeadRecord, String>),
    ) -> Result<(), IndexError> {
        self.guarded(|db| {
            for item in db.scan_prefix([keys::HEAD]) {
                let (key, value) = item?;
                let stream = keys::stream_of(&key[1..]);
                let stream = stream.ok_or_else(|| IndexError::new("a stream's key is not readable"))?;
                visit(stream, values::decode_head(&value));
            }
            Ok(())
        })
    }

    /// Visits every snapshot; one that is not whole or of another history as an error.
    pub(crate) fn each_snapshot(
        &self,
        visit: &mut dyn FnMut(StreamId, Result<Snapshot, String>),
    ) -> Result<(), ReadError> {
        let found = self.guarded(|db| {
            let mut found = Vec::new();
            for key in db.scan_prefix([keys::SNAPSHOT]).keys() {
                let key = key?;
                let place = keys::fold_and_chunk(&key);
                let stream = key.get(1..key.len().saturating_sub(7)).and_then(keys::stream_of);
                if let (Some((fold_version, 0)), Some(stream)) = (place, stream) {
                    found.push((stream, fold_version));
                }
            }
            Ok(found)
        })?;
        for (stream, fold_version) in found {
            let snapshot = match self.load_snapshot(&stream, fold_version)? {
                Some(snapshot) => Ok(snapshot),
                None => Err("it is not whole, or of another history".to_owned()),
            };
            visit(stream, snapshot);
        }
        Ok(())
    }
}
