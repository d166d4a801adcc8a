//! The notices of a run that were not sent yet.

use everfold_engine::id::Version;
use everfold_engine::state::RunState;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Notices that are shown one by one.
const SHOWN_MAX: usize = 20;

/// A notice that was not sent yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OutstandingNotice {
    /// The notice of the run's pipeline.
    pub notice: String,
    /// The version of the event that it tells of.
    #[schema(value_type = u64)]
    pub version: Version,
    /// The channel in which it goes: those before it go first.
    pub channel: String,
    /// When it was queued.
    #[schema(value_type = schema::TimeSchema)]
    pub since: Timestamp,
    /// Tries of this engine that came to nothing.
    pub tries: u32,
    /// Why the last one failed; of a notice that `waits`, why the last other one for the same receiver did.
    pub failing: Option<String>,
    /// When it is tried again, at the earliest.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub next_try_at: Option<Timestamp>,
    /// It waits because its receiver did not take others.
    pub waits: bool,
}

/// The first outstanding notices of a state.
pub(super) fn outstanding(state: &RunState) -> Vec<OutstandingNotice> {
    let view = |(channel, one): (&str, &everfold_engine::state::Outstanding)| OutstandingNotice {
        notice: one.notice.clone(),
        version: one.version,
        channel: channel.to_owned(),
        since: one.at,
        tries: 0,
        failing: None,
        next_try_at: None,
        waits: false,
    };
    state.outstanding_notices().take(SHOWN_MAX).map(view).collect()
}
