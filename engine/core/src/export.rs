//! Events as lines of JSON, for archives and other stores.
//!
//! Law: a line carries the hashed header and the stored payload bytes (`raw`, base64), so that a
//! stream keeps its hashes wherever it goes. `event` is the payload as readers see it; reading a line
//! ignores it. Position and commit time belong to the store that wrote the line and are not read back.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::event::{self, RunEvent};
use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, Envelope, EventHeader, NewEvent, StreamId};
use everfold_base::id::{Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

#[derive(Serialize, Deserialize)]
struct ExportLine {
    stream: StreamId,
    version: Version,
    #[serde(default, skip_deserializing)]
    position: Position,
    recorded_at: Timestamp,
    #[serde(default, skip_deserializing)]
    committed_at: Timestamp,
    actor: Actor,
    cause: Cause,
    kind: u16,
    schema: u16,
    flags: u16,
    payload_hash: Hash,
    hash: Hash,
    raw: String,
    #[serde(default, skip_deserializing)]
    event: Option<RunEvent>,
}

/// Why a line is no event.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is not what [`to_line`] writes.
    #[error("the line is no exported event: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Its payload is no base64, or not the one that was hashed.
    #[error("the payload of {stream} version {version} is not the one that was hashed")]
    Altered {
        /// The stream.
        stream: StreamId,
        /// The event.
        version: Version,
    },
}

/// One event as a line, without its end.
#[must_use]
pub fn to_line(envelope: &Envelope) -> String {
    let header = &envelope.header;
    let line = ExportLine {
        stream: header.stream.clone(),
        version: header.version,
        position: envelope.position,
        recorded_at: header.recorded_at,
        committed_at: envelope.committed_at,
        actor: header.actor.clone(),
        cause: header.cause,
        kind: header.kind,
        schema: header.schema,
        flags: header.flags,
        payload_hash: header.payload_hash,
        hash: envelope.hash,
        raw: BASE64_STANDARD.encode(&envelope.payload),
        event: event::decode(header.kind, header.schema, &envelope.payload).ok(),
    };
    serde_json::to_string(&line).expect("a line holds only what JSON can say")
}

/// Reads a line; whether the event follows its predecessor shows when it is appended.
///
/// # Errors
/// [`LineError`]: not a line of [`to_line`], or an altered payload.
pub fn from_line(text: &str) -> Result<NewEvent, LineError> {
    let line: ExportLine = serde_json::from_str(text)?;
    let (stream, version) = (line.stream, line.version);
    let payload = match BASE64_STANDARD.decode(&line.raw) {
        Ok(payload) if Hash::of(&payload) == line.payload_hash => payload,
        _other => return Err(LineError::Altered { stream, version }),
    };
    let header = EventHeader {
        stream,
        version,
        recorded_at: line.recorded_at,
        actor: line.actor,
        cause: line.cause,
        kind: line.kind,
        schema: line.schema,
        flags: line.flags,
        payload_hash: line.payload_hash,
    };
    Ok(NewEvent { header, hash: line.hash, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NoteAdded;
    use everfold_base::id::InputId;

    fn envelope() -> Envelope {
        let event = RunEvent::from(NoteAdded { text: "seen".into() });
        let (schema, payload) = event::encode(&event).unwrap();
        let header = EventHeader {
            stream: StreamId::engine("test"),
            version: Version(1),
            recorded_at: Timestamp(1_000),
            actor: Actor::User("ada".into()),
            cause: Cause { input: InputId([9; 16]), because: Version(0) },
            kind: event.kind(),
            schema,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let NewEvent { header, hash, payload } = NewEvent::link(header, payload, &Hash::ZERO);
        Envelope { header, hash, position: Position(7), committed_at: Timestamp(1_001), payload }
    }

    #[test]
    fn h4_a_line_keeps_header_and_stored_bytes_and_its_event_is_for_readers_only() {
        let envelope = envelope();
        let line = to_line(&envelope);
        assert!(line.contains(r#""event":{"type":"NoteAdded","text":"seen"}"#), "{line}");
        let other_event = line.replace(r#""text":"seen""#, r#""text":"lies""#);
        for text in [&line, &other_event] {
            let read = from_line(text).unwrap();
            assert_eq!(
                (&read.header, read.hash, &read.payload),
                (&envelope.header, envelope.hash, &envelope.payload)
            );
            assert_eq!(read.header.chain(&Hash::ZERO), read.hash);
        }
        let mut altered: serde_json::Value = serde_json::from_str(&line).unwrap();
        altered["raw"] = BASE64_STANDARD.encode(b"other").into();
        assert!(matches!(from_line(&altered.to_string()), Err(LineError::Altered { .. })));
        assert!(matches!(from_line("{}"), Err(LineError::Malformed(_))));
    }
}
