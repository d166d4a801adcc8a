//! What a notice is called: by its receivers, and by people.

use std::fmt;

use serde::{Deserialize, Serialize};

use everfold_base::id::{RunId, Version};

/// In front of a subscription's name, where the notice of a pipeline has its id.
pub const SUBSCRIPTION: &str = "subscription:";

/// One notice: one receiver of one event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NoticeId {
    /// The run.
    pub run: RunId,
    /// The version of the event.
    pub version: Version,
    /// The notice of the run's pipeline, or `subscription:NAME`.
    pub notice: String,
}

/// The text names no notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a notice is named RUN:VERSION:NOTICE, or RUN:VERSION:subscription:NAME")]
pub struct NoNoticeId;

impl NoticeId {
    /// The subscription that it belongs to; `None`: it is of the run's pipeline.
    #[must_use]
    pub fn subscription(&self) -> Option<&str> {
        self.notice.strip_prefix(SUBSCRIPTION)
    }

    /// Whether a subscription delivers it.
    #[must_use]
    pub fn is_of_subscription(&self) -> bool {
        self.subscription().is_some()
    }

    /// The parts of what people type; the run as they name it.
    ///
    /// # Errors
    /// [`NoNoticeId`].
    pub fn parts(text: &str) -> Result<(&str, Version, &str), NoNoticeId> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(run), Some(version), Some(notice)) if !run.is_empty() && !notice.is_empty() => {
                Ok((run, Version(version.parse().map_err(|_| NoNoticeId)?), notice))
            }
            _other => Err(NoNoticeId),
        }
    }
}

/// As people type it: `SHORT_ID:VERSION:NOTICE`.
impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.run.short(), self.version, self.notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_as_it_is_shown() {
        let run: RunId = "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap();
        for notice in ["failures", "subscription:ops"] {
            let id = NoticeId { run, version: Version(12), notice: notice.to_owned() };
            let text = id.to_string();
            assert_eq!(NoticeId::parts(&text), Ok(("deadbeef", Version(12), notice)));
            assert_eq!(id.is_of_subscription(), notice != "failures");
        }
        for text in ["", "x", "deadbeef:1", "deadbeef:x:y", "deadbeef:1:"] {
            assert_eq!(NoticeId::parts(text), Err(NoNoticeId), "{text}");
        }
    }
}
