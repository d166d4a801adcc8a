//! After a start: what was in progress goes on, what came due meanwhile fires, the rest is left alone.
//!
//! Law: only runs that are busy or due are read, and of those that stand in a queue only whoever has a slot. All living attempts are re-attached before a new one
//! starts (D9).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};

use super::message::Message;
use super::shared::Shared;
use super::{CutCopy, Engine, RecoverError};
use crate::clock::Stopwatch;
use crate::envelope::{StreamId, StreamKind};
use crate::execution::Fate;
use crate::id::RunId;
use crate::state::{RunState, RunStatus};
use crate::store::{Head, ReadError};
use crate::time::Timestamp;

/// Runs that are loaded at once.
const LOADING_MAX: usize = 256;
/// Looking for due runs takes at most one part in so many of the time.
const WAKE_SHARE: u32 = 10;
/// The pause after a look for due runs; longer each time while the same one stays due.
const REST_MIN: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_secs(1);
/// How long to wait before a store that could not say what is due is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The longest sleep: the machine's clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// How far the clock goes back before it counts as set back.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

/// Which runs to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All that are busy or due, now and from now on.
    All,
    /// This one.
    Only(RunId),
}

/// What recovery took up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// How many runs.
    pub runs: usize,
}

impl Engine {
    /// Goes on with what a former engine left: resolves when every run concerned is folded and its
    /// living attempts are re-attached. Beside it, work that lives on and that its run does not want
    /// any more is ended, of whichever run.
    ///
    /// # Errors
    /// [`RecoverError`]: the store cannot say what is due, or there is no such run.
    pub async fn recover(&self, which: Which) -> Result<Recovered, RecoverError> {
        let recovered = self.recover_which(which).await?;
        self.sweep_once().await?;
        self.look_at_counters().await?;
        self.end_unwanted();
        Ok(recovered)
    }

    async fn recover_which(&self, which: Which) -> Result<Recovered, RecoverError> {
        match which {
            Which::Only(run) => match self.inner.shared.drive(run, true).await? {
                true => {
                    self.inner.shared.hooks.attend();
                    Ok(Recovered { runs: 1 })
                }
                false => Err(RecoverError::NotFound(run)),
            },
            Which::All => self.recover_all().await,
        }
    }

    async fn recover_all(&self) -> Result<Recovered, RecoverError> {
        let shared = &self.inner.shared;
        shared.holding.store(true, Ordering::Release);
        shared.line.hold(true);
        let recovered = self.drive_due().await;
        shared.holding.store(false, Ordering::Release);
        shared.line.hold(false);
        for shard in &self.inner.shards {
            shard.send(Message::Release).await.map_err(|_| RecoverError::ShuttingDown)?;
        }
        let recovered = recovered?;
        if !shared.wakes.attended.swap(true, Ordering::AcqRel) {
            let wake =
                wake(Arc::clone(shared), self.inner.shards.iter().map(mpsc::Sender::downgrade).collect());
            self.inner.keep(shared.keep_up("the wakening of runs", wake));
        }
        Ok(recovered)
    }

    async fn drive_due(&self) -> Result<Recovered, RecoverError> {
        let shared = &self.inner.shared;
        let due = shared.store.due(due_until(shared).await?).await?;
        let copies = shared.cut_copies(&due).await?;
        for CutCopy { run, events } in &copies {
            tracing::warn!(%run, copied = events.get(), "a copy that a crash cut short is no run; repeat its request");
        }
        let is_run = |run: &RunId| copies.iter().all(|copy| copy.run != *run);
        let runs: Vec<RunId> = due.iter().filter_map(run_of).filter(is_run).collect();
        // Keys are compared with their runs before those want anything more.
        let hooks = due.iter().filter(|stream| stream.kind == StreamKind::Hook).cloned().collect();
        let keys = due.into_iter().filter(|stream| stream.kind == StreamKind::Key).collect();
        let waiting = shared.desk.look(keys).await;
        let runs = self.to_drive(runs, &waiting).await?;
        let count = runs.len();
        let mut driven = futures::stream::iter(runs.into_iter().map(|run| shared.drive(run, true)))
            .buffer_unordered(LOADING_MAX);
        while let Some(result) = driven.next().await {
            result?;
        }
        // What was delivered goes to runs that are there again.
        shared.hooks.look(hooks).await;
        Ok(Recovered { runs: count })
    }

    /// Leaves out runs that only stand in a queue: whoever is granted a slot is taken up then.
    async fn to_drive(&self, runs: Vec<RunId>, waiting: &HashSet<RunId>) -> Result<Vec<RunId>, RecoverError> {
        let shared = &self.inner.shared;
        let (waiting, mut driven): (Vec<RunId>, Vec<RunId>) =
            runs.into_iter().partition(|run| waiting.contains(run));
        let heads = shared.store.heads(waiting.iter().copied().map(StreamId::run).collect()).await?;
        let now = shared.now();
        let is_idle =
            |head: Option<Head>| head.is_some_and(|head| head.note.wake_at.is_none_or(|at| at > now));
        driven
            .extend(waiting.into_iter().zip(heads).filter_map(|(run, head)| (!is_idle(head)).then_some(run)));
        Ok(driven)
    }

