//! What a history answers when a state is set on its task: as the pipeline answers that its tasks go on with.
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

/// Gives a history the late routes of the pipeline `next`, and the notices that tell of them.
pub(super) fn answer_late(history: &mut Definition, next: &Definition, tracker: Option<&Value>) {
    let is_late = |route: &&Route| matches!(route.to, RouteTo::Late(_));
    let routes = next
        .on_signal
        .iter()
        .map(|(signal, routes)| (signal.clone(), Routes(routes.0.iter().filter(is_late).cloned().collect())));
    let routes: BTreeMap<String, Routes> = routes.filter(|(_, routes)| !routes.0.is_empty()).collect();
    let notice = |id: &str| next.notify.iter().find(|notice| notice.id == id);
    let Some(late) = notice(LATE).filter(|_| !routes.is_empty()) else { return };
    let state = notice(STATE).and_then(|state| done_again(state, late));
    history.notify = std::iter::once(late.clone()).chain(state).collect();
    history.on_signal = routes;
    history.secrets = next.secrets.clone();
    let mut settings = json!({});
    if let Some(tracker) = tracker {
        settings["plane"] = tracker.clone();
    }
    history.config = BTreeMap::from([(SETTINGS.to_owned(), vec![ConfigSource::Values(settings)])]);
}

/// The notice that writes the state of the tracker, where a late one is told of: the task is done again.
fn done_again(state: &Notice, late: &Notice) -> Option<Notice> {
    let mut written = serde_json::to_value(state).ok()?;
    written["events"] = json!(late.events);
    written["when"] = json!(late.when);
    written["with"]["state"] = json!("done");
    written["with"]["force"] = json!(true);
    serde_json::from_value(written).ok()
}
