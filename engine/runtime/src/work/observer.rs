//! What the executors of attempts in progress report to the shard before the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures::future::BoxFuture;
use futures::task::AtomicWaker;

use crate::redaction::redact_progress;
use crate::run::attempt::event::AttemptBegin;
use crate::runtime::Runtime;
use crate::work::progress_limit::{ProgressLimit, ReportDue};
use everfold_base::id::EffectId;
use everfold_base::time::Timestamp;
use everfold_core::artefact::Usage;
use everfold_core::event::AttemptHolder;
use everfold_core::progress::WorkProgress;
use everfold_ports::{AttemptObserver, NameFailure, NameRequest, NameWish, RecordReceipt};

/// Attempts that began: each is reported once, and again with each worker that takes it.
#[derive(Default)]
pub(crate) struct ObservedAttempts {
    began: Mutex<Vec<(EffectId, AttemptBegin)>>,
    /// What each has used up so far, by its last report.
    used: Mutex<BTreeMap<EffectId, Vec<Usage>>>,
    /// How far each is, where that is to be recorded.
    progress: Mutex<BTreeMap<EffectId, WorkProgress>>,
    waker: AtomicWaker,
}

impl ObservedAttempts {
    fn began(&self, id: EffectId, begin: AttemptBegin) {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).push((id, begin));
        self.waker.wake();
    }

    fn used(&self, id: &EffectId, so_far: &[Usage]) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), so_far.to_vec());
        self.waker.wake();
    }

    fn progress(&self, id: &EffectId, progress: WorkProgress) {
        self.reports().insert(id.clone(), progress);
        self.waker.wake();
    }

    fn reports(&self) -> MutexGuard<'_, BTreeMap<EffectId, WorkProgress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_progress(&self) -> BTreeMap<EffectId, WorkProgress> {
        std::mem::take(&mut *self.reports())
    }

    /// How far an attempt was that ends now, where that was not taken yet.
    pub(crate) fn last_progress(&self, id: &EffectId) -> Option<WorkProgress> {
        self.reports().remove(id)
    }

    /// Whether there is something to take; the task is woken when there will be.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        !self.began.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            || !self.reports().is_empty()
            || !self.used.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn take_used(&self) -> BTreeMap<EffectId, Vec<Usage>> {
        std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Attempts that began, or that workers took.
    pub(crate) fn take(&self) -> Vec<(EffectId, AttemptBegin)> {
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
    pub(crate) progress: Arc<ProgressLimit>,
    /// Work may report from a thread of its own.
    pub(crate) tasks: tokio::runtime::Handle,
}

impl Observer {
    fn began(&self, at: Option<Timestamp>) {
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            self.observed.began(self.id.clone(), AttemptBegin { at, taken: None });
        }
    }
}

impl AttemptObserver for Observer {
    fn started(&self) {
        self.began(None);
    }

    fn started_at(&self, at: Timestamp) {
        self.began(Some(at));
    }

    fn taken(&self, holder: AttemptHolder, receipt: RecordReceipt) {
        self.has_begun.store(true, Ordering::Relaxed);
        let begin = AttemptBegin { at: None, taken: Some((holder, receipt)) };
        self.observed.began(self.id.clone(), begin);
    }

    fn line(&self, line: &str) {
        self.shared.live.line(&self.id, line, self.shared.now());
    }

    fn used(&self, so_far: &[Usage]) {
        self.observed.used(&self.id, so_far);
    }

    fn progress(&self, mut progress: WorkProgress) {
        // Before it is cut: of half a credential nothing is recognised.
        if let Some(redactor) = &self.shared.edge.redactor {
            redact_progress(&**redactor, &mut progress);
        }
        match self.progress.report(progress.bounded(), self.shared.steady()) {
            ReportDue::Nothing => {}
            ReportDue::Now(progress) => self.observed.progress(&self.id, progress),
            ReportDue::After(pause) => {
                let (limit, observed) = (Arc::clone(&self.progress), Arc::clone(&self.observed));
                let (shared, id) = (Arc::downgrade(&self.shared), self.id.clone());
                self.tasks.spawn(async move {
                    tokio::time::sleep(pause).await;
                    let held = shared.upgrade().and_then(|shared| limit.take_held(shared.steady()));
                    held.into_iter().for_each(|held| observed.progress(&id, held));
                });
            }
        }
    }

    fn unique_name(&self, request: NameRequest) -> BoxFuture<'static, Result<String, NameFailure>> {
        let (shared, id) = (Arc::clone(&self.shared), self.id.clone());
        Box::pin(async move { shared.names.take(&shared, &id, &request).await })
    }

    fn held_name(&self, wish: NameWish) -> BoxFuture<'static, Result<Option<String>, NameFailure>> {
        let (shared, id) = (Arc::clone(&self.shared), self.id.clone());
        Box::pin(async move { shared.names.held(&shared, &id, &wish).await })
    }
}

/// Nothing of the attempt is left that could report: its newest line goes with it, however it ended.
impl Drop for Observer {
    fn drop(&mut self) {
        self.shared.live.ended(self.id.run, &self.id.attempt);
        if let Some(held) = self.progress.take_held(self.shared.steady()) {
            self.observed.progress(&self.id, held);
        }
    }
}
