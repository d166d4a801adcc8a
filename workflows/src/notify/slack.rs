//! `notify.slack`: incoming webhooks of Slack, and of those that speak like it (Mattermost, Discord's `/slack`).
//!
//! The address is a secret: whoever knows it may write. It is in no message of this module.

use std::time::Duration;

use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::json::Value;
use hyper::Method;
use serde_json::json;

use super::message::Message;
use super::parameters::{invalid, known, required};
use super::{asked_pause, unreached};
use crate::function::Call;
use crate::http::{HttpClient, HttpRequest};

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// Slack says these of what it will never take.
const REFUSALS: [u16; 6] = [400, 403, 404, 410, 413, 422];
/// Slack cuts longer texts itself, in the middle of a word.
const TEXT_CHARS_MAX: usize = 30_000;

/// Posts `{text, blocks?}` to `with.url`.
pub(super) async fn post(client: HttpClient, call: Call, with: Value) -> Result<Value, Failure> {
    known(&with, "notify.slack", &["url", "text", "blocks"])?;
    let url = required(&with, "url", "the address of the incoming webhook")?;
    let mut body = json!({ "text": escaped(&Message::of(&call, &with).text()) });
    match &with["blocks"] {
        Value::Null => {}
        blocks @ Value::Array(_) => body["blocks"] = blocks.clone(),
        _other => return Err(invalid("`with.blocks` is a list of blocks")),
    }
    let request = HttpRequest {
        method: Method::POST,
        headers: [("Content-Type".to_owned(), "application/json".to_owned())].into(),
        body: Some(body.to_string().into_bytes()),
        timeout: TIMEOUT,
        body_bytes_max: ANSWER_BYTES_MAX,
        ..HttpRequest::get(url)
    };
    let answer = client.send(request).await.map_err(unreached)?;
    if (200..300).contains(&answer.status) {
        return Ok(json!({ "status": answer.status }));
    }
    if let Some(pause) = asked_pause(&answer) {
        call.ask_later(pause);
    }
    let is_refused = REFUSALS.contains(&answer.status);
    let kind = if is_refused { FailureKind::Validation } else { FailureKind::Error };
    let failure =
        Failure::new(kind, format!("the chat answered {}", answer.status)).with_detail(answer.text());
    Err(if is_refused {
        failure.with_hint("make a new incoming webhook for the channel, and set its address")
    } else {
        failure
    })
}

/// Three characters mean something in Slack's texts: a title must not call a whole channel.
fn escaped(text: &str) -> String {
    let cut: String = text.chars().take(TEXT_CHARS_MAX).collect();
    cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
