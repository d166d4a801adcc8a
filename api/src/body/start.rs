//! Bodies that start runs, anew or from a former one.
//!
//! A restart and a fork name what the new run goes on by with the same five fields, written twice: flattened into
//! one struct they would change the OpenAPI document, and the error on an unknown field would not list the known ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::whole_number::{whole, whole_if};
use super::written_moment::moment_if;
use crate::schema;

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"pipeline": "delivery", "input": {"issue": 7}, "title": "Issue 7", "labels": {"repo": "everfold"}}))]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<String>,
    #[schema(value_type = Option<schema::WrittenSchema>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) definition: Option<Value>,
    /// The name of the definition's file, for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Texts of the files that the definition names.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) files: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) input: Option<Value>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_key: Option<String>,
    /// Where commands run; of local callers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cwd: Option<String>,
    /// The caller does not wait for it: the owner of the folder goes on with it.
    #[serde(default)]
    pub(crate) detach: bool,
    /// Higher goes first where runs wait for a slot.
    #[serde(default, deserialize_with = "whole")]
    pub(crate) priority: i32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"step": "build"}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RetryBody {
    pub(crate) step: Option<String>,
    pub(crate) detach: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"from_step": "build", "input": {"issue": 7}}))]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartBody {
    pub(crate) from_step: String,
    pub(crate) input: Option<Value>,
    pub(crate) title: Option<String>,
    /// What it goes on by, where that is another definition: a name, or the definition itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<String>,
    #[schema(value_type = Option<schema::WrittenSchema>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) definition: Option<Value>,
    /// The name of the definition's file, for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Texts of the files that the definition names.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) files: Option<BTreeMap<String, String>>,
    /// Settings documents that replace those of the origin, by name.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Value>,
    #[serde(default)]
    pub(crate) detach: bool,
}

#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"version": 12, "until_step": "review"}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ForkBody {
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "whole_if")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// A time in RFC 3339, or a position of the log.
    #[schema(value_type = Option<schema::MomentOfBodySchema>)]
    #[serde(deserialize_with = "moment_if")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    pub(crate) input: Option<Value>,
    pub(crate) title: Option<String>,
    /// The new run pauses before this step.
    pub(crate) until_step: Option<String>,
    /// What acts outside does so, and notices are sent; else both are held back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) live: bool,
    /// Work that is given what work of the origin was given ends as that did.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) replay_effects: bool,
    /// What it goes on by, where that is another definition: a name, or the definition itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<String>,
    #[schema(value_type = Option<schema::WrittenSchema>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) definition: Option<Value>,
    /// The name of the definition's file, for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Texts of the files that the definition names.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, String>, default = json!({}))]
    pub(crate) files: Option<BTreeMap<String, String>>,
    /// Settings documents that replace those of the origin, by name.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Value>,
    pub(crate) detach: bool,
}

/// A map that may be left out, but is never null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    BTreeMap::deserialize(deserializer).map(Some)
}
