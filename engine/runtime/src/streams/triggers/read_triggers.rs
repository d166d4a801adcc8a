//! Reads the triggers of the newest saved version of each pipeline.
//!
//! Laws:
//! - Triggers are cached; once a pipeline was saved, it is read anew, and no other one.
//! - What is read while one is saved is not cached.
//! - A pipeline without triggers is not compiled to find that.

use std::sync::{Arc, PoisonError};

use crate::error::PipelineError;
use crate::runtime::Runtime;
use crate::streams::triggers::trigger_cache::{TriggerCache, Triggers};
use everfold_language::definition::Definition;

impl TriggerCache {
    /// The triggers of the newest saved pipelines.
    pub(crate) async fn read(&self, shared: &Runtime) -> Result<Arc<Triggers>, PipelineError> {
        let (former, stale, saved) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match &known.triggers {
                Some(triggers) if known.stale.is_empty() => return Ok(Arc::clone(triggers)),
                former => (former.clone(), known.stale.clone(), known.saved),
            }
        };
        let (mut found, names) = match former {
            None => (Triggers::default(), shared.saved_names().await?),
            Some(former) => {
                // One that was damaged may have been mended since.
                let names = stale.into_iter().chain(former.damaged.keys().cloned()).collect();
                (Triggers::clone(&former), names)
            }
        };
        for name in names {
            found.read.remove(&name);
            found.damaged.remove(&name);
            match newest(shared, &name).await {
                Ok(Some(definition)) => {
                    found.read.insert(name, definition);
                }
                Ok(None) => {}
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
            known.stale.clear();
        }
        Ok(triggers)
    }
}

/// The newest saved version of a pipeline, where it has triggers.
async fn newest(shared: &Runtime, name: &str) -> Result<Option<Arc<Definition>>, PipelineError> {
    match shared.pipeline_summary(name).await? {
        Some((saved, summary)) if summary.has_triggers => Ok(Some(shared.definitions.get(saved.hash).await?)),
        _without => Ok(None),
    }
}
