//! Wrappers that give secrets to work inside the engine's process, to probes and to notices, and mask them in the
//! answers.
//!
//! Requests without secrets go to the wrapped one unchanged; what looks like a credential is masked in all answers.

use std::borrow::Cow;
use std::sync::Arc;

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::progress::WorkProgress;
use everfold_ports::{
    AttemptEnd, AttemptHolder, AttemptObserver, AttemptRequest, AttemptResult, Executor, NameFailure,
    NameRequest, NameWish, NoticeFailure, NoticeReceipt, NoticeRequest, Notifier, ProbeFailure, ProbeRequest,
    Prober, RecordReceipt, Secrets, Service, Traits, Usage, WorkerReservation,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::mask::Mask;
use super::resolver::SecretResolver;
use super::values::SecretValues;
use crate::attempt_end::ended_now;

/// The function whose whole work is to show its parameters.
const SHOWS: &str = "notify.log";

/// An executor whose work is given secrets.
pub(crate) struct GuardedExecutor(pub(crate) Arc<dyn Executor>, pub(crate) SecretResolver);

/// An observer that is shown nothing secret.
struct Masked(Arc<dyn AttemptObserver>, Mask);

impl AttemptObserver for Masked {
    fn started(&self) {
        self.0.started();
    }

    fn started_at(&self, at: Timestamp) {
        self.0.started_at(at);
    }

    fn taken(&self, holder: AttemptHolder, receipt: RecordReceipt) {
        self.0.taken(holder, receipt);
    }

    fn line(&self, line: &str) {
        self.0.line(&self.shown(line));
    }

    fn used(&self, so_far: &[Usage]) {
        self.0.used(so_far);
    }

    fn progress(&self, mut progress: WorkProgress) {
        let texts = progress.items.iter_mut().map(|item| &mut item.text).chain(&mut progress.note);
        texts.for_each(|text| *text = self.shown(text).into_owned());
        self.0.progress(progress);
    }

    fn unique_name(&self, request: NameRequest) -> BoxFuture<'static, Result<String, NameFailure>> {
        self.0.unique_name(request)
    }

    fn held_name(&self, wish: NameWish) -> BoxFuture<'static, Result<Option<String>, NameFailure>> {
        self.0.held_name(wish)
    }

    fn shown<'a>(&self, line: &'a str) -> Cow<'a, str> {
        match self.1.bytes(line.as_bytes()) {
            Some(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
            None => Cow::Borrowed(line),
        }
    }

    fn mask(&self, value: &mut Value) {
        self.1.value(value);
    }
}

/// Has the work done, with what it says masked.
fn masked(
    inner: &dyn Executor,
    request: AttemptRequest,
    observer: Arc<dyn AttemptObserver>,
    mask: Mask,
    again: bool,
) -> BoxFuture<'static, AttemptEnd> {
    let observer = Arc::new(Masked(observer, mask.clone()));
    let work = if again { inner.reattach(request, observer) } else { inner.start(request, observer) };
    async move {
        let mut end = work.await;
        mask.end(&mut end);
        end
    }
    .boxed()
}

impl GuardedExecutor {
    fn go(
        &self,
        mut request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
        again: bool,
    ) -> BoxFuture<'static, AttemptEnd> {
        let (inner, resolver) = (Arc::clone(&self.0), self.1.clone());
        if request.secrets.is_empty() && inner.is_elsewhere(&request.spec) {
            // Called at once: workers get the attempts of a run in the order of these calls.
            let mask = resolver.mask(&SecretValues::default());
            return masked(&*inner, request, observer, mask, again);
        }
        async move {
            let values = match resolver.look_up(&request.secrets).await {
                Ok(values) => values,
                Err(failure) => return ended_now(AttemptResult::Failed(failure)),
            };
            let mask = resolver.mask(&values);
            values.fill(&mut request.spec, &request.secrets.spec);
            if !request.secrets.is_empty()
                && let Some(with) = request.input.get_mut("with")
            {
                *with = request.spec.get("with").cloned().unwrap_or_default();
            }
            masked(&*inner, request, observer, mask, again).await
        }
        .boxed()
    }
}

