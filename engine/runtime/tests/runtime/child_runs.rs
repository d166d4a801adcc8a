//! L25: child runs.

use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::failure::FailureKind;
use everfold_base::id::{AttemptId, RunId, Version};
use everfold_base::json::Value;
use everfold_core::event::{CancelRequested, OriginKind, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_runtime::ForkRequest;
use serde_json::json;

use crate::fixtures::fork_requests::again;
use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, command, definition, function};

/// A step that starts a child.
fn child(id: &str, needs: &[&str], spec: Value) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "run", "spec": spec}}})
}

fn id_of(run: RunId, attempt: &str) -> RunId {
    run.child(&attempt.parse::<AttemptId>().unwrap())
}

async fn save(rig: &Rig, document: Value) {
    let saved = rig.engine.save_pipeline(&definition(document), None, Actor::User("ada".into())).await;
    saved.unwrap();
}

/// Saves `deploy`: a process of 100 ms whose output is the pipeline's, with the input in it.
async fn with_deploy(rig: &Rig) {
    let output = json!({"sha": "${input.sha}"});
    save(rig, json!({"name": "deploy", "steps": [command("ship", &[], 100)], "output": output})).await;
}

fn parent(spec: Value) -> std::sync::Arc<everfold_language::definition::Definition> {
    let output = "${steps.ship.output}";
    definition(json!({"name": "p", "steps": [child("ship", &[], spec)], "output": output}))
}

#[tokio::test(start_paused = true)]
async fn l25_a_child_is_a_run_of_its_own_and_its_output_is_the_steps() {
    let rig = Rig::new();
    with_deploy(&rig).await;
    let input = json!({"sha": "abc", "task": "Ship abc\nto all"});
    let spec = json!({"pipeline": "deploy", "input": input, "labels": {"stage": "prod", "n": 1}});
    let run = rig.start(&parent(spec)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.output(run).await, json!({"sha": "abc"}));
    let expected =
        ["RunStarted", "StepScheduled", "ChildStarted", "ChildFinished", "StepSucceeded", "RunSucceeded"];
    assert_eq!(rig.names(run).await, expected);
    let child = id_of(run, "ship/1/1");
    let history = rig.history(child).await;
    let Some(RunEvent::RunStarted(started)) = history.first() else { panic!("{history:?}") };
    assert_eq!(started.parent.as_ref().map(|parent| parent.run), Some(run));
    assert_eq!(started.title.as_deref(), Some("Ship abc"), "as that of a run that a person starts");
    assert_eq!(started.labels["stage"], "prod");
    assert_eq!(started.labels["n"], "1");
    assert_eq!(rig.envelopes(child).await[0].header.actor, Actor::Run(run.to_string()));
    rig.assert_replays(run).await;
    rig.assert_replays(child).await;
}

