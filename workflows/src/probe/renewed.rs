//! Judged again means: as the run's branch stands by then.
//!
//! Law: the first probe of a round judges what the work left, nothing else. A later one, which a person or a push asked for,
//! finds what was pushed to the branch since.

use std::sync::Arc;

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober, Service};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::git::take_over;
use crate::process::Processes;

/// Reads a worktree that is brought to where its branch stands at `origin` first, from the second probe on.
pub(crate) struct RenewedProber(pub(crate) Arc<dyn Prober>, pub(crate) Processes);

impl Prober for RenewedProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        if request.probe_no <= 1 {
            return self.0.probe(request);
        }
        let (inner, processes) = (Arc::clone(&self.0), self.1.clone());
        async move {
            take_over(request.id.run, &request.workdir, &processes.settings.providers).await;
            inner.probe(request).await
        }
        .boxed()
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        self.0.services(spec)
    }

    fn unknown(&self, spec: &Value) -> Option<Failure> {
        self.0.unknown(spec)
    }

    fn cancel(&self, request: ProbeRequest) -> BoxFuture<'static, ()> {
        self.0.cancel(request)
    }
}