impl Executor for GuardedExecutor {
    fn traits(&self, spec: &Value) -> Traits {
        self.0.traits(spec)
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        self.0.services(spec)
    }

    fn unknown(&self, spec: &Value) -> Option<Failure> {
        self.0.unknown(spec)
    }

    fn is_elsewhere(&self, spec: &Value) -> bool {
        self.0.is_elsewhere(spec)
    }

    fn has_waiting_workers(&self, spec: Option<&Value>) -> bool {
        self.0.has_waiting_workers(spec)
    }

    fn reserve(&self, request: &AttemptRequest) -> Option<WorkerReservation> {
        // Whether a secret can be had is known when it starts.
        if request.secrets.is_empty() { self.0.reserve(request) } else { None }
    }

    fn is_outside(&self, spec: &Value) -> bool {
        self.0.is_outside(spec)
    }

    fn is_outage(&self, failure: &Failure) -> bool {
        self.0.is_outage(failure)
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.go(request, observer, false)
    }

    fn reattach(
        &self,
        mut request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        // What is not sent again needs no secret to say so.
        let traits = self.0.traits(&request.spec);
        let is_sent_again = traits.supervised || request.idempotent.unwrap_or(traits.loss.idempotent);
        if !is_sent_again {
            request.secrets = Secrets::default();
        }
        self.go(request, observer, true)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        self.0.cancel(request)
    }
}

/// A prober of a step with secrets: also where it is given none, it may come across them.
pub(crate) struct GuardedProber(pub(crate) Arc<dyn Prober>, pub(crate) SecretResolver);

impl Prober for GuardedProber {
    fn unknown(&self, spec: &Value) -> Option<Failure> {
        self.0.unknown(spec)
    }

    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let (inner, resolver) = (Arc::clone(&self.0), self.1.clone());
        probed(resolver, request, move |request, _| inner.probe(request)).boxed()
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        self.0.services(spec)
    }

    fn cancel(&self, request: ProbeRequest) -> BoxFuture<'static, ()> {
        self.0.cancel(request)
    }
}

/// Gives a probe its secrets, and masks them in its evidence. A prober that keeps what it read masks that
/// itself, so it gets the mask.
pub(crate) async fn probed<F, P>(
    resolver: SecretResolver,
    mut request: ProbeRequest,
    probe: P,
) -> Result<Value, ProbeFailure>
where
    P: FnOnce(ProbeRequest, Mask) -> F,
    F: Future<Output = Result<Value, ProbeFailure>>,
{
    let values = resolver
        .look_up(&request.secrets)
        .await
        .map_err(|failure| ProbeFailure::passing(format!("{}; {}", failure.message, failure.hint())))?;
    let mask = resolver.mask(&values);
    values.fill(&mut request.spec, &request.secrets.spec);
    match probe(request, mask.clone()).await {
        Ok(mut evidence) => {
            mask.value(&mut evidence);
            Ok(evidence)
        }
        Err(mut failure) => {
            mask.text(&mut failure.message);
            Err(failure)
        }
    }
}

/// A notifier whose notices are given secrets.
pub(crate) struct GuardedNotifier(pub(crate) Arc<dyn Notifier>, pub(crate) SecretResolver);

impl Notifier for GuardedNotifier {
    fn receiver(&self, function: &str, with: &Value) -> Value {
        self.0.receiver(function, with)
    }

    fn notify(&self, mut request: NoticeRequest) -> BoxFuture<'static, Result<NoticeReceipt, NoticeFailure>> {
        if request.function == SHOWS {
            request.secrets = Secrets::default();
        }
        let (inner, resolver) = (Arc::clone(&self.0), self.1.clone());
        async move {
            let values = resolver.look_up(&request.secrets).await.map_err(|failure| {
                NoticeFailure::passing(format!("{}; {}", failure.message, failure.hint()))
            })?;
            values.fill(&mut request.with, &request.secrets.spec);
            let mask = resolver.mask(&values);
            let mut result = inner.notify(request).await;
            match &mut result {
                Ok(receipt) => receipt.reason.iter_mut().for_each(|reason| mask.text(reason)),
                Err(failure) => mask.text(&mut failure.message),
            }
            result
        }
        .boxed()
    }
}
