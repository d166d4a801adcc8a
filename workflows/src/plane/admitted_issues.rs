//! Issues that a run's admission has read, for the step of that run which reads them next.
//!
//! Law: an issue is given once, to the run that read it, and only for a moment: whoever asks later asks Plane. What is not
//! here any more is asked for again, so it may be lost at any time.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use everfold_base::id::RunId;
use everfold_base::json::Value;
use lru::LruCache;
use tokio::time::Instant;

use super::parameters::IssuePlace;

/// Issues that are remembered.
const ISSUES_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("it is not 0");
/// How long: a run's first steps begin with its admission.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The run, the address, the workspace, the project, the issue, and whether its labels were asked for.
type IssueKey = (RunId, String, String, String, String, bool);

/// What admissions have read last.
#[derive(Clone)]
pub(super) struct AdmittedIssues {
    known: Arc<Mutex<LruCache<IssueKey, (Instant, Value)>>>,
}

impl Default for AdmittedIssues {
    fn default() -> Self {
        Self { known: Arc::new(Mutex::new(LruCache::new(ISSUES_MAX))) }
    }
}

impl AdmittedIssues {
    pub(super) fn remember(&self, run: RunId, place: &IssuePlace, with_labels: bool, issue: &Value) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.put(key(run, place, with_labels), (Instant::now(), issue.clone()));
    }

    /// Gives an issue that the run's admission has read, and forgets it.
    pub(super) fn take(&self, run: RunId, place: &IssuePlace, with_labels: bool) -> Option<Value> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, issue) = known.pop(&key(run, place, with_labels))?;
        (since.elapsed() < REMEMBERED).then_some(issue)
    }
}

fn key(run: RunId, place: &IssuePlace, with_labels: bool) -> IssueKey {
    let IssuePlace { site, project, issue } = place.clone();
    (run, site.url.trim_end_matches('/').to_owned(), site.workspace, project, issue, with_labels)
}
