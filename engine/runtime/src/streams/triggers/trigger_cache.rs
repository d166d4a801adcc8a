//! The triggers of the newest saved pipelines, as they were read last.

use everfold_language::definition::{Definition, Schedule, Trigger, TriggerSource};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Sources without a listener that are told apart.
const UNHEARD_MAX: usize = 1_000;

/// Pipelines whose newest saved version has triggers, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Triggers {
    pub(super) read: BTreeMap<String, Arc<Definition>>,
    /// Pipelines whose newest version is damaged, and how: their triggers are not known.
    pub(super) damaged: BTreeMap<String, String>,
}

/// A trigger with its pipeline.
pub(crate) struct ListedTrigger<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) definition: &'a Arc<Definition>,
    /// Which of the pipeline's triggers, from 0.
    pub(crate) index: usize,
    pub(crate) trigger: &'a Trigger,
}

impl Triggers {
    fn all(&self) -> impl Iterator<Item = ListedTrigger<'_>> {
        self.read.iter().flat_map(|(pipeline, definition)| {
            let triggers = definition.triggers.iter().enumerate();
            triggers.map(move |(index, trigger)| ListedTrigger { pipeline, definition, index, trigger })
        })
    }

    /// The triggers on deliveries of a source.
    pub(crate) fn of_hook(&self, source: &str) -> impl Iterator<Item = ListedTrigger<'_>> {
        self.all()
            .filter(move |listed| matches!(&listed.trigger.on, TriggerSource::Hook(hook) if hook == source))
    }

    /// The triggers on moments of a schedule.
    pub(crate) fn schedules(&self) -> impl Iterator<Item = (ListedTrigger<'_>, &Schedule)> {
        self.all().filter_map(|listed| match &listed.trigger.on {
            TriggerSource::Schedule(schedule) => Some((listed, schedule)),
            TriggerSource::Hook(_) => None,
        })
    }

    /// Why the triggers of a pipeline are not known.
    pub(crate) fn damage(&self, pipeline: &str) -> Option<&str> {
        self.damaged.get(pipeline).map(String::as_str)
    }

    /// One trigger of a pipeline.
    pub(crate) fn get(&self, pipeline: &str, index: usize) -> Option<ListedTrigger<'_>> {
        self.all().find(|listed| listed.pipeline == pipeline && listed.index == index)
    }
}

/// The triggers, read when they are first needed; after a pipeline was saved, those of this one are read again.
#[derive(Default)]
pub(crate) struct TriggerCache {
    pub(super) known: Mutex<KnownTriggers>,
    /// Sources of deliveries that no trigger listens to, as far as that was said.
    unheard: Mutex<BTreeSet<String>>,
}

/// A save that is under way. When it is over, also for a caller who went away, the triggers of the pipeline are read anew.
pub(crate) struct SaveUnderWay<'a> {
    triggers: &'a TriggerCache,
    pipeline: &'a str,
}

impl Drop for SaveUnderWay<'_> {
    fn drop(&mut self) {
        self.triggers.pipeline_saved(self.pipeline);
    }
}

impl TriggerCache {
    /// A pipeline is being saved.
    pub(crate) fn saving<'a>(&'a self, pipeline: &'a str) -> SaveUnderWay<'a> {
        SaveUnderWay { triggers: self, pipeline }
    }

    /// A pipeline was saved, or may have been.
    fn pipeline_saved(&self, name: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.triggers.is_some() {
            known.stale.insert(name.to_owned());
        }
        known.saved += 1;
    }

    /// Says in the log that no trigger listens to a source; once for each.
    pub(crate) fn say_unheard(&self, source: &str) {
        let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        if unheard.len() < UNHEARD_MAX && unheard.insert(source.to_owned()) {
            tracing::warn!(
                source,
                "deliveries lead to nothing: no saved pipeline has a trigger with this hook"
            );
        }
    }
}

#[derive(Default)]
pub(super) struct KnownTriggers {
    /// `None`: all are read when they are needed first.
    pub(super) triggers: Option<Arc<Triggers>>,
    /// Pipelines that were saved since.
    pub(super) stale: BTreeSet<String>,
    /// How often a pipeline was saved.
    pub(super) saved: u64,
}