    /// Removes workspaces that ended runs left behind. The store is asked how each of them ended; where it
    /// cannot say, the workspace stays.
    ///
    /// # Errors
    /// [`RecoverError`]: the store cannot say which runs have not ended.
    pub async fn sweep(&self) -> Result<(), RecoverError> {
        let shared = Arc::clone(&self.inner.shared);
        let Some(workspaces) = shared.edge.workspaces.clone() else { return Ok(()) };
        let left: Vec<RunId> = workspaces.left().await.into_iter().collect();
        if left.is_empty() {
            return Ok(());
        }
        let heads = shared.store.heads(left.iter().copied().map(StreamId::run).collect()).await?;
        let known = left.into_iter().zip(heads);
        let ended: Vec<(RunId, bool)> = known
            .filter(|(_, head)| head.as_ref().is_none_or(|head| !head.note.open))
            .map(|(run, head)| (run, head.is_some()))
            .collect();
        self.inner.keep(tokio::spawn(async move {
            let mut fates = BTreeMap::new();
            for (run, is_known) in ended {
                if let Some(fate) = fate_of(&shared, run, is_known).await {
                    fates.insert(run, fate);
                }
            }
            let is_known: HashSet<RunId> =
                fates.iter().filter(|(_, fate)| **fate != Fate::Unknown).map(|(run, _)| *run).collect();
            for (run, path) in workspaces.sweep(fates).await {
                if is_known.contains(&run) {
                    shared.tell_removed(run, path).await;
                }
            }
        }));
        Ok(())
    }

    /// Sweeps once for each engine, whatever it was begun for.
    async fn sweep_once(&self) -> Result<(), RecoverError> {
        match self.inner.shared.swept.swap(true, Ordering::AcqRel) {
            true => Ok(()),
            false => self.sweep().await,
        }
    }
}

/// What became of a run that is not open; `None`: it cannot be said now.
async fn fate_of(shared: &Shared, run: RunId, is_known: bool) -> Option<Fate> {
    if !is_known {
        return Some(Fate::Unknown);
    }
    let look = |state: &RunState| {
        let succeeded = state.status() == RunStatus::Succeeded;
        state.is_ended().then(|| Fate::Ended { succeeded, began: state.workspace().is_some() })
    };
    match shared.with_state(run, look).await {
        Ok(fate) => fate,
        Err(error) => {
            tracing::warn!(%run, %error, "how a run ended is not known, so its workspace stays");
            None
        }
    }
}

/// Up to when timers are due after a start. Where the store was written by a clock that said more than this one
/// does, moments were set by that: every run that waits for one compares them.
async fn due_until(shared: &Shared) -> Result<Timestamp, ReadError> {
    let (store, now) = (&shared.store, shared.now());
    let last = store.read_all(store.last_position(), 1).await?;
    let Some(ahead) = last.last().map(|event| event.committed_at.since(now)).filter(|it| *it > CLOCK_SLACK)
    else {
        return Ok(now);
    };
    tracing::warn!(
        ?ahead,
        "the clock says less than when the store was last written: it was ahead then, or is behind now"
    );
    Ok(Timestamp(i64::MAX))
}

fn run_of(stream: &StreamId) -> Option<RunId> {
    (stream.kind == StreamKind::Run).then(|| stream.id.parse().ok()).flatten()
}

/// Wakes runs that are not loaded when their timers are due. Runs that are loaded wake themselves;
/// telling them again does no harm.
async fn wake(shared: Arc<Shared>, shards: Vec<mpsc::WeakSender<Message>>) {
    let mut former = None;
    let mut rest = REST_MIN;
    let mut has_failed = false;
    let mut clock = shared.now();
    loop {
        let now = shared.now();
        if std::mem::replace(&mut clock, now).since(now) > CLOCK_SLACK {
            // Moments that were set by a clock that said more: every run that waits for one compares them.
            let waiting = shared.store.due(Timestamp(i64::MAX)).await.unwrap_or_default();
            for run in waiting.iter().filter_map(run_of) {
                if !tell(&shards, run).await {
                    return;
                }
            }
        }
        let next = shared.store.next_wake().await;
        let longest = if next.is_ok() { SLEEP_MAX } else { ASK_AGAIN_AFTER };
        let next = match next {
            Ok(next) => {
                has_failed = false;
                next
            }
            Err(ReadError::Closed) => return,
            Err(error) => {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::error!(%error, "the store cannot say what is due next");
                }
                None
            }
        };
        let next = next.into_iter().chain(shared.wakes.earliest()).min();
        let pause = next.map_or(longest, |at| at.since(shared.now()).min(longest));
        tokio::select! {
            biased;
            () = shared.wakes.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        let watch = Stopwatch::start();
        if next.is_some_and(|at| at <= shared.now()) {
            let parked = shared.wakes.earliest().filter(|at| *at <= shared.now());
            shared.wakes.clear(shared.now());
            let due = match shared.store.due(shared.now()).await {
                Ok(due) => due,
                Err(ReadError::Closed) => return,
                Err(_) => {
                    // Said above when it is asked again. Busy runs stand on no other list of moments.
                    parked.into_iter().for_each(|at| shared.wakes.parked(at));
                    Vec::new()
                }
            };
            for run in due.iter().filter_map(run_of) {
                if !tell(&shards, run).await {
                    return;
                }
            }
        }
        // What is still due after it was told cannot be helped by telling it at once again.
        rest = if next.is_some() && next == former { (rest * 2).min(REST_MAX) } else { REST_MIN };
        former = next;
        tokio::time::sleep((watch.elapsed() * WAKE_SHARE).max(rest)).await;
    }
}

async fn tell(shards: &[mpsc::WeakSender<Message>], run: RunId) -> bool {
    let at = super::engine::shard_of(run, shards.len());
    let Some(shard) = shards[at].upgrade() else { return false };
    let (done, _nobody_waits) = oneshot::channel();
    shard.send(Message::Drive { run, even_aside: false, done }).await.is_ok()
}
