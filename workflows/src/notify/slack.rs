//! `notify.slack`: incoming webhooks of Slack, and of those that speak like it (Mattermost, Discord's `/slack`).
//!
//! The address is a secret: knowing it is enough to write. It is in no message of this module.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use serde_json::json;

use super::message::Message;
use super::parameters::{invalid, known, required};
use super::post;
use super::post::unreached;
use crate::function::Call;
use crate::http::HttpClient;

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
    let request = post::request(url, body.to_string().into_bytes());
    let answer = client.send(request).await.map_err(unreached)?;
    post::taken(&answer, &call, "the chat", &REFUSALS).map_err(|failure| match failure.kind {
        FailureKind::Validation => {
            failure.with_hint("make a new incoming webhook for the channel, and set its address")
        }
        _other => failure,
    })
}

/// Three characters mean something in Slack's texts: a title must not call a whole channel.
fn escaped(text: &str) -> String {
    let cut: String = text.chars().take(TEXT_CHARS_MAX).collect();
    cut.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
