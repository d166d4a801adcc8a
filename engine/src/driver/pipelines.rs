//! Pipelines by name: saved ones, numbered, and those that come with the program.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use bincode::Options as _;
use lru::LruCache;

use super::definitions::{PIPELINE_SAVED, engine_event, options};
use super::engine::Engine;
use super::shared::Shared;
use super::{By, DefinitionError, PipelineError};
use crate::definition::{self, Definition};
use crate::envelope::{Envelope, StreamKind};
use crate::id::{Position, Version};
use crate::json::Hash;
use crate::saved::{PipelineRef, PipelineSaved, SavedPipeline, SavedVersion, Which};
use crate::store::{Append, AppendError, StreamNote};

/// Events and streams that are read at once.
const PAGE: usize = 1_000;
/// How often a version is numbered anew because another one was saved meanwhile.
const TRIES: u32 = 5;
const CACHED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Definitions of children that are named by path, by the parent's definition: thousands of items may
/// start the same one.
pub(super) struct Children(Mutex<LruCache<(Hash, String), Arc<Definition>>>);

impl Default for Children {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CACHED)))
    }
}

impl Children {
    /// The pipeline that `parent` names by path.
    pub(super) fn get(&self, parent: &Definition, path: &str) -> Result<Arc<Definition>, PipelineError> {
        let key = (parent.hash(), path.to_owned());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(definition) = known.get(&key) {
            return Ok(Arc::clone(definition));
        }
        let definition = Arc::new(definition::child(parent, path)?.definition);
        known.put(key, Arc::clone(&definition));
        Ok(definition)
    }
}

/// A version as it was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// The version.
    pub version: SavedVersion,
    /// The place of its event in the store.
    pub position: Position,
    /// It was the newest already, and nothing was added.
    pub repeated: bool,
    /// It was saved before under the same idempotency key: this is the first answer once more.
    pub replayed: bool,
}

/// Reads the event of a saved pipeline's stream.
///
/// # Errors
/// What was found instead.
pub fn saved_pipeline(event: &Envelope) -> Result<PipelineSaved, String> {
    let (kind, schema) = (event.header.kind, event.header.schema);
    if (kind, schema) != (PIPELINE_SAVED, 1) {
        return Err(format!("kind {kind}, schema {schema} is of a newer everfold"));
    }
    options().deserialize(&event.payload).map_err(|error| error.to_string())
}

impl Engine {
    /// Saves a definition as the newest version of its name. What was saved before under the same key (S10) is
    /// answered as it was then, also where another version is the newest by now.
    ///
    /// # Errors
    /// [`PipelineError`]: the store takes nothing, the definition is too large, the name no name.
    pub async fn save_pipeline(
        &self,
        definition: &Arc<Definition>,
        text: Option<String>,
        by: impl Into<By>,
    ) -> Result<Saved, PipelineError> {
        let saved = self.inner.shared.save_pipeline(definition, text, by.into()).await?;
        self.inner.shared.triggers.turn();
        // The moments of its schedules count from here on.
        self.inner.shared.schedules.sync().await;
        Ok(saved)
    }

    /// The pipeline of a name; saved ones go before those that come with the program.
    ///
    /// # Errors
    /// [`PipelineError`]: there is none, or the store cannot be read.
    pub async fn pipeline(&self, name: &PipelineRef) -> Result<Arc<Definition>, PipelineError> {
        self.inner.shared.pipeline(name).await
    }

    /// The versions of a name; none where it was never saved.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn saved_versions(&self, name: &str) -> Result<Vec<(PipelineSaved, Envelope)>, PipelineError> {
        self.inner.shared.saved_versions(name).await
    }

    /// The names that were saved, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn saved_names(&self) -> Result<Vec<String>, PipelineError> {
        self.inner.shared.saved_names().await
    }
}

impl Shared {
    /// The names that were saved, in order.
    pub(super) async fn saved_names(&self) -> Result<Vec<String>, PipelineError> {
        const START: &str = "pipeline-";
        let store = &self.store;
        let mut names = Vec::new();
        let mut after = Some(START.to_owned());
        loop {
            let page = store.streams(StreamKind::Engine, after, PAGE).await?;
            let ours = page.iter().map_while(|(stream, _)| stream.id.strip_prefix(START));
            let before = names.len();
            names.extend(ours.map(str::to_owned));
            match page.last() {
                Some((last, _)) if page.len() == PAGE && names.len() - before == PAGE => {
                    after = Some(last.id.to_string());
                }
                _last_page => return Ok(names),
            }
        }
    }

