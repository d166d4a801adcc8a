//! What all shards share.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::definitions::Definitions;
use super::desk::Desk;
use super::ends::Ends;
use super::hooks::HookPost;
use super::line::Line;
use super::live::Live;
use super::load::{Loader, panic_text};
use super::members::Members;
use super::message::Message;
use super::outbox::Outbox;
use super::pipelines::Children;
use super::receivers::Receivers;
use super::schedules::SchedulePost;
use super::treasury::Treasury;
use super::triggers::TriggerBook;
use super::values::Values;
use super::{Blobs, EngineConfig};
use crate::clock::{self, Clock};
use crate::execution::Edge;
use crate::halts::Halts;
use crate::id::RunId;
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::prices::Priced;
use crate::store::{EventStore, Writability};
use crate::time::Timestamp;
use crate::trace::Usage;

/// Models of which it is said that their tokens count nothing.
const UNPRICED_MAX: usize = 1_000;

/// What all shards share. The senders to shards in it are weak, so shards end with the last handle.
pub(super) struct Shared {
    pub(super) config: EngineConfig,
    steady: Clock,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) blobs: Arc<dyn Blobs>,
    pub(super) layout: Layout,
    pub(super) edge: Edge,
    pub(super) definitions: Definitions,
    pub(super) values: Values,
    /// Attempts and probes that wait for their turn.
    pub(super) line: Arc<Line>,
    /// Who is told by notices of runs, and who waits for that.
    pub(super) receivers: Arc<Receivers>,
    /// Subscriptions to events of all runs.
    pub(super) outbox: Outbox,
    pub(super) live: Live,
    pub(super) wakes: Wakes,
    /// Pauses of pipelines and of the engine.
    pub(super) halts: Ledger<Halts>,
    pub(super) ends: Ends,
    pub(super) desk: Desk,
    /// Counters of budgets that runs share.
    pub(super) treasury: Treasury,
    pub(super) children: Children,
    /// Versions of pipelines are saved one after the other, so that nobody who saves is outrun for ever.
    pub(super) saving: tokio::sync::Mutex<()>,
    pub(super) triggers: TriggerBook,
    pub(super) hooks: HookPost,
    pub(super) schedules: SchedulePost,
    /// While living attempts are re-attached, no new one starts.
    pub(super) holding: AtomicBool,
    /// What a former engine left at work has been looked for.
    pub(super) looked_for_survivors: AtomicBool,
    /// What ended runs left behind has been looked for.
    pub(super) swept: AtomicBool,
    /// Counters that keep something free were looked for.
    pub(super) looked_at_counters: AtomicBool,
    /// The engine ends: nothing new is taken or started.
    pub(super) stopping: AtomicBool,
    aside: Mutex<BTreeMap<RunId, String>>,
    /// Models whose tokens count nothing, of which it was said.
    unpriced: Mutex<BTreeSet<String>>,
    /// What of the engine broke, and how.
    broken: watch::Sender<Option<String>>,
    shards: OnceLock<Vec<mpsc::WeakSender<Message>>>,
}

/// When runs that are not loaded are to be woken.
#[derive(Default)]
pub(super) struct Wakes {
    /// Whether anyone wakes them; else runs with timers stay loaded.
    pub(super) attended: AtomicBool,
    earliest: Mutex<Option<Timestamp>>,
    pub(super) changed: Notify,
}

impl Wakes {
    /// A run with a timer left memory.
    pub(super) fn parked(&self, at: Timestamp) {
        let mut earliest = self.lock();
        if earliest.is_none_or(|earliest| at < earliest) {
            *earliest = Some(at);
            self.changed.notify_one();
        }
    }

    pub(super) fn earliest(&self) -> Option<Timestamp> {
        *self.lock()
    }

