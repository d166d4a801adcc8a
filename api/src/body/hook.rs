//! Body of `POST /hooks/{source}/deliveries`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"body": "{\"action\": \"opened\"}", "headers": {"x-event": "issue"}, "id": "72d3162e"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliverBody {
    /// The raw body, as its sender wrote it.
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) id: Option<String>,
}
