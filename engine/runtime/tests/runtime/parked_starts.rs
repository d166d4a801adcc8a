//! Starts that wait as signals do, and what triggers see of the settings and say of what does not fit.

use std::path::Path;
use std::sync::Arc;

use everfold_base::json::Value;
use everfold_core::state::RunStatus;
use everfold_core::triggers::Outcome;
use everfold_language::definition::Definition;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, command, definition};
use crate::fixtures::trigger_setup::{deliver, only, only_run, outcome, pass, record, runs, save, started};

/// Starts a run per delivery, one at a time.
fn one_at_a_time(park: bool, ms: u64) -> Arc<Definition> {
    let start = json!({"input": {"n": "${event.body.n}"}, "park": park});
    definition(json!({
        "name": "one", "triggers": [{"on": {"hook": "forge"}, "start": start}],
        "concurrency": [{"key": "one", "on_limit": "reject"}], "steps": [command("work", &[], ms)],
    }))
}

/// Starts a run where the settings know the project; what no settings know yet waits.
fn by_project(file: &Path) -> Arc<Definition> {
    let trigger = json!({
        "on": {"hook": "forge"}, "when": "event.body.project in config.projects.known",
        "otherwise": "unknown project ${event.body.project}", "park_when": "config.projects.fallback",
        "start": {"title": "${config.projects.known[event.body.project]} ${event.body.n}"},
    });
    let sources =
        json!([{"file": file.to_str().unwrap()}, {"values": {"known": {"shop": "SHOP"}, "fallback": true}}]);
    definition(json!({
        "name": "projects", "config": {"projects": sources}, "triggers": [trigger],
        "steps": [command("work", &[], 10)],
    }))
}

