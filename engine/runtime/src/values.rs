//! Values that are kept out of the state: found by the event that holds them, cached by their hash.

use std::io::{self, ErrorKind};
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
use everfold_system::os_error::is_shortage;

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

/// Values that were read, and those that cannot be.
pub(crate) struct FetchedValues {
    pub(crate) found: Vec<(ValueRef, JsonText)>,
    pub(crate) lost: Vec<(ValueRef, LoadError)>,
}

impl FetchedValues {
    /// The values, where all of them could be read.
    pub(crate) fn whole(self) -> Result<Vec<(ValueRef, JsonText)>, LoadError> {
        match self.lost.into_iter().next() {
            Some((_, why)) => Err(why),
            None => Ok(self.found),
        }
    }

    /// Gives them to a decision, with those that cannot be read noted.
    pub(crate) fn into_decision(self, loaded: &mut Loaded) {
        for (value, text) in self.found {
            loaded.insert(&value, text);
        }
        for (value, why) in self.lost {
            loaded.lose(&value, why.to_string());
        }
    }
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
        self.fetch(run, wanted).await?.whole()
    }

    /// Reads values of a run from the store, those that can be read.
    pub(crate) async fn fetch(&self, run: RunId, wanted: Vec<ValueRef>) -> Result<FetchedValues, LoadError> {
        let stream = StreamId::run(run);
        let mut fetched = FetchedValues { found: Vec::with_capacity(wanted.len()), lost: Vec::new() };
        for value in wanted {
            let event = self.event(run, &stream, value.version).await?;
            let lacking =
                |what: String| LoadError::Illegal { run, version: value.version, name: event.name(), what };
            let payload = event.payloads().into_iter().find(|payload| payload.hash() == value.hash);
            let payload = payload
                .ok_or_else(|| lacking(format!("it does not hold the value {}", value.hash.short())))?;
            let unread = |error: io::Error| LoadError::Value {
                run,
                version: value.version,
                what: error.to_string(),
                is_short: is_shortage(&error),
            };
            match self.stored_text(run, payload).await.map_err(unread)? {
                Ok(text) => {
                    self.cache().put(value.hash, text.clone());
                    fetched.found.push((value, text));
                }
                Err(why) => fetched.lost.push((value, lacking(why))),
            }
        }
        Ok(fetched)
    }

    /// The text of a value, wherever it is kept.
    pub(crate) async fn text(&self, run: RunId, payload: &Payload) -> Result<JsonText, String> {
        self.stored_text(run, payload).await.map_err(|error| error.to_string())?
    }

    /// The text of a value, or why it is lost: its blob is missing or damaged. Another error may pass.
    async fn stored_text(&self, run: RunId, payload: &Payload) -> io::Result<Result<JsonText, String>> {
        let blob = match payload {
            Payload::Inline(text) => return Ok(Ok(text.clone())),
            Payload::Blob(blob) => *blob,
        };
        let blobs = Arc::clone(&self.blobs);
        let read = self.blocking.run(move || blobs.get(run, &blob)).await;
        let bytes = match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
                return Ok(Err(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        Ok(JsonText::read(&bytes).and_then(|text| match text.hash() == blob.hash {
            true => Ok(text),
            false => Err(format!("blob {} does not hold what was written", blob.hash.short())),
        }))
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
