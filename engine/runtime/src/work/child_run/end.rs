//! How a child run ended, as the end of the attempt that started it.

use crate::retry::Patience;
use crate::runtime::Runtime;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{RunId, StepPath};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::state::{RunState, RunStatus, StoredValue};

/// Why an attempt has no output of its child.
pub(crate) enum NoOutput {
    /// The child cannot start, failed or was cancelled; the head of a worktree that it shared, and when that was.
    Failed(Failure, Option<String>, Timestamp),
    /// The stored output of the child is damaged.
    Unreadable(String),
    /// The engine ends; the next one goes on with the attempt.
    Gone,
}

/// How a child ended.
pub(crate) struct ChildOutcome {
    status: RunStatus,
    output: StoredValue,
    failure: Option<(Failure, Option<StepPath>)>,
    /// Who had it cancelled, and why.
    cancelled: Option<String>,
    /// The head of the worktree that it shared with its parent.
    commit: Option<String>,
    at: Timestamp,
}

impl ChildOutcome {
    pub(crate) fn of(state: &RunState) -> Option<Self> {
        Some(Self {
            status: state.status(),
            output: state.output().clone(),
            failure: state.failure().map(|(failure, path)| (failure.clone(), path.cloned())),
            cancelled: state.cancelling().map(|cancelling| {
                let why = cancelling.reason.as_ref().map(|reason| format!(": {reason}"));
                format!(" by {}{}", cancelling.by, why.unwrap_or_default())
            }),
            commit: state.shared_workspace().and_then(|_| state.commit()).map(str::to_owned),
            at: state.ended_at()?,
        })
    }

    pub(crate) async fn into_result(
        self,
        shared: &Runtime,
        id: RunId,
        named: &str,
    ) -> Result<(Value, Option<String>, Timestamp), NoOutput> {
        let Self { status, output, failure, cancelled, commit, at } = self;
        let short = id.short();
        if status == RunStatus::Succeeded {
            let mut patience = Patience::new(id, "the output of a child run cannot be read");
            loop {
                match shared.kept(id, output.clone()).await {
                    Ok(output) => return Ok((output, commit, at)),
                    // The output will be readable; a failure of the step now would be final.
                    Err(error) if error.is_passing() => patience.wait(&error).await,
                    Err(error) => {
                        let reason = format!("the output of a child run cannot be read: {error}");
                        return Err(NoOutput::Unreadable(reason));
                    }
                }
            }
        }
        let advice = format!("look at the child: everfold show {short}");
        let failure = match failure {
            Some((cause, path)) => {
                let place = path.map(|path| format!("{path}: ")).unwrap_or_default();
                let detail = match &cause.detail {
                    None => format!("{place}{}: {}", cause.kind, cause.message),
                    Some(more) => format!("{place}{}: {}\n{more}", cause.kind, cause.message),
                };
                let message = format!("child run {short} ({named}) failed: {place}{}", cause.message);
                Failure { message, detail: Some(detail), hint: Some(advice), ..cause }
            }
            None => {
                let why = cancelled.unwrap_or_default();
                let message = format!("child run {short} ({named}) was cancelled{why}");
                Failure::new(FailureKind::Cancelled, message).with_hint(advice)
            }
        };
        Err(NoOutput::Failed(failure, commit, at))
    }
}
