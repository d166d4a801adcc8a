//! L2, L3, L5: what is asked before a run begins, in this order; settings documents, and gates.

use everfold_base::json::Value;
use everfold_core::decide::Refusal;
use everfold_core::event::{CancelRequested, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::slots::SlotState;
use everfold_core::state::RunStatus;
use everfold_runtime::StartError;
use serde_json::json;

use crate::fixtures::slot_setup::{refused, slot, start, until_key, with};
use crate::fixtures::test_engine::{Rig, request};

#[tokio::test(start_paused = true)]
async fn l2_input_config_key_admit_and_concurrency_are_asked_in_this_order_and_a_refusal_stores_nothing() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.yaml");
    let top = json!({
        "input": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
        "config": {"app": [{"file": settings}]},
        "key": {"value": "task-${input.n}", "on_taken": "reject"},
        "admit": {"gates": [{"id": "third", "probe": {"expression": "input.n == 3"}, "code": "NOT_THIRD"}]},
        "concurrency": [{"key": "repo", "limit": 1, "on_limit": "reject"}],
    });
    let second = with(10, top);
    let mut first = slot(1, "reject");
    first["key"] = json!({"value": "task-1"});
    let first = start(&rig, &with(600_000, first), json!({"n": 1})).await.run;
    // Everything is wrong at once; what is asked first is said, and mended next.
    assert_eq!(refused(&rig, &second, json!({"n": "1"})).await.code(), "invalid_input");
    assert_eq!(refused(&rig, &second, json!({"n": 1})).await.code(), "config");
    std::fs::write(&settings, "a: 1\n").unwrap();
    assert_eq!(refused(&rig, &second, json!({"n": 1})).await.code(), "key_taken");
    let refusal = refused(&rig, &second, json!({"n": 2})).await;
    assert_eq!(refusal.code(), "not_admitted");
    assert!(matches!(&refusal, Refusal::NotAdmitted { code: Some(code), .. } if code == "NOT_THIRD"));
    assert_eq!(refused(&rig, &second, json!({"n": 3})).await.code(), "no_slot");
    rig.submit(first, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(first).await, RunStatus::Cancelled);
    until_key(&rig, SlotState::is_free).await;
    // What a refused start had taken already is free again.
    let run = start(&rig, &second, json!({"n": 3})).await.run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l3_documents_are_read_when_the_run_starts_merged_and_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("own.yaml", "model: small\nlimits: { time: 5 }\n");
    write("team.json", r#"{"model": "large", "limits": {"time": 9, "cost": 2}}"#);
    let config = json!({"app": [
        {"file": "${input.file}"}, {"file": "nowhere.yaml"}, {"file": "team.json"}, {"values": {"retries": 3}},
    ]});
    let rig = Rig::new();
    let definition =
        with(1, json!({"config": config, "labels": {"model": "${config.app.model}"}, "output": "${config}"}));
    let start = |file: &str| {
        let mut asked = request(&definition, json!({"file": file}));
        asked.options.cwd = Some(folder.path().display().to_string());
        asked
    };
    let run = rig.engine.start(start("own.yaml")).await.unwrap().run;
    write("own.yaml", "model: changed\n");
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let merged = json!({"app": {"model": "small", "limits": {"time": 5, "cost": 2}, "retries": 3}});
    assert_eq!(rig.output(run).await, merged);
    let model = rig.engine.with_state(run, |state| state.labels()["model"].clone()).await.unwrap();
    assert_eq!(model, "small");
    rig.assert_replays(run).await;
    write("bad.yaml", "a: [1\n");
    for (file, word) in [("bad.yaml", "bad.yaml:"), ("list.yaml", "holds no map")] {
        write("list.yaml", "- 1\n");
        match rig.engine.start(start(file)).await {
            Err(StartError::Refused(refusal @ Refusal::Config { .. })) => {
                assert!(refusal.to_string().contains(word), "{refusal}");
                assert_eq!(refusal.code(), "config");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l3_where_no_document_is_there_nothing_starts() {
    let rig = Rig::new();
    let definition =
        with(1, json!({"config": {"app": [{"file": "/nowhere/a.yaml"}, {"file": "/nowhere/b.json"}]}}));
    let refusal = refused(&rig, &definition, json!({})).await;
    assert!(refusal.to_string().contains("/nowhere/a.yaml, /nowhere/b.json"), "{refusal}");
    let definition = with(1, json!({"config": {"app": [{"file": "a.yaml"}]}}));
    assert!(refused(&rig, &definition, json!({})).await.to_string().contains("no working folder"));
}

fn admitting(on_refused: &str, gate: Value) -> Value {
    json!({"admit": {"gates": [gate], "on_refused": on_refused}})
}

#[tokio::test(start_paused = true)]
async fn l5_a_gate_before_the_start_refuses_or_records_a_failed_run() {
    let rig = Rig::new();
    let gate = json!({"id": "ready", "probe": {"expression": "input.ready"}, "code": "REPO_NOT_READY"});
    let refusal = refused(&rig, &with(1, admitting("refuse", gate.clone())), json!({"ready": false})).await;
    let Refusal::NotAdmitted { gate: named, code, .. } = &refusal else { panic!("{refusal:?}") };
    assert_eq!((named.as_str(), code.as_deref()), ("ready", Some("REPO_NOT_READY")));
    let failing = start(&rig, &with(1, admitting("fail", gate.clone())), json!({"ready": false})).await.run;
    assert_eq!(rig.status(failing).await, RunStatus::Failed);
    assert_eq!(rig.names(failing).await, ["RunStarted", "GateEvaluated", "RunFailed"]);
    let history = rig.history(failing).await;
    let Some(RunEvent::RunFailed(failed)) = history.last() else { panic!("{history:?}") };
    assert_eq!(failed.failure.code.as_deref(), Some("REPO_NOT_READY"));
    rig.assert_replays(failing).await;
    let run = start(&rig, &with(1, admitting("refuse", gate)), json!({"ready": true})).await.run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.names(run).await[..2], ["RunStarted", "GateEvaluated"]);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l5_evidence_is_collected_at_the_edge_and_what_cannot_be_had_is_no_pass() {
    let rig = Rig::new();
    let gate = |kind: &str| json!({"id": "open-prs", "probe": {"task": {"kind": kind, "spec": {"argv": ["check"]}}}});
    let refusal = refused(&rig, &with(1, admitting("refuse", gate("nobody"))), json!({})).await;
    assert!(refusal.to_string().contains("nobody"), "{refusal}");
    let run = start(&rig, &with(1, admitting("refuse", gate("command"))), json!({})).await.run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let evaluated = rig.history(run).await.into_iter().find_map(|event| match event {
        RunEvent::GateEvaluated(event) => Some(event),
        _other => None,
    });
    assert_eq!(evaluated.unwrap().id.to_string(), "$admit/1/1");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l5_several_probes_may_be_judged_together_before_the_start() {
    let rig = Rig::new();
    let asked = json!({"probe": {"task": {"kind": "command", "spec": {"argv": ["check"]}}}});
    let known = json!({"probe": {"expression": "input.ready"}});
    let gate = json!({"id": "both", "probe": {"all": [known, asked]}});
    let definition = with(1, admitting("refuse", gate));
    let refusal = refused(&rig, &definition, json!({"ready": false})).await;
    assert_eq!(refusal.code(), "not_admitted");
    let run = start(&rig, &definition, json!({"ready": true})).await.run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn row_21_a_run_is_judged_again_when_it_leaves_its_queue_and_not_where_it_waited_for_nothing() {
    let rig = Rig::new();
    let mut more = slot(1, "queue");
    let gate = json!({"id": "open-prs", "probe": {"task": {"kind": "command", "spec": {"argv": ["check"]}}}});
    more["admit"] = json!({"gates": [gate]});
    let definition = with(100, more);
    let first = start(&rig, &definition, json!({})).await.run;
    let second = start(&rig, &definition, json!({})).await.run;
    for (run, expected) in [(first, vec![1]), (second, vec![1, 2])] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        let rounds: Vec<u32> = rig
            .history(run)
            .await
            .into_iter()
            .filter_map(|event| match event {
                RunEvent::GateEvaluated(event) => Some(event.id.round.get()),
                _other => None,
            })
            .collect();
        assert_eq!(rounds, expected);
        rig.assert_replays(run).await;
    }
}

/// A device without an end was read until the memory was full.
#[tokio::test(start_paused = true)]
async fn settings_are_read_from_regular_files_of_a_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.yaml");
    std::fs::write(&large, "é".repeat(600_000)).unwrap();
    let rig = Rig::new();
    for (file, why) in [("/dev/zero", "no regular file"), (large.to_str().unwrap(), "over the limit")] {
        let definition = with(1, json!({"config": {"app": [{"file": file}]}}));
        let refusal = refused(&rig, &definition, json!({})).await;
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
}
