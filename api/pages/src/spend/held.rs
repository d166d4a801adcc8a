//! The runs that shared budgets hold, with the limits that their pipelines name.
//!
//! Law: REST lists the limits that a scope has of its own; those of pipelines stand at each run. So of the runs that a
//! budget holds a bounded number is read.

use futures::future::join_all;
use serde::Deserialize;

use super::amounts::BudgetAmounts;
use crate::frame::Visit;
use crate::pipelines::RestList;

/// Runs that are looked at.
const RUNS_MAX: usize = 20;

/// A run that a budget holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldRun {
    pub(crate) short_id: String,
    pub(crate) name: String,
}

impl HeldRun {
    /// Its page.
    pub(crate) fn path(&self) -> String {
        format!("/runs/{}", self.short_id)
    }
}

/// A budget of a run that it holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BudgetOfRun {
    pub(super) id: String,
    pub(super) scope: Option<String>,
    pub(super) per: String,
    pub(super) zone: Option<String>,
    pub(super) limit: BudgetAmounts,
    pub(super) over: Option<String>,
    pub(super) is_reserved: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BudgetTask {
    kind: String,
    short_id: String,
    pipeline: String,
    run_title: Option<String>,
    budget: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunWithBudgets {
    budget: Vec<BudgetOfRun>,
}

/// The shared budgets that hold runs now, each with a run that it holds. What cannot be read is left out.
pub(super) async fn held(visit: &Visit) -> Vec<(BudgetOfRun, HeldRun)> {
    let Ok(tasks) = visit.rest.get::<RestList<BudgetTask>>("/inbox?limit=1000").await else {
        return Vec::new();
    };
    let tasks: Vec<BudgetTask> =
        tasks.items.into_iter().filter(|task| task.kind == "budget").take(RUNS_MAX).collect();
    let read = join_all(tasks.iter().map(|task| async move {
        let run: RunWithBudgets = visit.rest.get(&format!("/runs/{}", task.short_id)).await.ok()?;
        let budget = run
            .budget
            .into_iter()
            .find(|budget| budget.id == task.budget && budget.scope.is_some() && budget.over.is_some())?;
        let name = task.run_title.clone().filter(|title| !title.trim().is_empty());
        let name = name.unwrap_or_else(|| task.pipeline.clone());
        Some((budget, HeldRun { short_id: task.short_id.clone(), name }))
    }));
    read.await.into_iter().flatten().collect()
}
