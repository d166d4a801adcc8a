//! The owner of a data folder: the one process that holds its lock, its store and its engine.
//!
//! Law: every owner listens on the folder's socket with the same routes, so that a command gives the
//! same answer whether another process owns the folder or the command itself does.
//!
//! [`hold`] opens a folder; the command line's client decides when.

mod aborts;
mod begin;
mod breakers;
mod check;
mod duties;
mod fork;
mod held;
mod hooks;
mod measure;
mod moments;
mod notices;
mod order;
mod pipelines;
mod read;
mod record;
mod schedules;
mod socket;
mod steps;
mod verify;
mod went;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use everfold_engine::breakers::Resets;
use everfold_engine::driver::{Engine, NoticeSubscription};
use everfold_engine::id::RunId;
use everfold_engine::layout::Layout;
use everfold_engine::ledger::Ledger;
use everfold_engine::store::{EventStore, OpenReport, SledStore};
use everfold_projections::ReadSide;
use everfold_workflows::function::Functions;
use everfold_workflows::hook::HookSettings;
use everfold_workflows::remote::Book;
use everfold_workflows::settings::{Settings, SettingsError};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::access::AccessDesk;
use crate::fault::{Code, Fault};
use crate::http;
use crate::metrics::{self, Metrics};
use crate::traces::Traces;

pub use begin::{Begin, Begun, Source, built_in, parsed};
pub(crate) use fork::Again;
pub use held::{Held, HoldOptions, hold, imagine};
pub(crate) use held::{make_folder, unknown_work};
pub use hooks::{DeliveryView, HandlingView, OutcomeView};
pub(crate) use moments::RunDiff;
pub use notices::{NoticeView, SubscriptionView};
pub use order::{HaltView, HaltsView, Signal, Signalled, Taken};
pub use read::{Replay, ReplayDifference};
pub use record::{OwnerRecord, read as read_record};
pub(crate) use schedules::Add;
pub use schedules::{ScheduleView, TickView};
pub use socket::{connect, listen};
pub use verify::{Verified, verify_folder};
pub use went::Went;
pub use workers::WorkersAnswer;
pub(crate) use workers::unknown_view;

/// What the routes work on.
pub struct Owner {
    engine: Engine,
    access: AccessDesk,
    resets: Ledger<Resets>,
    metrics: Arc<Metrics>,
    readiness: Mutex<Readiness>,
    /// Where it serves, once it does.
    url: OnceLock<String>,
    store: Arc<dyn EventStore>,
    sled: Option<Arc<SledStore>>,
    layout: Layout,
    epoch: String,
    views: Arc<ReadSide>,
    /// Runs that nobody waits for and that are to go on when this owner ends.
    detached: Mutex<BTreeSet<RunId>>,
    /// Runs that this owner goes on with.
    driven: Mutex<BTreeSet<RunId>>,
    closing: CancellationToken,
    functions: Arc<Functions>,
    book: Book,
    /// How sources of webhooks are read.
    hooks: BTreeMap<String, HookSettings>,
    /// Who is told of events of all runs.
    subscriptions: Vec<NoticeSubscription>,
    /// Runs as traces.
    traces: Traces,
    /// Events as streams show them.
    encoded: http::Encoded,
    /// Whose turn it is to verify the store.
    verifying: Arc<Semaphore>,
    /// One answer of a backtest is worked out at a time: it costs as much as its caller's policy.
    backtesting: Semaphore,
    /// Whose turn it is to have a shell read commands.
    checking: Semaphore,
    /// They are being told.
    telling: OnceCell<()>,
    /// The duties by the clock are kept.
    attended: AtomicBool,
    /// Whether this process's own children act for its user: so in a program that embeds the engine.
    trusts_children: bool,
}

/// Whether the owner can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Runs are being recovered.
    Starting,
    /// Runs are recovered.
    Ready,
    /// It ends in a moment.
    Ending,
    /// A part of the engine panicked; it ends in a moment.
    Broken,
}

