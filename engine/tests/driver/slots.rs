//! L2–L5, D9: settings, keys, admission, slots.

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::decide::Refusal;
use everfold_engine::definition::{Definition, Vote};
use everfold_engine::driver::{ForkRequest, StartError, StartRequest, Started};
use everfold_engine::envelope::{StreamId, StreamKind};
use everfold_engine::event::{OriginKind, RunEvent, RunSucceeded};
use everfold_engine::id::{RunId, Version};
use everfold_engine::input::InputKind;
use everfold_engine::json::{Hash, Payload, Value};
use everfold_engine::keys::{KeyEvent, KeyState};
use everfold_engine::state::RunStatus;
use everfold_engine::store::{Dedup, DedupKeep, EventStore as _, StreamNote};
use serde_json::json;

use crate::rig::{Rig, command, definition, request};
use crate::watched::Fault;

/// A process of so many ms, with more of the top level.
fn with(ms: u64, more: Value) -> Arc<Definition> {
    let mut document = json!({"name": "p", "steps": [command("work", &[], ms)]});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition(document)
}

fn slot(limit: u32, on_limit: &str) -> Value {
    json!({"concurrency": [{"key": "repo", "limit": limit, "on_limit": on_limit}]})
}

async fn refused(rig: &Rig, definition: &Arc<Definition>, input: Value) -> Refusal {
    let before = rig.store.inner.last_position();
    match rig.engine.start(request(definition, input)).await {
        Err(StartError::Refused(refusal)) => {
            assert_eq!(rig.store.inner.last_position(), before, "a refusal stores nothing");
            refusal
        }
        other => panic!("{other:?}"),
    }
}

async fn output(rig: &Rig, run: RunId) -> Value {
    match rig.history(run).await.pop() {
        Some(RunEvent::RunSucceeded(RunSucceeded { output: Payload::Inline(text) })) => text.value(),
        other => panic!("{other:?}"),
    }
}

/// Every key as its stream says it.
async fn keys(rig: &Rig) -> Vec<(String, KeyState)> {
    let streams = rig.store.inner.streams(StreamKind::Key, None, 1_000).await.unwrap();
    let mut keys = Vec::new();
    for (stream, _) in streams {
        let mut state = KeyState::default();
        for event in rig.store.inner.read(&stream, Version::FIRST, 10_000).await.unwrap() {
            state.apply(&KeyEvent::decode(event.header.kind, event.header.schema, &event.payload).unwrap());
        }
        keys.push((stream.id, state));
    }
    keys
}

