//! `notify.telegram`: a message of a bot to a chat.
//!
//! The bot's token stands in the address: no message of this module shows it.

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use serde_json::json;

use super::message::Message;
use super::parameters::{invalid, known, optional, required};
use super::post::TIMEOUT;
use crate::function::Call;
use crate::http::HttpClient;
use crate::telegram::{Bot, TEXT_UNITS_MAX, chat};

/// Calls `sendMessage` for `with.chat`.
pub(super) async fn send(client: HttpClient, call: Call, with: Value) -> Result<Value, Failure> {
    known(&with, "notify.telegram", &["token", "chat", "text", "silent", "thread", "api"])?;
    let token = required(&with, "token", "the bot's token")?;
    let bot = Bot::new(client, token, optional(&with, "api")?, TIMEOUT)
        .ok_or_else(|| invalid("`with.token` is no token of a bot: digits, a colon, and letters"))?;
    let chat = chat(&with["chat"]).ok_or_else(|| invalid("`with.chat` is the id of a chat, or @CHANNEL"))?;
    let mut body = json!({
        "chat_id": chat,
        "text": cut(&Message::of(&call, &with).text()),
        "disable_notification": with["silent"].as_bool().unwrap_or(false),
    });
    if !with["thread"].is_null() {
        let thread = with["thread"].as_i64();
        body["message_thread_id"] = json!(thread.ok_or_else(|| invalid("`with.thread` is a number"))?);
    }
    let sent = bot.ask("sendMessage", &body).await.map_err(|error| error.failure(&call))?;
    Ok(json!({ "message": sent["message_id"] }))
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
