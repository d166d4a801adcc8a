//! Which steps the graph of a long pipeline leaves out: those that were skipped.

use super::facts::RunFacts;

/// Graphs of so many steps have all of them.
const STEPS_SMALL: usize = 12;
/// So few skipped steps are no burden.
const SKIPPED_FEW: usize = 3;

/// Steps that the graph does without, and can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folding {
    pub(crate) skipped: Vec<String>,
    /// All steps of the run.
    pub(crate) total: usize,
    /// The graph has them nevertheless, as it is asked to.
    pub(crate) has_all_steps: bool,
}

impl Folding {
    /// The skipped steps of a run with many, without the selected one.
    pub(crate) fn of(run: &RunFacts, selected: Option<&str>, has_all_steps: bool) -> Option<Self> {
        let selected = selected.and_then(|path| path.split('.').next());
        let is_folded = |id: &str| Some(id) != selected && !run.breakpoints.iter().any(|other| other == id);
        let skipped: Vec<String> = run
            .steps
            .iter()
            .filter(|step| step.word() == "skipped" && is_folded(&step.id))
            .map(|step| step.id.clone())
            .collect();
        let is_long = run.steps.len() > STEPS_SMALL && skipped.len() > SKIPPED_FEW;
        is_long.then_some(Self { skipped, total: run.steps.len(), has_all_steps })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(skipped: usize, others: usize) -> RunFacts {
        let step = |status: &str, at: usize| json!({ "id": format!("{status}-{at}"), "status": status });
        let steps = (0..skipped).map(|at| step("skipped", at));
        let steps: Vec<Value> = steps.chain((0..others).map(|at| step("succeeded", at))).collect();
        serde_json::from_value(json!({
            "id": "beef", "short_id": "beef", "pipeline": "orch", "title": null, "status": "succeeded", "version": 9,
            "started_by": "user:ada", "started_at": "2026-11-20T10:00:00Z", "ended_at": null, "steps": steps,
        }))
        .expect("the test writes a run")
    }

    #[test]
    fn skipped_steps_of_a_long_pipeline_are_folded_but_for_the_selected_one() {
        let folding = Folding::of(&run(5, 10), Some("skipped-1.3"), false).expect("the pipeline is long");
        assert_eq!(folding.skipped, ["skipped-0", "skipped-2", "skipped-3", "skipped-4"]);
        assert_eq!(folding.total, 15);
        assert_eq!(Folding::of(&run(3, 20), None, false), None);
        assert_eq!(Folding::of(&run(8, 4), None, false), None);
    }
}
