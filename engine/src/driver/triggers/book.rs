//! The triggers that count: those of the newest saved version of each pipeline.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::PipelineError;
use super::super::shared::Shared;
use crate::definition::{Definition, Schedule, Trigger, TriggerSource};
use crate::saved::SavedPipeline;

/// Pipelines whose newest saved version has triggers, by name.
#[derive(Debug, Default)]
pub(in crate::driver) struct Triggers {
    read: Vec<(String, Arc<Definition>)>,
    /// Pipelines whose newest version is damaged, and how: nobody knows which triggers they have.
    damaged: BTreeMap<String, String>,
}

/// A trigger with its pipeline.
pub(in crate::driver) struct Listed<'a> {
    pub(in crate::driver) pipeline: &'a str,
    pub(in crate::driver) definition: &'a Arc<Definition>,
    /// Which of the pipeline's triggers, from 0.
    pub(in crate::driver) index: usize,
    pub(in crate::driver) trigger: &'a Trigger,
}

impl Triggers {
    fn all(&self) -> impl Iterator<Item = Listed<'_>> {
        self.read.iter().flat_map(|(pipeline, definition)| {
            let triggers = definition.triggers.iter().enumerate();
            triggers.map(move |(index, trigger)| Listed { pipeline, definition, index, trigger })
        })
    }

    /// Those that listen to a source of hooks.
    pub(in crate::driver) fn of_hook(&self, source: &str) -> impl Iterator<Item = Listed<'_>> {
        self.all()
            .filter(move |listed| matches!(&listed.trigger.on, TriggerSource::Hook(hook) if hook == source))
    }

    /// Those that have moments.
    pub(in crate::driver) fn schedules(&self) -> impl Iterator<Item = (Listed<'_>, &Schedule)> {
        self.all().filter_map(|listed| match &listed.trigger.on {
            TriggerSource::Schedule(schedule) => Some((listed, schedule)),
            TriggerSource::Hook(_) => None,
        })
    }

    /// Why nobody knows which triggers a pipeline has.
    pub(in crate::driver) fn damage(&self, pipeline: &str) -> Option<&str> {
        self.damaged.get(pipeline).map(String::as_str)
    }

    /// One trigger of a pipeline.
    pub(in crate::driver) fn get(&self, pipeline: &str, index: usize) -> Option<Listed<'_>> {
        self.all().find(|listed| listed.pipeline == pipeline && listed.index == index)
    }
}

/// The triggers, read when they are first needed and again after a pipeline was saved.
#[derive(Default)]
pub(in crate::driver) struct TriggerBook {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    triggers: Option<Arc<Triggers>>,
    /// How often something was saved.
    saved: u64,
}

impl TriggerBook {
    /// A pipeline was saved.
    pub(in crate::driver) fn turn(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.triggers = None;
        kept.saved += 1;
    }

    /// The triggers that count now.
    pub(in crate::driver) async fn read(&self, shared: &Shared) -> Result<Arc<Triggers>, PipelineError> {
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
