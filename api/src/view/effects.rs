//! What of a fork's work was not done.

use everfold_engine::id::Version;
use everfold_engine::state::RunState;
use serde::{Deserialize, Serialize};

/// What of a run's work is not done, and was not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EffectsView {
    /// What acts outside is held back, and notices are not sent.
    pub held: bool,
    /// Work that is given what work of the origin was given ends as that did.
    pub replays: bool,
    /// The first attempts that were held back.
    pub held_back: Vec<HeldBackView>,
    /// How many there are.
    pub held_back_total: u32,
    /// For how many attempts the record of the origin stood in.
    pub replayed_total: u32,
}

/// An attempt that was held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeldBackView {
    /// The attempt: `STEP/ROUND/ATTEMPT`.
    pub id: String,
    /// What it would have done, in one line.
    pub would: String,
    /// The event of the origin whose output it was given; null: there is none, and its output is null.
    #[schema(value_type = Option<u64>)]
    pub version: Option<Version>,
}

/// What of a run's work is not done; `None`: all is.
pub(super) fn effects_view(state: &RunState) -> Option<EffectsView> {
    let (limits, (held_back_total, replayed_total)) = (state.effect_limits(), state.spared_totals());
    if limits.is_none() && held_back_total == 0 {
        return None;
    }
    let held_back = state.held_back().map(|held| HeldBackView {
        id: held.id.to_string(),
        would: held.would.to_owned(),
        version: held.version,
    });
    Some(EffectsView {
        // A run without limits of its own was started by one that has some.
        held: limits.is_none_or(|limits| limits.held),
        replays: limits.is_some_and(|limits| limits.replays),
        held_back: held_back.collect(),
        held_back_total,
        replayed_total,
    })
}
