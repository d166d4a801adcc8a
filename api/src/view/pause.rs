//! Why a run stands still.

use everfold_engine::event::HaltScope;
use everfold_engine::state::{Pause, PausedBy, RunState};
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Why a run stands still.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PauseView {
    /// Who paused it, or what it stands still with, in words.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    #[schema(value_type = schema::TimeSchema)]
    pub since: Timestamp,
    /// It stands still with its pipeline, or with the whole engine.
    pub shared: bool,
    /// The pipeline that is paused, if it is that.
    pub pipeline: Option<String>,
    /// The steps whose work was interrupted, and goes on when the run is resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interrupted: Vec<String>,
}

pub(super) fn pause_view(state: &RunState, pause: &Pause) -> PauseView {
    let (by, shared, pipeline) = match &pause.by {
        PausedBy::Actor(actor) => (actor.clone(), false, None),
        PausedBy::Breakpoint(step) => (format!("the breakpoint before {step}"), false, None),
        PausedBy::Halt(scope @ HaltScope::Engine) => (scope.to_string(), true, None),
        PausedBy::Halt(scope @ HaltScope::Pipeline(name)) => (scope.to_string(), true, Some(name.clone())),
    };
    let interrupted =
        if shared { Vec::new() } else { state.interrupted().map(ToString::to_string).collect() };
    PauseView { by, reason: pause.reason.clone(), since: pause.since, shared, pipeline, interrupted }
}
