//! The requests that started runs, as their `traceparent` names them.
//!
//! Law: the run's span is linked to its request also where another engine sends it. So each is kept in a file until the
//! run is with the collector for good; of more than a bound the oldest are let go. It is no fact of the run: a file that
//! is lost costs a link.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use everfold_engine::id::RunId;
use lru::LruCache;

use super::span::RemoteSpan;

/// Requests that are remembered.
const MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");

/// The requests that started runs, until their spans went out.
pub(super) struct RequestSpans {
    known: Mutex<LruCache<RunId, RemoteSpan>>,
    /// Where they are kept; `None`: nowhere.
    folder: Option<PathBuf>,
}

impl Default for RequestSpans {
    fn default() -> Self {
        Self { known: Mutex::new(LruCache::new(MAX)), folder: None }
    }
}

impl RequestSpans {
    /// Those that are kept in a folder, which need not be there.
    pub(super) fn kept_in(folder: PathBuf) -> Self {
        let mut found: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().filter_map(read).collect();
        found.sort_by_key(|(written, ..)| *written);
        let requests = Self { folder: Some(folder), ..Self::default() };
        found.into_iter().for_each(|(_, run, remote)| requests.remember(run, remote));
        requests
    }

    /// Keeps what is remembered of a run, for the next engine. Waits for the disk.
    pub(super) fn keep(&self, run: RunId) {
        let (Some(folder), Some(remote)) = (&self.folder, self.of(run)) else { return };
        let kept = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(folder.join(run.to_string()), remote.traceparent()));
        if let Err(error) = kept {
            tracing::debug!(%error, "which request started a run is not known to the next engine");
        }
        // It may have been forgotten meanwhile.
        if self.of(run).is_none() {
            self.remove(run);
        }
    }

    /// A run was started by a request that is part of a trace. The oldest makes room.
    pub(super) fn remember(&self, run: RunId, remote: RemoteSpan) {
        let former = self.known.lock().unwrap_or_else(PoisonError::into_inner).push(run, remote);
        if let Some((former, _)) = former.filter(|(former, _)| *former != run) {
            self.remove(former);
        }
    }

    pub(super) fn of(&self, run: RunId) -> Option<RemoteSpan> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).peek(&run).cloned()
    }

    pub(super) fn forget(&self, run: RunId) {
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).pop(&run).is_some() {
            self.remove(run);
        }
    }

    fn remove(&self, run: RunId) {
        if let Some(folder) = &self.folder {
            // What stays is let go when there are many.
            let _gone = std::fs::remove_file(folder.join(run.to_string()));
        }
    }
}

fn read(file: std::io::Result<std::fs::DirEntry>) -> Option<(SystemTime, RunId, RemoteSpan)> {
    let file = file.ok()?;
    let run = file.file_name().to_str()?.parse().ok()?;
    let remote = RemoteSpan::read(&text(&file.path())?)?;
    Some((file.metadata().and_then(|about| about.modified()).ok()?, run, remote))
}

/// The text of a file; `None` where it is longer than what [`RequestSpans::keep`] writes.
fn text(path: &Path) -> Option<String> {
    let is_short = std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() < 100);
    is_short.then(|| std::fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(requests: &RequestSpans, run: RunId, remote: RemoteSpan) {
        requests.remember(run, remote);
        requests.keep(run);
    }

    #[test]
    fn the_next_engine_knows_the_requests_until_they_are_forgotten_and_never_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("traces");
        let run =
            |number: usize| -> RunId { format!("00000000-0000-0000-0000-{number:012x}").parse().unwrap() };
        let remote = RemoteSpan::read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let requests = RequestSpans::kept_in(place.clone());
        note(&requests, run(1), remote.clone());
        note(&requests, run(2), remote.clone());
        requests.forget(run(2));
        std::fs::write(place.join("other"), "00-x").unwrap();
        let next = RequestSpans::kept_in(place.clone());
        assert_eq!((next.of(run(1)), next.of(run(2))), (Some(remote.clone()), None));
        for number in 3..3 + MAX.get() {
            note(&next, run(number), remote.clone());
        }
        assert_eq!((next.of(run(1)), next.of(run(3))), (None, Some(remote)));
        assert!(!place.join(run(1).to_string()).exists());
    }
}
