//! The executor `function`: work inside the engine's own process.
//!
//! Law: a function is called again after a crash only if it says that this does no harm; any other
//! is lost, and a person decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::definition::{OnLost, similar};
use everfold_engine::duration;
use everfold_engine::execution::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, Traits,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::EffectId;
use everfold_engine::json::Value;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::notify::FunctionNotifier;
use crate::process::ended_now;

/// What a function is called with.
#[derive(Debug, Clone)]
pub struct Call {
    /// The attempt.
    pub id: EffectId,
    /// Equal for every attempt of a round; for outside systems.
    pub idempotency_key: String,
    /// The step's `with`.
    pub with: Value,
    /// What any work is told ([`AttemptRequest::input`]).
    pub input: Value,
}

/// What a function does.
pub(crate) type Body = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Value, Failure>> + Send + Sync>;

struct Function {
    body: Body,
    idempotent: bool,
    /// It reads [`Call::input`].
    told: bool,
    /// It changes nothing anywhere: gates may call it.
    read_only: bool,
}

/// Functions by name.
#[derive(Default)]
pub struct Functions {
    by_name: BTreeMap<String, Function>,
}

impl Functions {
    /// The built-in functions: `everfold.noop` (null), `everfold.echo` (its `with`),
    /// `everfold.sleep` (waits `with.for`, gives `with`), `notify.log`, `notify.command` and
    /// `notify.http`.
    #[must_use]
    pub fn built_in() -> Self {
        let mut functions = Self::default();
        functions.add_untold("everfold.noop", |_| async { Ok(Value::Null) });
        functions.add_untold("everfold.echo", |call| async move { Ok(call.with) });
        functions.add_untold("everfold.sleep", |call| async move {
            let span = call.with["for"].as_str().unwrap_or_default();
            let span = duration::parse(span)
                .map_err(|error| Failure::new(FailureKind::Validation, format!("`with.for`: {error}")))?;
            tokio::time::sleep(span).await;
            Ok(call.with)
        });
        crate::notify::add_to(&mut functions);
        functions
    }

    /// Adds a function. `idempotent`: calling it again with the same idempotency key does no harm.
    pub fn add<F, R>(&mut self, name: &str, idempotent: bool, body: F)
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        let body: Body = Arc::new(move |call| body(call).boxed());
        let function = Function { body, idempotent, told: true, read_only: false };
        self.by_name.insert(name.to_owned(), function);
    }

    /// Adds a function that changes nothing anywhere: gates may call it too, and are told by its `ok`. A
    /// gate gives it no [`Call::input`].
    pub fn add_read_only<F, R>(&mut self, name: &str, body: F)
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        let body: Body = Arc::new(move |call| body(call).boxed());
        let function = Function { body, idempotent: true, told: true, read_only: true };
        self.by_name.insert(name.to_owned(), function);
    }

    /// Adds a function that reads nothing but its `with`, and changes nothing.
    fn add_untold<F, R>(&mut self, name: &str, body: F)
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        let body: Body = Arc::new(move |call| body(call).boxed());
        let function = Function { body, idempotent: true, told: false, read_only: true };
        self.by_name.insert(name.to_owned(), function);
    }

    /// Calls a function, outside of any step. `call` is made only where there is one of that name.
    ///
    /// # Errors
    /// There is none; the failure says which there are.
    pub(crate) fn call(
        &self,
        name: &str,
        call: impl FnOnce() -> Call,
    ) -> Result<BoxFuture<'static, Result<Value, Failure>>, Failure> {
        Ok((self.find(name)?.body)(call()))
    }

    fn find(&self, name: &str) -> Result<&Function, Failure> {
        self.by_name.get(name).ok_or_else(|| {
            let names = self.by_name.keys().map(String::as_str);
            let near = similar(name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Failure::new(FailureKind::Spawn, format!("there is no function {name}{near}"))
                .with_hint(format!("there are {}", self.names().join(", ")))
        })
    }

    /// The names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }
}

