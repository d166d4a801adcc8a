//! Names that are given once: what an attempt is given stays its step's.

use everfold_core::event::RunEvent;
use everfold_core::state::RunStatus;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, definition, function};

#[tokio::test(start_paused = true)]
async fn runs_that_want_one_name_at_once_get_different_ones() {
    let rig = Rig::new();
    let unique = function("name", &[], "unique", json!({"name": "dark-mode", "scope": "branches"}));
    let pipeline = definition(json!({"name": "p", "steps": [unique], "output": "${steps.name.output}"}));
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(rig.start(&pipeline).await);
    }
    let mut names = Vec::new();
    for run in runs {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        names.push(rig.output(run).await.as_str().unwrap().to_owned());
    }
    names.sort_unstable();
    assert_eq!(names, ["dark-mode", "dark-mode-2", "dark-mode-3", "dark-mode-4", "dark-mode-5"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_repeated_after_a_crash_gets_the_name_that_it_had() {
    let mut rig = Rig::new();
    let with = json!({"name": "x", "scope": "s", "ms": 60_000});
    let pipeline = definition(
        json!({"name": "p", "steps": [function("name", &[], "unique", with)], "output": "${steps.name.output}"}),
    );
    let run = rig.start(&pipeline).await;
    rig.until(run, |event| matches!(event, RunEvent::StepScheduled(_))).await;
    // The name is given, and the step works on.
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    rig.crash().await;
    rig.recover().await;
    let other = rig.start(&pipeline).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.end(other).await, RunStatus::Succeeded);
    assert_eq!((rig.output(run).await, rig.output(other).await), (json!("x"), json!("x-2")));
}

#[tokio::test(start_paused = true)]
async fn a_step_finds_what_it_was_given_for_a_wish_also_after_a_crash_and_others_count_on() {
    let mut rig = Rig::new();
    let counted = |ms: u64| {
        let with = json!({"name": "ET-001", "wish": "ET by counter", "scope": "s", "ms": ms});
        let step = function("name", &[], "counted", with);
        definition(json!({"name": "p", "steps": [step], "output": "${steps.name.output}"}))
    };
    let run = rig.start(&counted(60_000)).await;
    rig.until(run, |event| matches!(event, RunEvent::StepScheduled(_))).await;
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(rig.start(&counted(0)).await);
    }
    let mut names = Vec::new();
    for other in others {
        assert_eq!(rig.end(other).await, RunStatus::Succeeded);
        names.push(rig.output(other).await[0].as_str().unwrap().to_owned());
    }
    names.sort_unstable();
    let expected: Vec<String> = (2..=21).map(|number| format!("ET-{number:03}")).collect();
    assert_eq!(names, expected, "twenty at once get twenty names");
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.output(run).await, json!(["ET-001", true]));
}
