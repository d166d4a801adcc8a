//! After a start: busy runs continue, timers that came due fire, all other runs are left alone.
//!
//! Law: only runs that are busy or due are read, and of those that wait for slots only those that have one.
//! All living attempts are re-attached before a new one starts (D9).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};

use crate::engine_parts::EngineParts;
use crate::error::RecoverError;
use crate::messages::ShardMessage;
use crate::recovery::aborted_forks::CutCopy;
use crate::recovery::orphan_processes::end_unwanted_once;
use crate::recovery::orphan_reservations::look_at_counters;
use crate::runtime::Runtime;
use crate::streams::service_pauses::take_up_service_pauses;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_core::state::{RunState, RunStatus};
use everfold_ports::Fate;
use everfold_store::{ReadError, StreamHead};
use everfold_system::clock::Stopwatch;

/// Runs that are loaded at once.
const LOADING_MAX: usize = 256;
/// After a search for due runs the wake task rests this many times as long as the search took.
const WAKE_SHARE: u32 = 10;
/// The pause after a search for due runs; longer each time while the same one stays due.
const REST_MIN: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_secs(1);
/// How long to wait before a store that could not say what is due is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How far the clock goes back before it counts as set back.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

/// Which runs to drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All that are busy or due, now and from now on.
    All,
    /// This one.
    Only(RunId),
}

/// The result of a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// How many runs are driven.
    pub runs: usize,
}

/// Resumes what a former engine left; see [`Engine::recover`](crate::Engine::recover).
pub(crate) async fn recover(parts: &EngineParts, which: Which) -> Result<Recovered, RecoverError> {
    take_up_service_pauses(parts).await;
    let recovered = match which {
        Which::Only(run) => recover_one(&parts.shared, run).await?,
        Which::All => recover_all(parts).await?,
    };
    parts.shared.swept.get_or_try_init(|| sweep(parts)).await?;
    look_at_counters(&parts.shared).await?;
    end_unwanted_once(parts);
    Ok(recovered)
}

async fn recover_one(shared: &Runtime, run: RunId) -> Result<Recovered, RecoverError> {
    match shared.drive(run, true).await? {
        true => {
            shared.mailboxes.webhooks.attend();
            Ok(Recovered { runs: 1 })
        }
        false => Err(RecoverError::NotFound(run)),
    }
}

async fn recover_all(parts: &EngineParts) -> Result<Recovered, RecoverError> {
    let shared = &parts.shared;
    let hold = StartHold::begin(parts);
    let recovered = drive_due(shared).await?;
    if recovered.runs > 0 {
        tracing::info!(
            runs = recovered.runs,
            "runs that a former engine left go on; nothing new has begun yet"
        );
    }
    drop(hold);
    if !shared.wakes.attended.swap(true, Ordering::AcqRel) {
        let wake = wake(Arc::clone(shared), parts.weak_shards());
        parts.keep(shared.spawn_essential("the wakening of runs", wake));
    }
    Ok(recovered)
}

/// Holds back new attempts as long as it lives: also a recovery that fails or is dropped lets them start.
struct StartHold<'a>(&'a EngineParts);

impl<'a> StartHold<'a> {
    fn begin(parts: &'a EngineParts) -> Self {
        parts.shared.start_holds.begin(|| parts.shared.scheduler.hold(true));
        Self(parts)
    }
}

impl Drop for StartHold<'_> {
    fn drop(&mut self) {
        let shared = &self.0.shared;
        shared.start_holds.end(|| shared.scheduler.hold(false));
        for shard in &self.0.shards {
            // A shard with a full inbox looks again in any case.
            let _full_or_gone = shard.try_send(ShardMessage::Release);
        }
    }
}

async fn drive_due(shared: &Arc<Runtime>) -> Result<Recovered, RecoverError> {
    let due = shared.store.due(due_until(shared).await?).await?;
    let copies = shared.cut_copies(&due).await?;
    for CutCopy { run, events } in &copies {
        tracing::warn!(%run, copied = events.get(), "a copy that a crash cut short is no run; repeat its request");
    }
    let is_run = |run: &RunId| copies.iter().all(|copy| copy.run != *run);
    let runs: Vec<RunId> = due.iter().filter_map(run_of).filter(is_run).collect();
    // Keys are compared with their runs before those make further requests.
    let hooks = due.iter().filter(|stream| stream.kind == StreamKind::Hook).cloned().collect();
    let keys = due.into_iter().filter(|stream| stream.kind == StreamKind::Key).collect();
    let waiting = shared.mailboxes.slots.look(keys).await;
    let runs = to_drive(shared, runs, &waiting).await?;
    let count = runs.len();
    let mut driven = futures::stream::iter(runs.into_iter().map(|run| shared.drive(run, true)))
        .buffer_unordered(LOADING_MAX);
    while let Some(result) = driven.next().await {
        result?;
    }
    // Deliveries are handled when the runs that they concern are loaded.
    shared.mailboxes.webhooks.look(hooks).await;
    Ok(Recovered { runs: count })
}

