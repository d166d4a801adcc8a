//! What the state knows of budgets: how full each is, and which paid work waits for one.
//!
//! Law (L31): a budget of this run alone is counted here, and nowhere else. Of a budget that is shared
//! with other runs this holds the last reading; its counter has a stream of its own. An attempt that asked
//! for funds starts only when they are granted, and is heard of by the counters exactly once more.
//!
//! Called by the fold; `decide` and the driver read it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RunState;
use crate::budgets::{Use, limit, passed, room, shown};
use crate::definition::Condition;
use crate::event::{BudgetReading, BudgetTerms, Measure, Spent, TimerId, TimerKind};
use crate::failure::{Failure, FailureKind};
use crate::id::{Attempt, AttemptId, Round, StepId, StepPath, Version};
use crate::time::Timestamp;

/// What belongs to budgets stands under this name, which no step can have.
const PLACE: &str = "$budget";

/// Budgets and funds of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spend {
    pub(crate) budgets: Vec<BudgetState>,
    /// Attempts that asked for funds, until they have ended.
    pub(crate) funds: BTreeMap<AttemptId, Fund>,
    /// Those of them that no budget has room for.
    pub(crate) held: BTreeSet<(Version, AttemptId)>,
    /// What attempts used up that counters are to hear of when they end.
    pub(crate) used: BTreeMap<AttemptId, Spent>,
    /// What counters are to hear of, by the version of the event that says so.
    pub(crate) reports: BTreeMap<Version, Report>,
    pub(crate) clock: RunClock,
}

/// One budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BudgetState {
    pub(crate) terms: BudgetTerms,
    /// Of a shared one as its counter said last.
    pub(crate) spent: Spent,
    pub(crate) reserved_micros: u64,
    pub(crate) raised: Spent,
    pub(crate) period: Option<(Timestamp, Timestamp)>,
    /// What was used up after the end of the period, until it is recorded that the next one began.
    pub(crate) carried: Spent,
    /// The run's clock when the period began.
    pub(crate) clock_base_ms: u64,
    /// It had no room, and nothing has changed since.
    pub(crate) over: Option<Measure>,
}

/// An attempt that asked for funds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fund {
    pub(crate) stage: FundStage,
    /// The event that made it ask, or ask again.
    pub(crate) since: Version,
    pub(crate) exempt: bool,
    pub(crate) granted_at: Option<Timestamp>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FundStage {
    /// The counters are being asked.
    Asked,
    /// They have no room; they answer again when they have.
    Refused,
    /// A budget of the run itself has no room.
    Held,
    /// It may start.
    Granted,
}

/// What the counters that a run shares are to hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// An attempt is over, or will not start.
    Ended { id: AttemptId, asked: bool, spent: Spent, at: Timestamp },
    /// Somebody raised a budget.
    Raised { budget: String, add: Spent, at: Timestamp },
}

/// The time of a run without that in which it stood still.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunClock {
    elapsed_ms: u64,
    since: Option<Timestamp>,
}

