//! The `git` program, and what is done with it: worktrees of runs, commits of leftovers.

mod call;
mod copies;
mod discard;
mod functions;
mod locks;
mod nested;
mod place;
mod repository;
mod save;
mod turn;
mod worktrees;

pub use call::GitError;
pub(crate) use call::{CEILING, Git, ceiling_of};
pub(crate) use functions::{Context, declare};
pub(crate) use locks::free as free_locks;
pub(crate) use repository::unable;
pub(crate) use save::{SaveError, SaveRequest, head, reset, save};
pub use worktrees::GitWorkspaces;
