//! Runs that their own pipelines limit.

use serde::Deserialize;

use super::amounts::BudgetAmounts;
use super::budgets::SharedBudget;
use crate::frame::Visit;
use crate::problem::Problem;

/// Runs that the page lists.
const RUNS_MAX: usize = 10;

/// The runs that are listed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LimitedRuns {
    pub(crate) items: Vec<LimitedRun>,
    pub(crate) open: u64,
    pub(crate) looked_at: u64,
}

/// A run with the budgets of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LimitedRun {
    pub(crate) short_id: String,
    pipeline: String,
    title: Option<String>,
    pub(crate) status: String,
    pub(crate) held: bool,
    budgets: Vec<OwnBudget>,
}

/// A budget of a run, by its name in the pipeline.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct OwnBudget {
    id: String,
    per: String,
    limit: BudgetAmounts,
    spent: BudgetAmounts,
    reserved_usd: String,
    over: Option<String>,
    is_reserved: bool,
}

impl LimitedRun {
    /// Its title, or its pipeline.
    pub(crate) fn name(&self) -> &str {
        self.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(&self.pipeline)
    }

    /// In words, why one of its budgets has no room.
    pub(crate) fn taken(&self) -> &'static str {
        let mut over = self.budgets.iter().filter(|budget| budget.over.is_some());
        crate::words::taken(over.all(|budget| budget.is_reserved))
    }

    /// Its budgets as those that runs share are drawn, each by its name.
    pub(crate) fn budgets(&self) -> Vec<SharedBudget> {
        self.budgets
            .iter()
            .cloned()
            .map(OwnBudget::drawn)
            .filter(|budget| !budget.fills().is_empty())
            .collect()
    }
}

impl OwnBudget {
    fn drawn(self) -> SharedBudget {
        let Self { id, per, limit, spent, reserved_usd, over, is_reserved } = self;
        SharedBudget {
            scope: id,
            per,
            limit,
            spent,
            reserved_usd,
            over,
            is_reserved,
            ..SharedBudget::default()
        }
    }
}

/// The runs that go on and that their own pipelines limit, as it is now.
pub(super) async fn load(visit: &Visit) -> Result<LimitedRuns, Problem> {
    visit.rest.get(&format!("/spend/runs?limit={RUNS_MAX}")).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_shows_how_full_each_of_its_budgets_is() {
        let amounts = |cost: Option<&str>| json!({ "cost_usd": cost, "tokens": null, "wall_ms": null });
        let run: LimitedRun = serde_json::from_value(json!({
            "run": "x", "short_id": "3b2cabce", "pipeline": "work", "title": " ", "status": "paused", "held": true,
            "full_percent": 120, "budgets": [
                { "id": "task", "scope": null, "per": "total", "limit": amounts(Some("0.500000")),
                  "spent": amounts(Some("0.600000")), "reserved_usd": "0.000000", "over": "cost" },
                { "id": "counted", "scope": null, "per": "total", "limit": amounts(None), "spent": amounts(Some("0.1")) },
            ],
        }))
        .expect("a run");
        assert_eq!(run.name(), "work");
        let budgets = run.budgets();
        assert_eq!(budgets.len(), 1, "one without a limit fills nothing");
        assert_eq!((budgets[0].scope.as_str(), budgets[0].is_over()), ("task", true));
        assert_eq!(budgets[0].fills()[0].spent_part, 100);
        assert_eq!(run.taken(), "used up");
    }

    #[test]
    fn a_budget_that_is_only_reserved_is_not_said_to_be_used_up() {
        let run = |budgets: serde_json::Value| -> LimitedRun {
            serde_json::from_value(json!({ "held": true, "budgets": budgets })).expect("a run")
        };
        let reserved =
            json!({ "id": "a", "over": "cost", "is_reserved": true, "limit": { "cost_usd": "1" } });
        let used_up =
            json!({ "id": "b", "over": "cost", "is_reserved": false, "limit": { "cost_usd": "1" } });
        let open = json!({ "id": "c", "over": null, "is_reserved": false });
        assert_eq!(run(json!([reserved, open])).taken(), "reserved for work that runs");
        assert_eq!(run(json!([reserved, used_up])).taken(), "used up");
        assert_eq!(run(json!([reserved])).budgets()[0].taken(), "reserved for work that runs");
    }
}
