//! What surrounds an event in a stream, and the hash chain over it.
//!
//! Law: `hash = BLAKE3(previous hash ‖ header)`, where the header holds the hash of the stored
//! payload bytes. Position, commit time and grouping stand outside, so that a stream keeps its
//! hashes in every store, and payloads can be erased without breaking the chain.
//!
//! Called by the shard, which encodes and hashes, and by the store, which compares.

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, ToSmolStr as _};

use crate::actor::Actor;
use crate::id::{InputId, Position, RunId, Version};
use crate::json::Hash;
use crate::time::Timestamp;

/// What a stream is about; each kind has its own events and its own pure fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// One run of a pipeline; the id is the run's UUID.
    Run,
    /// One concurrency or identity key.
    Key,
    /// One schedule.
    Schedule,
    /// One source of webhooks.
    Hook,
    /// The engine's own facts, pinned definitions among them.
    Engine,
    /// The counter of a budget that runs share.
    Budget,
}

impl StreamKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Run, Self::Key, Self::Schedule, Self::Hook, Self::Engine, Self::Budget];

    /// The number in stored bytes; never changes.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Run => 1,
            Self::Key => 2,
            Self::Schedule => 3,
            Self::Hook => 4,
            Self::Engine => 5,
            Self::Budget => 6,
        }
    }

    /// The kind of a stored number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The word before the slash in a stream's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Key => "key",
            Self::Schedule => "schedule",
            Self::Hook => "hook",
            Self::Engine => "engine",
            Self::Budget => "budget",
        }
    }
}

/// Identity of a stream. Written `run/0198…`, `engine/definition-5f3a…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// What it is about.
    pub kind: StreamKind,
    /// Which one; at most [`StreamId::ID_BYTES_MAX`] bytes of UTF-8 without control characters.
    pub id: SmolStr,
}

impl StreamId {
    /// The longest id in bytes.
    pub const ID_BYTES_MAX: usize = 255;

    /// The stream of a run.
    #[must_use]
    pub fn run(run: RunId) -> Self {
        Self { kind: StreamKind::Run, id: run.to_smolstr() }
    }

    /// A stream of the engine's own.
    #[must_use]
    pub fn engine(id: impl Into<SmolStr>) -> Self {
        Self { kind: StreamKind::Engine, id: id.into() }
    }

    /// The run, where this is a run's stream.
    #[must_use]
    pub fn as_run(&self) -> Option<RunId> {
        if self.kind == StreamKind::Run { self.id.parse().ok() } else { None }
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.id)
    }
}

/// Why an event is there: the input that was decided on, and what the decider knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The input; all events of one input share it.
    pub input: InputId,
    /// The stream's version that the input was decided on.
    pub because: Version,
}

/// The part of an event that its hash covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHeader {
    /// The stream.
    pub stream: StreamId,
    /// The place in the stream.
    pub version: Version,
    /// The input's time: the clock, or the run's last time if that is later.
    pub recorded_at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// Why it is there.
    pub cause: Cause,
    /// Which kind of event the payload is; numbers are given in the event's codec.
    pub kind: u16,
    /// The payload's format within its kind.
    pub schema: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// BLAKE3 of the stored payload bytes.
    pub payload_hash: Hash,
}

/// Bits of an event's flags.
pub mod flag {
    /// The event was copied from another run by a fork; spend, metrics and audit skip it.
    pub const COPIED: u16 = 1;
    /// The event was recorded by another system and brought over when it was over: nobody is told of it.
    pub const IMPORTED: u16 = 2;
    /// What happened before the run was one of this store: no notice, log line, metric or trace follows.
    pub const FORMER: u16 = COPIED | IMPORTED;
}

impl EventHeader {
    /// The bytes that the hash covers: fixed-width little-endian numbers, texts with a `u32` length
    /// in front. Never changes; what comes later becomes a flag or a schema.
    #[must_use]
    pub fn hashed_bytes(&self) -> Vec<u8> {
        fn text(bytes: &mut Vec<u8>, text: &str) {
            // Ids and names are bounded far below 4 GiB.
            bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        let mut bytes = Vec::with_capacity(160);
        bytes.push(self.stream.kind.code());
        text(&mut bytes, &self.stream.id);
        bytes.extend_from_slice(&self.version.0.to_le_bytes());
        bytes.extend_from_slice(&self.recorded_at.0.to_le_bytes());
        text(&mut bytes, &self.actor.to_string());
        bytes.extend_from_slice(&self.cause.input.0);
        bytes.extend_from_slice(&self.cause.because.0.to_le_bytes());
        bytes.extend_from_slice(&self.kind.to_le_bytes());
        bytes.extend_from_slice(&self.schema.to_le_bytes());
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.payload_hash.0);
        bytes
    }

