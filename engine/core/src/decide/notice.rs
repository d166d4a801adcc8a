//! Notices: which events of a run queue one, and what it says.
//!
//! Law (L32): what a notice says is rendered on the state right after its event, and stands in the
//! same batch, after all that the input led to. No notice changes what follows for the run: one that
//! cannot be rendered, or is one too many, is recorded as failed and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::draft::Draft;
use super::due_notice::{DueNotice, Said};
use super::multi_probe;
use super::notice_parameters::{NoticeParameters, parameters, reason};
use super::run_names;
use super::scope::RunScope;
use crate::event::{NoticeFailed, NoticeQueued, NoticeSent, RunEvent};
use crate::state::{Last, NOTICES_MAX, RunState, StoredValue};
use everfold_base::id::Version;
use everfold_base::json::{JsonText, Payload, Value};
use everfold_language::definition::{Notice, WILDCARD};
use everfold_language::expr::Loaded;
use everfold_language::expr::{EvalError, Reference, Scope as _, ValueRef};

/// The longest name of a channel.
const CHANNEL_BYTES_MAX: usize = 256;
/// The most that the parameters of one notice weigh.
const WITH_BYTES_MAX: usize = 256 * 1024;

/// The values that notices may ask for and that must be loaded: all of them are loaded beforehand,
/// because a batch that has begun is not taken back.
pub(super) fn wants(state: &RunState, loaded: &Loaded) -> Vec<ValueRef> {
    let definition = state.definition();
    if definition.notify.is_empty() {
        return Vec::new();
    }
    let mut wanted = BTreeSet::new();
    let mut want = |kept: &StoredValue| {
        wanted.extend(kept.reference().filter(|value| loaded.get(value).is_none()));
    };
    let mut others = BTreeSet::new();
    for reference in definition.notify.iter().flat_map(references) {
        match reference {
            Reference::Step { step, .. } => {
                let Some(at) = state.graph.find(&step.as_str().into()) else { continue };
                let step = &state.facts.steps[at];
                // Each may become the other within the batch.
                [&step.output, &step.unit.output].into_iter().for_each(&mut want);
                if let Last::Output(last) = &step.last {
                    want(last);
                }
                step.gates.iter().for_each(|gate| want(&gate.evidence));
            }
            Reference::Name(name) if name == "input" => want(&state.facts.input),
            Reference::Name(name) if name == "config" => want(&state.facts.config),
            // The state holds these; no blob has to be loaded.
            Reference::Run { .. } => {}
            Reference::Name(name) if ["event", "actor", "run"].contains(&name.as_str()) => {}
            Reference::Name(name) => drop(others.insert(name)),
        }
    }
    for name in others {
        if let Err(EvalError::Needs(values)) = RunScope::run(state, loaded).get(&[name.as_str()]) {
            wanted.extend(values);
        }
    }
    wanted.into_iter().collect()
}

/// What of the loaded values notices asked for: all that is loaded for an input that asks for nothing.
pub(super) fn asked_for(state: &RunState, loaded: &Loaded) -> Loaded {
    let mut found = Loaded::NONE;
    loop {
        let known = wants(state, &found).into_iter().filter_map(|value| Some((value, loaded.get(&value)?)));
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            return found;
        }
        known.into_iter().for_each(|(value, text)| found.insert(&value, text.clone()));
    }
}

fn references(notice: &Notice) -> impl Iterator<Item = &Reference> {
    let when = notice.when.iter().flat_map(|when| when.references());
    let texts = [&notice.with, &notice.fallback, &notice.sender, &notice.channel].into_iter().flatten();
    when.chain(texts.flat_map(|text| text.references()))
}

/// The notices of an event that was just folded.
pub(super) fn follow(draft: &mut Draft<'_>, event: &RunEvent) {
    let definition = Arc::clone(draft.state.definition());
    if definition.notify.is_empty() || is_about_notices(event) {
        return;
    }
    draft.keep_values(event);
    let version = draft.state.version();
    let mut value = None;
    for (at, notice) in definition.notify.iter().enumerate() {
        let listens = notice.events.iter().any(|name| name == WILDCARD || name == event.name());
        if !listens {
            continue;
        }
        let value = value.get_or_insert_with(|| event_value(draft, event));
        let said = match say(draft, notice, value) {
            Ok(None) => continue,
            Ok(Some(said)) => check(said),
            Err(error) => Err(reason(&error)),
        };
        draft.want_notice(DueNotice { version, at, said });
    }
}

fn is_about_notices(event: &RunEvent) -> bool {
    matches!(event, RunEvent::NoticeQueued(_) | RunEvent::NoticeSent(_) | RunEvent::NoticeFailed(_))
}

