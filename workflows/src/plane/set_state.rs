//! `plane.set_state`: an issue is moved to a state.
//!
//! Law: what an issue has already is not written again, so a repeat writes nothing. A state that people lift (Needs
//! Input, In Review, Blocked) gives way to another of these, and to no other, unless that is forced.

use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{PlaneClient, issue_path};
use super::error::PlaneError;
use super::issue_state::{moved_by, state_of};
use super::late_writes::StateWrite;
use super::parameters::IssuePlace;
use super::second_look::look_again;
use super::state_key::{is_held, state_key};
use super::states_cache::ProjectStates;
use crate::function::Call;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(description = "", deny_unknown_fields)]
pub(super) struct StateParameters {
    #[serde(flatten)]
    place: IssuePlace,
    /// its name, or that as a key: In Progress, in_progress
    #[schemars(length(min = 1))]
    state: String,
    /// also over Needs Input, In Review and Blocked
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct StateOutput {
    /// The state that the issue has now, as a key; null where that is not known.
    state: Option<String>,
    /// Its id.
    state_id: Option<String>,
    /// It was moved by this call.
    changed: bool,
    /// Why it was left where it is.
    reason: Option<String>,
}

/// Moves the issue, unless it is there, or a state is in the way.
pub(super) async fn set(
    client: PlaneClient,
    call: Call,
    with: StateParameters,
) -> Result<StateOutput, Failure> {
    let key = state_key(&with.state);
    if key.is_empty() {
        let message = "`with.state` is the name of a state: a word of letters or digits";
        return Err(Failure::new(FailureKind::Validation, message));
    }
    let move_it = StateMove { client: &client, with: &with, key: &key };
    move_it.make().await.map_err(|error| error.of(&call))
}

/// A state that an issue is to have.
struct StateMove<'a> {
    client: &'a PlaneClient,
    with: &'a StateParameters,
    key: &'a str,
}

impl StateMove<'_> {
    async fn make(&self) -> Result<StateOutput, PlaneError> {
        let (site, project) = (&self.with.place.site, &self.with.place.project);
        let mut is_remembered = self.client.states.remembered(site, project).is_some();
        let mut states = self.client.states_of(site, project).await?;
        if is_remembered && !states.ids.contains_key(self.key) {
            // It may have been added since.
            states = self.client.newest_states_of(site, project).await?;
            is_remembered = false;
        }
        let Some(target) = states.ids.get(self.key).cloned() else {
            let reason = format!("the project has no state “{}”", self.with.state.trim());
            return Ok(StateOutput { state: None, state_id: None, changed: false, reason: Some(reason) });
        };
        let what = format!("issue {}", self.with.place.issue);
        let path = format!("{}/", issue_path(&self.with.place));
        let found = self.client.get(site, &path, &what).await?;
        let now = state_of(&found).ok_or_else(|| PlaneError::Foreign("an issue has no state".to_owned()))?;
        if is_remembered && states.name(&now).is_none() {
            states = self.client.newest_states_of(site, project).await?;
        }
        if let Some(reason) = self.left(&states, &now, &target) {
            if now == target {
                self.note(&target, &found);
            }
            let state = states.name(&now).map(state_key);
            return Ok(StateOutput { state, state_id: Some(now), changed: false, reason: Some(reason) });
        }
        self.client.late.withdraw(&self.with.place);
        let (target, moved) = self.write(&states, target, &path, &what).await?;
        self.note(&target, &moved);
        Ok(StateOutput {
            state: Some(self.key.to_owned()),
            state_id: Some(target),
            changed: true,
            reason: None,
        })
    }

    /// Has the issue looked at again where a request of an engine before this one may still land.
    fn note(&self, state: &str, issue: &Value) {
        let Some(by) = moved_by(issue) else { return };
        let write = StateWrite { state: state.to_owned(), by, force: self.with.force };
        look_again(self.client, &self.with.place, write);
    }

    /// Why the issue is left in the state that it has.
    fn left(&self, states: &ProjectStates, now: &str, target: &str) -> Option<String> {
        let name = states.name(now)?;
        if now == target {
            return Some(format!("the issue is in “{name}” already"));
        }
        let is_in_the_way = is_held(&state_key(name)) && !is_held(self.key) && !self.with.force;
        is_in_the_way.then(|| format!("the issue is in “{name}”, which is not overridden without `force`"))
    }

    /// Writes the state, and gives its id and the issue. Where Plane does not know that any more, the state of this name was made anew.
    async fn write(
        &self,
        states: &Arc<ProjectStates>,
        target: String,
        path: &str,
        what: &str,
    ) -> Result<(String, Value), PlaneError> {
        let site = &self.with.place.site;
        let patch = async |id: &str| {
            let body = json!({ "state": id });
            self.client.send(Method::PATCH, site, &site.token, path, Some(&body), what).await
        };
        let refused = match patch(&target).await {
            Ok(issue) => return Ok((target, issue)),
            Err(refused @ PlaneError::Refused { status: 400, .. }) => refused,
            Err(error) => return Err(error),
        };
        let newest = self.client.newest_states_of(site, &self.with.place.project).await?;
        match newest.ids.get(self.key) {
            Some(id) if newest != *states && *id != target => {
                patch(id).await.map(|issue| (id.clone(), issue))
            }
            _the_same => Err(refused),
        }
    }
}
