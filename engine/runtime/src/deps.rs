//! What every part of the engine may use: settings, store, values, the outside, clocks.
//!
//! Law: a leaf. It owns no actor, starts no task and decides nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::EngineConfig;
use crate::definitions::Definitions;
use crate::load::Loader;
use crate::values::ValueStore;
use crate::writable::until_writable;
use everfold_base::blobs::Blobs;
use everfold_base::data_folder::Layout;
use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_core::artefact::Usage;
use everfold_core::prices::Priced;
use everfold_ports::Edge;
use everfold_store::EventStore;
use everfold_system::clock;
use everfold_system::clock::Clock;

/// Models without a price of which it is remembered that a warning was written.
const UNPRICED_MAX: usize = 1_000;

/// The dependencies of the engine's parts.
pub(crate) struct Deps {
    pub(crate) config: EngineConfig,
    /// Counts from the start of the engine and does not jump.
    steady: Clock,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) layout: Layout,
    pub(crate) edge: Edge,
    pub(crate) definitions: Definitions,
    pub(crate) values: ValueStore,
    /// Models without a price for which a warning was written.
    unpriced: Mutex<BTreeSet<String>>,
}

impl Deps {
    pub(crate) fn new(
        config: EngineConfig,
        steady: Clock,
        store: Arc<dyn EventStore>,
        blobs: Arc<dyn Blobs>,
        layout: Layout,
        edge: Edge,
    ) -> Self {
        Self {
            definitions: Definitions::new(Arc::clone(&store), config.clock.clone()),
            values: ValueStore::new(Arc::clone(&store), Arc::clone(&blobs), &config),
            unpriced: Mutex::default(),
            config,
            steady,
            store,
            blobs,
            layout,
            edge,
        }
    }

    /// What the machine's clock says.
    pub(crate) fn now(&self) -> Timestamp {
        (self.config.clock)()
    }

    /// What the clock said at the start of the engine, plus the time since then. Retry pauses count by it, because it
    /// does not jump.
    pub(crate) fn steady(&self) -> Timestamp {
        (self.steady)()
    }

    /// The id of a run that begins now.
    pub(crate) fn draw_uuid(&self) -> uuid::Uuid {
        clock::uuid_v7(self.now(), (self.config.chance)())
    }

    /// 64 random bits.
    pub(crate) fn draw_u64(&self) -> u64 {
        u64::try_from((self.config.chance)() >> 64).unwrap_or_default()
    }

    pub(crate) fn loader(&self) -> Loader<'_> {
        Loader { store: self.store.as_ref(), definitions: &self.definitions }
    }

    /// Waits until the store takes appends again: there is room on the disk, or a segment to write to.
    /// `None`: the store takes no more appends.
    pub(crate) async fn until_writable(&self) -> Option<()> {
        until_writable(self.store.writability()).await
    }

    /// Fills in what a use cost, where the prices say so. A use without a cost is warned of where that is the whole
    /// use of an attempt: a program may tell its cost at its end alone. Whether the cost is what the program said.
    pub(crate) fn price(&self, run: RunId, usage: &mut Usage, is_all: bool) -> bool {
        let priced = self.config.money.prices.fill(usage);
        if priced != Priced::Unknown || !is_all {
            return priced == Priced::Known;
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
        false
    }
}
