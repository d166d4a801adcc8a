//! What attempts in progress tell their shard.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use futures::task::AtomicWaker;

use crate::driver::shared::Shared;
use crate::execution::AttemptObserver;
use crate::id::EffectId;
use crate::trace::Usage;

/// Attempts that say that they began; each says so once, so there are never more than are in
/// progress.
#[derive(Default)]
pub(super) struct Told {
    began: Mutex<Vec<EffectId>>,
    /// What each has used up so far, as it said last.
    used: Mutex<BTreeMap<EffectId, Vec<Usage>>>,
    waker: AtomicWaker,
}

impl Told {
    fn tell(&self, id: EffectId) {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.waker.wake();
    }

    fn used(&self, id: &EffectId, so_far: &[Usage]) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), so_far.to_vec());
        self.waker.wake();
    }

    /// Whether there is something to take; the task is woken when there will be.
    pub(super) fn poll(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        !self.began.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            || !self.used.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn take_used(&self) -> BTreeMap<EffectId, Vec<Usage>> {
        std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take(&self) -> Vec<EffectId> {
        std::mem::take(&mut *self.began.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The ear of one attempt.
pub(super) struct Observer {
    pub(super) id: EffectId,
    pub(super) told: Arc<Told>,
    pub(super) shared: Arc<Shared>,
    /// It has said so, or need not.
    pub(super) has_begun: AtomicBool,
}

impl AttemptObserver for Observer {
    fn started(&self) {
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            self.told.tell(self.id.clone());
        }
    }

    fn line(&self, line: &str) {
        self.shared.live.line(&self.id, line, self.shared.now());
    }

    fn used(&self, so_far: &[Usage]) {
        self.told.used(&self.id, so_far);
    }
}
