//! The states that issues were given soon after the start of the engine.
//!
//! Law: each issue is given out once, when nothing of an engine before this one lands any more.

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

/// What was written last, by issue.
#[derive(Clone)]
pub(super) struct LateWrites {
    /// From then on nothing of a former engine lands any more.
    until: Instant,
    written: Arc<Mutex<HashMap<IssueAddress, StateWrite>>>,
}

/// A state that an issue was given.
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

    /// Notes what an issue has now. Whether it is the first note of this issue, whose state is then to be [taken](Self::take).
    pub(super) fn note(&self, place: &IssuePlace, write: StateWrite) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        let mut written = self.written();
        let is_full = written.len() >= ISSUES_MAX;
        match written.entry(address(place)) {
            Entry::Occupied(mut known) => {
                known.insert(write);
                false
            }
            Entry::Vacant(_) if is_full => false,
            Entry::Vacant(free) => {
                free.insert(write);
                true
            }
        }
    }

    /// Gives what the issue was given last, when nothing of a former engine lands any more.
    pub(super) async fn take(&self, place: &IssuePlace) -> Option<StateWrite> {
        tokio::time::sleep_until(self.until).await;
        self.written().remove(&address(place))
    }

    fn written(&self) -> MutexGuard<'_, HashMap<IssueAddress, StateWrite>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(place: &IssuePlace) -> IssueAddress {
    let IssuePlace { site, project, issue } = place.clone();
    (site.url.trim_end_matches('/').to_owned(), site.workspace, project, issue)
}
