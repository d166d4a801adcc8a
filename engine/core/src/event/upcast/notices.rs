//! How former schemas read today: notices.

use crate::event::former::{NoticeQueued1, NoticeQueued2, NoticeQueued3, NoticeSent1};
use crate::event::kinds::{NoticeQueued, NoticeSent};

impl From<NoticeQueued1> for NoticeQueued {
    fn from(old: NoticeQueued1) -> Self {
        let NoticeQueued1 { version, notice, function, channel, with } = old;
        Self { version, notice, function, channel, with, replaces: false, fallback: None }
    }
}

impl From<NoticeQueued2> for NoticeQueued {
    fn from(old: NoticeQueued2) -> Self {
        let NoticeQueued2 { version, notice, function, channel, with, replaces } = old;
        Self { version, notice, function, channel, with, replaces, fallback: None }
    }
}

impl From<NoticeQueued3> for NoticeQueued {
    fn from(old: NoticeQueued3) -> Self {
        let NoticeQueued3 { version, notice, function, channel, with, fallback } = old;
        Self { version, notice, function, channel, with, replaces: false, fallback }
    }
}

impl From<NoticeSent1> for NoticeSent {
    fn from(old: NoticeSent1) -> Self {
        let NoticeSent1 { version, notice, tries } = old;
        Self { version, notice, tries, reason: None }
    }
}
