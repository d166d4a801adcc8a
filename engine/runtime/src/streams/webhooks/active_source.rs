//! A source of webhooks in memory, and what is being done for it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::streams::triggers::stopped::EngineStopped;
use crate::streams::webhooks::handle::Handled;
use crate::streams::webhooks::source_stream::SourceStream;
use everfold_base::id::Version;
use everfold_base::time::Timestamp;
use everfold_core::hooks::{ParkedId, TriggerOutcome};
use everfold_core::triggers::{Outcome, Target};

/// A source, and what is being done for it.
pub(super) struct ActiveSource {
    pub(super) source: SourceStream,
    pub(super) activity: SourceActivity,
    /// This engine handles the source's deliveries, too; else it only offers the signals that wait.
    pub(super) handles: bool,
    /// The outcome of the last append is unknown: the source is loaded anew before it is used.
    pub(super) is_stale: bool,
    /// Callers that wait for what a delivery leads to.
    pub(super) awaited: HashMap<(Version, u32), Vec<oneshot::Sender<Vec<TriggerOutcome>>>>,
    /// Signals that wait are to be offered.
    pub(super) offers: bool,
    /// When triggers whose starts wait were asked last, and whether something changed since.
    pub(super) starts: StartOffers,
}

/// The pause between two times that a trigger is asked whose start waits, where keys, labels or slots change.
const STARTS_LEAST: Duration = Duration::from_secs(5);
/// The same where nothing changes that the log shows: settings, the world outside.
const STARTS_MOST: Duration = Duration::from_secs(60);

/// Starts that are asked for in one piece of work: deliveries of the source come in between.
const STARTS_MAX: usize = 20;

/// When triggers whose starts wait are asked again.
#[derive(Debug, Default)]
pub(super) struct StartOffers {
    last: Option<Timestamp>,
    is_wanted: bool,
    /// The last one that was asked for, where others are still to be asked for.
    behind: Option<ParkedId>,
}

impl StartOffers {
    /// Something changed; whether they are asked now.
    pub(super) fn changed(&mut self, now: Timestamp) -> bool {
        self.is_wanted = true;
        self.is_due(now)
    }

    /// Whether they are to be asked.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let pause = if self.is_wanted { STARTS_LEAST } else { STARTS_MOST };
        self.last.is_none_or(|last| now.since(last) >= pause)
    }

    /// They are asked from now on, from the first one.
    pub(super) fn asked(&mut self, now: Timestamp) {
        *self = Self { last: Some(now), is_wanted: false, behind: None };
    }

    /// Whether only a part of them was asked for.
    pub(super) fn goes_on(&self) -> bool {
        self.behind.is_some()
    }

    /// The next of them, in their order.
    pub(super) fn next(&mut self, starts: impl Iterator<Item = ParkedId>) -> Vec<ParkedId> {
        let behind = self.behind;
        let mut left = starts.filter(|id| behind.is_none_or(|behind| *id > behind));
        let next: Vec<ParkedId> = left.by_ref().take(STARTS_MAX).collect();
        self.behind = left.next().and(next.last().copied());
        next
    }
}

/// What is being done for a source at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceActivity {
    Idle,
    /// A delivery is being handled, or signals that wait are being offered.
    Working,
    /// The last work failed: none begins before then.
    Resting(Timestamp),
}

impl ActiveSource {
    pub(super) fn new(source: SourceStream) -> Self {
        Self {
            source,
            activity: SourceActivity::Idle,
            handles: false,
            is_stale: false,
            awaited: HashMap::new(),
            offers: false,
            starts: StartOffers::default(),
        }
    }

    /// Whether this engine asks triggers of the source whose starts wait.
    pub(super) fn offers_starts(&self) -> bool {
        self.handles && self.source.state.has_parked_starts()
    }

    /// The starts to ask for now: the next of those that are being asked for, else the first ones where it is time for
    /// that. `has_changed`: something changed that may let them begin.
    pub(super) fn next_starts(&mut self, has_changed: bool, now: Timestamp) -> Vec<ParkedId> {
        if !self.offers_starts() {
            self.starts.behind = None;
            return Vec::new();
        }
        let is_due = has_changed && self.starts.changed(now);
        if !self.starts.goes_on() {
            if !is_due {
                return Vec::new();
            }
            self.starts.asked(now);
        }
        let parked = self.source.state.parked().iter();
        let starts = parked.filter(|(_, parked)| parked.to == Target::Start).map(|(id, _)| *id);
        self.starts.next(starts)
    }

    pub(super) fn is_working(&self) -> bool {
        self.activity == SourceActivity::Working
    }
}

/// A piece of work that ended.
pub(crate) struct FinishedWork {
    pub(super) source: String,
    pub(super) result: Result<SourceWork, EngineStopped>,
}

/// What a piece of work did.
pub(super) enum SourceWork {
    Handled(Version, u32, Handled),
    Offered(Vec<(ParkedId, Outcome)>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_asked_for_in_parts_each_once_and_from_the_first_one_again() {
        let all: Vec<ParkedId> = (0..45).map(|at| (Version(7), at)).collect();
        let mut offers = StartOffers::default();
        for _round in 0..2 {
            offers.asked(Timestamp(0));
            let mut asked = offers.next(all.iter().copied());
            assert_eq!(asked.len(), STARTS_MAX);
            while offers.goes_on() {
                asked.extend(offers.next(all.iter().copied()));
            }
            assert_eq!(asked, all);
        }
        // What began meanwhile waits no more.
        offers.asked(Timestamp(0));
        offers.next(all.iter().copied());
        assert_eq!(offers.next(all[..10].iter().copied()), []);
        assert!(!offers.goes_on());
    }
}