fn event_value(draft: &Draft<'_>, event: &RunEvent) -> Value {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("version".to_owned(), json!(draft.state.version()));
        fields.insert("at".to_owned(), json!(draft.meta.at));
        if let RunEvent::TimerFired(fired) = event
            && let Some(reminder) = run_names::reminder(draft.state, &fired.timer)
        {
            fields.insert("reminder".to_owned(), reminder);
        }
        if matches!(event, RunEvent::RunUnblocked(_)) {
            fields.insert("lifted".to_owned(), json!(draft.is_lifting));
        }
        let judged = match event {
            RunEvent::GateEvaluated(event) => Some((&event.id.path.step, &event.gate)),
            RunEvent::StepBlocked(event) => event.reason.gate().map(|gate| (&event.path.step, gate)),
            _not_by_a_gate => None,
        };
        if let Some((step, gate)) = judged {
            fields.insert("rechecked".to_owned(), json!(draft.state.is_rechecked(step, gate)));
            fields.insert("refusals".to_owned(), json!(draft.state.refusals(step, gate)));
        }
    }
    value
}

fn say(draft: &Draft<'_>, notice: &Notice, event: &Value) -> Result<Option<Said>, EvalError> {
    let scope = RunScope::run(draft.state, draft.values())
        .with("event", event.clone())
        .with("actor", json!(draft.meta.actor));
    if let Some(when) = &notice.when
        && !when.eval_bool(&scope)?
    {
        return Ok(None);
    }
    let NoticeParameters { with, hidden, fallback } = parameters(notice, &scope)?;
    let sender = notice.sender.as_ref().map(|sender| sender.render_text(&scope)).transpose()?;
    let channel = notice.channel.as_ref().map(|channel| channel.render_text(&scope)).transpose()?;
    let own = || format!("notice/{}", notice.id);
    let mut said = json!({"with": with, "as": sender});
    multi_probe::hide(&mut said, &hidden);
    Ok(Some(Said {
        channel: channel.filter(|channel| !channel.is_empty()).unwrap_or_else(own),
        with: JsonText::new(&said),
        fallback,
    }))
}

fn check(said: Said) -> Result<Said, String> {
    if said.channel.len() > CHANNEL_BYTES_MAX {
        return Err(format!("the name of its channel is over the limit of {CHANNEL_BYTES_MAX} bytes"));
    }
    if said.with.as_str().len() > WITH_BYTES_MAX {
        return Err(format!("its parameters are over the limit of {WITH_BYTES_MAX} bytes"));
    }
    Ok(said)
}

/// Records what is wanted, at the end of the batch. Of several that stand for each other only the newest is a fact.
pub(super) fn queue_all(draft: &mut Draft<'_>, wanted: Vec<DueNotice>) {
    let definition = Arc::clone(draft.state.definition());
    let mut newer = BTreeSet::new();
    let mut kept: Vec<DueNotice> = Vec::with_capacity(wanted.len());
    for one in wanted.into_iter().rev() {
        let collapses = definition.notify.get(one.at).is_some_and(|notice| notice.collapse);
        if let (true, Ok(said)) = (collapses, &one.said)
            && !newer.insert((one.at, said.channel.clone()))
        {
            continue;
        }
        kept.push(one);
    }
    for one in kept.into_iter().rev() {
        let Some(notice) = definition.notify.get(one.at) else { continue };
        match one.said {
            Ok(said) => queue(draft, notice, one.version, said),
            Err(message) => fail(draft, one.version, notice, message),
        }
    }
}

fn queue(draft: &mut Draft<'_>, notice: &Notice, version: Version, said: Said) {
    let Said { channel, with, fallback } = said;
    let outbox = &draft.state.facts.outbox;
    let is_the_same = || outbox.said_last(&channel) == Some((notice.function.as_str(), with.hash()));
    if notice.changes_only && is_the_same() {
        return;
    }
    let replaced = if notice.collapse { outbox.count_of(&channel, &notice.id) } else { 0 };
    if outbox.len() - replaced >= NOTICES_MAX {
        let message = format!("too many notices of this run are outstanding: {NOTICES_MAX}");
        return fail(draft, version, notice, message);
    }
    let with: Payload = draft.payload(with);
    let (notice, function) = (notice.id.clone(), notice.function.clone());
    draft.record(NoticeQueued { version, notice, function, channel, with, replaces: replaced > 0, fallback });
}

fn fail(draft: &mut Draft<'_>, version: Version, notice: &Notice, message: String) {
    draft.record(NoticeFailed { version, notice: notice.id.clone(), tries: 0, message });
}

/// A notice was sent. One that the outbox does not hold was reported before, or a newer one took its place.
pub(super) fn sent(draft: &mut Draft<'_>, sent: &NoticeSent) {
    if draft.state.facts.outbox.holds(sent.version, &sent.notice) {
        draft.record(sent.clone());
    }
}

/// A notice will not be sent. One that the outbox does not hold was reported before, or a newer one took its place.
pub(super) fn failed(draft: &mut Draft<'_>, failed: &NoticeFailed) {
    if draft.state.facts.outbox.holds(failed.version, &failed.notice) {
        draft.record(failed.clone());
    }
}
