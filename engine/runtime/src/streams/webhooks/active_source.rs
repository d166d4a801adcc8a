//! A source of webhooks in memory, and what is being done for it.

use std::collections::HashMap;

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
        }
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
