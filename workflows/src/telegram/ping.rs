//! `telegram.ping`: a message that calls people.

use everfold_base::failure::Failure;
use everfold_base::json::{Hash, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::address::is_reachable;
use super::bot::{Bot, BotError};
use super::html::escaped;
use super::keyboard::{ButtonRow, keyboard};
use super::sent::{MessageUpdate, Purpose, SendState, SentMessage};
use super::target::{BotContext, BotTarget, UNCONFIGURED, chat_or_null, text, text_or_null};
use crate::function::Call;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
pub(super) struct PingParameters {
    /// the bot's; without one nothing is done
    #[serde(default)]
    #[schemars(with = "Value", extend("anyOf" = text_or_null()))]
    token: Option<String>,
    /// the id of a chat, or @CHANNEL; without one nothing is done
    #[serde(default)]
    #[schemars(extend("anyOf" = chat_or_null()))]
    chat: Value,
    /// HTML
    text: String,
    /// stand below the text, one on a line
    #[serde(default)]
    links: Vec<MessageLink>,
    /// each in a row of its own, or lists of those in one row
    #[serde(default)]
    buttons: Vec<ButtonRow>,
    /// a Bot API server of one's own
    #[serde(default)]
    #[schemars(with = "Value", extend("anyOf" = text_or_null()))]
    url: Option<String>,
}

/// A link below the text; without an address, or with one that leads nowhere, it is left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
struct MessageLink {
    text: String,
    #[serde(default)]
    #[schemars(with = "Value", extend("anyOf" = text_or_null()))]
    url: Option<String>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct PingOutput {
    message: Option<i64>,
    /// why it was left alone
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Sends the message. One that is known to have arrived for this round or notice is not sent again.
pub(super) async fn ping(
    context: BotContext,
    call: Call,
    with: PingParameters,
) -> Result<PingOutput, Failure> {
    let target = BotTarget::of(&context.client, with.token.as_deref(), &with.chat, with.url.as_deref())?;
    let Some(target) = target else {
        return Ok(PingOutput { message: None, reason: Some(UNCONFIGURED.to_owned()) });
    };
    let text = text(&with_links(&with.text, &with.links))?;
    let keyboard = keyboard(with.buttons)?;
    let file = context.sent.file(Purpose::Ping, &target.chat, call.idempotency_key()).await;
    if let Some(SendState::Done { message, .. }) = file.read().await?.map(|sent| sent.state) {
        let reason = Some("it was sent before".to_owned());
        return Ok(PingOutput { message: Some(message), reason });
    }
    let mut body = json!({
        "chat_id": target.chat,
        "text": text,
        "parse_mode": "HTML",
        "link_preview_options": { "is_disabled": true },
        "disable_notification": false,
    });
    if let Some(keyboard) = keyboard {
        body["reply_markup"] = keyboard;
    }
    let result = target.bot.ask("sendMessage", &body).await.map_err(|error| error.failure(&call))?;
    let Some(message) = Bot::message(&result) else {
        return Err(BotError::Foreign { status: 200 }.failure(&call));
    };
    let done = SendState::Done { message, text: Hash::of(text.as_bytes()) };
    file.write(SentMessage::new(done, &MessageUpdate::of(&call))).await?;
    Ok(PingOutput { message: Some(message), reason: None })
}

fn with_links(text: &str, links: &[MessageLink]) -> String {
    let shown = links.iter().filter_map(|link| {
        let url = link.url.as_deref().filter(|url| is_reachable(url))?;
        Some(format!("<a href=\"{}\">{}</a>", escaped(url), escaped(&link.text)))
    });
    let shown: Vec<String> = shown.collect();
    match shown.is_empty() {
        true => text.to_owned(),
        false => format!("{}\n\n{}", text.trim_end(), shown.join("\n")),
    }
}
