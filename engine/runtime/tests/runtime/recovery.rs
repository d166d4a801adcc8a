//! What goes on after a crash, and what does not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::id::RunId;
use everfold_core::event::{CancelRequested, NoteAdded, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_ports::Fate;
use everfold_runtime::{RecoverError, Which};
use serde_json::json;

use crate::fixtures::test_engine::{Rig, command, definition, function, pipeline};

#[tokio::test(start_paused = true)]
async fn a_process_that_lives_on_is_attached_and_not_begun_again() {
    let mut rig = Rig::new();
    let run = rig.start(&pipeline(vec![command("build", &[], 20_000)])).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        rig.crash().await;
        assert_eq!(rig.recover().await, 1);
    }
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.machine.begun(), 1);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ended_meanwhile_counts_by_its_record() {
    let mut rig = Rig::new();
    let run = rig.start(&pipeline(vec![command("build", &[], 1_000)])).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let history = rig.history(run).await;
    let ended = history.iter().find_map(|event| match event {
        RunEvent::AttemptSucceeded(event) => Some(event.ended_at),
        _ => None,
    });
    let recorded = rig.envelopes(run).await.last().unwrap().header.recorded_at;
    assert!(
        recorded.since(ended.unwrap()) >= Duration::from_secs(58),
        "by when it ended, not by when it was read"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_vanished_is_lost_and_blocks_for_a_person() {
    let mut rig = Rig::new();
    let run = rig.start(&pipeline(vec![command("build", &[], 20_000)])).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.crash().await;
    rig.machine.reboot();
    rig.recover().await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptLost(_))).await;
    assert_eq!(rig.status(run).await, RunStatus::Blocked);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn functions_are_sent_again_where_that_does_no_harm() {
    let mut rig = Rig::new();
    let again = rig.start(&pipeline(vec![function("f", &[], "slow", json!({"ms": 5_000}))])).await;
    let once =
        rig.start(&pipeline(vec![function("f", &[], "slow", json!({"ms": 5_000, "once": true}))])).await;
    rig.until(once, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.end(again).await, RunStatus::Succeeded);
    rig.until(once, |event| matches!(event, RunEvent::AttemptLost(_))).await;
    assert_eq!(rig.status(once).await, RunStatus::Blocked);
    assert_eq!(rig.machine.begun(), 3);
}

#[tokio::test(start_paused = true)]
async fn d6_results_go_before_timers_that_came_due_while_down() {
    let mut rig = Rig::new();
    let wait = json!({"id": "pause", "work": {"wait": {"for": "5s"}}});
    let run = rig.start(&pipeline(vec![wait, command("a", &[], 4_000), command("b", &[], 2_000)])).await;
    rig.until(
        run,
        |event| matches!(event, RunEvent::AttemptStarted(event) if event.id.path.step.as_str() == "b"),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let order: Vec<String> = rig
        .history(run)
        .await
        .iter()
        .filter_map(|event| match event {
            RunEvent::AttemptSucceeded(event) => Some(event.id.path.to_string()),
            RunEvent::TimerFired(_) => Some("timer".into()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["b", "a", "timer"]);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn d6_a_process_that_lives_on_does_not_hold_timers_back() {
    let mut rig = Rig::new();
    let wait = json!({"id": "pause", "work": {"wait": {"for": "5s"}}});
    let run = rig.start(&pipeline(vec![wait, command("long", &[], 3_600_000)])).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.recover().await;
    let before = (rig.config.clock)();
    rig.until(run, |event| matches!(event, RunEvent::TimerFired(_))).await;
    assert!((rig.config.clock)().since(before) < Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn d9_living_attempts_come_before_new_ones() {
    let mut rig = Rig::with(|config| config.supervised_max = 2);
    let first = rig
        .start(&pipeline(vec![command("a", &[], 5_000), command("b", &[], 5_000), command("c", &[], 5_000)]))
        .await;
    rig.until(
        first,
        |event| matches!(event, RunEvent::AttemptStarted(event) if event.id.path.step.as_str() == "b"),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.crash().await;
    rig.recover().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((rig.machine.begun(), rig.machine.peak()), (2, 2), "the places are taken by what lives");
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    assert_eq!((rig.machine.begun(), rig.machine.peak()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_was_recorded_is_carried_out_by_the_next_engine() {
    let mut rig = Rig::new();
    let run = rig
        .start(&pipeline(vec![command("long", &[], 3_600_000), function("hang", &[], "hang", json!({}))]))
        .await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    assert_eq!(rig.machine.begun(), 2);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn only_the_named_run_goes_on_and_a_look_starts_nothing() {
    let mut rig = Rig::new();
    let pipeline = pipeline(vec![function("slow", &[], "slow", json!({"ms": 5_000}))]);
    let (one, other) = (rig.start(&pipeline).await, rig.start(&pipeline).await);
    tokio::time::sleep(Duration::from_millis(10)).await;
    rig.crash().await;
    assert_eq!(rig.engine.recover(Which::Only(one)).await.unwrap().runs, 1);
    assert_eq!(rig.status(other).await, RunStatus::Running);
    assert_eq!(rig.end(one).await, RunStatus::Succeeded);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.status(other).await, RunStatus::Running, "no request drives it");
    rig.submit(other, InputKind::Note(NoteAdded { text: "go on".into() })).await.unwrap();
    assert_eq!(rig.end(other).await, RunStatus::Succeeded);
    let unknown = RunId(uuid::Uuid::from_u128(1));
    assert!(matches!(rig.engine.recover(Which::Only(unknown)).await, Err(RecoverError::NotFound(_))));
}

/// The order that has a run loaded came too late: the work that the run listed was started first, and stopped.
#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_run_is_decided_before_its_work_begins() {
    let mut rig = Rig::with(|config| config.supervised_max = 1);
    let pipeline = pipeline(vec![command("build", &[], 20_000)]);
    let (first, waiting) = (rig.start(&pipeline).await, rig.start(&pipeline).await);
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.crash().await;
    rig.submit(waiting, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(waiting).await, RunStatus::Cancelled);
    assert_eq!(rig.machine.begun(), 1, "the first one's, before the crash");
}

#[tokio::test(start_paused = true)]
async fn workspaces_of_ended_runs_are_swept_at_start() {
    let mut rig = Rig::new();
    let document =
        json!({"name": "p", "workspace": {"git": {"git": "/repository"}}, "steps": [command("a", &[], 10)]});
    let ended = rig.start(&definition(document)).await;
    rig.end(ended).await;
    rig.until(ended, |event| matches!(event, RunEvent::WorkspaceRemoved(_))).await;
    let open = rig.start(&pipeline(vec![function("hang", &[], "hang", json!({}))])).await;
    rig.crash().await;
    // As after a kill between the end of a run and the end of its workspace.
    let stranger: RunId = "0198c1f0-0000-7000-8000-00000000cafe".parse().unwrap();
    rig.machine.folders.lock().unwrap().extend([ended, open, stranger]);
    rig.recover().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let fates = [(ended, Fate::Ended { succeeded: true, began: true }), (stranger, Fate::Unknown)];
    assert_eq!(*rig.machine.swept.lock().unwrap(), [fates.into()]);
    let names = rig.names(ended).await;
    assert_eq!(names.iter().filter(|name| **name == "WorkspaceRemoved").count(), 1, "{names:?}");
}

/// The run ended while its worktree was being made: no run used it, and it was not removed.
#[tokio::test(start_paused = true)]
async fn row_13_a_workspace_that_comes_after_the_end_of_its_run_is_undone() {
    let rig = Rig::new();
    *rig.machine.makes_for.lock().unwrap() = Duration::from_secs(5);
    let document =
        json!({"name": "p", "workspace": {"git": {"git": "/repository"}}, "steps": [command("a", &[], 10)]});
    let run = rig.start(&definition(document)).await;
    rig.until(run, |event| matches!(event, RunEvent::StepScheduled(_))).await;
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    rig.until(run, |event| matches!(event, RunEvent::WorkspaceRemoved(_))).await;
    assert!(rig.machine.folders.lock().unwrap().is_empty());
    assert_eq!(*rig.machine.released.lock().unwrap(), [(run, false)]);
}

/// The engine is killed before it is undone: the next one finds it, whatever it was begun for.
#[tokio::test(start_paused = true)]
async fn row_13_what_a_killed_engine_did_not_undo_is_swept_by_the_next() {
    let mut rig = Rig::new();
    let document =
        json!({"name": "p", "workspace": {"git": {"git": "/repository"}}, "steps": [command("a", &[], 10)]});
    *rig.machine.makes_for.lock().unwrap() = Duration::from_secs(5);
    let run = rig.start(&definition(document)).await;
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    rig.crash().await;
    rig.machine.folders.lock().unwrap().insert(run);
    rig.recover().await;
    rig.until(run, |event| matches!(event, RunEvent::WorkspaceRemoved(_))).await;
    let fates = [(run, Fate::Ended { succeeded: false, began: false })];
    assert_eq!(*rig.machine.swept.lock().unwrap(), [fates.into()]);
}

/// Only an engine that goes on with everything swept.
#[tokio::test(start_paused = true)]
async fn row_69_an_engine_that_was_begun_for_one_run_sweeps_as_well_and_once() {
    let mut rig = Rig::new();
    let document =
        json!({"name": "p", "workspace": {"git": {"git": "/repository"}}, "steps": [command("a", &[], 10)]});
    let ended = rig.start(&definition(document)).await;
    rig.end(ended).await;
    let open = rig.start(&pipeline(vec![function("hang", &[], "hang", json!({}))])).await;
    rig.crash().await;
    rig.machine.folders.lock().unwrap().extend([ended, open]);
    for _ in 0..2 {
        rig.engine.recover(Which::Only(open)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let fates = [(ended, Fate::Ended { succeeded: true, began: true })];
    assert_eq!(*rig.machine.swept.lock().unwrap(), [fates.into()]);
}

#[tokio::test(start_paused = true)]
async fn d5_what_a_former_engine_left_at_work_ends_unless_its_run_wants_it() {
    let mut rig = Rig::new();
    let run = rig.start(&pipeline(vec![command("build", &[], 20_000)])).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let ended = rig.start(&pipeline(vec![function("f", &[], "ok", json!({}))])).await;
    rig.end(ended).await;
    rig.crash().await;
    let stranger = RunId(uuid::Uuid::from_u128(7));
    *rig.machine.left.lock().unwrap() = vec![
        format!("{run}/build-r1-a1"),
        format!("{run}/build-r1-a1-gate-p1"),
        format!("{ended}/f-r1-a1-gate-p3"),
        format!("{stranger}/a-r1-a1"),
    ];
    let mut ended = rig.machine.swept_away.subscribe();
    rig.recover().await;
    let mut names = ended.wait_for(|names| names.len() >= 2).await.unwrap().clone();
    names.sort();
    assert_eq!(names, ["build-r1-a1-gate-p1", "f-r1-a1-gate-p3"]);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
}

/// A command cancels a run whose gates' processes live on, and its engine ends right behind the answer: the search for
/// them had only begun, and the next command, which only reads, does not search.
#[tokio::test(start_paused = true)]
async fn d5_an_engine_that_ends_first_ends_what_a_former_one_left() {
    let mut rig = Rig::new();
    let ended = rig.start(&pipeline(vec![function("f", &[], "ok", json!({}))])).await;
    rig.end(ended).await;
    rig.crash().await;
    *rig.machine.left.lock().unwrap() = vec![format!("{ended}/f-r1-a1-gate-p3")];
    rig.machine.slow_look_ms.store(500, Ordering::SeqCst);
    rig.start(&pipeline(vec![function("f", &[], "ok", json!({}))])).await;
    assert!(rig.engine.shutdown(Duration::from_secs(5)).await);
    assert_eq!(*rig.machine.swept_away.borrow(), ["f-r1-a1-gate-p3"]);
}

/// New work was held back for ever.
#[tokio::test(start_paused = true)]
async fn a_recovery_that_is_dropped_lets_new_work_start() {
    let mut rig = Rig::new();
    let first = rig.start(&pipeline(vec![command("a", &[], 5_000)])).await;
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.crash().await;
    rig.store.read_delay_ms.store(1_000, Ordering::SeqCst);
    let dropped = tokio::time::timeout(Duration::from_millis(100), rig.engine.recover(Which::All)).await;
    assert!(dropped.is_err(), "it was under way");
    rig.store.read_delay_ms.store(0, Ordering::SeqCst);
    let next = rig.start(&pipeline(vec![function("f", &[], "ok", json!({}))])).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), rig.end(next)).await;
    assert_eq!(ended.expect("it starts"), RunStatus::Succeeded);
}

/// The search took its four seconds, and then all else had the whole deadline once more.
#[tokio::test(start_paused = true)]
async fn a_shutdown_keeps_its_deadline_also_where_the_search_for_orphans_takes_long() {
    let rig = Rig::new();
    rig.machine.slow_look_ms.store(3_600_000, Ordering::SeqCst);
    let run = rig.start(&pipeline(vec![function("f", &[], "hang", json!({}))])).await;
    rig.until(run, |event| matches!(event, RunEvent::StepScheduled(_))).await;
    let before = (rig.config.clock)();
    rig.engine.shutdown(Duration::from_secs(2)).await;
    let took = (rig.config.clock)().since(before);
    assert!(took <= Duration::from_millis(2_100), "{took:?}");
}