impl RunClock {
    fn at(&self, now: Timestamp) -> u64 {
        let running = self.since.map_or(Duration::ZERO, |since| now.since(since));
        self.elapsed_ms.saturating_add(u64::try_from(running.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// The clock says less than when it began to run: what passed before then nobody knows.
    pub(crate) fn set_back(&mut self, clock: Timestamp) {
        self.since = self.since.map(|since| since.min(clock));
    }

    /// Goes on, or stands still, from now on.
    pub(crate) fn set(&mut self, runs: bool, now: Timestamp) {
        if runs != self.since.is_some() {
            self.elapsed_ms = self.at(now);
            self.since = runs.then_some(now);
        }
    }
}

impl BudgetState {
    pub(crate) fn new(terms: BudgetTerms) -> Self {
        Self {
            terms,
            spent: Spent::default(),
            reserved_micros: 0,
            raised: Spent::default(),
            period: None,
            carried: Spent::default(),
            clock_base_ms: 0,
            over: None,
        }
    }

    /// Whether other runs count towards it too.
    pub(crate) fn is_shared(&self) -> bool {
        self.terms.scope.is_some()
    }

    /// How far it is used up; the time of a run's own one is the run's clock.
    pub(crate) fn used(&self, clock: &RunClock, now: Timestamp) -> Use {
        let mut spent = self.spent;
        if !self.is_shared() {
            spent.wall_ms = clock.at(now).saturating_sub(self.clock_base_ms);
        }
        Use { spent, reserved_micros: self.reserved_micros, raised: self.raised }
    }

    pub(crate) fn room(&self, clock: &RunClock, now: Timestamp) -> Result<(), Measure> {
        room(&self.terms, &self.used(clock, now))
    }

    pub(crate) fn reading(&self, clock: &RunClock, now: Timestamp) -> BudgetReading {
        let Use { spent, reserved_micros, raised } = self.used(clock, now);
        let until = self.period.map(|(_, until)| until);
        BudgetReading { budget: self.terms.id.clone(), spent, reserved_micros, raised, until }
    }

    /// What is passed beyond its limit, if anything is; used up exactly is not.
    pub(crate) fn passed(&self, clock: &RunClock, now: Timestamp) -> Option<Measure> {
        passed(&self.terms, &self.used(clock, now))
    }
}

/// A budget of a run, for readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetView<'a> {
    /// As it was rendered.
    pub terms: &'a BudgetTerms,
    /// How far it is used up; of a shared one as its counter said last.
    pub used: Use,
    /// What it has no room for any more: paid work waits for it.
    pub over: Option<Measure>,
    /// When its period began and ends.
    pub period: Option<(Timestamp, Timestamp)>,
}

impl BudgetView<'_> {
    /// `4.80 USD of 5.00 USD`: of what is used up, else of its first limit.
    #[must_use]
    pub fn summary(&self) -> String {
        let limited = |measure: &Measure| limit(self.terms, *measure, self.used.raised).is_some();
        let measure = self.over.or_else(|| Measure::ALL.into_iter().find(limited));
        measure.map_or_else(String::new, |measure| summary(self.terms, &self.used, measure))
    }
}

fn summary(terms: &BudgetTerms, used: &Use, measure: Measure) -> String {
    let limit = limit(terms, measure, used.raised).unwrap_or_default();
    let spent = shown(measure, measure.of(used.spent));
    let mut text = format!("{spent} of {}", shown(measure, limit));
    if measure == Measure::Cost {
        if used.reserved_micros > 0 {
            text.push_str(&format!(", {} reserved", shown(measure, used.reserved_micros)));
        }
        if terms.reserve_micros > 0 {
            text.push_str(&format!(", {} wanted for the next", shown(measure, terms.reserve_micros)));
        }
    }
    text
}

/// The failure that a used-up budget leads to.
pub(crate) fn failure(terms: &BudgetTerms, used: &Use, measure: Measure) -> Failure {
    let message = format!("budget “{}” is used up: {}", terms.id, summary(terms, used, measure));
    Failure::new(FailureKind::Budget, message)
        .with_hint("raise it with `everfold budget RUN --add 2.00 -m WHY`, or wait for its next period")
}

/// The attempt under which timers of budgets stand.
fn place() -> AttemptId {
    AttemptId { path: StepPath::step(&StepId::new(PLACE)), round: Round::ZERO, attempt: Attempt::ZERO }
}

/// Which moment of a budget a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BudgetTimer {
    /// Its time is used up.
    Wall,
    /// Its next period begins.
    Period,
}

/// Whether a budget's timer waits for its next period, by the calendar.
pub(crate) fn is_period(timer: &TimerId) -> bool {
    timer.kind == TimerKind::Budget && timer.name.ends_with("/period")
}

impl BudgetTimer {
    pub(crate) fn id(self, budget: &str) -> TimerId {
        let what = match self {
            Self::Wall => "wall",
            Self::Period => "period",
        };
        TimerId { id: place(), kind: TimerKind::Budget, name: format!("{budget}/{what}") }
    }
}

