//! A full disk: what waits for room, and goes on by itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::id::RunId;
use everfold_core::event::{CancelRequested, NoteAdded, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_runtime::{QueryError, StartError, SubmitError, Which};
use everfold_store::Writability;
use serde_json::json;

use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, chain, command, definition, function, pipeline, request};

fn note() -> InputKind {
    InputKind::Note(NoteAdded { text: "kept".into() })
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn s7_a_run_that_cannot_be_read_keeps_its_inputs_and_is_read_again_when_there_is_room() {
    let mut rig = Rig::new();
    let run = rig.start(&pipeline(vec![command("work", &[], 100)])).await;
    rig.crash().await;
    rig.store.set_full(true);
    assert_eq!(rig.recover().await, 1);
    let engine = rig.engine.clone();
    let answer = tokio::spawn(async move {
        let submission = everfold_runtime::Submission {
            run,
            kind: note(),
            actor: everfold_base::actor::Actor::User("ada".into()),
            id: None,
            dedup: None,
        };
        engine.submit(submission).await
    });
    pass(60).await;
    assert!(!answer.is_finished(), "it waits for room");
    let looked = rig.engine.with_state(run, |_| ()).await;
    assert_eq!(looked, Err(QueryError::Full(run)));
    assert!(rig.engine.set_aside().is_empty());
    let reads = rig.store.reads.load(Ordering::SeqCst);
    pass(600).await;
    assert_eq!(rig.store.reads.load(Ordering::SeqCst), reads, "nothing is asked again and again");
    assert!(rig.engine.recover(Which::Only(run)).await.is_ok(), "no caller waits for the disk");
    rig.store.set_full(false);
    assert!(answer.await.unwrap().is_ok());
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert!(rig.names(run).await.contains(&"NoteAdded"));
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn s7_a_full_disk_behind_a_graver_cause_is_not_asked_without_pause() {
    let mut rig = Rig::new();
    let run = rig.start(&pipeline(vec![command("work", &[], 100)])).await;
    rig.crash().await;
    rig.store.set_full(true);
    rig.store.writability.send_replace(Writability::ReadOnly("a copy".into()));
    assert_eq!(rig.recover().await, 1);
    pass(60).await;
    assert!(rig.store.reads.load(Ordering::SeqCst) < 100);
    rig.store.set_full(false);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn row_03_runs_wait_while_the_store_takes_no_writes_and_go_on_by_themselves() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![command("work", &[], 100), command("next", &["work"], 100)])).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.store.writability.send_replace(Writability::ReadOnly("no new segment".into()));
    let submission = everfold_runtime::Submission {
        run,
        kind: note(),
        actor: everfold_base::actor::Actor::User("ada".into()),
        id: None,
        dedup: None,
    };
    let refused = rig.engine.submit(submission).await;
    assert!(matches!(refused, Err(SubmitError::Store(_))), "the caller is refused at once: {refused:?}");
    pass(600).await;
    assert_eq!(rig.engine.set_aside(), [], "it is no fault of the run");
    assert_eq!(rig.status(run).await, RunStatus::Running, "it can be looked at");
    let reads = rig.store.reads.load(Ordering::SeqCst);
    pass(600).await;
    assert_eq!(rig.store.reads.load(Ordering::SeqCst), reads, "nothing is asked again and again");
    rig.store.writability.send_replace(Writability::Writable);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.begun(), 2, "the work that ended meanwhile is not done again");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn s7_a_start_that_finds_the_disk_full_is_refused_and_leaves_nothing() {
    let rig = Rig::new();
    // It was known to be writable until then.
    rig.store.fail_next(Fault::Full);
    let run = RunId(uuid::Uuid::from_u128(7));
    let wanted = || everfold_runtime::StartRequest { run: Some(run), ..request(&chain(1), json!({})) };
    let refused = rig.engine.start(wanted()).await;
    assert!(matches!(refused, Err(StartError::Submit(SubmitError::Full))), "{refused:?}");
    assert_eq!(rig.engine.with_state(run, |_| ()).await, Err(QueryError::NotFound(run)));
    assert!(rig.engine.start(wanted()).await.is_ok());
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn s7_values_that_cannot_be_read_are_read_when_there_is_room() {
    let mut rig = Rig::new();
    // A plan needs one, and so does the decision at the end.
    let steps = [
        function("big", &[], "big", json!({})),
        function("length", &["big"], "length", json!({})),
        command("work", &["length"], 10_000),
    ];
    let document = json!({"name": "p", "steps": steps, "output": "${size(steps.big.output.text)}"});
    rig.store.is_unreadable.store(true, Ordering::SeqCst);
    let run = rig.start(&definition(document)).await;
    pass(60).await;
    assert_eq!(rig.machine.begun(), 1);
    assert_eq!(rig.status(run).await, RunStatus::Running);
    rig.store.is_unreadable.store(false, Ordering::SeqCst);
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    // What was read is forgotten.
    rig.crash().await;
    rig.recover().await;
    rig.store.is_unreadable.store(true, Ordering::SeqCst);
    pass(60).await;
    assert_eq!(rig.status(run).await, RunStatus::Running);
    rig.store.is_unreadable.store(false, Ordering::SeqCst);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.begun(), 3);
    assert!(rig.engine.set_aside().is_empty());
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn s7_attempts_without_room_are_tried_again_a_few_at_a_time_and_fail_nothing() {
    let rig = Rig::new();
    rig.machine.is_full.store(true, Ordering::SeqCst);
    let steps = (0..200).map(|at| command(&format!("s{at}"), &[], 10));
    let run = rig.start(&pipeline(steps.collect())).await;
    pass(30).await;
    let tries = rig.machine.held_back.load(Ordering::SeqCst);
    assert!((300..=800).contains(&tries), "{tries}");
    assert_eq!((rig.machine.begun(), rig.status(run).await), (0, RunStatus::Running));
    rig.machine.is_full.store(false, Ordering::SeqCst);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.begun(), 200);
    let failed = rig.history(run).await.into_iter().any(|event| matches!(event, RunEvent::AttemptFailed(_)));
    assert!(!failed);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn s7_an_attempt_that_waits_for_room_can_be_cancelled_and_ends_with_its_engine() {
    let mut rig = Rig::new();
    rig.machine.is_full.store(true, Ordering::SeqCst);
    let step = || pipeline(vec![command("work", &[], 10)]);
    let (cancelled, run) = (rig.start(&step()).await, rig.start(&step()).await);
    pass(3).await;
    rig.submit(cancelled, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(cancelled).await, RunStatus::Cancelled);
    assert!(rig.engine.shutdown(Duration::from_secs(1)).await, "it holds up no shutdown");
    rig.crash().await;
    rig.machine.is_full.store(false, Ordering::SeqCst);
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.begun(), 1);
}

