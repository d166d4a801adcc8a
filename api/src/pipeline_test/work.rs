//! Stubs in the place of executors.
//!
//! Law: what is known of work beforehand (what it calls upon, whether it costs something) is asked of the real executor;
//! only its doing is a stub.

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::artefact::{Artefact, Usage};
use everfold_engine::definition::case::{StepStub, StubResult, StubUsage};
use everfold_engine::driver::Blobs as _;
use everfold_engine::execution::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, Service, Traits,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::json::{Hash, Value};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::child_pipelines::WHOLE_CHILD;
use super::world::CaseWorld;

/// A process takes time: its begin is recorded before its end.
const PROCESS: Duration = Duration::from_millis(1);

/// A stub in the place of an executor.
pub(super) struct StubExecutor {
    pub(super) world: Arc<CaseWorld>,
    pub(super) real: Arc<dyn Executor>,
    /// Whether names that the real one does not know are refused.
    pub(super) knows_names: bool,
}

impl Executor for StubExecutor {
    fn traits(&self, spec: &Value) -> Traits {
        self.real.traits(spec)
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        self.real.services(spec)
    }

    fn unknown(&self, spec: &Value) -> Option<Failure> {
        let is_own = spec["name"] == WHOLE_CHILD;
        if is_own || !self.knows_names { None } else { self.real.unknown(spec) }
    }

    fn is_outage(&self, failure: &Failure) -> bool {
        self.real.is_outage(failure)
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let world = Arc::clone(&self.world);
        let least = if self.real.traits(&request.spec).supervised { PROCESS } else { Duration::ZERO };
        async move {
            let Some(stub) = world.stub_of(&request.id).await else { return std::future::pending().await };
            observer.started();
            world.note_work(&request.id, &request.spec);
            work(&world, request, stub, least).await
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.start(request, observer)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        self.world.stop_of(&request.id).notify_one();
        std::future::ready(()).boxed()
    }
}

async fn work(world: &CaseWorld, request: AttemptRequest, stub: StepStub, least: Duration) -> AttemptEnd {
    let limit = request.timeout.unwrap_or(Duration::MAX);
    let stop = world.stop_of(&request.id);
    let worked = async {
        let span = stub.takes.max(least).min(limit);
        if !span.is_zero() {
            tokio::time::sleep(span).await;
        }
    };
    let is_stopped = tokio::select! {
        biased;
        () = stop.notified() => true,
        () = worked => false,
    };
    let now = (world.clock)();
    let failed = |failure| AttemptEnd::new(AttemptResult::Failed(failure), now);
    if is_stopped {
        return failed(Failure::new(FailureKind::Cancelled, "the work was stopped"));
    }
    let mut end =
        if stub.takes > limit { failed(Failure::time_limit(limit)) } else { ended(world, &request, &stub) };
    end.usage = stub.usage.iter().map(used).collect();
    // Each attempt in a worktree leaves a commit of its own; made-up work changes nothing behind the first.
    let commit = || Hash::of(request.id.to_string().as_bytes()).to_string()[..40].to_owned();
    let last = || world.commit_of(request.id.run).filter(|_| world.makes_up());
    let git = request.workdir.git.as_ref().filter(|git| !git.is_copy);
    end.commit = git.map(|_| last().unwrap_or_else(commit));
    world.note_left(request.id.run, &end.artefacts, end.commit.as_ref());
    end
}

fn ended(world: &CaseWorld, request: &AttemptRequest, stub: &StepStub) -> AttemptEnd {
    let now = (world.clock)();
    match &stub.result {
        StubResult::Output(output) => {
            let mut end = AttemptEnd::new(AttemptResult::Succeeded(output.clone()), now);
            end.artefacts = artefacts(world, request, stub);
            end
        }
        StubResult::Fail(failure) => {
            let failure =
                Failure { code: failure.code.clone(), ..Failure::new(failure.kind, failure.message.clone()) };
            AttemptEnd::new(AttemptResult::Failed(failure), now)
        }
        StubResult::Ask(ask) => {
            let mut end = AttemptEnd::new(AttemptResult::Succeeded(Value::Null), now);
            end.ask = Some(ask.clone());
            end
        }
        StubResult::Lost(reason) => AttemptEnd::new(AttemptResult::Lost { reason: reason.clone() }, now),
        StubResult::Run(_) => {
            let failure = Failure::new(FailureKind::Error, "the stub runs a pipeline, and this work is none");
            AttemptEnd::new(AttemptResult::Failed(failure), now)
        }
    }
}

/// The files that the step declares: with their stubs' texts, else empty; an optional one only where a stub gives it.
fn artefacts(world: &CaseWorld, request: &AttemptRequest, stub: &StepStub) -> Vec<Artefact> {
    let declared = request.outputs.files.iter();
    let kept = declared.filter_map(|(name, file)| {
        let text = match stub.files.get(name) {
            Some(text) => text.as_str(),
            None if file.optional => return None,
            None => "",
        };
        let blob = world.blobs.put(request.id.run, text.as_bytes()).ok()?;
        Some(Artefact { name: name.clone(), path: file.path.clone(), blob })
    });
    kept.collect()
}

fn used(stub: &StubUsage) -> Usage {
    Usage {
        model: stub.model.clone(),
        input_tokens: stub.input_tokens,
        cached_tokens: stub.cached_tokens,
        output_tokens: stub.output_tokens,
        cost_micros: stub.cost.map_or(0, |cost| cost.0),
        session: None,
    }
}
