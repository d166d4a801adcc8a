//! An engine in virtual time: its thread, its calendar, its draws.
//!
//! Law: time passes only while nothing else is to be done, and the same text draws the same.
#![allow(clippy::disallowed_methods, reason = "virtual time comes from the paused runtime")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use everfold_engine::clock::{Chance, Clock};
use everfold_engine::json::Hash;
use everfold_engine::time::Timestamp;

/// Has something done in virtual time, on a thread of its own: the caller may stand in a runtime, whose time is real.
///
/// # Errors
/// What ended it, in one line.
pub(crate) fn in_virtual_time<T: Send>(
    play: impl AsyncFnOnce() -> Result<T, String> + Send,
) -> Result<T, String> {
    let played = std::thread::scope(|scope| {
        let played = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let runtime = runtime.map_err(|error| format!("the runtime could not be started: {error}"))?;
            runtime.block_on(play())
        });
        played.join()
    });
    played.unwrap_or_else(|_panic| Err("the engine panicked: a bug of Everfold".to_owned()))
}

/// The calendar of the paused runtime.
pub(crate) fn virtual_clock(start: Timestamp) -> Clock {
    let begun = tokio::time::Instant::now();
    Arc::new(move || start.plus(begun.elapsed()))
}

/// Ids and jitter that follow from a text.
pub(crate) fn seeded(seed: &str) -> Chance {
    let (seed, count) = (seed.to_owned(), AtomicU64::new(0));
    Arc::new(move || {
        let count = count.fetch_add(1, Ordering::Relaxed);
        let Hash(bytes) = Hash::of(format!("{seed}/{count}").as_bytes());
        bytes.iter().take(16).fold(0_u128, |number, byte| (number << 8) | u128::from(*byte))
    })
}
