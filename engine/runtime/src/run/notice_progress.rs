//! The progress of the first outstanding notice of a channel: its tries, and what it waits for.

use crate::receivers::registry::{NoticeAddress, NoticeTicket, SendingPlace};
use crate::shard::timers::TimerKey;
use everfold_base::id::{RunId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use std::time::Duration;

/// The longest pause between two tries of a notice.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);

/// The first outstanding notice of a channel.
pub(crate) struct NoticeProgress {
    pub(crate) version: Version,
    pub(crate) notice: String,
    /// Tries of this notice so far, not of others to the same receiver.
    pub(crate) tries: u32,
    pub(crate) queued_at: Timestamp,
    pub(crate) receiver: Hash,
    /// How often its receiver had failed when this notice was first to be sent.
    pub(crate) failures_before: u64,
    pub(crate) stage: NoticeStage,
}

/// How far a notice is.
pub(crate) enum NoticeStage {
    /// It is sent when its values are there; a notice that waited has a place by now.
    Next(Option<SendingPlace>),
    /// It waits for a place, or for its receiver to answer; checked at this moment at the latest.
    Waiting(NoticeTicket, TimerKey),
    /// It is being sent.
    Sending,
    /// It failed, and is sent again at this moment.
    Pausing(TimerKey),
    /// It was sent or given up, and the input that says so is not decided yet.
    Reported,
}

/// Whether the turn of a notice has come.
pub(crate) enum NoticeReadiness {
    Now(NoticeProgress),
    Later(NoticeProgress),
    /// It has waited for its receiver for a day.
    Never(NoticeProgress, String),
}

impl NoticeProgress {
    pub(crate) fn is(&self, version: Version, notice: &str) -> bool {
        self.version == version && self.notice == notice
    }

    pub(crate) fn about<'a>(&'a self, run: RunId, channel: &'a str) -> NoticeAddress<'a> {
        NoticeAddress { run, channel, version: self.version, notice: &self.notice, tries: self.tries }
    }

    /// Takes a place, unless that is another receiver's. Gives the timer that is not needed any more.
    pub(crate) fn called(&mut self, place: SendingPlace) -> Option<TimerKey> {
        let NoticeStage::Waiting(_, key) = self.stage else { return None };
        if place.receiver() != self.receiver {
            return None;
        }
        self.stage = NoticeStage::Next(Some(place));
        Some(key)
    }

    /// Whether it only waits, so that its run may leave memory.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.stage, NoticeStage::Pausing(_) | NoticeStage::Waiting(..))
    }

    /// The timer at which it is checked again.
    pub(crate) fn key(&self) -> Option<TimerKey> {
        match self.stage {
            NoticeStage::Pausing(key) | NoticeStage::Waiting(_, key) => Some(key),
            NoticeStage::Next(_) | NoticeStage::Sending | NoticeStage::Reported => None,
        }
    }

    /// Whether an engine that shuts down waits for it.
    pub(crate) fn is_going(&self) -> bool {
        match &self.stage {
            NoticeStage::Sending => true,
            NoticeStage::Next(place) => place.is_some(),
            NoticeStage::Waiting(ticket, _) => !ticket.is_left_alone(),
            NoticeStage::Pausing(_) | NoticeStage::Reported => false,
        }
    }
}
