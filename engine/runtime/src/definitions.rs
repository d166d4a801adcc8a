//! Pinned definitions: saved before the first run that needs them, read once, kept by hash.
//!
//! Law: the stream `engine/definition-HASH` has exactly one event, [`DefinitionSaved`]. Where it is
//! there already, nothing is left to do.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lru::LruCache;

use crate::error::DefinitionError;
use crate::stream_end::{EventOrigin, StreamEnd};
use everfold_base::actor::Actor;
use everfold_base::id::Version;
use everfold_base::json::{Hash, JsonText};
use everfold_core::event::DefinitionSaved;
use everfold_core::pipeline_versions::{PipelineEvent, definition_stream, saved_definition};
use everfold_language::definition::{Definition, DefinitionSummary};
use everfold_store::{Append, AppendError, EventStore, StreamNote};
use everfold_system::clock::Clock;

/// Definitions that are kept, and the bytes of their documents: a compiled definition takes some times as much. One that is
/// larger is kept alone.
const CACHED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
const CACHED_BYTES: usize = 4 * 1024 * 1024;

/// The definitions in use.
pub(crate) struct Definitions {
    store: Arc<dyn EventStore>,
    clock: Clock,
    cache: Mutex<DefinitionCache>,
}

struct DefinitionCache {
    /// By hash: definitions that are known to be saved, with the bytes of their documents.
    saved: LruCache<Hash, (Arc<Definition>, usize)>,
    bytes: usize,
    /// By address: starts bring the same definition again and again, and to hash it costs more than the start. While there
    /// is a handle of it, though a weak one, its address is not used for another one.
    hashes: LruCache<usize, (Weak<Definition>, Hash)>,
}

impl DefinitionCache {
    fn put(&mut self, hash: Hash, definition: &Arc<Definition>, bytes: usize) {
        self.bytes += bytes;
        if let Some((_before, (_, before))) = self.saved.push(hash, (Arc::clone(definition), bytes)) {
            self.bytes -= before;
        }
        while self.bytes > CACHED_BYTES
            && self.saved.len() > 1
            && let Some((_oldest, (_, oldest))) = self.saved.pop_lru()
        {
            self.bytes -= oldest;
        }
    }
}

impl Definitions {
    pub(crate) fn new(store: Arc<dyn EventStore>, clock: Clock) -> Self {
        let cache = DefinitionCache { saved: LruCache::new(CACHED), bytes: 0, hashes: LruCache::new(CACHED) };
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
        cache.put(hash, definition, document.len());
        cache.hashes.put(address, (Arc::downgrade(definition), hash));
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
        if let Some((definition, _bytes)) = self.cache().saved.get(&hash) {
            return Ok(Arc::clone(definition));
        }
        let document = self.document(hash).await?;
        let definition = serde_json::from_str(document.as_str());
        let definition = Arc::new(definition.map_err(|error| unreadable(hash, error))?);
        self.cache().put(hash, &definition, document.as_str().len());
        Ok(definition)
    }

    /// What lists show of a definition. It takes no place from those that are in use, and is not compiled: a list goes through
    /// all saved pipelines.
    pub(crate) async fn summary(&self, hash: Hash) -> Result<DefinitionSummary, DefinitionError> {
        if let Some((definition, _bytes)) = self.cache().saved.peek(&hash) {
            return Ok(DefinitionSummary::of(definition));
        }
        let document = self.document(hash).await?;
        serde_json::from_str(document.as_str()).map_err(|error| unreadable(hash, error))
    }

    /// The document of a hash, as it was saved.
    async fn document(&self, hash: Hash) -> Result<JsonText, DefinitionError> {
        let events = self.store.read(&definition_stream(&hash), Version::FIRST, 1).await?;
        let event = events.first().ok_or(DefinitionError::NotFound(hash))?;
        let saved = saved_definition(&event.into()).map_err(|what| unreadable(hash, what))?;
        if Hash::of(saved.document.as_str().as_bytes()) != hash {
            return Err(unreadable(hash, "its document has another hash"));
        }
        Ok(saved.document)
    }

    fn cache(&self) -> MutexGuard<'_, DefinitionCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreadable(hash: Hash, what: impl ToString) -> DefinitionError {
    DefinitionError::Unreadable { hash, what: what.to_string() }
}

#[cfg(test)]
mod tests {
    use everfold_language::definition::{NoFiles, parse};

    use super::*;

    #[test]
    fn definitions_that_are_kept_are_bounded_by_the_bytes_of_their_documents() {
        let text = "name: one\nsteps: [{ id: a, wait: { for: 0s } }]\n";
        let definition = Arc::new(parse(text, "one.yaml", &NoFiles).unwrap().definition);
        let mut cache =
            DefinitionCache { saved: LruCache::new(CACHED), bytes: 0, hashes: LruCache::new(CACHED) };
        let hash = |number: usize| Hash::of(&number.to_le_bytes());
        for number in 0..20 {
            cache.put(hash(number), &definition, CACHED_BYTES / 4);
            cache.put(hash(number), &definition, CACHED_BYTES / 4);
        }
        assert_eq!((cache.saved.len(), cache.bytes), (4, CACHED_BYTES));
        assert!(cache.saved.contains(&hash(19)) && !cache.saved.contains(&hash(15)));
        cache.put(hash(20), &definition, 2 * CACHED_BYTES);
        assert_eq!(cache.saved.len(), 1, "one that is larger is kept alone");
        cache.put(hash(21), &definition, 1);
        assert_eq!((cache.saved.len(), cache.bytes), (1, 1));
    }
}
