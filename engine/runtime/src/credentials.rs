//! The credentials that requests bring: kept before the start of their run is recorded, removed with its end.
//!
//! Law: the record decides. What is kept for a run that is not there, or has ended, is removed; a start that is on its
//! way keeps its own. A removal that fails ends nothing: the next sweep takes what it left.

use std::sync::Arc;
use std::time::Duration;

use everfold_base::envelope::StreamId;
use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_ports::{BroughtCredentials, CredentialError, Credentials};
use everfold_store::Writability;

use crate::credential_holds::CredentialHold;
use crate::error::{QueryError, StartError, SubmitError};
use crate::runtime::Runtime;

impl Runtime {
    /// A start is answered by the run `there`: what was kept for one that has not come to be is removed.
    pub(crate) async fn credentials_answered(&self, hold: CredentialHold, there: Option<RunId>) {
        let head = match there {
            Some(run) if run == hold.run => return,
            _none_or_another => self.store.head(&StreamId::run(hold.run)).await,
        };
        // Where the store cannot say it, the next sweep asks again.
        if matches!(head, Ok(head) if head.is_none_or(|head| !head.note.open)) {
            self.remove_credentials(hold.run).await;
        }
    }

    /// Keeps what a request brings for a run that it is about to start, or those of its parent. `None`: there is
    /// nothing to keep.
    ///
    /// # Errors
    /// They cannot be kept: nothing is left of them.
    pub(crate) async fn hold_credentials(
        self: &Arc<Self>,
        run: RunId,
        brought: &BroughtCredentials,
        parent: Option<RunId>,
    ) -> Result<Option<CredentialHold>, StartError> {
        let parent =
            parent.filter(|parent| self.edge.credentials.as_ref().is_some_and(|it| it.has_any(*parent)));
        if brought.is_empty() && parent.is_none() {
            return Ok(None);
        }
        let credentials = self.credentials()?;
        let hold = self.credential_holds.hold(run).await;
        let (brought, now) = (brought.clone(), self.now());
        let kept = self.config.blocking.run(move || {
            if let Some(parent) = parent {
                credentials.share(run, parent)?;
            }
            if brought.is_empty() { Ok(()) } else { credentials.keep(run, &brought, now) }
        });
        match unpanicked(kept.await) {
            Ok(()) => Ok(Some(hold)),
            Err(error) => {
                self.credentials_answered(hold, None).await;
                Err(cannot_keep(error))
            }
        }
    }

    /// Replaces credentials of a run that has not ended.
    ///
    /// # Errors
    /// They cannot be kept.
    pub(crate) async fn replace_credentials(
        &self,
        run: RunId,
        brought: BroughtCredentials,
    ) -> Result<(), StartError> {
        let _no_sweep_and_no_other = self.credential_holds.looking.lock().await;
        let (credentials, now) = (self.credentials()?, self.now());
        let kept = self.config.blocking.run(move || credentials.keep(run, &brought, now)).await;
        unpanicked(kept).map_err(cannot_keep)
    }

    fn credentials(&self) -> Result<Arc<dyn Credentials>, StartError> {
        self.edge.credentials.clone().ok_or_else(|| {
            cannot_keep(CredentialError {
                message: "this engine keeps no credentials".to_owned(),
                hint: "bring them to the owner of a data folder".to_owned(),
                is_full: false,
            })
        })
    }

    /// The run has ended: what is kept for it is removed, beside everything else.
    pub(crate) fn credentials_ended(self: &Arc<Self>, run: RunId) {
        if self.edge.credentials.as_ref().is_some_and(|credentials| credentials.has_any(run)) {
            let shared = Arc::clone(self);
            tokio::spawn(async move { shared.remove_credentials(run).await });
        }
    }

    /// Removes what is kept for a run; what is left the next sweep takes.
    pub(crate) async fn remove_credentials(&self, run: RunId) {
        let Some(credentials) = self.edge.credentials.clone() else { return };
        let removed = self.config.blocking.run(move || credentials.remove(run)).await;
        if let Err(error) = removed.map_err(std::io::Error::other).flatten() {
            tracing::warn!(%run, %error, "credentials of a run were not removed; it is tried again within a minute");
        }
    }

    /// Removes what is kept for runs that have ended or are not there, and what is older than it may become.
    ///
    /// # Errors
    /// The store cannot say which runs there are.
    pub(crate) async fn sweep_credentials(&self) -> Result<(), QueryError> {
        let Some(credentials) = self.edge.credentials.clone() else { return Ok(()) };
        // What lies there then may be another owner's.
        if matches!(*self.store.writability().borrow(), Writability::NotOurs(_) | Writability::ReadOnly(_)) {
            return Ok(());
        }
        let listing = Arc::clone(&credentials);
        let runs = self.config.blocking.run(move || listing.runs()).await;
        let runs = runs.map_err(std::io::Error::other).flatten();
        let runs = runs.map_err(|error| QueryError::Store(format!("credentials: {error}")))?;
        let oldest = before(self.now(), self.config.credentials_kept);
        for run in runs {
            let _no_start = self.credential_holds.looking.lock().await;
            if self.credential_holds.is_starting(run) {
                continue;
            }
            let head = self.store.head(&StreamId::run(run)).await;
            let head = head.map_err(|error| QueryError::Store(error.to_string()))?;
            if head.is_none_or(|head| !head.note.open) {
                self.remove_credentials(run).await;
                continue;
            }
            let credentials = Arc::clone(&credentials);
            let removed = self.config.blocking.run(move || credentials.remove_older(run, oldest)).await;
            match removed.map_err(std::io::Error::other).flatten() {
                Ok(0) => {}
                Ok(removed) => tracing::info!(%run, removed, "credentials were removed because of their age"),
                Err(error) => tracing::warn!(%run, %error, "credentials of a run were not looked through"),
            }
        }
        Ok(())
    }

    /// The credentials among `names` that a run does not have.
    pub(crate) async fn missing_credentials(&self, run: RunId, names: Vec<String>) -> Vec<String> {
        let Some(credentials) = self.edge.credentials.clone() else { return names };
        let there = self.config.blocking.run(move || credentials.names(run)).await;
        let there = there.map_err(std::io::Error::other).flatten().unwrap_or_default();
        names.into_iter().filter(|name| !there.contains(name)).collect()
    }
}

/// The time so long before another one.
fn before(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

fn unpanicked<E: std::fmt::Display>(
    kept: Result<Result<(), CredentialError>, E>,
) -> Result<(), CredentialError> {
    kept.unwrap_or_else(|panic| {
        let hint = "this is a bug of the engine; the log says more".to_owned();
        Err(CredentialError { message: panic.to_string(), hint, is_full: false })
    })
}

fn cannot_keep(error: CredentialError) -> StartError {
    match error.is_full {
        true => SubmitError::Full.into(),
        false => StartError::Credentials(error),
    }
}
