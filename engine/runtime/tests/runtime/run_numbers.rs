//! Numbers of runs: one count per key, never given twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use everfold_base::actor::Actor;
use everfold_base::json::{Hash, Value};
use everfold_core::event::{RunEvent, RunNumber};
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use everfold_runtime::StartRequest;
use everfold_store::{Dedup, DedupKeep};
use serde_json::json;

use crate::fixtures::fork_requests::restart;
use crate::fixtures::test_engine::{Rig, definition, function, request};

fn numbered(number: Value) -> Arc<Definition> {
    let input = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let steps = [function("a", &[], "ok", json!({}))];
    definition(
        json!({"name": "p", "input": input, "number": number, "steps": steps, "output": "${run.number}"}),
    )
}

async fn number(rig: &Rig, run: everfold_base::id::RunId) -> Option<RunNumber> {
    match rig.history(run).await.remove(0) {
        RunEvent::RunStarted(started) => started.number,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_starts_at_once_get_twenty_numbers_and_the_count_goes_on_after_a_crash() {
    let mut rig = Rig::new();
    let pipeline = numbered(json!({}));
    let starts = (0..20).map(|n| rig.engine.start(request(&pipeline, json!({"n": n}))));
    let started = futures::future::join_all(starts).await;
    let mut numbers = BTreeSet::new();
    for run in &started {
        let given = number(&rig, run.as_ref().unwrap().run).await.unwrap();
        assert_eq!(given.key, "p", "the pipeline's name, where no key is given");
        numbers.insert(given.number);
    }
    assert_eq!(numbers, (1..=20).collect());
    rig.crash().await;
    rig.recover().await;
    let next = rig.engine.start(request(&pipeline, json!({"n": 20}))).await.unwrap();
    assert_eq!(number(&rig, next.run).await.unwrap().number, 21);
    assert_eq!(rig.end(next.run).await, RunStatus::Succeeded);
    assert_eq!(rig.output(next.run).await, json!(21));
    rig.assert_replays(next.run).await;
}

#[tokio::test(start_paused = true)]
async fn f8_a60_whenever_the_engine_dies_among_twenty_starts_no_number_is_given_twice() {
    let pipeline = numbered(json!({}));
    for seed in 0..30_u64 {
        let mut rig = Rig::new();
        rig.store.delay_ms.store(seed % 4, std::sync::atomic::Ordering::SeqCst);
        let keyed = |n: u64| {
            let key = Hash::of(&n.to_be_bytes());
            let dedup = Dedup { key, body: Hash::of(b"b"), keep: DedupKeep::Stream };
            StartRequest { dedup: Some(dedup), ..request(&pipeline, json!({"n": n})) }
        };
        let start = |engine: &everfold_runtime::Engine, n: u64| {
            let (engine, request) = (engine.clone(), keyed(n));
            tokio::spawn(async move { engine.start(request).await.map(|started| started.run) })
        };
        let cut_short: Vec<_> = (0..20).map(|n| start(&rig.engine, n)).collect();
        tokio::time::sleep(std::time::Duration::from_millis(seed)).await;
        cut_short.iter().for_each(tokio::task::JoinHandle::abort);
        tokio::task::yield_now().await;
        rig.crash().await;
        rig.recover().await;
        let again: Vec<_> = (0..20).map(|n| start(&rig.engine, n)).collect();
        let mut numbers = BTreeSet::new();
        for started in again {
            let run = started.await.unwrap().unwrap();
            assert!(numbers.insert(number(&rig, run).await.unwrap().number), "seed {seed}: {numbers:?}");
            assert_eq!(rig.end(run).await, RunStatus::Succeeded, "seed {seed}");
            rig.assert_replays(run).await;
        }
        let next = rig.engine.start(keyed(20)).await.unwrap();
        let next = number(&rig, next.run).await.unwrap().number;
        assert!(numbers.last().is_some_and(|last| next > *last), "seed {seed}: {next} after {numbers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_key_is_counted_on_its_own_and_a_start_that_is_refused_takes_no_number() {
    let rig = Rig::new();
    let pipeline = numbered(json!({"key": "board-${input.n}"}));
    for (n, expected) in [(1, 1), (2, 1), (1, 2), (1, 3)] {
        let started = rig.engine.start(request(&pipeline, json!({"n": n}))).await.unwrap();
        let given = number(&rig, started.run).await.unwrap();
        assert_eq!(given, RunNumber { key: format!("board-{n}"), number: expected });
    }
    let refused = rig.engine.start(request(&pipeline, json!({"n": "one"}))).await;
    assert!(refused.is_err_and(|error| error.is_refusal()));
    let mut titled = request(&pipeline, json!({"n": 1}));
    titled.options.title = Some("x".repeat(2_000));
    assert!(rig.engine.start(titled).await.is_err_and(|error| error.is_refusal()));
    let next = rig.engine.start(request(&pipeline, json!({"n": 1}))).await.unwrap();
    assert_eq!(number(&rig, next.run).await.unwrap().number, 4);
    let plain = definition(json!({"name": "q", "steps": [function("a", &[], "ok", json!({}))]}));
    assert_eq!(number(&rig, rig.start(&plain).await).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_start_and_a_restart_have_the_number_that_there_is() {
    let rig = Rig::new();
    let pipeline = numbered(json!({}));
    let dedup = Dedup { key: Hash::of(b"k"), body: Hash::of(b"b"), keep: DedupKeep::Stream };
    let keyed = StartRequest { dedup: Some(dedup), ..request(&pipeline, json!({"n": 1})) };
    let (first, second) = tokio::join!(rig.engine.start(keyed.clone()), rig.engine.start(keyed.clone()));
    assert_eq!(first.unwrap().run, second.unwrap().run);
    let run = rig.engine.start(keyed).await.unwrap().run;
    assert_eq!(number(&rig, run).await.unwrap().number, 1);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let fork = rig.engine.fork(restart(run, "a")).await.unwrap();
    let given = rig.engine.with_state(fork.run, |state| state.number().cloned()).await.unwrap();
    assert_eq!(given.unwrap().number, 1, "it goes on with the same work");
    let next = rig.engine.start(request(&pipeline, json!({"n": 2}))).await.unwrap();
    assert_eq!(number(&rig, next.run).await.unwrap().number, 2, "and takes none");
}

#[tokio::test(start_paused = true)]
async fn a_child_is_counted_by_its_own_pipeline_and_a_retry_of_it_is_another_run() {
    let rig = Rig::new();
    let child = definition(
        json!({"name": "child", "number": {}, "steps": [function("a", &[], "ok", json!({}))], "output": "${run.number}"}),
    );
    rig.engine.save_pipeline(&child, None, Actor::User("ada".into())).await.unwrap();
    let spec = json!({"pipeline": "child"});
    let steps = json!([
        {"id": "one", "work": {"task": {"kind": "run", "spec": spec}}},
        {"id": "two", "needs": ["one"], "work": {"task": {"kind": "run", "spec": spec}}},
    ]);
    let output = "${[run.number, steps.one.output, steps.two.output]}";
    let parent = definition(json!({"name": "parent", "number": {}, "steps": steps, "output": output}));
    let run = rig.start(&parent).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.output(run).await, json!([1, 1, 2]));
    rig.assert_replays(run).await;
}
