//! The executor `function`.

use std::sync::Arc;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_language::definition::OnLost;
use everfold_ports::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits, Service, Traits,
    WorkerReservation,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::call::{Call, CallParts};
use super::registry::Functions;
use crate::attempt_end::ended_now;
use crate::git::head;
use crate::http::host_of;
use crate::in_process::{InProcess, InProcessWork, StopHandle};
use crate::remote::{CarryMode, LeaseTable, carry};

/// Does the work of `function` steps.
#[derive(Clone)]
pub struct FunctionExecutor {
    functions: Arc<Functions>,
    running: InProcess,
    /// Where attempts of functions that workers do are offered.
    leases: Option<LeaseTable>,
}

impl FunctionExecutor {
    /// Calls these functions; those that workers do it refuses.
    #[must_use]
    pub fn new(functions: Functions) -> Self {
        Self { functions: Arc::new(functions), running: InProcess::default(), leases: None }
    }

    /// Calls these functions; those that workers do it offers in the lease table.
    #[must_use]
    pub fn with_workers(functions: Arc<Functions>, leases: LeaseTable) -> Self {
        Self { functions, running: InProcess::default(), leases: Some(leases) }
    }

    /// Where the work is offered, if workers do it.
    fn leases_for(&self, spec: &Value) -> Option<&LeaseTable> {
        self.leases.as_ref().filter(|_| self.functions.is_remote(name_of(spec)))
    }

    /// Calls a function for a gate, which must be one that only reads.
    pub(crate) fn look(
        &self,
        name: &str,
        with: Value,
        call: impl FnOnce() -> Call,
    ) -> Result<BoxFuture<'static, Result<Value, Failure>>, Failure> {
        self.may_look(name)?;
        self.functions.call(name, with, call)
    }

    /// That a gate may call a function: it is there, and only reads.
    pub(crate) fn may_look(&self, name: &str) -> Result<(), Failure> {
        if self.functions.find(name)?.about.effects.read_only && !self.functions.is_remote(name) {
            return Ok(());
        }
        let message = format!("the function {name} does not say that it only reads, so no gate may call it");
        Err(Failure::new(FailureKind::Validation, message).with_hint("call it in a step before the gate"))
    }
}

fn name_of(spec: &Value) -> &str {
    spec["name"].as_str().unwrap_or_default()
}

impl Executor for FunctionExecutor {
    fn traits(&self, spec: &Value) -> Traits {
        let about = self.functions.find(name_of(spec)).map(|function| &function.about);
        let (idempotent, reads_context, paid) = about.map_or((false, false, false), |about| {
            (about.effects.idempotent, about.reads_context, about.effects.paid)
        });
        let on_lost = if idempotent { OnLost::Retry } else { OnLost::Block };
        let supervised = self.is_elsewhere(spec);
        Traits { supervised, loss: LossTraits { idempotent, on_lost }, paid, reads_input: reads_context }
    }

    fn unknown(&self, spec: &Value) -> Option<Failure> {
        // One that is computed is known when the step begins.
        Some(name_of(spec))
            .filter(|name| !name.contains("${"))
            .and_then(|name| self.functions.known(name).err())
    }

    fn is_elsewhere(&self, spec: &Value) -> bool {
        self.leases_for(spec).is_some()
    }

    fn has_waiting_workers(&self, spec: Option<&Value>) -> bool {
        let leases = spec.map_or(self.leases.as_ref(), |spec| self.leases_for(spec));
        leases.is_some_and(LeaseTable::has_waiting)
    }

    fn reserve(&self, request: &AttemptRequest) -> Option<WorkerReservation> {
        let (name, with) = (name_of(&request.spec), &request.spec["with"]);
        let leases = self.leases_for(&request.spec)?;
        // What does not fit is offered to no worker.
        let with = if with.is_null() { json!({}) } else { with.clone() };
        self.functions.taken(name, with).ok()?;
        leases.reserve(&request.id, name)
    }

    fn is_outside(&self, spec: &Value) -> bool {
        self.functions.find(name_of(spec)).is_ok_and(|function| function.about.acts_outside)
    }

    /// The function, and who answers: the provider that its `with` names, or the host at which it finds Plane.
    fn services(&self, spec: &Value) -> Vec<Service> {
        let called = Some(name_of(spec)).filter(|name| !name.is_empty());
        let called = called.map(|name| Service::new("function", name));
        let provider = spec["with"]["provider"].as_str().map(|name| Service::new("provider", name));
        let tracker = name_of(spec).starts_with("plane.").then(|| spec["with"]["url"].as_str()).flatten();
        called.into_iter().chain(provider).chain(tracker.and_then(host_of)).collect()
    }

    fn is_outage(&self, failure: &Failure) -> bool {
        crate::outage_classifier::is_outage(failure)
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        if let Some(leases) = self.leases_for(&request.spec) {
            return carry(leases, &self.functions, request, CarryMode::Start, observer);
        }
        let (mut spec, workdir) = (request.spec, request.workdir.clone());
        let with = spec.get_mut("with").map(Value::take).filter(|with| !with.is_null());
        let with = with.unwrap_or_else(|| json!({}));
        let stop = StopHandle { grace: request.grace, ..StopHandle::default() };
        let call = Call::new(CallParts {
            idempotency_key: request.id.idempotency_key(),
            id: request.id.clone(),
            context: request.input,
            workdir: request.workdir,
            stop: stop.clone(),
            observer: Some(Arc::clone(&observer)),
            folder: Some(request.folder),
            sink: None,
        });
        let asks_provider = ["git.", "gitea.", "plane."].iter().any(|own| name_of(&spec).starts_with(own));
        let called = match self.functions.call(name_of(&spec), with, || call.clone()) {
            Ok(called) => called,
            Err(failure) => return async { ended_now(AttemptResult::Failed(failure)) }.boxed(),
        };
        let work = InProcessWork { id: request.id, timeout: request.timeout, what: "the function", stop };
        let work = self.running.run(work, observer, async move {
            match called.await {
                Ok(output) => AttemptResult::Succeeded(output),
                Err(failure) => AttemptResult::Failed(failure),
            }
        });
        async move {
            let mut end = work.await;
            end.usage = call.used();
            end.notes.log = call.close_log().await;
            if asks_provider {
                // A pause that a receiver of `notify.*` asks for is for one address; the sender of notices keeps it.
                end.again_after = call.asked_later();
            }
            if workdir.git.as_ref().is_some_and(|git| !git.is_copy) {
                // It may have committed there.
                end.commit = head(&workdir).await.ok();
            }
            end
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        if let Some(leases) = self.leases_for(&request.spec) {
            return carry(leases, &self.functions, request, CarryMode::Reattach, observer);
        }
        if request.idempotent.unwrap_or(self.traits(&request.spec).loss.idempotent) {
            return self.start(request, observer);
        }
        let reason =
            "the engine ended while the function ran, and it does not say that a repeat does no harm";
        async { ended_now(AttemptResult::Lost { reason: reason.to_owned() }) }.boxed()
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        if let Some(leases) = self.leases_for(&request.spec).cloned() {
            let AttemptRequest { id, grace, stop, .. } = request;
            return async move { leases.cancel(id, stop, grace).await }.boxed();
        }
        self.running.cancel(&request.id)
    }
}
