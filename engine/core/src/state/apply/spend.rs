//! Budgets fill, are raised and begin anew; paid work asks, waits and may start.

use crate::event::{
    BudgetExceeded, BudgetPeriodBegan, BudgetRaised, BudgetReading, BudgetTerms, FundsAnswered, FundsGranted,
    FundsRequested, Measure, Spent, TimerId, TimerKind, UsageRecorded,
};
use crate::state::spend::budget_failure;
use crate::state::spend::{BudgetState, BudgetTimer, Fund, FundStage, Spend, SpendReport};
use crate::state::{Key, RunOutcome, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::AttemptId;
use everfold_base::time::Timestamp;
use everfold_language::definition::{Graph, OnOver};

impl RunState {
    pub(super) fn budgets_opened(&mut self, budgets: &[BudgetTerms]) {
        // Those of a copied run that are carried over.
        let former = std::mem::take(&mut self.facts.spend.budgets);
        let open = |terms: &BudgetTerms| {
            let known = former.iter().find(|it| it.terms.id == terms.id && terms.scope.is_none());
            let new = BudgetState::new(terms.clone());
            known.map_or_else(|| new.clone(), |known| new.clone().going_on(known))
        };
        self.facts.spend.budgets = budgets.iter().map(open).collect();
    }

    pub(super) fn budget_period_began(&mut self, event: &BudgetPeriodBegan, at: Timestamp) {
        let spend = &mut self.facts.spend;
        let Some(budget) = spend.budgets.iter_mut().find(|it| it.terms.id == event.budget) else { return };
        // What the clock shows at this moment belongs to the period that is over.
        budget.clock_base_ms += budget.used(&spend.clock, at).spent.wall_ms;
        budget.spent = std::mem::take(&mut budget.carried);
        budget.raised = Spent::default();
        budget.period = Some((event.from, event.until));
        budget.over = None;
    }

    pub(super) fn count_usage(&mut self, event: &UsageRecorded, at: Timestamp) {
        let spend = &mut self.facts.spend;
        if spend.budgets.is_empty() || spend.funds.get(&event.id).is_some_and(|fund| fund.exempt) {
            return;
        }
        let usage = &event.usage;
        let spent = Spent {
            cost_micros: usage.cost_micros,
            tokens: usage
                .input_tokens
                .saturating_add(usage.cached_tokens)
                .saturating_add(usage.output_tokens),
            wall_ms: 0,
        };
        let with = |sum: Spent| sum.plus(spent).without_cost(event.less_micros);
        for budget in spend.budgets.iter_mut().filter(|budget| !budget.is_shared()) {
            match budget.period {
                Some((_, until)) if at >= until => budget.carried = with(budget.carried),
                _current => budget.spent = with(budget.spent),
            }
            // There is room again, so the limit may be passed again.
            if event.less_micros > 0 && budget.room(&spend.clock, at).is_ok() {
                budget.over = None;
            }
        }
        if spend.is_shared() {
            let used = spend.used.entry(event.id.clone()).or_default();
            *used = with(*used);
            spend.count_unreported();
        }
    }

    pub(super) fn budget_exceeded(&mut self, event: &BudgetExceeded, at: Timestamp) {
        let spend = &mut self.facts.spend;
        let is_only = spend.budgets.len() == 1;
        let Some(budget) = spend.budgets.iter_mut().find(|it| it.terms.id == event.reading.budget) else {
            return;
        };
        budget.over = Some(event.measure);
        if budget.terms.on_over == OnOver::Fail {
            let failure = budget_failure::failure(budget, event.measure, is_only, (&spend.clock, at));
            let path = event.id.as_ref().map(|id| id.path.clone());
            self.set_outcome(RunOutcome::Failed { path, failure });
        }
    }

    pub(super) fn budget_raised(&mut self, event: &BudgetRaised, at: Timestamp) {
        let version = self.facts.version;
        let spend = &mut self.facts.spend;
        let Some(budget) = spend.budgets.iter_mut().find(|it| it.terms.id == event.budget) else { return };
        if budget.is_shared() {
            let report = SpendReport::Raised { budget: event.budget.clone(), add: event.add, at };
            spend.reports.insert(version, report);
        } else {
            budget.raised = budget.raised.plus(event.add);
            budget.over = None;
        }
    }

    /// Paid work is about to start: it waits until it is known that it may.
    pub(super) fn funds_requested(&mut self, event: &FundsRequested, at: Timestamp) {
        let id = &event.id;
        let Some(key) = self.current(id) else { return };
        let version = self.facts.version;
        let spend = &mut self.facts.spend;
        let (mut since, mut stage) = (version, FundStage::Held);
        if spend.is_shared() {
            stage = if event.waits { FundStage::Waiting } else { FundStage::Asked };
        }
        if let Some(former) = spend.funds.remove(id) {
            spend.held.remove(&(former.since, id.clone()));
            if event.waits {
                // It keeps its place among those that wait.
                (since, stage) = (former.since, FundStage::Returning);
                let report = SpendReport::Ended { id: id.clone(), asked: true, spent: Spent::default(), at };
                spend.reports.insert(version, report);
            } else {
                for budget in spend.budgets.iter_mut().filter(|budget| !budget.is_shared()) {
                    budget.over = None;
                }
            }
        }
        if stage != FundStage::Asked {
            spend.held.insert((since, id.clone()));
        }
        spend.funds.insert(id.clone(), Fund { stage, since, exempt: false, granted_at: None });
        // Its time limit begins when it may start.
        self.clear_timer(&TimerId { id: id.clone(), kind: TimerKind::Timeout, name: String::new() });
        self.touch(key);
    }

    pub(super) fn funds_answered(&mut self, event: &FundsAnswered) {
        self.read_counters(&event.readings);
        let spend = &mut self.facts.spend;
        if let Some(fund) = spend.funds.get_mut(&event.id)
            && fund.stage != FundStage::Granted
        {
            fund.stage = if event.refused.is_some() { FundStage::Refused } else { FundStage::Held };
            spend.held.insert((fund.since, event.id.clone()));
        }
        if event.refused.is_none() {
            for budget in spend.budgets.iter_mut().filter(|budget| budget.is_shared()) {
                budget.over = None;
            }
        }
        if let Some(key) = self.current(&event.id) {
            self.touch(key);
        }
    }

    pub(super) fn funds_granted(&mut self, event: &FundsGranted, at: Timestamp) {
        let Some(key) = self.current(&event.id) else { return };
        let since = self.facts.version;
        let spend = &mut self.facts.spend;
        let fund = Fund { stage: FundStage::Granted, since, exempt: event.exempt, granted_at: Some(at) };
        if let Some(former) = spend.funds.insert(event.id.clone(), fund) {
            spend.held.remove(&(former.since, event.id.clone()));
        }
        if !event.exempt {
            for budget in spend.budgets.iter_mut().filter(|budget| !budget.is_shared()) {
                budget.reserved_micros = budget.reserved_micros.saturating_add(budget.terms.reserve_micros);
                budget.over = None;
            }
        }
        self.limit_attempt(key);
        self.touch(key);
    }

    /// The time limit of an attempt that may start now.
    fn limit_attempt(&mut self, key: Key) {
        let id = self.attempt_id(key);
        let limit = self.unit_at(key).filter(|unit| Graph::is_timed_here(&unit.kind));
        if let Some(limit) = limit.and_then(|unit| unit.timeout_ms) {
            let due = self.now().plus(std::time::Duration::from_millis(limit));
            self.set_timer(TimerId { id, kind: TimerKind::Timeout, name: String::new() }, due);
        }
    }

    /// Why paid work was stopped: the budget that stops it is used up.
    pub(super) fn budget_failure(&self) -> Failure {
        let spend = &self.facts.spend;
        let is_over = |budget: &&BudgetState| budget.over.is_some() && budget.terms.on_over == OnOver::Stop;
        match spend.budgets.iter().find(is_over) {
            Some(budget) => {
                let (measure, now) = (budget.over.unwrap_or(Measure::Cost), self.facts.last_at);
                let is_only = spend.budgets.len() == 1;
                budget_failure::failure(budget, measure, is_only, (&spend.clock, now))
            }
            None => Failure::new(FailureKind::Budget, "stopped, because a budget was used up"),
        }
    }

    /// An attempt is over: its reservation is released, and the counters get a report.
    pub(super) fn settle_funds(&mut self, id: &AttemptId, ended_at: Timestamp) {
        self.forget_usage(id);
        let version = self.facts.version;
        let spend = &mut self.facts.spend;
        if spend.budgets.is_empty() {
            return;
        }
        let fund = spend.funds.remove(id);
        let mut spent = spend.used.remove(id).unwrap_or_default();
        if let Some(fund) = &fund {
            spend.held.remove(&(fund.since, id.clone()));
            if let Some(granted_at) = fund.granted_at.filter(|_| !fund.exempt) {
                let wall = ended_at.since(granted_at).as_millis();
                spent.wall_ms = u64::try_from(wall).unwrap_or(u64::MAX);
                for budget in spend.budgets.iter_mut().filter(|budget| !budget.is_shared()) {
                    budget.reserved_micros =
                        budget.reserved_micros.saturating_sub(budget.terms.reserve_micros);
                }
            }
        }
        let asked = fund.is_some_and(|fund| !fund.exempt);
        if spend.is_shared() && (asked || !spent.is_zero()) {
            spend.reports.insert(version, SpendReport::Ended { id: id.clone(), asked, spent, at: ended_at });
        }
    }

    pub(super) fn spend_reported(&mut self, version: everfold_base::id::Version, readings: &[BudgetReading]) {
        let spend = &mut self.facts.spend;
        if let Some(SpendReport::Ended { id, .. }) = spend.reports.remove(&version)
            && let Some(fund) = spend.funds.get_mut(&id)
            && fund.stage == FundStage::Returning
        {
            fund.stage = FundStage::Waiting;
        }
        self.read_counters(readings);
    }

    fn read_counters(&mut self, readings: &[BudgetReading]) {
        for reading in readings {
            let budgets = &mut self.facts.spend.budgets;
            if let Some(budget) =
                budgets.iter_mut().find(|it| it.terms.id == reading.budget && it.is_shared())
            {
                budget.spent = reading.spent;
                budget.reserved_micros = reading.reserved_micros;
                budget.raised = reading.raised;
                let from = budget.period.map_or(Timestamp(0), |(from, _)| from);
                budget.period = reading.until.map(|until| (from, until));
            }
        }
        self.facts.spend.count_unreported();
    }

    /// The next period of a shared budget begins: those it has refused ask again.
    pub(super) fn budget_timer_fired(&mut self, timer: &TimerId) {
        let since = self.facts.version;
        let spend = &mut self.facts.spend;
        let is_of = |budget: &&mut BudgetState| BudgetTimer::Period.id(&budget.terms.id) == *timer;
        let Some(budget) = spend.budgets.iter_mut().filter(|it| it.is_shared()).find(is_of) else { return };
        budget.over = None;
        let refused = spend.funds.iter_mut().filter(|(_, fund)| fund.stage == FundStage::Refused);
        let mut asking = Vec::new();
        for (id, fund) in refused {
            spend.held.remove(&(fund.since, id.clone()));
            (fund.stage, fund.since) = (FundStage::Asked, since);
            asking.push(id.clone());
        }
        for id in asking {
            if let Some(key) = self.current(&id) {
                self.touch(key);
            }
        }
    }

    /// The run's clock goes on while something of the run may: not before it is admitted, not while it is
    /// paused, not while paid work waits for a budget.
    pub(super) fn set_run_clock(&mut self, now: Timestamp) {
        if self.facts.spend.budgets.is_empty() {
            return;
        }
        let is_held = !self.facts.spend.held.is_empty();
        let runs = self.facts.ended.is_none() && !self.facts.paused && !self.facts.queue.waits && !is_held;
        self.facts.spend.clock.set(runs, now);
    }

    /// A copied history spends nothing: its budgets are opened anew, and begin with nothing but where the pipeline
    /// carries over what was used up.
    pub(super) fn forget_spend(&mut self) {
        self.clear_budget_timers();
        let mut budgets = std::mem::take(&mut self.facts.spend.budgets);
        let wanted = &self.graph.definition.budgets;
        budgets.retain(|known| {
            wanted.iter().any(|it| it.carry && it.id == known.terms.id && !known.is_shared())
        });
        self.facts.spend = Spend { budgets, ..Spend::default() };
    }

    /// No attempt of the run waits for a budget any more.
    pub(super) fn clear_budget_timers(&mut self) {
        if self.facts.spend.budgets.is_empty() {
            return;
        }
        let budgets: Vec<TimerId> =
            self.facts.timers.keys().filter(|timer| timer.kind == TimerKind::Budget).cloned().collect();
        for timer in budgets {
            self.clear_timer(&timer);
            self.touched.push(crate::effect::Touched::Path(timer.id.path));
        }
    }
}