impl RunState {
    /// The budgets of the run, in the order of the file.
    pub fn budgets(&self, now: Timestamp) -> impl Iterator<Item = BudgetView<'_>> {
        let spend = &self.facts.spend;
        let now = self.facts.ended.as_ref().map_or(now, |ended| ended.at);
        spend.budgets.iter().map(move |budget| BudgetView {
            terms: &budget.terms,
            used: budget.used(&spend.clock, now),
            over: budget.over,
            period: budget.period,
        })
    }

    /// Paid attempts that wait for a budget.
    pub fn held_by_budgets(&self) -> impl Iterator<Item = &AttemptId> {
        self.facts.spend.held.iter().map(|(_, id)| id)
    }

    /// Whether an attempt must ask for funds before it starts, if it is paid work. Steps of `on_finish` need
    /// none: what cleans up and reports must not wait.
    #[must_use]
    pub fn wants_funds(&self, id: &AttemptId) -> bool {
        let spend = &self.facts.spend;
        !spend.budgets.is_empty()
            && !spend.funds.contains_key(id)
            && self.key(&id.path).is_some_and(|key| !self.graph.is_finish(key.step))
    }

    /// Whether an attempt waits for funds.
    #[must_use]
    pub fn waits_for_funds(&self, id: &AttemptId) -> bool {
        self.facts.spend.funds.get(id).is_some_and(|fund| fund.stage != FundStage::Granted)
    }

    /// Whether an attempt waits for funds that the counters refused it: they answer when they have room.
    #[cfg(feature = "runtime")]
    pub(crate) fn is_refused_funds(&self, id: &AttemptId) -> bool {
        self.facts.spend.funds.get(id).is_some_and(|fund| fund.stage == FundStage::Refused)
    }

    /// The budgets that the run shares with others.
    pub fn shared_budgets(&self) -> impl Iterator<Item = &BudgetTerms> {
        self.facts.spend.budgets.iter().filter(|budget| budget.is_shared()).map(|budget| &budget.terms)
    }

    /// Whether anything of the run is to be said to the counters that it shares, or waits for their answer.
    pub(crate) fn needs_counters(&self) -> bool {
        let spend = &self.facts.spend;
        let waits = |fund: &Fund| matches!(fund.stage, FundStage::Asked | FundStage::Refused);
        !spend.reports.is_empty()
            || (self.facts.ended.is_none()
                && spend.budgets.iter().any(BudgetState::is_shared)
                && spend.funds.values().any(waits))
    }

    /// Whether the counters that the run shares have something to hear, or to answer at once: nothing of it
    /// waits for others or for a new period.
    #[must_use]
    pub fn is_asking_counters(&self) -> bool {
        let spend = &self.facts.spend;
        let at = self.facts.last_at;
        let has_room = || {
            let mut shared = spend.budgets.iter().filter(|budget| budget.is_shared());
            shared.all(|budget| budget.room(&spend.clock, at).is_ok())
        };
        let is_due = |fund: &Fund| match fund.stage {
            FundStage::Asked => true,
            FundStage::Refused => has_room(),
            FundStage::Held | FundStage::Granted => false,
        };
        self.facts.ended.is_none() && (!spend.reports.is_empty() || spend.funds.values().any(is_due))
    }

    /// What a counter that keeps something free for an attempt has not heard of: the version and moment of
    /// its end, and what it used up. `None`: the attempt may still start, or is in progress.
    #[cfg(feature = "runtime")]
    pub(crate) fn charge_of(&self, attempt: &AttemptId) -> Option<(Version, Spent, Timestamp)> {
        let spend = &self.facts.spend;
        if spend.funds.contains_key(attempt) && self.facts.ended.is_none() {
            return None;
        }
        let ended = spend.reports.iter().find_map(|(version, report)| match report {
            Report::Ended { id, spent, at, .. } if id == attempt => Some((*version, *spent, *at)),
            _of_others => None,
        });
        // Heard of before, by a counter that was restored since, or never begun.
        Some(ended.unwrap_or((Version::ZERO, Spent::default(), self.facts.last_at)))
    }

    /// What the counters are to hear of.
    #[cfg(feature = "runtime")]
    pub(crate) fn report(&self, version: Version) -> Option<&Report> {
        self.facts.spend.reports.get(&version)
    }

    /// The step's own word on whether budgets concern it.
    pub(crate) fn exemption(&self, step: usize) -> Option<&Condition> {
        self.graph.step(step).budget_exempt.as_ref()
    }
}
