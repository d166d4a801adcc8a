//! The functions that tell people and other systems: `notify.log`, `notify.command`,
//! `notify.http`.
//!
//! Law: whatever tells is told the notice's id (`RUN/VERSION/NOTICE`), by which a repeated one is
//! recognised: after a crash, and after a failure that came too late, a notice goes again.
//!
//! They are functions like any other: a notice may call any function, and a step may call these.

mod command;
mod http;
mod log;

use std::sync::Arc;

use everfold_engine::execution::{NoticeFailure, NoticeRequest, Notifier, Workdir};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{Attempt, AttemptId, EffectId, Round, StepPath};
use everfold_engine::json::Value;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use crate::function::{Call, Caller, Function, Functions};
use crate::http::HttpClient;

/// What stands for the step where a notice calls a function; no step can be called so.
const STEP: &str = "$notify";

/// The functions of this module. What they take is checked by themselves: a notice's text may be all.
pub(crate) fn functions() -> [Function; 3] {
    let client = HttpClient::new();
    let anything = || json!(true);
    let send = move |call, with| http::post(client.clone(), call, with);
    [
        Function::described("notify.http", anything(), anything(), send).summary("Posts JSON to an address."),
        Function::described("notify.log", anything(), anything(), log::write)
            .summary("Writes a line of JSON into a file, or a line into the engine's log."),
        Function::described("notify.command", anything(), anything(), command::run)
            .summary("Runs a program with JSON on its standard input."),
    ]
    .map(|function| function.idempotent().told())
}

/// Calls functions for notices.
pub(crate) struct FunctionNotifier {
    functions: Arc<Functions>,
}

impl FunctionNotifier {
    pub(crate) fn new(functions: Arc<Functions>) -> Self {
        Self { functions }
    }
}

impl Notifier for FunctionNotifier {
    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<(), NoticeFailure>> {
        let told = match self.functions.call(&request.function, request.with.clone(), || call(&request)) {
            Ok(told) => told,
            Err(unknown) => {
                let failure = NoticeFailure::permanent(format!("{}; {}", unknown.message, unknown.hint()));
                return std::future::ready(Err(failure)).boxed();
            }
        };
        async move { told.await.map(drop).map_err(|failure| not_told(&failure)) }.boxed()
    }
}

/// What a function is called with where a notice calls it.
fn call(request: &NoticeRequest) -> Call {
    let attempt = AttemptId {
        path: StepPath::step(&STEP.into()),
        round: Round(u32::try_from(request.version.0).unwrap_or(u32::MAX)),
        attempt: Attempt(request.attempt),
    };
    let told = json!({
        "id": request.dedup(),
        "notice": request.notice,
        "as": request.sender,
        "event": request.event,
        "run": request.of_run,
    });
    // A notice belongs to no step, so it has no folder of its own.
    let workdir = Workdir { path: "/".into(), git: None };
    let id = EffectId { run: request.run, attempt };
    Call::new(Caller::silent(id, request.dedup(), told, workdir))
}

/// Wrong parameters stay wrong; everything else may pass.
fn not_told(failure: &Failure) -> NoticeFailure {
    let message = match &failure.detail {
        Some(detail) if !detail.trim().is_empty() => format!("{}: {}", failure.message, detail.trim()),
        _ => failure.message.clone(),
    };
    NoticeFailure { message, permanent: failure.kind == FailureKind::Validation }
}

/// What a notice says in one line: its `with.text`, else what happened to which run.
fn text(call: &Call, with: &Value) -> String {
    if let Some(text) = with["text"].as_str().or_else(|| with.as_str()) {
        return text.to_owned();
    }
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (run, event) = (&call.told()["run"], &call.told()["event"]);
    format!("{} {}: {}", word(&run["pipeline"]), word(&run["short_id"]), word(&event["type"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_engine::id::Version;

    fn request(function: &str, with: Value) -> NoticeRequest {
        NoticeRequest {
            run: "00000000-0000-0000-0000-000000000007".parse().unwrap(),
            version: Version(12),
            notice: "failures".to_owned(),
            function: function.to_owned(),
            with,
            secrets: Default::default(),
            sender: Some("bot".to_owned()),
            event: json!({"type": "RunFailed", "version": 12}),
            of_run: json!({"pipeline": "delivery", "short_id": "00000007"}),
            attempt: 1,
        }
    }

    fn notifier() -> FunctionNotifier {
        FunctionNotifier::new(Arc::new(Functions::built_in()))
    }

    #[tokio::test]
    async fn l32_a_log_gets_one_line_of_json_per_notice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notices.jsonl");
        for with in [json!({"file": file, "text": "it broke"}), json!({"file": file})] {
            notifier().notify(request("notify.log", with)).await.unwrap();
        }
        let lines: Vec<Value> = std::fs::read_to_string(&file)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!((&lines[0]["text"], &lines[0]["as"]), (&json!("it broke"), &json!("bot")));
        assert_eq!(lines[1]["text"], "delivery 00000007: RunFailed");
        assert_eq!(lines[0]["id"], "00000000-0000-0000-0000-000000000007/12/failures");
    }

    #[tokio::test]
    async fn l32_a_command_gets_the_notice_on_its_standard_input() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("got.json");
        let argv = json!(["sh", "-c", "cat > \"$1\"; printf %s \"$EVERFOLD_NOTICE\" > \"$1.id\"", "-", file]);
        notifier().notify(request("notify.command", json!({"argv": argv, "text": "hello"}))).await.unwrap();
        let got: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!((&got["text"], &got["event"]["type"]), (&json!("hello"), &json!("RunFailed")));
        let id = std::fs::read_to_string(folder.path().join("got.json.id")).unwrap();
        assert_eq!(json!(id), got["id"]);
    }

    #[tokio::test]
    async fn l32_what_stays_wrong_is_permanent_and_what_may_pass_is_not() {
        let permanent = |function: &str, with: Value| {
            let told = notifier().notify(request(function, with));
            async move { told.await.unwrap_err() }
        };
        let unknown = permanent("notify.comand", json!({})).await;
        assert!(unknown.permanent && unknown.message.contains("did you mean notify.command?"), "{unknown}");
        let wrong = permanent("notify.command", json!({"argv": "rm -rf"})).await;
        assert!(wrong.permanent && wrong.message.contains("argv"), "{wrong}");
        let failing =
            permanent("notify.command", json!({"argv": ["sh", "-c", "echo no route >&2; exit 3"]})).await;
        assert!(!failing.permanent && failing.message.contains("no route"), "{failing}");
        let missing = permanent("notify.command", json!({"argv": ["everfold-no-such-program"]})).await;
        assert!(!missing.permanent, "{missing}");
        let relative = permanent("notify.log", json!({"file": "x.jsonl"})).await;
        assert!(relative.permanent && relative.message.contains("absolute"), "{relative}");
    }
}
