//! How attempts failed.

use everfold_base::failure::Failure;
use everfold_base::id::StepPath;

use super::cause::{CauseKind, CauseNode, CauseSubject};
use super::condition::clipped;
use super::explainer::Explainer;
use super::trail::{NotedFact, Topic};

/// How the newest attempt of a step or item failed.
pub(super) fn of_failure(explainer: &Explainer<'_>, path: &StepPath) -> Option<CauseNode> {
    let state = explainer.state;
    let event = explainer.newest(Topic::Failed, &path.to_string());
    let sentence = match event.map(|event| &event.noted) {
        Some(NotedFact::Failure(failure)) => failed(path, failure),
        Some(NotedFact::Lost(why)) => format!("an attempt of {path} vanished: {}", clipped(why)),
        _beyond => {
            let key = state.key(path)?;
            failed(path, state.unit_at(key)?.failure.as_ref()?)
        }
    };
    let cause = CauseNode::new(CauseKind::Attempt, CauseSubject::step(path), sentence);
    Some(explainer.shown_at(cause, Topic::Failed, path))
}

fn failed(path: &StepPath, failure: &Failure) -> String {
    let code = failure.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    format!("an attempt of {path} failed ({}{code}): {}", failure.kind, clipped(&failure.message))
}
