//! Evidence of a pull request: whether it can be merged without conflicts.

use everfold_engine::clock;
use everfold_engine::execution::{ProbeFailure, ProbeRequest, Prober};
use everfold_engine::json::Value;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{never, not_now};
use crate::provider::{ProviderError, Providers, Pull, PullState, Target, pull_number};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    provider: String,
    #[serde(default)]
    repository: Option<String>,
    pr: Value,
}

/// Asks for pull requests.
#[derive(Clone)]
pub struct MergeableProber {
    providers: Providers,
}

impl MergeableProber {
    /// Asks these providers.
    #[must_use]
    pub fn new(providers: Providers) -> Self {
        Self { providers }
    }
}

impl Prober for MergeableProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let providers = self.providers.clone();
        async move {
            let limit = request.timeout;
            match tokio::time::timeout(limit, probe(&providers, request)).await {
                Ok(found) => found,
                Err(_) => Err(not_now(format!(
                    "the pull request did not come within {}",
                    everfold_engine::duration::format(limit)
                ))),
            }
        }
        .boxed()
    }
}

async fn probe(providers: &Providers, request: ProbeRequest) -> Result<Value, ProbeFailure> {
    let spec: Spec = serde_json::from_value(request.spec.clone())
        .map_err(|error| never(format!("`mergeable`: {error}")))?;
    let target =
        providers.target(Some(&spec.provider), spec.repository.as_deref(), &request.workdir.path).await;
    let target = target.map_err(ProviderError::no_evidence)?;
    let source =
        json!({"provider": target.name, "repository": target.repository, "fetched_at": clock::now()});
    let mut evidence = match pull_meant(&target, &spec.pr).await.map_err(ProviderError::no_evidence)? {
        Some(pull) => {
            let mut evidence = serde_json::to_value(&pull).unwrap_or_default();
            evidence["found"] = true.into();
            evidence
        }
        None => json!({"found": false, "pr": spec.pr}),
    };
    evidence["source"] = source;
    Ok(evidence)
}

/// The pull request of this number, address or branch. A branch's open one counts, else its newest.
pub(super) async fn pull_meant(target: &Target, pr: &Value) -> Result<Option<Pull>, ProviderError> {
    let number = match pull_number(pr) {
        Some(number) => Some(number),
        None => {
            let Some(branch) = pr.as_str().filter(|branch| !branch.trim().is_empty()) else {
                return Ok(None);
            };
            let pulls = target.provider.pulls_of(&target.repository, branch).await?;
            let open = pulls.iter().find(|pull| pull.state == PullState::Open);
            open.or(pulls.first()).map(|pull| pull.number)
        }
    };
    let Some(number) = number else { return Ok(None) };
    // Lists do not say whether it can be merged.
    match target.provider.pull(&target.repository, number).await {
        Ok(pull) => Ok(Some(pull)),
        Err(ProviderError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
