//! The settings of an engine: its bounds, its clock and randomness, its prices.

use std::time::Duration;

use crate::blocking::Blocking;
use crate::scheduler::settings::OrderConfig;
use everfold_core::prices::Prices;
use everfold_language::definition::Rates;
use everfold_store::Fence;
use everfold_system::clock;
use everfold_system::clock::{Chance, Clock};

/// How an engine is run. No bound is unlimited.
#[derive(Clone)]
pub struct EngineConfig {
    /// Shard tasks; each run belongs to one of them.
    pub shards: usize,
    /// Messages that wait for one shard; more make the senders wait.
    pub inbox: usize,
    /// Inputs that wait for one run, and as many queries; one that comes on top is refused as busy.
    pub queue: usize,
    /// How long a sender waits for a full inbox.
    pub patience: Duration,
    /// Folded states kept in memory beside those of runs with work in progress.
    pub states: usize,
    /// Of them, those of runs that have ended; they leave first.
    pub ended_states: usize,
    /// Their approximate size in bytes.
    pub states_bytes: u64,
    /// Bytes of loaded values kept in memory.
    pub values_bytes: usize,
    /// Supervised processes in progress at once. 0: none is started, and what lives on is attached to.
    pub supervised_max: usize,
    /// In-process attempts in progress at once.
    pub functions_max: usize,
    /// Attempts at once that remote workers fetch and do, those not yet fetched among them.
    pub elsewhere_max: usize,
    /// Probes in progress at once.
    pub probes_max: usize,
    /// Notices that are being sent at once.
    pub notices_max: usize,
    /// The order among requests that wait, and what they wait for beside these places.
    pub order: OrderConfig,
    /// How long in-process work may go on after a stop or a shutdown.
    pub grace: Duration,
    /// How long a recovered run's timers wait for the results of what lived on meanwhile.
    pub settle: Duration,
    /// How often a decision is taken again when another writer was first.
    pub tries: u32,
    /// Where the time comes from; virtual in simulations.
    pub clock: Clock,
    /// The longest sleep while something is due later: the machine's clock may be set meanwhile. One that only passes needs
    /// no look in between.
    pub sleep_max: Duration,
    /// Where ids and jitter come from; a seed in simulations.
    pub chance: Chance,
    /// Where work is done that waits for files.
    pub blocking: Blocking,
    /// What tokens cost, and what currencies are worth.
    pub money: MoneyConfig,
    /// How long credentials that a request brought are kept at most.
    pub credentials_kept: Duration,
    /// The ownership that appends claim.
    pub fence: Option<Fence>,
    /// For tests and demonstrations: the process kills itself right after an event of this name is
    /// durable; `*`: after any event of a run.
    pub crash_after: Option<String>,
}

/// What tokens cost, and what currencies are worth.
#[derive(Debug, Clone, Default)]
pub struct MoneyConfig {
    /// What tokens cost where the executor does not say.
    pub prices: Prices,
    /// What other currencies are worth, for amounts that people give.
    pub rates: Rates,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            shards: std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 16),
            inbox: 1_024,
            queue: 1_024,
            patience: Duration::from_secs(5),
            states: 10_000,
            ended_states: 256,
            states_bytes: 128 * 1024 * 1024,
            values_bytes: 16 * 1024 * 1024,
            supervised_max: 64,
            functions_max: 1_024,
            elsewhere_max: 16_384,
            probes_max: 64,
            notices_max: 32,
            order: OrderConfig::default(),
            grace: Duration::from_secs(4),
            settle: Duration::from_secs(2),
            tries: 5,
            clock: clock::system(),
            sleep_max: Duration::from_secs(5),
            chance: clock::chance(),
            blocking: Blocking::default(),
            money: MoneyConfig::default(),
            credentials_kept: Duration::from_secs(24 * 60 * 60),
            fence: None,
            crash_after: None,
        }
    }
}

impl std::fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineConfig")
            .field("shards", &self.shards)
            .field("inbox", &self.inbox)
            .field("states", &self.states)
            .field("supervised_max", &self.supervised_max)
            .field("functions_max", &self.functions_max)
            .field("elsewhere_max", &self.elsewhere_max)
            .field("crash_after", &self.crash_after)
            .finish_non_exhaustive()
    }
}
