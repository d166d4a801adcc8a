//! Pinned definitions: saved before the first run that needs them, read once, kept by hash.
//!
//! Law: the stream `engine/definition-HASH` has exactly one event, [`DefinitionSaved`]. Where it is
//! there already, nothing is left to do.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::error::DefinitionError;
use crate::stream_end::{EventOrigin, StreamEnd};
use everfold_base::actor::Actor;
use everfold_base::id::Version;
use everfold_base::json::{Hash, JsonText};
use everfold_core::event::DefinitionSaved;
use everfold_core::pipeline_versions::{PipelineEvent, definition_stream, saved_definition};
use everfold_language::definition::Definition;
use everfold_store::{Append, AppendError, EventStore, StreamNote};
use everfold_system::clock::Clock;

const CACHED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// The definitions in use.
pub(crate) struct Definitions {
    store: Arc<dyn EventStore>,
    clock: Clock,
    cache: Mutex<DefinitionCache>,
}

struct DefinitionCache {
    /// By hash: definitions that are known to be saved.
    saved: LruCache<Hash, Arc<Definition>>,
    /// By address: starts bring the same definition again and again, and to hash it costs more than the start. The
    /// definition is kept beside its hash, so that its address is not used for another one.
    hashes: LruCache<usize, (Arc<Definition>, Hash)>,
}

impl Definitions {
    pub(crate) fn new(store: Arc<dyn EventStore>, clock: Clock) -> Self {
        let cache = DefinitionCache { saved: LruCache::new(CACHED), hashes: LruCache::new(CACHED) };
        Self { store, clock, cache: Mutex::new(cache) }
    }

    /// Makes the definition durable, once.
    pub(crate) async fn save(&self, definition: &Arc<Definition>) -> Result<Hash, DefinitionError> {
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
        self.append(saved).await?;
        let mut cache = self.cache();
        cache.saved.put(hash, Arc::clone(definition));
        cache.hashes.put(address, (Arc::clone(definition), hash));
        Ok(hash)
    }

    async fn append(&self, saved: DefinitionSaved) -> Result<(), DefinitionError> {
        let stream = definition_stream(&saved.hash);
        if self.store.head(&stream).await?.is_some() {
            return Ok(());
        }
        let saved = PipelineEvent::DefinitionSaved(saved);
        let at = (self.clock)();
        let encoded = saved.encode().map_err(|error| DefinitionError::TooLarge(error.to_string()))?;
        let mut end = StreamEnd::default();
        let origin = EventOrigin { stream: &stream, actor: &Actor::Engine, at, cause: end.cause(&stream) };
        let events = vec![end.link(&origin, encoded)];
        let append = Append {
            stream,
            expected: Version::ZERO,
            previous: Hash::ZERO,
            events,
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
    pub(crate) async fn get(&self, hash: Hash) -> Result<Arc<Definition>, DefinitionError> {
        if let Some(definition) = self.cache().saved.get(&hash) {
            return Ok(Arc::clone(definition));
        }
        let events = self.store.read(&definition_stream(&hash), Version::FIRST, 1).await?;
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

    fn cache(&self) -> MutexGuard<'_, DefinitionCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
