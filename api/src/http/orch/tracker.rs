//! The state that a tracker shows for a task.

use everfold_engine::state::RunStatus;
use everfold_projections::{StageWaitKind, Standing};

/// The stages of a delivery, each with the state that a tracker shows while the task stands there.
pub(super) const STATES: [(&str, &str); 8] = [
    ("created", "todo"),
    ("analysis", "in_progress"),
    ("architecture", "architecture"),
    ("development", "development"),
    ("review", "review"),
    ("testing", "testing"),
    ("deploy-staging", "testing"),
    ("deploy", "in_progress"),
];

/// The state of a task: of what people are waited for where they are, else of the stage.
pub(super) fn tracker_state(standing: &Standing, status: RunStatus) -> &'static str {
    let waits = |kind| standing.waits.iter().any(|wait| wait.kind == kind);
    match status {
        RunStatus::Succeeded => "done",
        RunStatus::Cancelled => "cancelled",
        RunStatus::Failed => "blocked",
        _goes_on if waits(StageWaitKind::Unblock) || waits(StageWaitKind::Budget) => "blocked",
        _goes_on if waits(StageWaitKind::Question) => "needs_input",
        _goes_on if waits(StageWaitKind::Approval) => "in_review",
        _goes_on => of_stage(standing.stage.as_deref()),
    }
}

/// The state of a stage; of one that is none of a delivery, that work goes on.
fn of_stage(stage: Option<&str>) -> &'static str {
    let Some(stage) = stage else { return "todo" };
    STATES.iter().find(|(known, _)| *known == stage).map_or("in_progress", |(_, state)| state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o086_every_stage_of_the_shipped_pipeline_has_an_owner_and_a_state_of_the_tracker() {
        let pipeline = everfold_workflows::builtin::find("orch").unwrap();
        // What stands behind a stage's name, up to the next one's, are its steps.
        let parts = pipeline.text.split("stage: ").skip(1);
        let stages: Vec<(&str, &str)> =
            parts.map(|part| part.split_at(part.find([',', '\n']).unwrap())).collect();
        let names: Vec<&str> = stages.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, STATES.map(|(stage, _)| stage));
        let owners = ["analyst", "architect", "developer", "reviewer", "tester", "staging", "deployer"];
        for ((stage, steps), owner) in stages[1..].iter().zip(owners) {
            assert!(steps.contains(&format!("id: {owner}")) || *stage == "deploy", "{stage} has its {owner}");
        }
    }

    #[test]
    fn o124_what_people_are_waited_for_outranks_the_stage() {
        let mut standing = Standing::default();
        standing.stage.replace("review".into());
        assert_eq!(tracker_state(&standing, RunStatus::Running), "review");
        let wait = |kind| everfold_projections::StageWait {
            path: "a".parse().unwrap(),
            kind,
            since: everfold_engine::time::Timestamp(1),
            why: None,
        };
        for (kind, state) in [
            (StageWaitKind::Approval, "in_review"),
            (StageWaitKind::Question, "needs_input"),
            (StageWaitKind::Unblock, "blocked"),
        ] {
            standing.waits.push(wait(kind));
            assert_eq!(tracker_state(&standing, RunStatus::Waiting), state);
        }
        assert_eq!(tracker_state(&standing, RunStatus::Succeeded), "done");
        assert_eq!(of_stage(Some("whatever else")), "in_progress");
    }
}
