//! What is asked of a service that hosts repositories: the first half of the probes `ci` and `mergeable`.
//!
//! Law: bounded in time; what concerns the service itself (an outage, a rate limit) goes
//! to its breaker, never into a verdict.

use everfold_base::duration;
use everfold_base::json::Value;
use everfold_ports::{ProbeFailure, ProbeRequest, Service};
use serde::de::DeserializeOwned;

use super::failures::{never, not_now};
use crate::provider::{HostedRepository, ProviderError, Providers};

/// The parameters of such a probe.
pub(super) trait Question: DeserializeOwned {
    /// The name of the probe in files.
    const NAME: &'static str;
    /// What is asked for, for messages.
    const WHAT: &'static str;

    /// The provider, and the repository where it is not the worktree's.
    fn place(&self) -> (&str, Option<&str>);
}

/// Asks the provider that the parameters name.
pub(super) async fn asked<Q, F>(
    providers: Providers,
    request: ProbeRequest,
    ask: impl FnOnce(HostedRepository, Q) -> F,
) -> Result<Value, ProbeFailure>
where
    Q: Question,
    F: Future<Output = Result<Value, ProbeFailure>>,
{
    let limit = request.timeout;
    let found = async move {
        let question: Q =
            serde_json::from_value(request.spec).map_err(|error| never(format!("`{}`: {error}", Q::NAME)))?;
        let (provider, repository) = question.place();
        let target = providers.target(Some(provider), repository, &request.workdir).await;
        ask(target.map_err(ProviderError::no_evidence)?, question).await
    };
    tokio::time::timeout(limit, found).await.unwrap_or_else(|_elapsed| {
        let message = format!("{} did not come within {}", Q::WHAT, duration::format(limit));
        Err(ProbeFailure { is_outage: true, ..not_now(message) })
    })
}

/// What such a probe calls upon.
pub(super) fn services(spec: &Value) -> Vec<Service> {
    spec["provider"].as_str().map(|name| Service::new("provider", name)).into_iter().collect()
}
