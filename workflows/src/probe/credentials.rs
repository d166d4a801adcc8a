//! Evidence of credentials: which of those that are asked for came with the request.

use std::collections::BTreeSet;
use std::sync::Arc;

use everfold_base::json::Value;
use everfold_language::definition::{CREDENTIALS_MAX, is_credential_name};
use everfold_ports::{Credentials, ProbeFailure, ProbeRequest, Prober};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::failures::{never, not_now};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    names: BTreeSet<String>,
}

/// Looks which credentials a run has; opens none.
#[derive(Clone)]
pub struct CredentialsProber(Option<Arc<dyn Credentials>>);

impl CredentialsProber {
    /// Without a keeper none is there.
    #[must_use]
    pub fn new(kept: Option<Arc<dyn Credentials>>) -> Self {
        Self(kept)
    }
}

impl Prober for CredentialsProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let kept = self.0.clone();
        async move {
            let Spec { names } = serde_json::from_value(request.spec)
                .map_err(|error| never(format!("`credentials` is no list of names: {error}")))?;
            if names.len() > CREDENTIALS_MAX {
                return Err(never(format!(
                    "{} credentials are asked for, {CREDENTIALS_MAX} are the most",
                    names.len()
                )));
            }
            if let Some(name) = names.iter().find(|name| !is_credential_name(name)) {
                return Err(never(format!("“{name}” is no name of a credential")));
            }
            let run = request.id.run;
            let there = tokio::task::spawn_blocking(move || {
                kept.map_or_else(|| Ok(BTreeSet::new()), |kept| kept.names(run))
            });
            let there = there.await.map_err(std::io::Error::other).flatten();
            let there = there.map_err(|error| not_now(format!("the credentials of the run: {error}")))?;
            let (present, missing): (Vec<String>, Vec<String>) =
                names.into_iter().partition(|name| there.contains(name));
            Ok(json!({ "present": present, "missing": missing, "source": { "run": run } }))
        }
        .boxed()
    }
}
