//! The port for notices to people and other systems.
//!
//! Law: a notice may be sent again under the same key, after a failure and after a crash.

use crate::secrets::Secrets;
use everfold_base::id::{RunId, Version};
use everfold_base::json::Value;
use futures::future::BoxFuture;
use std::time::Duration;

/// A notice of an event to send, everything rendered.
#[derive(Debug, Clone)]
pub struct NoticeRequest {
    /// The run.
    pub run: RunId,
    /// The version of the event.
    pub version: Version,
    /// The notice.
    pub notice: String,
    /// The function that sends it.
    pub function: String,
    /// Its parameters.
    pub with: Value,
    /// The secrets that stand masked in them.
    pub secrets: Secrets,
    /// In whose name.
    pub sender: Option<String>,
    /// The event: its fields, `type`, `version`, `at`, `actor`.
    pub event: Value,
    /// The run as expressions see it when the notice is sent.
    pub of_run: Value,
    /// The number of this try since the engine began to send it, 1-based.
    pub attempt: u32,
}

impl NoticeRequest {
    /// What a receiver recognises a repeated notice by: `RUN/VERSION/NOTICE`.
    #[must_use]
    pub fn dedup(&self) -> String {
        format!("{}/{}/{}", self.run, self.version, self.notice)
    }
}

/// The notice arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoticeReceipt {
    /// Why the function left something alone, in its own words, with nothing secret in them.
    pub reason: Option<String>,
}

/// The notice did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoticeFailure {
    /// What happened and what to do, in one line.
    pub message: String,
    /// Trying again cannot help.
    pub permanent: bool,
    /// The other side asked to be left alone for so long.
    pub after: Option<Duration>,
}

impl NoticeFailure {
    /// Trying again may help.
    #[must_use]
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), permanent: false, after: None }
    }

    /// Trying again cannot help.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), permanent: true, after: None }
    }
}

/// Sends notices of events to people and other systems.
pub trait Notifier: Send + Sync + 'static {
    /// Calls the function of the request. It may be called again for the same
    /// [`NoticeRequest::dedup`]: after a failure, and after a crash.
    ///
    /// # Errors
    /// [`NoticeFailure`]; one that may pass is tried again for 24 hours.
    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<NoticeReceipt, NoticeFailure>>;

    /// The part of a function's parameters that names the receiver. Notices of one function with an equal part
    /// go to the same receiver: while it does not answer, none of them is sent for a while.
    ///
    /// Where nothing is known of the function, all parameters.
    fn receiver(&self, function: &str, with: &Value) -> Value {
        let _any = function;
        with.clone()
    }
}
