//! A running engine as its parts share it: dependencies, mailboxes, the scheduler, and how it stands.
//!
//! Law: it starts no actor and knows none of them, only their mailboxes.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;

use crate::aggregate_store::AggregateStore;
use crate::config::EngineConfig;
use crate::credential_holds::CredentialHolds;
use crate::deps::Deps;
use crate::end_watch::EndWatch;
use crate::live_output::Live;
use crate::mailboxes::Mailboxes;
use crate::panic::panic_text;
use crate::receivers::registry::Receivers;
use crate::recovery::start_holds::StartHolds;
use crate::run_locks::RunLocks;
use crate::saved_pipelines::SavedPipelines;
use crate::scheduler::places::Scheduler;
use crate::start::child_definitions::Children;
use crate::streams::budgets::read_counters::ReadCounters;
use crate::streams::names::NameRegistry;
use crate::streams::notifications::registry::Notifications;
use crate::streams::numbers::Numbers;
use crate::streams::triggers::trigger_cache::TriggerCache;
use crate::wakes::WakeTimes;
use crate::work::multi_probe::Members;
use everfold_base::blobs::Blobs;
use everfold_base::data_folder::Layout;
use everfold_base::id::RunId;
use everfold_core::pauses::Pauses;
use everfold_ports::Edge;
use everfold_store::EventStore;
use everfold_system::clock;

/// What all parts of a running engine share. The fields and methods of [`Deps`] are reached through [`Deref`].
pub(crate) struct Runtime {
    deps: Deps,
    pub(crate) mailboxes: Mailboxes,
    /// Counters of shared budgets, as readers asked for them.
    pub(crate) read_counters: ReadCounters,
    /// Attempts and probes that wait to start.
    pub(crate) scheduler: Arc<Scheduler>,
    /// The receivers of notices, and the notices that wait for them.
    pub(crate) receivers: Arc<Receivers>,
    /// Subscriptions to events of all runs.
    pub(crate) notifications: Notifications,
    pub(crate) live: Live,
    pub(crate) wakes: WakeTimes,
    /// Pauses of pipelines and of the engine.
    pub(crate) halts: AggregateStore<Pauses>,
    /// The counts that number runs.
    pub(crate) numbers: Numbers,
    /// What is left of the pauses that a former engine recorded was taken up.
    pub(crate) took_up_service_pauses: OnceCell<()>,
    /// Names that are given once.
    pub(crate) names: NameRegistry,
    pub(crate) ends: EndWatch,
    pub(crate) children: Children,
    pub(crate) saved_pipelines: SavedPipelines,
    /// One for each history that is being copied under an idempotency key.
    pub(crate) forks: RunLocks,
    /// Starts that are on their way with credentials.
    pub(crate) credential_holds: CredentialHolds,
    pub(crate) triggers: TriggerCache,
    /// While living attempts are re-attached, no new one starts.
    pub(crate) start_holds: StartHolds,
    /// The search for processes that a former engine left has begun.
    pub(crate) looked_for_survivors: AtomicBool,
    /// The search for workspaces that ended runs left has begun.
    pub(crate) swept: OnceCell<()>,
    /// The search for counters that hold a reservation has begun.
    pub(crate) looked_at_counters: OnceCell<()>,
    /// The engine ends: nothing new is taken or started.
    pub(crate) stopping: AtomicBool,
    quarantined: Mutex<BTreeMap<RunId, String>>,
    /// What broke first, and how.
    broken: watch::Sender<Option<String>>,
}

impl Deref for Runtime {
    type Target = Deps;

    fn deref(&self) -> &Deps {
        &self.deps
    }
}

impl Runtime {
    pub(crate) fn new(
        config: EngineConfig,
        store: Arc<dyn EventStore>,
        blobs: Arc<dyn Blobs>,
        layout: Layout,
        edge: Edge,
    ) -> Self {
        let steady = clock::steady(&config.clock);
        let scheduler = Arc::new(Scheduler::new(&config, steady.clone()));
        let edge = with_members(edge, &scheduler);
        Self {
            mailboxes: Mailboxes::default(),
            read_counters: ReadCounters::default(),
            scheduler,
            receivers: Arc::new(Receivers::new(&config, steady.clone())),
            notifications: Notifications::new(Arc::clone(&store), &config),
            live: Live::default(),
            wakes: WakeTimes::default(),
            halts: AggregateStore::new(Arc::clone(&store), config.clock.clone(), config.chance.clone()),
            numbers: Numbers::default(),
            took_up_service_pauses: OnceCell::new(),
            names: NameRegistry::default(),
            ends: EndWatch::default(),
            children: Children::default(),
            saved_pipelines: SavedPipelines::new(),
            forks: RunLocks::default(),
            credential_holds: CredentialHolds::default(),
            triggers: TriggerCache::default(),
            start_holds: StartHolds::default(),
            looked_for_survivors: AtomicBool::new(false),
            swept: OnceCell::new(),
            looked_at_counters: OnceCell::new(),
            stopping: AtomicBool::new(false),
            quarantined: Mutex::default(),
            broken: watch::Sender::new(None),
            deps: Deps::new(config, steady, store, blobs, layout, edge),
        }
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.start_holds.is_held()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Spawns a task that the engine cannot do without: where it panics, the engine is broken.
    pub(crate) fn spawn_essential(
        self: &Arc<Self>,
        what: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let Err(panic) = AssertUnwindSafe(task).catch_unwind().await else { return };
            shared.set_broken(format!("{what} {}", panic_text(panic.as_ref())));
        })
    }

    /// Says that the engine is broken; what was said first stands.
    fn set_broken(&self, report: String) {
        self.broken.send_if_modified(|broken| {
            let is_first = broken.is_none();
            if is_first {
                tracing::error!("the engine is broken: {report}");
                *broken = Some(report);
            }
            is_first
        });
    }

    /// The store takes nothing ever again. Where the engine is not being ended either, the store's writer is gone, and
    /// only another process can go on.
    pub(crate) fn store_has_closed(&self) {
        if !self.is_stopping() {
            self.set_broken("the store takes no appends any more, though nobody closed it".to_owned());
        }
    }

    /// What broke first, and how.
    pub(crate) fn broken(&self) -> watch::Receiver<Option<String>> {
        self.broken.subscribe()
    }

    /// The runs that are quarantined, and why.
    pub(crate) fn quarantined(&self) -> MutexGuard<'_, BTreeMap<RunId, String>> {
        self.quarantined.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The edge with the prober that asks several others.
fn with_members(mut edge: Edge, scheduler: &Arc<Scheduler>) -> Edge {
    let (probers, scheduler) = (edge.probers.clone(), Arc::clone(scheduler));
    edge.probers
        .insert(everfold_core::decide::plan::MEMBERS.to_owned(), Arc::new(Members { probers, scheduler }));
    edge
}
