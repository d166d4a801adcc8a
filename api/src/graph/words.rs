//! Parts of a definition in words: routes, settings, values.

use everfold_engine::definition::{FinishStatus, Route, RouteMax, RouteTo, Routes, Setting};
use serde_json::{Value, json};

/// Routes in words: `rework build ×3, else block`.
pub(super) fn route_words(routes: &Routes) -> String {
    let words: Vec<String> = routes.0.iter().map(one_route).collect();
    if words.is_empty() { "fail".to_owned() } else { words.join(" | ") }
}

fn one_route(route: &Route) -> String {
    let then = route.then.as_deref().map_or("block".to_owned(), one_route);
    match &route.to {
        RouteTo::Continue => "continue".to_owned(),
        RouteTo::Next => "next".to_owned(),
        RouteTo::Block => "block".to_owned(),
        RouteTo::Fail { .. } => "fail".to_owned(),
        RouteTo::Finish(FinishStatus::Succeeded) => "finish: succeeded".to_owned(),
        RouteTo::Finish(FinishStatus::Failed) => "finish: failed".to_owned(),
        RouteTo::Finish(FinishStatus::Cancelled) => "finish: cancelled".to_owned(),
        RouteTo::Approve => "approve".to_owned(),
        RouteTo::Reject => "reject".to_owned(),
        RouteTo::Changes => "changes".to_owned(),
        RouteTo::Answer(_) => "answer".to_owned(),
        RouteTo::Recheck => "recheck".to_owned(),
        RouteTo::Unblock(decision) => format!("unblock: {}", json_text(&json!(decision))),
        RouteTo::Resume => "resume".to_owned(),
        RouteTo::Raise(by) => format!("raise: {}", setting(by)),
        RouteTo::Ignore => "ignore".to_owned(),
        RouteTo::Refuse(_) => "refuse".to_owned(),
        RouteTo::Late(_) => "late".to_owned(),
        RouteTo::Rework(step) => {
            let held = if route.hold { " when a person says so" } else { "" };
            match route.max {
                Some(RouteMax::Unlimited) => format!("rework {step}{held}"),
                _ => format!("rework {step} {}{held}, then {then}", times(route)),
            }
        }
    }
}

pub(super) fn setting<T: serde::Serialize>(setting: &Setting<T>) -> String {
    json_text(&serde_json::to_value(setting).unwrap_or_default())
}

pub(super) fn json_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The first line of a text, at most 36 characters of it.
pub(super) fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 36;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines.next().unwrap_or_default();
    let more = lines.next().is_some();
    let mut line: String = first.chars().take(CHARS_MAX).collect();
    if more || first.chars().count() > CHARS_MAX {
        line.push('…');
    }
    line
}

pub(super) fn times(route: &Route) -> String {
    match &route.max {
        Some(RouteMax::Times(Setting::Fixed(times))) => format!("×{times}"),
        Some(RouteMax::Times(Setting::Computed(_))) => "×…".to_owned(),
        Some(RouteMax::Unlimited) => String::new(),
        // Of what people do not cause.
        None => "×3".to_owned(),
    }
}
