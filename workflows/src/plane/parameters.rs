//! The parameters that the functions `plane.*` share.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Where Plane is, and as whom it is asked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct PlaneSite {
    /// Plane's address, such as https://plane.example.org
    #[schemars(length(min = 1))]
    pub(super) url: String,
    /// the slug of the workspace
    #[schemars(length(min = 1))]
    pub(super) workspace: String,
    /// an API token; a secret
    #[schemars(length(min = 1))]
    pub(super) token: String,
}

/// An issue.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct IssuePlace {
    #[serde(flatten)]
    pub(super) site: PlaneSite,
    /// the id of the project
    #[schemars(length(min = 1))]
    pub(super) project: String,
    /// the id of the issue
    #[schemars(length(min = 1))]
    pub(super) issue: String,
}

/// `tries` that are not given: a read that fails is none at once.
pub(super) fn one_try() -> u32 {
    1
}

/// What an expression without a value gives is null: the parameter counts as left out.
pub(super) fn text_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string" }, { "type": "null" }] })
}

/// Texts by name, each of which may be null.
pub(super) fn texts_or_null(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": text_or_null(generator) })
}

/// The text, where there is more in it than blanks.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}
