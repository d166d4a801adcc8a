//! Evidence of a pull request: whether it can be merged without conflicts.

use everfold_base::json::Value;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober, Service};
use everfold_system::clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::hosted::{self, Question};
use crate::provider::{HostedRepository, ProviderError, Providers, Pull, PullState, pull_number};

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

impl Question for Spec {
    const NAME: &'static str = "mergeable";
    const WHAT: &'static str = "the pull request";

    fn place(&self) -> (&str, Option<&str>) {
        (&self.provider, self.repository.as_deref())
    }
}

impl Prober for MergeableProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        hosted::asked(self.providers.clone(), request, pull).boxed()
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        hosted::services(spec)
    }
}

async fn pull(target: HostedRepository, spec: Spec) -> Result<Value, ProbeFailure> {
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
pub(super) async fn pull_meant(target: &HostedRepository, pr: &Value) -> Result<Option<Pull>, ProviderError> {
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
