//! What an issue, as Plane shows it, says of its state.

use everfold_base::json::Value;

/// The id of the state of an issue: a text, or an object that holds it.
pub(super) fn state_of(issue: &Value) -> Option<String> {
    let state = [&issue["state"]["id"], &issue["state"], &issue["state_id"]];
    state.into_iter().find_map(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// Who changed it last.
pub(super) fn moved_by(issue: &Value) -> Option<String> {
    issue["updated_by"].as_str().filter(|by| !by.is_empty()).map(str::to_owned)
}
