//! The executor of kind `run`: starts a child run where it is not there, and waits for its end.

use std::sync::{Arc, Weak};

use futures::future::BoxFuture;

use crate::error::QueryError;
use crate::retry::{BUSY_AGAIN, FAILED_AGAIN};
use crate::run_locks::RunLocks;
use crate::runtime::Runtime;
use crate::work::child_run::cancel::cancel;
use crate::work::child_run::end::{ChildOutcome, NoOutput};
use crate::work::child_run::parent::look_until_seen;
use crate::work::child_run::spec::ChildSpec;
use crate::work::child_run::start::start_child;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::state::RunState;
use everfold_language::words::OnLost;
use everfold_ports::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits, Traits,
};

/// Starts child runs and waits for their ends.
pub(crate) struct ChildRuns {
    shared: Weak<Runtime>,
    locks: Arc<RunLocks>,
}

impl ChildRuns {
    pub(crate) fn new(shared: Weak<Runtime>) -> Self {
        Self { shared, locks: Arc::default() }
    }

    /// Starts and re-attaches alike: a child that is there already is waited for.
    fn run_child(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let (shared, locks) = (self.shared.clone(), Arc::clone(&self.locks));
        Box::pin(async move {
            let Some(shared) = shared.upgrade() else { return std::future::pending().await };
            match output_of_child(&locks, &shared, &request, &*observer).await {
                Ok((output, commit, ended_at)) => {
                    AttemptEnd { commit, ..AttemptEnd::new(AttemptResult::Succeeded(output), ended_at) }
                }
                Err(NoOutput::Failed(failure, commit, ended_at)) => {
                    AttemptEnd { commit, ..AttemptEnd::new(AttemptResult::Failed(failure), ended_at) }
                }
                Err(NoOutput::Unreadable(reason)) => {
                    AttemptEnd::new(AttemptResult::Unreadable { reason }, shared.now())
                }
                // The engine ends; the next one goes on with the attempt.
                Err(NoOutput::Gone) => std::future::pending().await,
            }
        })
    }
}

impl Executor for ChildRuns {
    fn traits(&self, _spec: &Value) -> Traits {
        // The child goes on without this executor, as a supervised process does; its id makes its start idempotent.
        Traits {
            supervised: true,
            loss: LossTraits { idempotent: true, on_lost: OnLost::Retry },
            paid: false,
            reads_input: false,
        }
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.run_child(request, observer)
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.run_child(request, observer)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        let (shared, locks) = (self.shared.clone(), Arc::clone(&self.locks));
        Box::pin(async move {
            if let Some(shared) = shared.upgrade() {
                cancel(&locks, &shared, &request).await;
            }
        })
    }
}

/// Starts the child where it is not there, and waits for its end.
async fn output_of_child(
    locks: &RunLocks,
    shared: &Arc<Runtime>,
    request: &AttemptRequest,
    observer: &dyn AttemptObserver,
) -> Result<(Value, Option<String>, Timestamp), NoOutput> {
    let id = request.id.run.child(&request.id.attempt);
    let spec = ChildSpec::of(&request.spec);
    let id = start_child(locks, shared, request, &spec, id).await?;
    observer.started();
    let attempt = request.id.attempt.clone();
    let is_stopping = move |state: &RunState| state.stopping(&attempt).is_some();
    // A child that is to end with its parent is waited for, however it was started.
    if !spec.waits && !look_until_seen(shared, request.id.run, is_stopping).await.ok_or(NoOutput::Gone)? {
        return Ok((serde_json::json!({ "run": id }), None, shared.now()));
    }
    loop {
        // Asked for before the look, so that no end is missed in between.
        let ended = shared.ends.of(id);
        match shared.with_state(id, ChildOutcome::of).await {
            Ok(Some(end)) => return end.into_result(shared, id, &spec.pipeline).await,
            Ok(None) => {}
            // A quarantined child needs an operator and is listed as such; it may have ended when it is loaded again.
            Err(QueryError::SetAside { .. }) => {
                tokio::select! {
                    biased;
                    is_seen = ended.seen() => if !is_seen { return Err(NoOutput::Gone) },
                    () = tokio::time::sleep(FAILED_AGAIN) => {}
                }
                continue;
            }
            Err(QueryError::ShuttingDown) => return Err(NoOutput::Gone),
            Err(
                QueryError::NotFound(_)
                | QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_)
                | QueryError::Busy(_),
            ) => {
                tokio::time::sleep(BUSY_AGAIN).await;
                continue;
            }
        }
        if !ended.seen().await {
            return Err(NoOutput::Gone);
        }
    }
}
