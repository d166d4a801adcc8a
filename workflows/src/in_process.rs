//! Attempts that are made inside the engine's own process.
//!
//! Law: an attempt ends by itself, by its time limit or by a cancel, whichever is first, and a panic in
//! it is its own failure. Whoever listens for its end gets the step's grace; then, and where nobody
//! listens at once, ending early is being dropped: nothing of it goes on.
//!
//! Used by the executors `function` and `http`.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::duration;
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
    running: Arc<Mutex<HashMap<EffectId, Running>>>,
}

/// An attempt to make.
pub(crate) struct Work {
    pub(crate) id: EffectId,
    pub(crate) timeout: Option<Duration>,
    /// Names it in failures: `the function`.
    pub(crate) what: &'static str,
    pub(crate) stop: Stop,
}

/// How work hears that it is to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    pub(crate) token: CancellationToken,
    /// The work asked for the token.
    pub(crate) heard: Arc<AtomicBool>,
    /// How long work that asked for it may go on.
    pub(crate) grace: Duration,
}

#[derive(Clone)]
struct Running {
    stop: CancellationToken,
    ended: CancellationToken,
}

/// Takes an attempt off the list however its future ends, also by being dropped.
struct Listed {
    running: InProcess,
    id: EffectId,
    ended: CancellationToken,
    told: CancellationToken,
}

impl Drop for Listed {
    fn drop(&mut self) {
        // Tasks that it left behind hear of it, too.
        self.told.cancel();
        self.running.list().remove(&self.id);
        self.ended.cancel();
    }
}

impl InProcess {
    /// Does the work of an attempt.
    pub(crate) fn run(
        &self,
        attempt: Work,
        observer: Arc<dyn AttemptObserver>,
        work: impl Future<Output = AttemptResult> + Send + 'static,
    ) -> BoxFuture<'static, AttemptEnd> {
        let Work { id, timeout, what, stop } = attempt;
        let mine = Running { stop: CancellationToken::new(), ended: CancellationToken::new() };
        self.list().insert(id.clone(), mine.clone());
        let listed = Listed { running: self.clone(), id, ended: mine.ended, told: stop.token.clone() };
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
                    Err(_elapsed) => Failure::new(
                        FailureKind::Timeout,
                        format!("the time limit of {} passed", duration::format(limit)),
                    ),
                },
            };
            stop.token.cancel();
            if stop.heard.load(Ordering::Acquire) {
                // What it gives now does not count: it was to end.
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

    fn list(&self) -> MutexGuard<'_, HashMap<EffectId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The failure of work that panicked; what it said is the detail.
fn panicked(what: &str, panic: &(dyn Any + Send)) -> AttemptResult {
    let failure = Failure::new(FailureKind::Crash, format!("{what} panicked"))
        .with_hint("a bug in the program: its standard error names the line; correct it, then retry");
    let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
    AttemptResult::Failed(match said.or_else(|| panic.downcast_ref::<String>().cloned()) {
        Some(said) => failure.with_detail(said),
        None => failure,
    })
}
