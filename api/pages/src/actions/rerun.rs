//! What begins anew and what is kept where a run is gone on with from one of its steps.

use std::collections::BTreeSet;

use super::acting_run::ActingRun;
use super::definition::Definition;

/// What becomes of the steps where a run is gone on with from one of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rerun<'a> {
    /// They begin anew, and had begun.
    pub(super) again: Vec<&'a str>,
    /// They had not begun.
    pub(super) later: Vec<&'a str>,
    /// They stay as they are.
    pub(super) kept: Vec<&'a str>,
}

impl<'a> Rerun<'a> {
    /// What begins anew from a step on: the step, what depends on it, and what failed or what an end left undone. `other`
    /// is the definition that is gone on by, where that is another one.
    pub(super) fn of(run: &'a ActingRun, from: &str, other: Option<&'a Definition>) -> Self {
        let own = &run.definition;
        let mut anew = BTreeSet::new();
        for definition in [Some(own), other].into_iter().flatten() {
            definition.downstream(from, &mut anew);
        }
        for step in &run.steps {
            match step.status.as_str() {
                "failed" if !step.tolerated => own.downstream(&step.id, &mut anew),
                "cancelled" => own.downstream(&step.id, &mut anew),
                "succeeded" | "failed" | "skipped" => {}
                _open if run.is_ended() => {
                    anew.extend(own.steps().find(|id| *id == step.id));
                }
                _live => {}
            }
        }
        let has_begun = |id: &str| run.step(id).is_some_and(|step| step.has_begun());
        let mut rerun = Self::default();
        for id in own.steps() {
            match anew.contains(id) {
                true if has_begun(id) => rerun.again.push(id),
                true => rerun.later.push(id),
                false if has_begun(id) => rerun.kept.push(id),
                false => {}
            }
        }
        rerun
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn release() -> Definition {
        let document = json!({ "steps": [
            { "id": "build" },
            { "id": "unit", "needs": ["build"] },
            { "id": "lint", "needs": ["build"] },
            { "id": "approve", "needs": { "any": ["unit", "lint"] }, "on_signal": { "go": [] } },
            { "id": "deploy", "needs": ["approve"], "work": { "wait": { "signal": "go" } } },
        ] });
        serde_json::from_value(document).unwrap()
    }

    fn run(ended_at: Option<&str>, steps: [(&str, &str); 5]) -> ActingRun {
        let steps: Vec<Value> = steps
            .iter()
            .map(
                |(id, status)| json!({ "id": id, "status": status, "round": u8::from(*status != "pending") }),
            )
            .collect();
        let run: ActingRun = serde_json::from_value(json!({ "ended_at": ended_at, "steps": steps })).unwrap();
        ActingRun { definition: release(), ..run }
    }

    #[test]
    fn a_restart_counts_what_depends_on_its_step_and_what_was_left_undone() {
        let failed = [
            ("build", "succeeded"),
            ("unit", "failed"),
            ("lint", "succeeded"),
            ("approve", "pending"),
            ("deploy", "pending"),
        ];
        let failed = run(Some("2026-11-22T00:00:00Z"), failed);
        let rerun = Rerun::of(&failed, "lint", None);
        let expected =
            Rerun { again: vec!["unit", "lint"], later: vec!["approve", "deploy"], kept: vec!["build"] };
        assert_eq!(rerun, expected);
    }

    #[test]
    fn what_goes_on_elsewhere_in_a_live_run_is_kept() {
        let live = run(
            None,
            [
                ("build", "succeeded"),
                ("unit", "running"),
                ("lint", "running"),
                ("approve", "pending"),
                ("deploy", "pending"),
            ],
        );
        let rerun = Rerun::of(&live, "unit", None);
        let expected =
            Rerun { again: vec!["unit"], later: vec!["approve", "deploy"], kept: vec!["build", "lint"] };
        assert_eq!(rerun, expected);
    }
}
