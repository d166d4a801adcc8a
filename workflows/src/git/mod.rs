//! The `git` program, and what is done with it: worktrees of runs, commits of leftovers.
//!
//! | file | what it is |
//! |---|---|
//! | `call`, `own_worktree` | one call of git, and the folder in which it may act |
//! | `former_gits` | gits of an owner of the data folder that was killed |
//! | `worktrees`, `copies`, `discard` | makes, copies and removes the worktree of a run |
//! | `turn`, `locks` | one change of a repository at a time; locks that a killed git left |
//! | `save`, `nested` | commits what an attempt left, or refuses |
//! | `measured_commit` | what people approve with a commit |
//! | `functions` | the functions `git.*` |

mod authorise;
mod branch_moved;
mod call;
mod copies;
mod discard;
mod error;
mod former_gits;
mod functions;
mod locks;
mod measured_commit;
mod nested;
mod own_worktree;
pub(crate) mod repository;
mod save;
mod save_error;
mod standing;
mod turn;
mod unwritable;
mod workspaces;
mod worktrees;

pub(crate) use branch_moved::{own_base, take_over};
pub(crate) use call::{CEILING, Git, ceiling_of};
pub use error::GitError;
pub use former_gits::MarkedGits;
pub(crate) use functions::{Context, declare};
pub(crate) use locks::free as free_locks;
pub(crate) use measured_commit::measured_commit;
pub(crate) use repository::unable;
pub(crate) use save::{SaveRequest, head, reset, save};
pub(crate) use save_error::SaveError;
pub use workspaces::GitWorkspaces;
