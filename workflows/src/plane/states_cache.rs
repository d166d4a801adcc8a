//! The states of projects, as they are remembered.
//!
//! Law: a state that the project does not have is not there: nothing stands in for it, least of all the state of another
//! project.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::json::Value;
use lru::LruCache;
use tokio::time::Instant;

use super::parameters::PlaneSite;
use super::state_key::state_key;

/// Projects whose states are remembered.
const PROJECTS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("it is not 0");
/// How long: a state that was added or renamed is seen then, too.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// The states of one project.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ProjectStates {
    /// The id of each state, by its key.
    pub(super) ids: BTreeMap<String, String>,
    /// Its name, by its id.
    names: BTreeMap<String, String>,
}

impl ProjectStates {
    pub(super) fn of(items: &[Value]) -> Self {
        let mut states = Self::default();
        for item in items {
            let (Some(id), Some(name)) = (item["id"].as_str(), item["name"].as_str()) else { continue };
            let key = state_key(name);
            // Of two names with one key the first counts; one without letters and digits has none.
            if !key.is_empty() {
                states.ids.entry(key).or_insert_with(|| id.to_owned());
            }
            states.names.insert(id.to_owned(), name.to_owned());
        }
        states
    }

    /// The name of a state, as people see it.
    pub(super) fn name(&self, id: &str) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }
}

/// The address, the workspace and the project.
type ProjectKey = (String, String, String);

/// Their states, with the moment at which they were asked for.
type RecentProjects = LruCache<ProjectKey, (Instant, Arc<ProjectStates>)>;

/// The states of the projects that were asked for last.
#[derive(Clone)]
pub(super) struct StatesCache {
    known: Arc<Mutex<RecentProjects>>,
}

impl Default for StatesCache {
    fn default() -> Self {
        Self { known: Arc::new(Mutex::new(LruCache::new(PROJECTS_MAX))) }
    }
}

impl StatesCache {
    pub(super) fn remembered(&self, site: &PlaneSite, project: &str) -> Option<Arc<ProjectStates>> {
        let mut known = self.known();
        let (since, states) = known.get(&key(site, project))?;
        (since.elapsed() < REMEMBERED).then(|| Arc::clone(states))
    }

    pub(super) fn remember(&self, site: &PlaneSite, project: &str, states: &Arc<ProjectStates>) {
        self.known().put(key(site, project), (Instant::now(), Arc::clone(states)));
    }

    pub(super) fn forget(&self, site: &PlaneSite, project: &str) {
        self.known().pop(&key(site, project));
    }

    pub(super) fn forget_all(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, RecentProjects> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(site: &PlaneSite, project: &str) -> ProjectKey {
    (site.url.trim_end_matches('/').to_owned(), site.workspace.clone(), project.to_owned())
}
