//! What a run tells of itself beside how it stands: usage of its steps, its rework routes, warnings.

use std::collections::BTreeMap;

use everfold_engine::failure::FailureKind;
use everfold_engine::state::{RouteUses, StepUsage, Warning};
use serde::{Deserialize, Serialize};

use super::budget::usd;
use crate::schema;

/// What a step used up, in all its rounds and attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepUsageView {
    /// The newest model.
    pub model: Option<String>,
    /// Tokens read, those from a cache among them.
    pub input_tokens: u64,
    /// Those of them that came from a cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// US dollars, as a decimal.
    pub cost_usd: String,
}

/// A rework route, and how often it was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RouteView {
    /// The step whose route it is; `None`: the run's.
    pub step: Option<String>,
    /// Where it stands: `gate:tests/0`, `on_fail/1`.
    pub place: String,
    /// The step that begins anew.
    pub to: String,
    /// How often it was used.
    pub used: u32,
    /// How often it may be; `None`: there is no limit, or it is computed at the first use.
    pub max: Option<u32>,
    /// How often for each cause: a gate, `rejected`, `changes`, a signal, a code or kind of a failure.
    pub causes: BTreeMap<String, u32>,
}

/// Something that went wrong though the run went on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WarningView {
    /// The step; `None`: it is about the run's own output.
    pub step: Option<String>,
    /// The gate that failed.
    pub gate: Option<String>,
    /// Which kind of failure.
    #[schema(value_type = schema::FailureKindSchema)]
    pub kind: FailureKind,
    /// An own code below the kind.
    pub code: Option<String>,
    /// What happened, in one line.
    pub message: String,
}

/// `None`: nothing was used up.
pub(super) fn usage_view(used: StepUsage) -> Option<StepUsageView> {
    (used != StepUsage::default()).then(|| StepUsageView {
        model: used.model,
        input_tokens: used.input_tokens,
        cached_tokens: used.cached_tokens,
        output_tokens: used.output_tokens,
        cost_usd: usd(used.cost_micros),
    })
}

pub(super) fn route_view(route: RouteUses) -> RouteView {
    let RouteUses { step, place, to, used, max, causes } = route;
    RouteView { step: step.map(|step| step.to_string()), place, to: to.to_string(), used, max, causes }
}

pub(super) fn warning_view(warning: Warning) -> WarningView {
    let Warning { step, gate, failure } = warning;
    WarningView {
        step: step.map(|step| step.to_string()),
        gate,
        kind: failure.kind,
        code: failure.code,
        message: failure.message,
    }
}
