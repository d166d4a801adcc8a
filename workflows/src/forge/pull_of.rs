//! `gitea.pr_of`: the pull request of a branch.

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::function::Call;
use crate::provider::{ProviderError, Providers, Pull, PullState};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
pub(super) struct PullOfParameters {
    #[schemars(length(min = 1))]
    branch: String,
    /// default: the one that `origin` lies at
    #[serde(default)]
    provider: Option<String>,
    /// OWNER/NAME; default: the provider's, else of `origin`
    #[serde(default)]
    repository: Option<String>,
}

/// The request, or why there is none to show.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct PullOfOutput {
    number: Option<u64>,
    url: Option<String>,
    // The schema names the states and no type.
    #[schemars(with = "Value", extend("enum" = [PullState::Open, PullState::Closed, PullState::Merged, ()]))]
    state: Option<PullState>,
    merged: bool,
    sha: Option<String>,
    /// why `number` is null
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Finds the request of a branch: the open one, else the newest that was merged, else the newest.
///
/// A lookup that fails gives none, with the reason: a text that names the request goes without it.
pub(super) async fn pull_of(
    providers: Providers,
    call: Call,
    wanted: PullOfParameters,
) -> Result<PullOfOutput, Failure> {
    let none = |reason: String| PullOfOutput { reason: Some(reason), ..PullOfOutput::default() };
    let PullOfParameters { branch, provider, repository } = wanted;
    let pulls = pulls(&providers, &call, provider.as_deref(), repository.as_deref(), &branch).await;
    let pulls = match pulls {
        Ok(pulls) => pulls,
        Err(error) => return Ok(none(error.to_string())),
    };
    let newest = |state| pulls.iter().find(|pull| pull.state == state);
    let found = newest(PullState::Open).or_else(|| newest(PullState::Merged)).or(pulls.first());
    Ok(found.map_or_else(|| none(format!("{branch} has no pull request")), shown))
}

async fn pulls(
    providers: &Providers,
    call: &Call,
    provider: Option<&str>,
    repository: Option<&str>,
    branch: &str,
) -> Result<Vec<Pull>, ProviderError> {
    let target = providers.target(provider, repository, call.workdir()).await?;
    target.provider.pulls_of(&target.repository, branch).await
}

fn shown(pull: &Pull) -> PullOfOutput {
    PullOfOutput {
        number: Some(pull.number),
        url: Some(pull.url.clone()),
        state: Some(pull.state),
        merged: pull.state == PullState::Merged,
        sha: Some(pull.sha.clone()),
        reason: None,
    }
}
