//! Operations after a start: recover runs, sweep workspaces, abandon a run, end lost work, list cut copies.

use std::path::PathBuf;

use crate::engine::handle::Engine;
use crate::error::{QueryError, RecoverError, SubmitError};
use crate::recovery::abandon::{Abandon, abandon};
use crate::recovery::aborted_forks::{CutCopy, all_cut_copies};
use crate::recovery::lost_work::end_work_in;
use crate::recovery::recover::{Recovered, Which, recover, sweep};
use crate::start::submission::Accepted;
use crate::streams::service_pauses::take_up_service_pauses;

impl Engine {
    /// Resumes what a former engine left: resolves when every run concerned is folded and its living attempts are
    /// re-attached. In the background, living processes that their runs do not need any more are ended.
    ///
    /// # Errors
    /// [`RecoverError`]: the store cannot say what is due, or there is no such run.
    pub async fn recover(&self, which: Which) -> Result<Recovered, RecoverError> {
        recover(&self.inner, which).await
    }

    /// Leaves the services alone that asked a former engine for a pause which is not over; once in an engine's life. A
    /// recovery does so, too.
    pub async fn leave_services_alone(&self) {
        take_up_service_pauses(&self.inner).await;
    }

    /// Removes workspaces that ended runs left behind. The store is asked how each of them ended; where it
    /// cannot say, the workspace stays.
    ///
    /// # Errors
    /// [`RecoverError`]: the store cannot say which runs have not ended.
    pub async fn sweep(&self) -> Result<(), RecoverError> {
        sweep(&self.inner).await
    }

    /// Ends a quarantined run; resolves when that is durable and nothing of its work is left.
    ///
    /// # Errors
    /// [`SubmitError`]: there is no such run, it is not quarantined, it has ended, or the store takes nothing.
    pub async fn abandon(&self, request: Abandon) -> Result<Accepted, SubmitError> {
        abandon(&self.inner.shared, request).await
    }

    /// Ends what is still at work in folders of runs and attempts that the history does not have, as of a past that was
    /// given up: no run will ask for it, and none names it. Gives what was ended, as `RUN/FOLDER`.
    pub async fn end_lost_work(&self, lost: &[PathBuf]) -> Vec<PathBuf> {
        end_work_in(&self.inner.shared, lost).await
    }

    /// Copies that a crash cut short; those that are being made now are among them.
    ///
    /// # Errors
    /// The store cannot say which.
    pub async fn cut_copies(&self) -> Result<Vec<CutCopy>, QueryError> {
        all_cut_copies(&self.inner.shared).await
    }
}
