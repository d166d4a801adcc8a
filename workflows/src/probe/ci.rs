//! Evidence of a commit's checks at the service that hosts the repository.

use everfold_base::json::Value;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober, Service};
use everfold_system::clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::failures::{never, not_now};
use super::hosted::{self, Question};
use super::mergeable::pull_meant;
use crate::git::repository::is_plain;
use crate::provider::{Check, CheckState, HostedRepository, ProviderError, Providers};

/// More are counted and not listed; those that are bad or open come first.
const LISTED_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    provider: String,
    #[serde(default)]
    repository: Option<String>,
    #[serde(default)]
    sha: Option<String>,
    #[serde(default)]
    pr: Value,
    #[serde(default)]
    none: Option<String>,
}

/// Asks for checks.
#[derive(Clone)]
pub struct CiProber {
    providers: Providers,
}

impl CiProber {
    /// Asks these providers.
    #[must_use]
    pub fn new(providers: Providers) -> Self {
        Self { providers }
    }
}

impl Question for Spec {
    const NAME: &'static str = "ci";
    const WHAT: &'static str = "the checks";

    fn place(&self) -> (&str, Option<&str>) {
        (&self.provider, self.repository.as_deref())
    }
}

impl Prober for CiProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        hosted::asked(self.providers.clone(), request, checks).boxed()
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        hosted::services(spec)
    }
}

async fn checks(target: HostedRepository, spec: Spec) -> Result<Value, ProbeFailure> {
    let mut evidence = json!({
        "provider": target.name,
        "repository": target.repository,
        "none": spec.none.as_deref().unwrap_or("pending"),
        "found": true,
        "checks": [],
        "total": 0,
    });
    let (sha, own) = match spec.sha.filter(|sha| !sha.is_empty()) {
        Some(sha) => (sha, None),
        None if spec.pr.is_null() || spec.pr == "" => {
            return Err(not_now("the commit to ask about is not known yet: `sha` is empty"));
        }
        None => match pull_meant(&target, &spec.pr).await.map_err(ProviderError::no_evidence)? {
            Some(pull) => {
                evidence["pr"] = json!({"number": pull.number, "url": pull.url, "state": pull.state});
                (pull.sha, pull.check)
            }
            None => {
                evidence["found"] = false.into();
                evidence["missing"] = format!("pull request {}", shown(&spec.pr)).into();
                evidence["source"] = source(&target.name, &target.repository);
                return Ok(evidence);
            }
        },
    };
    if !is_plain(&sha) {
        return Err(never(format!("`sha`: {sha:?} is no commit")));
    }
    evidence["sha"] = sha.as_str().into();
    evidence["source"] = source(&target.name, &target.repository);
    let mut checks = match target.provider.checks(&target.repository, &sha).await {
        Ok(checks) => checks,
        Err(ProviderError::NotFound { .. }) => {
            evidence["found"] = false.into();
            evidence["missing"] = format!("commit {sha}").into();
            return Ok(evidence);
        }
        Err(error) => return Err(error.no_evidence()),
    };
    checks.extend(own.filter(|own| !checks.iter().any(|check| check.url == own.url)));
    checks.sort_by(|one, other| (one.state, &one.name).cmp(&(other.state, &other.name)));
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    evidence["total"] = checks.len().into();
    evidence["failed"] = count(CheckState::Fail).into();
    evidence["pending"] = count(CheckState::Pending).into();
    evidence["passed"] = count(CheckState::Pass).into();
    evidence["checks"] = checks.iter().take(LISTED_MAX).map(listed).collect();
    Ok(evidence)
}

fn source(provider: &str, repository: &str) -> Value {
    json!({"provider": provider, "repository": repository, "fetched_at": clock::now()})
}

fn shown(pr: &Value) -> String {
    pr.as_str().map_or_else(|| pr.to_string(), str::to_owned)
}

fn listed(check: &Check) -> Value {
    let cut = |text: &String| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
    json!({
        "name": cut(&check.name),
        "state": check.state,
        "status": check.status,
        "url": check.url,
        "description": check.description.as_ref().map(cut),
    })
}
