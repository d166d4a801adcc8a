//! A run's row as lists return it.

use everfold_base::id::{Position, RunId, Version};
use everfold_base::json::Hash;
use everfold_base::text::one_line;
use everfold_base::time::Timestamp;
use everfold_core::event::Origin;
use serde::{Deserialize, Serialize};

use super::row_history::HistoryEntry;
use super::row_json;
use super::row_state::{RowParent, RowState};
use super::step_counts::StepCounts;

/// A run as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// The last 8 digits of the id.
    pub short_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Its number among the runs of its key, where its pipeline numbers them.
    pub number: Option<u64>,
    /// For readers.
    pub title: Option<String>,
    /// Who started it.
    pub started_by: String,
    /// Who is behind the start, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// What it shows; a part of the row in JSON.
    #[serde(flatten, serialize_with = "row_json::state")]
    pub shown: RowState,
    /// How many of its steps are how far; `None`: the log does not have its definition.
    pub step_counts: Option<RowStepCounts>,
    /// When the last event was recorded.
    pub updated_at: Timestamp,
    /// Its last version.
    pub version: Version,
    /// The place in the store from which on it is to be seen: the order of the list.
    pub position: Position,
    /// The place of its last event: the row holds since then.
    pub since: Position,
    /// The step of another run that started it.
    #[serde(serialize_with = "row_json::parent")]
    pub parent: Option<RowParent>,
    /// The run whose history this one began with.
    pub origin: Option<Origin>,
    /// The definition that the run is pinned to, where its steps name stages.
    #[serde(skip)]
    pub(super) definition: Option<Hash>,
}

/// How many steps of a run are how far; together they are `total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowStepCounts {
    /// Steps of the definition, those of `on_finish` among them.
    pub total: u32,
    /// Have not begun.
    pub pending: u32,
    /// Have begun and not ended: at work, at their gates, waiting, blocked.
    pub open: u32,
    /// Ended well.
    pub succeeded: u32,
    /// Failed for good, tolerated or not.
    pub failed: u32,
    /// Did not apply, or were passed over.
    pub skipped: u32,
    /// Were ended with their run.
    pub cancelled: u32,
}

impl RowStepCounts {
    pub(super) fn of(total: u32, counts: &StepCounts) -> Option<Self> {
        let StepCounts { open, succeeded, failed, skipped, cancelled } = *counts;
        let pending = total.saturating_sub(counts.begun());
        (total > 0).then_some(Self { total, pending, open, succeeded, failed, skipped, cancelled })
    }
}

/// What never changes of a run once it is to be seen; its texts may be borrowed of a stored row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RowIdentity<T = String> {
    pub(super) id: RunId,
    pub(super) pipeline: T,
    pub(super) number: Option<u64>,
    pub(super) title: Option<T>,
    pub(super) started_by: T,
    pub(super) initiator: Option<T>,
    pub(super) started_at: Timestamp,
    pub(super) position: Position,
    pub(super) parent: Option<RowParent>,
    pub(super) origin: Option<Origin>,
    /// The definition that the run is pinned to, where its steps name stages.
    pub(super) definition: Option<Hash>,
    /// How many steps the definition has, those that run at the end among them; 0: the log does not have it.
    pub(super) steps: u32,
}

impl RowIdentity {
    pub(super) fn into_row(self, entry: &HistoryEntry, shown: RowState) -> RunRow {
        RunRow {
            id: self.id,
            short_id: self.id.short(),
            pipeline: self.pipeline,
            number: self.number,
            // Former versions kept titles as they were given.
            title: self.title.map(|title| one_line(&title).into_owned()),
            started_by: self.started_by,
            initiator: self.initiator,
            started_at: self.started_at,
            step_counts: RowStepCounts::of(self.steps, &shown.step_counts),
            shown,
            updated_at: entry.at,
            version: entry.version,
            position: self.position,
            since: entry.position,
            parent: self.parent,
            origin: self.origin,
            definition: self.definition,
        }
    }
}
