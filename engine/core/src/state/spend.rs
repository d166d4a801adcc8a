//! What the state knows of budgets: how full each is, and which paid work waits for one.
//!
//! Law (L31): a budget of this run alone is counted here, and nowhere else. Of a budget that is shared
//! with other runs this holds the last reading; its counter has a stream of its own. An attempt that asked
//! for funds starts only when they are granted, and is reported to the counters exactly once more.
//!
//! Called by the fold; `decide` and the runtime read it.

pub(crate) mod budget_failure;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budgets::{BudgetUse, OwnLimit, has_room_behind, limit, passed, room, shown};
use crate::event::{BUDGETS, BudgetReading, BudgetTerms, Measure, Spent, TimerId, TimerKind};
use everfold_base::id::{Attempt, AttemptId, Round, StepId, StepPath, Version};
use everfold_base::time::Timestamp;

/// Budgets and funds of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spend {
    pub(crate) budgets: Vec<BudgetState>,
    /// Attempts that asked for funds, until they have ended.
    pub(crate) funds: BTreeMap<AttemptId, Fund>,
    /// The attempts that no budget has room for.
    pub(crate) held: BTreeSet<(Version, AttemptId)>,
    /// What attempts used up, for the report to the counters at their end.
    pub(crate) used: BTreeMap<AttemptId, Spent>,
    /// Reports to the counters, by the version of the event that led to each.
    pub(crate) reports: BTreeMap<Version, SpendReport>,
    pub(crate) clock: RunClock,
}

impl Spend {
    /// Whether other runs count towards one of the budgets, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.budgets.iter().any(BudgetState::is_shared)
    }

    /// Adds to what a counter said last what work at hand used up since it began: the counter hears of that at its end.
    pub(crate) fn count_unreported(&mut self) {
        let unreported = self.used.values().fold(Spent::default(), |sum, used| sum.plus(*used));
        for budget in self.budgets.iter_mut().filter(|budget| budget.is_shared()) {
            budget.unreported = unreported;
        }
    }
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
    /// Of a shared one: what attempts of the run used up that have not ended, and of which its counter does not know yet.
    pub(crate) unreported: Spent,
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
    /// The counters have room, where there are any; a budget of the run itself may have none.
    Held,
    /// It may start.
    Granted,
    /// A budget of the run itself has no room: what the counters had reserved for it goes back, and they do not know yet.
    Returning,
    /// A budget of the run itself has no room, and the counters hold nothing for it.
    Waiting,
}

/// A report to the counters that a run shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpendReport {
    /// An attempt is over, will not start, or waits for a budget of its run.
    Ended {
        /// The attempt.
        id: AttemptId,
        /// It had asked for funds.
        asked: bool,
        /// What it used up.
        spent: Spent,
        /// When it ended.
        at: Timestamp,
    },
    /// A person raised a budget.
    Raised {
        /// The budget.
        budget: String,
        /// By how much.
        add: Spent,
        /// When.
        at: Timestamp,
    },
}

