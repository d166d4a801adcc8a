//! The budgets of a run, for readers and for the counters that it shares with other runs.

use super::run_state::RunState;
use super::spend::{BudgetView, Fund, FundStage, SpendReport};
use crate::budgets::OwnLimit;
use crate::event::{BudgetTerms, Spent};
use everfold_base::id::{AttemptId, Version};
use everfold_base::time::Timestamp;
use everfold_language::definition::Condition;

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
            own: OwnLimit::default(),
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
    pub fn is_refused_funds(&self, id: &AttemptId) -> bool {
        self.facts.spend.funds.get(id).is_some_and(|fund| fund.stage == FundStage::Refused)
    }

    /// The budgets that the run shares with others.
    pub fn shared_budgets(&self) -> impl Iterator<Item = &BudgetTerms> {
        self.facts.spend.budgets.iter().filter(|budget| budget.is_shared()).map(|budget| &budget.terms)
    }

    /// Whether the run has a report for the counters that it shares, or waits for their answer.
    pub(crate) fn needs_counters(&self) -> bool {
        let spend = &self.facts.spend;
        let waits = |fund: &Fund| matches!(fund.stage, FundStage::Asked | FundStage::Refused);
        !spend.reports.is_empty()
            || (self.facts.ended.is_none() && spend.is_shared() && spend.funds.values().any(waits))
    }

    /// Whether the counters that the run shares must get a report, or answer at once: the run does not wait for
    /// other runs or for a new period.
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
            FundStage::Held | FundStage::Granted | FundStage::Returning | FundStage::Waiting => false,
        };
        self.facts.ended.is_none() && (!spend.reports.is_empty() || spend.funds.values().any(is_due))
    }

    /// The end of an attempt that a counter still has a reservation for: the version and moment of its end, and
    /// what it used up. `None`: the attempt may still start, or is in progress.
    pub fn charge_of(&self, attempt: &AttemptId) -> Option<(Version, Spent, Timestamp)> {
        let spend = &self.facts.spend;
        if spend.funds.contains_key(attempt) && self.facts.ended.is_none() {
            return None;
        }
        let ended = spend.reports.iter().find_map(|(version, report)| match report {
            SpendReport::Ended { id, spent, at, .. } if id == attempt => Some((*version, *spent, *at)),
            _of_others => None,
        });
        // Reported before, to a counter that was restored since, or never begun; or it ended with its run, which was
        // abandoned.
        Some(ended.unwrap_or_else(|| (Version::ZERO, self.unreported(attempt), self.facts.last_at)))
    }

    /// What an attempt used up that no report accounts for.
    fn unreported(&self, attempt: &AttemptId) -> Spent {
        let spend = &self.facts.spend;
        let used = spend.used.get(attempt).copied().unwrap_or_default();
        let granted_at =
            spend.funds.get(attempt).filter(|fund| !fund.exempt).and_then(|fund| fund.granted_at);
        let wall = granted_at.zip(self.facts.ended.as_ref());
        let wall_ms = wall.map_or(0, |(granted_at, ended)| ended.at.since(granted_at).as_millis());
        Spent { wall_ms: u64::try_from(wall_ms).unwrap_or(u64::MAX), ..used }
    }

    /// The report to the counters that an event led to.
    pub fn report(&self, version: Version) -> Option<&SpendReport> {
        self.facts.spend.reports.get(&version)
    }

    /// Whether budgets concern the step, as the step says.
    pub(crate) fn exemption(&self, step: usize) -> Option<&Condition> {
        self.graph.step(step).budget_exempt.as_ref()
    }
}
