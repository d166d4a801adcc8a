//! L28: what comes for a key while the run that has it is about to end, or only looks at what would be.

use std::sync::Arc;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::id::{RunId, Version};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::event::{CancelRequested, OriginKind, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_core::triggers::Outcome;
use everfold_language::definition::Definition;
use everfold_ports::FoundRun;
use everfold_runtime::{ForkRequest, Submission};
use serde_json::json;

use crate::fixtures::fork_requests::{again, restart};
use crate::fixtures::listed_runs::ListedRuns;
use crate::fixtures::slot_setup::start;
use crate::fixtures::test_engine::{Rig, command, definition};
use crate::fixtures::trigger_setup::{outcome, pass, record, runs, save, signals, started};

/// A run per key that works, waits for the signal `merged`, and tidies up for a while.
fn keyed(trigger: Value, finish: Value) -> Arc<Definition> {
    let mut trigger = trigger;
    trigger["on"] = json!({"hook": "forge"});
    definition(json!({
        "name": "p", "key": {"value": "issue-${input.n}"}, "labels": {"issue": "${input.n}"}, "triggers": [trigger],
        "steps": [
            command("work", &[], 1_000),
            {"id": "merged", "needs": ["work"], "work": {"wait": {"signal": "merged"}}},
        ],
        "on_finish": [finish],
    }))
}

fn signal(park: bool) -> Value {
    json!({"signal": "merged", "to": {"key": "issue-${event.body.n}"}, "park": park})
}

fn tidy() -> Value {
    command("tidy", &[], 5_000)
}

async fn cancel(rig: &Rig, run: RunId) {
    let kind = InputKind::Cancel(CancelRequested { reason: None });
    let actor = Actor::User("ada".into());
    rig.engine.submit(Submission { run, kind, actor, id: None, dedup: None }).await.unwrap();
}

/// A run of the key that was cancelled and tidies up.
async fn ending(rig: &Rig, definition: &Arc<Definition>) -> RunId {
    let run = start(rig, definition, json!({"n": 7})).await.run;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    cancel(rig, run).await;
    rig.until(
        run,
        |event| matches!(event, RunEvent::AttemptStarted(id) if id.id.path.step.as_str() == "tidy"),
    )
    .await;
    run
}

async fn settled(rig: &Rig, delivery: &str) -> Outcome {
    loop {
        let outcome = record(rig, delivery).await.outcomes().remove(0).outcome;
        if !matches!(outcome, Outcome::Parked { .. } | Outcome::StartParked { .. }) {
            return outcome;
        }
        pass(rig, 1).await;
    }
}

/// A run of the key whose steps have succeeded, and that tidies up.
async fn succeeding(rig: &Rig, definition: &Arc<Definition>) -> RunId {
    let run = start(rig, definition, json!({"n": 7})).await.run;
    assert_eq!(outcome(rig, "d0", json!({"n": 7})).await.runs(), [run]);
    rig.until(
        run,
        |event| matches!(event, RunEvent::AttemptStarted(id) if id.id.path.step.as_str() == "tidy"),
    )
    .await;
    run
}

/// The run that was about to end kept it for a step that could not begin any more.
#[tokio::test(start_paused = true)]
async fn l28_a_signal_for_a_key_whose_run_is_about_to_end_waits_for_the_next_one() {
    for end in [RunStatus::Cancelled, RunStatus::Succeeded] {
        next_hears_it(end).await;
    }
}

async fn next_hears_it(end: RunStatus) {
    let rig = Rig::new();
    let p = keyed(signal(true), tidy());
    save(&rig, &p).await;
    let last = match end {
        RunStatus::Cancelled => ending(&rig, &p).await,
        _succeeded => succeeding(&rig, &p).await,
    };
    let heard = signals(&rig, last).await;
    assert_eq!(outcome(&rig, "d1", json!({"n": 7})).await.word(), "parked");
    assert_eq!(rig.end(last).await, end);
    let next = loop {
        let started = start(&rig, &p, json!({"n": 7})).await;
        if !started.held {
            break started.run;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(rig.end(next).await, RunStatus::Succeeded, "the signal reached it");
    assert_eq!(signals(&rig, last).await, heard);
    assert_eq!(settled(&rig, "d1").await.runs(), [next]);
}

#[tokio::test(start_paused = true)]
async fn l28_a_signal_for_a_key_whose_run_is_being_restarted_goes_to_the_new_run() {
    let rig = Rig::new();
    let p = keyed(signal(true), tidy());
    save(&rig, &p).await;
    let origin = start(&rig, &p, json!({"n": 7})).await.run;
    rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let next = rig.engine.fork(restart(origin, "work")).await.unwrap().run;
    assert_eq!(
        outcome(&rig, "d1", json!({"n": 7})).await,
        Outcome::Kept { signal: "merged".into(), runs: vec![next] }
    );
    assert_eq!(rig.engine.holder("issue-7").await.unwrap(), Some(next));
    assert_eq!(rig.end(next).await, RunStatus::Succeeded);
    assert_eq!(rig.status(origin).await, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn l28_what_tidies_up_hears_signals_and_a_signal_that_may_not_wait_is_ignored_with_the_reason() {
    let rig = Rig::new();
    let hears = json!({"id": "tidy", "needs": [], "work": {"wait": {"signal": "merged"}}});
    let p = keyed(signal(true), hears);
    save(&rig, &p).await;
    let run = start(&rig, &p, json!({"n": 7})).await.run;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    cancel(&rig, run).await;
    assert!(matches!(outcome(&rig, "d1", json!({"n": 7})).await.word(), "signalled" | "kept"));
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);

    let rig = Rig::new();
    let p = keyed(signal(false), tidy());
    save(&rig, &p).await;
    ending(&rig, &p).await;
    match outcome(&rig, "d1", json!({"n": 7})).await {
        Outcome::Ignored { why } => assert!(why.contains("about to end"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn l28_a_start_that_may_wait_begins_behind_a_run_that_is_about_to_end() {
    let begins = |park: bool| json!({"start": {"input": {"n": "${event.body.n}"}, "park": park}});
    for with_signal in [false, true] {
        let rig = Rig::new();
        let mut trigger = begins(true);
        if with_signal {
            trigger["signal"] = json!("merged");
        }
        let p = keyed(trigger, tidy());
        save(&rig, &p).await;
        let last = ending(&rig, &p).await;
        match outcome(&rig, "d1", json!({"n": 7})).await {
            Outcome::StartParked { why } => assert!(why.contains("about to end"), "{why}"),
            other => panic!("{other:?}"),
        }
        rig.end(last).await;
        let next = started(&settled(&rig, "d1").await);
        assert_ne!(next, last);
        assert_eq!(runs(&rig).await, 2);
    }
    // One that may not wait is answered with the run that has the key to its end, as over REST.
    let rig = Rig::new();
    let p = keyed(begins(false), tidy());
    save(&rig, &p).await;
    let last = ending(&rig, &p).await;
    assert_eq!(outcome(&rig, "d1", json!({"n": 7})).await, Outcome::Held { run: last });
    let held = start(&rig, &p, json!({"n": 7})).await;
    assert_eq!((held.run, held.held), (last, true));
}

/// A what-if fork has the labels of its origin: it took a parked signal that the retry of the origin was to get.
#[tokio::test(start_paused = true)]
async fn l28_a_signal_that_may_wait_is_not_taken_by_a_fork_that_does_not_act_outside() {
    let mut rig = Rig::new();
    let found = Arc::new(ListedRuns::default());
    *rig.machine.listed.lock().unwrap() = Some(Arc::clone(&found));
    rig.crash().await;
    rig.recover().await;
    let by_label = json!({"signal": "merged", "to": {"labels": {"issue": "${event.body.n}"}}, "park": true});
    let p = keyed(by_label, command("tidy", &[], 10));
    save(&rig, &p).await;
    let listed = |run: RunId| FoundRun {
        run,
        pipeline: "p".into(),
        title: None,
        labels: [("issue".to_owned(), "7".to_owned())].into(),
        status: RunStatus::Waiting,
        started_at: Timestamp(0),
    };
    let origin = start(&rig, &p, json!({"n": 7})).await.run;
    rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let fork = ForkRequest { at: Some(Version(1)), live: false, ..again(origin, OriginKind::Fork) };
    let fork = rig.engine.fork(fork).await.unwrap().run;
    cancel(&rig, origin).await;
    assert_eq!(rig.end(origin).await, RunStatus::Cancelled);
    *found.0.lock().unwrap() = vec![listed(fork)];
    assert_eq!(outcome(&rig, "d1", json!({"n": 7})).await.word(), "parked");
    let retried = rig.engine.fork(restart(origin, "work")).await.unwrap().run;
    *found.0.lock().unwrap() = vec![listed(fork), listed(retried)];
    assert_eq!(rig.end(retried).await, RunStatus::Succeeded, "the signal reached it");
    let mut receivers = settled(&rig, "d1").await.runs();
    receivers.sort();
    let mut both = vec![fork, retried];
    both.sort();
    assert_eq!(receivers, both, "a fork gets it beside a run that acts");
}
