//! Bodies and queries of `/schedules`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"name": "nightly", "pipeline": "delivery", "schedule": "0 3 * * *"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct AddBody {
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    pub(crate) name: String,
    pub(crate) pipeline: String,
    /// As the language writes it: a map, a cron pattern, or a duration.
    #[schema(value_type = schema::WrittenSchema)]
    pub(crate) schedule: Value,
    #[serde(default)]
    pub(crate) input: Option<Value>,
    pub(crate) title: Option<String>,
}

/// Body of `PATCH /schedules/{name}`: what is absent stays as it is.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"schedule": {"hours": "2..6"}}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UpdateBody {
    /// Another pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<String>,
    /// A map: its keys take the place of those that the schedule has, and null takes one away. A cron pattern or a
    /// duration takes the place of all of it.
    #[schema(value_type = Option<schema::WrittenSchema>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<Value>,
    /// The whole input of the runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Value>,
    /// Another title; a blank one takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
}

/// Query of `DELETE /schedules/{name}`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RemoveQuery {
    /// Why.
    pub(crate) reason: Option<String>,
    /// The runs that its moments started, and that have not ended, are cancelled.
    pub(crate) cancel: bool,
}
