//! Regressions that the simulation found; each header says what went wrong.

use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::driver::{ForkRequest, StartError};
use everfold_engine::event::{HaltScope, OriginKind, RunEvent};
use everfold_engine::halts::Wanted;
use everfold_engine::input::InputKind;
use everfold_engine::json::JsonText;
use everfold_engine::state::RunStatus;
use everfold_engine::store::EventStore as _;
use serde_json::json;

use crate::rig::{Rig, command, definition, function, pipeline};
use crate::watched::Fault;

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
    rig.submit(second, InputKind::Cancel { reason: None }).await.unwrap();
    assert_eq!(rig.end(second).await, RunStatus::Cancelled);
    let stopped = rig.machine.cancels.lock().unwrap().iter().any(|id| id.run == second);
    assert!(stopped, "its process was not asked to end");
    assert_eq!(rig.machine.ended.lock().unwrap().len(), 1);
}

/// A signal decided how a halted run ends; when the halt was over, the run was not told, because runs that
/// are ending are not halted, and its `on_finish` never began.
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
    rig.engine.halt(Wanted::Halt, HaltScope::Engine, None, ada()).await.unwrap();
    let signal = InputKind::Signal { name: "stop".into(), payload: JsonText::null(), delivery: None };
    rig.submit(run, signal).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.status(run).await, RunStatus::Paused);
    rig.engine.halt(Wanted::Release, HaltScope::Engine, None, ada()).await.unwrap();
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
    let request = ForkRequest {
        origin,
        how: OriginKind::Restart,
        at: None,
        from_step: Some("tidy".into()),
        input: None,
        title: None,
        until_step: None,
        actor: Actor::User("ada".into()),
        dedup: None,
    };
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
        rig.engine.halt(Wanted::Halt, HaltScope::Engine, None, ada()).await.unwrap_err();
        rig.engine.halt(Wanted::Halt, HaltScope::Engine, None, ada()).await.unwrap();
        assert_eq!(rig.status(run).await, RunStatus::Paused);
        rig.engine.halt(Wanted::Release, HaltScope::Engine, None, ada()).await.unwrap();
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
    let restart = ForkRequest {
        origin,
        how: OriginKind::Restart,
        at: None,
        from_step: Some("a".into()),
        until_step: None,
        input: None,
        title: None,
        actor: Actor::User("ada".into()),
        dedup: None,
    };
    let second = rig.engine.fork(restart).await.unwrap().run;
    rig.submit(second, InputKind::Cancel { reason: None }).await.unwrap();
    assert_eq!(rig.end(second).await, RunStatus::Cancelled);
    assert_eq!(rig.end(origin).await, RunStatus::Cancelled);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let third = json!({"name": "p", "concurrency": [{"key": "repo"}], "steps": [command("a", &[], 10)]});
    let third = rig.start(&definition(third)).await;
    assert_eq!(rig.end(third).await, RunStatus::Succeeded);
}
