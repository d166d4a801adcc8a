//! Figures of runs by group.

use std::collections::BTreeMap;

use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use everfold_projections::{
    GroupedRuns, LookReport, RunFigures, RunGroup, RunGrouping, ScanReport, TimeFigures, usd,
};
use serde::Serialize;
use serde_json::Value;

use super::filter::FilterAnswer;
use crate::schema;

/// Figures of runs by group.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = GroupedStats)]
pub(crate) struct GroupedAnswer {
    /// The fields that runs are grouped by.
    by: Vec<String>,
    /// How long the stretches of time are that runs are grouped by the start of; null: they are not. They are counted from
    /// 1970-01-01T00:00:00Z on.
    bucket: Option<String>,
    /// By time, where runs are grouped by that; then the largest come first. At most 1,000.
    groups: Vec<GroupAnswer>,
    /// The figures of all that fit.
    total: FiguresAnswer,
    /// Rows that were looked at, 100,000 at most.
    looked_at: u64,
    /// Whether these were all that may fit. If not, the figures are of the newest of them only.
    complete: bool,
    /// How rows were looked at, where `filter` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<FilterAnswer>,
}

/// A group of runs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = StatsGroup)]
struct GroupAnswer {
    /// The value of each field; null: the rows do not have it.
    #[schema(value_type = BTreeMap<String, Value>)]
    values: BTreeMap<String, Value>,
    /// When the stretch of time begins in which they began; null: runs are not grouped by that.
    #[schema(value_type = Option<schema::TimeSchema>)]
    began: Option<Timestamp>,
    #[serde(flatten)]
    figures: FiguresAnswer,
}

/// What some runs have in sum.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RunFigures)]
struct FiguresAnswer {
    /// How many there are.
    count: u64,
    /// How many are in each status that one of them is in.
    #[schema(value_type = BTreeMap<String, u64>)]
    by_status: BTreeMap<RunStatus, u64>,
    /// How long those took that have ended, from start to end; null: none has.
    #[schema(value_type = Option<schema::TimeFiguresSchema>)]
    elapsed: Option<TimeFigures>,
    /// Tokens read, those from a cache among them.
    input_tokens: u64,
    /// Tokens written.
    output_tokens: u64,
    /// In US dollars.
    cost_usd: String,
}

impl From<RunFigures> for FiguresAnswer {
    fn from(RunFigures { count, by_status, elapsed, usage }: RunFigures) -> Self {
        let (input_tokens, output_tokens) = (usage.input_tokens, usage.output_tokens);
        Self { count, by_status, elapsed, input_tokens, output_tokens, cost_usd: usd(usage.cost_micros) }
    }
}

impl GroupedAnswer {
    /// What was found for a grouping with stretches of this length.
    pub(crate) fn of(grouping: &RunGrouping, bucket: Option<String>, found: GroupedRuns) -> Self {
        let GroupedRuns { groups, total, report: LookReport { looked_at, complete }, scan } = found;
        let by: Vec<String> = grouping.names().into_iter().map(str::to_owned).collect();
        let group = |RunGroup { values, began, figures }| GroupAnswer {
            values: by.iter().cloned().zip(values).collect(),
            began,
            figures: figures.into(),
        };
        let groups = groups.into_iter().map(group).collect();
        // No cursor goes on: `complete` says whether there is more.
        let scan = scan.map(|scan| ScanReport { more: !complete, ..scan });
        let filter = scan.map(FilterAnswer::from);
        Self { by, bucket, groups, total: total.into(), looked_at, complete, filter }
    }
}