    pub(super) async fn saved_versions(
        &self,
        name: &str,
    ) -> Result<Vec<(PipelineSaved, Envelope)>, PipelineError> {
        let stream = SavedPipeline::stream(name);
        let mut found = Vec::new();
        let mut next = Version::FIRST;
        loop {
            let page = self.store.read(&stream, next, PAGE).await?;
            let is_last = page.len() < PAGE;
            for envelope in page {
                next = envelope.header.version.next();
                let event = saved_pipeline(&envelope)
                    .map_err(|what| PipelineError::Unreadable { name: name.to_owned(), what })?;
                found.push((event, envelope));
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    pub(super) async fn pipeline(&self, wanted: &PipelineRef) -> Result<Arc<Definition>, PipelineError> {
        let unknown = || PipelineError::NotFound(wanted.to_string());
        let mut saved = SavedPipeline::default();
        for (event, _) in self.saved_versions(&wanted.name).await? {
            saved.apply(&event);
        }
        if let Some(version) = saved.find(&wanted.which) {
            return Ok(self.definitions.get(version.hash).await?);
        }
        let built_in = self.edge.built_ins.as_ref().and_then(|built_ins| built_ins.find(&wanted.name));
        let built_in = built_in.ok_or_else(unknown)?;
        match &wanted.which {
            Which::Newest => Ok(built_in),
            Which::Hash(start) if built_in.hash().to_string().starts_with(start.as_str()) => Ok(built_in),
            Which::Hash(_) | Which::Nth(_) => Err(unknown()),
        }
    }

    async fn save_pipeline(
        &self,
        definition: &Arc<Definition>,
        text: Option<String>,
        By { actor, dedup }: By,
    ) -> Result<Saved, PipelineError> {
        let name = definition.name.as_str();
        name.parse::<PipelineRef>()?;
        let hash = self.definitions.save(definition).await?;
        // One after the other, so that nobody who saves is outrun for ever.
        let _turn = self.saving.lock().await;
        let mut tries = 0;
        loop {
            let former = self.saved_versions(name).await?;
            if let Some(dedup) = &dedup
                && let Some(first) = self.store.first_write(dedup.key).await?
            {
                if first.body != dedup.body {
                    return Err(DefinitionError::from(AppendError::DedupConflict).into());
                }
                let position = first.appended.last_position();
                let version = former.iter().find(|(_, envelope)| envelope.position == position);
                let (event, _) = version.ok_or_else(|| PipelineError::NotFound(name.to_owned()))?;
                let version = SavedVersion { n: event.n, hash: event.hash };
                return Ok(Saved { version, position, repeated: false, replayed: true });
            }
            let mut saved = SavedPipeline::default();
            former.iter().for_each(|(event, _)| saved.apply(event));
            let newest = former.last().map(|(_, envelope)| envelope);
            let Some(event) = saved.save(name, hash, text.clone()) else {
                let (Some(version), Some(newest)) = (saved.newest(), newest) else {
                    return Err(PipelineError::NotFound(name.to_owned()));
                };
                return Ok(Saved { version, position: newest.position, repeated: true, replayed: false });
            };
            let version = SavedVersion { n: event.n, hash };
            let payload =
                options().serialize(&event).map_err(|error| DefinitionError::TooLarge(error.to_string()))?;
            let expected = newest.map_or(Version::ZERO, |newest| newest.header.version);
            let previous = newest.map_or(Hash::ZERO, |newest| newest.hash);
            let stream = SavedPipeline::stream(name);
            let at = (self.config.clock)();
            let event =
                engine_event(&stream, expected, &previous, PIPELINE_SAVED, payload, actor.clone(), at);
            let append = Append {
                stream,
                expected,
                previous,
                events: vec![event],
                dedup,
                fence: self.config.fence,
                note: StreamNote::default(),
            };
            match self.store.append(append).await {
                Ok(appended) => {
                    let (position, replayed) = (appended.last_position(), appended.repeated);
                    return Ok(Saved { version, position, repeated: false, replayed });
                }
                Err(AppendError::WrongExpectedVersion { .. } | AppendError::WrongPreviousHash { .. })
                    if tries < TRIES =>
                {
                    tries += 1;
                }
                Err(error) => return Err(DefinitionError::from(error).into()),
            }
        }
    }
}