#[tokio::test(start_paused = true)]
async fn l25_what_is_not_waited_for_is_done_once_it_started() {
    let rig = Rig::new();
    with_deploy(&rig).await;
    let run = rig.start(&parent(json!({"pipeline": "deploy", "input": {"sha": 1}, "wait": false}))).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let child = id_of(run, "ship/1/1");
    assert_eq!(rig.output(run).await, json!({"run": child}));
    assert_eq!(rig.status(child).await, RunStatus::Running);
    assert_eq!(rig.end(child).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn l25_a_childs_failure_is_inside_the_steps_and_a_retry_gets_a_new_child() {
    let rig = Rig::new();
    save(&rig, json!({"name": "deploy", "steps": [function("build", &[], "fail", json!({}))]})).await;
    let mut step = child("ship", &[], json!({"pipeline": "deploy"}));
    step["retry"] = json!({"attempts": 2, "backoff_min": "1s", "backoff_max": "1s"});
    let run = rig.start(&definition(json!({"name": "p", "steps": [step]}))).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let (first, second) = (id_of(run, "ship/1/1"), id_of(run, "ship/1/2"));
    assert_eq!(rig.status(first).await, RunStatus::Failed);
    assert_eq!(rig.status(second).await, RunStatus::Failed);
    let history = rig.history(run).await;
    let Some(RunEvent::RunFailed(failed)) = history.last() else { panic!("{history:?}") };
    assert!(failed.failure.message.contains(&second.short()), "{}", failed.failure.message);
    assert!(failed.failure.message.contains("deploy"), "{}", failed.failure.message);
    assert!(failed.failure.detail.as_ref().unwrap().starts_with("build: "), "{:?}", failed.failure);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l25_what_cannot_start_fails_the_step_and_says_why() {
    let rig = Rig::new();
    let input = json!({"type": "object", "required": ["sha"]});
    save(&rig, json!({"name": "strict", "input": input, "steps": [command("ship", &[], 1)]})).await;
    for (named, kind, word) in [
        ("nowhere", FailureKind::Spawn, "nowhere"),
        ("strict@7", FailureKind::Spawn, "strict@7"),
        ("./x.yaml", FailureKind::Spawn, "x.yaml"),
        ("Not A Name", FailureKind::Spawn, "names no pipeline"),
        ("strict", FailureKind::Validation, "sha"),
    ] {
        let run = rig.start(&parent(json!({"pipeline": named}))).await;
        assert_eq!(rig.end(run).await, RunStatus::Failed, "{named}");
        let history = rig.history(run).await;
        let Some(RunEvent::RunFailed(failed)) = history.last() else { panic!("{history:?}") };
        assert_eq!(failed.failure.kind, kind, "{named}");
        assert!(failed.failure.message.contains(word), "{named}: {}", failed.failure.message);
    }
}

#[tokio::test(start_paused = true)]
async fn l1_a_name_is_looked_up_when_the_child_starts() {
    let rig = Rig::new();
    let version = |n: u32| json!({"name": "deploy", "steps": [command("ship", &[], 1)], "output": n});
    save(&rig, version(1)).await;
    let steps = json!([
        function("before", &[], "slow", json!({"ms": 1_000})),
        child("newest", &["before"], json!({"pipeline": "deploy"})),
        child("first", &["before"], json!({"pipeline": "deploy@1"})),
    ]);
    let out = "${[steps.newest.output, steps.first.output]}";
    let run = rig.start(&definition(json!({"name": "p", "steps": steps, "output": out}))).await;
    save(&rig, version(2)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.output(run).await, json!([2, 1]));
}

#[tokio::test(start_paused = true)]
async fn l1_a_child_named_by_path_is_pinned_with_its_parent() {
    let rig = Rig::new();
    let text = "name: inner\nsteps:\n  - { id: a, function: ok }\noutput: pinned\n";
    let mut document =
        json!({"name": "p", "steps": [child("ship", &[], json!({"pipeline": "./sub/inner.yaml"}))]});
    document["files"] = json!({"sub/inner.yaml": text});
    document["output"] = json!("${steps.ship.output}");
    let run = rig.start(&definition(document)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.output(run).await, json!("pinned"));
}

#[tokio::test(start_paused = true)]
async fn l25_cancelling_the_parent_cancels_the_child_and_waits_for_its_end() {
    let rig = Rig::new();
    let finish = [function("tidy", &[], "slow", json!({"ms": 500}))];
    save(&rig, json!({"name": "deploy", "steps": [command("ship", &[], 60_000)], "on_finish": finish})).await;
    let run = rig.start(&parent(json!({"pipeline": "deploy"}))).await;
    let child = id_of(run, "ship/1/1");
    rig.until(child, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    assert_eq!(rig.status(child).await, RunStatus::Cancelled, "the child's end comes first");
    assert!(rig.names(child).await.contains(&"StepSucceeded"), "it tidied up");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l25_a_child_that_is_to_be_left_goes_on() {
    let rig = Rig::new();
    with_deploy(&rig).await;
    let run = rig
        .start(&parent(json!({"pipeline": "deploy", "input": {"sha": 1}, "on_parent_cancel": "leave"})))
        .await;
    let child = id_of(run, "ship/1/1");
    rig.until(child, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    assert_eq!(rig.end(child).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn l25_a_child_that_nobody_waits_for_ends_with_its_cancelled_parent_unless_it_is_to_be_left() {
    for (on_parent_cancel, status) in [("cancel", RunStatus::Cancelled), ("leave", RunStatus::Succeeded)] {
        let rig = Rig::new();
        with_deploy(&rig).await;
        let spec = json!({"pipeline": "deploy", "input": {"sha": 1}, "wait": false, "on_parent_cancel": on_parent_cancel});
        let hold = json!({"id": "hold", "needs": ["ship"], "work": {"wait": {"for": "1h"}}});
        let run =
            rig.start(&definition(json!({"name": "p", "steps": [child("ship", &[], spec), hold]}))).await;
        let child = id_of(run, "ship/1/1");
        rig.until(child, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
        rig.until(run, |event| matches!(event, RunEvent::TimerSet(_))).await;
        rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
        assert_eq!(rig.end(run).await, RunStatus::Cancelled);
        assert_eq!(rig.end(child).await, status, "{on_parent_cancel}");
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l25_a_time_limit_cancels_the_child() {
    let rig = Rig::new();
    save(&rig, json!({"name": "deploy", "steps": [command("ship", &[], 600_000)]})).await;
    let mut step = child("ship", &[], json!({"pipeline": "deploy", "on_parent_cancel": "leave"}));
    step["timeout"] = json!("5s");
    let run = rig.start(&definition(json!({"name": "p", "steps": [step]}))).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    assert_eq!(rig.status(id_of(run, "ship/1/1")).await, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn l24_items_of_a_foreach_are_child_runs_and_take_no_places_of_their_own() {
    // With places for waiting children, two levels of them would wait for each other for ever.
    let rig = Rig::with(|config| {
        config.supervised_max = 2;
        config.functions_max = 2;
    });
    save(&rig, json!({"name": "leaf", "steps": [command("c", &[], 10)], "output": "${input.n}"})).await;
    let item = |id: &str, pipeline: &str| {
        let mut step = child(id, &[], json!({"pipeline": pipeline, "input": {"n": "${item}"}}));
        step["foreach"] = json!({"items": "${[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}"});
        step
    };
    save(&rig, json!({"name": "middle", "steps": [item("all", "leaf")], "output": "${steps.all.output}"}))
        .await;
    let run = rig.start(&definition(json!({
        "name": "p", "steps": [item("all", "middle")], "output": "${steps.all.output[7].output[3].output}",
    }))).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.output(run).await, json!(3));
    assert!(rig.machine.peak() <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_starts_itself_ends() {
    let rig = Rig::new();
    let itself = child("again", &[], json!({"pipeline": "loop"}));
    save(&rig, json!({"name": "loop", "steps": [itself]})).await;
    let run = rig
        .start(&definition(json!({"name": "p", "steps": [child("ship", &[], json!({"pipeline": "loop"}))]})))
        .await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let history = rig.history(run).await;
    let Some(RunEvent::RunFailed(failed)) = history.last() else { panic!("{history:?}") };
    assert!(failed.failure.detail.as_ref().unwrap().contains("deeper than 16"), "{:?}", failed.failure);
}

#[tokio::test(start_paused = true)]
async fn l25_whenever_the_engine_dies_a_child_is_started_once_and_its_end_is_heard() {
    for seed in 0..40_u64 {
        let mut rig = Rig::new();
        with_deploy(&rig).await;
        let steps = json!([
            child("one", &[], json!({"pipeline": "deploy", "input": {"sha": 1}})),
            child("two", &["one"], json!({"pipeline": "deploy", "input": {"sha": 2}})),
        ]);
        rig.store.delay_ms.store(seed % 4, std::sync::atomic::Ordering::SeqCst);
        let run = rig.start(&definition(json!({"name": "p", "steps": steps}))).await;
        for turn in 0..4 {
            if (seed + turn) % 5 == 0 {
                rig.store.fail_next(Fault::Kept);
            }
            tokio::time::sleep(Duration::from_millis((seed * 7 + turn * 31) % 60)).await;
            rig.crash().await;
            // It may end while the parent is not looked at.
            tokio::time::sleep(Duration::from_millis((seed * 13) % 150)).await;
            rig.recover().await;
        }
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "seed {seed}");
        let names = rig.names(run).await;
        assert_eq!(names.iter().filter(|name| **name == "ChildFinished").count(), 2, "seed {seed}");
        for attempt in ["one/1/1", "two/1/1"] {
            let child = id_of(run, attempt);
            assert_eq!(rig.status(child).await, RunStatus::Succeeded, "seed {seed}");
            rig.assert_replays(child).await;
        }
        let begun = rig.machine.begun.lock().unwrap().clone();
        assert!(begun.values().all(|count| *count == 1), "seed {seed}: {begun:?}");
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l25_whenever_the_engine_dies_during_a_cancel_nothing_of_a_child_is_left() {
    for seed in 0..40_u64 {
        let mut rig = Rig::new();
        save(&rig, json!({"name": "deploy", "steps": [command("ship", &[], 600_000)]})).await;
        rig.store.delay_ms.store(seed % 5, std::sync::atomic::Ordering::SeqCst);
        let run = rig.start(&parent(json!({"pipeline": "deploy"}))).await;
        tokio::time::sleep(Duration::from_millis(seed % 9)).await;
        // A cancel that is not answered any more may be repeated.
        let engine = rig.engine.clone();
        let cancelling = tokio::spawn(async move {
            let actor = Actor::User("ada".into());
            let kind = InputKind::Cancel(CancelRequested { reason: None });
            let id = Some(everfold_base::id::InputId::derive("cancel"));
            let submission = everfold_runtime::Submission { run, kind, actor, id, dedup: None };
            let _gone = engine.submit(submission).await;
        });
        tokio::time::sleep(Duration::from_millis(seed % 11)).await;
        cancelling.abort();
        let _aborted = cancelling.await;
        rig.crash().await;
        rig.recover().await;
        let _ended_before = rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await;
        assert_eq!(rig.end(run).await, RunStatus::Cancelled, "seed {seed}");
        let child = id_of(run, "ship/1/1");
        if !rig.envelopes(child).await.is_empty() {
            assert_eq!(rig.status(child).await, RunStatus::Cancelled, "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l1_a_run_in_progress_keeps_the_definition_that_it_began_with() {
    let mut rig = Rig::new();
    save(&rig, json!({"name": "deploy", "steps": [command("ship", &[], 500)], "output": "first"})).await;
    let reference = "deploy".parse().unwrap();
    let first = rig.engine.pipeline(&reference).await.unwrap();
    let run = rig.start(&first).await;
    save(&rig, json!({"name": "deploy", "steps": [command("ship", &[], 1)], "output": "second"})).await;
    rig.crash().await;
    rig.recover().await;
    rig.end(run).await;
    assert_eq!(rig.output(run).await, json!("first"));
    let newest = rig.engine.pipeline(&reference).await.unwrap();
    let next = rig.start(&newest).await;
    rig.end(next).await;
    assert_eq!(rig.output(next).await, json!("second"));
}

#[tokio::test(start_paused = true)]
async fn every_run_knows_the_topmost_run_above_it_and_one_without_a_parent_is_its_own() {
    let rig = Rig::new();
    let names = json!({"top": "${run.top}", "root": "${run.root}", "label": "${run.labels.top}"});
    let leaf = json!({
        "name": "leaf", "labels": {"top": "${run.top}"},
        "steps": [function("a", &[], "ok", names.clone())], "output": names,
    });
    save(&rig, leaf).await;
    let low = child("low", &[], json!({"pipeline": "leaf"}));
    save(&rig, json!({"name": "middle", "steps": [low], "output": "${run.top}"})).await;
    let above = json!({
        "name": "above", "output": "${run.top}",
        "steps": [child("mid", &[], json!({"pipeline": "middle"})), function("b", &["mid"], "fail", json!({}))],
    });
    let top = rig.start(&definition(above)).await;
    assert_eq!(rig.end(top).await, RunStatus::Failed);
    let middle = id_of(top, "mid/1/1");
    let leaf = id_of(middle, "low/1/1");
    let own = |run: RunId| rig.engine.with_state(run, |state| state.top().unwrap());
    let behind = |run: RunId| rig.engine.with_state(run, |state| state.initiator().cloned());
    for run in [top, middle, leaf] {
        assert_eq!(own(run).await.unwrap(), top);
        rig.assert_replays(run).await;
        let person = (run != top).then(|| Actor::User("ada".into()));
        assert_eq!(behind(run).await.unwrap(), person, "who started the topmost run is behind all of them");
    }
    assert_eq!(rig.output(middle).await, json!(top.to_string()));
    let said = json!({"top": top.to_string(), "root": leaf.short(), "label": top.to_string()});
    assert_eq!(rig.output(leaf).await, said);
    let fork = ForkRequest { at: Some(Version::FIRST), ..again(leaf, OriginKind::Fork) };
    let fork = rig.engine.fork(fork).await.unwrap().run;
    assert_eq!(rig.end(fork).await, RunStatus::Succeeded);
    assert_eq!(own(fork).await.unwrap(), fork, "no step started it");
    assert_eq!(behind(fork).await.unwrap(), None, "who forks is the starter");
    assert_eq!(rig.output(fork).await["root"], json!(leaf.short()), "its history began there");
    let step = Actor::Run(format!("{middle}/low"));
    let fork = ForkRequest { at: Some(Version::FIRST), actor: step, ..again(leaf, OriginKind::Fork) };
    let fork = rig.engine.fork(fork).await.unwrap().run;
    assert_eq!(rig.end(fork).await, RunStatus::Succeeded);
    assert_eq!(behind(fork).await.unwrap(), Some(Actor::User("ada".into())), "a step forks for a person");
    rig.assert_replays(fork).await;
    let again = ForkRequest { from_step: Some("mid".into()), ..again(top, OriginKind::Restart) };
    let again = rig.engine.fork(again).await.unwrap().run;
    assert_eq!(rig.end(again).await, RunStatus::Failed);
    let round =
        rig.engine.with_state(again, |state| state.step(&"mid".into()).unwrap().1.round).await.unwrap();
    let below = id_of(id_of(again, &format!("mid/{}/1", round.0)), "low/1/1");
    assert_eq!(own(below).await.unwrap(), again, "what it starts is below it");
}
