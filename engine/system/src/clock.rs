//! The one place that reads a clock or draws a random number.
//!
//! Law: [`now`] says what the machine's clock says. Small steps back are absorbed, so that two readings one after
//! the other do not come in the wrong order; a larger one is followed: a clock that was ahead for a moment must
//! not stop the time of this process. Whatever must not go back (the times of a run's record, of the groups of
//! the store) is guarded where it is recorded.
//!
//! Called by the store, which stamps groups, and by the runtime, which gives inputs their time.
#![allow(clippy::disallowed_methods, reason = "this is the one place")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use everfold_base::time::Timestamp;

pub use everfold_base::time::{Chance, Clock};

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

/// A clock that shows the time of another one now, and does not jump with it.
#[must_use]
pub fn steady(from: &Clock) -> Clock {
    let (begun, watch) = (from(), Stopwatch::start());
    Arc::new(move || begun.plus(watch.elapsed()))
}

/// Steps back up to this are absorbed.
const ABSORBED_MS: i64 = 100;
/// From here on a step is logged.
const JUMP_MS: i64 = 1_000;

/// What the machine's clock says.
#[must_use]
pub fn now() -> Timestamp {
    static LATEST: Latest = Latest::new();
    let now = LATEST.read(machine_ms);
    log_jumps(now);
    now
}

fn machine_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}

/// The latest reading, as long as the clock confirms it.
struct Latest(AtomicI64);

impl Latest {
    const fn new() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    fn read(&self, clock: impl FnOnce() -> i64) -> Timestamp {
        // Loaded before the clock is read: a lower reading can only mean that the clock was set back.
        let latest = self.0.load(Ordering::SeqCst);
        let read = clock();
        if read >= latest || latest.saturating_sub(read) > ABSORBED_MS {
            // Where another thread stored its reading first, that one stays.
            let _other = self.0.compare_exchange(latest, read, Ordering::SeqCst, Ordering::SeqCst);
            return Timestamp(read);
        }
        Timestamp(latest)
    }
}

/// Logs where the clock moved by another span than has passed.
fn log_jumps(now: Timestamp) {
    static BEGUN: OnceLock<(Timestamp, std::time::Instant)> = OnceLock::new();
    static AHEAD_MS: AtomicI64 = AtomicI64::new(0);
    let (begun, watch) = BEGUN.get_or_init(|| (now, std::time::Instant::now()));
    let passed = i64::try_from(watch.elapsed().as_millis()).unwrap_or(i64::MAX);
    let ahead = now.0.saturating_sub(begun.0).saturating_sub(passed);
    let former = AHEAD_MS.load(Ordering::Relaxed);
    let jump = ahead.saturating_sub(former);
    if jump.abs() < JUMP_MS
        || AHEAD_MS.compare_exchange(former, ahead, Ordering::Relaxed, Ordering::Relaxed).is_err()
    {
        return;
    }
    let (span, now) = (Duration::from_millis(jump.unsigned_abs()), now.to_string());
    match jump > 0 {
        true => tracing::warn!(?span, now, "the machine's clock jumped ahead, or the machine slept"),
        false => tracing::warn!(?span, now, "the machine's clock was set back"),
    }
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
    fn the_clock_says_what_time_it_is() {
        let first = now();
        assert!(first > Timestamp(1_600_000_000_000), "the clock says {first}");
    }

    #[test]
    fn row_07_a_maximum_that_the_clock_does_not_confirm_is_let_go_of_and_small_steps_back_are_absorbed() {
        let latest = Latest::new();
        let hour = 3_600_000;
        let readings = [1_000, 1_050, 1_000, 1_051, 1_051 + hour, 1_052, 1_060, 1_060 - hour, 1_061 - hour];
        let said: Vec<i64> = readings.into_iter().map(|it| latest.read(|| it).0).collect();
        let wanted = [1_000, 1_050, 1_050, 1_051, 1_051 + hour, 1_052, 1_060, 1_060 - hour, 1_061 - hour];
        assert_eq!(said, wanted);
    }

    #[test]
    fn row_07_a_steady_clock_does_not_follow_a_jump() {
        let ahead = Arc::new(AtomicI64::new(0));
        let jumping: Clock = {
            let ahead = Arc::clone(&ahead);
            Arc::new(move || Timestamp(1_000_000 + ahead.load(Ordering::SeqCst)))
        };
        let steady = steady(&jumping);
        let before = steady();
        ahead.store(3_600_000, Ordering::SeqCst);
        assert!(steady().since(before) < Duration::from_secs(3_600));
        ahead.store(-3_600_000, Ordering::SeqCst);
        assert!(steady() >= before);
    }
}
