//! Values that are kept out of the state: found by the event that holds them, cached by their hash.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::blocking::Blocking;
use crate::config::EngineConfig;
use crate::error::LoadError;
use everfold_base::blobs::Blobs;
use everfold_base::envelope::StreamId;
use everfold_base::id::{RunId, Version};
use everfold_base::json::{Hash, JsonText, Payload};
use everfold_core::event;
use everfold_core::event::RunEvent;
use everfold_language::expr::{Loaded, ValueRef};
use everfold_store::EventStore;

/// Reads values, and remembers the newest up to a size.
pub(crate) struct ValueStore {
    store: Arc<dyn EventStore>,
    blobs: Arc<dyn Blobs>,
    blocking: Blocking,
    cache: Mutex<ValueCache>,
}

struct ValueCache {
    texts: LruCache<Hash, JsonText>,
    bytes: usize,
    bytes_max: usize,
}

impl ValueStore {
    pub(crate) fn new(store: Arc<dyn EventStore>, blobs: Arc<dyn Blobs>, config: &EngineConfig) -> Self {
        let (bytes_max, blocking) = (config.values_bytes, config.blocking);
        Self {
            blocking,
            store,
            blobs,
            cache: Mutex::new(ValueCache { texts: LruCache::unbounded(), bytes: 0, bytes_max }),
        }
    }

    /// Adds the wanted values that are at hand to `loaded`; gives the others back.
    pub(crate) fn at_hand(&self, wanted: Vec<ValueRef>, loaded: &mut Loaded) -> Vec<ValueRef> {
        let mut cache = self.cache();
        let mut missing = Vec::new();
        for value in wanted {
            match cache.texts.get(&value.hash) {
                Some(text) => loaded.insert(&value, text.clone()),
                None => missing.push(value),
            }
        }
        missing
    }

    /// Reads values of a run from the store.
    pub(crate) async fn load(
        &self,
        run: RunId,
        wanted: Vec<ValueRef>,
    ) -> Result<Vec<(ValueRef, JsonText)>, LoadError> {
        let stream = StreamId::run(run);
        let mut found = Vec::with_capacity(wanted.len());
        for value in wanted {
            let event = self.event(run, &stream, value.version).await?;
            let lacking =
                |what: String| LoadError::Illegal { run, version: value.version, name: event.name(), what };
            let payload = event.payloads().into_iter().find(|payload| payload.hash() == value.hash);
            let payload = payload
                .ok_or_else(|| lacking(format!("it does not hold the value {}", value.hash.short())))?;
            let text = self.text(run, payload).await.map_err(lacking)?;
            self.cache().put(value.hash, text.clone());
            found.push((value, text));
        }
        Ok(found)
    }

    /// The text of a value, wherever it is kept.
    pub(crate) async fn text(&self, run: RunId, payload: &Payload) -> Result<JsonText, String> {
        let blob = match payload {
            Payload::Inline(text) => return Ok(text.clone()),
            Payload::Blob(blob) => *blob,
        };
        let blobs = Arc::clone(&self.blobs);
        let read = self.blocking.run(move || blobs.get(run, &blob)).await;
        let bytes = read?.map_err(|error| error.to_string())?;
        let text = JsonText::read(&bytes)?;
        if text.hash() != blob.hash {
            return Err(format!("blob {} does not hold what was written", blob.hash.short()));
        }
        Ok(text)
    }

    async fn event(&self, run: RunId, stream: &StreamId, version: Version) -> Result<RunEvent, LoadError> {
        let events = self.store.read(stream, version, 1).await?;
        let envelope = events.first().ok_or(LoadError::NotFound(run))?;
        let header = &envelope.header;
        event::decode(header.kind, header.schema, &envelope.payload).map_err(|source| LoadError::Event {
            run,
            version,
            source,
        })
    }

    fn cache(&self) -> MutexGuard<'_, ValueCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ValueCache {
    fn put(&mut self, hash: Hash, text: JsonText) {
        let size = text.as_str().len();
        if size > self.bytes_max {
            return;
        }
        if self.texts.put(hash, text).is_none() {
            self.bytes += size;
        }
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.texts.pop_lru() else { break };
            self.bytes -= oldest.as_str().len();
        }
    }
}
