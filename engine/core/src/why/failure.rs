//! How attempts failed.

use everfold_base::failure::Failure;
use everfold_base::id::{Round, StepPath};

use super::cause::{CauseKind, CauseNode, CauseSubject};
use super::condition::clipped;
use super::explainer::Explainer;
use super::trail::{NotedFact, Topic, of_round};

/// How the newest attempt of a step or item failed.
pub(super) fn of_failure(explainer: &Explainer<'_>, path: &StepPath) -> Option<CauseNode> {
    let state = explainer.state;
    let event = explainer.newest(Topic::Failed, &path.to_string());
    let sentence = match event.and_then(|event| noted(path, &event.noted)) {
        Some(sentence) => sentence,
        None => {
            let key = state.key(path)?;
            failed(path, state.unit_at(key)?.failure.as_ref()?)
        }
    };
    let cause = CauseNode::new(CauseKind::Attempt, CauseSubject::step(path), sentence);
    Some(explainer.shown_at(cause, Topic::Failed, path))
}

/// How the newest attempt of a round of a step failed; none where that is not known any more.
pub(super) fn of_failure_in(explainer: &Explainer<'_>, path: &StepPath, round: Round) -> Option<CauseNode> {
    let about = of_round(path, round);
    match explainer.newest(Topic::Failed, &about) {
        Some(event) => {
            let sentence = noted(path, &event.noted)?;
            let cause = CauseNode::new(CauseKind::Attempt, CauseSubject::step(path), sentence);
            Some(explainer.shown(cause, Topic::Failed, &about))
        }
        None => {
            let at = explainer.state.graph.find(&path.step)?;
            (explainer.state.facts.steps[at].round == round).then(|| of_failure(explainer, path))?
        }
    }
}

fn noted(path: &StepPath, noted: &NotedFact) -> Option<String> {
    match noted {
        NotedFact::Failure(failure) => Some(failed(path, failure)),
        NotedFact::Lost(why) => Some(format!("an attempt of {path} vanished: {}", clipped(why))),
        _other => None,
    }
}

fn failed(path: &StepPath, failure: &Failure) -> String {
    let code = failure.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    format!("an attempt of {path} failed ({}{code}): {}", failure.kind, clipped(&failure.message))
}