/// `EMFILE` and `EIO`, as Linux and macOS number them.
const TOO_MANY_FILES: i32 = 24;
const BROKEN: i32 = 5;

#[tokio::test(start_paused = true)]
async fn s7_a_large_value_is_kept_when_there_are_handles_again_and_no_run_is_set_aside() {
    let mut rig = Rig::new();
    let steps = vec![
        function("big", &[], "big", json!({"ms": 1_000})),
        command("work", &["big"], 10_000),
        function("length", &["big", "work"], "length", json!({})),
    ];
    let run = rig.start(&pipeline(steps)).await;
    *rig.machine.blob_errno.lock().unwrap() = Some(TOO_MANY_FILES);
    pass(61).await;
    assert_eq!(rig.engine.set_aside(), [], "it is no fault of the run");
    assert_eq!(rig.status(run).await, RunStatus::Running, "it can be looked at");
    let tries = rig.machine.blob_errors.load(Ordering::SeqCst);
    assert!((30..=70).contains(&tries), "once in a second: {tries}");
    *rig.machine.blob_errno.lock().unwrap() = None;
    rig.until(
        run,
        |event| matches!(event, RunEvent::AttemptStarted(started) if started.id.path.to_string() == "work"),
    )
    .await;
    // One that cannot be read waits in the same way; what was read is forgotten.
    rig.crash().await;
    *rig.machine.blob_errno.lock().unwrap() = Some(TOO_MANY_FILES);
    rig.recover().await;
    let before = rig.machine.blob_errors.load(Ordering::SeqCst);
    pass(61).await;
    let reads = rig.machine.blob_errors.load(Ordering::SeqCst) - before;
    assert!((30..=70).contains(&reads), "once in a second: {reads}");
    assert_eq!((rig.engine.set_aside(), rig.status(run).await), (vec![], RunStatus::Running));
    *rig.machine.blob_errno.lock().unwrap() = None;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn d4_a_run_whose_value_could_not_be_kept_goes_on_in_the_same_engine_and_does_nothing_twice() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![function("big", &[], "big", json!({"ms": 1_000}))])).await;
    *rig.machine.blob_errno.lock().unwrap() = Some(BROKEN);
    pass(5).await;
    let aside = rig.engine.set_aside();
    assert!(
        matches!(&aside[..], [(which, why)] if *which == run && why.contains("blobs/value") && why.contains("os error 5")),
        "{aside:?}"
    );
    assert!(rig.engine.recover(Which::Only(run)).await.is_ok());
    pass(5).await;
    assert_eq!(rig.engine.set_aside().len(), 1, "tried again, and still so");
    *rig.machine.blob_errno.lock().unwrap() = None;
    assert!(rig.engine.recover(Which::Only(run)).await.is_ok());
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!((rig.machine.begun(), rig.engine.set_aside()), (1, vec![]));
    rig.assert_replays(run).await;
}
