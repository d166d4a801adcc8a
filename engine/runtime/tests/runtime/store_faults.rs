//! Stores that fail, histories that cannot be read, other writers.

use std::sync::atomic::Ordering;

use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_base::id::{InputId, RunId, Version};
use everfold_base::json::Hash;
use everfold_core::decide::Refusal;
use everfold_core::event::{NoteAdded, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_runtime::{Abandon, QueryError, StartError, SubmitError, Which};
use everfold_store::{Append, EventStore as _, StreamNote, Writability};
use serde_json::json;

use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, chain, command, definition, function, pipeline, request};

fn waiting() -> std::sync::Arc<everfold_language::definition::Definition> {
    pipeline(vec![function("hang", &[], "hang", json!({}))])
}

fn note(text: &str) -> InputKind {
    InputKind::Note(NoteAdded { text: text.into() })
}

/// Another writer appends an event of this kind to the run.
async fn meddle(rig: &Rig, run: RunId, kind: u16, payload: Vec<u8>) {
    let stream = StreamId::run(run);
    let head = rig.store.head(&stream).await.unwrap().unwrap();
    let header = EventHeader {
        stream: stream.clone(),
        version: head.version.next(),
        recorded_at: (rig.config.clock)(),
        actor: Actor::Engine,
        cause: Cause { input: InputId::derive("meddler"), because: head.version },
        kind,
        schema: 1,
        flags: 0,
        payload_hash: Hash::ZERO,
    };
    let append = Append {
        stream,
        expected: head.version,
        previous: head.hash,
        events: vec![NewEvent::link(header, payload, &head.hash)],
        dedup: None,
        fence: None,
        note: StreamNote { open: true, busy: true, wake_at: None },
    };
    rig.store.inner.append(append).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn d1_after_another_writer_the_state_is_folded_again_and_the_input_decided_again() {
    let rig = Rig::new();
    let run = rig.start(&waiting()).await;
    let (_, payload) =
        everfold_core::event::encode(&everfold_core::event::NoteAdded { text: "theirs".into() }.into())
            .unwrap();
    meddle(&rig, run, 34, payload).await;
    let accepted = rig.submit(run, note("ours")).await.unwrap();
    assert_eq!(accepted.version, Version(4));
    let notes: Vec<_> =
        rig.history(run).await.into_iter().filter(|event| matches!(event, RunEvent::NoteAdded(_))).collect();
    assert_eq!(notes.len(), 2);
    assert_eq!(rig.engine.state(run).await.unwrap(), rig.engine.state_at(run, Version(4)).await.unwrap());
    assert_eq!(rig.machine.begun(), 1, "what is in progress stays so");
}

#[tokio::test(start_paused = true)]
async fn an_append_of_unknown_outcome_is_neither_lost_nor_doubled() {
    for fault in [Fault::Kept, Fault::Dropped] {
        let rig = Rig::new();
        let run = rig.start(&waiting()).await;
        rig.store.fail_next(fault);
        rig.submit(run, note("once")).await.unwrap();
        let notes = rig.names(run).await.into_iter().filter(|name| *name == "NoteAdded").count();
        assert_eq!(notes, 1);
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_of_unknown_outcome_is_neither_lost_nor_doubled() {
    for fault in [Fault::Kept, Fault::Dropped] {
        let rig = Rig::new();
        rig.store.fail_next(fault);
        let run = rig.start(&chain(2)).await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        let started = rig.names(run).await.into_iter().filter(|name| *name == "RunStarted").count();
        assert_eq!((started, rig.machine.begun()), (1, 2));
        rig.assert_replays(run).await;
    }
}

/// The disk had no room for the sync of the start, and none for what came next. The caller was told that nothing was
/// recorded; the next start of the engine may find it, and then the work is done.
#[tokio::test(start_paused = true)]
async fn a_start_of_unknown_outcome_is_not_refused_as_one_of_which_nothing_is_recorded() {
    let rig = Rig::new();
    rig.store.fail_next(Fault::Dropped);
    rig.store.fail_next(Fault::Full);
    match rig.engine.start(request(&chain(1), json!({}))).await {
        Err(StartError::Submit(SubmitError::Store(what))) => {
            assert!(what.contains("whether it is recorded"), "{what}");
        }
        other => panic!("{other:?}"),
    }
    // One that the store did not take at all is refused as that.
    rig.store.fail_next(Fault::Full);
    let refused = rig.engine.start(request(&chain(1), json!({}))).await;
    assert!(matches!(refused, Err(StartError::Submit(SubmitError::Full))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn results_survive_appends_of_unknown_outcome() {
    let rig = Rig::new();
    for _ in 0..4 {
        rig.store.fail_next(Fault::Kept);
        rig.store.fail_next(Fault::Dropped);
    }
    let run = rig.start(&chain(4)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.begun(), 4, "nothing ran twice");
    rig.assert_replays(run).await;
}

/// An item got its turn while the result of another step was on its way into the store, looked for that
/// result there, did not find it, and took its run with it.
#[tokio::test(start_paused = true)]
async fn d2_work_whose_turn_comes_during_an_append_is_planned_on_what_is_durable() {
    let rig = Rig::with(|config| config.functions_max = 1);
    rig.store.delay_ms.store(50, Ordering::SeqCst);
    let mut items = function("items", &["quick", "big"], "length", json!({}));
    (items["join"], items["foreach"]) = (json!("any"), json!({"items": "${[1, 2, 3, 4]}"}));
    let quick = function("quick", &[], "ok", json!({}));
    let big = function("big", &[], "big", json!({"ms": 500}));
    let run = rig.start(&pipeline(vec![quick, big, items])).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.engine.set_aside(), []);
    rig.assert_replays(run).await;
}

/// A run that was set aside while an append of it was in flight was taken for sound when that ended,
/// though it had no state any more: its callers got no answer.
#[tokio::test(start_paused = true)]
async fn d2_a_run_is_set_aside_after_what_is_on_its_way_into_the_store() {
    let rig = Rig::with(|config| config.values_bytes = 0);
    let big = function("big", &[], "big", json!({"ms": 10}));
    let run = rig.start(&pipeline(vec![big, function("next", &["big"], "length", json!({}))])).await;
    rig.store.read_delay_ms.store(100, Ordering::SeqCst);
    rig.store.reads_to_fail.store(1, Ordering::SeqCst);
    rig.until(run, |event| matches!(event, RunEvent::StepSucceeded(_))).await;
    rig.store.delay_ms.store(300, Ordering::SeqCst);
    rig.submit(run, note("kept")).await.expect("it is kept and answered");
    let aside = rig.engine.set_aside();
    assert!(aside.len() == 1 && aside[0].1.contains("went away"), "{aside:?}");
    let looked = tokio::time::timeout(std::time::Duration::from_secs(60), rig.engine.state(run)).await;
    assert!(matches!(looked, Ok(Err(QueryError::SetAside { .. }))), "the caller is answered");
    rig.store.read_delay_ms.store(0, Ordering::SeqCst);
    rig.engine.recover(Which::Only(run)).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn s7_a_full_disk_stops_new_starts_and_ends_by_itself() {
    let rig = Rig::new();
    let run = rig
        .start(&pipeline(vec![
            function("slow", &[], "slow", json!({"ms": 100})),
            function("next", &["slow"], "ok", json!({})),
        ]))
        .await;
    rig.store.writability.send_replace(Writability::Full);
    rig.store.fail_next(Fault::Full);
    let refused = rig.engine.start(request(&chain(1), json!({}))).await;
    assert!(matches!(refused, Err(StartError::Submit(SubmitError::Full))), "{refused:?}");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(rig.names(run).await.last(), Some(&"StepScheduled"));
    assert_eq!(rig.status(run).await, RunStatus::Running, "it can be looked at meanwhile");
    rig.store.writability.send_replace(Writability::Writable);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.begun(), 2);
    assert!(rig.engine.set_aside().is_empty());
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn d4_a_history_that_cannot_be_read_sets_its_run_aside_alone_and_visibly() {
    let mut rig = Rig::new();
    let (broken, fine) = (rig.start(&waiting()).await, rig.start(&waiting()).await);
    meddle(&rig, broken, 60_000, b"of the future".to_vec()).await;
    rig.crash().await;
    assert_eq!(rig.recover().await, 2);
    let aside = rig.engine.set_aside();
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].0, broken);
    assert!(aside[0].1.contains("version 3") && aside[0].1.contains("60000"), "{}", aside[0].1);
    let refused = rig.submit(broken, note("?")).await;
    assert!(matches!(refused, Err(SubmitError::SetAside { .. })), "{refused:?}");
    let looked = rig.engine.with_state(broken, |_| ()).await;
    assert!(matches!(looked, Err(QueryError::SetAside { .. })), "{looked:?}");
    assert_eq!(rig.status(fine).await, RunStatus::Running);
    assert!(rig.engine.recover(Which::Only(broken)).await.is_ok());
    assert_eq!(rig.engine.set_aside().len(), 1, "tried again, and still so");
}

#[tokio::test(start_paused = true)]
async fn d4_a_run_whose_appends_never_succeed_is_set_aside() {
    let rig = Rig::with(|config| config.tries = 2);
    let (run, fine) = (rig.start(&waiting()).await, rig.start(&waiting()).await);
    (0..3).for_each(|_| rig.store.fail_next(Fault::Dropped));
    let refused = rig.submit(run, note("?")).await;
    assert!(matches!(refused, Err(SubmitError::SetAside { .. })), "{refused:?}");
    assert!(rig.submit(fine, note("!")).await.is_ok());
    assert!(rig.engine.recover(Which::Only(run)).await.is_ok());
    assert!(rig.submit(run, note("now")).await.is_ok(), "tried again, it goes on");
    assert!(rig.engine.set_aside().is_empty());
}

fn abandon(run: RunId) -> Abandon {
    let (reason, actor) = (Some("it was damaged".to_owned()), Actor::User("ada".into()));
    Abandon { run, reason, actor, id: InputId::derive("abandon"), dedup: None }
}

/// One slot and one key that the run holds for as long as it lives.
fn holding() -> std::sync::Arc<everfold_language::definition::Definition> {
    definition(json!({
        "name": "p", "key": {"value": "the-key", "on_taken": "reject"}, "concurrency": [{"key": "slot", "limit": 1}],
        "steps": [command("hang", &[], 600_000)],
        "on_finish": [function("tidy", &[], "ok", json!({}))],
    }))
}

#[tokio::test(start_paused = true)]
async fn row_39_a_run_that_cannot_be_folded_is_given_up_by_its_head_and_frees_its_key_and_slot() {
    let mut rig = Rig::new();
    let broken = rig.start(&holding()).await;
    rig.until(broken, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let healthy = rig.engine.abandon(abandon(broken)).await;
    assert!(matches!(healthy, Err(SubmitError::Refused(Refusal::NotSetAside))), "{healthy:?}");
    meddle(&rig, broken, 60_000, b"of the future".to_vec()).await;
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.engine.set_aside().len(), 1);
    let taken = rig.engine.start(request(&holding(), json!({}))).await;
    assert!(matches!(taken, Err(StartError::Refused(Refusal::KeyTaken { .. }))), "{taken:?}");

    let ended = rig.engine.abandon(abandon(broken)).await.unwrap();
    assert!(ended.changed && rig.engine.set_aside().is_empty());
    let head = rig.store.head(&StreamId::run(broken)).await.unwrap().unwrap();
    assert_eq!((head.version, head.note.open, head.note.busy), (ended.version, false, false));
    let last = rig.store.inner.read(&StreamId::run(broken), Version(head.version.0 - 1), 2).await.unwrap();
    let kinds: Vec<_> = last.iter().filter_map(|it| RunEvent::name_of(it.header.kind)).collect();
    assert_eq!(kinds, ["RunAbandoned", "RunCancelled"]);

    let next = rig.engine.start(request(&holding(), json!({}))).await.unwrap();
    assert!(!next.held, "the key is free");
    rig.until(next.run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    // After a crash nothing of it comes back, and the holder of the key keeps it.
    rig.crash().await;
    rig.recover().await;
    assert!(rig.engine.set_aside().is_empty());
    let taken = rig.engine.start(request(&holding(), json!({}))).await;
    assert!(
        matches!(&taken, Err(StartError::Refused(Refusal::KeyTaken { holder, .. })) if *holder == next.run),
        "{taken:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn row_38_what_was_in_hand_at_three_aborts_is_not_taken_up_and_its_run_is_given_up_in_order() {
    let mut rig = Rig::new();
    let run = rig.start(&holding()).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let begun = rig.machine.begun();
    for aborts in [1, 2] {
        rig.machine.aborts.store(aborts, Ordering::SeqCst);
        rig.crash().await;
        rig.recover().await;
        assert_eq!(rig.engine.set_aside(), [], "after {aborts} it is taken up once more");
    }
    let begun_again = rig.machine.begun();
    rig.machine.aborts.store(3, Ordering::SeqCst);
    rig.crash().await;
    rig.recover().await;
    let aside = rig.engine.set_aside();
    assert!(aside.len() == 1 && aside[0].1.contains("3 times in a row with hang/1/1 in hand"), "{aside:?}");
    assert!(begun_again >= begun && rig.machine.begun() == begun_again, "nothing of it began");
    let refused = rig.submit(run, note("?")).await;
    assert!(matches!(refused, Err(SubmitError::SetAside { .. })), "{refused:?}");
    let retried = rig.engine.recover(Which::Only(run)).await;
    assert!(retried.is_ok() && rig.engine.set_aside().len() == 1, "tried again, and still so");

    rig.engine.abandon(abandon(run)).await.unwrap();
    assert_eq!(rig.engine.set_aside(), []);
    assert_eq!(rig.status(run).await, RunStatus::Cancelled);
    assert_eq!(
        rig.names(run).await.iter().rev().take(2).collect::<Vec<_>>(),
        [&"RunCancelled", &"RunAbandoned"]
    );
    rig.assert_replays(run).await;
    rig.machine.aborts.store(0, Ordering::SeqCst);
    let next = rig.engine.start(request(&holding(), json!({}))).await.unwrap();
    rig.until(next.run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
}

/// Any error of the fold counted as damage, and two bare facts were recorded.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_abandoned_while_its_history_cannot_be_read_for_a_moment() {
    let mut refused = 0;
    for skipped in 0..4 {
        let mut rig = Rig::new();
        let run = rig.start(&holding()).await;
        rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
        rig.machine.aborts.store(3, Ordering::SeqCst);
        rig.crash().await;
        rig.recover().await;
        assert_eq!(rig.engine.set_aside().len(), 1);
        let before = rig.names(run).await;
        rig.store.fail_one_read_of("run/", skipped);
        let ended = rig.engine.abandon(abandon(run)).await;
        rig.store.mend();
        if let Err(error) = ended {
            assert!(matches!(error, SubmitError::Store(_)), "{error}");
            assert_eq!(rig.names(run).await, before, "nothing was recorded");
            refused += 1;
            rig.engine.abandon(abandon(run)).await.unwrap();
        }
        rig.assert_replays(run).await;
    }
    assert!(refused > 0, "one of them was the read of its history");
}

/// Queries were queued without a bound, and inputs were refused as busy for them.
#[tokio::test(start_paused = true)]
async fn queries_that_wait_for_a_run_are_bounded_and_do_not_count_as_inputs() {
    let mut rig = Rig::with(|config| config.queue = 4);
    let run = rig.start(&waiting()).await;
    rig.crash().await;
    rig.store.read_delay_ms.store(1_000, Ordering::SeqCst);
    let looks = (0..10).map(|_| rig.engine.with_state(run, |state| state.status()));
    let (looks, noted) = futures::join!(futures::future::join_all(looks), rig.submit(run, note("now")));
    let busy = looks.iter().filter(|look| matches!(look, Err(QueryError::Busy(_)))).count();
    assert_eq!((looks.iter().filter(|look| look.is_ok()).count(), busy), (4, 6), "{looks:?}");
    assert!(noted.is_ok(), "{noted:?}");
}

/// The newest line of an abandoned attempt was shown for as long as the engine lived.
#[tokio::test(start_paused = true)]
async fn the_output_of_an_abandoned_attempt_is_forgotten() {
    let rig = Rig::new();
    let run = rig.start(&waiting()).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let live = rig.engine.live(run);
    assert_eq!(live.borrow().len(), 1, "it printed a line");
    meddle(&rig, run, 60_000, b"of the future".to_vec()).await;
    let _set_aside = rig.submit(run, note("?")).await;
    assert_eq!(rig.engine.set_aside().len(), 1);
    rig.engine.abandon(abandon(run)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(live.borrow().is_empty(), "{:?}", live.borrow());
}
