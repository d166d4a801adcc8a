//! Waiting for what cannot be read or kept at this moment.
//!
//! Law: a task that waits logs for which run and why, once; it tries again by itself, without a limit.

use std::fmt::Display;
use std::time::Duration;

use everfold_base::id::RunId;

/// The pause before something is tried again that could not be read or written.
pub(crate) const FAILED_AGAIN: Duration = Duration::from_secs(5);

/// The pause before something is asked again that was refused as busy.
pub(crate) const BUSY_AGAIN: Duration = Duration::from_millis(200);

/// The wait of one task between its tries.
pub(crate) struct Patience {
    run: RunId,
    what: &'static str,
    is_logged: bool,
}

impl Patience {
    /// `what` is the text of the log: what cannot be done for the run.
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
