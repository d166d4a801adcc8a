//! The states that issues were given soon after the start of the engine.
//!
//! Law: an issue is looked at when nothing of an engine before this one lands any more, and only while this engine has
//! not begun to move it again: a write of its own is never taken for one of a former engine.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::parameters::IssuePlace;

/// Issues that are remembered after one start.
const ISSUES_MAX: usize = 1_000;

/// The address, the workspace, the project and the issue.
type IssueAddress = (String, String, String, String);

/// What was written last, by issue; nothing, while the issue is moved again.
#[derive(Clone)]
pub(super) struct LateWrites {
    /// From then on nothing of a former engine lands any more.
    until: Instant,
    written: Arc<Mutex<HashMap<IssueAddress, Option<StateWrite>>>>,
}

/// A state that an issue was given.
#[derive(Clone)]
pub(super) struct StateWrite {
    /// Its id.
    pub(super) state: String,
    /// Who moved it there, as Plane says.
    pub(super) by: String,
    /// Also over what people lift.
    pub(super) force: bool,
}

impl LateWrites {
    /// Of an engine that starts now.
    pub(super) fn within(settled: Duration) -> Self {
        Self { until: Instant::now() + settled, written: Arc::default() }
    }

    /// Notes what an issue has now. Whether it is the first note of this issue, whose state the caller then looks at
    /// ([`Self::settled`]).
    pub(super) fn note(&self, place: &IssuePlace, write: StateWrite) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        let mut written = self.written();
        let is_full = written.len() >= ISSUES_MAX;
        match written.entry(address(place)) {
            Entry::Occupied(mut known) => {
                known.insert(Some(write));
                false
            }
            Entry::Vacant(_) if is_full => false,
            Entry::Vacant(free) => {
                free.insert(Some(write));
                true
            }
        }
    }

    /// Gives what the issue was given last, when nothing of a former engine lands any more.
    pub(super) async fn settled(&self, place: &IssuePlace) -> Option<StateWrite> {
        tokio::time::sleep_until(self.until).await;
        self.written().get(&address(place)).cloned().flatten()
    }

    /// The issue is moved now, so what it was given before counts no more. Whether something was noted of it.
    pub(super) fn withdraw(&self, place: &IssuePlace) -> bool {
        self.written().get_mut(&address(place)).is_some_and(|write| write.take().is_some())
    }

    /// It was looked at.
    pub(super) fn forget(&self, place: &IssuePlace) {
        self.written().remove(&address(place));
    }

    /// Whether an issue is still to be looked at.
    #[cfg(test)]
    pub(super) fn is_looking(&self) -> bool {
        !self.written().is_empty()
    }

    fn written(&self) -> MutexGuard<'_, HashMap<IssueAddress, Option<StateWrite>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(place: &IssuePlace) -> IssueAddress {
    let IssuePlace { site, project, issue } = place.clone();
    (site.url.trim_end_matches('/').to_owned(), site.workspace, project, issue)
}
