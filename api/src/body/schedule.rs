//! Body of `POST /schedules`.

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
