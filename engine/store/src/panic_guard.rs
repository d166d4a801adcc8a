//! Turns a panic of sled's, its way of failing on damage, into an error: in the index, and in the files of the read
//! models.
//!
//! Law: no panic inside [`guarded`] is reported as a fault of the program; one outside of it is.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// A panic on this thread is sled's, and becomes an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Turns a panic into its message, and keeps it from being reported as a fault of the program.
///
/// # Errors
/// The message of the panic.
pub fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, String> {
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
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_within_is_its_message_and_what_is_without_stays() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert_eq!(guarded(|| panic!("page {} is gone", 3)), Err::<(), _>("page 3 is gone".to_owned()));
        // One within another: the outer one goes on.
        let nested = guarded(|| guarded(|| panic!("inner")).is_err() && GUARDED.get());
        assert_eq!((nested, GUARDED.get()), (Ok(true), false));
    }
}
