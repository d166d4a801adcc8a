//! Pinned definitions: saved before the first run that needs them, read once, kept by hash.
//!
//! Law: the stream `engine/definition-HASH` has exactly one event, [`DefinitionSaved`]; that it is
//! there already means that the work is done.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bincode::Options as _;
use lru::LruCache;

use super::DefinitionError;
use crate::actor::Actor;
use crate::clock::Clock;
use crate::definition::Definition;
use crate::envelope::{Cause, EventHeader, EventView, NewEvent, StreamId};
use crate::event::DefinitionSaved;
use crate::id::{InputId, Version};
use crate::json::{Hash, JsonText};
use crate::store::{APPEND_BYTES_MAX, Append, AppendError, EventStore, StreamNote};
use crate::time::Timestamp;

/// The number of [`DefinitionSaved`] among the events of engine streams.
pub(super) const DEFINITION_SAVED: u16 = 1;
/// The number of `PipelineSaved` among them.
pub(super) const PIPELINE_SAVED: u16 = 2;
const SCHEMA: u16 = 1;
const CACHED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Reads the event of a definition's stream.
///
/// # Errors
/// What was found instead.
pub fn saved_definition(event: &EventView<'_>) -> Result<DefinitionSaved, String> {
    let (kind, schema) = (event.kind, event.schema);
    if (kind, schema) != (DEFINITION_SAVED, SCHEMA) {
        return Err(format!("kind {kind}, schema {schema} is of a newer everfold"));
    }
    options().deserialize(event.payload).map_err(|error| error.to_string())
}

/// The definitions in use.
pub(super) struct Definitions {
    store: Arc<dyn EventStore>,
    clock: Clock,
    cache: Mutex<Cache>,
}

struct Cache {
    /// By hash: definitions that are known to be saved.
    saved: LruCache<Hash, Arc<Definition>>,
    /// By address: starts hand in the same definition again and again, and its hash costs more than
    /// the start. The definition is kept beside, so that the address stays its own.
    hashes: LruCache<usize, (Arc<Definition>, Hash)>,
}

impl Definitions {
    pub(super) fn new(store: Arc<dyn EventStore>, clock: Clock) -> Self {
        let cache = Cache { saved: LruCache::new(CACHED), hashes: LruCache::new(CACHED) };
        Self { store, clock, cache: Mutex::new(cache) }
    }

    /// Makes the definition durable, once.
    pub(super) async fn save(&self, definition: &Arc<Definition>) -> Result<Hash, DefinitionError> {
        let address = Arc::as_ptr(definition) as usize;
        {
            let mut cache = self.cache();
            if let Some((_, hash)) = cache.hashes.get(&address) {
                let hash = *hash;
                if cache.saved.get(&hash).is_some() {
                    return Ok(hash);
                }
            }
        }
        let document = definition.document();
        let hash = Hash::of(document.as_bytes());
        let saved = DefinitionSaved {
            hash,
            name: definition.name.clone(),
            document: JsonText::new(
                &serde_json::from_str(&document)
                    .map_err(|error| DefinitionError::Unreadable { hash, what: error.to_string() })?,
            ),
        };
        self.append(&saved).await?;
        let mut cache = self.cache();
        cache.saved.put(hash, Arc::clone(definition));
        cache.hashes.put(address, (Arc::clone(definition), hash));
        Ok(hash)
    }

    async fn append(&self, saved: &DefinitionSaved) -> Result<(), DefinitionError> {
        let stream = stream(&saved.hash);
        if self.store.head(&stream).await?.is_some() {
            return Ok(());
        }
        let payload =
            options().serialize(saved).map_err(|error| DefinitionError::TooLarge(error.to_string()))?;
        let at = (self.clock)();
        let event =
            engine_event(&stream, Version::ZERO, &Hash::ZERO, DEFINITION_SAVED, payload, Actor::Engine, at);
        let append = Append {
            stream,
            expected: Version::ZERO,
            previous: Hash::ZERO,
            events: vec![event],
            dedup: None,
            fence: None,
            note: StreamNote::default(),
        };
        match self.store.append(append).await {
            Ok(_) | Err(AppendError::WrongExpectedVersion { .. }) => Ok(()),
            Err(AppendError::TooLarge { bytes, .. }) => {
                Err(DefinitionError::TooLarge(format!("{bytes} bytes")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The definition of a hash.
    pub(super) async fn get(&self, hash: Hash) -> Result<Arc<Definition>, DefinitionError> {
        if let Some(definition) = self.cache().saved.get(&hash) {
            return Ok(Arc::clone(definition));
        }
        let events = self.store.read(&stream(&hash), Version::FIRST, 1).await?;
        let event = events.first().ok_or(DefinitionError::NotFound(hash))?;
        let unreadable = |what: String| DefinitionError::Unreadable { hash, what };
        let saved = saved_definition(&event.into()).map_err(unreadable)?;
        if Hash::of(saved.document.as_str().as_bytes()) != hash {
            return Err(unreadable("its document has another hash".into()));
        }
        let definition: Arc<Definition> = Arc::new(
            serde_json::from_str(saved.document.as_str()).map_err(|error| unreadable(error.to_string()))?,
        );
        self.cache().saved.put(hash, Arc::clone(&definition));
        Ok(definition)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stream(hash: &Hash) -> StreamId {
    StreamId::engine(format!("definition-{hash}"))
}

/// An event of a stream of the engine's own, that follows the one of `expected`.
pub(super) fn engine_event(
    stream: &StreamId,
    expected: Version,
    previous: &Hash,
    kind: u16,
    payload: Vec<u8>,
    actor: Actor,
    at: Timestamp,
) -> NewEvent {
    let header = EventHeader {
        stream: stream.clone(),
        version: expected.next(),
        recorded_at: at,
        actor,
        cause: Cause { input: InputId::derive(&format!("{stream}/{expected}")), because: expected },
        kind,
        schema: SCHEMA,
        flags: 0,
        payload_hash: Hash::ZERO,
    };
    NewEvent::link(header, payload, previous)
}

pub(super) fn options() -> impl bincode::Options {
    crate::stored::options(APPEND_BYTES_MAX as u64)
}
