//! The `git` program, and what is done with it: worktrees of runs, commits of leftovers.

mod call;
mod functions;
mod locks;
mod repository;
mod save;
mod worktrees;

pub(crate) use call::Git;
pub use call::GitError;
pub(crate) use functions::{Context, declare};
pub(crate) use locks::free as free_locks;
pub(crate) use save::{SaveRequest, head, reset, save};
pub use worktrees::GitWorkspaces;
