//! The runs that a caller started or is behind: where a question says so, those do not decide it.

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
    #[serde(default)]
    initiator: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StartedRuns {
    items: Vec<StartedRun>,
}

/// The open runs that the caller started or is behind, by their ids.
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
        let is_own = |run: &StartedRun| {
            run.started_by == who.actor || run.initiator.as_deref() == Some(who.actor.as_str())
        };
        let own = runs.into_iter().filter(is_own);
        Self(own.map(|run| run.id).collect())
    }

    /// Whether the caller started a run, or is behind its start.
    pub(crate) fn has(&self, run: &str) -> bool {
        self.0.contains(run)
    }
}

#[cfg(test)]
pub(crate) fn own_runs(ids: &[&str]) -> OwnRuns {
    OwnRuns(ids.iter().map(|id| (*id).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_the_caller_is_behind_are_own_ones() {
        let who = serde_json::json!({"actor": "user:ada", "role": "admin"});
        let runs: StartedRuns = serde_json::from_value(serde_json::json!({"items": [
            {"id": "a", "started_by": "user:ada"},
            {"id": "b", "started_by": "schedule:nightly", "initiator": "user:ada"},
            {"id": "c", "started_by": "schedule:nightly", "initiator": "user:bob"},
            {"id": "d", "started_by": "user:bob"},
        ]}))
        .expect("runs");
        let own = OwnRuns::of(runs.items, &serde_json::from_value(who).expect("a caller"));
        assert_eq!(["a", "b", "c", "d"].map(|run| own.has(run)), [true, true, false, false]);
    }
}
