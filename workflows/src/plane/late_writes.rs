//! A second look at issues that were moved soon after the start of the engine.
//!
//! Law: what an engine that was killed had sent may land in Plane behind what its successor has sent, and nothing tells.
//! So an issue that is moved within a moment after the start is looked at once more when that moment is over. It is moved
//! again only where Plane says that the same user has moved it since: never what people have set, and never over Needs
//! Input, In Review or Blocked where that was not forced. One look and one move for each issue; both are logged.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::json::Value;
use hyper::Method;
use serde_json::json;
use tokio::time::Instant;

use super::client::{PlaneClient, issue_path};
use super::error::PlaneError;
use super::parameters::IssuePlace;
use super::set_state::state_of;
use super::state_key::{is_held, state_key};

/// Issues that are looked at again after one start.
const ISSUES_MAX: usize = 1_000;

/// The address, the workspace, the project and the issue.
type IssueAddress = (String, String, String, String);

/// What was written last, by issue.
#[derive(Clone)]
pub(super) struct LateWrites {
    /// From then on nothing of a former engine lands any more.
    until: Instant,
    written: Arc<Mutex<HashMap<IssueAddress, StateWrite>>>,
}

/// A state that an issue was given.
pub(super) struct StateWrite {
    /// Its id.
    pub(super) state: String,
    /// Who moved it there, as Plane says.
    pub(super) by: String,
    /// Also over what people lift.
    pub(super) force: bool,
}

impl LateWrites {
    /// Of an engine that starts now.
    pub(super) fn within(settled: Duration) -> Self {
        Self { until: Instant::now() + settled, written: Arc::default() }
    }

    /// Notes what an issue has now. The first note of an issue leads to the second look.
    pub(super) fn note(&self, client: &PlaneClient, place: &IssuePlace, write: StateWrite) {
        if Instant::now() >= self.until {
            return;
        }
        let mut written = self.written();
        let is_full = written.len() >= ISSUES_MAX;
        match written.entry(address(place)) {
            Entry::Occupied(mut known) => drop(known.insert(write)),
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(free) => {
                free.insert(write);
                let (client, place) = (client.clone(), place.clone());
                tokio::spawn(async move { client.late.clone().look(&client, &place).await });
            }
        }
    }

    async fn look(&self, client: &PlaneClient, place: &IssuePlace) {
        tokio::time::sleep_until(self.until).await;
        let Some(write) = self.written().remove(&address(place)) else { return };
        let issue = &place.issue;
        match repeat(client, place, &write).await {
            Ok(None) => {}
            Ok(Some(late)) => tracing::warn!(
                issue,
                "Plane had “{late}”, which an earlier request had set: the newer state is set again"
            ),
            Err(error) => {
                tracing::warn!(issue, "the state of the issue could not be looked at again: {error}")
            }
        }
    }

    fn written(&self) -> MutexGuard<'_, HashMap<IssueAddress, StateWrite>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the issue again where a former request has moved it since; gives the name of the state that it had.
async fn repeat(
    client: &PlaneClient,
    place: &IssuePlace,
    write: &StateWrite,
) -> Result<Option<String>, PlaneError> {
    let (path, what) = (format!("{}/", issue_path(place)), format!("issue {}", place.issue));
    let found = client.get(&place.site, &path, &what).await?;
    let Some(now) = state_of(&found).filter(|now| *now != write.state) else { return Ok(None) };
    if moved_by(&found).as_ref() != Some(&write.by) {
        return Ok(None);
    }
    let states = client.states_of(&place.site, &place.project).await?;
    let name = states.name(&now).unwrap_or_default().to_owned();
    let is_held_now = is_held(&state_key(&name));
    let target_is_held = states.name(&write.state).is_some_and(|name| is_held(&state_key(name)));
    if is_held_now && !target_is_held && !write.force {
        return Ok(None);
    }
    let body = json!({ "state": write.state });
    client.send(Method::PATCH, &place.site, &place.site.token, &path, Some(&body), &what).await?;
    Ok(Some(name))
}

/// Who changed an issue last, as Plane says.
pub(super) fn moved_by(issue: &Value) -> Option<String> {
    issue["updated_by"].as_str().filter(|by| !by.is_empty()).map(str::to_owned)
}

fn address(place: &IssuePlace) -> IssueAddress {
    let IssuePlace { site, project, issue } = place.clone();
    (site.url.trim_end_matches('/').to_owned(), site.workspace, project, issue)
}
