//! The runs that went on from one another's histories: forks, retries, restarts.

use everfold_engine::event::Origin;
use everfold_engine::id::{Position, RunId};
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use everfold_projections::{FoldError, RunFilter, RunOrder, RunRow, RunsView};
use serde::{Deserialize, Serialize};

use super::handle::Node;
use super::past::not_begun;
use crate::fault::Fault;
use crate::schema;

/// Runs that an answer has at most.
const RUNS_MAX: usize = 500;
/// How many runs are gone back to the first one at most.
const BACK_MAX: usize = 500;

/// The tree of runs that a run belongs to: the first one, and all that went on from it or from one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Lineage {
    /// The run that was asked for.
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    /// The first one and those behind it, each before those that went on from it, the oldest first.
    pub(crate) items: Vec<LineageRun>,
    /// There are more than an answer holds.
    pub(crate) more: bool,
}

/// A run of a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct LineageRun {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) id: RunId,
    /// The last 8 digits of the id.
    pub(crate) short_id: String,
    /// How many runs are between it and the first one, itself included: of the first one 0.
    pub(crate) depth: u32,
    /// The run whose history it began with, up to which version, and how; null: it began by itself. That of the first one is
    /// a run which is not in this folder.
    #[schema(value_type = Option<schema::OriginSchema>)]
    pub(crate) origin: Option<Origin>,
    /// The pipeline's name.
    pub(crate) pipeline: String,
    /// For readers.
    pub(crate) title: Option<String>,
    /// What it is doing.
    #[schema(value_type = schema::RunStatusSchema)]
    pub(crate) status: RunStatus,
    /// When it began.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) ended_at: Option<Timestamp>,
}

impl LineageRun {
    fn new(row: RunRow, depth: u32) -> Self {
        Self {
            id: row.id,
            short_id: row.short_id,
            depth,
            origin: row.origin,
            pipeline: row.pipeline,
            title: row.title,
            status: row.shown.status,
            started_at: row.started_at,
            ended_at: row.shown.ended_at,
        }
    }
}

impl Node {
    /// The tree of runs that a run belongs to, now or as it was at a position.
    ///
    /// # Errors
    /// The run had not begun then; the read model of runs cannot be asked.
    pub(crate) async fn lineage(&self, run: RunId, at: Option<Position>) -> Result<Lineage, Fault> {
        let found = self.runs(at, move |runs| lineage_of(runs, run, at)).await?;
        found.ok_or_else(|| not_begun(run))
    }
}

/// The tree, as a read model has it; `None`: it does not have the run.
fn lineage_of(runs: &RunsView<'_>, run: RunId, at: Option<Position>) -> Result<Option<Lineage>, FoldError> {
    let Some(mut first) = runs.get(run, at)? else { return Ok(None) };
    for _ in 0..BACK_MAX {
        let Some(origin) = first.origin.as_ref().map(|origin| origin.run) else { break };
        let Some(before) = runs.get(origin, at)? else { break };
        first = before;
    }
    let mut lineage = Lineage { run, items: Vec::new(), more: false };
    let mut open = vec![(first, 0)];
    while let Some((row, depth)) = open.pop() {
        let filter = RunFilter { origin: Some(row.id), ..RunFilter::default() };
        lineage.items.push(LineageRun::new(row, depth));
        // One more says whether there are more.
        let left = RUNS_MAX - lineage.items.len() - open.len();
        let mut behind = runs.list(&filter, RunOrder::Oldest, None, left + 1, at)?.items;
        lineage.more |= behind.len() > left;
        behind.truncate(left);
        open.extend(behind.into_iter().rev().map(|row| (row, depth + 1)));
    }
    Ok(Some(lineage))
}
