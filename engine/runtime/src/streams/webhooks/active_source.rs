//! A source of webhooks in memory, and what is being done for it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::streams::triggers::stopped::EngineStopped;
use crate::streams::webhooks::handle::Handled;
use crate::streams::webhooks::source_stream::SourceStream;
use everfold_base::id::Version;
use everfold_base::time::Timestamp;
use everfold_core::hooks::{ParkedId, TriggerOutcome};
use everfold_core::triggers::Outcome;

/// A source, and what is being done for it.
pub(super) struct ActiveSource {
    pub(super) source: SourceStream,
    pub(super) activity: SourceActivity,
    /// This engine handles the source's deliveries, too; else it only offers the signals that wait.
    pub(super) handles: bool,
    /// The outcome of the last append is unknown: the source is loaded anew before it is used.
    pub(super) is_stale: bool,
    /// Callers that wait for what a delivery leads to.
    pub(super) awaited: HashMap<(Version, u32), Vec<oneshot::Sender<Vec<TriggerOutcome>>>>,
    /// Signals that wait are to be offered.
    pub(super) offers: bool,
    /// When triggers whose starts wait were asked last, and whether something changed since.
    pub(super) starts: StartOffers,
}

/// The pause between two times that a trigger is asked whose start waits, where keys, labels or slots change.
const STARTS_LEAST: Duration = Duration::from_secs(5);
/// The same where nothing changes that the log shows: settings, the world outside.
const STARTS_MOST: Duration = Duration::from_secs(60);

/// When triggers whose starts wait are asked again.
#[derive(Debug, Default)]
pub(super) struct StartOffers {
    last: Option<Timestamp>,
    is_wanted: bool,
}

impl StartOffers {
    /// Something changed; whether they are asked now.
    pub(super) fn changed(&mut self, now: Timestamp) -> bool {
        self.is_wanted = true;
        self.is_due(now)
    }

    /// Whether they are to be asked.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let pause = if self.is_wanted { STARTS_LEAST } else { STARTS_MOST };
        self.last.is_none_or(|last| now.since(last) >= pause)
    }

    /// They are asked now.
    pub(super) fn asked(&mut self, now: Timestamp) {
        *self = Self { last: Some(now), is_wanted: false };
    }
}

/// What is being done for a source at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceActivity {
    Idle,
    /// A delivery is being handled, or signals that wait are being offered.
    Working,
    /// The last work failed: none begins before then.
    Resting(Timestamp),
}

impl ActiveSource {
    pub(super) fn new(source: SourceStream) -> Self {
        Self {
            source,
            activity: SourceActivity::Idle,
            handles: false,
            is_stale: false,
            awaited: HashMap::new(),
            offers: false,
            starts: StartOffers::default(),
        }
    }

    /// Whether this engine asks triggers of the source whose starts wait.
    pub(super) fn offers_starts(&self) -> bool {
        self.handles && self.source.state.has_parked_starts()
    }

    pub(super) fn is_working(&self) -> bool {
        self.activity == SourceActivity::Working
    }
}

/// A piece of work that ended.
pub(crate) struct FinishedWork {
    pub(super) source: String,
    pub(super) result: Result<SourceWork, EngineStopped>,
}

/// What a piece of work did.
pub(super) enum SourceWork {
    Handled(Version, u32, Handled),
    Offered(Vec<(ParkedId, Outcome)>),
}
