//! Reads the triggers of the newest saved version of each pipeline.
//!
//! Law: triggers are cached until a pipeline is saved; what is read while one is saved is not cached.

use std::sync::{Arc, PoisonError};

use crate::error::PipelineError;
use crate::runtime::Runtime;
use crate::streams::triggers::trigger_cache::{TriggerCache, Triggers};
use everfold_core::pipeline_versions::SavedPipeline;
use everfold_language::definition::Definition;

impl TriggerCache {
    /// A pipeline was saved.
    pub(crate) fn clear(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.triggers = None;
        known.saved += 1;
    }

    /// The triggers of the newest saved pipelines.
    pub(crate) async fn read(&self, shared: &Runtime) -> Result<Arc<Triggers>, PipelineError> {
        let saved = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(triggers) = &known.triggers {
                return Ok(Arc::clone(triggers));
            }
            known.saved
        };
        let mut found = Triggers::default();
        for name in shared.saved_names().await? {
            match newest(shared, &name).await {
                Ok(Some(definition)) if !definition.triggers.is_empty() => {
                    found.read.push((name, definition));
                }
                Ok(_without) => {}
                // Left out, its triggers would be missing for as long as the others are cached.
                Err(error) if error.is_passing() => return Err(error),
                // A pipeline that cannot be read delays no other one.
                Err(error) => {
                    tracing::error!(pipeline = name, %error, "its triggers cannot be read");
                    found.damaged.insert(name, error.to_string());
                }
            }
        }
        let triggers = Arc::new(found);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.saved == saved {
            known.triggers = Some(Arc::clone(&triggers));
        }
        Ok(triggers)
    }
}

/// The newest saved version of a pipeline.
async fn newest(shared: &Runtime, name: &str) -> Result<Option<Arc<Definition>>, PipelineError> {
    let mut pipeline = SavedPipeline::default();
    for (event, _) in shared.saved_versions(name).await? {
        pipeline.apply(&event);
    }
    let Some(newest) = pipeline.newest() else { return Ok(None) };
    Ok(Some(shared.definitions.get(newest.hash).await?))
}
