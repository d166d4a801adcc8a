//! The node's parts, and what concerns it as a whole: its readiness, its folder, its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use everfold_engine::aggregate_store::AggregateStore;
use everfold_engine::breaker_resets::Resets;
use everfold_engine::data_folder::Layout;
use everfold_engine::driver::{Engine, NoticeSubscription};
use everfold_engine::id::RunId;
use everfold_engine::store::{EventStore, OpenReport, SledStore, Writability};
use everfold_projections::ReadSide;
use everfold_workflows::hook::HookSettings;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::attempt_retention::AttemptRetention;
use super::driven_runs::DrivenRuns;
use super::encoded_events::EncodedEvents;
use super::readiness::Readiness;
use super::record;
use crate::access::AccessControl;
use crate::caller_turns::{CallerTurns, TurnBounds};
use crate::fault::{Code, Fault};
use crate::lost_past::{self, LostPast};
use crate::metrics::{self, Metrics};
use crate::traces::Traces;
use crate::work_sources::WorkSources;

/// Locks of work that is done once at a time.
pub(super) struct Turns {
    /// Verifying the store.
    pub(super) verify: Arc<Semaphore>,
    /// Working out an answer of a backtest: the caller's policy decides what it costs.
    pub(super) backtest: Semaphore,
    /// A shell that parses commands of a check.
    pub(super) check: CallerTurns,
    /// Requests that wait for the end of a run.
    pub(super) ends: Semaphore,
    /// Streams that read what was recorded before.
    pub(super) histories: Arc<Semaphore>,
}

/// Requests that wait for ends of runs at once.
const ENDS_AWAITED_MAX: usize = 10_000;

/// Streams that read history at once: what each has read is in memory beside what is queued for its reader.
const HISTORIES_MAX: usize = 16;

/// Checks whose commands the shell parses at once, and those of one caller that wait for that.
pub(super) const CHECKS: TurnBounds = TurnBounds { all: 1, own: 1, asked: 8 };

impl Default for Turns {
    fn default() -> Self {
        Self {
            verify: Arc::new(Semaphore::new(1)),
            backtest: Semaphore::new(1),
            check: CallerTurns::new(CHECKS),
            ends: Semaphore::new(ENDS_AWAITED_MAX),
            histories: Arc::new(Semaphore::new(HISTORIES_MAX)),
        }
    }
}

/// What the routes work on.
pub struct Node {
    pub(super) engine: Engine,
    pub(super) access: AccessControl,
    pub(super) resets: AggregateStore<Resets>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Mutex<Readiness>,
    /// Where it serves, once it does.
    pub(super) url: OnceLock<String>,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) sled: Option<Arc<SledStore>>,
    pub(super) layout: Layout,
    pub(super) epoch: String,
    pub(super) views: Arc<ReadSide>,
    pub(super) driven_runs: DrivenRuns,
    /// Every unfinished run is driven here, or will be as soon as it is taken up.
    pub(super) drives_all: AtomicBool,
    pub(super) closing: CancellationToken,
    /// Who does the work, and what it lacks.
    pub(super) sources: WorkSources,
    /// How sources of webhooks are read.
    pub(super) hooks: BTreeMap<String, HookSettings>,
    /// Subscriptions of the settings to events of all runs.
    pub(super) subscriptions: Vec<NoticeSubscription>,
    /// Runs as traces.
    pub(super) traces: Traces,
    /// The limits of folders of attempts.
    pub(super) retention: AttemptRetention,
    /// Events as streams show them.
    pub(super) encoded: EncodedEvents,
    pub(super) turns: Turns,
    /// Set once the subscriptions are being delivered to.
    pub(super) telling: OnceCell<()>,
    /// Whether the periodic duties have been started.
    pub(super) attended: AtomicBool,
    /// Whether children of this process act for its user, as in a program that embeds the engine.
    pub(super) trusts_children: bool,
}

/// The turn of a request that waits for the end of a run.
pub(crate) struct EndTurn<'a> {
    _permit: SemaphorePermit<'a>,
}

