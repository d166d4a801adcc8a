//! The reply of a run to a signal.

/// How a run took a signal.
pub(crate) enum SignalReply {
    /// A step or the run takes it.
    Taken(SignalTiming),
    /// The run recorded it, and nothing follows: why.
    NotTaken(String),
    /// The run has ended, or there is none.
    Gone,
    /// Code and message.
    Refused(String, String),
}

/// When a signal that was taken is followed, the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SignalTiming {
    /// When a `wait` begins that takes it.
    Kept,
    /// When the work that executes has ended.
    Deferred,
    /// At once.
    Now,
}
