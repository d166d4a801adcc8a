//! Failures that the engine itself reports for work.

use crate::panic::panic_text;
use everfold_base::failure::{Failure, FailureKind};

/// The failure of work that was stopped.
pub(crate) fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "stopped before its end")
}

/// The failure of work whose executor panicked.
pub(crate) fn bug(panic: &(dyn std::any::Any + Send)) -> Failure {
    Failure::new(FailureKind::Error, format!("the executor {}", panic_text(panic))).with_hint(
        "this is a bug of the step's kind or function; `retry` in the step makes the engine try again",
    )
}

/// The failure of a kind that this engine does not know.
pub(crate) fn unknown<'a>(kind: &str, what: &str, known: impl Iterator<Item = &'a String>) -> Failure {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Failure::new(FailureKind::Spawn, format!("no {what} of kind “{kind}” can be done here")).with_hint(
        format!("this engine knows: {known}; run an everfold that has “{kind}”, or change the step"),
    )
}
