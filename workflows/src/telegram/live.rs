//! `telegram.live`: one silent message in a chat that is kept up to date.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{Hash, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bot::{Bot, BotError};
use super::sent::{MessageFile, MessageUpdate, Purpose, SendState, SentMessage};
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
    let by = MessageUpdate::of(&call);
    let known = file.read().await?;
    let newest = known.as_ref().and_then(|known| known.by.as_ref());
    if newest.is_some_and(|newest| by.is_before(newest)) {
        let mut failure =
            Failure::new(FailureKind::Validation, "a newer update of the message came first, and stays");
        failure.code = Some("MESSAGE_OUTDATED".to_owned());
        return Err(failure);
    }
    let update = LiveUpdate { target: &target, file: &file, call: &call, text: &text, by };
    match known {
        None => update.send(None).await,
        Some(known) => match known.state {
            // A former try of this very update may have sent it.
            SendState::Begun {} if known.by.as_ref() == Some(&update.by) => {
                Err(not_known(&file, "the engine ended while it was sent, or no answer told how that ended"))
            }
            SendState::Begun {} => update.send(Some(known)).await,
            SendState::Done { message, text: former } if former == update.hash() => {
                Ok(LiveOutput::left(Some(message), "it says so already"))
            }
            SendState::Done { message, .. } => update.edit(message, known).await,
        },
    }
}

/// What is to be seen from now on.
struct LiveUpdate<'a> {
    target: &'a BotTarget,
    file: &'a MessageFile<'a>,
    call: &'a Call,
    text: &'a str,
    by: MessageUpdate,
}

impl LiveUpdate<'_> {
    fn hash(&self) -> Hash {
        Hash::of(self.text.as_bytes())
    }

    async fn record(&self, state: SendState) -> Result<(), Failure> {
        self.file.write(SentMessage::new(state, &self.by)).await
    }

    async fn edit(&self, message: i64, former: SentMessage) -> Result<LiveOutput, Failure> {
        let mut body = body(self.target, self.text);
        body["message_id"] = message.into();
        let edited = match self.target.bot.ask("editMessageText", &body).await {
            Ok(_) => LiveOutput { message: Some(message), edited: true, ..LiveOutput::default() },
            Err(error) if says(&error, &NOT_MODIFIED) => {
                LiveOutput::left(Some(message), "it says so already")
            }
            Err(error) if says(&error, &GONE) => return self.send(Some(former)).await,
            Err(error) => return Err(error.failure(self.call)),
        };
        self.record(SendState::Done { message, text: self.hash() }).await?;
        Ok(edited)
    }

    /// Sends the message; `former` is what was known before.
    async fn send(&self, former: Option<SentMessage>) -> Result<LiveOutput, Failure> {
        let mut body = body(self.target, self.text);
        body["disable_notification"] = true.into();
        self.record(SendState::Begun {}).await?;
        let answer = self.target.bot.ask("sendMessage", &body).await;
        let error = match answer.map(|result| Bot::message(&result)) {
            Ok(Some(message)) => {
                self.record(SendState::Done { message, text: self.hash() }).await?;
                return Ok(LiveOutput { message: Some(message), sent: true, ..LiveOutput::default() });
            }
            Ok(None) => BotError::Foreign { status: 200 },
            Err(error) => error,
        };
        if !error.may_have_happened() {
            self.file.restore(former).await?;
            return Err(error.failure(self.call));
        }
        Err(not_known(self.file, &error.failure(self.call).message))
    }
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

/// Not to be tried again: it would be a second message for one update.
fn not_known(file: &MessageFile<'_>, why: &str) -> Failure {
    let message = format!(
        "{why}: whether the message arrived is not known, and this update of it is not sent twice; the next update sends a new message. To have this one sent, remove {}",
        file.path.display()
    );
    let mut failure = Failure::new(FailureKind::Validation, message);
    failure.code = Some("MESSAGE_UNKNOWN".to_owned());
    failure
        .with_hint("look into the chat: where the message is not there, remove the file, and it is sent anew")
}
