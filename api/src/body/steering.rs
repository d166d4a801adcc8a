//! Bodies that steer runs and the engine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema, utoipa::IntoParams)]
#[schema(example = json!({"reason": "holidays"}))]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReasonBody {
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"prompt": "Use the old API after all."}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResumeBody {
    pub(crate) reason: Option<String>,
    /// What is said to agents that were interrupted; without it they are told to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"reason": "not needed any more"}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CancelBody {
    /// The step, or an item of it; without one the whole run.
    pub(crate) step: Option<String>,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"step": "build", "decision": "retry", "reason": "the registry is back"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct UnblockBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    #[schema(value_type = schema::UnblockingSchema)]
    pub(crate) decision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) policy: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"step": "build", "reason": "the check was repaired"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct RecheckBody {
    pub(crate) step: String,
    #[serde(default)]
    pub(crate) policy: BTreeMap<String, String>,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"text": "asked the customer"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct NoteBody {
    pub(crate) text: String,
}

#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"detach": true}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DriveBody {
    pub(crate) detach: bool,
}

#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"payload": {"version": "1.2.0"}, "delivery": "72d3162e"}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SignalBody {
    pub(crate) payload: Value,
    pub(crate) delivery: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"labels": {"repo": "everfold"}, "payload": {"merged": true}}))]
#[serde(deny_unknown_fields)]
pub(crate) struct SignalAllBody {
    /// The key of the run that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) payload: Value,
    pub(crate) delivery: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"steps": ["deploy"]}))]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakpointsBody {
    pub(crate) steps: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"pipeline": "delivery", "reason": "release freeze"}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HaltBody {
    /// The pipeline; without it the whole engine.
    #[schema(pattern = "\\S")]
    pub(crate) pipeline: Option<String>,
    pub(crate) reason: Option<String>,
}
