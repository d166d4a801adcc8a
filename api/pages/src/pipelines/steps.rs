//! How the steps of a pipeline did in its newest ended runs: which takes longest, which fails most.

use serde::Deserialize;

use super::address::segment;
use crate::frame::Visit;
use crate::problem::Problem;
use crate::words;

/// Of so many runs the figures are, at most.
const RUNS: usize = 100;

/// The figures, as `GET /pipelines/{name}/stats` gives them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StepStats {
    runs: u64,
    has_older: bool,
    steps: Vec<StepRow>,
}

/// The figures of a step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StepRow {
    pub(crate) step: String,
    pub(crate) runs: u64,
    pub(crate) rounds: u64,
    pub(crate) attempts: u64,
    pub(crate) failed_attempts: u64,
    pub(crate) machine: Option<TimeOfRuns>,
    pub(crate) people: Option<TimeOfRuns>,
    pub(crate) cost_usd: String,
}

/// How long something took in each run that had it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TimeOfRuns {
    p50_ms: u64,
    p95_ms: u64,
    max_ms: u64,
}

impl TimeOfRuns {
    pub(crate) fn median(&self) -> String {
        written(self.p50_ms)
    }

    pub(crate) fn p95(&self) -> String {
        written(self.p95_ms)
    }

    pub(crate) fn longest(&self) -> String {
        written(self.max_ms)
    }
}

fn written(ms: u64) -> String {
    words::duration(i64::try_from(ms).unwrap_or(i64::MAX))
}

impl StepRow {
    /// How many of its attempts failed: `3 of 12`.
    pub(crate) fn failed_of(&self) -> String {
        format!("{} of {}", self.failed_attempts, self.attempts)
    }

    pub(crate) fn has_cost(&self) -> bool {
        self.cost_usd.parse::<f64>().is_ok_and(|cost| cost > 0.0)
    }
}

impl StepStats {
    /// Reads the figures at the moment that the page shows.
    pub(crate) async fn load(visit: &Visit, pipeline: &str) -> Result<Self, Problem> {
        let path = format!("/pipelines/{}/stats?runs={RUNS}", segment(pipeline));
        visit.rest.get(&visit.at_moment(&path)).await
    }

    /// The steps, those first in which machines worked longest.
    pub(crate) fn rows(&self) -> &[StepRow] {
        &self.steps
    }

    /// The step in which machines work longest in a usual run.
    pub(crate) fn slowest(&self) -> Option<(&StepRow, &TimeOfRuns)> {
        let timed = self.steps.iter().filter_map(|row| Some((row, row.machine.as_ref()?)));
        timed.rev().max_by_key(|(_, time)| time.p50_ms).filter(|(_, time)| time.max_ms > 0)
    }

    /// The step for which people take longest.
    pub(crate) fn longest_asked(&self) -> Option<(&StepRow, &TimeOfRuns)> {
        let asked = self.steps.iter().filter_map(|row| Some((row, row.people.as_ref()?)));
        asked.rev().max_by_key(|(_, time)| time.p50_ms)
    }

    /// The step whose attempts fail most often.
    pub(crate) fn most_failing(&self) -> Option<&StepRow> {
        self.steps.iter().rev().max_by_key(|row| row.failed_attempts).filter(|row| row.failed_attempts > 0)
    }

    /// Of which runs the figures are.
    pub(crate) fn of_runs(&self) -> String {
        match (self.runs, self.has_older) {
            (1, false) => "of its one ended run".to_owned(),
            (1, true) => "of its last ended run".to_owned(),
            (runs, false) => format!("of all its {runs} ended runs"),
            (runs, true) => format!("of its last {runs} ended runs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_slowest_step_is_that_of_a_usual_run_and_people_are_apart() {
        let time = |p50: u64, max: u64| json!({"runs": 2, "total_ms": 1, "p50_ms": p50, "p95_ms": max, "max_ms": max});
        let steps: StepStats = serde_json::from_value(json!({"runs": 2, "has_older": true, "steps": [
            {"step": "once", "machine": time(10, 90_000), "people": null, "attempts": 4, "failed_attempts": 1},
            {"step": "build", "machine": time(60_000, 61_000), "people": null, "attempts": 9, "failed_attempts": 3},
            {"step": "ok", "machine": null, "people": time(7_200_000, 7_200_000)},
        ]}))
        .expect("figures");
        assert_eq!(
            steps.slowest().map(|(row, time)| (row.step.as_str(), time.median())),
            Some(("build", "1 m 00 s".into()))
        );
        assert_eq!(steps.longest_asked().map(|(row, _)| row.step.as_str()), Some("ok"));
        assert_eq!(steps.most_failing().map(StepRow::failed_of).as_deref(), Some("3 of 9"));
        assert_eq!(steps.of_runs(), "of its last 2 ended runs");
    }

    #[test]
    fn nothing_is_slow_where_nothing_ran() {
        let steps = StepStats::default();
        assert!(
            steps.slowest().is_none() && steps.longest_asked().is_none() && steps.most_failing().is_none()
        );
    }
}
