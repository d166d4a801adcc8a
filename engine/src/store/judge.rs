//! Whether an append may be recorded: limits, form, repetition, ownership, version, history.
//!
//! Law: every store judges alike, in this order: a repeat is answered as the first time even where
//! the stream has moved on since; then ownership; then version and previous hash.
//!
//! Called by the writers of the stores.

use std::time::Duration;

use crate::actor::Actor;
use crate::envelope::StreamId;
use crate::id::{Position, Version};
use crate::json::Hash;
use crate::time::Timestamp;

use super::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, Append, AppendError, Appended, Dedup, DedupKeep, Fence, FirstWrite,
    Head, StreamNote,
};

/// How long a [`DedupKeep::Week`] entry is kept.
pub const DEDUP_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest name in an actor, in bytes.
pub const ACTOR_BYTES_MAX: usize = 1_024;

/// The end of a stream as the writer needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadRecord {
    pub(crate) version: Version,
    pub(crate) hash: Hash,
    pub(crate) position: Position,
    pub(crate) note: StreamNote,
    pub(crate) fence: Option<Fence>,
}

impl HeadRecord {
    pub(crate) fn public(&self) -> Head {
        Head { version: self.version, hash: self.hash, position: self.position, note: self.note }
    }
}

/// Where an append with an idempotency key went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DedupRecord {
    pub(crate) body: Hash,
    pub(crate) keep: DedupKeep,
    pub(crate) first_version: Version,
    pub(crate) first_position: Position,
    pub(crate) count: u32,
    pub(crate) committed_at: Timestamp,
}

impl DedupRecord {
    pub(crate) fn new(dedup: &Dedup, went: &Appended) -> Self {
        Self {
            body: dedup.body,
            keep: dedup.keep,
            first_version: went.first_version,
            first_position: went.first_position,
            count: went.count,
            committed_at: went.committed_at,
        }
    }

    /// Whether the entry still counts at `now`.
    pub(crate) fn is_kept(&self, now: Timestamp) -> bool {
        self.keep == DedupKeep::Stream || now.since(self.committed_at) < DEDUP_KEPT
    }

    /// The write as readers see it, if the entry still counts at `now`.
    pub(crate) fn public(&self, now: Timestamp) -> Option<FirstWrite> {
        self.is_kept(now).then(|| FirstWrite { body: self.body, appended: self.first_answer() })
    }

    fn first_answer(&self) -> Appended {
        Appended {
            first_version: self.first_version,
            first_position: self.first_position,
            count: self.count,
            committed_at: self.committed_at,
            repeated: true,
        }
    }
}

/// Checks what does not depend on the stream's state.
pub(crate) fn check_form(append: &Append) -> Result<(), AppendError> {
    let (events, bytes) = (append.events.len(), append.events.iter().map(|event| event.payload.len()).sum());
    if events > APPEND_EVENTS_MAX || bytes > APPEND_BYTES_MAX {
        return Err(AppendError::TooLarge { events, bytes });
    }
    if events == 0 {
        return Err(AppendError::Malformed("no events".into()));
    }
    let id = &append.stream.id;
    if id.is_empty() || id.len() > StreamId::ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(AppendError::Malformed(format!("“{}” cannot be a stream's id", id.escape_debug())));
    }
    let mut version = append.expected;
    for event in &append.events {
        version = version.next();
        if event.header.version != version {
            let found = event.header.version;
            return Err(AppendError::Malformed(format!("version {found} stands where {version} belongs")));
        }
        if event.header.stream != append.stream {
            return Err(AppendError::Malformed(format!("event {version} is of {}", event.header.stream)));
        }
        if name_of(&event.header.actor).len() > ACTOR_BYTES_MAX {
            return Err(AppendError::Malformed(format!("the actor of event {version} is over 1 KiB long")));
        }
    }
    Ok(())
}

fn name_of(actor: &Actor) -> &str {
    match actor {
        Actor::Engine => "",
        Actor::User(name)
        | Actor::Token(name)
        | Actor::Hook(name)
        | Actor::Schedule(name)
        | Actor::Run(name)
        | Actor::Worker(name) => name,
    }
}

/// Judges a well-formed append by what is known of its stream and key.
///
/// `Ok(None)`: record it. `Ok(Some)`: it has been recorded before.
pub(crate) fn judge(
    append: &Append,
    head: Option<&HeadRecord>,
    dedup: Option<&DedupRecord>,
    now: Timestamp,
) -> Result<Option<Appended>, AppendError> {
    if let (Some(asked), Some(known)) = (&append.dedup, dedup)
        && known.is_kept(now)
    {
        return if asked.body == known.body {
            Ok(Some(known.first_answer()))
        } else {
            Err(AppendError::DedupConflict)
        };
    }
    let seen = head.and_then(|head| head.fence);
    if let (Some(Fence(given)), Some(Fence(seen))) = (append.fence, seen)
        && given < seen
    {
        return Err(AppendError::Fenced { given, seen });
    }
    let (actual, hash) = head.map_or((Version::ZERO, Hash::ZERO), |head| (head.version, head.hash));
    if append.expected != actual {
        let stream = append.stream.clone();
        return Err(AppendError::WrongExpectedVersion { stream, expected: append.expected, actual });
    }
    if append.previous != hash {
        return Err(AppendError::WrongPreviousHash {
            stream: append.stream.clone(),
            expected: append.previous,
            actual: hash,
        });
    }
    Ok(None)
}

/// The stream's head after the append.
pub(crate) fn head_after(append: &Append, seen: Option<&HeadRecord>, went: &Appended) -> HeadRecord {
    HeadRecord {
        version: went.last_version(),
        hash: append.events.last().map_or(append.previous, |event| event.hash),
        position: went.last_position(),
        note: append.note,
        fence: append.fence.max(seen.and_then(|head| head.fence)),
    }
}
