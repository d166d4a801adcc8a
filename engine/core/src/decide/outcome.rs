//! How a run ends whose steps have ended.

use crate::state::{RunOutcome, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::StepPath;
use everfold_language::definition::FinishStatus;

/// How a run ends whose steps have ended: its status, and of a failed one why and at which step.
///
/// Until that is certain it is to succeed.
pub(super) fn outcome(state: &RunState) -> (FinishStatus, Option<(Failure, Option<StepPath>)>) {
    match state.facts.outcome.clone() {
        Some(RunOutcome::Cancelled) => (FinishStatus::Cancelled, None),
        Some(RunOutcome::Failed { path, failure }) => (FinishStatus::Failed, Some((failure, path))),
        Some(RunOutcome::Finished { status: FinishStatus::Failed, path }) => {
            let key = path.as_ref().and_then(|path| state.key(path));
            let known = key.and_then(|key| state.facts.steps[key.step].failure.clone());
            let failure = known.unwrap_or_else(|| {
                let message = match &path {
                    Some(path) => format!("“{path}” finished the run as failed"),
                    None => "a signal finished the run as failed".to_owned(),
                };
                Failure::new(FailureKind::Error, message)
            });
            (FinishStatus::Failed, Some((failure, path)))
        }
        Some(RunOutcome::Finished { status, .. }) => (status, None),
        None => (FinishStatus::Succeeded, None),
    }
}
