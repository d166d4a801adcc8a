//! Pipelines by name: saved ones, numbered, and those that come with the program.

use std::sync::Arc;

use crate::error::{DefinitionError, PipelineError};
use crate::runtime::Runtime;
use crate::stream_end::{EventOrigin, StreamEnd};
use crate::stream_listing::StreamListing;
use crate::stream_pages::StreamPages;
use crate::streams::triggers::by::By;
use everfold_base::envelope::{Envelope, StreamKind};
use everfold_base::id::{Position, Version};
use everfold_core::pipeline_versions::{
    PipelineEvent, PipelineSaved, SavedPipeline, SavedVersion, VersionSelector, saved_pipeline,
};
use everfold_language::definition::{Definition, DefinitionSummary, PipelineRef};
use everfold_store::{Append, AppendError, StreamNote};

/// Events that are read at once.
const PAGE: usize = 1_000;
/// How often a version is numbered anew because another one was saved meanwhile.
const TRIES: u32 = 5;

/// A version as it was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// The version.
    pub version: SavedVersion,
    /// The place of its event in the store.
    pub position: Position,
    /// It was the newest already, and nothing was added.
    pub repeated: bool,
    /// It was saved before under the same idempotency key, and this is the first answer once more.
    pub replayed: bool,
}

impl Runtime {
    /// The names that were saved, in order.
    pub(crate) async fn saved_names(&self) -> Result<Vec<String>, PipelineError> {
        const START: &str = "pipeline-";
        let mut names = Vec::new();
        let mut listing = StreamListing::after(self.store.as_ref(), StreamKind::Engine, START);
        while let Some(page) = listing.next().await? {
            for (stream, _) in &page {
                let Some(name) = stream.id.strip_prefix(START) else { return Ok(names) };
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    pub(crate) async fn saved_versions(
        &self,
        name: &str,
    ) -> Result<Vec<(PipelineSaved, Envelope)>, PipelineError> {
        let stream = SavedPipeline::stream(name);
        let mut found = Vec::new();
        let mut pages = StreamPages::new(self.store.as_ref(), &stream, Version::FIRST, PAGE);
        while let Some(page) = pages.next().await? {
            for envelope in page {
                let event = saved_pipeline(&envelope)
                    .map_err(|what| PipelineError::Unreadable { name: name.to_owned(), what })?;
                found.push((event, envelope));
            }
        }
        Ok(found)
    }

    /// The newest saved version of a name: each event of its stream is one version, so its last event says it.
    pub(crate) async fn newest_saved(&self, name: &str) -> Result<Option<SavedVersion>, PipelineError> {
        let stream = SavedPipeline::stream(name);
        let Some(head) = self.store.head(&stream).await? else { return Ok(None) };
        let events = self.store.read(&stream, head.version, 1).await?;
        let Some(envelope) = events.first() else { return Ok(None) };
        let event = saved_pipeline(envelope)
            .map_err(|what| PipelineError::Unreadable { name: name.to_owned(), what })?;
        Ok(Some(SavedVersion { n: event.n, hash: event.hash }))
    }

    /// The newest saved version of a name, and what lists show of it.
    pub(crate) async fn pipeline_summary(
        &self,
        name: &str,
    ) -> Result<Option<(SavedVersion, DefinitionSummary)>, PipelineError> {
        let Some(newest) = self.newest_saved(name).await? else { return Ok(None) };
        Ok(Some((newest, self.definitions.summary(newest.hash).await?)))
    }

    /// A pipeline as it is now.
    async fn saved_pipeline(&self, name: &str) -> Result<SavedPipeline, PipelineError> {
        let stream = SavedPipeline::stream(name);
        let (mut next, mut saved) = self.saved_pipelines.get(name);
        let mut pages = StreamPages::new(self.store.as_ref(), &stream, next, PAGE);
        while let Some(page) = pages.next().await? {
            for envelope in &page {
                let event = saved_pipeline(envelope)
                    .map_err(|what| PipelineError::Unreadable { name: name.to_owned(), what })?;
                saved.apply(&event);
                next = envelope.header.version.next();
            }
            self.saved_pipelines.keep(name, next, &saved);
        }
        Ok(saved)
    }

    pub(crate) async fn pipeline(&self, wanted: &PipelineRef) -> Result<Arc<Definition>, PipelineError> {
        let unknown = || PipelineError::NotFound(wanted.to_string());
        let saved = self.saved_pipeline(&wanted.name).await?;
        if let Some(version) = saved.find(&wanted.which) {
            return Ok(self.definitions.get(version.hash).await?);
        }
        let built_in = self.edge.built_ins.as_ref().and_then(|built_ins| built_ins.find(&wanted.name));
        let built_in = built_in.ok_or_else(unknown)?;
        match &wanted.which {
            VersionSelector::Newest => Ok(built_in),
            VersionSelector::Hash(start) if built_in.hash().to_string().starts_with(start.as_str()) => {
                Ok(built_in)
            }
            VersionSelector::Hash(_) | VersionSelector::Nth(_) => Err(unknown()),
        }
    }

    pub(crate) async fn save_pipeline(
        &self,
        definition: &Arc<Definition>,
        text: Option<String>,
        By { actor, dedup }: By,
    ) -> Result<Saved, PipelineError> {
        let name = definition.name.as_str();
        name.parse::<PipelineRef>()?;
        let hash = self.definitions.save(definition).await?;
        // One save after the other, so that each one succeeds after a few tries.
        let _turn = self.saved_pipelines.saving.lock().await;
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
            let event = PipelineEvent::PipelineSaved(event);
            let encoded = event.encode().map_err(|error| DefinitionError::TooLarge(error.to_string()))?;
            let stream = SavedPipeline::stream(name);
            let before = newest.map(StreamEnd::of).unwrap_or_default();
            let mut end = before;
            let (at, cause) = ((self.config.clock)(), end.cause(&stream));
            let origin = EventOrigin { stream: &stream, actor: &actor, at, cause };
            let events = vec![end.link(&origin, encoded)];
            let append = Append {
                stream,
                expected: before.version,
                previous: before.hash,
                events,
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
