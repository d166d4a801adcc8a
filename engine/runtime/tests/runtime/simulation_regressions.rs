//! Regressions that the simulation found; each header says what went wrong.

use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::id::{RunId, Version};
use everfold_base::json::{Hash, JsonText, Payload};
use everfold_core::event::{CancelRequested, HaltScope, NoteAdded, OriginKind, RunEvent, SignalReceived};
use everfold_core::input::InputKind;
use everfold_core::pauses::PauseOrder;
use everfold_core::state::RunStatus;
use everfold_runtime::{ForkRequest, QueryError, StartError, SubmitError};
use everfold_store::{Dedup, DedupKeep, EventStore as _};
use serde_json::json;

use crate::fixtures::fork_requests::{again, restart};
use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, chain, command, definition, function, pipeline};

/// The engine died after a process began and before that was recorded. In the next engine the attempt
/// waited for its place, and a cancel took it for one that never began: the run ended, its process lived on.
#[tokio::test(start_paused = true)]
async fn d5_what_waits_for_its_place_again_may_live_since_a_former_engine_and_is_stopped() {
    let mut rig = Rig::with(|config| config.supervised_max = 2);
    let first = rig.start(&pipeline(vec![command("a", &[], 60_000)])).await;
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.store.delay_ms.store(10_000, std::sync::atomic::Ordering::SeqCst);
    let second = rig.start(&pipeline(vec![command("b", &[], 60_000)])).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.machine.begun(), 2);
    rig.config.supervised_max = 1;
    rig.crash().await;
    rig.recover().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!rig.names(second).await.contains(&"AttemptStarted"));
    rig.submit(second, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(second).await, RunStatus::Cancelled);
    let stopped = rig.machine.cancels.lock().unwrap().iter().any(|id| id.run == second);
    assert!(stopped, "its process was not asked to end");
    assert_eq!(rig.machine.ended.lock().unwrap().len(), 1);
}

/// A signal decided how a halted run ends; when the halt was over, the run was not informed, because runs that are
/// ending are not halted, and its `on_finish` never began.
#[tokio::test(start_paused = true)]
async fn l29_a_halted_run_whose_end_became_certain_is_released_with_the_others() {
    let rig = Rig::new();
    let document = json!({
        "name": "p",
        "steps": [{
            "id": "s", "work": {"wait": {"for": "1h"}},
            "on_signal": {"stop": [{"to": {"finish": "succeeded"}}]},
        }],
        "on_finish": [command("tidy", &[], 10)],
    });
    let run = rig.start(&definition(document)).await;
    let ada = || Actor::User("ada".into());
    rig.engine.halt(PauseOrder::Halt, HaltScope::Engine, None, ada()).await.unwrap();
    let signal = InputKind::Signal(SignalReceived {
        name: "stop".into(),
        payload: Payload::Inline(JsonText::null()),
        delivery: None,
    });
    rig.submit(run, signal).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.status(run).await, RunStatus::Paused);
    rig.engine.halt(PauseOrder::Release, HaltScope::Engine, None, ada()).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

