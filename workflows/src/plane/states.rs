//! `plane.states`: the states of a project by their names.
//!
//! Law: an answer is remembered, a failure is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::failure::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::{PlaneClient, project_path};
use super::error::PlaneError;
use super::parameters::{PlaneSite, given, text_or_null};
use super::states_cache::ProjectStates;
use crate::function::Call;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(description = "", deny_unknown_fields)]
pub(super) struct StatesParameters {
    #[serde(flatten)]
    site: PlaneSite,
    /// the id of the project; without one there are no states
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    project: Option<String>,
    /// what is remembered is asked for anew: of this project, or of all
    #[serde(default)]
    reload: Option<Reload>,
}

/// What is forgotten before the states are asked for.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reload {
    /// What is remembered of this project.
    One,
    /// What is remembered of any project.
    All,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct StatesOutput {
    /// The id of each state, by its name as a key.
    states: BTreeMap<String, String>,
    /// Plane said which states there are.
    ok: bool,
    /// Why it is not known which there are.
    reason: Option<String>,
}

/// Gives the states of a project; that they cannot be read is no failure.
pub(super) async fn states(
    client: PlaneClient,
    _call: Call,
    with: StatesParameters,
) -> Result<StatesOutput, Failure> {
    let none = |reason: String| StatesOutput { states: BTreeMap::new(), ok: false, reason: Some(reason) };
    let Some(project) = given(with.project.as_deref()) else {
        return Ok(none("no project is named".to_owned()));
    };
    match with.reload {
        Some(Reload::One) => client.states.forget(&with.site, project),
        Some(Reload::All) => client.states.forget_all(),
        None => {}
    }
    Ok(match client.states_of(&with.site, project).await {
        Ok(found) => StatesOutput { states: found.ids.clone(), ok: true, reason: None },
        Err(error) => none(error.to_string()),
    })
}

impl PlaneClient {
    /// The states of a project, as they are remembered, else as Plane says.
    pub(super) async fn states_of(
        &self,
        site: &PlaneSite,
        project: &str,
    ) -> Result<Arc<ProjectStates>, PlaneError> {
        match self.states.remembered(site, project) {
            Some(states) => Ok(states),
            None => self.newest_states_of(site, project).await,
        }
    }

    /// The states of a project as Plane says now.
    pub(super) async fn newest_states_of(
        &self,
        site: &PlaneSite,
        project: &str,
    ) -> Result<Arc<ProjectStates>, PlaneError> {
        let items =
            self.list(site, &format!("{}/states/", project_path(project)), "states of the project").await?;
        let states = ProjectStates::of(&items);
        if states.ids.is_empty() {
            return Err(PlaneError::Foreign("the project has no states".to_owned()));
        }
        let states = Arc::new(states);
        self.states.remember(site, project, &states);
        Ok(states)
    }
}
