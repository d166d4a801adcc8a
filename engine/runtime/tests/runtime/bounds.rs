//! What is bounded: work in progress, queues, states in memory, the cost of an input.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::id::RunId;
use everfold_core::event::{CancelRequested, NoteAdded, RunEvent, RunPaused, RunResumed};
use everfold_core::input::InputKind;
use everfold_core::state::{FOLD_VERSION, RunStatus};
use everfold_runtime::{QueryError, SubmitError};
use everfold_store::EventStore as _;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::fixtures::test_engine::{Rig, chain, command, definition, function, pipeline, request};

fn fan_out(
    kind: &str,
    spec: Value,
    items: usize,
) -> std::sync::Arc<everfold_language::definition::Definition> {
    let list: Vec<usize> = (0..items).collect();
    definition(json!({"name": "wide", "steps": [
        {"id": "each", "foreach": {"items": list}, "work": {"task": {"kind": kind, "spec": spec}}},
    ]}))
}

#[tokio::test(start_paused = true)]
async fn attempts_in_progress_are_limited_and_runs_take_turns() {
    let rig = Rig::with(|config| {
        config.supervised_max = 3;
        config.shards = 1;
    });
    let many = fan_out("command", json!({"argv": ["sleep", "100"]}), 12);
    let (wide, narrow) = (rig.start(&many).await, rig.start(&pipeline(vec![command("one", &[], 100)])).await);
    assert_eq!(rig.end(narrow).await, RunStatus::Succeeded);
    let order: Vec<RunId> = rig.machine.order.lock().unwrap().iter().map(|id| id.run).collect();
    let turn = order.iter().position(|run| *run == narrow).unwrap();
    assert!(turn <= 6, "the narrow run did not wait for all of the wide one: {order:?}");
    assert_eq!(rig.end(wide).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.peak(), 3);
    rig.assert_replays(wide).await;
}

