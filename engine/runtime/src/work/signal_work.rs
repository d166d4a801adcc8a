//! The executor of kind `signal`: a step sends a signal to other runs, and its output says what became of it.
//!
//! Law: what is sent is named after the step's round, so a run gets it once, however many attempts of that round send it
//! and wherever the engine ended in between.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::Notify;

use crate::failures::cancelled;
use crate::runtime::Runtime;
use crate::streams::triggers::action::{RecordTargets, SIGNAL_REFUSED, send_once};
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::actor::Actor;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::EffectId;
use everfold_base::json::{Value, canonical};
use everfold_core::triggers::{Outcome, RequestedSignal, Target};
use everfold_language::words::OnLost;
use everfold_ports::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits, Traits,
};

/// Sends the signals of steps.
pub(crate) struct SignalSender {
    shared: Weak<Runtime>,
    /// The attempts in progress, each with what ends it before its signal was sent everywhere.
    stops: Arc<Mutex<HashMap<EffectId, Arc<Notify>>>>,
}

impl SignalSender {
    pub(crate) fn new(shared: Weak<Runtime>) -> Self {
        Self { shared, stops: Arc::default() }
    }
}

impl Executor for SignalSender {
    fn traits(&self, _spec: &Value) -> Traits {
        let loss = LossTraits { idempotent: true, on_lost: OnLost::Retry };
        Traits { supervised: false, loss, paid: false, reads_input: false }
    }

    fn is_outside(&self, _spec: &Value) -> bool {
        true
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let (shared, stops) = (self.shared.clone(), Arc::clone(&self.stops));
        let stop = Arc::clone(of(&stops).entry(request.id.clone()).or_default());
        async move {
            let Some(shared) = shared.upgrade() else { return std::future::pending().await };
            observer.started();
            let (signal, to) = wanted(&request.spec);
            let result = tokio::select! {
                biased;
                sent = sent(&shared, &request.id, signal, to) => sent,
                () = stop.notified() => Ok(Err(cancelled())),
            };
            of(&stops).remove(&request.id);
            // Where the engine ends, the next one goes on with the attempt.
            let Ok(result) = result else { return std::future::pending().await };
            let result = result.map_or_else(AttemptResult::Failed, AttemptResult::Succeeded);
            AttemptEnd::new(result, shared.now())
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
        // What was sent stands with the runs that got it.
        if let Some(stop) = of(&self.stops).get(&request.id) {
            stop.notify_one();
        }
        std::future::ready(()).boxed()
    }
}

fn of(stops: &Mutex<HashMap<EffectId, Arc<Notify>>>) -> MutexGuard<'_, HashMap<EffectId, Arc<Notify>>> {
    stops.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signal of a step and its receivers.
fn wanted(spec: &Value) -> (RequestedSignal, Target) {
    let text = |value: &Value| value.as_str().map_or_else(|| canonical(value), str::to_owned);
    let to = &spec["to"];
    let to = match (to.get("key"), to.get("run")) {
        (Some(key), _) => Target::Key(text(key)),
        (None, Some(run)) => Target::Run(text(run)),
        (None, None) => {
            let labels = to["labels"].as_object().into_iter().flatten();
            Target::Labels(
                labels.map(|(name, value)| (name.clone(), text(value))).collect::<BTreeMap<_, _>>(),
            )
        }
    };
    let payload = spec.get("payload").cloned().unwrap_or_default();
    (RequestedSignal { name: text(&spec["name"]), payload, to: None, park: false }, to)
}

/// Sends it, and gives what became of it: the output of the step.
async fn sent(
    shared: &Arc<Runtime>,
    id: &EffectId,
    signal: RequestedSignal,
    to: Target,
) -> Result<Result<Value, Failure>, EngineStopped> {
    let round = format!("{}/{}/{}", id.run, id.attempt.path, id.attempt.round);
    let action = (format!("signal/{round}"), format!("run:{round}"), Actor::Run(id.run.to_string()));
    // The runs are looked for anew after a crash; one that got the signal knows it by its delivery.
    let unrecorded: RecordTargets = Box::new(|_runs| std::future::ready(Ok(())).boxed());
    let (name, receivers) = (signal.name.clone(), to.to_string());
    let outcome = send_once(shared, action, None, signal, to, None, unrecorded).await?;
    let outcome = outcome.unwrap_or_else(|| Outcome::Ignored {
        why: format!("no run takes it: no unended run has {receivers}"),
    });
    let (code, reason) = match &outcome {
        Outcome::Refused { code, message } if code != SIGNAL_REFUSED => {
            let message = format!("the signal “{name}” cannot be sent: {message}");
            let failure = Failure::new(FailureKind::Validation, message);
            return Ok(Err(Failure { code: Some(code.clone()), ..failure }));
        }
        Outcome::Refused { code, message } => (Some(code), Some(message)),
        Outcome::Ignored { why } => (None, Some(why)),
        _reached => (None, None),
    };
    Ok(Ok(json!({
        "signal": name, "to": receivers, "outcome": outcome.word(), "runs": outcome.runs(), "code": code,
        "reason": reason,
    })))
}
