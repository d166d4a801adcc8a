//! Bodies of `POST /tokens` and `POST /session/links`.

use serde::{Deserialize, Serialize};

use crate::schema;

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"name": "ci", "role": "operator", "expires_in": "90d"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) name: String,
    /// Without it: approver, where `approves` says in which roles.
    #[schema(value_type = Option<schema::RoleSchema>)]
    pub(crate) role: Option<String>,
    /// The roles in which it decides: words of the pipelines.
    #[serde(default)]
    pub(crate) approves: Vec<String>,
    /// A span: `30d`.
    pub(crate) expires_in: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"token": "ada"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkBody {
    /// The name of the token whose rights the session gets.
    pub(crate) token: String,
}
