//! The data of a shard: its runs, and what it shares among them.

use crate::messages::ShardMessage;
use crate::panic::panic_text;
use crate::run::loaded_run::LoadedRun;
use crate::runtime::Runtime;
use crate::shard::eviction::EvictionQueue;
use crate::shard::job_done::JobDone;
use crate::shard::parked::ParkedNotices;
use crate::shard::shortage::Shortage;
use crate::shard::start_queue::StartQueue;
use crate::shard::timers::Timers;
use crate::work::observer::ObservedAttempts;
use crate::work::work_done::WorkDone;
use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Sleep;

/// Most messages, results and timers taken in at once.
pub(crate) const TAKEN_MAX: usize = 256;

/// One shard.
pub(crate) struct Shard {
    /// Boxed: a table has room for twice as many as it holds, and a loaded run is large.
    pub(crate) runs: HashMap<RunId, Box<LoadedRun>>,
    pub(crate) core: ShardCore,
    pub(crate) inbox: mpsc::Receiver<ShardMessage>,
    pub(crate) messages: Vec<ShardMessage>,
    pub(crate) done: Vec<JobDone>,
    pub(crate) worked: Vec<WorkDone>,
    /// Started at shutdown: when in-process work is given up.
    pub(crate) closing: Option<Pin<Box<Sleep>>>,
    pub(crate) is_given_up: bool,
    /// Started at shutdown: when notices that are being sent are left to the next start.
    pub(crate) sending: Option<Pin<Box<Sleep>>>,
    pub(crate) are_notices_left: bool,
    /// The last reading of the clock.
    pub(crate) clock: Timestamp,
}

/// What a shard has beside its runs.
pub(crate) struct ShardCore {
    pub(crate) shared: Arc<Runtime>,
    /// Which shard it is.
    pub(crate) at: usize,
    pub(crate) jobs: FuturesUnordered<BoxFuture<'static, JobDone>>,
    pub(crate) works: JoinSet<WorkDone>,
    pub(crate) observed: Arc<ObservedAttempts>,
    /// Timers that the states of runs list, by the machine's clock.
    pub(crate) timers: Timers,
    /// The runtime's own timers (retry pauses of notices, ends of re-attachments), by a clock that does not jump.
    pub(crate) pauses: Timers,
    pub(crate) start_queue: StartQueue,
    pub(crate) idle: EvictionQueue,
    /// Notices of runs that are not in memory.
    pub(crate) parked: ParkedNotices,
    /// Runs to process in this turn.
    pub(crate) dirty: VecDeque<RunId>,
    pub(crate) shortage: Shortage,
    pub(crate) sleep: Option<(Timestamp, Pin<Box<Sleep>>)>,
    /// There is more to do at once.
    pub(crate) again: bool,
}

impl ShardCore {
    /// Starts a task that works for a run. A panic in it, where the task itself does not turn it into a result,
    /// quarantines the run: what it waits for would not come.
    pub(crate) fn spawn_work(
        &mut self,
        run: RunId,
        work: impl Future<Output = WorkDone> + Send + 'static,
    ) -> AbortHandle {
        self.works.spawn(async move {
            let done = AssertUnwindSafe(work).catch_unwind().await;
            done.unwrap_or_else(|panic| WorkDone::Panicked { run, reason: panic_text(panic.as_ref()) })
        })
    }

    /// Puts the run into the list of runs to process in this turn.
    pub(crate) fn mark(&mut self, loaded: &mut LoadedRun) {
        if !loaded.is_dirty {
            loaded.is_dirty = true;
            self.dirty.push_back(loaded.run);
        }
    }
}
