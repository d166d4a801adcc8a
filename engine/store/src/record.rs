//! The stored bytes of one append: what a frame of the journal and a value of the index hold.
//!
//! Law: a record alone, with its first position and commit time, gives everything back that was
//! appended, and all that the index needs: stream, versions, hashes, note, dedup entry, fence.
//! What the events of one input share (time, actor, cause) is stored once. The payload hash is not
//! stored: it is the hash of the payload.
//!
//! `encode` is called by `append` on the caller's task, the rest by every reader.

use std::io::Write as _;

use super::append::{Append, Dedup, DedupKeep, Fence};
use super::stream_head::StreamNote;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, Envelope, EventHeader, EventView, StreamId, StreamKind};
use everfold_base::id::{InputId, Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// The format of records that this code writes, and the newest that it reads.
const FORMAT: u8 = 1;

const OPEN: u8 = 1;
const BUSY: u8 = 2;
const WAKE: u8 = 4;
const DEDUP: u8 = 8;
const DEDUP_STREAM: u8 = 16;
const FENCE: u8 = 32;

/// The event has the time, actor and cause of the one before it.
const SHARED: u8 = 1;

/// Everything of a record but its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordHead {
    /// The stream.
    pub(crate) stream: StreamId,
    /// The first event's version.
    pub(crate) first_version: Version,
    /// The number of events.
    pub(crate) count: u32,
    /// The runtime's note.
    pub(crate) note: StreamNote,
    /// The idempotency entry.
    pub(crate) dedup: Option<Dedup>,
    /// The writer's token.
    pub(crate) fence: Option<Fence>,
}

/// Appends the record of `append` to `bytes`.
///
/// The caller has checked the append: ids fit their length bytes.
pub(crate) fn encode(append: &Append, bytes: &mut Vec<u8>) {
    bytes.push(FORMAT);
    bytes.push(append.stream.kind.code());
    bytes.push(u8::try_from(append.stream.id.len()).expect("checked: ids have at most 255 bytes"));
    bytes.extend_from_slice(append.stream.id.as_bytes());
    let keep = append.dedup.map(|dedup| dedup.keep);
    let bits = [
        (append.note.open, OPEN),
        (append.note.busy, BUSY),
        (append.note.wake_at.is_some(), WAKE),
        (append.dedup.is_some(), DEDUP),
        (keep == Some(DedupKeep::Stream), DEDUP_STREAM),
        (append.fence.is_some(), FENCE),
    ];
    bytes.push(bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit));
    bytes.extend_from_slice(&append.expected.next().0.to_le_bytes());
    let count = u32::try_from(append.events.len()).expect("checked: at most 1,000 events");
    bytes.extend_from_slice(&count.to_le_bytes());
    if let Some(wake_at) = append.note.wake_at {
        bytes.extend_from_slice(&wake_at.0.to_le_bytes());
    }
    if let Some(dedup) = append.dedup {
        bytes.extend_from_slice(&dedup.key.0);
        bytes.extend_from_slice(&dedup.body.0);
    }
    if let Some(fence) = append.fence {
        bytes.extend_from_slice(&fence.0.to_le_bytes());
    }
    encode_events(append, bytes);
}

fn encode_events(append: &Append, bytes: &mut Vec<u8>) {
    let mut previous: Option<&EventHeader> = None;
    for event in &append.events {
        let header = &event.header;
        let shared = previous.is_some_and(|previous| {
            previous.recorded_at == header.recorded_at
                && previous.cause == header.cause
                && previous.actor == header.actor
        });
        bytes.push(if shared { SHARED } else { 0 });
        bytes.extend_from_slice(&header.kind.to_le_bytes());
        bytes.extend_from_slice(&header.schema.to_le_bytes());
        bytes.extend_from_slice(&header.flags.to_le_bytes());
        if !shared {
            bytes.extend_from_slice(&header.recorded_at.0.to_le_bytes());
            bytes.extend_from_slice(&header.cause.input.0);
            bytes.extend_from_slice(&header.cause.because.0.to_le_bytes());
            let length_at = bytes.len();
            bytes.extend_from_slice(&[0; 2]);
            // Writing to a Vec cannot fail.
            let _infallible = write!(bytes, "{}", header.actor);
            let length = u16::try_from(bytes.len() - length_at - 2).expect("checked: names are short");
            bytes[length_at..length_at + 2].copy_from_slice(&length.to_le_bytes());
        }
        bytes.extend_from_slice(&event.hash.0);
        let length = u32::try_from(event.payload.len()).expect("checked: at most 4 MiB");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&event.payload);
        previous = Some(header);
    }
}

/// Reads the head and the last event's hash, without looking at payloads.
pub(crate) fn decode_outline(bytes: &[u8]) -> Result<(RecordHead, Hash), String> {
    let mut reader = ByteReader(bytes);
    let head = read_head(&mut reader)?;
    let mut last = Hash::ZERO;
    for _ in 0..head.count {
        let bits = reader.u8()?;
        reader.take(6)?;
        if bits & SHARED == 0 {
            reader.take(32)?;
            let length = reader.u16()?;
            reader.take(usize::from(length))?;
        }
        last = Hash(reader.array()?);
        let length = reader.u32()?;
        reader.take(length as usize)?;
    }
    reader.end()?;
    Ok((head, last))
}

/// What stands of an event in a record, beside what it shares with the one before it.
struct RawEvent<'a> {
    kind: u16,
    schema: u16,
    flags: u16,
    hash: Hash,
    payload: &'a [u8],
}

/// What events of a record may share.
struct SharedHeader {
    recorded_at: Timestamp,
    cause: Cause,
    actor: Actor,
}