#[tokio::test(start_paused = true)]
async fn functions_have_a_limit_of_their_own() {
    let rig = Rig::with(|config| config.functions_max = 2);
    let run = rig.start(&fan_out("function", json!({"name": "slow", "with": {"ms": 10}}), 20)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!((rig.machine.peak(), rig.machine.begun()), (2, 20));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_takes_waiting_attempts_out() {
    let rig = Rig::with(|config| config.supervised_max = 1);
    let run = rig.start(&fan_out("command", json!({"argv": ["sleep", "60000"]}), 5)).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    assert_eq!(rig.machine.begun(), 1);
    let next = rig.start(&pipeline(vec![command("one", &[], 10)])).await;
    assert_eq!(rig.end(next).await, RunStatus::Succeeded, "the place is free again");
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_starts_nothing_that_waited() {
    let rig = Rig::with(|config| config.supervised_max = 1);
    let run = rig.start(&fan_out("command", json!({"argv": ["sleep", "1000"]}), 3)).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.submit(run, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.machine.begun(), 1);
    rig.submit(run, InputKind::Resume(RunResumed { reason: None, prompt: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.begun(), 3);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_refuses_and_the_rest_is_taken() {
    let rig = Rig::with(|config| config.queue = 10);
    let run = rig.start(&pipeline(vec![function("hang", &[], "hang", json!({}))])).await;
    rig.store.delay_ms.store(10_000, Ordering::SeqCst);
    let answers =
        join_all((0..40).map(|at| rig.submit(run, InputKind::Note(NoteAdded { text: at.to_string() }))))
            .await;
    let busy = answers.iter().filter(|answer| **answer == Err(SubmitError::Busy)).count();
    assert!((20..40).contains(&busy), "{busy} were refused");
    let notes = rig.names(run).await.into_iter().filter(|name| *name == "NoteAdded").count();
    assert_eq!(notes + busy, 40);
}

#[tokio::test(start_paused = true)]
async fn d1_a_fan_out_is_linear_in_its_items() {
    let mut costs: HashMap<usize, (usize, usize)> = HashMap::new();
    for items in [1_000, 10_000] {
        let rig = Rig::new();
        let run = rig.start(&fan_out("function", json!({"name": "ok"}), items)).await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        assert_eq!(rig.machine.begun(), items);
        costs.insert(items, (rig.store.appends(), rig.history(run).await.len()));
    }
    let ((few_appends, few_events), (appends, events)) = (costs[&1_000], costs[&10_000]);
    assert!(events <= few_events * 11, "{few_events} → {events} events");
    assert!(appends <= few_appends * 12, "{few_appends} → {appends} appends");
    assert!(appends < 300, "results come in batches: {appends}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_runs_end_with_few_states_in_memory() {
    let rig = Rig::with(|config| config.states = 100);
    let definition = chain(1);
    let mut runs = Vec::new();
    for _ in 0..100 {
        let starts = (0..100).map(|_| rig.engine.start(request(&definition, json!({}))));
        runs.extend(join_all(starts).await.into_iter().map(|started| started.unwrap().run));
    }
    let last = *runs.last().unwrap();
    assert_eq!(rig.end(last).await, RunStatus::Succeeded);
    for run in runs.iter().step_by(997) {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
    }
    assert_eq!(rig.machine.begun(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn s11_long_histories_get_snapshots_that_loads_begin_with() {
    let mut rig = Rig::with(|config| config.shards = 1);
    let run = rig.start(&pipeline(vec![function("hang", &[], "hang", json!({}))])).await;
    for at in 0..600 {
        rig.submit(run, InputKind::Note(NoteAdded { text: format!("{at} {}", "x".repeat(100)) }))
            .await
            .unwrap();
    }
    let stream = everfold_base::envelope::StreamId::run(run);
    let snapshot = rig.store.load_snapshot(&stream, FOLD_VERSION).await.unwrap().expect("there is one");
    assert!(snapshot.version.0 >= 500);
    let before = rig.engine.state(run).await.unwrap();
    rig.crash().await;
    assert_eq!(rig.engine.state(run).await.unwrap(), before, "snapshot and fold agree");
    assert_eq!(
        rig.store.reads.load(Ordering::SeqCst),
        4,
        "the first event, its definition, the snapshot's event, and those after it"
    );
}

#[tokio::test(start_paused = true)]
async fn p5_a_shutdown_lets_functions_end_leaves_processes_alone_and_takes_nothing_new() {
    let mut rig = Rig::new();
    let steps = vec![
        function("short", &[], "slow", json!({"ms": 2_000})),
        function("after", &["short"], "ok", json!({})),
        function("long", &[], "slow", json!({"ms": 60_000})),
        command("process", &[], 30_000),
    ];
    let run = rig.start(&pipeline(steps)).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let began = (rig.config.clock)();
    assert!(rig.engine.shutdown(Duration::from_secs(5)).await, "in good order");
    assert!((rig.config.clock)().since(began) < Duration::from_secs(5));
    assert_eq!(
        rig.submit(run, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await,
        Err(SubmitError::ShuttingDown)
    );
    assert!(matches!(rig.engine.with_state(run, |_| ()).await, Err(QueryError::ShuttingDown)));
    let names = rig.names(run).await;
    assert_eq!(names.iter().filter(|name| **name == "AttemptSucceeded").count(), 1, "{names:?}");
    assert_eq!(rig.machine.begun(), 3, "what follows waits for the next engine");
    rig.crash().await;
    assert_eq!(rig.recover().await, 1);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let begun = rig.machine.begun.lock().unwrap().clone();
    let of = |step: &str| {
        begun.iter().filter(|(id, _)| id.attempt.path.step.as_str() == step).map(|(_, n)| n).sum::<usize>()
    };
    assert_eq!((of("short"), of("after"), of("process"), of("long")), (1, 1, 1, 2));
    rig.assert_replays(run).await;
}
