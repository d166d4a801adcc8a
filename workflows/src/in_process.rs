//! Attempts that are made inside the engine's own process.
//!
//! Law: an attempt ends by itself, by its time limit or by a cancel, whichever is first, and a panic in
//! it is its own failure. Work that listens for its stop gets the step's grace; after the grace, and at once where
//! the work does not listen, its future is dropped: nothing of it goes on.
//!
//! Used by the executors `function` and `http`.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::EffectId;
use everfold_ports::{AttemptEnd, AttemptObserver, AttemptResult};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::attempt_end::ended_now;

/// The attempts in progress.
#[derive(Clone, Default)]
pub(crate) struct InProcess {
    running: Arc<Mutex<HashMap<EffectId, InProcessAttempt>>>,
}

/// An attempt to make.
pub(crate) struct InProcessWork {
    pub(crate) id: EffectId,
    pub(crate) timeout: Option<Duration>,
    /// Names it in failures: `the function`.
    pub(crate) what: &'static str,
    pub(crate) stop: StopHandle,
}

/// How work learns that it must stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopHandle {
    pub(crate) token: CancellationToken,
    /// The work asked for the token.
    pub(crate) listens: Arc<AtomicBool>,
    /// How long work that asked for it may go on.
    pub(crate) grace: Duration,
}

#[derive(Clone)]
struct InProcessAttempt {
    stop: CancellationToken,
    ended: CancellationToken,
}

/// Takes an attempt off the list however its future ends, also by being dropped.
struct ListedAttempt {
    running: InProcess,
    id: EffectId,
    ended: CancellationToken,
    stop: CancellationToken,
}

impl Drop for ListedAttempt {
    fn drop(&mut self) {
        // Stops the tasks that the work started, too.
        self.stop.cancel();
        self.running.list().remove(&self.id);
        self.ended.cancel();
    }
}

impl InProcess {
    /// Does the work of an attempt.
    pub(crate) fn run(
        &self,
        attempt: InProcessWork,
        observer: Arc<dyn AttemptObserver>,
        work: impl Future<Output = AttemptResult> + Send + 'static,
    ) -> BoxFuture<'static, AttemptEnd> {
        let InProcessWork { id, timeout, what, stop } = attempt;
        let mine = InProcessAttempt { stop: CancellationToken::new(), ended: CancellationToken::new() };
        self.list().insert(id.clone(), mine.clone());
        let listed = ListedAttempt { running: self.clone(), id, ended: mine.ended, stop: stop.token.clone() };
        let limit = timeout.unwrap_or(Duration::MAX);
        async move {
            let _listed = listed;
            observer.started();
            let work = AssertUnwindSafe(work).catch_unwind();
            tokio::pin!(work);
            let early = tokio::select! {
                biased;
                () = mine.stop.cancelled() => Failure::new(FailureKind::Cancelled, "cancelled"),
                ended = tokio::time::timeout(limit, &mut work) => match ended {
                    Ok(ended) => return ended_now(ended.unwrap_or_else(|panic| panicked(what, &*panic))),
                    Err(_elapsed) => Failure::time_limit(limit),
                },
            };
            stop.token.cancel();
            if stop.listens.load(Ordering::Acquire) {
                // A stop was requested, so the result does not count.
                let _late = tokio::time::timeout(stop.grace, work).await;
            }
            ended_now(AttemptResult::Failed(early))
        }
        .boxed()
    }

    /// Ends an attempt; resolves when nothing of it is left.
    pub(crate) fn cancel(&self, id: &EffectId) -> BoxFuture<'static, ()> {
        let running = self.list().get(id).cloned();
        async move {
            if let Some(running) = running {
                running.stop.cancel();
                running.ended.cancelled().await;
            }
        }
        .boxed()
    }

    fn list(&self) -> MutexGuard<'_, HashMap<EffectId, InProcessAttempt>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The failure of work that panicked; what it said is the detail.
fn panicked(what: &str, panic: &(dyn Any + Send)) -> AttemptResult {
    let failure = Failure::new(FailureKind::Crash, format!("{what} panicked"))
        .with_hint("a bug in the program: its standard error names the line; correct it, then retry");
    let message = panic.downcast_ref::<&str>().map(|message| (*message).to_owned());
    AttemptResult::Failed(match message.or_else(|| panic.downcast_ref::<String>().cloned()) {
        Some(message) => failure.with_detail(message),
        None => failure,
    })
}
