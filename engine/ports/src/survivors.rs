//! The port for work that lives on without an engine.
//!
//! Law: ending is complete when nothing of the work is left, and may be repeated.

use futures::future::BoxFuture;
use std::path::PathBuf;

/// Finds and ends work that lives on without an engine.
pub trait Survivors: Send + Sync + 'static {
    /// The folders of attempts and probes below `attempts` in which something is at work. One that
    /// has come to its end by itself is not among them.
    fn living(&self, attempts: PathBuf) -> BoxFuture<'static, Vec<PathBuf>>;

    /// Ends what is at work in a folder (SIGTERM, grace, SIGKILL, whole group) and resolves when nothing
    /// of it is left. Repeating it does no harm.
    fn end(&self, folder: PathBuf) -> BoxFuture<'static, ()>;
}
