//! Runs as traces: `[tracing]`.

use serde::Deserialize;

/// What spans say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracingSettings {
    /// Which attributes the spans of agents have beside `everfold.*`.
    pub genai: GenAiConventions,
}

/// A version of OpenTelemetry's semantic conventions for generative AI. They are in development: what is called how changes
/// from one version to the next, so a collector is sent those of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum GenAiConventions {
    /// None.
    #[serde(rename = "off")]
    Off,
    /// 1.36: the provider is `gen_ai.system`.
    #[serde(rename = "1.36")]
    V1_36,
    /// 1.37: the provider is `gen_ai.provider.name`.
    #[default]
    #[serde(rename = "1.37")]
    V1_37,
}
