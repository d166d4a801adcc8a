//! The functions `git.*`: what a pipeline does to its repository and at the service that hosts it.
//!
//! Law: each may be called again after a crash, at any point, and comes to the same end with the same
//! output: it looks at what is there first, and what it finds done is done. Names from others are given
//! to git as references, never as options; tokens reach it by its environment.

mod branch;
mod commit;
mod context;
mod declare;
mod failures;
mod free_branch;
mod pull;
mod push;
mod ready;
mod references;

pub(crate) use context::Context;
pub(crate) use declare::declare;
