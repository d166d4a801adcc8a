//! The fold of a schedule's stream.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::event::{PassedBecause, ScheduleEvent, ScheduleOrigin, ScheduleSet};
use crate::aggregate::EventStamp;
use crate::triggers::Outcome;
use everfold_base::actor::Actor;
use everfold_base::id::{RunId, Version};
use everfold_base::time::Timestamp;
use everfold_language::definition::Schedule;

/// Settled moments that are kept for readers.
const SETTLED_KEPT: usize = 20;

/// A moment that has come and led to nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The moment.
    pub at: Timestamp,
    /// A person asked for it.
    pub by_hand: bool,
}

/// What a moment led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The moment.
    pub tick: Tick,
    /// When it was settled.
    pub at: Timestamp,
    /// What it led to.
    pub outcome: Outcome,
}

/// The runs of a removed schedule are to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOrder {
    /// The version of its event: the runs are those of earlier moments.
    pub meant: Version,
    /// Why.
    pub reason: Option<String>,
}

/// A schedule, and what became of its moments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    set: Option<ScheduleSet>,
    /// Who made it what it is, also of one that was removed.
    set_by: Option<Actor>,
    /// When its moments became what they are.
    since: Timestamp,
    pub(super) paused: Option<(Timestamp, Option<String>)>,
    /// Moments up to here were decided on.
    pub(super) cursor: Timestamp,
    pub(super) waiting: BTreeMap<Version, Tick>,
    settled: VecDeque<Settled>,
    /// The runs that are about to get the signal of a moment.
    targets: BTreeMap<Version, Vec<RunId>>,
    last_run: Option<RunId>,
    cancelling: Option<CancelOrder>,
    passed: BTreeMap<String, u64>,
    /// More were passed over than that.
    has_older: bool,
}

impl ScheduleState {
    /// Folds a fact.
    pub fn apply(&mut self, version: Version, stamp: &EventStamp<'_>, event: &ScheduleEvent) {
        let at = stamp.at;
        match event {
            ScheduleEvent::ScheduleSet(event) => {
                let moments = self.set.as_ref().map(|former| &former.schedule);
                if moments != Some(&event.schedule) {
                    self.since = at;
                }
                self.set = Some(event.clone());
                self.set_by = Some(stamp.by.clone());
                self.cursor = self.cursor.max(at);
            }
            ScheduleEvent::ScheduleRemoved(_) => {
                self.set = None;
                self.paused = None;
            }
            ScheduleEvent::SchedulePaused(event) => self.paused = Some((at, event.reason.clone())),
            ScheduleEvent::ScheduleResumed(_) => {
                self.paused = None;
                self.cursor = self.cursor.max(at);
            }
            ScheduleEvent::TickDue(event) => {
                if !event.by_hand {
                    self.cursor = self.cursor.max(event.at);
                }
                self.waiting.insert(version, Tick { at: event.at, by_hand: event.by_hand });
            }
            ScheduleEvent::TicksPassed(event) => {
                self.cursor = self.cursor.max(event.until);
                self.has_older |= event.has_older;
                let why = match event.because {
                    PassedBecause::Late => "late",
                    PassedBecause::Overlap => "overlap",
                    PassedBecause::Full => "full",
                };
                *self.passed.entry(why.to_owned()).or_default() += u64::from(event.count);
            }
            ScheduleEvent::ClockSetBack(event) => {
                self.cursor = event.to;
                self.since = self.since.min(event.to);
            }
            ScheduleEvent::TickMeant(event) => {
                self.targets.insert(event.tick, event.runs.clone());
            }
            ScheduleEvent::RunsCancelMeant(event) => {
                self.cancelling = Some(CancelOrder { meant: version, reason: event.reason.clone() });
            }
            ScheduleEvent::RunsCancelSettled(event) => {
                if self.cancelling.as_ref().is_some_and(|order| order.meant <= event.meant) {
                    self.cancelling = None;
                }
            }
            ScheduleEvent::TickSettled(event) => {
                self.targets.remove(&event.tick);
                let Some(tick) = self.waiting.remove(&event.tick) else { return };
                if let Outcome::Started { run } = event.outcome {
                    self.last_run = Some(run);
                }
                if self.settled.len() == SETTLED_KEPT {
                    self.settled.pop_front();
                }
                self.settled.push_back(Settled { tick, at, outcome: event.outcome.clone() });
            }
        }
    }

    /// The schedule, unless it was removed or cannot be read.
    #[must_use]
    pub fn schedule(&self) -> Option<Schedule> {
        serde_json::from_str(self.set.as_ref()?.schedule.as_str()).ok()
    }

    /// What it was set to, unless it was removed.
    #[must_use]
    pub fn set(&self) -> Option<&ScheduleSet> {
        self.set.as_ref()
    }

    /// Where it comes from, unless it was removed.
    #[must_use]
    pub fn origin(&self) -> Option<&ScheduleOrigin> {
        self.set.as_ref().map(|set| &set.origin)
    }

    /// Who made it what it is: the actor of its newest definition, also of one that was removed.
    #[must_use]
    pub fn set_by(&self) -> Option<&Actor> {
        self.set_by.as_ref()
    }

    /// When its moments became what they are: it was saved or added, or got other ones.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The order to cancel its runs, until it is carried out.
    #[must_use]
    pub fn cancelling(&self) -> Option<&CancelOrder> {
        self.cancelling.as_ref()
    }

    /// Since when, and why, it is paused.
    #[must_use]
    pub fn paused(&self) -> Option<&(Timestamp, Option<String>)> {
        self.paused.as_ref()
    }

    /// Moments up to here were decided on.
    #[must_use]
    pub fn cursor(&self) -> Timestamp {
        self.cursor
    }

    /// Moments that led to nothing yet, the oldest first.
    #[must_use]
    pub fn waiting(&self) -> &BTreeMap<Version, Tick> {
        &self.waiting
    }

    /// The runs that are recorded as targets of a moment's signal.
    #[must_use]
    pub fn targets(&self, tick: Version) -> Option<&Vec<RunId>> {
        self.targets.get(&tick)
    }

    /// The last moments that led to something, the newest last.
    pub fn settled(&self) -> impl DoubleEndedIterator<Item = &Settled> {
        self.settled.iter()
    }

    /// The last run that it started.
    #[must_use]
    pub fn last_run(&self) -> Option<RunId> {
        self.last_run
    }

    /// How many moments were passed over, by reason.
    #[must_use]
    pub fn passed(&self) -> &BTreeMap<String, u64> {
        &self.passed
    }

    /// Whether more moments were passed over than were counted.
    #[must_use]
    pub fn has_older(&self) -> bool {
        self.has_older
    }
}
