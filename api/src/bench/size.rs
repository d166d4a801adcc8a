//! How much the bench measures.

use std::time::Duration;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub(crate) raw: Duration,
    pub(crate) single_runs: usize,
    pub(crate) many_runs: usize,
    pub(crate) fan_out: usize,
    pub(crate) unfinished: usize,
    pub(crate) history: u64,
    pub(crate) listed: usize,
    pub(crate) unsent: usize,
    pub(crate) served_single: usize,
    pub(crate) served_many: usize,
    pub(crate) served_starts: usize,
}

impl Size {
    /// Ends within 45 s on 2 cores.
    pub const QUICK: Self = Self {
        raw: Duration::from_secs(1),
        single_runs: 500,
        many_runs: 2_000,
        fan_out: 1_000,
        unfinished: 10_000,
        history: 10_000,
        listed: 10_000,
        unsent: 2_000,
        served_single: 300,
        served_many: 300,
        served_starts: 3_000,
    };
    /// Takes minutes, and varies less.
    pub const FULL: Self = Self {
        raw: Duration::from_secs(5),
        single_runs: 5_000,
        many_runs: 20_000,
        fan_out: 10_000,
        unfinished: 50_000,
        history: 100_000,
        listed: 100_000,
        unsent: 20_000,
        served_single: 3_000,
        served_many: 2_000,
        served_starts: 30_000,
    };
}
