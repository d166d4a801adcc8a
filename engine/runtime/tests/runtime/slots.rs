//! D9: how many runs hold slots at once, which ones wait, and when slots are returned.

use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::id::{RunId, Version};
use everfold_base::json::Hash;
use everfold_core::decide::Refusal;
use everfold_core::event::{CancelRequested, RunEvent, RunPaused, RunResumed, VoteCast};
use everfold_core::input::InputKind;
use everfold_core::slots::{SlotEvent, SlotState};
use everfold_core::state::RunStatus;
use everfold_language::definition::Vote;
use everfold_runtime::StartError;
use everfold_store::{EventStore as _, StreamNote};
use serde_json::json;

use crate::fixtures::fork_requests::restart;
use crate::fixtures::slot_setup::{keys, refused, slot, start, until_key, with};
use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, command, definition, request};

#[tokio::test(start_paused = true)]
async fn d9_so_many_run_at_once_and_the_others_wait_in_their_order() {
    let rig = Rig::new();
    let definition = with(100, slot(2, "queue"));
    let mut runs = Vec::new();
    for n in 0..6 {
        let priority = if n == 5 { 1 } else { 0 };
        let mut asked = request(&definition, json!({}));
        asked.options.priority = priority;
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
    assert_eq!(
        [order[3], order[4], order[5]],
        [runs[2], runs[3], runs[4]],
        "then in the order of their starts"
    );
    assert!(rig.machine.peak() <= 2);
    until_key(&rig, SlotState::is_free).await;
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
async fn row_49_a_paused_queued_run_does_not_hold_up_the_queue_and_keeps_its_place() {
    let mut rig = Rig::new();
    let definition = with(1_000, slot(1, "queue"));
    let first = start(&rig, &definition, json!({})).await.run;
    let paused = start(&rig, &definition, json!({})).await.run;
    let second = start(&rig, &definition, json!({})).await.run;
    rig.submit(paused, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await.unwrap();
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    assert_eq!(rig.end(second).await, RunStatus::Succeeded, "it passes the one that stands still");
    // One that comes now does not wait for it either, also where an engine ended meanwhile.
    rig.crash().await;
    rig.recover().await;
    let third = start(&rig, &definition, json!({})).await.run;
    rig.until(third, |event| event.name() == "RunAdmitted").await;
    let fourth = start(&rig, &definition, json!({})).await.run;
    assert_eq!((rig.status(paused).await, rig.status(fourth).await), (RunStatus::Paused, RunStatus::Queued));
    // It goes on before those that began later.
    rig.submit(paused, InputKind::Resume(RunResumed { reason: None, prompt: None })).await.unwrap();
    assert_eq!(rig.end(third).await, RunStatus::Succeeded);
    assert_eq!(rig.end(paused).await, RunStatus::Succeeded);
    assert_eq!(rig.end(fourth).await, RunStatus::Succeeded);
    let admitted = |envelopes: Vec<everfold_base::envelope::Envelope>| {
        let at = envelopes.iter().find(|it| RunEvent::name_of(it.header.kind) == Some("RunAdmitted"));
        at.map(|it| it.position).unwrap()
    };
    assert!(admitted(rig.envelopes(paused).await) < admitted(rig.envelopes(fourth).await));
    assert!(rig.machine.peak() <= 1);
    until_key(&rig, SlotState::is_free).await;
    for run in [first, paused, second, third, fourth] {
        rig.assert_replays(run).await;
    }
    // Without any other run it continues as well.
    let alone = start(&rig, &definition, json!({})).await.run;
    assert_eq!(rig.end(alone).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn row_49_a_start_that_may_not_wait_is_not_refused_for_a_paused_run_that_waits() {
    let rig = Rig::new();
    let queues = with(1_000, slot(1, "queue"));
    let may_not_wait = with(1_000, slot(1, "reject"));
    let first = start(&rig, &queues, json!({})).await.run;
    let paused = start(&rig, &queues, json!({})).await.run;
    rig.submit(paused, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await.unwrap();
    let no_slot = Refusal::NoSlot { key: "repo".into(), limit: 1 };
    assert_eq!(refused(&rig, &may_not_wait, json!({})).await, no_slot, "the slot is held");
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    until_key(&rig, |key| key.held() == 0).await;
    let run = start(&rig, &may_not_wait, json!({})).await.run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.status(paused).await, RunStatus::Paused);
    rig.submit(paused, InputKind::Resume(RunResumed { reason: None, prompt: None })).await.unwrap();
    assert_eq!(rig.end(paused).await, RunStatus::Succeeded);
    assert!(rig.machine.peak() <= 1);
}

#[tokio::test(start_paused = true)]
async fn d9_a_slot_is_held_to_the_end_also_while_its_run_waits_for_people_and_stands_still() {
    let rig = Rig::new();
    let ask = json!({"id": "ask", "work": {"approval": {"title": "Go on?"}}});
    let asking = definition(json!({"name": "p", "concurrency": [{"key": "repo"}], "steps": [ask]}));
    let first = start(&rig, &asking, json!({})).await.run;
    rig.until(first, |event| matches!(event, RunEvent::ApprovalRequested(_))).await;
    let second = start(&rig, &asking, json!({})).await.run;
    rig.submit(first, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await.unwrap();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!((rig.status(first).await, rig.status(second).await), (RunStatus::Paused, RunStatus::Queued));
    rig.submit(first, InputKind::Resume(RunResumed { reason: None, prompt: None })).await.unwrap();
    let vote = InputKind::Vote(VoteCast {
        id: "ask/1/1".parse().unwrap(),
        vote: Vote::Approve,
        comment: None,
        roles: Vec::new(),
        comments: Vec::new(),
        edited: None,
        seen: None,
    });
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
    rig.submit(second, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(second).await, RunStatus::Cancelled);
    assert!(!rig.names(second).await.contains(&"StepScheduled"));
    for run in [first, third] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    }
    until_key(&rig, SlotState::is_free).await;
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

/// The one that waited for both stood in no line for the second yet.
#[tokio::test(start_paused = true)]
async fn d9_of_two_keys_that_come_free_at_once_the_run_that_came_first_gets_both() {
    let rig = Rig::new();
    let both = with(100, json!({"concurrency": [{"key": "a"}, {"key": "b"}]}));
    let one = with(100, json!({"concurrency": [{"key": "b"}]}));
    let holder = start(&rig, &both, json!({})).await.run;
    let first = start(&rig, &both, json!({})).await.run;
    let second = start(&rig, &one, json!({})).await.run;
    assert_eq!(rig.end(holder).await, RunStatus::Succeeded);
    let mut admitted = Vec::new();
    for run in [first, second] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        let events = rig.history(run).await;
        let at = events.iter().position(|event| event.name() == "RunAdmitted").unwrap();
        admitted.push(rig.envelopes(run).await[at].position);
    }
    assert!(admitted[0] < admitted[1], "{admitted:?}");
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
        until_key(&rig, SlotState::is_free).await;
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
    let wanted = everfold_core::event::WantedSlot {
        key: "repo".into(),
        kind: everfold_core::event::SlotKind::Concurrency { limit: 1, on_limit: Default::default() },
    };
    let event =
        SlotEvent::SlotGranted(everfold_core::slots::SlotGranted { run: ghost, slot: wanted, priority: 0 });
    let (kind, schema, payload) = event.encode().unwrap();
    let header = everfold_base::envelope::EventHeader {
        stream: stream.clone(),
        version: Version::FIRST,
        recorded_at: (rig.config.clock)(),
        actor,
        cause: everfold_base::envelope::Cause {
            input: everfold_base::id::InputId::derive("x"),
            because: Version::ZERO,
        },
        kind,
        schema,
        flags: 0,
        payload_hash: Hash::ZERO,
    };
    let event = everfold_base::envelope::NewEvent::link(header, payload, &Hash::ZERO);
    let append = everfold_store::Append {
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

/// The append by which a new engine took a slot back was of unknown outcome: it was not tried again.
#[tokio::test(start_paused = true)]
async fn d9_what_a_new_engine_takes_back_is_taken_back_whatever_becomes_of_the_append() {
    for fault in [Fault::Kept, Fault::Dropped] {
        let mut rig = Rig::new();
        haunt(&rig).await;
        rig.crash().await;
        rig.store.fail_key(fault);
        rig.recover().await;
        until_key(&rig, SlotState::is_free).await;
    }
    // The start that opens the key meets it, too.
    let rig = Rig::new();
    haunt(&rig).await;
    rig.store.fail_key(Fault::Dropped);
    let run = start(&rig, &with(10, slot(1, "reject")), json!({})).await.run;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
}

/// The run's own end was kept and its acknowledgement lost: the engine that learned of it by reading the
/// run again took it for a former engine's, and informed no run that the slot was free.
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
    let request = restart(origin, "other");
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
    assert_eq!(rig.recover().await, 1, "the holder of the slot");
    for run in &runs {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
    }
    // The slot came free while no engine ran.
    let (first, second) = (rig.start(&definition).await, rig.start(&definition).await);
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.crash().await;
    rig.submit(first, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    rig.end(first).await;
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
}
