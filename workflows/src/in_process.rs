//! Attempts that are made inside the engine's own process.
//!
//! Law: an attempt ends by itself, by its time limit or by a cancel, whichever is first, and a panic in
//! it is its own failure. Ending early is being dropped: nothing of it goes on.
//!
//! Used by the executors `function` and `http`.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_engine::duration;
use everfold_engine::execution::{AttemptEnd, AttemptObserver, AttemptResult};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::EffectId;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::process::ended_now;

/// The attempts in progress.
#[derive(Clone, Default)]
pub(crate) struct InProcess {
    running: Arc<Mutex<HashMap<EffectId, Running>>>,
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
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.running.list().remove(&self.id);
        self.ended.cancel();
    }
}

impl InProcess {
    /// Does the work of an attempt; `what` names it in failures.
    pub(crate) fn run(
        &self,
        id: EffectId,
        timeout: Option<Duration>,
        what: &'static str,
        observer: Arc<dyn AttemptObserver>,
        work: impl Future<Output = AttemptResult> + Send + 'static,
    ) -> BoxFuture<'static, AttemptEnd> {
        let mine = Running { stop: CancellationToken::new(), ended: CancellationToken::new() };
        self.list().insert(id.clone(), mine.clone());
        let listed = Listed { running: self.clone(), id, ended: mine.ended };
        let limit = timeout.unwrap_or(Duration::MAX);
        async move {
            let _listed = listed;
            observer.started();
            let work = AssertUnwindSafe(work).catch_unwind();
            let failed = |kind, message: String| AttemptResult::Failed(Failure::new(kind, message));
            let result = tokio::select! {
                biased;
                () = mine.stop.cancelled() => failed(FailureKind::Cancelled, "cancelled".to_owned()),
                ended = tokio::time::timeout(limit, work) => match ended {
                    Ok(Ok(result)) => result,
                    Ok(Err(_panic)) => failed(FailureKind::Crash, format!("{what} panicked")),
                    Err(_elapsed) => failed(
                        FailureKind::Timeout,
                        format!("the time limit of {} passed", duration::format(limit)),
                    ),
                },
            };
            ended_now(result)
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
