//! Workers that wait take attempts in the append that schedules them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::id::RunId;
use everfold_core::event::RunEvent;
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use serde_json::{Value, json};

use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, pipeline};

fn elsewhere(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "elsewhere", "spec": {}}}})
}

fn three() -> std::sync::Arc<Definition> {
    pipeline(vec![elsewhere("a", &[]), elsewhere("b", &["a"]), elsewhere("c", &["b"])])
}

fn appends(rig: &Rig) -> usize {
    rig.store.appends.load(Ordering::SeqCst)
}

/// Each attempt was given once, each by the lease that its run records, and no reservation is left.
async fn assert_given_once(rig: &Rig, run: RunId) {
    let holders = rig.history(run).await.into_iter().filter_map(|event| match event {
        RunEvent::AttemptStarted(event) => Some((event.id, event.holder.expect("a worker takes it").lease)),
        _other => None,
    });
    let recorded: Vec<_> = holders.collect();
    let given = rig.machine.workers.given.lock().unwrap().clone();
    let given: Vec<_> = given.into_iter().map(|(id, _)| id.attempt).collect();
    assert_eq!(recorded.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), given);
    assert_eq!(rig.machine.workers.reserved.load(Ordering::SeqCst), 0, "each reservation is let go");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_waits_takes_an_attempt_in_the_append_that_schedules_it_and_gets_it_when_that_is_durable()
 {
    for (waits, expected) in [(false, 7), (true, 4)] {
        let rig = Rig::new();
        rig.machine.workers.wait.store(waits, Ordering::SeqCst);
        let run = rig.start(&three()).await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        assert_eq!(appends(&rig), expected, "{:?}", rig.names(run).await);
        assert_given_once(&rig, run).await;
        let given = rig.machine.workers.given.lock().unwrap().clone();
        assert!(given.iter().all(|(_, lease)| lease.is_some() == waits), "{given:?}");
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_given_once_whatever_comes_of_the_append_that_names_its_worker() {
    for fault in [Fault::Kept, Fault::Dropped, Fault::Full] {
        for struck in ["a", "b", "c"] {
            let rig = Rig::new();
            rig.machine.workers.wait.store(true, Ordering::SeqCst);
            let run = rig.start(&three()).await;
            let began = |event: &RunEvent| matches!(event, RunEvent::AttemptStarted(event) if event.id.path.step.as_str() == struck);
            rig.until(run, began).await;
            // Its end is appended next, with the schedule and the worker of the step behind it.
            rig.store.fail_next(fault);
            assert_eq!(rig.end(run).await, RunStatus::Succeeded, "{struck}");
            assert_given_once(&rig, run).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_that_append_is_durable_gives_nobody_the_attempt_and_one_behind_it_leaves_it_with_its_worker()
 {
    for fault in [Fault::Kept, Fault::Dropped] {
        let mut rig = Rig::new();
        rig.machine.workers.wait.store(true, Ordering::SeqCst);
        let run = rig.start(&three()).await;
        rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
        rig.store.delay_ms.store(50, Ordering::SeqCst);
        rig.store.fail_next(fault);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(rig.machine.workers.given.lock().unwrap().len(), 1, "the second is not durable");
        rig.crash().await;
        rig.recover().await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        assert_eq!(rig.machine.workers.reserved.load(Ordering::SeqCst), 0);
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_for_a_place_or_whose_run_is_paused_is_taken_when_it_may_begin() {
    let rig = Rig::with(|config| config.elsewhere_max = 1);
    rig.machine.workers.wait.store(true, Ordering::SeqCst);
    let side_by_side = pipeline(vec![elsewhere("a", &[]), elsewhere("b", &[]), elsewhere("c", &["b"])]);
    let run = rig.start(&side_by_side).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_given_once(&rig, run).await;
    let leases = |rig: &Rig| {
        rig.machine.workers.given.lock().unwrap().iter().filter(|(_, lease)| lease.is_some()).count()
    };
    assert!((1..3).contains(&leases(&rig)), "the one without a place takes the other way");
}
