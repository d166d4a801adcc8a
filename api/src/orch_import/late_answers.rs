//! What the history of a task that has ended answers when a state is set on it: as the pipeline answers that tasks go on
//! with.
//!
//! Law: it answers by the pipeline's own words, and reads no file: a history is the same whenever it is imported. The
//! address of the tracker is what the import was told.

use std::collections::BTreeMap;

use everfold_engine::definition::{ConfigSource, Definition, Notice, Route, RouteTo, Routes};
use everfold_engine::json::Value;
use serde_json::json;

/// The settings document that says where the tracker is.
const SETTINGS: &str = "orch";
/// The notices that tell of a state that came late, and write the tracker's state.
const LATE: &str = "late";
const STATE: &str = "state";

/// A history with the late routes of the pipeline `next`, and with the notices that tell of them. `tracker` says where the
/// issues are.
///
/// # Errors
/// The notice that writes the tracker's state cannot be made one of such a history.
pub(super) fn answering_late(
    mut history: Definition,
    next: &Definition,
    tracker: Option<&Value>,
) -> Result<Definition, String> {
    let is_late = |route: &&Route| matches!(route.to, RouteTo::Late(_));
    let routes = next
        .on_signal
        .iter()
        .map(|(signal, routes)| (signal.clone(), Routes(routes.0.iter().filter(is_late).cloned().collect())));
    let routes: BTreeMap<String, Routes> = routes.filter(|(_, routes)| !routes.0.is_empty()).collect();
    let notice = |id: &str| next.notify.iter().find(|notice| notice.id == id);
    let Some(late) = notice(LATE).filter(|_| !routes.is_empty()) else {
        return Ok(history);
    };
    let state = notice(STATE).map(|state| done_again(state, late)).transpose();
    let state =
        state.map_err(|error| format!("its notice {STATE} cannot tell of what came late: {error}"))?;
    history.notify = std::iter::once(late.clone()).chain(state).collect();
    history.on_signal = routes;
    history.secrets = next.secrets.clone();
    let mut settings = json!({});
    if let Some(tracker) = tracker {
        settings["plane"] = tracker.clone();
    }
    history.config = BTreeMap::from([(SETTINGS.to_owned(), vec![ConfigSource::Values(settings)])]);
    Ok(history)
}

/// The notice by which a history that tells of a late state sets the task to done again in the tracker.
fn done_again(state: &Notice, late: &Notice) -> Result<Notice, serde_json::Error> {
    let mut written = serde_json::to_value(state)?;
    written["events"] = json!(late.events);
    written["when"] = json!(late.when);
    written["with"]["state"] = json!("done");
    written["with"]["force"] = json!(true);
    serde_json::from_value(written)
}
