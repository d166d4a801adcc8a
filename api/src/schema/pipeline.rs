//! What the pipeline language says, and what is wrong with a file of it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What the pipeline language says: as its text, or as the map that the text is read as.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
#[schema(as = Written)]
pub(crate) enum WrittenSchema {
    Text(String),
    Map(BTreeMap<String, Value>),
}

/// A problem of a pipeline file.
#[derive(ToSchema, Serialize)]
#[schema(as = FileProblem)]
pub(crate) struct FileProblemSchema {
    /// `everfold explain CODE` tells more.
    code: String,
    /// `error` or `warning`.
    severity: String,
    message: String,
    hint: Option<String>,
    file: String,
    line: usize,
    column: usize,
    /// Its place in bytes: `{start, end}`.
    #[schema(value_type = Object)]
    span: Value,
    excerpt: String,
    mark: usize,
}
