//! Tokens.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::TimeSchema;

/// What the holder of a token may do.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
pub(crate) enum RoleSchema {
    Viewer,
    Approver,
    Operator,
    Worker,
    Admin,
}

/// A token, without its text.
#[derive(ToSchema, Serialize)]
#[schema(as = Token)]
pub(crate) struct TokenSchema {
    name: String,
    role: RoleSchema,
    /// The approval roles it decides in.
    approves: Vec<String>,
    created_at: TimeSchema,
    created_by: String,
    expires_at: Option<TimeSchema>,
    revoked_at: Option<TimeSchema>,
}
