//! Why the work of a trigger stopped without an outcome.

/// The engine or its store ends, or something cannot be read now: the caller tries again later, or the next engine
/// does.
#[derive(Debug)]
pub(crate) struct EngineStopped;
