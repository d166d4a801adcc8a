//! Inputs and queries to runs, from every part of the engine.
//!
//! Law: a request holds a strong sender to a shard only while it sends: shards end with the last handle of the
//! engine, even where their work still has requests to other runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::{mpsc, oneshot};

use crate::error::{QueryError, RecoverError, SubmitError};
use crate::messages::{Queued, ShardMessage};
use crate::panic::panic_text;
use crate::redaction::{redact_input, refuse_credentials};
use crate::runtime::Runtime;
use crate::start::runs_above::Decider;
use crate::start::submission::{Accepted, Submission};
use everfold_base::id::{InputId, RunId};
use everfold_base::json::DEPTH_MAX;
use everfold_core::decide::Refusal;
use everfold_core::state::RunState;
use everfold_store::Dedup;

impl Runtime {
    pub(crate) async fn send(&self, run: RunId, message: ShardMessage) -> Result<(), SubmitError> {
        let Some(shard) = self.mailboxes.shard(run) else { return Err(SubmitError::ShuttingDown) };
        match shard.try_send(message) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SubmitError::ShuttingDown),
            Err(mpsc::error::TrySendError::Full(message)) => {
                match shard.send_timeout(message, self.config.patience).await {
                    Ok(()) => Ok(()),
                    Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(SubmitError::Busy),
                    Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(SubmitError::ShuttingDown),
                }
            }
        }
    }

    pub(crate) async fn ask(&self, run: RunId, mut queued: Queued) -> Result<Accepted, SubmitError> {
        if self.is_stopping() {
            return Err(SubmitError::ShuttingDown);
        }
        // Here and not in `decide`: what was taken before there was this limit is decided as it was.
        if let Some(depth) = queued.kind.depth().filter(|depth| *depth > DEPTH_MAX) {
            return Err(SubmitError::Refused(Refusal::TooDeep { depth, max: DEPTH_MAX }));
        }
        if let Some(redactor) = &self.edge.redactor {
            refuse_credentials(&**redactor, &queued.kind).map_err(SubmitError::Refused)?;
            redact_input(&**redactor, &mut queued.kind);
        }
        let (sender, answer) = oneshot::channel();
        queued.answer = Some(sender);
        let dedup = queued.dedup;
        let message = ShardMessage::Input { run, queued: Box::new(queued) };
        self.send(run, message).await?;
        let answer = answer.await.unwrap_or(Err(SubmitError::ShuttingDown));
        let records_nothing = match &answer {
            Ok(accepted) => !accepted.changed,
            Err(error) => matches!(error, SubmitError::Refused(_)),
        };
        match dedup.filter(|_| records_nothing) {
            Some(dedup) => self.first_answer(dedup, answer).await,
            None => answer,
        }
    }

    /// The answer to an input that led to no append, which would have shown a repeated one (S10): what
    /// was done once is answered as it was then, though the run has moved on and would refuse it now.
    async fn first_answer(
        &self,
        dedup: Dedup,
        answer: Result<Accepted, SubmitError>,
    ) -> Result<Accepted, SubmitError> {
        let first = self.store.first_write(dedup.key).await;
        match first.map_err(|error| SubmitError::Store(error.to_string()))? {
            None => answer,
            Some(first) if first.body != dedup.body => Err(SubmitError::KeyReused),
            Some(first) => Ok(Accepted::again(&first.appended)),
        }
    }

    pub(crate) async fn submit(&self, submission: Submission) -> Result<Accepted, SubmitError> {
        let Submission { run, kind, actor, id, dedup } = submission;
        if let Some(what) = kind.override_without_reason() {
            return Err(Refusal::ReasonNeeded { what }.into());
        }
        self.refuse_decision(run, &kind, Decider { actor: &actor, made_by: None, behind: None }).await?;
        let id = id.unwrap_or_else(|| match &dedup {
            Some(dedup) => InputId::derive(&format!("{run}/{}", dedup.key)),
            None => InputId((self.config.chance)().to_le_bytes()),
        });
        let queued = Queued { actor, dedup, ..Queued::own(id, kind) };
        self.ask(run, queued).await
    }

    pub(crate) async fn with_state<R: Send + 'static>(
        &self,
        run: RunId,
        look: impl FnOnce(&RunState) -> R + Send + 'static,
    ) -> Result<R, QueryError> {
        let (sender, seen) = oneshot::channel();
        // A query from outside must not take the shard's runs with it.
        let look = Box::new(move |state: Result<&RunState, QueryError>| {
            let seen = state.and_then(|state| {
                catch_unwind(AssertUnwindSafe(|| look(state)))
                    .map_err(|panic| QueryError::Panicked(panic_text(panic.as_ref())))
            });
            let _gone = sender.send(seen);
        });
        self.send(run, ShardMessage::Query { run, query: look }).await.map_err(|error| match error {
            SubmitError::ShuttingDown => QueryError::ShuttingDown,
            other => QueryError::Store(other.to_string()),
        })?;
        seen.await.unwrap_or(Err(QueryError::ShuttingDown))
    }

    /// Drives one run; false where there is none.
    pub(crate) async fn drive(&self, run: RunId, even_quarantined: bool) -> Result<bool, RecoverError> {
        self.order(run, |done| ShardMessage::Drive { run, even_quarantined, done }).await
    }

    /// Has one run take over the pauses of its pipeline and the engine; false where there is none.
    pub(crate) async fn align(&self, run: RunId, drives: bool) -> Result<bool, RecoverError> {
        self.order(run, |done| ShardMessage::Align { run, drives, done }).await
    }

    /// Sends a message that must reach its run: waits for room in the shard's inbox without a limit.
    async fn order(
        &self,
        run: RunId,
        message: impl FnOnce(oneshot::Sender<bool>) -> ShardMessage,
    ) -> Result<bool, RecoverError> {
        let (done, answer) = oneshot::channel();
        let shard = self.mailboxes.shard(run).ok_or(RecoverError::ShuttingDown)?;
        shard.send(message(done)).await.map_err(|_| RecoverError::ShuttingDown)?;
        drop(shard);
        answer.await.map_err(|_| RecoverError::ShuttingDown)
    }
}
