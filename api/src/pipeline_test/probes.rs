//! Stubs in the place of probers.

use std::sync::Arc;

use everfold_engine::data_folder::Layout;
use everfold_engine::decide::admission_id;
use everfold_engine::definition::case::ProbeStub;
use everfold_engine::execution::{ProbeFailure, ProbeRequest, Prober, Service};
use everfold_engine::failure::Failure;
use everfold_engine::json::Value;
use everfold_engine::policy::Verdict;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::evidence;
use super::world::CaseWorld;

/// A stub in the place of a prober.
pub(super) struct StubProber {
    pub(super) world: Arc<CaseWorld>,
    pub(super) real: Arc<dyn Prober>,
    /// Whether names that the real one does not know are refused.
    pub(super) knows_names: bool,
    pub(super) kind: String,
    pub(super) layout: Layout,
}

impl Prober for StubProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let (world, kind) = (Arc::clone(&self.world), self.kind.clone());
        let place = self.place(&request);
        async move {
            let is_admission = request.id.attempt == admission_id(request.id.attempt.round);
            let stub = world.probe_stub(&request.id, is_admission, &request.gate, &place).await;
            let word = match stub {
                None => return std::future::pending().await,
                Some(ProbeStub::Unavailable(why)) => return Err(ProbeFailure::passing(why)),
                Some(ProbeStub::Evidence(given)) => return Ok(evidence::beside(&request.spec, given)),
                Some(ProbeStub::Pass) => Verdict::Pass,
                Some(ProbeStub::Fail) => Verdict::Fail,
                Some(ProbeStub::Pending) => Verdict::Pending,
            };
            match evidence::that_says(word, &kind, &request.spec) {
                Some(found) => Ok(found),
                // The policy of its own says what is wanted, whatever is found.
                None if world.makes_up() => Ok(evidence::beside(&request.spec, evidence::plausible())),
                None => {
                    world.fail(format!(
                        "no evidence that says {word} can be made up for the gate {}, a probe of kind {kind}: give the evidence itself",
                        request.gate
                    ));
                    std::future::pending().await
                }
            }
        }
        .boxed()
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        self.real.services(spec)
    }

    fn unknown(&self, spec: &Value) -> Option<Failure> {
        if self.knows_names { self.real.unknown(spec) } else { None }
    }
}

impl StubProber {
    /// The place of a probe among those of its gate; empty for a single one. Each has a folder of its own beside that of
    /// the whole.
    fn place(&self, request: &ProbeRequest) -> Vec<usize> {
        let whole = self.layout.probe(&request.id, &request.gate, request.probe_no);
        let name = |path: &std::path::Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let (Some(whole), Some(own)) = (name(&whole), name(&request.folder)) else { return Vec::new() };
        let place = own.strip_prefix(&whole).and_then(|rest| rest.strip_prefix("-m"));
        place.map(|place| place.split('.').filter_map(|at| at.parse().ok()).collect()).unwrap_or_default()
    }
}
