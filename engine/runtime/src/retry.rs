//! Waiting for what cannot be read or kept at this moment.
//!
//! Law: a task that waits so says in the log for which run and why, once; it goes on by itself, and as long as it takes.

use std::fmt::Display;
use std::time::Duration;

use everfold_base::id::RunId;

/// The pause before something is tried again that could not be read or written.
pub(crate) const FAILED_AGAIN: Duration = Duration::from_secs(5);

/// The pause before something is asked again that was refused as busy.
pub(crate) const BUSY_AGAIN: Duration = Duration::from_millis(200);

/// A task that waits.
pub(crate) struct Patience {
    run: RunId,
    what: &'static str,
    is_logged: bool,
}

impl Patience {
    /// `what` cannot be done for the run, as it is said in the log.
    pub(crate) fn new(run: RunId, what: &'static str) -> Self {
        Self { run, what, is_logged: false }
    }

    /// Resolves when it makes sense to try again.
    pub(crate) async fn wait(&mut self, why: &(dyn Display + Sync)) {
        if !std::mem::replace(&mut self.is_logged, true) {
            tracing::warn!(run = %self.run, error = %why, "{}; it is tried again", self.what);
        }
        tokio::time::sleep(FAILED_AGAIN).await;
    }
}
