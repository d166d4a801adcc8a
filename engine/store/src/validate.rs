//! Whether an append may be recorded: limits, form, repetition, ownership, version, history.
//!
//! Law: every store decides alike, in this order: a repeat is answered as the first time even where
//! the stream has moved on since; then ownership; then version and previous hash.
//!
//! Called by the writers of the stores.

use super::append::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, Append, Appended, Fence};
use super::error::AppendError;
use super::index_record::{DedupRecord, HeadRecord};
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::Version;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// The longest name in an actor, in bytes.
pub const ACTOR_BYTES_MAX: usize = 1_024;

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

/// Checks a well-formed append against what is known of its stream and key.
///
/// `Ok(None)`: record it. `Ok(Some)`: it has been recorded before.
pub(crate) fn check_stream(
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
