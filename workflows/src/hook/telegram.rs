//! `telegram`: updates of a bot, `{update_id, callback_query | message | …}`.
//!
//! A pressed button says which by its `data`, and a command by its text; `VERB:TARGET` and `/VERB TARGET` are taken
//! apart, so that a trigger finds the run and what to do.

use everfold_base::json::Value;
use serde_json::json;

use super::content::{DeliveryContent, about, first, text};

/// What the answer to a pressed button may say, in characters.
const ANSWER_CHARS_MAX: usize = 200;

pub(super) fn read(body: &Value) -> DeliveryContent {
    let name = body.as_object().into_iter().flatten().map(|(key, _)| key).find(|key| *key != "update_id");
    let update = name.map_or(&Value::Null, |name| &body[name]);
    // A pressed button stands below a message; any other update of the kind is one.
    let message = if update["message"].is_object() { &update["message"] } else { update };
    let (data, said) = (text(update, "data"), text(message, "text"));
    let (verb, target) = data.as_deref().map_or_else(|| command(said.as_deref()), ordered);
    DeliveryContent {
        id: text(body, "update_id"),
        name: name.cloned(),
        sender: first(update, &["from.id", "sender_chat.id", "user.id"]),
        about: about([
            ("data", data),
            ("verb", verb),
            ("target", target),
            ("message", text(message, "message_id")),
            ("chat", text(message, "chat.id")),
            ("text", said),
            ("username", first(update, &["from.username", "sender_chat.username"])),
        ]),
    }
}

/// `VERB:TARGET` of a button.
fn ordered(data: &str) -> (Option<String>, Option<String>) {
    match data.split_once(':') {
        Some((verb, target)) => (Some(verb.to_owned()), Some(target.to_owned())),
        None => (Some(data.to_owned()), None),
    }
}

/// `/VERB TARGET` or `/VERB@BOT TARGET`.
fn command(said: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(command) = said.and_then(|said| said.strip_prefix('/')) else { return (None, None) };
    let (verb, target) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let verb = verb.split('@').next().filter(|verb| !verb.is_empty());
    (verb.map(str::to_owned), Some(target.trim().to_owned()).filter(|target| !target.is_empty()))
}

/// The pressed button that waits for an answer.
pub(super) fn pressed(raw: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(raw).ok()?;
    text(&body, "callback_query.id")
}

/// The answer to a pressed button, given in the answer to the webhook. `is_alert`: it is shown until it is closed.
pub(super) fn answer(query: &str, said: &str, is_alert: bool) -> Value {
    let mut shown: String = said.chars().take(ANSWER_CHARS_MAX).collect();
    if shown.len() < said.len() {
        shown.pop();
        shown.push('…');
    }
    json!({
        "method": "answerCallbackQuery",
        "callback_query_id": query,
        "text": shown,
        "show_alert": is_alert,
    })
}
