//! A second look at issues that were moved soon after the start of the engine.
//!
//! Law: what an engine that was killed had sent may land in Plane behind what its successor has sent, and nothing tells.
//! So an issue that is moved within a moment after the start is looked at once more when that moment is over. It is moved
//! again only where Plane says that the same user has moved it since: never what people have set, and never over Needs
//! Input, In Review or Blocked where that was not forced. One look and one move for each issue; both are logged.

use hyper::Method;
use serde_json::json;

use super::client::{PlaneClient, issue_path};
use super::error::PlaneError;
use super::issue_state::{moved_by, state_of};
use super::late_writes::StateWrite;
use super::parameters::IssuePlace;
use super::state_key::{is_held, state_key};

/// Has the issue looked at again where a request of an engine before this one may still land.
pub(super) fn look_again(client: &PlaneClient, place: &IssuePlace, write: StateWrite) {
    if client.late.note(place, write) {
        let (client, place) = (client.clone(), place.clone());
        tokio::spawn(async move { look(&client, &place).await });
    }
}

async fn look(client: &PlaneClient, place: &IssuePlace) {
    let Some(write) = client.late.settled(place).await else { return client.late.forget(place) };
    let issue = &place.issue;
    let looked = repeat(client, place, &write).await;
    client.late.forget(place);
    match looked {
        Ok(None) => {}
        Ok(Some(late)) => tracing::warn!(
            issue,
            "Plane had “{late}”, which an earlier request had set: the newer state is set again"
        ),
        Err(error) => tracing::warn!(issue, "the state of the issue could not be looked at again: {error}"),
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
    // Where nothing is noted any more, this engine itself has begun to move the issue meanwhile.
    if !client.late.withdraw(place) {
        return Ok(None);
    }
    let body = json!({ "state": write.state });
    client.send(Method::PATCH, &place.site, &place.site.token, &path, Some(&body), &what).await?;
    Ok(Some(name))
}
