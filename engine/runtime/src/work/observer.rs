//! What the executors of attempts in progress report to the shard before the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use futures::task::AtomicWaker;

use crate::runtime::Runtime;
use everfold_base::id::EffectId;
use everfold_core::artefact::Usage;
use everfold_ports::AttemptObserver;

/// Attempts that began; each is reported once, so there are never more than are in progress.
#[derive(Default)]
pub(crate) struct ObservedAttempts {
    began: Mutex<Vec<EffectId>>,
    /// What each has used up so far, by its last report.
    used: Mutex<BTreeMap<EffectId, Vec<Usage>>>,
    waker: AtomicWaker,
}

impl ObservedAttempts {
    fn began(&self, id: EffectId) {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.waker.wake();
    }

    fn used(&self, id: &EffectId, so_far: &[Usage]) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), so_far.to_vec());
        self.waker.wake();
    }

    /// Whether there is something to take; the task is woken when there will be.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        !self.began.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            || !self.used.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn take_used(&self) -> BTreeMap<EffectId, Vec<Usage>> {
        std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn take(&self) -> Vec<EffectId> {
        std::mem::take(&mut *self.began.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The observer of one attempt.
pub(crate) struct Observer {
    pub(crate) id: EffectId,
    pub(crate) observed: Arc<ObservedAttempts>,
    pub(crate) shared: Arc<Runtime>,
    /// Its begin was reported, or need not be.
    pub(crate) has_begun: AtomicBool,
}

impl AttemptObserver for Observer {
    fn started(&self) {
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            self.observed.began(self.id.clone());
        }
    }

    fn line(&self, line: &str) {
        self.shared.live.line(&self.id, line, self.shared.now());
    }

    fn used(&self, so_far: &[Usage]) {
        self.observed.used(&self.id, so_far);
    }
}

/// Nothing of the attempt is left that could report: its newest line goes with it, however it ended.
impl Drop for Observer {
    fn drop(&mut self) {
        self.shared.live.ended(self.id.run, &self.id.attempt);
    }
}
