//! A whole task of `orch` as a release wrote it, kept for ever (`tests/golden/orch-task-N.jsonl`): an analysis that was rejected, a
//! refused review, red CI, and all stages to the end.
//!
//! Law: decided again by its own definition it is what it was, to the last notice. `EVERFOLD_WRITE_GOLDEN=1` writes the newest one
//! where it is missing; the number is raised where a task is to be kept that today's pipeline has played.

use everfold_core::event::RunEvent;
use everfold_engine::definition::parse;
use everfold_workflows::builtin;

use super::services::Services;
use super::walk::{DARK, begin, comments, is_told};
use super::world::{SHOP, World, stands};
use crate::golden_histories;

/// The newest history.
const NEWEST: &str = "orch-task-1";

/// A task that meets most of what can come in between.
async fn played() -> World {
    let world = World::new().await;
    let finding = "'verdict: REQUEST_CHANGES\nversion: 1' '- [ ] P1: there is no test.'";
    world.plan("ET-001", "reviewer", 1, &format!("verdict review 12-review.md {finding}"));
    world.services().verdicts.insert("shop".to_owned(), ["failure"].into());
    begin(&world, DARK, SHOP, "Dark mode");
    world.until("the analysis", stands(DARK, "In Review")).await;
    world.services().say(DARK, "The scope is too wide.");
    world.services().set_state(DARK, "Rejected", "owner");
    let again = |services: &Services| {
        let analysed = comments(services, DARK).iter().filter(|text| text.starts_with("🔍 Analyst")).count();
        analysed == 2 && services.issues[DARK].state == "In Review"
    };
    world.until("the second analysis", again).await;
    world.services().set_state(DARK, "Approved", "owner");
    world.until("the end", |services| services.issues[DARK].state == "Done" && is_told(services, DARK)).await;
    world
}

async fn ensure() {
    let is_there = golden_histories::folder().join(format!("{NEWEST}.jsonl")).exists();
    if is_there || !golden_histories::are_written() {
        return;
    }
    let mut world = played().await;
    let task = world.client().get("/api/v1/orch/tasks/ET-001").await;
    let run = task["run"].as_str().unwrap().to_owned();
    let text = std::fs::read_to_string(world.path("orch.yaml")).unwrap();
    let definition = parse(&text, "orch", builtin::find("orch").unwrap()).unwrap().definition;
    let data = world.left();
    let write = move || golden_histories::write(NEWEST, &data, &run, &definition);
    std::thread::spawn(write).join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn o8_o13_a_kept_history_of_a_whole_task_is_decided_as_it_was() {
    ensure().await;
    let histories = golden_histories::kept("orch-task-");
    assert!(
        histories.iter().any(|kept| kept.name == NEWEST),
        "{NEWEST} is missing: EVERFOLD_WRITE_GOLDEN=1 writes it"
    );
    for kept in histories {
        kept.assert_replays();
        let mut judged = Vec::new();
        kept.decided_again(kept.definition(), |recorded, _| {
            judged.extend(recorded.iter().filter_map(|event| match event {
                RunEvent::GateEvaluated(event) => Some(event.gate.clone()),
                _other => None,
            }));
        });
        for gate in [
            "check_analysis_complete",
            "check_ci_green",
            "check_reviewer_verdict",
            "check_tests_passed",
            "check_deploy_status",
        ] {
            assert!(judged.iter().any(|it| it == gate), "{}: {gate} among {judged:?}", kept.name);
        }
    }
}
