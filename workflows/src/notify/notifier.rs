//! Sends notices by calling functions.

use std::sync::Arc;
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{Attempt, AttemptId, EffectId, Round, RunId, StepPath};
use everfold_base::json::Value;
use everfold_ports::{NoticeFailure, NoticeReceipt, NoticeRequest, Notifier, Workdir};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::functions::to;
use crate::function::{Call, CallParts, Functions};

/// What stands for the step where a notice calls a function; no step can be called so.
const STEP: &str = "$notify";

/// Calls functions for notices.
pub(crate) struct FunctionNotifier {
    functions: Arc<Functions>,
    /// How people reach the server, for links.
    url: Option<String>,
}

impl FunctionNotifier {
    pub(crate) fn new(functions: Arc<Functions>, url: Option<String>) -> Self {
        Self { functions, url }
    }

    /// Where people read of a run, if they reach the server.
    fn link(&self, run: RunId) -> Option<String> {
        let url = self.url.as_deref()?.trim_end_matches('/');
        Some(format!("{url}/runs/{run}"))
    }
}

impl Notifier for FunctionNotifier {
    fn receiver(&self, function: &str, with: &Value) -> Value {
        let of_chat = || function.starts_with("telegram.").then_some("chat");
        match to(function).or_else(of_chat) {
            Some(key) => with[key].clone(),
            // What is said of one issue and of another goes to the same place.
            None if function.starts_with("plane.") => with["url"].clone(),
            None if !with["to"].is_null() => with["to"].clone(),
            None => with.clone(),
        }
    }

    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<NoticeReceipt, NoticeFailure>> {
        let call = call(&request, self.link(request.run));
        let called = match self.functions.call(&request.function, request.with, || call.clone()) {
            Ok(called) => called,
            Err(unknown) => {
                let failure = NoticeFailure::permanent(format!("{}; {}", unknown.message, unknown.hint()));
                return std::future::ready(Err(failure)).boxed();
            }
        };
        async move {
            let failed = |failure: Failure| notice_failure(&failure, call.asked_later());
            called.await.map(|output| receipt(&output)).map_err(failed)
        }
        .boxed()
    }
}

/// What a function is called with where a notice calls it.
fn call(request: &NoticeRequest, link: Option<String>) -> Call {
    let attempt = AttemptId {
        path: StepPath::step(&STEP.into()),
        round: Round(u32::try_from(request.version.0).unwrap_or(u32::MAX)),
        attempt: Attempt(request.attempt),
    };
    let notice = json!({
        "id": request.dedup(),
        "notice": request.notice,
        "as": request.sender,
        "event": request.event,
        "run": request.of_run,
        "link": link,
    });
    // A notice belongs to no step, so it has no folder of its own.
    let workdir = Workdir { path: "/".into(), git: None };
    let id = EffectId { run: request.run, attempt };
    Call::new(CallParts::silent(id, request.dedup(), notice, workdir))
}

/// What is kept of a function's output: why it left something alone.
fn receipt(output: &Value) -> NoticeReceipt {
    NoticeReceipt { reason: output["reason"].as_str().map(str::to_owned) }
}

/// Wrong parameters stay wrong; everything else may pass.
fn notice_failure(failure: &Failure, after: Option<Duration>) -> NoticeFailure {
    let mut message = failure.message.clone();
    if let Some(detail) = failure.detail.as_deref().map(str::trim).filter(|detail| !detail.is_empty()) {
        message = format!("{message}: {detail}");
    }
    if let Some(hint) = &failure.hint {
        message = format!("{message}; {hint}");
    }
    NoticeFailure { message, permanent: failure.kind == FailureKind::Validation, after }
}
