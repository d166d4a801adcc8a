//! Saved pipelines.

use crate::engine::handle::Engine;
use crate::error::PipelineError;
use crate::pipelines::Saved;
use crate::recovery::unknown_work::{Unknown, unknown_work};
use crate::streams::triggers::by::By;
use everfold_base::envelope::Envelope;
use everfold_core::pipeline_versions::{PipelineSaved, SavedVersion};
use everfold_language::definition::{Definition, DefinitionSummary, PipelineRef};
use std::sync::Arc;

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
        let under_way = self.inner.shared.triggers.saving(&definition.name);
        let saved = self.inner.shared.save_pipeline(definition, text, by.into()).await?;
        drop(under_way);
        // The moments of its schedules count from here on.
        self.inner.shared.mailboxes.schedules.sync().await;
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

    /// The newest saved version of a name, and what lists show of it; nothing is compiled for that. `None`: it was never
    /// saved.
    ///
    /// # Errors
    /// The store, or what it holds of the pipeline, cannot be read.
    pub async fn pipeline_summary(
        &self,
        name: &str,
    ) -> Result<Option<(SavedVersion, DefinitionSummary)>, PipelineError> {
        self.inner.shared.pipeline_summary(name).await
    }

    /// The names that were saved, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn saved_names(&self) -> Result<Vec<String>, PipelineError> {
        self.inner.shared.saved_names().await
    }
}

impl Engine {
    /// All work and probes of a pipeline that this engine does not have, in the order of the file: no run of it begins.
    #[must_use]
    pub fn unknown_work(&self, definition: &Definition) -> Vec<Unknown> {
        unknown_work(&self.inner.shared.edge, definition)
    }
}
