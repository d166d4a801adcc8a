//! `notify.telegram`: a message of a bot to a chat.
//!
//! The bot's token stands in the address: no message of this module shows it.

use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use serde_json::json;

use super::message::Message;
use super::parameters::{invalid, known, optional, required};
use super::post;
use super::post::unreached;
use crate::function::Call;
use crate::http::{HttpAnswer, HttpClient, HttpRequest};

const API: &str = "https://api.telegram.org";
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest text, in UTF-16 units.
const TEXT_UNITS_MAX: usize = 4_096;

/// Calls `sendMessage` for `with.chat`.
pub(super) async fn send(client: HttpClient, call: Call, with: Value) -> Result<Value, Failure> {
    known(&with, "notify.telegram", &["token", "chat", "text", "silent", "thread", "api"])?;
    let token = required(&with, "token", "the bot's token")?;
    if !token.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-')) {
        return Err(invalid("`with.token` is no token of a bot: digits, a colon, and letters"));
    }
    let chat = match &with["chat"] {
        chat @ Value::Number(_) => chat.clone(),
        Value::String(chat) if !chat.trim().is_empty() => json!(chat.trim()),
        _other => return Err(invalid("`with.chat` is the id of a chat, or @CHANNEL")),
    };
    let mut body = json!({
        "chat_id": chat,
        "text": cut(&Message::of(&call, &with).text()),
        "disable_notification": with["silent"].as_bool().unwrap_or(false),
    });
    if !with["thread"].is_null() {
        let thread = with["thread"].as_i64();
        body["message_thread_id"] = json!(thread.ok_or_else(|| invalid("`with.thread` is a number"))?);
    }
    let api = optional(&with, "api")?.unwrap_or(API).trim_end_matches('/');
    let url = format!("{api}/bot{token}/sendMessage");
    let request = post::request(url, body.to_string().into_bytes());
    let request = HttpRequest { body_bytes_max: ANSWER_BYTES_MAX, ..request };
    let answer = client.send(request).await.map_err(unreached)?;
    let reply = answer.json().unwrap_or(Value::Null);
    if reply["ok"] == json!(true) {
        return Ok(json!({ "message": reply["result"]["message_id"] }));
    }
    Err(refused(&call, &answer, &reply))
}

/// What Telegram says of an error: `{ok: false, error_code, description, parameters?}`.
fn refused(call: &Call, answer: &HttpAnswer, reply: &Value) -> Failure {
    let status = reply["error_code"].as_u64().unwrap_or(u64::from(answer.status));
    let description = reply["description"].as_str().unwrap_or("it did not answer as Telegram does");
    if let Some(seconds) = reply["parameters"]["retry_after"].as_u64() {
        call.ask_later(Duration::from_secs(seconds));
    }
    let message = format!("Telegram answered {status}: {description}");
    if let Some(chat) = reply["parameters"]["migrate_to_chat_id"].as_i64() {
        return invalid(message).with_hint(format!("the group became a supergroup: set its new id, {chat}"));
    }
    match status {
        400 => {
            invalid(message).with_hint("write to the bot once, or add it to the chat, and set the chat's id")
        }
        403 => invalid(message).with_hint("the bot may not write there: unblock it, or add it to the chat"),
        401 | 404 => Failure::new(FailureKind::Error, message).with_hint("@BotFather tells the bot's token"),
        _other => Failure::new(FailureKind::Error, message),
    }
}

/// As much as fits; dots stand for the rest.
fn cut(text: &str) -> String {
    if text.encode_utf16().count() <= TEXT_UNITS_MAX {
        return text.to_owned();
    }
    let mut room = TEXT_UNITS_MAX - 1;
    let kept = text.chars().take_while(|c| {
        let fits = c.len_utf16() <= room;
        room = room.saturating_sub(c.len_utf16());
        fits
    });
    kept.chain(['…']).collect()
}
