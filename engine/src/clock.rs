//! The one place that reads a clock or draws a random number.
//!
//! Law: [`now`] never goes back within a process, whatever is done to the machine's clock.
//!
//! Called by the store, which stamps groups, and by the driver, which gives inputs their time.
#![allow(clippy::disallowed_methods, reason = "this is the one place")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::time::Timestamp;

/// Where a store or driver takes the time from; virtual in simulations.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where a driver takes random bits from; drawn from a seed in simulations.
pub type Chance = Arc<dyn Fn() -> u128 + Send + Sync>;

/// The operating system's generator.
#[must_use]
pub fn chance() -> Chance {
    Arc::new(draw_u128)
}

/// The machine's clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(now)
}

/// The machine's time; where that was set back, the latest time read so far.
#[must_use]
pub fn now() -> Timestamp {
    static LATEST: AtomicI64 = AtomicI64::new(i64::MIN);
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Timestamp(LATEST.fetch_max(millis, Ordering::Relaxed).max(millis))
}

/// 64 random bits from the operating system's generator.
#[must_use]
pub fn draw_u64() -> u64 {
    rand::random()
}

/// 128 random bits from the operating system's generator.
#[must_use]
pub fn draw_u128() -> u128 {
    rand::random()
}

/// A UUIDv7: the given time, and 74 of the given bits.
#[must_use]
pub fn uuid_v7(at: Timestamp, bits: u128) -> uuid::Uuid {
    let bytes = bits.to_le_bytes();
    let bits = std::array::from_fn(|at| bytes[at]);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &bits).into_uuid()
}

/// Measures a span; unlike [`now`] it does not follow the machine's calendar. In a paused runtime it
/// measures virtual time.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The span since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let first = now();
        assert!(now() >= first);
        assert!(first > Timestamp(1_600_000_000_000), "the clock says {first}");
    }
}
