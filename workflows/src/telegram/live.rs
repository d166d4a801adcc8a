//! `telegram.live`: one silent message in a chat that is kept up to date.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{Hash, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bot::{Bot, BotError};
use super::sent::{MessageFile, Purpose, SendState};
use super::target::{BotContext, BotTarget, UNCONFIGURED, chat_or_null, text, text_or_null};
use crate::function::Call;

/// What the service says where the message is as it should be.
const NOT_MODIFIED: [&str; 2] = ["message is not modified", "exactly the same"];
/// What it says where there is no message any more that could be edited.
const GONE: [&str; 3] = ["message to edit not found", "message can't be edited", "message_id_invalid"];

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
pub(super) struct LiveParameters {
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
    /// one message for each in a chat; default: the run
    #[serde(default)]
    #[schemars(with = "Value", extend("anyOf" = text_or_null()))]
    key: Option<String>,
    /// a Bot API server of one's own
    #[serde(default)]
    #[schemars(with = "Value", extend("anyOf" = text_or_null()))]
    url: Option<String>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct LiveOutput {
    message: Option<i64>,
    sent: bool,
    edited: bool,
    /// why it was left alone
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl LiveOutput {
    fn left(message: Option<i64>, reason: impl Into<String>) -> Self {
        Self { message, reason: Some(reason.into()), ..Self::default() }
    }
}

/// Sends the message, or edits it where it was sent before.
pub(super) async fn live(
    context: BotContext,
    call: Call,
    with: LiveParameters,
) -> Result<LiveOutput, Failure> {
    let target = BotTarget::of(&context.client, with.token.as_deref(), &with.chat, with.url.as_deref())?;
    let Some(target) = target else { return Ok(LiveOutput::left(None, UNCONFIGURED)) };
    let text = text(&with.text)?;
    let key = with.key.filter(|key| !key.is_empty()).unwrap_or_else(|| call.run().to_string());
    let file = context.sent.file(Purpose::Live, &target.chat, &key).await;
    match file.read().await? {
        None => send(&target, &file, &call, &text, None).await,
        Some(SendState::Begun { reported: true }) => Ok(LiveOutput::left(None, unknown(&file))),
        Some(SendState::Begun { reported: false }) => {
            file.write(SendState::Begun { reported: true }).await?;
            Err(not_known(&file, "the engine ended while it was sent"))
        }
        Some(SendState::Done { message, text: former }) if former == Hash::of(text.as_bytes()) => {
            Ok(LiveOutput::left(Some(message), "it says so already"))
        }
        Some(SendState::Done { message, text: former }) => {
            edit(&target, &file, &call, &text, (message, former)).await
        }
    }
}

async fn edit(
    target: &BotTarget,
    file: &MessageFile<'_>,
    call: &Call,
    text: &str,
    (message, former): (i64, Hash),
) -> Result<LiveOutput, Failure> {
    let mut body = body(target, text);
    body["message_id"] = message.into();
    let edited = match target.bot.ask("editMessageText", &body).await {
        Ok(_) => LiveOutput { message: Some(message), edited: true, ..LiveOutput::default() },
        Err(error) if says(&error, &NOT_MODIFIED) => LiveOutput::left(Some(message), "it says so already"),
        Err(error) if says(&error, &GONE) => {
            return send(target, file, call, text, Some(SendState::Done { message, text: former })).await;
        }
        Err(error) => return Err(error.failure(call)),
    };
    file.write(SendState::Done { message, text: Hash::of(text.as_bytes()) }).await?;
    Ok(edited)
}

/// Sends the message; `former` is what was known before.
async fn send(
    target: &BotTarget,
    file: &MessageFile<'_>,
    call: &Call,
    text: &str,
    former: Option<SendState>,
) -> Result<LiveOutput, Failure> {
    let mut body = body(target, text);
    body["disable_notification"] = true.into();
    file.write(SendState::Begun { reported: false }).await?;
    let answer = target.bot.ask("sendMessage", &body).await;
    let error = match answer.map(|result| Bot::message(&result)) {
        Ok(Some(message)) => {
            file.write(SendState::Done { message, text: Hash::of(text.as_bytes()) }).await?;
            return Ok(LiveOutput { message: Some(message), sent: true, ..LiveOutput::default() });
        }
        Ok(None) => BotError::Foreign { status: 200 },
        Err(error) => error,
    };
    if !error.may_have_happened() {
        file.restore(former).await?;
        return Err(error.failure(call));
    }
    file.write(SendState::Begun { reported: true }).await?;
    Err(not_known(file, &error.failure(call).message))
}

fn body(target: &BotTarget, text: &str) -> Value {
    json!({
        "chat_id": target.chat,
        "text": text,
        "parse_mode": "HTML",
        "link_preview_options": { "is_disabled": true },
    })
}

fn says(error: &BotError, texts: &[&str]) -> bool {
    let BotError::Refused(refusal) = error else { return false };
    let description = refusal.description.to_lowercase();
    refusal.status == 400 && texts.iter().any(|text| description.contains(text))
}

fn unknown(file: &MessageFile<'_>) -> String {
    format!(
        "whether the message arrived is not known, and a second one is not sent; remove {} to have it sent anew",
        file.path.display()
    )
}

/// Not to be tried again: it would be a second message.
fn not_known(file: &MessageFile<'_>, why: &str) -> Failure {
    let mut failure = Failure::new(FailureKind::Validation, format!("{why}: {}", unknown(file)));
    failure.code = Some("MESSAGE_UNKNOWN".to_owned());
    failure
        .with_hint("look into the chat: where the message is not there, remove the file, and it is sent anew")
}
