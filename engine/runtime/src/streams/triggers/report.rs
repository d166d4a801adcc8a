//! What telling runs of a signal came to.

/// How a run took a signal.
pub(crate) enum SignalReply {
    Heard(SignalTiming),
    /// It is recorded there, and nothing follows: why.
    Unheard(String),
    Gone,
    Refused(String, String),
}

/// When a signal that was taken is followed, the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SignalTiming {
    /// Where a `wait` comes for it.
    Kept,
    /// When the work that executes has ended.
    Deferred,
    /// At once.
    Now,
}
