//! What a trigger made of a delivery or a moment.

use serde::Deserialize;

use crate::pipelines::pipeline_path;
use crate::words;

/// An outcome, as REST tells it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TriggerOutcome {
    pub(crate) pipeline: Option<String>,
    pub(crate) trigger: Option<u32>,
    pub(crate) outcome: String,
    pub(crate) runs: Vec<String>,
    pub(crate) signal: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) reason: Option<String>,
}

impl TriggerOutcome {
    /// The sign beside the word.
    pub(crate) fn glyph(&self) -> &'static str {
        match self.outcome.as_str() {
            "started" => "▸",
            "signalled" => "✓",
            "held" | "kept" | "deferred" | "parked" => "◷",
            "refused" => "✕",
            _ignored => "⊘",
        }
    }

    /// The class of the word.
    pub(crate) fn tone(&self) -> &'static str {
        match self.outcome.as_str() {
            "started" | "signalled" => "tone-good",
            "held" | "kept" | "deferred" => "tone-waiting",
            "parked" => "tone-blocked",
            "refused" => "tone-bad",
            _ignored => "tone-still",
        }
    }

    /// The address of the pipeline whose trigger it is.
    pub(crate) fn pipeline_path(&self) -> Option<String> {
        self.pipeline.as_deref().map(|name| pipeline_path(name, ""))
    }

    /// The runs that it reached: short ids, for texts and addresses.
    pub(crate) fn run_names(&self) -> Vec<&str> {
        self.runs.iter().map(|run| words::short(run)).collect()
    }
}
