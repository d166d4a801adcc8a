//! Moments: to the millisecond, in memory or not.

use std::time::Duration;

use everfold_core::event::{OriginKind, RunEvent};
use everfold_core::state::RunStatus;
use everfold_system::clock::Stopwatch;
use futures::future::join_all;
use serde_json::json;

use crate::fixtures::fork_requests::{again, restart};
use crate::fixtures::test_engine::{Rig, function, pipeline, request};

fn waits(span: &str) -> std::sync::Arc<everfold_language::definition::Definition> {
    pipeline(vec![json!({"id": "pause", "work": {"wait": {"for": span}}})])
}

async fn lateness(rig: &Rig, run: everfold_base::id::RunId) -> Duration {
    let envelopes = rig.envelopes(run).await;
    let fired = rig.history(run).await.iter().zip(&envelopes).find_map(|(event, envelope)| match event {
        RunEvent::TimerFired(event) => Some(envelope.header.recorded_at.since(event.due)),
        _ => None,
    });
    fired.expect("it fired")
}

#[tokio::test(start_paused = true)]
async fn a_timer_fires_to_the_millisecond() {
    let rig = Rig::new();
    for span in ["1ms", "250ms", "30s", "2h", "7d"] {
        let run = rig.start(&waits(span)).await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        assert!(lateness(&rig, run).await <= Duration::from_millis(2), "{span}");
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_left_memory_wakes_in_time() {
    let rig = Rig::with(|config| config.states = 1);
    rig.recover().await;
    let definition = waits("1h");
    let starts = join_all((0..50).map(|_| rig.engine.start(request(&definition, json!({}))))).await;
    let runs: Vec<_> = starts.into_iter().map(|started| started.unwrap().run).collect();
    for run in runs {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        assert!(lateness(&rig, run).await <= Duration::from_millis(50));
    }
}

#[tokio::test(start_paused = true)]
async fn without_anyone_to_wake_them_runs_with_timers_stay_in_memory() {
    let rig = Rig::with(|config| config.states = 1);
    let definition = waits("1h");
    let starts = join_all((0..20).map(|_| rig.engine.start(request(&definition, json!({}))))).await;
    for started in starts {
        assert_eq!(rig.end(started.unwrap().run).await, RunStatus::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_came_due_while_down_fires_at_once() {
    let mut rig = Rig::new();
    let run = rig.start(&waits("10s")).await;
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(rig.recover().await, 1);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let late = lateness(&rig, run).await;
    assert!(late < Duration::from_secs(3_592), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_is_not_due_at_the_start_fires_later() {
    let mut rig = Rig::new();
    let run = rig.start(&waits("1h")).await;
    rig.crash().await;
    assert_eq!(rig.recover().await, 0, "only runs that are busy or due are read");
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert!(lateness(&rig, run).await <= Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_reminder_comes_after_120_minutes_and_once_though_the_engine_went_down_before_and_behind_it() {
    let reminders = |names: &[&str]| names.iter().filter(|name| **name == "TimerFired").count();
    let mut rig = Rig::new();
    let ask = json!({"id": "ask", "work": {"approval": {"title": "Go?", "remind": {"first": "2h"}}}});
    let run = rig.start(&pipeline(vec![ask])).await;
    rig.crash().await;
    rig.recover().await;
    tokio::time::sleep(Duration::from_secs(2 * 3_600 - 1)).await;
    assert_eq!(reminders(&rig.names(run).await), 0, "119:59");
    rig.until(run, |event| matches!(event, RunEvent::TimerFired(_))).await;
    assert!(lateness(&rig, run).await <= Duration::from_millis(50), "120:00");
    rig.crash().await;
    rig.recover().await;
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(reminders(&rig.names(run).await), 1);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_from_a_run_that_waits_has_what_is_left_now() {
    let rig = Rig::new();
    let pause = json!({"id": "pause", "needs": [], "work": {"wait": {"for": "60s"}}});
    let origin = rig.start(&pipeline(vec![pause, function("work", &[], "slow", json!({"ms": 5}))])).await;
    rig.until(origin, |event| matches!(event, RunEvent::StepSucceeded(_))).await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let since = Stopwatch::start();
    let fork = rig.engine.fork(again(origin, OriginKind::Fork)).await.unwrap().run;
    let restart = rig.engine.fork(restart(origin, "work")).await.unwrap().run;
    for run in [fork, restart] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        let took = since.elapsed();
        assert!(took <= Duration::from_secs(21), "it had waited for 40 s of 60: {took:?}");
        rig.assert_replays(run).await;
    }
}