fn settings(file: &Path, known: Value, fallback: bool) {
    std::fs::write(file, json!({"known": known, "fallback": fallback}).to_string()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_refused_for_now_waits_and_begins_when_it_may_once_whatever_crashes() {
    let mut rig = Rig::new();
    save(&rig, &one_at_a_time(true, 30_000)).await;
    let first = started(&outcome(&rig, "d1", json!({"n": 1})).await);
    match outcome(&rig, "d2", json!({"n": 2})).await {
        Outcome::StartParked { why } => assert!(why.contains("one"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(runs(&rig).await, 1);
    rig.crash().await;
    rig.recover().await;
    rig.end(first).await;
    pass(&rig, 90).await;
    let second = started(&record(&rig, "d2").await.outcomes()[0].outcome);
    rig.end(second).await;
    pass(&rig, 90).await;
    assert_eq!(runs(&rig).await, 2, "it starts once");
    assert_eq!(started(&only(deliver(&rig, "d2", json!({"n": 2})).await).await), second);
}

/// They are asked for in parts; no part is left out.
#[tokio::test(start_paused = true)]
async fn many_starts_that_wait_begin_all_as_soon_as_they_may() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("projects.json");
    settings(&file, json!({"shop": "SHOP"}), true);
    save(&rig, &by_project(&file)).await;
    for n in 0..65 {
        let parked = outcome(&rig, &format!("d{n}"), json!({"project": "blog", "n": n})).await;
        assert!(matches!(parked, Outcome::StartParked { .. }), "{parked:?}");
    }
    settings(&file, json!({"blog": "BLOG"}), true);
    pass(&rig, 70).await;
    assert_eq!(runs(&rig).await, 65);
    for n in [0, 19, 20, 40, 64] {
        started(&record(&rig, &format!("d{n}")).await.outcomes()[0].outcome);
    }
}

/// Starts a run per delivery, where a gate before the start lets it; one that is refused is recorded as failed.
fn admitted_by(gate: &Value, park: bool) -> Arc<Definition> {
    let start = json!({"input": {"n": "${event.body.n}"}, "park": park});
    definition(json!({
        "name": "judged", "triggers": [{"on": {"hook": "forge"}, "start": start}],
        "admit": {"gates": [gate], "on_refused": "fail"}, "steps": [command("work", &[], 10)],
    }))
}

#[tokio::test(start_paused = true)]
async fn a_start_that_admission_cannot_judge_yet_waits_with_the_reason_and_begins_later() {
    let away =
        json!({"id": "known", "probe": {"task": {"kind": "command", "spec": {"argv": ["check", "3"]}}}});
    let rig = Rig::new();
    save(&rig, &admitted_by(&away, true)).await;
    let Outcome::StartParked { why } = outcome(&rig, "d1", json!({"n": 1})).await else { panic!("it waits") };
    assert!(why.contains("the network is down"), "{why}");
    assert_eq!(runs(&rig).await, 0);
    pass(&rig, 200).await;
    let run = started(&record(&rig, "d1").await.outcomes()[0].outcome);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(runs(&rig).await, 1, "and once");
    // A policy that has no verdict yet says the same.
    let open = json!({"id": "known", "probe": {"expression": "true"}, "policy": "{'verdict': 'pending', 'reason': 'limited'}"});
    let rig = Rig::new();
    save(&rig, &admitted_by(&open, true)).await;
    let Outcome::StartParked { why } = outcome(&rig, "d1", json!({"n": 1})).await else { panic!("it waits") };
    assert!(why.contains("limited"), "{why}");
    // One that is judged, and one that is not tried again, are recorded.
    let judged = json!({"id": "known", "probe": {"expression": "false"}});
    for (gate, park) in [(judged, true), (away, false)] {
        let rig = Rig::new();
        save(&rig, &admitted_by(&gate, park)).await;
        let run = started(&outcome(&rig, "d1", json!({"n": 1})).await);
        assert_eq!(rig.end(run).await, RunStatus::Failed, "{gate}");
    }
}

/// A wrong value of the settings says nothing of what was delivered.
#[tokio::test(start_paused = true)]
async fn a_start_that_wrong_settings_refuse_waits_until_they_are_mended() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let limited = |park: bool| {
        definition(json!({
            "name": "limited", "config": {"settings": [{"file": file.to_str().unwrap()}]},
            "triggers": [{"on": {"hook": "forge"}, "start": {"input": {}, "park": park}}],
            "concurrency": [{"key": "one", "limit": "${config.settings.limit}"}], "steps": [command("work", &[], 10)],
        }))
    };
    std::fs::write(&file, json!({"limit": "many"}).to_string()).unwrap();
    save(&rig, &limited(false)).await;
    let refused = outcome(&rig, "d1", json!({})).await;
    assert!(matches!(&refused, Outcome::Refused { code, .. } if code == "start"), "{refused:?}");
    save(&rig, &limited(true)).await;
    let Outcome::StartParked { why } = outcome(&rig, "d2", json!({})).await else { panic!("it waits") };
    assert!(why.contains("limit"), "{why}");
    std::fs::write(&file, json!({"limit": 2}).to_string()).unwrap();
    pass(&rig, 90).await;
    let run = started(&record(&rig, "d2").await.outcomes()[0].outcome);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(runs(&rig).await, 1);
}

#[tokio::test(start_paused = true)]
async fn without_park_a_refused_start_is_refused_and_over() {
    let rig = Rig::new();
    save(&rig, &one_at_a_time(false, 30_000)).await;
    let first = started(&outcome(&rig, "d1", json!({"n": 1})).await);
    assert!(
        matches!(outcome(&rig, "d2", json!({"n": 2})).await, Outcome::Refused { code, .. } if code == "no_slot")
    );
    rig.end(first).await;
    pass(&rig, 90).await;
    assert_eq!(runs(&rig).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_for_over_seven_days_is_over() {
    let rig = Rig::new();
    save(&rig, &one_at_a_time(true, 8 * 24 * 3_600_000)).await;
    started(&outcome(&rig, "d1", json!({"n": 1})).await);
    assert_eq!(outcome(&rig, "d2", json!({"n": 2})).await.word(), "parked");
    tokio::time::sleep(std::time::Duration::from_secs(7 * 24 * 3_600 + 60)).await;
    pass(&rig, 3).await;
    match &record(&rig, "d2").await.outcomes()[0].outcome {
        Outcome::Ignored { why } => assert!(why.contains("within 7 days"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_sees_the_settings_as_they_are_and_says_why_it_does_not_fit() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("projects.json");
    save(&rig, &by_project(&file)).await;
    // The settings are those of the saved version: what they do not know may be known later.
    let waits = outcome(&rig, "d1", json!({"n": 1, "project": "bank"})).await;
    assert_eq!(waits, Outcome::StartParked { why: "unknown project bank".into() });
    settings(&file, json!({"bank": "BANK"}), false);
    pass(&rig, 90).await;
    let run = only_run(&rig).await;
    assert_eq!(started(&record(&rig, "d1").await.outcomes()[0].outcome), run);
    let title = rig.engine.with_state(run, |state| state.title().map(str::to_owned)).await.unwrap();
    assert_eq!(title.as_deref(), Some("BANK 1"));
    let never = outcome(&rig, "d2", json!({"n": 2, "project": "zoo"})).await;
    assert_eq!(never, Outcome::Ignored { why: "unknown project zoo".into() }, "all projects are known now");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_the_settings_cannot_be_read_waits_and_is_heard_in_its_order() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("projects.json");
    let trigger = |when: &str, more: Value| {
        let mut trigger = json!({"on": {"hook": "forge"}, "when": format!("{when} && event.body.project in config.projects.known")});
        trigger.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        trigger
    };
    let triggers = [
        trigger("event.body.say == 'start'", json!({"start": {"title": "${event.body.project}"}})),
        trigger("event.body.say != 'start'", json!({"signal": "${event.body.say}", "to": {"key": "shop"}})),
    ];
    let waits = |id: &str, signal: &str| json!({"id": id, "work": {"wait": {"signal": signal}}});
    let project = definition(json!({
        "name": "projects", "config": {"projects": [{"file": file.to_str().unwrap()}]}, "triggers": triggers,
        "key": {"value": "shop"}, "steps": [waits("first", "approved"), waits("second", "accepted")],
    }));
    save(&rig, &project).await;
    std::fs::write(&file, "known: [").unwrap();
    for (id, say) in [("d1", "start"), ("d2", "approved"), ("d3", "accepted")] {
        let said = deliver(&rig, id, json!({"project": "shop", "say": say})).await.outcome.await.unwrap();
        for told in said {
            match told.outcome {
                Outcome::StartParked { why } => assert!(why.contains("projects"), "{why}"),
                other => panic!("{id}: {other:?}"),
            }
        }
    }
    settings(&file, json!({"shop": "SHOP"}), false);
    pass(&rig, 180).await;
    let run = only_run(&rig).await;
    rig.end(run).await;
    let words = |record: &everfold_runtime::DeliveryRecord| {
        record.outcomes().iter().map(|told| told.outcome.word()).collect::<Vec<_>>()
    };
    assert_eq!(words(&record(&rig, "d1").await), ["started", "ignored"]);
    assert_eq!(words(&record(&rig, "d2").await), ["ignored", "signalled"]);
    assert_eq!(words(&record(&rig, "d3").await), ["ignored", "signalled"]);
}
