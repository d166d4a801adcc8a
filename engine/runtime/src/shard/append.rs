//! Appending a run's next batch, and what follows from the result.
//!
//! Law (D2): a run has one append in flight; its effects are started when all of its batches are durable.

use std::sync::Arc;

use crate::crash_point::abort_process;
use crate::error::SubmitError;
use crate::run::loaded_run::{LoadedRun, RunPhase};
use crate::shard::core::{Shard, ShardCore};
use crate::shard::job_done::{AppendFailure, JobDone};
use everfold_base::id::RunId;
use everfold_store::{AppendError, Appended};
use everfold_system::os_error::{errno, is_disk_full, is_shortage};

impl Shard {
    pub(crate) fn appended(&mut self, run: RunId, result: Result<Appended, AppendFailure>) {
        let Some(loaded) = self.runs.get_mut(&run) else { return };
        // The append in flight has ended, whatever follows: `Appending` means that there is one.
        loaded.phase = RunPhase::Ready;
        if let Some(reason) = loaded.append.pending_quarantine.take() {
            match &result {
                Ok(appended) if appended.repeated => loaded.repeated(appended),
                Ok(appended) => loaded.commit(appended),
                Err(_) => loaded.append.is_in_doubt = true,
            }
            return self.core.quarantine_now(loaded, reason);
        }
        match result {
            Ok(appended) if appended.repeated => {
                loaded.repeated(&appended);
                self.core.load(loaded);
            }
            Ok(appended) => {
                if loaded.batches.front().is_some_and(|batch| batch.is_crash_point) {
                    abort_process();
                }
                loaded.commit(&appended);
                if loaded.batches.is_empty() {
                    loaded.phase = RunPhase::Ready;
                    self.core.dispatch(loaded);
                    self.core.keep_snapshot(loaded);
                    self.core.mark(loaded);
                } else {
                    self.core.send(loaded);
                }
            }
            Err(failure) => self.core.failed(loaded, failure),
        }
    }
}

impl ShardCore {
    /// Appends the first batch.
    pub(crate) fn send(&mut self, loaded: &mut LoadedRun) {
        let Some((append, blobs)) = loaded.next_append(&self.shared) else { return };
        loaded.phase = RunPhase::Appending;
        let (run, shared) = (loaded.run, Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            if !blobs.is_empty() {
                let blob_store = Arc::clone(&shared.blobs);
                let kept = shared.config.blocking.run(move || {
                    blobs
                        .iter()
                        .try_for_each(|(_, text)| blob_store.put(run, text.as_str().as_bytes()).map(drop))
                });
                let kept = kept.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                if let Err(error) = kept {
                    return JobDone::Appended { run, result: Err(AppendFailure::Blob(error)) };
                }
            }
            let result = shared.store.append(append).await.map_err(AppendFailure::Store);
            JobDone::Appended { run, result }
        }));
    }

    fn failed(&mut self, loaded: &mut LoadedRun, failure: AppendFailure) {
        let error = match failure {
            AppendFailure::Blob(error) if is_disk_full(&error) => AppendError::Full,
            AppendFailure::Blob(error) if is_shortage(&error) => return self.keep_later(loaded, &error),
            AppendFailure::Blob(error) => {
                let cause = errno(&error).map(|errno| format!(": {}", std::io::Error::from(errno)));
                let cause = cause.unwrap_or_default();
                let reason = format!("a large value could not be kept: {error}{cause}");
                return self.quarantine_now(loaded, reason);
            }
            AppendFailure::Store(error) => error,
        };
        match error {
            AppendError::WrongExpectedVersion { .. }
            | AppendError::WrongPreviousHash { .. }
            | AppendError::Unknown(_) => {
                loaded.requeue();
                loaded.append.tries += 1;
                loaded.append.is_in_doubt = matches!(error, AppendError::Unknown(_));
                loaded.append.may_be_stored |= loaded.append.is_in_doubt;
                if loaded.append.tries > self.shared.config.tries {
                    return self.quarantine_now(
                        loaded,
                        format!("{} appends in a row failed: {error}", loaded.append.tries),
                    );
                }
                self.load(loaded);
            }
            AppendError::DedupConflict => {
                loaded.drop_first(|queued| queued.answer(Err(SubmitError::KeyReused)));
                self.load(loaded);
            }
            AppendError::Full => self.append_later(loaded),
            AppendError::ReadOnly(_) => self.append_when_taken(loaded, &error),
            AppendError::NotOurs(_) | AppendError::Fenced { .. } | AppendError::Closed => {
                if matches!(error, AppendError::Closed) {
                    self.shared.store_has_closed();
                }
                loaded.requeue();
                let error = SubmitError::Store(error.to_string());
                loaded.refuse(|queued| queued.answer.is_some(), &error);
                self.quarantine_now(loaded, error.to_string());
            }
            AppendError::TooLarge { .. } | AppendError::Malformed(_) => {
                self.quarantine_now(loaded, error.to_string());
            }
        }
    }
}