impl Node {
    /// Runs as traces.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Waits for a stream's turn to read what was recorded before. A stream keeps it no longer than until its reader has
    /// enough to read.
    pub(crate) async fn history_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns.histories).acquire_owned().await.ok()
    }

    /// Events as streams show them, encoded once for all readers.
    pub(crate) fn encoded(&self) -> &EncodedEvents {
        &self.encoded
    }

    /// Tokens and sessions.
    #[must_use]
    pub fn access(&self) -> &AccessControl {
        &self.access
    }

    /// The metrics of this process.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Starts counting recorded events in the metrics and writing them to the log.
    pub fn measure(&self) {
        let (store, metrics) = (Arc::clone(&self.store), Arc::clone(&self.metrics));
        tokio::spawn(metrics::follow(store, metrics, self.closing.clone()));
        tokio::spawn(crate::log::follow(Arc::clone(&self.store), self.closing.clone()));
    }

    /// Whether it can be relied on.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        *self.readiness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether it can be relied on.
    pub fn set_readiness(&self, readiness: Readiness) {
        let mut stands = self.readiness.lock().unwrap_or_else(PoisonError::into_inner);
        // A broken node stays broken.
        if *stands != Readiness::Broken {
            *stands = readiness;
        }
    }

    /// Resolves when a part of the engine has panicked, with the fault to end with. From then on the readiness is
    /// [`Readiness::Broken`].
    pub async fn broken(&self) -> Fault {
        let what = self.engine.broken().await;
        self.set_readiness(Readiness::Broken);
        Fault::new(Code::Broken, format!("the engine is broken: {what}"))
            .hint("nothing that was acknowledged is lost: start it again, and report the message as a bug")
    }

    /// Resolves when the folder was moved, removed or taken by another process, with the fault to end with: nothing that this
    /// process waits for would be stored any more.
    pub(crate) async fn folder_lost(&self) -> Fault {
        let mut writability = self.store.writability();
        let lost = writability.wait_for(|now| matches!(now, Writability::NotOurs(_))).await;
        match lost.map(|now| now.clone()) {
            Ok(Writability::NotOurs(why)) => {
                Fault::new(Code::NotOurs, why).hint("the next start opens what lies there now")
            }
            // The store is being closed.
            _closed => std::future::pending().await,
        }
    }

    /// The URL that it serves at, if it does.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.get().map(String::as_str)
    }

    /// Sets the URL that it serves at, in `owner.json` too.
    pub fn set_url(&self, url: &str) {
        let url = self.url.get_or_init(|| url.to_owned());
        if let Err(error) = record::write(&self.layout.owner(), Some(url)) {
            tracing::warn!(%error, "owner.json could not be written");
        }
    }

    /// Whether children of this process act for its user.
    pub(crate) fn trusts_children(&self) -> bool {
        self.trusts_children
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Waits for the turn to work out an answer of a backtest; dropping it ends the turn.
    pub(crate) async fn backtest_turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.turns.backtest.acquire().await.ok()
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// The paths of the data folder.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The store's epoch: cursors of another one are refused.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// What opening the store found.
    #[must_use]
    pub fn report(&self) -> Option<&OpenReport> {
        self.sled.as_ref().map(|sled| sled.report())
    }

    /// Resolves when the owner begins to end.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// A turn to wait for the end of a run.
    ///
    /// # Errors
    /// Too many requests wait.
    pub(crate) fn end_turn(&self) -> Result<EndTurn<'_>, Fault> {
        let turn = self.turns.ends.try_acquire();
        turn.map(|permit| EndTurn { _permit: permit }).map_err(|_| {
            let what = format!("{ENDS_AWAITED_MAX} requests wait for ends of runs already");
            Fault::new(Code::Busy, what).hint("ask without `wait`").retry_after(Duration::from_secs(1))
        })
    }

    /// Waits for the end of a run, for at most this long; returns early where the node begins to end.
    ///
    /// # Errors
    /// The run cannot be read.
    pub(crate) async fn until_end(
        &self,
        _turn: &EndTurn<'_>,
        run: RunId,
        within: Duration,
    ) -> Result<(), Fault> {
        tokio::select! {
            ended = self.engine.until_end(run) => ended.map(|_is_ended| ()).map_err(Fault::from),
            () = tokio::time::sleep(within) => Ok(()),
            () = self.closing() => Ok(()),
        }
    }

    /// Cancelled when the node begins to end.
    pub(crate) fn closing_token(&self) -> &CancellationToken {
        &self.closing
    }

    /// Ends streams and refuses new writes; the rest of the end is [`crate::serve::NodeGuard::release`].
    pub fn begin_closing(&self) {
        self.closing.cancel();
    }

    /// Whether the store takes no writes at this moment.
    #[must_use]
    pub fn may_not_write(&self) -> bool {
        self.may_write().is_err()
    }

    /// The sizes of the folder's files, in bytes; null for a store in memory.
    ///
    /// # Errors
    /// The folder cannot be looked through.
    pub async fn files(&self) -> Result<serde_json::Value, Fault> {
        let Some(sled) = self.sled.clone() else { return Ok(serde_json::Value::Null) };
        let info = tokio::task::spawn_blocking(move || sled.info()).await;
        let info = info.map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        Ok(serde_json::json!({
            "format": info.format,
            "segments": info.segments.len(),
            "journal_bytes": info.segments.iter().map(|segment| segment.used_bytes).sum::<u64>(),
            "index_bytes": info.index_bytes,
            "blobs_bytes": info.blobs_bytes,
        }))
    }

    /// Lets a copied or moved store act; gives the attempts that were put aside, because its history has not come to them.
    ///
    /// # Errors
    /// The adoption cannot be recorded, or attempts cannot be put aside.
    pub async fn adopt(&self) -> Result<Option<LostPast>, Fault> {
        let Some(sled) = &self.sled else { return Ok(None) };
        let asked = Arc::clone(sled);
        let info = tokio::task::spawn_blocking(move || asked.info()).await;
        let info = info.map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        let lost = if info.adopted {
            None
        } else {
            lost_past::put_aside(&self.layout, &*self.store, self.engine()).await?
        };
        sled.adopt().await?;
        Ok(lost)
    }

    /// The quarantined runs, each with the reason.
    #[must_use]
    pub fn set_aside(&self) -> Vec<(RunId, String)> {
        self.engine.set_aside()
    }

    /// Why a run is set aside, where it is.
    #[must_use]
    pub fn why_set_aside(&self, run: RunId) -> Option<String> {
        self.engine.why_set_aside(run)
    }

    pub(super) fn driven(&self) -> std::sync::MutexGuard<'_, BTreeSet<RunId>> {
        self.driven_runs.driven()
    }

    pub(super) fn detached(&self) -> std::sync::MutexGuard<'_, BTreeSet<RunId>> {
        self.driven_runs.detached()
    }

    /// The runs that this node drives, the runs that wait for them, and the runs that these started: no command waits for
    /// a child whose parent has ended.
    pub async fn driven_runs(&self) -> Vec<RunId> {
        let (mut driven, mut detached) = (self.driven().clone(), self.detached().clone());
        let found = self.runs(None, move |runs| {
            // The end of a child is for the run that waits for it.
            for run in driven.clone() {
                let mut above = runs.get(run, None)?.and_then(|row| row.parent);
                while let Some(parent) = above.take() {
                    let open = runs.get(parent.run, None)?.filter(|row| !row.shown.status.is_ended());
                    if let Some(row) = open
                        && driven.insert(parent.run)
                    {
                        above = row.parent;
                    }
                }
            }
            let mut parents: Vec<RunId> = driven.iter().copied().collect();
            while let Some(parent) = parents.pop() {
                let is_open = runs.get(parent, None)?.is_some_and(|row| !row.shown.status.is_ended());
                let left = !is_open || detached.contains(&parent);
                for child in runs.open(Some(parent))? {
                    if driven.insert(child) {
                        parents.push(child);
                    }
                    if left {
                        detached.insert(child);
                    }
                }
            }
            Ok((driven, detached))
        });
        if let Ok((driven, detached)) = found.await {
            self.driven().extend(driven);
            self.detached().extend(detached);
        }
        self.driven().iter().copied().collect()
    }

    /// The runs that no command waits for.
    #[must_use]
    pub fn detached_runs(&self) -> Vec<RunId> {
        self.detached().iter().copied().collect()
    }
}
