//! Body of `POST /inbox/{task}`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::whole_number::whole_if;
use crate::schema;

/// What a person says to a task: a decision on an approval, or answers to a question.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"decision": "approve", "comment": "well done"}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DecideBody {
    #[schema(value_type = Option<schema::VotingSchema>)]
    pub(crate) decision: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) comments: Vec<RemarkBody>,
    pub(crate) value: Option<Value>,
    pub(crate) answers: Option<Value>,
    pub(crate) save: bool,
    /// Of a decision: the digest of what was seen, or its first 8 digits at least.
    #[schema(pattern = "^[0-9a-f]{8,64}$")]
    pub(crate) seen: Option<String>,
}

/// A remark on a place of what is shown.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemarkBody {
    pub(crate) on: Option<String>,
    pub(crate) shown: Option<String>,
    #[serde(default, deserialize_with = "whole_if")]
    pub(crate) line: Option<u32>,
    pub(crate) quote: Option<String>,
    #[schema(pattern = "\\S")]
    pub(crate) text: String,
}
