//! Why the work of a trigger stopped without an outcome.

/// The engine ends, or its store does; the next engine goes on with the work.
#[derive(Debug)]
pub(crate) struct EngineStopped;
