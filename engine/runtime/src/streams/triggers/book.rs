//! The triggers that count: those of the newest saved version of each pipeline.

use std::sync::{Arc, PoisonError};

use crate::error::PipelineError;
use crate::runtime::Runtime;
use crate::streams::triggers::known::{TriggerCache, Triggers};
use everfold_core::pipeline_versions::SavedPipeline;

impl TriggerCache {
    /// A pipeline was saved.
    pub(crate) fn turn(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.triggers = None;
        kept.saved += 1;
    }

    /// The triggers that count now.
    pub(crate) async fn read(&self, shared: &Runtime) -> Result<Arc<Triggers>, PipelineError> {
        let saved = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(triggers) = &kept.triggers {
                return Ok(Arc::clone(triggers));
            }
            kept.saved
        };
        let mut found = Triggers::default();
        for name in shared.saved_names().await? {
            let mut pipeline = SavedPipeline::default();
            for (event, _) in shared.saved_versions(&name).await? {
                pipeline.apply(&event);
            }
            let Some(newest) = pipeline.newest() else { continue };
            match shared.definitions.get(newest.hash).await {
                Ok(definition) if !definition.triggers.is_empty() => found.read.push((name, definition)),
                Ok(_without) => {}
                // Left out, it would be missed for as long as this is kept.
                Err(error) if error.is_passing() => return Err(error.into()),
                // One that cannot be read keeps no other from being triggered.
                Err(error) => {
                    tracing::error!(pipeline = name, %error, "its triggers cannot be read");
                    found.damaged.insert(name, error.to_string());
                }
            }
        }
        let triggers = Arc::new(found);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.saved == saved {
            kept.triggers = Some(Arc::clone(&triggers));
        }
        Ok(triggers)
    }
}
