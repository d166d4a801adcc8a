//! What work says that its run is found by.

use everfold_core::event::{RunEvent, SearchValue};
use everfold_core::state::RunStatus;
use serde_json::{Value, json};

use crate::fixtures::test_engine::{Rig, definition, function};

fn pipeline(given: Value) -> std::sync::Arc<everfold_language::definition::Definition> {
    definition(json!({
        "name": "p", "search": {"amount": {"type": "number"}, "tags": {"type": "list"}, "at": {"value": "start"}},
        "steps": [function("say", &[], "searches", json!({ "search": given }))],
    }))
}

#[tokio::test(start_paused = true)]
async fn what_work_says_is_recorded_before_its_end_and_replays() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(json!({"amount": 1.5, "tags": ["a"], "at": null}))).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let history = rig.history(run).await;
    let names: Vec<&str> = history.iter().map(RunEvent::name).collect();
    let place = |name: &str| names.iter().rposition(|other| *other == name).unwrap();
    assert!(place("RunStarted") < place("StepScheduled"), "{names:?}");
    assert_eq!(place("SearchSet") + 1, place("AttemptSucceeded"), "{names:?}");
    let found = rig.engine.with_state(run, |state| state.search().clone()).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["amount", "tags"]);
    assert_eq!(found["tags"], SearchValue::Texts(vec!["a".into()]));
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_declared_or_of_another_type_fails_the_work() {
    for (given, why) in [
        (json!({"amuont": 1}), "the pipeline declares no search attribute “amuont”; did you mean `amount`?"),
        (json!({"amount": "1"}), "“amount” is a number, not a text"),
    ] {
        let rig = Rig::new();
        let run = rig.start(&pipeline(given)).await;
        assert_eq!(rig.end(run).await, RunStatus::Failed);
        let failed = rig.history(run).await.into_iter().find_map(|event| match event {
            RunEvent::AttemptFailed(failed) => Some(failed.failure.message),
            _other => None,
        });
        assert_eq!(failed.unwrap(), format!("`everfold.search`: {why}"));
        rig.assert_replays(run).await;
    }
}
