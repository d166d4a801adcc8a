//! What is known of a run whose work may not all be done: its own limits, those of the runs above it, the record of its
//! origin. None of it changes while the run is in memory.

use crate::error::{LoadError, QueryError};
use crate::limits::DEPTH_MAX;
use crate::runtime::Runtime;
use crate::work::spare::origin_record::OriginRecord;
use crate::work::spare::read_record::read_record;
use everfold_base::id::{RunId, Version};
use everfold_core::event::{EffectLimits, Parent};
use everfold_core::state::{RecordedSpan, RunState};

/// What is known of a run whose work may not all be done.
pub(crate) struct EffectRules {
    /// Work that acts outside is held back.
    pub(crate) is_held: bool,
    pub(crate) record: Option<OriginRecord>,
}

impl EffectRules {
    /// Reads what is to be known of a run.
    pub(crate) async fn read(
        shared: &Runtime,
        limits: Option<EffectLimits>,
        parent: Option<Parent>,
        span: Option<RecordedSpan>,
    ) -> Result<Self, LoadError> {
        let is_held = match limits {
            Some(limits) => limits.held,
            None => is_held_from(shared, parent.map(|parent| parent.run)).await?,
        };
        let record = match span {
            Some(span) => Some(read_record(shared, span).await?),
            None => None,
        };
        Ok(Self { is_held, record })
    }
}

/// Whether what a run does outside is held back.
pub(crate) async fn holds_back(shared: &Runtime, state: &RunState) -> Result<bool, LoadError> {
    match state.effect_limits() {
        Some(limits) => Ok(limits.held),
        None => is_held_from(shared, state.parent().map(|parent| parent.run)).await,
    }
}

/// Whether a run, or one that led to it by starting others, holds back what acts outside.
pub(crate) async fn is_held_from(shared: &Runtime, mut from: Option<RunId>) -> Result<bool, LoadError> {
    for _ in 0..DEPTH_MAX {
        let Some(run) = from else { return Ok(false) };
        let look = |state: &RunState| (state.effect_limits(), state.parent().map(|parent| parent.run));
        match shared.with_state(run, look).await {
            Ok((Some(limits), _)) => return Ok(limits.held),
            Ok((None, above)) => from = above,
            Err(QueryError::NotFound(_)) => return Ok(false),
            Err(QueryError::ShuttingDown) => return std::future::pending().await,
            Err(error) => {
                let what = error.to_string();
                return Err(LoadError::Value { run, version: Version::FIRST, what, is_short: true });
            }
        }
    }
    Ok(false)
}