/// The time of a run without that in which it was paused.
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

    /// The clock says less than when it began to run: what passed before then is unknown.
    pub(crate) fn set_back(&mut self, clock: Timestamp) {
        self.since = self.since.map(|since| since.min(clock));
    }

    /// Runs, or is paused, from now on.
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
            unreported: Spent::default(),
            carried: Spent::default(),
            clock_base_ms: 0,
            over: None,
        }
    }

    /// Whether other runs count towards it too.
    pub(crate) fn is_shared(&self) -> bool {
        self.terms.scope.is_some()
    }

    /// A copied run goes on with what was used up; its time begins anew.
    pub(crate) fn going_on(self, known: &Self) -> Self {
        let spent = Spent { wall_ms: 0, ..known.spent };
        Self { spent, raised: known.raised, period: known.period, carried: known.carried, ..self }
    }

    /// How far it is used up; the time of a run's own one is the run's clock.
    pub(crate) fn used(&self, clock: &RunClock, now: Timestamp) -> BudgetUse {
        let mut spent = self.spent.plus(self.unreported);
        if !self.is_shared() {
            spent.wall_ms = clock.at(now).saturating_sub(self.clock_base_ms);
        }
        BudgetUse { spent, reserved_micros: self.reserved_micros, raised: self.raised }
    }

    pub(crate) fn room(&self, clock: &RunClock, now: Timestamp) -> Result<(), Measure> {
        room(&self.terms, &self.used(clock, now))
    }

    /// Whether what has no room waits for nothing but the end of work that runs.
    pub(crate) fn has_room_behind(&self, clock: &RunClock, now: Timestamp) -> bool {
        has_room_behind(&self.terms, &self.used(clock, now))
    }

    pub(crate) fn reading(&self, clock: &RunClock, now: Timestamp) -> BudgetReading {
        let BudgetUse { spent, reserved_micros, raised } = self.used(clock, now);
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
    pub used: BudgetUse,
    /// What it has no room for any more: paid work waits for it.
    pub over: Option<Measure>,
    /// When its period began and ends.
    pub period: Option<(Timestamp, Timestamp)>,
    /// Of a shared one, where its counter was asked: the limits that the counter has of its own.
    pub own: OwnLimit,
}

impl BudgetView<'_> {
    /// The limit of the run or of the counter, the smaller of the two, with what it was raised by.
    #[must_use]
    pub fn limit(&self, measure: Measure) -> Option<u64> {
        limit(&self.own.within(self.terms), measure, self.used.raised)
    }

    /// Whether nothing but what is reserved for work that runs leaves no room: should that use up nothing, there is room.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        let terms = self.own.within(self.terms);
        self.over.is_some() && room(&terms, &self.used).is_err() && has_room_behind(&terms, &self.used)
    }

    /// `4.80 USD of 5.00 USD`: of what is used up, else of its first limit.
    #[must_use]
    pub fn summary(&self) -> String {
        let limited = |measure: &Measure| self.limit(*measure).is_some();
        let measure = self.over.or_else(|| Measure::ALL.into_iter().find(limited));
        let terms = self.own.within(self.terms);
        if let Some(measure) = self.over.filter(|_| is_full_for_others(&terms, &self.used)) {
            return full_for_others(&self.used, measure);
        }
        match measure {
            Some(measure) => {
                let raised = match measure.of(self.used.raised) {
                    0 => String::new(),
                    raised => format!(" ({} of it raised)", shown(measure, raised)),
                };
                summary(&terms, &self.used, measure, &raised)
            }
            None => format!("{}, without a limit", summary(&terms, &self.used, Measure::Cost, "")),
        }
    }
}

/// How full a budget is; `raised` stands behind its limit. What failures say of it is recorded: it stays as it is.
pub(super) fn summary(terms: &BudgetTerms, used: &BudgetUse, measure: Measure, raised: &str) -> String {
    let spent = shown(measure, measure.of(used.spent));
    let mut text = match limit(terms, measure, used.raised) {
        Some(limit) => format!("{spent} of {}{raised}", shown(measure, limit)),
        None => spent,
    };
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

/// Whether a shared budget that is used up has room by the run's own limits: its counter has a limit of its own.
pub(super) fn is_full_for_others(terms: &BudgetTerms, used: &BudgetUse) -> bool {
    terms.scope.is_some() && room(terms, used).is_ok()
}

pub(super) fn full_for_others(used: &BudgetUse, measure: Measure) -> String {
    format!("{} spent, and the limit of its scope leaves no room", shown(measure, measure.of(used.spent)))
}

/// The attempt under which timers of budgets stand.
pub(crate) fn budget_place() -> AttemptId {
    AttemptId { path: StepPath::step(&StepId::new(BUDGETS)), round: Round::ZERO, attempt: Attempt::ZERO }
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
        TimerId { id: budget_place(), kind: TimerKind::Budget, name: format!("{budget}/{what}") }
    }
}
