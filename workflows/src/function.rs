//! The executor `function`: work inside the engine's own process.
//!
//! Law: a function is called again after a crash only if it says that this does no harm; any other
//! is lost, and a person decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_engine::definition::{OnLost, similar};
use everfold_engine::duration;
use everfold_engine::execution::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, Traits, Workdir,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::EffectId;
use everfold_engine::json::Value;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use crate::git::head;
use crate::in_process::InProcess;
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
    /// Where the step's work runs.
    pub workdir: Workdir,
}

/// What a function says of itself.
#[derive(Debug, Clone)]
pub struct About {
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Calling it again with the same idempotency key does no harm.
    pub idempotent: bool,
    /// It changes nothing anywhere: gates may call it too.
    pub read_only: bool,
    /// JSON Schema of its `with`; checked before each call.
    pub input: Value,
    /// JSON Schema of what it gives.
    pub output: Value,
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
    about: Option<Arc<Described>>,
}

/// What a function says of itself, and what checks its parameters.
struct Described {
    about: About,
    input: Result<jsonschema::Validator, String>,
}

impl Function {
    /// Whether these parameters are what the function takes.
    fn check(&self, name: &str, with: &Value) -> Result<(), Failure> {
        let Some(described) = &self.about else { return Ok(()) };
        let broken = |message: String| Err(Failure::new(FailureKind::Validation, message));
        let validator = match &described.input {
            Ok(validator) => validator,
            Err(error) => return broken(format!("the schema of {name} is none: {error}")),
        };
        // The values may be secrets.
        let wrong: Vec<String> = validator
            .iter_errors(with)
            .take(3)
            .map(|error| format!("`with{}`: {}", error.instance_path(), error.masked()))
            .collect();
        if wrong.is_empty() { Ok(()) } else { broken(format!("{name}: {}", wrong.join("; "))) }
    }
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
        let function = Function { body, idempotent, told: true, read_only: false, about: None };
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
        let function = Function { body, idempotent: true, told: true, read_only: true, about: None };
        self.by_name.insert(name.to_owned(), function);
    }

    /// Adds a function that reads nothing but its `with`, and changes nothing.
    fn add_untold<F, R>(&mut self, name: &str, body: F)
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        let body: Body = Arc::new(move |call| body(call).boxed());
        let function = Function { body, idempotent: true, told: false, read_only: true, about: None };
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
        let (function, call) = (self.find(name)?, call());
        function.check(name, &call.with)?;
        Ok((function.body)(call))
    }

    fn find(&self, name: &str) -> Result<&Function, Failure> {
        self.by_name.get(name).ok_or_else(|| {
            let names = self.by_name.keys().map(String::as_str);
            let near = similar(name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Failure::new(FailureKind::Spawn, format!("there is no function {name}{near}"))
                .with_hint(format!("there are {}", self.names().join(", ")))
        })
    }

    /// Adds a function that says what it takes and gives, and reads nothing but its `with` and the
    /// folder it works in. One of that name that is there already stays.
    pub fn declare<F, R>(&mut self, name: &str, about: About, body: F)
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        let body: Body = Arc::new(move |call| body(call).boxed());
        let input = jsonschema::options().build(&about.input).map_err(|error| error.to_string());
        let (idempotent, read_only) = (about.idempotent, about.read_only);
        let about = Some(Arc::new(Described { about, input }));
        let function = Function { body, idempotent, told: false, read_only, about };
        self.by_name.entry(name.to_owned()).or_insert(function);
    }

    /// What a function says of itself, where it does.
    #[must_use]
    pub fn about(&self, name: &str) -> Option<&About> {
        self.by_name.get(name)?.about.as_ref().map(|described| &described.about)
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
    running: InProcess,
}

impl FunctionExecutor {
    /// Calls these functions.
    #[must_use]
    pub fn new(functions: Functions) -> Self {
        Self { functions: Arc::new(functions), running: InProcess::default() }
    }

    /// What a function does that gates may call, with parameters that it takes.
    pub(crate) fn read_only(&self, name: &str, with: &Value) -> Result<Body, Failure> {
        let function = self.find(&json!({ "name": name }))?;
        if function.read_only {
            function.check(name, with)?;
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
        let mut spec = request.spec;
        let with = spec.get_mut("with").map(Value::take).filter(|with| !with.is_null());
        let with = with.unwrap_or_else(|| json!({}));
        let name = spec["name"].as_str().unwrap_or_default();
        let found = self.find(&spec).and_then(|function| {
            function.check(name, &with)?;
            Ok((function.body.clone(), function.about.is_some()))
        });
        let (body, is_described) = match found {
            Ok(found) => found,
            Err(failure) => return async { ended_now(AttemptResult::Failed(failure)) }.boxed(),
        };
        let workdir = request.workdir.clone();
        let call = Call {
            idempotency_key: request.id.idempotency_key(),
            id: request.id.clone(),
            with,
            input: request.input,
            workdir: request.workdir,
        };
        let work = self.running.run(call.id.clone(), request.timeout, "the function", observer, async move {
            match body(call).await {
                Ok(output) => AttemptResult::Succeeded(output),
                Err(failure) => AttemptResult::Failed(failure),
            }
        });
        if !is_described || workdir.git.is_none() {
            return work;
        }
        // It may have committed there.
        async move {
            let mut end = work.await;
            end.commit = head(&workdir.path).await.ok();
            end
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let idempotent = self.find(&request.spec).is_ok_and(|function| function.idempotent);
        if request.idempotent.unwrap_or(idempotent) {
            return self.start(request, observer);
        }
        let reason =
            "the engine ended while the function ran, and it does not say that a repeat does no harm";
        async { ended_now(AttemptResult::Lost { reason: reason.to_owned() }) }.boxed()
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        self.running.cancel(&request.id)
    }
}
