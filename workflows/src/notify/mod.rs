//! The functions that tell people and other systems: `notify.log`, `notify.command`, `notify.http`,
//! `notify.slack`, `notify.telegram`, `notify.email`.
//!
//! Law: whatever tells is told the notice's id (`RUN/VERSION/NOTICE`), by which a repeated one is
//! recognised: after a crash, and after a failure that came too late, a notice goes again.
//!
//! They are functions like any other: a notice may call any function, and a step may call these.

mod command;
mod email;
mod http;
mod log;
mod message;
mod parameters;
mod post;
mod signature;
mod slack;
mod telegram;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::execution::{NoticeFailure, NoticeRequest, Notifier, Workdir};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{Attempt, AttemptId, EffectId, Round, StepPath};
use everfold_engine::json::Value;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use self::email::Mailer;
use crate::function::{Call, Caller, Function, Functions};
use crate::http::{HttpClient, HttpError};
use crate::settings::{MailSettings, ServeSettings};

/// The parameter of each function of this module that says where to.
const TO: [(&str, &str); 6] = [
    ("notify.slack", "url"),
    ("notify.http", "url"),
    ("notify.telegram", "chat"),
    ("notify.email", "to"),
    ("notify.command", "argv"),
    ("notify.log", "file"),
];

/// The parameter of a function that says where to; `None`: it is none of this module's.
pub(crate) fn to(function: &str) -> Option<&'static str> {
    TO.iter().find(|(name, _)| *name == function).map(|(_, key)| *key)
}

/// The functions of this module.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TO.iter().map(|(name, _)| *name)
}

/// What stands for the step where a notice calls a function; no step can be called so.
const STEP: &str = "$notify";

/// The functions of this module that need no settings. What they take is checked by themselves: a notice's text
/// may be all.
pub(crate) fn functions() -> [Function; 5] {
    let client = HttpClient::new();
    let anything = || json!(true);
    let sender = |client: &HttpClient| client.clone();
    let (to_url, to_chat, to_bot) = (sender(&client), sender(&client), sender(&client));
    let post = move |call, with| http::post(to_url.clone(), call, with);
    let slack = move |call, with| slack::post(to_chat.clone(), call, with);
    let telegram = move |call, with| telegram::send(to_bot.clone(), call, with);
    [
        Function::described("notify.http", anything(), anything(), post)
            .summary("Posts JSON to an address, signed where a secret is named."),
        Function::described("notify.slack", anything(), anything(), slack)
            .summary("Writes to a channel by an incoming webhook of Slack or what speaks like it."),
        Function::described("notify.telegram", anything(), anything(), telegram)
            .summary("Writes to a chat of Telegram as a bot."),
        Function::described("notify.log", anything(), anything(), log::write)
            .summary("Writes a line of JSON into a file, or a line into the engine's log."),
        Function::described("notify.command", anything(), anything(), command::run)
            .summary("Runs a program with JSON on its standard input."),
    ]
    .map(|function| function.idempotent().told())
}

/// Adds those that need settings.
pub(crate) fn declare(functions: &mut Functions, mail: Option<MailSettings>) {
    // The settings have made the files of secrets absolute.
    let mailer = Mailer::new(mail, PathBuf::from("/"));
    let send = move |call, with| mailer.clone().send(call, with);
    let email = Function::described("notify.email", json!(true), json!(true), send)
        .summary("Sends a mail through the server of the settings.");
    functions.offer(email.idempotent().told());
}

/// Calls functions for notices.
pub(crate) struct FunctionNotifier {
    functions: Arc<Functions>,
    /// Makes links for people.
    serve: ServeSettings,
}

impl FunctionNotifier {
    pub(crate) fn new(functions: Arc<Functions>, serve: ServeSettings) -> Self {
        Self { functions, serve }
    }
}

impl Notifier for FunctionNotifier {
    fn receiver(&self, function: &str, with: &Value) -> Value {
        match to(function) {
            Some(key) => with[key].clone(),
            None if !with["to"].is_null() => with["to"].clone(),
            None => with.clone(),
        }
    }

    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<(), NoticeFailure>> {
        let call = call(&request, self.serve.link(request.run));
        let told = match self.functions.call(&request.function, request.with, || call.clone()) {
            Ok(told) => told,
            Err(unknown) => {
                let failure = NoticeFailure::permanent(format!("{}; {}", unknown.message, unknown.hint()));
                return std::future::ready(Err(failure)).boxed();
            }
        };
        async move {
            let failed = |failure: Failure| not_told(&failure, call.asked_later());
            told.await.map(drop).map_err(failed)
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
    let told = json!({
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
    Call::new(Caller::silent(id, request.dedup(), told, workdir))
}

/// Wrong parameters stay wrong; everything else may pass.
fn not_told(failure: &Failure, after: Option<Duration>) -> NoticeFailure {
    let mut message = failure.message.clone();
    if let Some(detail) = failure.detail.as_deref().map(str::trim).filter(|detail| !detail.is_empty()) {
        message = format!("{message}: {detail}");
    }
    if let Some(hint) = &failure.hint {
        message = format!("{message}; {hint}");
    }
    NoticeFailure { message, permanent: failure.kind == FailureKind::Validation, after }
}

/// Nobody answered.
fn unreached(error: HttpError) -> Failure {
    match error {
        HttpError::Invalid(message) => Failure::new(FailureKind::Validation, message),
        other => Failure::new(FailureKind::Error, other.to_string()),
    }
}

/// What a notice says: its `with.text`, else what happened to which run, and what to do.
fn text(call: &Call, with: &Value) -> String {
    message::Message::of(call, with).text()
}
