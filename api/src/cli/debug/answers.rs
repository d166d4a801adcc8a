//! What each answer changes.

use super::model::{DebugModel, NoticeTone, ShownCauses, ShownToday};
use super::requests::{DebugAnswer, DebugRequest};
use crate::text::plain;

/// Takes an answer in.
pub(super) fn take(model: &mut DebugModel, answer: DebugAnswer) {
    if !matches!(answer, DebugAnswer::Unfollowed(_) | DebugAnswer::Refused { .. }) {
        is_there(model);
    }
    match answer {
        DebugAnswer::Events { from, limit, items } => {
            model.answered(&DebugRequest::Events { from, limit });
            // A run that has no such events is not asked for them again and again.
            model.is_held |= items.is_empty();
            model.window.add(items, model.version);
        }
        DebugAnswer::State(pair) => {
            model.answered(&DebugRequest::State { version: pair.version });
            // One that was left meanwhile is shown nevertheless: who holds a key sees where it goes.
            model.tree.show(pair);
        }
        DebugAnswer::Causes { version, text } => {
            model.answered(&DebugRequest::Causes { version });
            let lines = text.lines().map(plain).collect();
            model.causes = Some(ShownCauses { version, lines });
        }
        DebugAnswer::Today { version, lines } => {
            model.answered(&DebugRequest::Today { version });
            model.today = Some(ShownToday { version, lines });
        }
        DebugAnswer::LogRecord { attempt, record } => {
            if model.log.attempt.as_ref() == Some(&attempt) {
                model.log.take(&record);
            }
        }
        DebugAnswer::LogEnd { attempt, fault } => {
            if model.log.attempt.as_ref() == Some(&attempt) {
                model.log.end(fault.as_deref().map(plain));
            }
        }
        DebugAnswer::Found { request, version, looked_to, is_all } => {
            if model.answered(&request) {
                found(model, &request, version, (looked_to, is_all));
            }
        }
        DebugAnswer::Meant { request, version } => {
            if model.answered(&request) {
                meant(model, version);
            }
        }
        DebugAnswer::Breakpoints { request, steps } => {
            model.answered(&request);
            let short = &model.run.short_id;
            let text = match steps.as_slice() {
                [] => format!("run {short} has no breakpoints"),
                steps => format!("run {short} pauses before {}", steps.join(", ")),
            };
            model.say(NoticeTone::Said, text);
            model.run.breakpoints = steps;
        }
        DebugAnswer::Forked { request, short_id, command } => {
            model.answered(&request);
            let DebugRequest::Fork { version } = request else { return };
            let from = &model.run.short_id;
            let text = format!("run {short_id} goes on from {from} at version {version}: {command}");
            model.say(NoticeTone::Said, text);
        }
        DebugAnswer::Appended(event) => {
            let version = event["version"].as_u64().unwrap_or_default();
            newest(model, version);
            // An event beyond the part that is here would leave a gap that looks like none.
            if model.window.get(version.saturating_sub(1)).is_some() {
                model.window.add(vec![event], model.version);
            }
        }
        DebugAnswer::Now { last, is_ended, breakpoints } => {
            (model.run.is_ended, model.run.breakpoints) = (is_ended, breakpoints);
            newest(model, last);
        }
        DebugAnswer::Ended => model.run.is_ended = true,
        DebugAnswer::Unfollowed(why) => model.say(NoticeTone::Away, format!("{why}; it is tried again")),
        DebugAnswer::Refused { request, why, is_away } => refused(model, &request, &why, is_away),
    }
}

/// Whoever did not answer does so again.
fn is_there(model: &mut DebugModel) {
    model.silence = 0;
    if model.notice.as_ref().is_some_and(|notice| notice.kind == NoticeTone::Away) {
        model.notice = None;
    }
}

/// The run has this version now.
fn newest(model: &mut DebugModel, last: u64) {
    model.run.last = model.run.last.max(last);
    if model.is_following {
        model.go(model.run.last);
    }
}

fn found(model: &mut DebugModel, request: &DebugRequest, version: Option<u64>, looked: (u64, bool)) {
    let DebugRequest::Find { goal, is_forward, .. } = request else { return };
    let (looked_to, is_all) = looked;
    match version {
        Some(version) => model.go(version),
        None => {
            let side = if *is_forward { "behind" } else { "before" };
            let what = goal.words();
            let text = match is_all {
                true => format!("there is no {what} {side} version {}", model.version),
                false => format!(
                    "there is no {what} up to version {looked_to}; g {looked_to}, then the same key, looks on"
                ),
            };
            model.say(NoticeTone::Said, text);
        }
    }
}

fn meant(model: &mut DebugModel, version: u64) {
    let last = model.run.last;
    if version == 0 || version > last {
        let text =
            format!("the run has no version {version}: they go from 1 to {last}; the nearest one is shown");
        model.say(NoticeTone::Said, text);
    }
    model.go(version);
}

fn refused(model: &mut DebugModel, request: &DebugRequest, why: &str, is_away: bool) {
    let is_awaited = model.answered(request);
    match request {
        DebugRequest::Events { .. } | DebugRequest::State { .. } => away(model, why),
        DebugRequest::Causes { .. } | DebugRequest::Today { .. } if is_away => away(model, why),
        // The rest of the pane says enough.
        DebugRequest::Causes { version } => {
            let lines = vec![format!("  it cannot be told: {}", plain(why))];
            model.causes = Some(ShownCauses { version: *version, lines });
        }
        DebugRequest::Today { version } => {
            let lines = vec!["It cannot be decided".to_owned(), format!("  {}", plain(why))];
            model.today = Some(ShownToday { version: *version, lines });
        }
        _by_key if is_awaited => model.say(NoticeTone::Failed, why),
        _not_awaited => {}
    }
}

/// What the screen needs cannot be had now.
fn away(model: &mut DebugModel, why: &str) {
    model.is_held = true;
    model.say(NoticeTone::Away, format!("{why}; it is tried again"));
}
