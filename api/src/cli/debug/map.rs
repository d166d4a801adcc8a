//! The map of the run: each step and how it stood at the version.

use serde_json::Value;

use super::model::DebugModel;
use crate::text::plain;

/// Steps that are shown.
const STEPS_MAX: usize = 2_000;

/// A step of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MapLine {
    pub(super) text: String,
    /// The event that is shown is about it.
    pub(super) is_current: bool,
}

/// The steps in the order of the pipeline; none: the state is not here yet.
pub(super) fn map_lines(model: &DebugModel) -> Option<Vec<MapLine>> {
    let state = model.tree.state().filter(|_| model.tree.version() == Some(model.version))?;
    let steps = state["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = steps.iter().map(|step| plain(text(step, "id")));
    let widest = names.map(|name| name.chars().count()).max().unwrap_or_default().min(24);
    let mut lines: Vec<MapLine> = steps
        .iter()
        .take(STEPS_MAX)
        .map(|step| {
            let is_current = model.step() == step["id"].as_str();
            let sign = if is_current { '▸' } else { ' ' };
            let name = plain(text(step, "id"));
            let words = [stands(step), gates(step)];
            let words: Vec<String> = words.into_iter().filter(|words| !words.is_empty()).collect();
            let mark = mark(text(step, "status"));
            MapLine { text: format!("{sign}{mark} {name:<widest$}  {}", words.join("  ")), is_current }
        })
        .collect();
    if steps.len() > STEPS_MAX {
        lines
            .push(MapLine {
                text: format!("  … {} more steps", steps.len() - STEPS_MAX), is_current: false
            });
    }
    Some(lines)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The marks of steps that the command line has elsewhere, too.
fn mark(status: &str) -> char {
    match status {
        "scheduled" | "running" | "gating" => '▶',
        "waiting" => '?',
        "succeeded" => '✓',
        "failed" => '✗',
        "skipped" | "cancelled" => '–',
        "blocked" => '!',
        _pending => '·',
    }
}

/// The status, with round and attempt, and how many of its items have ended.
fn stands(step: &Value) -> String {
    let number = |name: &str| step[name].as_u64().unwrap_or_default();
    let status = plain(text(step, "status"));
    let turn = match number("round") {
        0 => String::new(),
        round => format!(" {round}.{}", number("attempt")),
    };
    let items = step["items"].as_object().map(|items| {
        let counts = items.iter().filter_map(|(name, count)| Some((name, count.as_u64()?)));
        let counts: Vec<String> = counts
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} {}", plain(name)))
            .collect();
        format!("  {}", counts.join(", "))
    });
    format!("{status}{turn}{}", items.unwrap_or_default())
}

/// The newest verdict of each gate.
fn gates(step: &Value) -> String {
    let gates = step["gates"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = gates.iter().map(|gate| {
        let name = if gate["gate"].is_string() { text(gate, "gate") } else { text(gate, "id") };
        let sign = match text(gate, "verdict") {
            "pass" => '✓',
            "fail" => '✗',
            "skipped" => '–',
            _pending => '?',
        };
        format!("{} {sign}", plain(name))
    });
    shown.collect::<Vec<_>>().join(", ")
}
