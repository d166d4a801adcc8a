//! Tokens.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::Time;

/// What the holder of a token may do.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Viewer,
    Approver,
    Operator,
    Worker,
    Admin,
}

/// A token, without its text.
#[derive(ToSchema, Serialize)]
pub(crate) struct Token {
    name: String,
    role: Role,
    /// The approval roles it decides in.
    approves: Vec<String>,
    created_at: Time,
    created_by: String,
    expires_at: Option<Time>,
    revoked_at: Option<Time>,
}
