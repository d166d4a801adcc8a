//! What the functions share: which bot writes to which chat, and what is done without one.

use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use serde_json::json;

use super::bot::{Bot, chat};
use super::html::prepared;
use super::sent::SentMessages;
use crate::http::HttpClient;

/// One request.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The reason of what is left alone because no bot or no chat is set.
pub(super) const UNCONFIGURED: &str = "no bot or no chat is configured";

/// What the functions share.
#[derive(Clone)]
pub(super) struct BotContext {
    pub(super) client: HttpClient,
    pub(super) sent: SentMessages,
}

/// A bot and the chat that it writes to.
pub(super) struct BotTarget {
    pub(super) bot: Bot,
    pub(super) chat: Value,
}

impl BotTarget {
    /// `None`: no bot, or no chat, is set.
    pub(super) fn of(
        client: &HttpClient,
        token: Option<&str>,
        to: &Value,
        api: Option<&str>,
    ) -> Result<Option<Self>, Failure> {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let (Some(token), Some(chat)) = (token, chat(to)) else { return Ok(None) };
        match Bot::new(client.clone(), token, api, TIME_LIMIT) {
            Some(bot) => Ok(Some(Self { bot, chat })),
            None => Err(Failure::new(
                FailureKind::Validation,
                "`with.token` is no token of a bot: digits, a colon, and letters",
            )),
        }
    }
}

/// The alternatives of a parameter that an expression may leave empty: null is as none.
pub(super) fn text_or_null() -> Value {
    json!([{ "type": "string" }, { "type": "null" }])
}

/// The alternatives of a chat.
pub(super) fn chat_or_null() -> Value {
    json!([{ "type": "integer" }, { "type": "string" }, { "type": "null" }])
}

/// The text as it is sent.
pub(super) fn text(text: &str) -> Result<String, Failure> {
    let text = prepared(text);
    match text.is_empty() {
        false => Ok(text),
        true => Err(Failure::new(FailureKind::Validation, "`with.text` is empty")
            .with_hint("what people read stands in `with.text`, as HTML")),
    }
}
