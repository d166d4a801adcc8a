//! Answers of `/runs/{run}/why` and `/why`.

use everfold_engine::id::{RunId, Version};
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use everfold_engine::why::CauseNode;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Why a run, or a step of it, is where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RunWhy {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    /// The last 8 digits of the id.
    pub(crate) short_id: String,
    /// The pipeline's name.
    pub(crate) pipeline: String,
    /// For readers.
    pub(crate) title: Option<String>,
    /// What it is doing.
    #[schema(value_type = schema::RunStatusSchema)]
    pub(crate) status: RunStatus,
    /// The step that was asked about.
    pub(crate) step: Option<String>,
    /// What that is doing.
    pub(crate) step_status: Option<String>,
    /// The version that is explained.
    #[schema(value_type = u64)]
    pub(crate) version: Version,
    /// When that was recorded.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) at: Timestamp,
    /// The causes, what holds it most first.
    #[schema(value_type = Vec<schema::CauseSchema>)]
    pub(crate) causes: Vec<CauseNode>,
}

/// Why nothing happens in a data folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct FolderWhy {
    /// When it was looked at.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) at: Timestamp,
    /// Runs that have not ended.
    pub(crate) open: u64,
    /// Those of them at which work goes on.
    pub(crate) running: u64,
    /// What holds runs up, what concerns most of them first; empty: nothing does.
    #[schema(value_type = Vec<schema::CauseSchema>)]
    pub(crate) causes: Vec<CauseNode>,
}
