//! How much work is in progress at once, in the whole engine.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::EngineConfig;
use crate::definition::Task;
use crate::execution::Traits;

/// What an attempt counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Supervised,
    Function,
    /// A child run: it takes no place of its own, because its steps do; runs that wait for each
    /// other's places would wait for ever.
    Child,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::Supervised, Self::Function, Self::Child];

    pub(super) fn of(kind: &str, traits: &Traits) -> Self {
        match kind {
            Task::RUN => Self::Child,
            _other if traits.supervised => Self::Supervised,
            _other => Self::Function,
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// A place among the attempts in progress; given back on drop.
pub(super) type Slot = OwnedSemaphorePermit;

/// The places, shared by all shards. The semaphore is fair between shards, each shard between runs.
pub(super) struct Slots {
    attempts: [Arc<Semaphore>; 3],
    pub(super) probes: Arc<Semaphore>,
    pub(super) notices: Arc<Semaphore>,
}

impl Slots {
    pub(super) fn new(config: &EngineConfig) -> Self {
        let places = |max: usize| Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            attempts: [
                places(config.supervised_max),
                places(config.functions_max),
                places(Semaphore::MAX_PERMITS),
            ],
            probes: places(config.probes_max),
            notices: places(config.notices_max),
        }
    }

    pub(super) fn try_take(&self, class: Class) -> Option<Slot> {
        Arc::clone(&self.attempts[class.index()]).try_acquire_owned().ok()
    }

    /// Resolves with the next free place.
    pub(super) fn take(&self, class: Class) -> impl Future<Output = Slot> + Send + 'static {
        let places = Arc::clone(&self.attempts[class.index()]);
        async move { places.acquire_owned().await.expect("the places are never closed") }
    }
}
