//! The timers of an approval or a question: when its time is over, when people are reminded.

use super::draft::Draft;
use crate::event::{TimerId, TimerKind, TimerSet};
use everfold_base::id::AttemptId;
use std::time::Duration;

/// How long people are waited for, and when they are first reminded.
pub(super) fn set_limits(
    draft: &mut Draft<'_>,
    id: &AttemptId,
    timeout: Option<Duration>,
    first: Option<Duration>,
) {
    for (kind, span) in [(TimerKind::Expiry, timeout), (TimerKind::Reminder, first)] {
        if let Some(span) = span {
            let timer = TimerId { id: id.clone(), kind, name: String::new() };
            draft.record(TimerSet { timer, at: draft.now().plus(span) });
        }
    }
}
