//! A step waits: for a while, until a moment, or for a signal.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::draft::Draft;
use super::reminders;
use super::scope::{RunScope, all};
use crate::event::{Hearing, ReminderOf, SignalTaken, SignalTaker, TimerId, TimerKind, TimerSet};
use crate::state::reminders::timer_of;
use crate::state::{Key, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, Version};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_language::definition::Wait;
use everfold_language::expr::EvalError;
use everfold_language::expr::Loaded;

/// Payloads of kept signals that are asked for together.
const LOADED_AT_ONCE: usize = 25;

/// What a `wait` waits for, rendered.
pub(super) enum Awaiting {
    /// Time to pass.
    Span(Duration),
    /// A moment; one that is past is due at once.
    Moment(Timestamp),
    /// A signal, for so long; where one was kept for it, that one.
    Signal { kept: Option<Version>, timeout: Option<Duration> },
    /// The parameters make no sense.
    Refused(Failure),
}

pub(super) fn prepare(wait: &Wait, scope: &RunScope<'_>) -> Result<Awaiting, EvalError> {
    if let Some(span) = &wait.span {
        return Ok(Awaiting::Span(span.resolve(scope)?.0));
    }
    if let Some(name) = &wait.signal {
        let timeout = wait.timeout.as_ref().map(|span| span.resolve(scope)).transpose()?.map(|span| span.0);
        return Ok(Awaiting::Signal { kept: first_kept(name, wait, scope)?, timeout });
    }
    let Some(until) = &wait.until else {
        let failure =
            Failure::new(FailureKind::Validation, "the wait says neither `for`, `until` nor `signal`");
        return Ok(Awaiting::Refused(failure));
    };
    let text = until.render_text(scope)?;
    let zone = wait.zone.as_ref().map(|zone| zone.render_text(scope)).transpose()?;
    Ok(match moment(text.trim(), zone.as_deref()) {
        Ok(at) => Awaiting::Moment(at),
        Err(message) => Awaiting::Refused(
            Failure::new(FailureKind::Validation, message)
                .with_hint("write 2026-11-20T09:00:00Z, or 2026-11-20T09:00 with `zone: Europe/Berlin`"),
        ),
    })
}

/// An instant, or a local time of a zone: in a gap of that zone the later moment, in a fold the
/// earlier one.
fn moment(text: &str, zone: Option<&str>) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp(instant.as_millisecond()));
    }
    let local: DateTime = text.parse().map_err(|_| format!("`until` is “{text}”, and that is no moment"))?;
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name).map_err(|_| format!("there is no time zone “{name}”"))?,
    };
    let instant = zone.to_timestamp(local).map_err(|error| format!("`until` is “{text}”: {error}"))?;
    Ok(Timestamp(instant.as_millisecond()))
}

/// The oldest signal that was kept and that is waited for.
fn first_kept(name: &str, wait: &Wait, scope: &RunScope<'_>) -> Result<Option<Version>, EvalError> {
    let (state, loaded, Some(key)) = scope.place() else { return Ok(None) };
    let kept: Vec<_> = state.facts.order.kept.iter().filter(|heard| heard.name == name).collect();
    if wait.matches.is_none() {
        return Ok(kept.first().map(|heard| heard.version));
    }
    // Few at a time: neither are many loaded in vain, nor does a decision need ever more loads.
    for some in kept.chunks(LOADED_AT_ONCE) {
        let payloads = all(some.iter().map(|heard| heard.payload.value(loaded)))?;
        for (heard, payload) in some.iter().zip(payloads) {
            if matches(state, loaded, key, wait, &payload)? {
                return Ok(Some(heard.version));
            }
        }
    }
    Ok(None)
}

/// Whether a signal is one that the step waits for. An expression that fails on its payload counts as false.
pub(super) fn matches(
    state: &RunState,
    loaded: &Loaded,
    key: Key,
    wait: &Wait,
    payload: &Value,
) -> Result<bool, EvalError> {
    let Some(matches) = &wait.matches else { return Ok(true) };
    let scope = RunScope::of(state, loaded, key).with("signal", payload.clone());
    match matches.eval_bool(&scope) {
        Err(EvalError::Failed { .. }) => Ok(false),
        known_or_needed => known_or_needed,
    }
}

/// Records what a scheduled wait waits for.
pub(super) fn begin(draft: &mut Draft<'_>, id: AttemptId, awaiting: Awaiting) {
    let now = draft.now();
    let (kind, due) = match awaiting {
        Awaiting::Span(span) => (TimerKind::Wait, now.plus(span)),
        Awaiting::Moment(at) => (TimerKind::Wait, at),
        Awaiting::Signal { kept: Some(signal), .. } => {
            let by = SignalTaker::Wait(id);
            draft.record(SignalTaken {
                signal,
                by,
                how: Hearing::Now,
                ends: None,
                reason: None,
                decision: None,
            });
            return;
        }
        Awaiting::Signal { timeout: Some(timeout), .. } => (TimerKind::Signal, now.plus(timeout)),
        Awaiting::Signal { .. } => return remind_of_signal(draft, id),
        Awaiting::Refused(_) => return,
    };
    let timer = TimerId { id: id.clone(), kind, name: String::new() };
    draft.record(TimerSet { timer, at: due });
    if kind == TimerKind::Signal {
        remind_of_signal(draft, id);
    }
}

/// People are reminded of a signal that is awaited.
fn remind_of_signal(draft: &mut Draft<'_>, id: AttemptId) {
    let timer = timer_of(id, ReminderOf::Signal);
    let first = draft.state.reminders_of(&timer).and_then(|terms| terms.first);
    reminders::begin(draft, timer, first);
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_moment_is_an_instant_or_a_local_time_of_its_zone() {
        for (text, zone, expected) in [
            ("2026-11-20T09:00:00Z", None, "2026-11-20T09:00:00.000Z"),
            ("2026-11-20T09:00:00+02:00", Some("Europe/Berlin"), "2026-11-20T07:00:00.000Z"),
            ("2026-11-20T09:00", None, "2026-11-20T09:00:00.000Z"),
            ("2026-11-20 09:00", Some("Europe/Berlin"), "2026-11-20T08:00:00.000Z"),
            ("2026-07-20", Some("Europe/Berlin"), "2026-07-19T22:00:00.000Z"),
            // A gap: 02:30 does not exist on that day; and a fold: 02:30 comes twice.
            ("2026-03-29T02:30", Some("Europe/Berlin"), "2026-03-29T01:30:00.000Z"),
            ("2026-10-25T02:30", Some("Europe/Berlin"), "2026-10-25T00:30:00.000Z"),
        ] {
            assert_eq!(moment(text, zone).unwrap().to_string(), expected, "{text} {zone:?}");
        }
        assert!(moment("tomorrow", None).unwrap_err().contains("tomorrow"));
        assert!(moment("2026-11-20T09:00", Some("Mars/Base")).unwrap_err().contains("Mars/Base"));
    }
}
