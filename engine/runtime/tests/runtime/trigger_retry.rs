//! Deliveries that come while something cannot be read for a moment: what they are to lead to happens later.

use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_core::triggers::Outcome;
use serde_json::json;

use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, pipeline as steps};
use crate::fixtures::trigger_setup::{
    delivery, every, intake, outcome, pass, pipeline, runs, save, signals, started,
};

/// Waits in virtual time, a minute at most.
async fn within_a_minute(mut is_so: impl AsyncFnMut() -> bool, what: &str) {
    for _ in 0..60 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{what}");
}

/// Its triggers were left out for as long as nothing was saved, and what was delivered led to nothing.
#[tokio::test(start_paused = true)]
async fn l28_triggers_that_cannot_be_read_at_once_are_waited_for() {
    let mut rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    rig.crash().await;
    rig.store.fail_reads_of("engine/definition-", 1);
    started(&outcome(&rig, "d1", json!({"n": 1, "kind": "open"})).await);
    assert_eq!(rig.store.unread_left(), 0, "it failed meanwhile");
}

/// It was removed for good, and its moment settled as if the pipeline had no such trigger.
#[tokio::test(start_paused = true)]
async fn t_the_schedule_of_a_damaged_pipeline_stays_and_its_moments_name_the_damage() {
    let mut rig = Rig::new();
    save(&rig, &every(json!({"every": "10s"}))).await;
    rig.crash().await;
    rig.recover().await;
    rig.store.damage("engine/definition-");
    pass(&rig, 30).await;
    let listed = rig.engine.schedules().await.unwrap().remove(0);
    assert_eq!(listed.name, "nightly:1");
    let Some(Outcome::Refused { code, message }) = listed.settled.last().map(|settled| &settled.outcome)
    else {
        panic!("{listed:?}")
    };
    assert_eq!(code, "no_pipeline");
    assert!(message.contains("is damaged at version 1: its bytes are others"), "{message}");
    assert_eq!(runs(&rig).await, 0);
    rig.store.mend();
    rig.crash().await;
    rig.recover().await;
    pass(&rig, 30).await;
    assert!(runs(&rig).await > 0, "it goes on once that is mended");
}

/// It was refused for good.
#[tokio::test(start_paused = true)]
async fn l28_a_start_whose_definition_cannot_be_kept_at_once_is_tried_again() {
    let mut rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    rig.crash().await;
    outcome(&rig, "d0", json!({"kind": "noise"})).await;
    rig.store.fail_ends_of("engine/definition-", 1);
    started(&outcome(&rig, "d1", json!({"n": 1, "kind": "open"})).await);
    assert_eq!(rig.store.unread_left(), 0, "it failed meanwhile");
}

/// It was taken for one that is not there.
#[tokio::test(start_paused = true)]
async fn l28_a_signal_to_a_run_that_cannot_be_read_at_once_reaches_it() {
    let rig = Rig::with(|config| config.states = 0);
    rig.recover().await;
    let trigger = json!({"on": {"hook": "forge"}, "signal": "ci", "to": {"run": "${event.body.run}"}});
    save(&rig, &pipeline("p", 10, json!({"triggers": [trigger]}))).await;
    let waits = json!({
        "id": "w", "work": {"wait": {"for": "1h"}}, "on_signal": {"ci": [{"to": "block"}]},
    });
    let run = rig.start(&steps(vec![waits])).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    rig.store.fill_reads_of(&format!("run/{run}"), 1);
    let found = outcome(&rig, "d1", json!({"run": run})).await;
    assert_eq!(found, Outcome::Signalled { signal: "ci".into(), runs: vec![run] });
    assert_eq!(rig.store.unread_left(), 0, "it failed meanwhile");
}

/// It was durable, its sender had no answer, and it was not handled until the next delivery came.
#[tokio::test(start_paused = true)]
async fn l28_a_delivery_of_which_nobody_knows_whether_it_was_kept_is_handled() {
    let rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    outcome(&rig, "d0", json!({"kind": "noise"})).await;
    rig.store.fail_hook(Fault::Kept);
    rig.store.fail_reads_of("hook/forge", 1);
    rig.engine.deliver("forge", delivery("d1", json!({"n": 1, "kind": "open"}))).await.unwrap_err();
    within_a_minute(async || runs(&rig).await == 1, "its run begins").await;
}

/// What happened until the log was followed again was passed over.
#[tokio::test(start_paused = true)]
async fn l28_a_parked_signal_is_offered_though_the_log_cannot_be_followed() {
    let rig = Rig::new();
    let trigger = json!({
        "on": {"hook": "forge"}, "signal": "ci", "to": {"key": "issue-${event.body.n}"}, "park": true,
    });
    let p = pipeline("p", 600_000, json!({"key": {"value": "issue-${input.n}"}, "triggers": [trigger]}));
    save(&rig, &p).await;
    // The first run that goes on here has all be offered that waits.
    rig.engine.start(crate::fixtures::test_engine::request(&p, json!({"n": 1}))).await.unwrap();
    assert_eq!(outcome(&rig, "d1", json!({"n": 7})).await.word(), "parked");
    // What is still due to be offered has been.
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.store.follows_to_fail.store(100, Ordering::SeqCst);
    let run = rig.engine.start(crate::fixtures::test_engine::request(&p, json!({"n": 7}))).await.unwrap().run;
    within_a_minute(async || !signals(&rig, run).await.is_empty(), "it is heard").await;
    assert!(rig.store.follows_to_fail.load(Ordering::SeqCst) < 100, "it failed meanwhile");
}

/// They were taken to have none, and their schedules were removed.
#[tokio::test(start_paused = true)]
async fn t_a_schedule_stays_though_its_pipeline_cannot_be_read_at_once() {
    let mut rig = Rig::new();
    save(&rig, &every(json!({"every": "10s"}))).await;
    pass(&rig, 30).await;
    let before = runs(&rig).await;
    assert!(before > 0);
    rig.crash().await;
    rig.recover().await;
    rig.store.fail_reads_of("engine/definition-", 1);
    pass(&rig, 60).await;
    assert_eq!(rig.store.unread_left(), 0, "it failed meanwhile");
    assert!(runs(&rig).await >= before + 4, "{} after {before}", runs(&rig).await);
    let listed = rig.engine.schedules().await.unwrap();
    let is_whole = |settled: &everfold_core::schedules::Settled| settled.outcome.word() == "started";
    assert!(listed[0].settled.iter().all(is_whole), "{:?}", listed[0].settled);
}

/// No trigger of any pipeline worked.
#[tokio::test(start_paused = true)]
async fn a_pipeline_whose_stream_is_damaged_keeps_no_other_one_from_its_triggers() {
    let mut rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    save(&rig, &pipeline("broken", 10, json!({}))).await;
    rig.crash().await;
    rig.store.damage("engine/pipeline-broken");
    started(&outcome(&rig, "d1", json!({"n": 1, "kind": "open"})).await);
}
