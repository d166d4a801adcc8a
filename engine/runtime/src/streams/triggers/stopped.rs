//! Why the work of a trigger stopped without an outcome.

/// The engine ends, or its store does: what was begun is gone on with by the next one.
#[derive(Debug)]
pub(crate) struct EngineStopped;
