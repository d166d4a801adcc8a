//! Probers: they collect the evidence that policies judge.
//!
//! Law: a prober never judges. Evidence holds what was found, where (`source`), and the parameters
//! that the default policy needs; what cannot be found out is a [`ProbeFailure`], never a verdict.

mod ci;
mod command;
mod config;
mod diff;
mod file;
mod fresh;
mod frontmatter;
mod function;
mod hosted;
mod http;
mod junit;
mod mergeable;
mod runs;
mod source;

use everfold_engine::execution::ProbeFailure;

pub use ci::CiProber;
pub use command::CommandProber;
pub use config::ConfigProber;
pub use diff::DiffProber;
pub use file::FileProber;
pub use frontmatter::FrontmatterProber;
pub use function::FunctionProber;
pub use http::HttpProber;
pub use junit::TestsProber;
pub use mergeable::MergeableProber;
pub use runs::RunsProber;

/// Evidence that asking again will not bring.
fn never(message: impl Into<String>) -> ProbeFailure {
    ProbeFailure::permanent(message)
}

/// Evidence that nobody can have of a worktree that is not the run's; else what may pass.
fn gone(error: crate::git::GitError) -> ProbeFailure {
    match &error {
        crate::git::GitError::Gone { .. } => never(error.to_string()),
        _passing => not_now(error.to_string()),
    }
}

/// Evidence that may come another time.
fn not_now(message: impl Into<String>) -> ProbeFailure {
    ProbeFailure::passing(message)
}
