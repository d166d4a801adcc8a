//! Turns a panic of sled's, its way of failing on damage, into an error.
//!
//! Law: no panic inside [`guarded`] is reported as a fault of the program; one outside of it is.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::error::IndexError;

thread_local! {
    /// A panic on this thread is sled's, and becomes an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Turns a panic into an error, and keeps it from being reported as a fault of the program.
pub(super) fn guarded<T>(body: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.try_with(Cell::get).unwrap_or(false) {
                report(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    GUARDED.set(outer);
    outcome.unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(IndexError::new(format!("the index panicked: {what}")))
    })
}
