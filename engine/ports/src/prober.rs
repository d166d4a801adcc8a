//! The port for the evidence of gates.
//!
//! Law: a probe collects and never judges; a failure to collect is no verdict.

use crate::secrets::Secrets;
use crate::service::Service;
use crate::workdir::Workdir;
use everfold_base::failure::Failure;
use everfold_base::id::EffectId;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Evidence to collect, everything rendered.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// The attempt that is judged; its id names the run and the round, too.
    pub id: EffectId,
    /// The gate.
    pub gate: String,
    /// The number of the probe in this round of the gate, 1-based.
    pub probe_no: u32,
    /// The prober's parameters.
    pub spec: Value,
    /// For processes.
    pub env: BTreeMap<String, String>,
    /// Its secrets: where they come from and where they go, never their values.
    pub secrets: Secrets,
    /// The time limit of one probe.
    pub timeout: Duration,
    /// The probe's own folder. Not yet made.
    pub folder: PathBuf,
    /// Where the judged work ran.
    pub workdir: Workdir,
    /// Files count only if they changed since then.
    pub fresh: Option<Fresh>,
}

/// When the round of the judged work began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The head of its worktree; `None`: it has none, or there was none yet.
    pub commit: Option<String>,
    /// The time.
    pub at: Timestamp,
}

/// The evidence could not be had. That is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProbeFailure {
    /// What happened and what to do, in one line.
    pub message: String,
    /// Asking again cannot help (a path out of the workspace, a malformed parameter).
    pub permanent: bool,
    /// What was asked is not there, or not as it should be: breakers count it.
    pub is_outage: bool,
    /// What was asked wants to be left alone for so long.
    pub again_after: Option<Duration>,
}

impl ProbeFailure {
    /// Asking again may help.
    #[must_use]
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), permanent: false, is_outage: false, again_after: None }
    }

    /// Asking again cannot help.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { permanent: true, ..Self::passing(message) }
    }
}

/// Collects one kind of evidence.
pub trait Prober: Send + Sync + 'static {
    /// Collects the evidence: small JSON with its `source`, and everything of the parameters that
    /// the default policy needs ([`everfold_core::policy`]).
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>>;

    /// What the probe calls upon, in order: the last service is the one that answers. Rates and breakers are kept by
    /// service.
    fn services(&self, spec: &Value) -> Vec<Service> {
        let _ = spec;
        Vec::new()
    }

    /// What the probe names and this engine could never ask, as [`crate::Executor::unknown`].
    fn unknown(&self, spec: &Value) -> Option<Failure> {
        let _ = spec;
        None
    }

    /// Asks a probe to end whose answer is not needed any more; the answer is dropped. What must
    /// not be forgotten when the engine ends meanwhile is done before the future is polled.
    fn cancel(&self, request: ProbeRequest) -> BoxFuture<'static, ()> {
        drop(request);
        Box::pin(std::future::ready(()))
    }
}