/// Where notices need values that are kept out of the state, the preview of a restart stopped at them, and
/// what was refused left a copied history behind, which a look even showed as a run.
#[tokio::test(start_paused = true)]
async fn l30_what_is_refused_stores_nothing_where_notices_need_values_too() {
    let rig = Rig::new();
    let document = json!({
        "name": "p",
        "notify": [{"id": "all", "events": ["*"], "function": "f", "with": {"out": "${steps.a.output}"}}],
        "steps": [function("a", &[], "big", json!({})), function("b", &["a"], "hang", json!({}))],
        "on_finish": [command("tidy", &[], 10)],
    });
    let origin = rig.start(&definition(document)).await;
    rig.until(origin, |event| matches!(event, RunEvent::AttemptSucceeded(_))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = rig.store.inner.last_position();
    let request = restart(origin, "tidy");
    let refused = rig.engine.fork(request).await;
    assert!(matches!(refused, Err(StartError::Refused(_))), "{refused:?}");
    assert_eq!(rig.store.inner.last_position(), before);
}

/// The acknowledgement of a pause was lost: the engine went on from what it had known before, and could
/// neither pause nor go on until the next start.
#[tokio::test(start_paused = true)]
async fn s9_a_pause_of_unknown_outcome_is_found_out_by_repeating_it() {
    for fault in [Fault::Kept, Fault::Dropped] {
        let rig = Rig::new();
        let run = rig.start(&pipeline(vec![function("s", &[], "slow", json!({"ms": 60_000}))])).await;
        let ada = || Actor::User("ada".into());
        rig.store.fail_halt(fault);
        rig.engine.halt(PauseOrder::Halt, HaltScope::Engine, None, ada()).await.unwrap_err();
        rig.engine.halt(PauseOrder::Halt, HaltScope::Engine, None, ada()).await.unwrap();
        assert_eq!(rig.status(run).await, RunStatus::Paused);
        rig.engine.halt(PauseOrder::Release, HaltScope::Engine, None, ada()).await.unwrap();
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    }
}

/// A restart that was itself replaced, while its origin was still ending, got its slots after its own end
/// and kept them.
#[tokio::test(start_paused = true)]
async fn d9_a_run_that_ended_while_its_origin_was_ending_gets_no_slot() {
    let rig = Rig::new();
    let mut document =
        json!({"name": "p", "concurrency": [{"key": "repo"}], "steps": [command("a", &[], 600_000)]});
    document["on_finish"] = json!([function("tidy", &[], "slow", json!({"ms": 5_000}))]);
    let origin = rig.start(&definition(document)).await;
    rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let restart = restart(origin, "a");
    let second = rig.engine.fork(restart).await.unwrap().run;
    rig.submit(second, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(second).await, RunStatus::Cancelled);
    assert_eq!(rig.end(origin).await, RunStatus::Cancelled);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let third = json!({"name": "p", "concurrency": [{"key": "repo"}], "steps": [command("a", &[], 10)]});
    let third = rig.start(&definition(third)).await;
    assert_eq!(rig.end(third).await, RunStatus::Succeeded);
}

/// What a fork had copied so far could be looked at, and acted on, like a run.
#[tokio::test(start_paused = true)]
async fn d11_whoever_looks_at_a_fork_that_is_being_copied_sees_no_run() {
    let rig = Rig::new();
    let origin = rig.start(&chain(12)).await;
    rig.end(origin).await;
    let key = Hash::of(b"once");
    let run = RunId(uuid::Uuid::new_v5(&origin.0, key.to_string().as_bytes()));
    let request = ForkRequest {
        at: Some(Version(20)),
        dedup: Some(Dedup { key, body: Hash::ZERO, keep: DedupKeep::Week }),
        ..again(origin, OriginKind::Fork)
    };
    rig.store.delay_ms.store(50, std::sync::atomic::Ordering::SeqCst);
    let engine = rig.engine.clone();
    let forking = tokio::spawn(async move { engine.fork(request).await });
    let mut unseen = 0;
    while !forking.is_finished() {
        match rig.engine.with_state(run, |state| state.origin().is_some()).await {
            Ok(is_whole) => assert!(is_whole, "half a history was shown"),
            Err(QueryError::NotFound(_)) => unseen += 1,
            Err(error) => panic!("{error}"),
        }
        let acted = rig.submit(run, InputKind::Note(NoteAdded { text: "hello".into() })).await;
        if let Err(error) = acted {
            assert!(matches!(error, SubmitError::NotFound(_)), "{error}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(unseen > 5, "it was looked at while it was copied");
    assert_eq!(forking.await.unwrap().unwrap().run, run);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

/// The append that gave a slot to the next run was of unknown outcome: the key was read again, and what
/// had been granted by then was reported to no run, so that the run waited until the next start.
#[tokio::test(start_paused = true)]
async fn d9_who_is_granted_a_slot_by_an_append_of_unknown_outcome_is_told() {
    for fault in [Fault::Kept, Fault::Dropped] {
        let rig = Rig::new();
        let document =
            json!({"name": "p", "concurrency": [{"key": "repo"}], "steps": [command("a", &[], 1_000)]});
        let document = definition(document);
        let first = rig.start(&document).await;
        let second = rig.start(&document).await;
        rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
        assert_eq!(rig.status(second).await, RunStatus::Queued);
        rig.store.fail_key(fault);
        assert_eq!(rig.end(first).await, RunStatus::Succeeded);
        assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    }
}

/// A function counted as ended as soon as it was asked to stop: its next attempt began beside it.
#[tokio::test(start_paused = true)]
async fn d5_a_function_has_ended_when_nothing_of_it_is_left() {
    let rig = Rig::new();
    let mut step = function("s", &[], "guarded", json!({}));
    step["timeout"] = json!("5s");
    step["retry"] = json!({"attempts": 4, "only": ["timeout"], "backoff_min": "0s", "backoff_max": "0s"});
    let run = rig.start(&pipeline(vec![step.clone()])).await;
    let other = rig.start(&pipeline(vec![step])).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    rig.submit(other, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    rig.end(run).await;
    rig.end(other).await;
    assert_eq!(rig.machine.peak(), 2, "never two attempts of one step");
    let ended = rig.machine.ended.lock().unwrap().clone();
    assert_eq!(ended, *rig.machine.begun.lock().unwrap(), "each has ended when its run has");
}

/// Two results came at once: the value that the first one's gate asked for was still at hand for the second
/// one, which so went further than it would alone, and than its replay does.
#[tokio::test(start_paused = true)]
async fn h5_each_input_knows_only_what_it_asked_for() {
    let rig = Rig::new();
    let gate = |id: &str| json!([{"id": id, "probe": {"expression": "steps.a.output.text.size() > 5"}}]);
    let (mut one, mut two) = (
        function("one", &["a"], "slow", json!({"ms": 50})),
        function("two", &["a"], "slow", json!({"ms": 50})),
    );
    one["gates"] = gate("g");
    two["gates"] = gate("g");
    let after = function("after", &["one", "two"], "ok", json!({}));
    let run = rig.start(&pipeline(vec![function("a", &[], "big", json!({})), one, two, after])).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
    let envelopes = rig.envelopes(run).await;
    let history = rig.history(run).await;
    let facts: Vec<_> = history
        .iter()
        .zip(&envelopes)
        .filter(|(event, _)| matches!(event, RunEvent::AttemptSucceeded(event) if event.id.path.step.as_str() != "after"))
        .map(|(_, envelope)| envelope.header.cause.input)
        .collect();
    for fact in &facts[1..] {
        let batch = envelopes.iter().filter(|envelope| envelope.header.cause.input == *fact).count();
        assert_eq!(batch, 1, "a verdict waits until what it needs is read");
    }
}
