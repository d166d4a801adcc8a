//! Evidence of a function that only looks.

use std::panic::AssertUnwindSafe;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::failures::{never, not_now};
use crate::function::{Call, CallParts, FunctionExecutor};

/// Calls functions that say that they change nothing.
#[derive(Clone)]
pub struct FunctionProber {
    functions: FunctionExecutor,
}

impl FunctionProber {
    /// Calls the functions that this executor knows.
    #[must_use]
    pub fn new(functions: FunctionExecutor) -> Self {
        Self { functions }
    }
}

impl Prober for FunctionProber {
    fn unknown(&self, spec: &Value) -> Option<Failure> {
        let name = spec["name"].as_str().unwrap_or_default();
        if name.contains("${") { None } else { self.functions.may_look(name).err() }
    }

    fn probe(&self, mut request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let name = request.spec["name"].as_str().unwrap_or_default().to_owned();
        let with = request.spec.get_mut("with").map(Value::take).filter(|with| !with.is_null());
        let with = with.unwrap_or_else(|| json!({}));
        let (key, workdir) = (request.id.idempotency_key(), request.workdir.clone());
        let call = || Call::new(CallParts::silent(request.id.clone(), key, Value::Null, workdir));
        let called = match self.functions.look(&name, with, call) {
            Ok(called) => called,
            Err(failure) => return std::future::ready(Err(no_evidence(&failure))).boxed(),
        };
        async move {
            let work = AssertUnwindSafe(called).catch_unwind();
            match tokio::time::timeout(request.timeout, work).await {
                Ok(Ok(Ok(output))) => Ok(evidence(&name, output)),
                Ok(Ok(Err(failure))) => Err(no_evidence(&failure)),
                Ok(Err(_panic)) => Err(not_now(format!("the function {name} panicked"))),
                Err(_) => Err(not_now(format!(
                    "the function {name} did not answer within {}",
                    everfold_base::duration::format(request.timeout)
                ))),
            }
        }
        .boxed()
    }
}

/// A failure of the function is no verdict.
fn no_evidence(failure: &Failure) -> ProbeFailure {
    let never_helps = matches!(failure.kind, FailureKind::Validation | FailureKind::Spawn);
    if never_helps { never(&failure.message) } else { not_now(&failure.message) }
}

/// `{ok, reason?, output}`: a function gives `true`, `false` or `{ok, reason?, …}`.
fn evidence(name: &str, output: Value) -> Value {
    let ok = output.as_bool().or_else(|| output.get("ok").and_then(Value::as_bool));
    let mut evidence = json!({"ok": ok, "output": output, "source": {"function": name}});
    if let Some(reason) = output.get("reason").and_then(Value::as_str) {
        evidence["reason"] = reason.into();
    }
    evidence
}