/// Waits until the key says so.
async fn until_key(rig: &Rig, wanted: impl Fn(&KeyState) -> bool) {
    let mut log = rig.engine.subscribe(everfold_engine::id::Position::FIRST);
    let found = async {
        while !keys(rig).await.iter().all(|(_, key)| wanted(key)) {
            log.next().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(3_600), found).await.expect("the key comes to say so");
}

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
    rig.submit(first, InputKind::Cancel { reason: None }).await.unwrap();
    assert_eq!(rig.end(first).await, RunStatus::Cancelled);
    until_key(&rig, KeyState::is_free).await;
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
    let start = |file: &str| StartRequest {
        cwd: Some(folder.path().display().to_string()),
        ..request(&definition, json!({"file": file}))
    };
    let run = rig.engine.start(start("own.yaml")).await.unwrap().run;
    write("own.yaml", "model: changed\n");
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let merged = json!({"app": {"model": "small", "limits": {"time": 5, "cost": 2}, "retries": 3}});
    assert_eq!(output(&rig, run).await, merged);
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

fn keyed(ms: u64, more: Value) -> Arc<Definition> {
    let mut key = json!({"value": "task-${input.n}"});
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with(ms, json!({"key": key}))
}

async fn start(rig: &Rig, definition: &Arc<Definition>, input: Value) -> Started {
    rig.engine.start(request(definition, input)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn l4_a_key_has_one_holder_and_who_comes_second_gets_it_or_is_refused() {
    let rig = Rig::new();
    let first = start(&rig, &keyed(50, json!({})), json!({"n": 1})).await;
    assert!(!first.held);
    let second = start(&rig, &keyed(50, json!({})), json!({"n": 1})).await;
    assert_eq!((second.run, second.held), (first.run, true));
    let refusal = refused(&rig, &keyed(50, json!({"on_taken": "reject"})), json!({"n": 1})).await;
    assert_eq!(refusal, Refusal::KeyTaken { key: "task-1".into(), holder: first.run });
    assert_ne!(start(&rig, &keyed(50, json!({})), json!({"n": 2})).await.run, first.run);
    assert_eq!(rig.end(first.run).await, RunStatus::Succeeded);
    until_key(&rig, KeyState::is_free).await;
    let again = start(&rig, &keyed(50, json!({})), json!({"n": 1})).await;
    assert!(!again.held && again.run != first.run);
    rig.assert_replays(first.run).await;
}

#[tokio::test(start_paused = true)]
async fn l4_a_start_with_an_id_that_is_asked_for_again_is_not_held_by_its_own_key() {
    let rig = Rig::new();
    let run = RunId(uuid::Uuid::from_u128(7));
    for on_taken in ["return", "reject"] {
        let again = StartRequest {
            run: Some(run),
            ..request(&keyed(600_000, json!({"on_taken": on_taken})), json!({"n": 1}))
        };
        for _ in 0..2 {
            let started = rig.engine.start(again.clone()).await.unwrap();
            assert_eq!((started.run, started.held), (run, false), "{on_taken}");
        }
    }
    let starts = rig.history(run).await.into_iter().filter(|event| matches!(event, RunEvent::RunStarted(_)));
    assert_eq!(starts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn l4_two_starts_at_once_are_one_run() {
    let rig = Rig::new();
    rig.store.delay_ms.store(20, std::sync::atomic::Ordering::SeqCst);
    let definition = keyed(50, json!({}));
    let (one, other) = tokio::join!(
        rig.engine.start(request(&definition, json!({"n": 1}))),
        rig.engine.start(request(&definition, json!({"n": 1}))),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.run, other.run);
    assert_ne!(one.held, other.held);
}

#[tokio::test(start_paused = true)]
async fn l4_who_replaces_cancels_the_holder_and_begins_after_its_end() {
    let rig = Rig::new();
    let first = start(&rig, &keyed(600_000, json!({})), json!({"n": 1})).await.run;
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let second = start(&rig, &keyed(10, json!({"on_taken": "replace"})), json!({"n": 1})).await.run;
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    assert_eq!(rig.status(first).await, RunStatus::Cancelled);
    let reason = rig.history(first).await.into_iter().find_map(|event| match event {
        RunEvent::CancelRequested(event) => event.reason,
        _other => None,
    });
    assert_eq!(reason.as_deref(), Some("replaced"));
    let (end, begin) = (rig.envelopes(first).await, rig.envelopes(second).await);
    let admitted =
        rig.history(second).await.iter().position(|event| matches!(event, RunEvent::RunAdmitted(_)));
    assert!(end.last().unwrap().position < begin[admitted.unwrap()].position, "it begins after its end");
}

#[tokio::test(start_paused = true)]
async fn l4_who_replaces_gets_the_slot_of_the_one_that_it_replaces() {
    let rig = Rig::new();
    let only = |ms: u64| {
        let mut top = slot(1, "reject");
        top["key"] = json!({"value": "task-${input.n}", "on_taken": "replace"});
        with(ms, top)
    };
    let first = start(&rig, &only(600_000), json!({"n": 1})).await.run;
    assert_eq!(refused(&rig, &only(10), json!({"n": 2})).await.code(), "no_slot", "another task finds none");
    assert_eq!(rig.status(first).await, RunStatus::Running, "and a refusal leaves the holder alone");
    let second = start(&rig, &only(10), json!({"n": 1})).await.run;
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    assert_eq!(rig.status(first).await, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn l4_a_key_that_no_success_releases_answers_with_the_run_that_succeeded() {
    let rig = Rig::new();
    let once = |ms: u64| keyed(ms, json!({"release": "unsuccessful"}));
    let failing = json!({"id": "work", "needs": [], "work": {"task": {"kind": "function", "spec": {"name": "fail", "with": {}}}}});
    let key = json!({"value": "task-1", "release": "unsuccessful"});
    let failed =
        start(&rig, &definition(json!({"name": "p", "key": key, "steps": [failing]})), json!({})).await.run;
    assert_eq!(rig.end(failed).await, RunStatus::Failed);
    until_key(&rig, KeyState::is_free).await;
    let done = start(&rig, &once(10), json!({"n": 1})).await;
    assert!(!done.held, "a failure gives it back");
    assert_eq!(rig.end(done.run).await, RunStatus::Succeeded);
    until_key(&rig, |key| !key.is_busy()).await;
    let again = start(&rig, &once(10), json!({"n": 1})).await;
    assert_eq!((again.run, again.held), (done.run, true));
}

#[tokio::test(start_paused = true)]
async fn s10_a_repeated_start_is_its_own_answer_whatever_its_key_says() {
    let rig = Rig::new();
    let dedup =
        |key: &str| Some(Dedup { key: Hash::of(key.as_bytes()), body: Hash::ZERO, keep: DedupKeep::Stream });
    let definition = keyed(600_000, json!({"on_taken": "reject"}));
    let first = StartRequest { dedup: dedup("a"), ..request(&definition, json!({"n": 1})) };
    let started = rig.engine.start(first.clone()).await.unwrap();
    let again = rig.engine.start(first).await.unwrap();
    assert_eq!((again.run, again.repeated, again.held), (started.run, true, false));
    let other = StartRequest { dedup: dedup("b"), ..request(&definition, json!({"n": 1})) };
    assert!(rig.engine.start(other).await.is_err_and(|error| error.is_refusal()));
}

#[tokio::test(start_paused = true)]
async fn d9_so_many_run_at_once_and_the_others_wait_in_their_order() {
    let rig = Rig::new();
    let definition = with(100, slot(2, "queue"));
    let mut runs = Vec::new();
    for n in 0..6 {
        let priority = if n == 5 { 1 } else { 0 };
        let asked = StartRequest { priority, ..request(&definition, json!({})) };
        runs.push(rig.engine.start(asked).await.unwrap().run);
    }
    assert_eq!(rig.status(runs[4]).await, RunStatus::Queued);
    let mut began = Vec::new();
    for run in &runs {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
        let history = rig.envelopes(*run).await;
        let events = rig.history(*run).await;
        let at =
            |name: &str| events.iter().position(|event| event.name() == name).map(|at| history[at].position);
        began.push((at("RunAdmitted").unwrap(), *run));
        assert!(at("StepScheduled") > at("RunAdmitted"));
        rig.assert_replays(*run).await;
    }
    began.sort();
    let order: Vec<RunId> = began.into_iter().map(|(_, run)| run).collect();
    assert_eq!(order[2], runs[5], "the higher priority goes first");
    assert_eq!([order[3], order[4], order[5]], [runs[2], runs[3], runs[4]], "then who began first");
    assert!(rig.machine.peak() <= 2);
    until_key(&rig, KeyState::is_free).await;
}

#[tokio::test(start_paused = true)]
async fn d9_a_start_that_may_not_wait_is_refused_and_two_of_them_never_both_get_the_last_slot() {
    let rig = Rig::new();
    rig.store.delay_ms.store(10, std::sync::atomic::Ordering::SeqCst);
    let definition = with(1_000, slot(1, "reject"));
    let starts = (0..8).map(|_| rig.engine.start(request(&definition, json!({}))));
    let started = futures::future::join_all(starts).await;
    let (won, lost): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    let no_slot = Refusal::NoSlot { key: "repo".into(), limit: 1 };
    assert!(lost.iter().all(|it| matches!(it, Err(StartError::Refused(refusal)) if *refusal == no_slot)));
    let run = won[0].as_ref().unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert!(!rig.names(run).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn d9_a_slot_is_held_to_the_end_also_while_its_run_waits_for_people_and_stands_still() {
    let rig = Rig::new();
    let ask = json!({"id": "ask", "work": {"approval": {"title": "Go on?"}}});
    let asking = definition(json!({"name": "p", "concurrency": [{"key": "repo"}], "steps": [ask]}));
    let first = start(&rig, &asking, json!({})).await.run;
    rig.until(first, |event| matches!(event, RunEvent::ApprovalRequested(_))).await;
    let second = start(&rig, &asking, json!({})).await.run;
    rig.submit(first, InputKind::Pause { reason: None }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!((rig.status(first).await, rig.status(second).await), (RunStatus::Paused, RunStatus::Queued));
    rig.submit(first, InputKind::Resume { reason: None }).await.unwrap();
    let vote = InputKind::Vote {
        id: "ask/1/1".parse().unwrap(),
        vote: Vote::Approve,
        comment: None,
        roles: Vec::new(),
        comments: Vec::new(),
        edited: None,
    };
    rig.submit(first, vote).await.unwrap();
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    rig.until(second, |event| matches!(event, RunEvent::ApprovalRequested(_))).await;
}

#[tokio::test(start_paused = true)]
async fn d9_the_oldest_makes_room() {
    let rig = Rig::new();
    let definition = with(600_000, slot(2, "cancel-oldest".replace('-', "_").as_str()));
    let runs = [start(&rig, &definition, json!({})).await.run, start(&rig, &definition, json!({})).await.run];
    for run in runs {
        rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    }
    let third = start(&rig, &definition, json!({})).await.run;
    assert_eq!(rig.end(runs[0]).await, RunStatus::Cancelled);
    rig.until(third, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    assert_eq!(rig.status(runs[1]).await, RunStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn d9_a_run_that_waits_can_be_cancelled_and_tidies_nothing_up() {
    let rig = Rig::new();
    let mut more = slot(1, "queue");
    more["on_finish"] = json!([command("tidy", &[], 10)]);
    let definition = with(500, more);
    let first = start(&rig, &definition, json!({})).await.run;
    let second = start(&rig, &definition, json!({})).await.run;
    let third = start(&rig, &definition, json!({})).await.run;
    rig.submit(second, InputKind::Cancel { reason: None }).await.unwrap();
    assert_eq!(rig.end(second).await, RunStatus::Cancelled);
    assert!(!rig.names(second).await.contains(&"StepScheduled"));
    for run in [first, third] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    }
    until_key(&rig, KeyState::is_free).await;
}

#[tokio::test(start_paused = true)]
async fn d9_runs_that_want_several_keys_never_wait_for_each_other() {
    let rig = Rig::new();
    let both = |one: &str, other: &str| with(20, json!({"concurrency": [{"key": one}, {"key": other}]}));
    let (ab, ba) = (both("a", "b"), both("b", "a"));
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(start(&rig, &ab, json!({})).await.run);
        runs.push(start(&rig, &ba, json!({})).await.run);
    }
    for run in runs {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    }
    assert_eq!(rig.machine.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn d9_a_condition_and_an_empty_key_want_no_slot_and_limits_are_computed() {
    let rig = Rig::new();
    let slots = json!({"concurrency": [
        {"key": "repo", "limit": "${input.limit}"},
        {"key": "other", "when": "input.limit > 100"},
        {"key": "${input.limit > 100 ? 'x' : ''}"},
    ]});
    let definition = with(100, slots);
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(start(&rig, &definition, json!({"limit": 3})).await.run);
    }
    for run in runs {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    }
    assert_eq!(rig.machine.peak(), 3);
    assert_eq!(keys(&rig).await.len(), 1);
    let refusal = refused(&rig, &definition, json!({"limit": 0})).await;
    assert_eq!(refusal.code(), "start");
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
async fn l5_a_run_is_judged_again_when_it_leaves_its_queue() {
    let rig = Rig::new();
    let mut more = slot(1, "queue");
    let gate = json!({"id": "open-prs", "probe": {"task": {"kind": "command", "spec": {"argv": ["check"]}}}});
    more["admit"] = json!({"gates": [gate]});
    let definition = with(100, more);
    let first = start(&rig, &definition, json!({})).await.run;
    let second = start(&rig, &definition, json!({})).await.run;
    for run in [first, second] {
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
        assert_eq!(rounds, [1, 2]);
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d9_whenever_the_engine_dies_no_slot_is_lost_or_doubled() {
    for seed in 0..60_u64 {
        let mut rig = Rig::new();
        let queue = with(30, slot(2, "queue"));
        let both = with(30, json!({"concurrency": [{"key": "repo", "limit": 2}, {"key": "other"}]}));
        rig.store.delay_ms.store(seed % 4, std::sync::atomic::Ordering::SeqCst);
        let mut runs = Vec::new();
        for n in 0..6 {
            let definition = if n % 3 == 2 { &both } else { &queue };
            runs.push(start(&rig, definition, json!({})).await.run);
        }
        for turn in 0..5 {
            if (seed + turn) % 4 == 0 {
                rig.store.fail_next(Fault::Kept);
            }
            tokio::time::sleep(Duration::from_millis((seed * 7 + turn * 13) % 40)).await;
            rig.crash().await;
            rig.recover().await;
        }
        for run in &runs {
            assert_eq!(rig.end(*run).await, RunStatus::Succeeded, "seed {seed}");
            rig.assert_replays(*run).await;
        }
        until_key(&rig, KeyState::is_free).await;
        assert!(rig.machine.peak() <= 2, "seed {seed}: {} at once", rig.machine.peak());
        let begun = rig.machine.begun.lock().unwrap().clone();
        assert!(begun.values().all(|count| *count == 1), "seed {seed}: {begun:?}");
    }
}

/// Gives `repo` to a run that never began, and leaves it in use.
async fn haunt(rig: &Rig) {
    let actor = Actor::User("ada".into());
    let stream = StreamId { kind: StreamKind::Key, id: "slot:repo".into() };
    let ghost = RunId(uuid::Uuid::from_u128(7));
    let wanted = everfold_engine::event::WantedSlot {
        key: "repo".into(),
        kind: everfold_engine::event::SlotKind::Concurrency { limit: 1, on_limit: Default::default() },
    };
    let event =
        KeyEvent::SlotGranted(everfold_engine::keys::SlotGranted { run: ghost, slot: wanted, priority: 0 });
    let (kind, schema, payload) = event.encode().unwrap();
    let header = everfold_engine::envelope::EventHeader {
        stream: stream.clone(),
        version: Version::FIRST,
        recorded_at: (rig.config.clock)(),
        actor,
        cause: everfold_engine::envelope::Cause {
            input: everfold_engine::id::InputId::derive("x"),
            because: Version::ZERO,
        },
        kind,
        schema,
        flags: 0,
        payload_hash: Hash::ZERO,
    };
    let event = everfold_engine::envelope::NewEvent::link(header, payload, &Hash::ZERO);
    let append = everfold_engine::store::Append {
        stream,
        expected: Version::ZERO,
        previous: Hash::ZERO,
        events: vec![event],
        dedup: None,
        fence: None,
        note: StreamNote { open: true, busy: true, wake_at: None },
    };
    rig.store.inner.append(append).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slot_of_a_run_that_never_began_is_free() {
    let rig = Rig::new();
    haunt(&rig).await;
    let run = start(&rig, &with(10, slot(1, "reject")), json!({})).await.run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
}

/// The append by which a new engine took a slot back was of unknown outcome: nobody tried it again.
#[tokio::test(start_paused = true)]
async fn d9_what_a_new_engine_takes_back_is_taken_back_whatever_becomes_of_the_append() {
    for fault in [Fault::Kept, Fault::Dropped] {
        let mut rig = Rig::new();
        haunt(&rig).await;
        rig.crash().await;
        rig.store.fail_key(fault);
        rig.recover().await;
        until_key(&rig, KeyState::is_free).await;
    }
    // The start that opens the key meets it, too.
    let rig = Rig::new();
    haunt(&rig).await;
    rig.store.fail_key(Fault::Dropped);
    let run = start(&rig, &with(10, slot(1, "reject")), json!({})).await.run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
}

/// The run's own end was kept and its acknowledgement lost: the engine that learned of it by reading the
/// run again took it for a former engine's, and told nobody that the slot was free.
#[tokio::test(start_paused = true)]
async fn d9_an_end_of_unknown_outcome_gives_its_slot_and_its_workspace_back() {
    let rig = Rig::new();
    let mut more = slot(1, "queue");
    more["workspace"] = json!({"git": {"git": "/repository"}});
    let first = rig.start(&with(1_000, more.clone())).await;
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let second = rig.start(&with(10, more)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.store.fail_next(Fault::Kept);
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let released = rig.machine.released.lock().unwrap().clone();
    assert_eq!(released, [(first, true), (second, true)]);
}

/// What was in flight began again at once, beside its origin, while the run still stood in the queue.
#[tokio::test(start_paused = true)]
async fn d9_what_a_restart_goes_on_with_waits_for_its_slot() {
    let rig = Rig::new();
    let mut document = json!({"name": "p", "steps": [
        command("long", &[], 20_000), {"id": "pause", "needs": [], "work": {"wait": {"for": "2s"}}},
        command("other", &[], 20_000),
    ]});
    document.as_object_mut().unwrap().extend(slot(1, "queue").as_object().unwrap().clone());
    let blocker = rig.start(&with(60_000, slot(1, "queue"))).await;
    let origin = rig.start(&definition(document.clone())).await;
    rig.end(blocker).await;
    rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let next = rig.start(&with(30_000, slot(1, "queue"))).await;
    let request = ForkRequest {
        origin,
        how: OriginKind::Restart,
        at: None,
        from_step: Some("other".into()),
        input: None,
        config: None,
        definition: None,
        title: None,
        until_step: None,
        actor: Actor::User("ada".into()),
        dedup: None,
    };
    let again = rig.engine.fork(request).await.unwrap().run;
    rig.end(origin).await;
    rig.until(next, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.status(again).await, RunStatus::Queued);
    let waits = rig.names(again).await;
    assert!(!waits.contains(&"TimerFired"), "{waits:?}");
    assert!(!rig.machine.order.lock().unwrap().iter().any(|id| id.run == again));
    assert_eq!(rig.end(next).await, RunStatus::Succeeded);
    assert_eq!(rig.end(again).await, RunStatus::Succeeded);
    rig.assert_replays(again).await;
}

/// Every run in a queue was read and folded at each start of the engine.
#[tokio::test(start_paused = true)]
async fn s4_a_start_reads_no_run_that_only_stands_in_a_queue() {
    let mut rig = Rig::new();
    let definition = with(5_000, slot(1, "queue"));
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(rig.start(&definition).await);
    }
    rig.until(runs[0], |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.crash().await;
    assert_eq!(rig.recover().await, 1, "who holds the slot");
    for run in &runs {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
    }
    // The slot came free while nobody was there.
    let (first, second) = (rig.start(&definition).await, rig.start(&definition).await);
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.crash().await;
    rig.submit(first, InputKind::Cancel { reason: None }).await.unwrap();
    rig.end(first).await;
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
}