    /// This event's link of the chain: BLAKE3(previous ‖ header).
    #[must_use]
    pub fn chain(&self, previous: &Hash) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&previous.0);
        hasher.update(&self.hashed_bytes());
        Hash(*hasher.finalize().as_bytes())
    }
}

/// An event on its way into the store: encoded and hashed by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The hashed part.
    pub header: EventHeader,
    /// This event's link of the chain.
    pub hash: Hash,
    /// The stored bytes; their format follows from kind and schema.
    pub payload: Vec<u8>,
}

impl NewEvent {
    /// Hashes the payload and links the event to its predecessor.
    #[must_use]
    pub fn link(mut header: EventHeader, payload: Vec<u8>, previous: &Hash) -> Self {
        header.payload_hash = Hash::of(&payload);
        let hash = header.chain(previous);
        Self { header, hash, payload }
    }
}

/// An event as the store gives it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The hashed part.
    pub header: EventHeader,
    /// The link of the chain.
    pub hash: Hash,
    /// The place in the whole store.
    pub position: Position,
    /// When its group was made durable; never decreases along the positions.
    pub committed_at: Timestamp,
    /// The stored bytes.
    pub payload: Vec<u8>,
}

/// A borrowed event: a follower of the whole log reads it without a copy.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The place in the stream.
    pub version: Version,
    /// The place in the store.
    pub position: Position,
    /// The input's time.
    pub recorded_at: Timestamp,
    /// Who caused it.
    pub actor: &'a Actor,
    /// Which kind of event the payload is.
    pub kind: u16,
    /// The payload's format within its kind.
    pub schema: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// The stored bytes.
    pub payload: &'a [u8],
}

impl<'a> From<&'a Envelope> for EventView<'a> {
    fn from(envelope: &'a Envelope) -> Self {
        let header = &envelope.header;
        Self {
            stream: &header.stream,
            version: header.version,
            position: envelope.position,
            recorded_at: header.recorded_at,
            actor: &header.actor,
            kind: header.kind,
            schema: header.schema,
            flags: header.flags,
            payload: &envelope.payload,
        }
    }
}

impl Envelope {
    /// Whether payload and header belong together and the event follows `previous` in the chain.
    #[must_use]
    pub fn is_linked(&self, previous: &Hash) -> bool {
        self.header.payload_hash == Hash::of(&self.payload) && self.hash == self.header.chain(previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u64) -> EventHeader {
        EventHeader {
            stream: StreamId::engine("test"),
            version: Version(version),
            recorded_at: Timestamp(1_000),
            actor: Actor::User("ada".into()),
            cause: Cause { input: InputId([9; 16]), because: Version(version - 1) },
            kind: 3,
            schema: 1,
            flags: 0,
            payload_hash: Hash::ZERO,
        }
    }

    #[test]
    fn h1_every_hashed_field_changes_the_hash_and_the_format_is_frozen() {
        let event = NewEvent::link(header(1), b"payload".to_vec(), &Hash::ZERO);
        assert_eq!(event.hash.short(), "85260f852ab0");
        let changes: [fn(&mut EventHeader); 8] = [
            |h| h.stream.id = "another".into(),
            |h| h.version = Version(2),
            |h| h.recorded_at = Timestamp(1_001),
            |h| h.actor = Actor::Engine,
            |h| h.cause.because = Version(9),
            |h| h.kind = 4,
            |h| h.schema = 2,
            |h| h.flags = flag::COPIED,
        ];
        for change in changes {
            let mut changed = header(1);
            change(&mut changed);
            assert_ne!(NewEvent::link(changed, b"payload".to_vec(), &Hash::ZERO).hash, event.hash);
        }
        assert_ne!(NewEvent::link(header(1), b"Payload".to_vec(), &Hash::ZERO).hash, event.hash);
        assert_ne!(NewEvent::link(header(1), b"payload".to_vec(), &event.hash).hash, event.hash);
    }
}
