//! Child runs: the executor of kind `run`.
//!
//! Law: an attempt starts one child, whose id follows from the attempt; that it exists already means that it was
//! started. The child is an ordinary run with a stream of its own. The attempt ends when the child has ended,
//! whichever engine brought that about; so a crash of the engine shows in nothing, and an end that came while no
//! engine ran is seen at once.
//!
//! Starting and stopping the same child never happen at once, and a start that finds its attempt being stopped does
//! not happen: no unknown child is left behind.

pub(crate) mod cancel;
pub(crate) mod end;
pub(crate) mod executor;
pub(crate) mod parent;
pub(crate) mod spec;
pub(crate) mod start;
