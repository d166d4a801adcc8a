//! What a sender is told in the answer to its delivery, where its service shows that to the person behind it.

use everfold_base::json::Value;

use super::settings::{HookSettings, ReaderKind};
use super::telegram;

/// Somebody waits for the outcome of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitedReply {
    /// The pressed button of Telegram.
    query: String,
}

impl AwaitedReply {
    /// Who waits for the outcome of this delivery; `None`: nobody does.
    #[must_use]
    pub fn of(settings: &HookSettings, raw: &[u8]) -> Option<Self> {
        match settings.reader {
            ReaderKind::Telegram => Some(Self { query: telegram::pressed(raw)? }),
            ReaderKind::Generic
            | ReaderKind::Cloudevents
            | ReaderKind::Gitea
            | ReaderKind::Github
            | ReaderKind::Gitlab
            | ReaderKind::Plane => None,
        }
    }

    /// The body of the answer. `is_alert`: what was wanted did not happen.
    #[must_use]
    pub fn body(&self, said: &str, is_alert: bool) -> Value {
        telegram::answer(&self.query, said, is_alert)
    }
}
