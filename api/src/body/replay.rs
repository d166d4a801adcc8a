//! Bodies of `/runs/{run}/replay`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::whole_number::whole_if;
use crate::schema;

#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"pipeline": "hello@1", "version": 1}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReplayBody {
    /// What decides: the name of a saved pipeline, or the definition itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<String>,
    #[schema(value_type = Option<schema::WrittenSchema>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) definition: Option<Value>,
    /// The name of the definition's file, for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Texts of the files that the definition names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub(crate) files: Option<BTreeMap<String, String>>,
    /// Only the input that recorded this version, and its decision in full.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "whole_if", skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
}