/// Goes through the events behind the head.
fn parts<'a>(
    reader: &mut ByteReader<'a>,
    count: u32,
    mut each: impl FnMut(u64, &SharedHeader, RawEvent<'a>),
) -> Result<(), String> {
    let mut shared: Option<SharedHeader> = None;
    for index in 0..u64::from(count) {
        let bits = reader.u8()?;
        let (kind, schema, flags) = (reader.u16()?, reader.u16()?, reader.u16()?);
        if bits & SHARED == 0 {
            let recorded_at = Timestamp(reader.i64()?);
            let input = InputId(reader.array()?);
            let cause = Cause { input, because: Version(reader.u64()?) };
            let length = reader.u16()?;
            let text = reader.text(usize::from(length))?;
            let actor = text.parse().map_err(|_| format!("“{text}” is no actor"))?;
            shared = Some(SharedHeader { recorded_at, cause, actor });
        }
        let shared = shared.as_ref().ok_or("the first event shares with none")?;
        let hash = Hash(reader.array()?);
        let length = reader.u32()?;
        let payload = reader.take(length as usize)?;
        each(index, shared, RawEvent { kind, schema, flags, hash, payload });
    }
    reader.end()
}

/// Reads head and events.
///
/// # Errors
/// What was found instead.
pub(crate) fn decode(
    bytes: &[u8],
    first_position: Position,
    committed_at: Timestamp,
) -> Result<(RecordHead, Vec<Envelope>), String> {
    let mut reader = ByteReader(bytes);
    let head = read_head(&mut reader)?;
    let mut events: Vec<Envelope> = Vec::with_capacity((head.count as usize).min(super::APPEND_EVENTS_MAX));
    parts(&mut reader, head.count, |index, shared, part| {
        let RawEvent { kind, schema, flags, hash, payload } = part;
        events.push(Envelope {
            header: EventHeader {
                stream: head.stream.clone(),
                version: Version(head.first_version.0 + index),
                recorded_at: shared.recorded_at,
                actor: shared.actor.clone(),
                cause: shared.cause,
                kind,
                schema,
                flags,
                payload_hash: Hash::of(payload),
            },
            hash,
            position: Position(first_position.0 + index),
            committed_at,
            payload: payload.to_vec(),
        });
    })?;
    Ok((head, events))
}

/// The first of a record's events that does not follow the hash of the one before it; `previous`: that of the one before
/// the first.
pub(crate) fn first_unlinked(events: &[Envelope], previous: Hash) -> Option<Version> {
    let mut previous = &previous;
    // Decoding has hashed the payload.
    let unlinked = events.iter().find(|event| {
        let is_linked = event.hash == event.header.chain(previous);
        previous = &event.hash;
        !is_linked
    });
    unlinked.map(|event| event.header.version)
}

/// Calls `each` with every event, borrowed from the bytes; returns how many there are.
///
/// # Errors
/// What was found instead; those before it were shown.
pub(crate) fn show(
    bytes: &[u8],
    first_position: Position,
    mut each: impl FnMut(&EventView<'_>),
) -> Result<u64, String> {
    let mut reader = ByteReader(bytes);
    let head = read_head(&mut reader)?;
    parts(&mut reader, head.count, |index, shared, part| {
        each(&EventView {
            stream: &head.stream,
            version: Version(head.first_version.0 + index),
            position: Position(first_position.0 + index),
            recorded_at: shared.recorded_at,
            actor: &shared.actor,
            kind: part.kind,
            schema: part.schema,
            flags: part.flags,
            payload: part.payload,
        });
    })?;
    Ok(u64::from(head.count))
}

fn read_head(reader: &mut ByteReader<'_>) -> Result<RecordHead, String> {
    let format = reader.u8()?;
    if format != FORMAT {
        return Err(format!("a record of format {format}; this everfold reads {FORMAT}"));
    }
    let kind = reader.u8()?;
    let kind = StreamKind::from_code(kind).ok_or_else(|| format!("no kind of stream has number {kind}"))?;
    let length = reader.u8()?;
    let id = reader.text(usize::from(length))?.into();
    let bits = reader.u8()?;
    let first_version = Version(reader.u64()?);
    let count = reader.u32()?;
    if first_version == Version::ZERO || count == 0 || count as usize > super::APPEND_EVENTS_MAX {
        return Err(format!("a batch of {count} events from version {first_version}"));
    }
    let wake_at = if bits & WAKE == 0 { None } else { Some(Timestamp(reader.i64()?)) };
    let dedup = if bits & DEDUP == 0 {
        None
    } else {
        let keep = if bits & DEDUP_STREAM == 0 { DedupKeep::Week } else { DedupKeep::Stream };
        Some(Dedup { key: Hash(reader.array()?), body: Hash(reader.array()?), keep })
    };
    let fence = if bits & FENCE == 0 { None } else { Some(Fence(reader.u64()?)) };
    Ok(RecordHead {
        stream: StreamId { kind, id },
        first_version,
        count,
        note: StreamNote { open: bits & OPEN != 0, busy: bits & BUSY != 0, wake_at },
        dedup,
        fence,
    })
}

/// Takes fixed-width little-endian numbers and runs of bytes from the front.
pub(crate) struct ByteReader<'a>(pub(crate) &'a [u8]);

impl<'a> ByteReader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        if length > self.0.len() {
            return Err(format!("{length} bytes expected where {} are left", self.0.len()));
        }
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("take gives as many bytes as asked for"))
    }

    pub(crate) fn text(&mut self, length: usize) -> Result<&'a str, String> {
        std::str::from_utf8(self.take(length)?).map_err(|error| error.to_string())
    }

    pub(crate) fn u8(&mut self) -> Result<u8, String> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, String> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn end(&self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", self.0.len())) }
    }
}
