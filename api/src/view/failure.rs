//! How something failed.

use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::StepPath;
use everfold_engine::state::RunState;
use serde::{Deserialize, Serialize};

use crate::schema;

/// How something failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FailureView {
    /// Which kind.
    #[schema(value_type = schema::FailureKindSchema)]
    pub kind: FailureKind,
    /// An own code below the kind.
    pub code: Option<String>,
    /// What happened, in one line.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What to do next.
    pub hint: String,
    /// The exit code, where there is one.
    pub exit_code: Option<i32>,
    /// Where.
    pub step: Option<String>,
    /// In which round.
    pub round: Option<u32>,
    /// In which attempt.
    pub attempt: Option<u32>,
}

pub(super) fn failure_view(failure: &Failure, path: Option<&StepPath>, state: &RunState) -> FailureView {
    let facts = path.and_then(|path| state.step(&path.step)).map(|(_, facts)| facts);
    FailureView {
        kind: failure.kind,
        code: failure.code.clone(),
        message: failure.message.clone(),
        detail: failure.detail.clone(),
        hint: failure.hint().to_owned(),
        exit_code: failure.exit_code,
        step: path.map(ToString::to_string),
        round: facts.map(|facts| facts.round.get()),
        attempt: facts.map(|facts| facts.unit.attempt.get()).filter(|attempt| *attempt > 0),
    }
}
