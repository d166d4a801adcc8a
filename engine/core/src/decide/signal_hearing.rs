//! How a signal is heard at its taker: followed, put off, ignored or refused, and why.
//!
//! Law: whether what a route does is possible is known before the signal is recorded as taken, so the reason stands in
//! the same event.

use std::collections::BTreeMap;

use serde_json::json;

use super::approval::is_self;
use super::draft::Draft;
use super::offered_signal::Act;
use super::question;
use super::readers::first_reader;
use super::recheck;
use super::route::Next;
use crate::event::{Hearing, QuestionAnswered, RecheckRequested, UnblockDecision};
use crate::state::{Key, RunState};
use everfold_base::actor::Actor;
use everfold_base::id::AttemptId;
use everfold_base::json::{JsonText, Payload, Value, canonical};
use everfold_language::definition::Vote;

/// How a signal is heard, and why nothing follows.
pub(super) struct Heard {
    pub(super) how: Hearing,
    pub(super) reason: Option<String>,
}

impl Heard {
    pub(super) fn of(how: Hearing) -> Self {
        Self { how, reason: None }
    }

    fn ignored(reason: impl Into<String>) -> Self {
        Self { how: Hearing::Ignored, reason: Some(reason.into()) }
    }
}

/// How the signal is heard by a step, or by the run: what decides a task that is not open or a step that is not blocked
/// is ignored, and so are a self-approval and an answer that will not do.
pub(super) fn heard(draft: &Draft<'_>, at: Option<usize>, act: &Act, by: &Actor) -> Heard {
    let problem = match (act, at) {
        (Act::Defer, _) => return Heard::of(Hearing::Deferred),
        (Act::Refuse(why), _) => return Heard { how: Hearing::Refused, reason: Some(why.clone()) },
        (Act::Ignore(reason), _) => return Heard { how: Hearing::Ignored, reason: reason.clone() },
        (Act::Follow(Next::Continue | Next::Gate), _) => return Heard::of(Hearing::Ignored),
        (Act::Follow(_) | Act::Resume | Act::Raise { .. }, _) => None,
        (_, None) => return Heard::of(Hearing::Ignored),
        (Act::Vote { vote, .. }, Some(at)) => no_vote(draft.state, at, *vote, by),
        (Act::Answer(answer), Some(at)) => no_answer(draft, at, answer),
        (Act::Recheck, Some(at)) => no_recheck(draft.state, at),
        (Act::Unblock(decision), Some(at)) => no_unblock(draft.state, at, *decision),
    };
    problem.map_or_else(|| Heard::of(Hearing::Now), Heard::ignored)
}

/// Why a vote decides nothing.
fn no_vote(state: &RunState, at: usize, vote: Vote, by: &Actor) -> Option<String> {
    let open = state.facts.steps[at].unit.approval().filter(|open| open.decision.is_none());
    let Some(open) = open.filter(|_| state.facts.asking.contains(&Key::step(at))) else {
        let decided = state.decided_before(at);
        return Some(decided.unwrap_or_else(|| "no approval is open there".to_owned()));
    };
    if vote == Vote::Changes && !open.terms.changes {
        return Some("changes cannot be asked for there".to_owned());
    }
    is_self(state, &open.terms, by).then(|| {
        let is = |known: Option<&Actor>| known.is_some_and(|known| known.person() == by.person());
        let what = match is(state.initiator()) {
            true => "is behind the start of the run",
            false if is(state.started().map(|(starter, _)| starter)) => "started the run",
            false => "started a run that this one goes on from",
        };
        format!("{by} {what}, and may not decide it (`self_approval: false`)")
    })
}

/// Why an answer answers nothing.
fn no_answer(draft: &Draft<'_>, at: usize, answer: &Value) -> Option<String> {
    let is_asking = draft.state.facts.asking.contains(&Key::step(at));
    let id = draft.state.attempt_id(Key::step(at));
    let Some(answer) = whole_answer(draft.state, at, &id, answer).filter(|_| is_asking) else {
        return Some("no question is open there".to_owned());
    };
    question::refusal(draft, &answer).map(|refusal| refusal.to_string())
}

/// The answer of a signal: wholly, with every role. `None` where no question is open.
pub(super) fn whole_answer(
    state: &RunState,
    at: usize,
    id: &AttemptId,
    answer: &Value,
) -> Option<QuestionAnswered> {
    let roles = state.facts.steps[at].unit.question()?.terms.roles.clone();
    let answer = match answer {
        Value::Object(_) => answer.clone(),
        Value::String(text) => json!({ "text": text }),
        other => json!({ "text": canonical(other) }),
    };
    Some(QuestionAnswered { id: id.clone(), answer: Payload::Inline(JsonText::new(&answer)), roles })
}

/// Why the gates of a step are not judged again.
fn no_recheck(state: &RunState, at: usize) -> Option<String> {
    let path = state.attempt_id(Key::step(at)).path;
    let request = RecheckRequested { path, policies: BTreeMap::new(), reason: None };
    recheck::refusal(state, &request).map(|refusal| refusal.to_string())
}

/// Why a decision does not let a step go on.
fn no_unblock(state: &RunState, at: usize, decision: UnblockDecision) -> Option<String> {
    if !state.facts.blocked.contains(&Key::step(at)) {
        return Some("it is not blocked".to_owned());
    }
    let path = state.attempt_id(Key::step(at)).path;
    let is_judged = state.block_reason(&path).is_some_and(|reason| reason.gate().is_some());
    if decision == UnblockDecision::Recheck && !is_judged {
        return Some("no gate blocked it".to_owned());
    }
    // A step whose output is read later cannot be skipped: neither by a person nor by a signal.
    let reader = (decision == UnblockDecision::Skip).then(|| first_reader(state, at)).flatten();
    reader.map(|_| "its output is read later, so it cannot be skipped".to_owned())
}
