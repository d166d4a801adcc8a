//! What a run tells of itself, as lines: its warnings, its reworks, the signals that came.

use owo_colors::OwoColorize as _;

use crate::text::cut;
use crate::view::{RouteView, RunView, WarningView};

/// The lines behind what a run waits for.
pub(in crate::cli) fn account_lines(view: &RunView) -> Vec<String> {
    let mut lines = Vec::new();
    let used: Vec<&RouteView> = view.routes.iter().filter(|route| route.used > 0).collect();
    if !used.is_empty() {
        lines.extend([String::new(), "reworks".bold().to_string()]);
        lines.extend(used.into_iter().map(route_line));
    }
    let heard: Vec<String> = view
        .signals
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{} {count}", cut(name, 60)))
        .collect();
    if !heard.is_empty() {
        lines.extend([String::new(), format!("{}  {}", "signals".bold(), heard.join(", "))]);
    }
    if !view.warnings.is_empty() {
        lines.extend([String::new(), "warnings".bold().to_string()]);
        lines.extend(view.warnings.iter().map(warning_line));
    }
    lines
}

fn route_line(route: &RouteView) -> String {
    let from = route.step.as_ref().map(|step| format!("{step} ")).unwrap_or_default();
    let max = route.max.map(|max| format!("/{max}")).unwrap_or_default();
    let causes: Vec<String> =
        route.causes.iter().map(|(cause, count)| format!("{} {count}", cut(cause, 60))).collect();
    let causes = if causes.is_empty() { String::new() } else { format!("  ({})", causes.join(", ")) };
    format!("  {from}{} → {}  {}{max}{causes}", route.place, route.to, route.used)
}

fn warning_line(warning: &WarningView) -> String {
    let place = match (&warning.step, &warning.gate) {
        (Some(step), Some(gate)) => format!("{step} {gate}: "),
        (Some(step), None) => format!("{step}: "),
        (None, _) => String::new(),
    };
    let code = warning.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
    format!("  {place}{code}{}", cut(&warning.message, 200))
}
