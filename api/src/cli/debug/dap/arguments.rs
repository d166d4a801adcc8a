//! Arguments of requests, as far as they are read.

use serde::Deserialize;
use serde_json::Value;

/// Of `initialize`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DapClientSettings {
    pub(super) lines_start_at1: bool,
    pub(super) columns_start_at1: bool,
}

impl Default for DapClientSettings {
    fn default() -> Self {
        Self { lines_start_at1: true, columns_start_at1: true }
    }
}

impl DapClientSettings {
    /// A line that counts from 1, as the client counts.
    pub(super) fn line_out(self, line: usize) -> usize {
        if self.lines_start_at1 { line } else { line.saturating_sub(1) }
    }

    /// A line of the client's, counting from 1.
    pub(super) fn line_in(self, line: usize) -> usize {
        if self.lines_start_at1 { line } else { line + 1 }
    }

    /// The first column, as the client counts.
    pub(super) fn first_column(self) -> usize {
        usize::from(self.columns_start_at1)
    }
}

/// Of `launch` and `attach`: the configuration that a person wrote.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DapConfiguration {
    /// The run; without it that of the command line.
    pub(super) run: Option<String>,
    /// The version that it begins at.
    pub(super) version: Option<u64>,
    /// The moment that it begins at: as `debug` takes it after `g`.
    pub(super) at: Option<String>,
    /// Whether the session stops at that version; default true.
    pub(super) stop_on_entry: Option<bool>,
    /// The file of the pipeline.
    pub(super) file: Option<String>,
}

/// A source of the client's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DapSource {
    pub(super) path: Option<String>,
    pub(super) source_reference: Option<i64>,
}

/// Of `source`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SourceArguments {
    pub(super) source: Option<DapSource>,
    pub(super) source_reference: Option<i64>,
}

/// Of `setBreakpoints`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct LinePointsArguments {
    pub(super) source: DapSource,
    pub(super) breakpoints: Vec<AskedLine>,
}

/// A line at which it is to stop.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedLine {
    pub(super) line: usize,
    pub(super) condition: Option<String>,
}

/// Of `setFunctionBreakpoints`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StepPointsArguments {
    pub(super) breakpoints: Vec<AskedStep>,
}

/// A step at which it is to stop.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AskedStep {
    pub(super) name: String,
    pub(super) condition: Option<String>,
}

/// Of `setExceptionBreakpoints`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FilterArguments {
    pub(super) filters: Vec<String>,
    pub(super) filter_options: Vec<AskedFilter>,
}

/// A filter of events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AskedFilter {
    pub(super) filter_id: String,
    pub(super) condition: Option<String>,
}

/// Of `breakpointLocations` and `gotoTargets`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LinesArguments {
    pub(super) source: DapSource,
    pub(super) line: usize,
    pub(super) end_line: Option<usize>,
}

/// Of `stackTrace`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StackArguments {
    pub(super) start_frame: usize,
    pub(super) levels: usize,
}

/// Of what concerns a frame: `scopes`, `restartFrame`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FrameArguments {
    pub(super) frame_id: i64,
}

/// Of `variables`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VariablesArguments {
    pub(super) variables_reference: i64,
    pub(super) filter: Option<String>,
    pub(super) start: usize,
    pub(super) count: usize,
}

/// Of `evaluate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EvaluateArguments {
    pub(super) expression: String,
    pub(super) frame_id: Option<i64>,
    pub(super) context: Option<String>,
}

/// Of `completions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CompletionsArguments {
    pub(super) frame_id: Option<i64>,
    pub(super) text: String,
    pub(super) column: usize,
}

/// Of what moves: `next`, `stepIn`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MoveArguments {
    pub(super) granularity: Option<String>,
}

/// Of `goto`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GotoArguments {
    pub(super) target_id: u64,
}

/// Of `cancel`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CancelArguments {
    pub(super) request_id: Option<i64>,
}

/// Of `restart`: the configuration as it is by then.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RestartArguments {
    pub(super) arguments: Value,
}