    /// All that is due was told; what is parked for later stays, because the store does not list
    /// the moments of runs that are busy.
    pub(super) fn clear(&self, now: Timestamp) {
        let mut earliest = self.lock();
        *earliest = earliest.filter(|at| *at > now);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.earliest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(super) fn new(
        config: EngineConfig,
        store: Arc<dyn EventStore>,
        blobs: Arc<dyn Blobs>,
        layout: Layout,
        edge: Edge,
    ) -> Self {
        let steady = clock::steady(&config.clock);
        let line = Arc::new(Line::new(&config, steady.clone()));
        Self {
            edge: with_members(edge, &line),
            definitions: Definitions::new(Arc::clone(&store), config.clock.clone()),
            values: Values::new(Arc::clone(&store), Arc::clone(&blobs), &config),
            line,
            receivers: Arc::new(Receivers::new(&config, steady.clone())),
            outbox: Outbox::new(Arc::clone(&store), &config),
            live: Live::default(),
            wakes: Wakes::default(),
            halts: Ledger::new(Arc::clone(&store), config.clock.clone(), config.chance.clone()),
            ends: Ends::default(),
            desk: Desk::default(),
            treasury: Treasury::default(),
            children: Children::default(),
            saving: tokio::sync::Mutex::default(),
            triggers: TriggerBook::default(),
            hooks: HookPost::default(),
            schedules: SchedulePost::default(),
            shards: OnceLock::new(),
            holding: AtomicBool::new(false),
            looked_for_survivors: AtomicBool::new(false),
            swept: AtomicBool::new(false),
            looked_at_counters: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            aside: Mutex::default(),
            unpriced: Mutex::default(),
            broken: watch::Sender::new(None),
            config,
            steady,
            store,
            blobs,
            layout,
        }
    }

    /// What the machine's clock says.
    pub(super) fn now(&self) -> Timestamp {
        (self.config.clock)()
    }

    /// What the clock said at the start of the engine, and how long that is ago: pauses count by it, because it
    /// does not jump.
    pub(super) fn steady(&self) -> Timestamp {
        (self.steady)()
    }

    /// The id of a run that begins now.
    pub(super) fn draw_uuid(&self) -> uuid::Uuid {
        clock::uuid_v7(self.now(), (self.config.chance)())
    }

    /// 64 random bits.
    pub(super) fn draw_u64(&self) -> u64 {
        u64::try_from((self.config.chance)() >> 64).unwrap_or_default()
    }

    /// The shards are there.
    pub(super) fn meet(&self, shards: Vec<mpsc::WeakSender<Message>>) {
        let _met_before = self.shards.set(shards);
    }

    pub(super) fn shards(&self) -> &[mpsc::WeakSender<Message>] {
        self.shards.get().map_or(&[], Vec::as_slice)
    }

    pub(super) fn loader(&self) -> Loader<'_> {
        Loader { store: self.store.as_ref(), definitions: &self.definitions }
    }

    pub(super) fn is_holding(&self) -> bool {
        self.holding.load(Ordering::Acquire)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until the store may take what it refused for now: there is room again, or a segment to go on in.
    /// `None`: it takes nothing any more.
    pub(super) async fn until_writable(&self) -> Option<()> {
        until_writable(self.store.writability()).await
    }

    /// Spawns a task that the engine cannot do without: where it panics, the engine is broken.
    pub(super) fn keep_up(
        self: &Arc<Self>,
        what: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let Err(panic) = AssertUnwindSafe(task).catch_unwind().await else { return };
            let told = format!("{what} {}", panic_text(panic.as_ref()));
            tracing::error!("the engine is broken: {told}");
            shared.broken.send_if_modified(|broken| {
                let is_first = broken.is_none();
                broken.get_or_insert(told);
                is_first
            });
        })
    }

    /// What of the engine broke first, and how.
    pub(super) fn broken(&self) -> watch::Receiver<Option<String>> {
        self.broken.subscribe()
    }

    /// Says what a use cost, where that can be told.
    pub(super) fn price(&self, run: RunId, usage: &mut Usage) {
        if self.config.prices.fill(usage) != Priced::Unknown {
            return;
        }
        let model = usage.model.clone().unwrap_or_default();
        let mut unpriced = self.unpriced.lock().unwrap_or_else(PoisonError::into_inner);
        if unpriced.len() < UNPRICED_MAX && unpriced.insert(model.clone()) {
            tracing::warn!(
                %run,
                model,
                "tokens without a cost count nothing towards budgets in money: give [prices.\"PROVIDER:MODEL\"] in everfold.toml"
            );
        }
    }

    /// The runs that are set aside, and why.
    pub(super) fn aside(&self) -> MutexGuard<'_, BTreeMap<RunId, String>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a wait takes at least: what is told may lag behind what was refused.
const REFUSED_AGAIN: Duration = Duration::from_millis(50);

/// Waits until a store says that it takes appends; `None` where it never will again.
pub(super) async fn until_writable(mut writable: watch::Receiver<Writability>) -> Option<()> {
    let is_told = *writable.borrow() != Writability::Writable;
    {
        let is_over = |now: &Writability| matches!(now, Writability::Writable | Writability::NotOurs(_));
        // A closed watch means a closed store.
        let now = writable.wait_for(is_over).await.ok()?;
        if *now != Writability::Writable {
            return None;
        }
    }
    if !is_told {
        tokio::time::sleep(REFUSED_AGAIN).await;
    }
    Some(())
}

/// The edge with the prober that asks several others.
fn with_members(mut edge: Edge, line: &Arc<Line>) -> Edge {
    let (probers, line) = (edge.probers.clone(), Arc::clone(line));
    edge.probers.insert(crate::decide::plan::MEMBERS.to_owned(), Arc::new(Members { probers, line }));
    edge
}