/// Does the work of `function` steps.
#[derive(Clone)]
pub struct FunctionExecutor {
    functions: Arc<Functions>,
    running: Arc<Mutex<HashMap<EffectId, Running>>>,
}

#[derive(Clone)]
struct Running {
    stop: CancellationToken,
    ended: CancellationToken,
}

impl FunctionExecutor {
    /// Calls these functions.
    #[must_use]
    pub fn new(functions: Functions) -> Self {
        Self { functions: Arc::new(functions), running: Arc::default() }
    }

    /// What a function does that gates may call.
    pub(crate) fn read_only(&self, name: &str) -> Result<Body, Failure> {
        let function = self.find(&serde_json::json!({ "name": name }))?;
        if function.read_only {
            return Ok(function.body.clone());
        }
        let message = format!("the function {name} does not say that it only reads, so no gate may call it");
        Err(Failure::new(FailureKind::Validation, message))
    }

    /// What calls these functions for notices.
    pub(crate) fn notifier(&self) -> FunctionNotifier {
        FunctionNotifier::new(Arc::clone(&self.functions))
    }

    fn find(&self, spec: &Value) -> Result<&Function, Failure> {
        self.functions.find(spec["name"].as_str().unwrap_or_default())
    }
}

/// Takes an attempt off the list however its future ends, also by being dropped.
struct Listed {
    running: Arc<Mutex<HashMap<EffectId, Running>>>,
    id: EffectId,
    ended: CancellationToken,
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.id);
        self.ended.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Executor for FunctionExecutor {
    fn traits(&self, spec: &Value) -> Traits {
        let (idempotent, told) =
            self.find(spec).map_or((false, false), |function| (function.idempotent, function.told));
        let on_lost = if idempotent { OnLost::Retry } else { OnLost::Block };
        Traits { supervised: false, idempotent, on_lost, told }
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let body = match self.find(&request.spec) {
            Ok(function) => function.body.clone(),
            Err(failure) => return async { ended_now(AttemptResult::Failed(failure)) }.boxed(),
        };
        let mut spec = request.spec;
        let call = Call {
            idempotency_key: request.id.idempotency_key(),
            id: request.id.clone(),
            with: spec.get_mut("with").map(Value::take).unwrap_or_default(),
            input: request.input,
        };
        let mine = Running { stop: CancellationToken::new(), ended: CancellationToken::new() };
        lock(&self.running).insert(request.id.clone(), mine.clone());
        let listed = Listed { running: self.running.clone(), id: request.id, ended: mine.ended };
        let limit = request.timeout.unwrap_or(Duration::MAX);
        async move {
            let _listed = listed;
            observer.started();
            // A panic of one function is its own failure.
            let work = std::panic::AssertUnwindSafe(body(call)).catch_unwind();
            let failed = |kind, message: String| AttemptResult::Failed(Failure::new(kind, message));
            let result = tokio::select! {
                biased;
                () = mine.stop.cancelled() => failed(FailureKind::Cancelled, "cancelled".to_owned()),
                ended = tokio::time::timeout(limit, work) => match ended {
                    Ok(Ok(Ok(output))) => AttemptResult::Succeeded(output),
                    Ok(Ok(Err(failure))) => AttemptResult::Failed(failure),
                    Ok(Err(_)) => failed(FailureKind::Crash, "the function panicked".to_owned()),
                    Err(_) => failed(
                        FailureKind::Timeout,
                        format!("the time limit of {} passed", duration::format(limit)),
                    ),
                },
            };
            ended_now(result)
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        if self.find(&request.spec).is_ok_and(|function| function.idempotent) {
            return self.start(request, observer);
        }
        let reason =
            "the engine ended while the function ran, and it does not say that a repeat does no harm";
        async { ended_now(AttemptResult::Lost { reason: reason.to_owned() }) }.boxed()
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        let running = lock(&self.running).get(&request.id).cloned();
        async move {
            if let Some(running) = running {
                running.stop.cancel();
                running.ended.cancelled().await;
            }
        }
        .boxed()
    }
}
