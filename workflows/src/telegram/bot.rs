//! Asks the Bot API: `POST /botTOKEN/METHOD` with JSON, answered by `{ok: true, result}` or
//! `{ok: false, error_code, description, parameters?}`.

use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use hyper::Method;
use serde_json::json;

use crate::function::Call;
use crate::http::{HttpClient, HttpError, HttpRequest};

/// Where the service itself is.
const API: &str = "https://api.telegram.org";
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest text, in UTF-16 units of what is seen.
pub(crate) const TEXT_UNITS_MAX: usize = 4_096;

/// A bot.
pub(crate) struct Bot {
    client: HttpClient,
    /// With the token.
    address: String,
    time_limit: Duration,
}

/// Why the service did not do what it was asked.
#[derive(Debug)]
pub(crate) enum BotError {
    /// It says no.
    Refused(BotRefusal),
    /// Something else answered in its place, or the service in a way that is not its own.
    Foreign {
        /// The HTTP status.
        status: u16,
    },
    /// There is no answer.
    Http(HttpError),
}

/// What the service says of an error.
#[derive(Debug)]
pub(crate) struct BotRefusal {
    pub(crate) status: u64,
    pub(crate) description: String,
    /// The pause that it asks for.
    retry_after: Option<Duration>,
    /// The id that a group has since it became a supergroup.
    moved_to: Option<i64>,
}

impl Bot {
    /// The bot of a token; `None`: it is the token of none.
    pub(crate) fn new(
        client: HttpClient,
        token: &str,
        api: Option<&str>,
        time_limit: Duration,
    ) -> Option<Self> {
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_alphanumeric() || ":_-".contains(c)) {
            return None;
        }
        let api = api.filter(|api| !api.is_empty()).unwrap_or(API).trim_end_matches('/');
        Some(Self { client, address: format!("{api}/bot{token}"), time_limit })
    }

    /// Calls a method; gives its result.
    pub(crate) async fn ask(&self, method: &str, body: &Value) -> Result<Value, BotError> {
        let request = HttpRequest {
            method: Method::POST,
            headers: [("Content-Type".to_owned(), "application/json".to_owned())].into(),
            body: Some(body.to_string().into_bytes()),
            timeout: self.time_limit,
            body_bytes_max: ANSWER_BYTES_MAX,
            ..HttpRequest::get(format!("{}/{method}", self.address))
        };
        let answer = self.client.send(request).await.map_err(BotError::Http)?;
        let mut reply = answer.json().unwrap_or(Value::Null);
        match reply["ok"].as_bool() {
            Some(true) => Ok(reply["result"].take()),
            Some(false) => Err(BotError::Refused(BotRefusal {
                status: reply["error_code"].as_u64().unwrap_or(u64::from(answer.status)),
                description: reply["description"].as_str().unwrap_or("without a reason").to_owned(),
                retry_after: reply["parameters"]["retry_after"].as_u64().map(Duration::from_secs),
                moved_to: reply["parameters"]["migrate_to_chat_id"].as_i64(),
            })),
            None => Err(BotError::Foreign { status: answer.status }),
        }
    }

    /// The number of a message that the service made.
    pub(crate) fn message(result: &Value) -> Option<i64> {
        result["message_id"].as_i64()
    }
}

impl BotError {
    /// Whether the service may have done all the same what it was asked. Its own word, and a refusal of something before
    /// it, say that it did not.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            // What is moved was not done here, and no redirect of a POST is followed.
            Self::Foreign { status } => !(300..500).contains(status),
            Self::Http(error) => error.may_have_arrived(),
        }
    }

    /// The failure of the function: `validation` where the same request would be refused again. The pause that the
    /// service asks for goes to the caller.
    pub(crate) fn failure(self, call: &Call) -> Failure {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::Foreign { status } => {
                let message = format!("Telegram answered {status}: it did not answer as Telegram does");
                return by_status(u64::from(status), message);
            }
            Self::Http(HttpError::Invalid(message)) => return Failure::new(FailureKind::Validation, message),
            Self::Http(error) => return Failure::new(FailureKind::Error, error.to_string()),
        };
        if let Some(pause) = refusal.retry_after {
            call.ask_later(pause);
        }
        let message = format!("Telegram answered {}: {}", refusal.status, refusal.description);
        match refusal.moved_to {
            Some(chat) => Failure::new(FailureKind::Validation, message)
                .with_hint(format!("the group became a supergroup: set its new id, {chat}")),
            None => by_status(refusal.status, message),
        }
    }
}

fn by_status(status: u64, message: String) -> Failure {
    let (kind, hint) = match status {
        400 => {
            (FailureKind::Validation, "write to the bot once, or add it to the chat, and set the chat's id")
        }
        403 => (FailureKind::Validation, "the bot may not write there: unblock it, or add it to the chat"),
        401 | 404 => (FailureKind::Error, "@BotFather tells the bot's token"),
        _other => return Failure::new(FailureKind::Error, message),
    };
    Failure::new(kind, message).with_hint(hint)
}

/// Who is written to: a number, or the name of a channel. `None`: nobody.
pub(crate) fn chat(value: &Value) -> Option<Value> {
    match value {
        chat @ Value::Number(_) => Some(chat.clone()),
        Value::String(chat) if !chat.trim().is_empty() => Some(json!(chat.trim())),
        _nobody => None,
    }
}
