//! A cache of events as server-sent events, encoded once for all readers.
//!
//! Law: the cache is bounded by its bytes; the event that was asked for the longest ago is evicted first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use everfold_engine::envelope::Envelope;
use lru::LruCache;

use crate::body::event::event_body;
use crate::body::sse_chunk::sse_chunk;

/// Bytes of encoded events in the cache.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Encoded events by their ids, which differ between the stream of a run and the stream of all events.
pub(crate) struct EncodedEvents(Mutex<EncodedChunks>);

struct EncodedChunks {
    chunks: LruCache<(u64, u64), Bytes>,
    bytes: usize,
}

impl Default for EncodedEvents {
    fn default() -> Self {
        Self(Mutex::new(EncodedChunks { chunks: LruCache::unbounded(), bytes: 0 }))
    }
}

impl EncodedEvents {
    /// The event under the id `EPOCH-NUMBER`: the number is its position or its version.
    pub(crate) fn event(&self, id: &str, number: u64, event: &Envelope) -> Bytes {
        let key = (event.position.get(), number);
        if let Some(chunk) = self.kept().chunks.get(&key) {
            return chunk.clone();
        }
        // Encodes outside of the lock, so that readers of other events do not wait.
        let chunk = sse_chunk(Some(id), "event", &event_body(event));
        if chunk.len() > BYTES_MAX {
            return chunk;
        }
        let mut kept = self.kept();
        if let Some(first) = kept.chunks.get(&key) {
            return first.clone();
        }
        kept.bytes += chunk.len();
        kept.chunks.put(key, chunk.clone());
        while kept.bytes > BYTES_MAX {
            let Some((_, oldest)) = kept.chunks.pop_lru() else { break };
            kept.bytes -= oldest.len();
        }
        chunk
    }

    fn kept(&self) -> MutexGuard<'_, EncodedChunks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use everfold_engine::actor::Actor;
    use everfold_engine::envelope::{Cause, EventHeader, StreamId};
    use everfold_engine::event::{self, NoteAdded, RunEvent};
    use everfold_engine::id::{InputId, Position, RunId, Version};
    use everfold_engine::json::Hash;
    use everfold_engine::time::Timestamp;

    use super::*;

    fn noted(position: u64, bytes: usize) -> Envelope {
        let event = RunEvent::from(NoteAdded { text: "x".repeat(bytes) });
        let (schema, payload) = event::encode(&event).unwrap();
        let header = EventHeader {
            stream: StreamId::run("00000000-0000-0000-0000-000000000001".parse::<RunId>().unwrap()),
            version: Version(position),
            recorded_at: Timestamp(0),
            actor: Actor::Engine,
            cause: Cause { input: InputId::derive("x"), because: Version::ZERO },
            kind: event.kind(),
            schema,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let (hash, position, committed_at) = (Hash::ZERO, Position(position), Timestamp(0));
        Envelope { header, hash, position, committed_at, payload }
    }

    #[test]
    fn row_53_readers_share_one_encoding_of_an_event_and_what_is_kept_is_bounded() {
        let encoded = EncodedEvents::default();
        let first = encoded.event("e-1", 1, &noted(1, 30_000));
        assert_eq!(first.as_ptr(), encoded.event("e-1", 1, &noted(1, 30_000)).as_ptr());
        for position in 2..2_000 {
            encoded.event("e", position, &noted(position, 30_000));
        }
        let kept = encoded.kept();
        let bytes: usize = kept.chunks.iter().map(|(_, chunk)| chunk.len()).sum();
        assert_eq!(bytes, kept.bytes);
        assert!(bytes <= BYTES_MAX && bytes > BYTES_MAX / 2, "{bytes}");
    }
}