/// Leaves out runs that only wait for slots: the slot allocator has a run driven when it is granted one.
async fn to_drive(
    shared: &Runtime,
    runs: Vec<RunId>,
    waiting: &HashSet<RunId>,
) -> Result<Vec<RunId>, RecoverError> {
    let (waiting, mut driven): (Vec<RunId>, Vec<RunId>) =
        runs.into_iter().partition(|run| waiting.contains(run));
    let heads = shared.store.heads(waiting.iter().copied().map(StreamId::run).collect()).await?;
    let now = shared.now();
    let is_idle =
        |head: Option<StreamHead>| head.is_some_and(|head| head.note.wake_at.is_none_or(|at| at > now));
    driven.extend(waiting.into_iter().zip(heads).filter_map(|(run, head)| (!is_idle(head)).then_some(run)));
    Ok(driven)
}

/// Removes workspaces that ended runs left behind. The store is asked how each of them ended; where it
/// cannot say, the workspace stays.
///
/// # Errors
/// [`RecoverError`]: the store cannot say which runs have not ended.
pub(crate) async fn sweep(parts: &EngineParts) -> Result<(), RecoverError> {
    let shared = Arc::clone(&parts.shared);
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
    parts.keep(tokio::spawn(async move {
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
                shared.record_removal(run, path).await;
            }
        }
    }));
    Ok(())
}

/// What became of a run that is not open; `None`: it cannot be said now.
async fn fate_of(shared: &Runtime, run: RunId, is_known: bool) -> Option<Fate> {
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

/// Up to when timers are due after a start. Where the last event of the store is later than the clock is now, timers
/// may have been set by a clock that was ahead: every run that waits for one compares it.
async fn due_until(shared: &Runtime) -> Result<Timestamp, ReadError> {
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

/// Wakes runs that are not loaded when their timers are due. Loaded runs wake themselves; a second message does no
/// harm.
async fn wake(shared: Arc<Runtime>, shards: Vec<mpsc::WeakSender<ShardMessage>>) {
    let mut former = None;
    let mut rest = REST_MIN;
    let mut has_failed = false;
    let mut clock = shared.now();
    let mut is_set_back = false;
    loop {
        let now = shared.now();
        is_set_back |= std::mem::replace(&mut clock, now).since(now) > CLOCK_SLACK;
        if is_set_back {
            // Every run that waits for a timer compares it.
            match shared.store.due(Timestamp(i64::MAX)).await {
                Ok(waiting) => {
                    for run in waiting.iter().filter_map(run_of) {
                        if !wake_run(&shards, run).await {
                            return;
                        }
                    }
                    is_set_back = false;
                }
                Err(ReadError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "the clock was set back; waiting runs learn of it later")
                }
            }
        }
        let next = shared.store.next_wake().await;
        let longest = if next.is_ok() && !is_set_back { shared.config.sleep_max } else { ASK_AGAIN_AFTER };
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
                    // Logged above by the next request. The wakes of parked runs are in no other list.
                    parked.into_iter().for_each(|at| shared.wakes.parked(at));
                    Vec::new()
                }
            };
            for run in due.iter().filter_map(run_of) {
                if !wake_run(&shards, run).await {
                    return;
                }
            }
        }
        // A run that is still due after a message needs no other one at once.
        rest = if next.is_some() && next == former { (rest * 2).min(REST_MAX) } else { REST_MIN };
        former = next;
        tokio::time::sleep((watch.elapsed() * WAKE_SHARE).max(rest)).await;
    }
}

async fn wake_run(shards: &[mpsc::WeakSender<ShardMessage>], run: RunId) -> bool {
    let at = crate::messages::shard_of(run, shards.len());
    let Some(shard) = shards[at].upgrade() else { return false };
    let (done, _no_answer_needed) = oneshot::channel();
    shard.send(ShardMessage::Drive { run, even_quarantined: false, done }).await.is_ok()
}