impl Readiness {
    /// Whether new requests are welcome.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Ending => "ending",
            Self::Broken => "broken",
        }
    }
}

impl Owner {
    /// Runs as traces.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Events as streams show them, encoded once for all readers.
    pub(crate) fn encoded(&self) -> &http::Encoded {
        &self.encoded
    }

    /// Tokens and sessions.
    #[must_use]
    pub fn access(&self) -> &AccessDesk {
        &self.access
    }

    /// What is measured.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Counts what is recorded from here on, and says it where the log is to.
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
        // What is broken does not get ready again.
        if *stands != Readiness::Broken {
            *stands = readiness;
        }
    }

    /// Resolves with the fault to end with when a part of the engine panicked; requests that ask whether
    /// the owner can be relied on are told so from then on.
    pub async fn broken(&self) -> Fault {
        let what = self.engine.broken().await;
        self.set_readiness(Readiness::Broken);
        Fault::new(Code::Broken, format!("the engine is broken: {what}"))
            .hint("nothing that was acknowledged is lost: start it again, and report the message as a bug")
    }

    /// Where it serves, if it does.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.get().map(String::as_str)
    }

    /// Says where it serves, to whoever looks into the folder too.
    pub fn set_url(&self, url: &str) {
        let url = self.url.get_or_init(|| url.to_owned());
        if let Err(error) = record::write(&self.layout.owner(), Some(url)) {
            tracing::warn!(%error, "owner.json could not be written");
        }
    }

    /// Whether this process's own children act for its user.
    fn trusts_children(&self) -> bool {
        self.trusts_children
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The turn to work out an answer of a backtest; it is given back when it is dropped.
    pub(crate) async fn backtest_turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.backtesting.acquire().await.ok()
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// Where things lie.
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

    /// Ends streams and refuses new writes; the rest of the end is [`Held::release`].
    pub fn begin_closing(&self) {
        self.closing.cancel();
    }

    /// Whether the store takes no writes at this moment.
    #[must_use]
    pub fn may_not_write(&self) -> bool {
        self.may_write().is_err()
    }

    /// What lies in the folder, in bytes; null for a store in memory.
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

    /// Lets a copied or moved store act.
    ///
    /// # Errors
    /// Where that cannot be recorded.
    pub async fn adopt(&self) -> Result<(), Fault> {
        match &self.sled {
            Some(sled) => Ok(sled.adopt().await?),
            None => Ok(()),
        }
    }

    /// The runs that cannot be gone on with, and why.
    #[must_use]
    pub fn set_aside(&self) -> Vec<(RunId, String)> {
        self.engine.set_aside()
    }

    fn driven(&self) -> std::sync::MutexGuard<'_, BTreeSet<RunId>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn detached(&self) -> std::sync::MutexGuard<'_, BTreeSet<RunId>> {
        self.detached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs that this owner goes on with, and what they started: nobody waits for a child whose
    /// parent has ended.
    pub async fn driven_runs(&self) -> Vec<RunId> {
        let (mut driven, mut detached) = (self.driven().clone(), self.detached().clone());
        let found = self.runs(None, move |runs| {
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

    /// The runs that nobody waits for.
    #[must_use]
    pub fn detached_runs(&self) -> Vec<RunId> {
        self.detached().iter().copied().collect()
    }
}

/// Reads the settings of a folder, or those of `--config`.
///
/// # Errors
/// Unknown keys and wrong values, with the line.
pub fn settings(layout: &Layout, config: Option<&Path>) -> Result<Settings, Fault> {
    let path = config.map_or_else(|| layout.settings(), Path::to_owned);
    if config.is_some() && !path.exists() {
        return Err(Fault::new(Code::File, format!("there is no file {}", path.display())));
    }
    Settings::load(&path).map_err(|error| match &error {
        SettingsError::Io { .. } => Fault::new(Code::File, crate::fault::chain(&error)),
        _invalid => {
            Fault::new(Code::Settings, crate::fault::chain(&error)).hint("`everfold doctor` lists the keys")
        }
    })
}
