//! Deliveries of webhooks: what they lead to, and what a crash in between does (L26, L28).

use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::json::Value;
use everfold_core::event::RunEvent;
use everfold_core::hooks::BODY_BYTES_MAX;
use everfold_core::state::RunStatus;
use everfold_core::triggers::Outcome;
use everfold_runtime::HookError;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, command};
use crate::fixtures::trigger_setup::{
    deliver, delivery, intake, only, only_run, outcome, parks, pipeline, record, runs, save, signals, started,
};

#[tokio::test(start_paused = true)]
async fn l28_key_free_starts_key_taken_signals_and_what_does_not_apply_is_ignored() {
    let rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    let first = started(&outcome(&rig, "d1", json!({"n": 1, "kind": "open"})).await);
    let title = rig.engine.with_state(first, |state| state.title().map(str::to_owned)).await.unwrap();
    assert_eq!(title.as_deref(), Some("issue 1 by bob"));
    assert_eq!(rig.envelopes(first).await[0].header.actor, Actor::Hook("forge/bob".into()));
    let second = outcome(&rig, "d2", json!({"n": 1, "kind": "label"})).await;
    assert_eq!(second, Outcome::Kept { signal: "again".into(), runs: vec![first] });
    assert_eq!(signals(&rig, first).await, [("again".into(), Some("forge/d2".into()))]);
    match outcome(&rig, "d3", json!({"n": 1, "kind": "noise"})).await {
        Outcome::Ignored { why } => assert!(why.contains("when"), "{why}"),
        other => panic!("{other:?}"),
    }
    match outcome(&rig, "d4", json!({"n": 1})).await {
        Outcome::Refused { code, message } => {
            assert_eq!(code, "expression");
            assert!(message.contains("kind"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let other = started(&outcome(&rig, "d5", json!({"n": 2, "kind": "open"})).await);
    assert_ne!(other, first);
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    rig.assert_replays(first).await;
    // The key is free again.
    started(&outcome(&rig, "d6", json!({"n": 1, "kind": "open"})).await);
}

#[tokio::test(start_paused = true)]
async fn row_33_a_signal_that_nobody_takes_is_an_outcome_with_its_reason() {
    let mut rig = Rig::new();
    let trigger = |signal: &str, n: u32| {
        let when = format!("event.body.n == {n}");
        json!({"on": {"hook": "forge"}, "when": when, "signal": signal, "to": {"key": "k"}})
    };
    let more = json!({
        "key": {"value": "k"},
        "triggers": [trigger("nobody", 1), trigger("late", 2), trigger("again", 3)],
        "steps": [
            command("work", &[], 60_000),
            {"id": "then", "needs": ["work"], "gates": [{"id": "g", "probe": {"expression": "true"}}],
             "on_signal": {"late": [{"to": "ignore"}]}},
            {"id": "waits", "work": {"wait": {"signal": "again"}}},
        ],
    });
    let p = pipeline("p", 0, more);
    save(&rig, &p).await;
    let run = rig.engine.start(crate::fixtures::test_engine::request(&p, json!({}))).await.unwrap().run;
    let why = |outcomes: Vec<everfold_core::hooks::TriggerOutcome>, n: usize| match &outcomes[n].outcome {
        Outcome::Ignored { why } => why.clone(),
        other => panic!("{other:?}"),
    };
    let first = deliver(&rig, "d1", json!({"n": 1})).await.outcome.await.unwrap();
    assert!(why(first, 0).contains("listens to “nobody”"));
    let second = deliver(&rig, "d2", json!({"n": 2})).await.outcome.await.unwrap();
    assert!(why(second, 1).contains("takes “late” now"));
    let third = deliver(&rig, "d3", json!({"n": 3})).await.outcome.await.unwrap();
    assert_eq!(third[2].outcome, Outcome::Signalled { signal: "again".into(), runs: vec![run] });
    // It is recorded all the same, with the sender of the delivery.
    let envelopes = rig.envelopes(run).await;
    let actors: Vec<_> = envelopes
        .iter()
        .filter(|event| RunEvent::name_of(event.header.kind) == Some("SignalReceived"))
        .map(|event| event.header.actor.to_string())
        .collect();
    assert_eq!(actors, ["hook:forge/bob"; 3]);
    // The same deliveries lead to the same after a crash.
    rig.crash().await;
    rig.recover().await;
    let again = deliver(&rig, "d1", json!({"n": 1})).await.outcome.await.unwrap();
    assert!(why(again, 0).contains("listens to “nobody”"));
}

/// They were all reported as `signalled`.
#[tokio::test(start_paused = true)]
async fn row_31_what_a_route_makes_of_a_signal_is_what_the_delivery_led_to() {
    let mut rig = Rig::new();
    let signals = ["ignored", "unless", "over", "later", "kept", "now"];
    let trigger = |signal: &&str| {
        let when = format!("event.body.signal == '{signal}'");
        json!({"on": {"hook": "forge"}, "when": when, "signal": signal, "to": {"key": "k"}})
    };
    let triggers: Vec<Value> = signals.iter().map(trigger).collect();
    let mut work = command("work", &[], 3_600_000);
    work["on_signal"] = json!({
        "ignored": [{"to": "ignore"}],
        "unless": [{"when": "signal.body.signal != 'unless'", "to": "block"}],
        "over": [{"to": {"rework": "work"}, "busy": "interrupt", "max": {"times": 0}, "then": {"to": "continue"}}],
        "later": [{"to": {"rework": "work"}, "busy": "defer"}],
    });
    let never = json!({"id": "never", "when": "false", "work": {"wait": {"signal": "kept"}}});
    let waits = json!({"id": "waits", "work": {"wait": {"signal": "now"}}});
    let more = json!({"key": {"value": "k"}, "triggers": triggers, "steps": [work, never, waits]});
    let p = pipeline("p", 0, more);
    save(&rig, &p).await;
    let run = rig.engine.start(crate::fixtures::test_engine::request(&p, json!({}))).await.unwrap().run;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let mut led = Vec::new();
    for signal in signals {
        let outcomes = deliver(&rig, signal, json!({"signal": signal})).await.outcome.await.unwrap();
        let one = outcomes
            .iter()
            .find(|one| !matches!(&one.outcome, Outcome::Ignored { why } if why.contains("`when`")));
        led.push(one.map(|one| one.outcome.clone()).unwrap());
    }
    let words: Vec<&str> = led.iter().map(Outcome::word).collect();
    assert_eq!(words, ["ignored", "ignored", "ignored", "deferred", "kept", "signalled"], "{led:?}");
    for (outcome, part) in [(&led[0], "step work"), (&led[1], "conditions"), (&led[2], "step work")] {
        assert!(matches!(outcome, Outcome::Ignored { why } if why.contains(part)), "{outcome:?}");
    }
    // Another engine gives the same answer.
    rig.crash().await;
    rig.recover().await;
    for (signal, outcome) in signals.iter().zip(&led) {
        let again = deliver(&rig, signal, json!({"signal": signal})).await.outcome.await.unwrap();
        assert!(again.iter().any(|one| one.outcome == *outcome), "{signal}: {again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn l28_a_repeat_gets_the_first_outcome_and_a_redelivery_by_hand_another_one() {
    let rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    let body = json!({"n": 1, "kind": "open"});
    let first = deliver(&rig, "d1", body.clone()).await;
    let run = started(&only(first).await);
    let again = deliver(&rig, "d1", json!({"n": 9})).await;
    assert!(again.repeated);
    assert_eq!(started(&only(again).await), run);
    assert_eq!(runs(&rig).await, 1);
    rig.end(run).await;
    let found = record(&rig, "d1").await;
    let by_hand = rig.engine.redeliver(&found, Actor::User("ada".into())).await.unwrap();
    let second = started(&only(by_hand).await);
    assert_ne!(second, run);
    let found = record(&rig, "d1").await;
    let times: Vec<(u32, Option<Actor>)> =
        found.handled.iter().map(|handling| (handling.nth, handling.by.clone())).collect();
    assert_eq!(times, [(1, None), (2, Some(Actor::User("ada".into())))]);
    let behind = |run| rig.engine.with_state(run, |state| state.initiator().cloned());
    assert_eq!(behind(run).await.unwrap(), None, "its source says who its sender is");
    assert_eq!(behind(second).await.unwrap(), Some(Actor::User("ada".into())));
}

/// Whoever submitted a delivery in the name of another sender could decide what its run asks in spite of
/// `self_approval: false`.
#[tokio::test(start_paused = true)]
async fn who_submits_a_delivery_by_hand_is_behind_the_run_that_it_starts() {
    let rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    let eve = Actor::User("eve".into());
    let body = json!({"n": 1, "kind": "open"});
    let run = started(
        &only(rig.engine.deliver_by("forge", delivery("d1", body), eve.clone()).await.unwrap()).await,
    );
    let people = rig
        .engine
        .with_state(run, |state| (state.started().map(|(by, _)| by.clone()), state.initiator().cloned()));
    assert_eq!(people.await.unwrap(), (Some(Actor::Hook("forge/bob".into())), Some(eve.clone())));
    let found = record(&rig, "d1").await;
    assert_eq!(found.handled[0].by, Some(eve));
}

#[tokio::test(start_paused = true)]
async fn l28_what_cannot_be_a_delivery_is_refused_and_nothing_is_stored() {
    use everfold_store::EventStore as _;
    let rig = Rig::new();
    let before = rig.store.inner.last_position();
    let large = delivery("d", json!("x".repeat(BODY_BYTES_MAX)));
    let error = rig.engine.deliver("forge", large).await.unwrap_err();
    assert!(matches!(error, HookError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("1048576"), "{error}");
    for (source, id) in [("Forge", "d"), ("", "d"), ("forge", ""), ("forge", "a\nb")] {
        assert!(rig.engine.deliver(source, delivery(id, json!(1))).await.is_err(), "{source} {id}");
    }
    assert_eq!(rig.store.inner.last_position(), before);
    // A source without a trigger keeps its deliveries, and nothing follows.
    let receipt = deliver(&rig, "d", json!({})).await;
    assert_eq!(receipt.outcome.await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn l26_l28_a_parked_signal_reaches_the_run_that_comes_for_it() {
    let rig = Rig::new();
    let trigger = json!({
        "on": {"hook": "forge"}, "signal": "ci", "to": {"key": "issue-${event.body.n}"}, "park": true,
    });
    let p = pipeline("p", 5_000, json!({"key": {"value": "issue-${input.n}"}, "triggers": [trigger]}));
    save(&rig, &p).await;
    assert_eq!(outcome(&rig, "d1", json!({"n": 7})).await.word(), "parked");
    let other =
        rig.engine.start(crate::fixtures::test_engine::request(&p, json!({"n": 8}))).await.unwrap().run;
    let run = rig.engine.start(crate::fixtures::test_engine::request(&p, json!({"n": 7}))).await.unwrap().run;
    rig.until(run, |event| matches!(event, RunEvent::SignalReceived(_))).await;
    assert_eq!(signals(&rig, run).await, [("ci".into(), Some("forge/d1".into()))]);
    assert_eq!(signals(&rig, other).await, []);
    let settled = loop {
        let outcome = record(&rig, "d1").await.outcomes().remove(0).outcome;
        if outcome.word() != "parked" {
            break outcome;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(settled, Outcome::Kept { signal: "ci".into(), runs: vec![run] });
}

#[tokio::test(start_paused = true)]
async fn l28_a_parked_signal_outlives_a_crash_and_is_given_up_after_seven_days() {
    let mut rig = Rig::new();
    let trigger = json!({
        "on": {"hook": "forge"}, "signal": "ci", "to": {"key": "${event.body.k}"}, "park": true,
    });
    let p = pipeline("p", 5_000, json!({"key": {"value": "${input.n}"}, "triggers": [trigger]}));
    save(&rig, &p).await;
    assert_eq!(outcome(&rig, "d1", json!({"k": "a"})).await.word(), "parked");
    assert_eq!(outcome(&rig, "d2", json!({"k": "b"})).await.word(), "parked");
    rig.crash().await;
    rig.recover().await;
    let run =
        rig.engine.start(crate::fixtures::test_engine::request(&p, json!({"n": "a"}))).await.unwrap().run;
    rig.until(run, |event| matches!(event, RunEvent::SignalReceived(_))).await;
    tokio::time::sleep(Duration::from_secs(7 * 86_400)).await;
    loop {
        rig.engine.look_at_clock().await;
        match record(&rig, "d2").await.outcomes().remove(0).outcome {
            Outcome::Ignored { why } => {
                assert!(why.contains("7 days"), "{why}");
                break;
            }
            Outcome::Parked { .. } => tokio::time::sleep(Duration::from_secs(1)).await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l28_a_crash_between_the_delivery_and_its_outcome_does_nothing_twice() {
    for steps in 0..40 {
        let mut rig = Rig::new();
        save(&rig, &intake(1_000)).await;
        let first = started(&outcome(&rig, "d0", json!({"n": 1, "kind": "open"})).await);
        let engine = rig.engine.clone();
        let (one, other) = (json!({"n": 1, "kind": "label"}), json!({"n": 2, "kind": "open"}));
        let task = tokio::spawn(async move {
            let _crashed = engine.deliver("forge", delivery("d1", one)).await;
            let _crashed = engine.deliver("forge", delivery("d2", other)).await;
        });
        for _step in 0..steps {
            tokio::task::yield_now().await;
        }
        task.abort();
        rig.crash().await;
        rig.recover().await;
        // Its sender has no answer and sends it again.
        let found = outcome(&rig, "d1", json!({"n": 1, "kind": "label"})).await;
        assert_eq!(found, Outcome::Kept { signal: "again".into(), runs: vec![first] }, "{steps}");
        started(&outcome(&rig, "d2", json!({"n": 2, "kind": "open"})).await);
        assert_eq!(signals(&rig, first).await.len(), 1, "{steps}");
        assert_eq!(runs(&rig).await, 2, "{steps}");
        assert_eq!(rig.engine.deliveries("forge", None, 100).await.unwrap().len(), 3, "{steps}");
    }
}

#[tokio::test(start_paused = true)]
async fn l28_the_newest_saved_version_counts() {
    let rig = Rig::new();
    save(&rig, &intake(10)).await;
    started(&outcome(&rig, "d1", json!({"n": 1, "kind": "open"})).await);
    save(&rig, &pipeline("intake", 10, json!({}))).await;
    let receipt = deliver(&rig, "d2", json!({"n": 2, "kind": "open"})).await;
    assert_eq!(receipt.outcome.await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn l28_a_delivery_whose_run_began_before_a_crash_started_it_whatever_its_trigger_says_since() {
    let mut rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    outcome(&rig, "d0", json!({"kind": "noise"})).await;
    rig.store.fail_next(crate::fixtures::slow_store::Fault::Kept);
    deliver(&rig, "d1", json!({"n": 1, "kind": "open"})).await;
    while runs(&rig).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.crash().await;
    let never = json!({"on": {"hook": "forge"}, "when": "false", "start": {"input": {"n": 1}}});
    save(&rig, &pipeline("intake", 1_000, json!({"triggers": [never]}))).await;
    rig.recover().await;
    while record(&rig, "d1").await.handled.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let outcomes = record(&rig, "d1").await.outcomes();
    assert_eq!(outcomes[0].outcome, Outcome::Started { run: only_run(&rig).await });
}

/// A source could not be read at the start, and what waited in it waited for the next delivery or start.
#[tokio::test(start_paused = true)]
async fn l28_a_source_that_cannot_be_read_at_a_start_is_looked_at_again_by_itself() {
    let mut rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    outcome(&rig, "d0", json!({"kind": "noise"})).await;
    // It is durable, and cannot be handled at first.
    rig.store.reads_to_fail.store(1, std::sync::atomic::Ordering::SeqCst);
    deliver(&rig, "d1", json!({"n": 1, "kind": "open"})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.crash().await;
    assert_eq!(runs(&rig).await, 0);
    rig.store.reads_to_fail.store(2, std::sync::atomic::Ordering::SeqCst);
    rig.recover().await;
    let begins = async {
        while runs(&rig).await == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), begins).await.expect("its run begins");
    assert_eq!(rig.store.reads_to_fail.load(std::sync::atomic::Ordering::SeqCst), 0, "it failed meanwhile");
}

/// An owner without a server and without deliveries offered nothing.
#[tokio::test(start_paused = true)]
async fn l28_a_parked_signal_reaches_a_run_of_an_owner_that_does_nothing_else() {
    let mut rig = Rig::new();
    save(&rig, &parks()).await;
    assert_eq!(outcome(&rig, "d1", json!({"n": 7})).await.word(), "parked");
    rig.crash().await;
    // Nothing is recovered: one run is started in the foreground.
    let run =
        rig.engine.start(crate::fixtures::test_engine::request(&parks(), json!({"n": 7}))).await.unwrap().run;
    rig.until(run, |event| matches!(event, RunEvent::SignalReceived(_))).await;
    assert_eq!(signals(&rig, run).await, [("ci".into(), Some("forge/d1".into()))]);
    // One that goes on with a single run does so, too.
    assert_eq!(outcome(&rig, "d2", json!({"n": 8})).await.word(), "parked");
    let other =
        rig.engine.start(crate::fixtures::test_engine::request(&parks(), json!({"n": 8}))).await.unwrap().run;
    rig.crash().await;
    rig.engine.recover(everfold_runtime::Which::Only(other)).await.unwrap();
    rig.until(other, |event| matches!(event, RunEvent::SignalReceived(_))).await;
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_a_route_refuses_is_an_outcome_with_the_routes_reason() {
    let mut rig = Rig::new();
    let trigger = json!({"on": {"hook": "forge"}, "signal": "approved", "to": {"key": "k"}});
    let mut work = command("work", &[], 3_600_000);
    work["on_signal"] = json!({"approved": [
        {"when": "signal.body.n == 2", "to": "approve"},
        {"to": {"refuse": "the analyst is still at work on ${run.title}"}},
    ]});
    let more = json!({"key": {"value": "k"}, "triggers": [trigger], "steps": [work]});
    let p = pipeline("p", 0, more);
    save(&rig, &p).await;
    rig.engine.start(crate::fixtures::test_engine::request(&p, json!({}))).await.unwrap();
    let refused = outcome(&rig, "d1", json!({"n": 1})).await;
    match &refused {
        Outcome::Refused { code, message } => {
            assert_eq!(code, "signal_refused");
            assert!(message.starts_with("the analyst is still at work"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    rig.crash().await;
    rig.recover().await;
    assert_eq!(outcome(&rig, "d1", json!({"n": 1})).await, refused, "another engine gives the same answer");
}
