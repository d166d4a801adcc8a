//! What a step leaves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::expr::Template;

/// Artefacts that a step leaves, and how its output is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// Files to keep, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, OutputFile>,
    /// Reads the output as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<OutputJson>,
    /// Reads fields out of standard output: the first group, else the whole match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matches: BTreeMap<String, String>,
}

impl Outputs {
    /// Whether nothing was declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file that a step leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Where, relative to the workspace.
    pub file: Template,
    /// Its absence is no failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// A file that the attempt did not change counts as missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
}

/// Where a step's JSON output is read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputJson {
    /// Standard output, whole.
    Stdout,
    /// The last JSON value that stands in standard output.
    Lenient,
    /// A file of the workspace.
    File(Template),
}
