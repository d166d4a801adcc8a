//! Limits how often the progress of an attempt is recorded.
//!
//! Laws:
//! - An unchanged report is no report.
//! - Between two that are recorded of one attempt lie 2 seconds, or a 200th of the time since its first one where that
//!   is longer: a day of steady changes makes some thousand events. The newest one is not lost meanwhile: it is
//!   recorded when the pause is over, or when the attempt ends.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::time::Timestamp;
use everfold_core::progress::WorkProgress;

/// The least pause between two reports that are recorded.
pub(crate) const PAUSE_MIN: Duration = Duration::from_secs(2);
/// The part of the time since the first report that a pause takes at least.
const PART: u32 = 200;

/// What an attempt reported.
#[derive(Default)]
pub(crate) struct ProgressLimit {
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    first_at: Option<Timestamp>,
    recorded_at: Option<Timestamp>,
    recorded: Option<WorkProgress>,
    /// The newest one, where it waits.
    held: Option<WorkProgress>,
    /// A task waits for the end of the pause.
    is_awaited: bool,
}

/// What is to be done with a report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReportDue {
    /// It says nothing new, or a task takes it already.
    Nothing,
    /// It is recorded.
    Now(WorkProgress),
    /// A task takes it after this pause ([`ProgressLimit::take_held`]).
    After(Duration),
}

impl ProgressLimit {
    /// Takes a report.
    pub(crate) fn report(&self, progress: WorkProgress, now: Timestamp) -> ReportDue {
        let mut reports = self.reports();
        if reports.held.as_ref().or(reports.recorded.as_ref()) == Some(&progress) {
            return ReportDue::Nothing;
        }
        let left = reports.pause_left(now);
        if left.is_zero() && !reports.is_awaited {
            reports.first_at.get_or_insert(now);
            reports.recorded_at = Some(now);
            reports.recorded = Some(progress.clone());
            return ReportDue::Now(progress);
        }
        reports.held = Some(progress);
        if std::mem::replace(&mut reports.is_awaited, true) {
            ReportDue::Nothing
        } else {
            ReportDue::After(left)
        }
    }

    /// The newest report, where it was not recorded.
    pub(crate) fn take_held(&self, now: Timestamp) -> Option<WorkProgress> {
        let mut reports = self.reports();
        reports.is_awaited = false;
        let held = reports.held.take().filter(|held| reports.recorded.as_ref() != Some(held))?;
        reports.recorded_at = Some(now);
        reports.recorded = Some(held.clone());
        Some(held)
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reports {
    fn pause_left(&self, now: Timestamp) -> Duration {
        let (Some(first), Some(last)) = (self.first_at, self.recorded_at) else { return Duration::ZERO };
        let pause = PAUSE_MIN.max(now.since(first) / PART);
        pause.saturating_sub(now.since(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp(1_000_000 + ms)
    }

    fn part(done: u64) -> WorkProgress {
        WorkProgress { done, of: 1_000_000, ..WorkProgress::default() }
    }

    #[test]
    fn ten_thousand_unchanged_reports_are_one() {
        let limit = ProgressLimit::default();
        let due = |ms| limit.report(part(3), at(ms));
        let recorded = (0..10_000).filter(|n| due(n * 1_000) != ReportDue::Nothing).count();
        assert_eq!((recorded, limit.take_held(at(0))), (1, None));
    }

    #[test]
    fn the_newest_report_waits_for_the_pause_and_is_not_lost() {
        let limit = ProgressLimit::default();
        assert_eq!(limit.report(part(1), at(0)), ReportDue::Now(part(1)));
        assert_eq!(limit.report(part(2), at(500)), ReportDue::After(Duration::from_millis(1_500)));
        assert_eq!(limit.report(part(3), at(600)), ReportDue::Nothing, "a task waits already");
        assert_eq!(limit.take_held(at(2_000)), Some(part(3)));
        assert_eq!(limit.report(part(4), at(4_000)), ReportDue::Now(part(4)));
    }

    #[test]
    fn a_day_of_steady_changes_makes_some_thousand_events_at_most() {
        let limit = ProgressLimit::default();
        let mut recorded = 0;
        for second in 0..86_400_u64 {
            let now = at(i64::try_from(second).expect("small") * 1_000);
            recorded += usize::from(matches!(limit.report(part(second), now), ReportDue::Now(_)));
            // Where a task waits, it takes the report a second later at the latest: the pause ends by whole seconds here.
            let is_over = limit.reports().pause_left(now).is_zero();
            recorded += usize::from(is_over && limit.take_held(now).is_some());
        }
        assert!((500..3_000).contains(&recorded), "{recorded}");
    }
}
