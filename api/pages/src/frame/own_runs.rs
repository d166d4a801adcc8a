//! The runs that a caller started: where a question says so, those do not decide it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::address::with_query;
use super::caller::Who;
use crate::rest::CallerRest;

/// Runs that are not over, as many as one part of their list holds.
const OPEN_RUNS: &str = "/runs?status=waiting,running,blocked,paused&limit=1000";

#[derive(Debug, Deserialize)]
struct StartedRun {
    id: String,
    started_by: String,
}

#[derive(Debug, Deserialize)]
struct StartedRuns {
    items: Vec<StartedRun>,
}

/// The open runs that the caller started, by their ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnRuns(BTreeSet<String>);

impl OwnRuns {
    /// Reads them at a moment. Where they cannot be read none is known: what the caller must not decide REST refuses.
    pub(crate) async fn load(rest: &CallerRest, who: &Who, at: Option<&str>) -> Self {
        let path = at.map_or_else(|| OPEN_RUNS.to_owned(), |at| with_query(OPEN_RUNS, "at", at));
        let runs = rest.get::<StartedRuns>(&path).await.map(|runs| runs.items).unwrap_or_default();
        Self::of(runs, who)
    }

    fn of(runs: Vec<StartedRun>, who: &Who) -> Self {
        let own = runs.into_iter().filter(|run| run.started_by == who.actor);
        Self(own.map(|run| run.id).collect())
    }

    /// Whether the caller started a run.
    pub(crate) fn has(&self, run: &str) -> bool {
        self.0.contains(run)
    }
}

#[cfg(test)]
pub(crate) fn own_runs(ids: &[&str]) -> OwnRuns {
    OwnRuns(ids.iter().map(|id| (*id).to_owned()).collect())
}
