//! L26, L28, T: what deliveries and moments lead to, and what a crash in between does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::definition::{Definition, Schedule};
use everfold_engine::driver::{DeliveryRecord, HookError, NewSchedule, Receipt, ScheduleError};
use everfold_engine::envelope::StreamKind;
use everfold_engine::event::RunEvent;
use everfold_engine::hooks::{BODY_BYTES_MAX, DeliveryReceived};
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::{JsonText, Value};
use everfold_engine::schedules::ScheduleOrigin;
use everfold_engine::state::RunStatus;
use everfold_engine::triggers::Outcome;
use serde_json::json;

use crate::rig::{Rig, command, definition};

/// Its runs keep the signals `again` and `ci`, for steps that never come to wait for them.
pub fn pipeline(name: &str, ms: u64, more: Value) -> Arc<Definition> {
    let never =
        |id: &str, signal: &str| json!({"id": id, "when": "false", "work": {"wait": {"signal": signal}}});
    let steps = json!([command("work", &[], ms), never("once-more", "again"), never("checked", "ci")]);
    let mut document = json!({ "name": name, "steps": steps });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition(document)
}

pub async fn save(rig: &Rig, definition: &Arc<Definition>) {
    rig.engine.save_pipeline(definition, None, Actor::User("ada".into())).await.unwrap();
}

pub fn delivery(id: &str, body: Value) -> DeliveryReceived {
    DeliveryReceived {
        id: id.to_owned(),
        name: None,
        sender: Some("bob".to_owned()),
        headers: BTreeMap::new(),
        body: JsonText::new(&body),
        about: JsonText::null(),
    }
}

pub async fn deliver(rig: &Rig, id: &str, body: Value) -> Receipt {
    rig.engine.deliver("forge", delivery(id, body)).await.unwrap()
}

/// What a delivery led to by the one trigger there is.
pub async fn outcome(rig: &Rig, id: &str, body: Value) -> Outcome {
    only(deliver(rig, id, body).await).await
}

async fn only(receipt: Receipt) -> Outcome {
    let mut outcomes = receipt.outcome.await.unwrap();
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    outcomes.remove(0).outcome
}

async fn record(rig: &Rig, id: &str) -> DeliveryRecord {
    rig.engine.delivery(None, id).await.unwrap().0
}

pub fn started(outcome: &Outcome) -> RunId {
    match outcome {
        Outcome::Started { run } => *run,
        other => panic!("{other:?}"),
    }
}

/// A run per issue; a second delivery is a signal to it.
pub fn intake(ms: u64) -> Arc<Definition> {
    let trigger = json!({
        "on": {"hook": "forge"}, "when": "event.body.kind != 'noise'",
        "start": {"input": {"n": "${event.body.n}"}, "title": "issue ${event.body.n} by ${actor}"},
        "signal": "again", "payload": "${event.body}",
    });
    pipeline("intake", ms, json!({"key": {"value": "issue-${input.n}"}, "triggers": [trigger]}))
}

pub async fn signals(rig: &Rig, run: RunId) -> Vec<(String, Option<String>)> {
    let events = rig.history(run).await.into_iter().filter_map(|event| match event {
        RunEvent::SignalReceived(event) => Some((event.name, event.delivery)),
        _other => None,
    });
    events.collect()
}

pub async fn runs(rig: &Rig) -> usize {
    use everfold_engine::store::EventStore as _;
    rig.store.inner.streams(StreamKind::Run, None, 1_000).await.unwrap().len()
}

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
    let run = rig.engine.start(crate::rig::request(&p, json!({}))).await.unwrap().run;
    let why = |outcomes: Vec<everfold_engine::hooks::TriggerOutcome>, n: usize| match &outcomes[n].outcome {
        Outcome::Ignored { why } => why.clone(),
        other => panic!("{other:?}"),
    };
    let first = deliver(&rig, "d1", json!({"n": 1})).await.outcome.await.unwrap();
    assert!(why(first, 0).contains("listens to “nobody”"));
    let second = deliver(&rig, "d2", json!({"n": 2})).await.outcome.await.unwrap();
    assert!(why(second, 1).contains("takes “late” now"));
    let third = deliver(&rig, "d3", json!({"n": 3})).await.outcome.await.unwrap();
    assert_eq!(third[2].outcome, Outcome::Signalled { signal: "again".into(), runs: vec![run] });
    // It is recorded all the same, by whom the delivery is from.
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

/// They were all told of as `signalled`.
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
    let run = rig.engine.start(crate::rig::request(&p, json!({}))).await.unwrap().run;
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
    // What was told once is told so by another engine, too.
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
}

#[tokio::test(start_paused = true)]
async fn l28_what_cannot_be_a_delivery_is_refused_and_nothing_is_stored() {
    use everfold_engine::store::EventStore as _;
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
    // A source that nobody listens to keeps what came, and nothing follows.
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
    let other = rig.engine.start(crate::rig::request(&p, json!({"n": 8}))).await.unwrap().run;
    let run = rig.engine.start(crate::rig::request(&p, json!({"n": 7}))).await.unwrap().run;
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
    let run = rig.engine.start(crate::rig::request(&p, json!({"n": "a"}))).await.unwrap().run;
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
        let told = outcome(&rig, "d1", json!({"n": 1, "kind": "label"})).await;
        assert_eq!(told, Outcome::Kept { signal: "again".into(), runs: vec![first] }, "{steps}");
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

pub fn every(spec: Value) -> Arc<Definition> {
    let trigger = json!({
        "on": {"schedule": spec}, "start": {"input": {"at": "${event.at}"}, "title": "${actor}"},
    });
    pipeline("nightly", 10, json!({"triggers": [trigger]}))
}

/// Lets time pass, with a look at the clock each second.
pub async fn pass(rig: &Rig, seconds: u64) {
    for _second in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        rig.engine.look_at_clock().await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[tokio::test(start_paused = true)]
async fn t_a_saved_schedule_starts_a_run_per_moment_once_somebody_looks_at_the_clock() {
    let rig = Rig::new();
    save(&rig, &every(json!({"every": "10s"}))).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(runs(&rig).await, 0, "nobody looked");
    pass(&rig, 1).await;
    // `catch_up: none` takes what is at most a minute late; while that run goes on the next is passed over.
    let before = runs(&rig).await;
    pass(&rig, 30).await;
    assert_eq!(runs(&rig).await, before + 3);
    let listed = rig.engine.schedules().await.unwrap().remove(0);
    assert_eq!(listed.name, "nightly:1");
    let run = started(&listed.settled.last().unwrap().outcome);
    let title = rig.engine.with_state(run, |state| state.title().map(str::to_owned)).await.unwrap();
    assert_eq!(title.as_deref(), Some("schedule:nightly:1"));
    assert!(listed.next.unwrap() > listed.settled.last().unwrap().tick.at);
    // Another version without it ends it.
    save(&rig, &pipeline("nightly", 10, json!({}))).await;
    let before = runs(&rig).await;
    pass(&rig, 30).await;
    assert_eq!(runs(&rig).await, before);
    assert_eq!(rig.engine.schedules().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn t_a_crash_anywhere_between_a_moment_and_its_run_starts_it_exactly_once() {
    for steps in 0..40 {
        let mut rig = Rig::new();
        save(&rig, &every(json!({"every": "10m", "catch_up": "all", "overlap": "queue"}))).await;
        pass(&rig, 1).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let engine = rig.engine.clone();
        let task = tokio::spawn(async move { engine.look_at_clock().await });
        for _step in 0..steps {
            tokio::task::yield_now().await;
        }
        task.abort();
        rig.crash().await;
        rig.recover().await;
        pass(&rig, 3).await;
        assert_eq!(runs(&rig).await, 1, "{steps}");
    }
}

#[tokio::test(start_paused = true)]
async fn t_after_a_time_without_an_engine_all_moments_are_queued_one_after_the_other() {
    let mut rig = Rig::new();
    let trigger =
        json!({"on": {"schedule": {"every": "1h", "catch_up": "all", "overlap": "queue"}}, "start": {}});
    save(&rig, &pipeline("p", 5_000, json!({"triggers": [trigger]}))).await;
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(4 * 3_600)).await;
    rig.recover().await;
    pass(&rig, 2).await;
    assert_eq!(runs(&rig).await, 1);
    pass(&rig, 40).await;
    assert_eq!(runs(&rig).await, 4);
    let listed = rig.engine.schedules().await.unwrap().remove(0);
    assert_eq!((listed.waiting, listed.settled.len()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn row_75_paused_and_removed_schedules_start_nothing_for_moments_that_waited() {
    for removes in [false, true] {
        let rig = Rig::new();
        save(&rig, &pipeline("p", 60_000, json!({}))).await;
        let ada = || Actor::User("ada".into());
        let schedule = serde_json::from_value(json!({"every": "10s", "overlap": "queue"})).unwrap();
        let origin = ScheduleOrigin::Added {
            pipeline: "p".into(),
            input: JsonText::new(&json!({"n": 1})),
            title: None,
        };
        let new = NewSchedule { name: "tick".into(), schedule, origin };
        rig.engine.add_schedule(new, ada()).await.unwrap();
        pass(&rig, 45).await;
        assert_eq!(runs(&rig).await, 1);
        assert!(rig.engine.schedules().await.unwrap()[0].waiting > 1);
        match removes {
            true => drop(rig.engine.remove_schedule("tick", None, ada()).await.unwrap()),
            false => drop(rig.engine.pause_schedule("tick", true, None, ada()).await.unwrap()),
        }
        pass(&rig, 300).await;
        assert_eq!(runs(&rig).await, 1, "removes: {removes}");
        let listed = rig.engine.schedules().await.unwrap();
        assert!(listed.iter().all(|schedule| schedule.waiting == 0), "removes: {removes}");
    }
}

#[tokio::test(start_paused = true)]
async fn t_a_schedule_is_added_paused_resumed_triggered_and_removed_by_hand() {
    let rig = Rig::new();
    save(&rig, &pipeline("p", 10, json!({}))).await;
    let ada = || Actor::User("ada".into());
    let schedule: Schedule = serde_json::from_value(json!({"every": "10s"})).unwrap();
    let origin =
        ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::new(&json!({"n": 1})), title: None };
    let new = NewSchedule { name: "tick".into(), schedule, origin };
    rig.engine.add_schedule(new.clone(), ada()).await.unwrap();
    rig.engine.add_schedule(new.clone(), ada()).await.expect("the same again is no other");
    let other =
        NewSchedule { schedule: serde_json::from_value(json!({"every": "20s"})).unwrap(), ..new.clone() };
    assert_eq!(rig.engine.add_schedule(other, ada()).await, Err(ScheduleError::Exists("tick".into())));
    pass(&rig, 20).await;
    assert_eq!(runs(&rig).await, 2);
    rig.engine.pause_schedule("tick", true, Some("holidays".into()), ada()).await.unwrap();
    assert!(rig.engine.pause_schedule("tick", true, None, ada()).await.is_err());
    pass(&rig, 20).await;
    assert_eq!(runs(&rig).await, 2);
    let ticked = rig.engine.trigger_schedule("tick", ada()).await.unwrap();
    started(&ticked.outcome.await.unwrap());
    assert_eq!(runs(&rig).await, 3);
    rig.engine.pause_schedule("tick", false, None, ada()).await.unwrap();
    pass(&rig, 10).await;
    assert_eq!(runs(&rig).await, 4);
    rig.engine.remove_schedule("tick", None, ada()).await.unwrap();
    pass(&rig, 20).await;
    assert_eq!(runs(&rig).await, 4);
    let gone = rig.engine.remove_schedule("tick", None, ada()).await;
    assert_eq!(gone, Err(ScheduleError::NotFound("tick".into())));
    rig.engine.add_schedule(new, ada()).await.expect("its name is free again");
    save(&rig, &every(json!({"every": "10s"}))).await;
    let of_pipeline = rig.engine.remove_schedule("nightly:1", None, ada()).await;
    assert!(matches!(of_pipeline, Err(ScheduleError::OfPipeline { .. })), "{of_pipeline:?}");
}

/// Both moments had one delivery id: the run heard one of them, and both were settled as heard.
#[tokio::test(start_paused = true)]
async fn t_a_schedule_that_is_triggered_twice_in_one_moment_tells_a_run_twice() {
    let rig = Rig::new();
    let trigger = json!({"on": {"schedule": {"every": "1h"}}, "start": {}, "signal": "again"});
    save(&rig, &pipeline("nightly", 60_000, json!({"key": {"value": "only"}, "triggers": [trigger]}))).await;
    let by_hand = async || rig.engine.trigger_schedule("nightly:1", Actor::User("ada".into())).await.unwrap();
    let run = started(&by_hand().await.outcome.await.unwrap());
    let both = [by_hand().await, by_hand().await];
    for ticked in both {
        assert_eq!(ticked.outcome.await.unwrap(), Outcome::Kept { signal: "again".into(), runs: vec![run] });
    }
    let heard = signals(&rig, run).await;
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_ne!(heard[0].1, heard[1].1);
}

/// It was left out for as long as the engine lived, and said to be none.
#[tokio::test(start_paused = true)]
async fn t_a_schedule_that_could_not_be_read_is_no_unknown_one_and_is_read_again() {
    let ada = || Actor::User("ada".into());
    for (failing, is_asked_first) in (1..5).flat_map(|failing| [(failing, false), (failing, true)]) {
        let about = format!("{failing} reads fail, asked first: {is_asked_first}");
        let mut rig = Rig::new();
        save(&rig, &pipeline("p", 10, json!({}))).await;
        let schedule: Schedule = serde_json::from_value(json!({"every": "10s"})).unwrap();
        let origin = ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::null(), title: None };
        let new = NewSchedule { name: "tick".into(), schedule, origin };
        rig.engine.add_schedule(new.clone(), ada()).await.unwrap();
        rig.crash().await;
        rig.recover().await;
        rig.store.reads_to_fail.store(failing, std::sync::atomic::Ordering::SeqCst);
        if is_asked_first {
            let is_known = |asked: &ScheduleError| matches!(asked, ScheduleError::Store(_));
            let paused = rig.engine.pause_schedule("tick", true, None, ada()).await;
            assert!(paused.as_ref().err().is_none_or(is_known), "{about}: {paused:?}");
            if paused.is_ok() {
                rig.engine.pause_schedule("tick", false, None, ada()).await.unwrap();
            }
            let listed = rig.engine.schedules().await;
            assert!(listed.as_ref().map_or_else(is_known, |listed| listed.len() == 1), "{about}: {listed:?}");
        }
        pass(&rig, 30).await;
        assert!(runs(&rig).await > 0, "{about}");
        assert_eq!(rig.engine.schedules().await.unwrap().len(), 1, "{about}");
    }
}

#[tokio::test(start_paused = true)]
async fn t_a_schedule_that_could_not_be_read_is_read_again_however_often_others_have_their_moments() {
    let ada = || Actor::User("ada".into());
    let mut rig = Rig::new();
    save(&rig, &pipeline("p", 10, json!({}))).await;
    for (name, every) in [("often", "1s"), ("tick", "10s")] {
        let schedule: Schedule = serde_json::from_value(json!({ "every": every })).unwrap();
        let origin = ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::null(), title: None };
        rig.engine.add_schedule(NewSchedule { name: name.into(), schedule, origin }, ada()).await.unwrap();
    }
    rig.crash().await;
    rig.recover().await;
    rig.store.fail_reads_of("schedule/tick", 1);
    pass(&rig, 30).await;
    assert_eq!(rig.store.unread_left(), 0, "it could not be read");
    let listed = rig.engine.schedules().await.unwrap();
    assert!(listed.iter().all(|schedule| !schedule.settled.is_empty()), "{listed:?}");
}

/// What it does was forgotten with it, and the moment waited for ever.
#[tokio::test(start_paused = true)]
async fn t_a_moment_that_has_come_is_followed_though_its_schedule_is_removed_meanwhile() {
    for crashes in [false, true] {
        let mut rig = Rig::new();
        save(&rig, &pipeline("p", 10, json!({}))).await;
        let ada = || Actor::User("ada".into());
        let schedule: Schedule = serde_json::from_value(json!({"every": "1h"})).unwrap();
        let origin = ScheduleOrigin::Added { pipeline: "p".into(), input: JsonText::null(), title: None };
        rig.engine.add_schedule(NewSchedule { name: "tick".into(), schedule, origin }, ada()).await.unwrap();
        // The moment is durable, and cannot be followed at first.
        rig.store.reads_to_fail.store(1, std::sync::atomic::Ordering::SeqCst);
        rig.engine.trigger_schedule("tick", ada()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        rig.engine.remove_schedule("tick", None, ada()).await.unwrap();
        assert_eq!(runs(&rig).await, 0);
        if crashes {
            rig.crash().await;
            rig.recover().await;
        }
        pass(&rig, 10).await;
        assert_eq!(runs(&rig).await, 1, "{crashes}");
    }
}

/// The owner died right behind the start of a run, before it could say so. The trigger that wanted it was
/// saved away, and the moment was settled as if nothing had been started.
#[tokio::test(start_paused = true)]
async fn t_a_moment_whose_run_began_before_a_crash_started_it_though_its_trigger_is_saved_away() {
    let mut rig = Rig::new();
    save(&rig, &every(json!({"every": "10s"}))).await;
    // The run is durable, and nobody hears of it.
    rig.store.fail_next(crate::watched::Fault::Kept);
    while runs(&rig).await == 0 {
        pass(&rig, 1).await;
    }
    rig.crash().await;
    save(&rig, &pipeline("nightly", 10, json!({}))).await;
    rig.recover().await;
    pass(&rig, 10).await;
    assert_eq!(runs(&rig).await, 1);
    assert_eq!(settled(&rig).await, [Outcome::Started { run: only_run(&rig).await }]);
}

#[tokio::test(start_paused = true)]
async fn l28_a_delivery_whose_run_began_before_a_crash_started_it_whatever_its_trigger_says_since() {
    let mut rig = Rig::new();
    save(&rig, &intake(1_000)).await;
    outcome(&rig, "d0", json!({"kind": "noise"})).await;
    rig.store.fail_next(crate::watched::Fault::Kept);
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

/// The one run there is.
async fn only_run(rig: &Rig) -> RunId {
    use everfold_engine::store::EventStore as _;
    let streams = rig.store.inner.streams(StreamKind::Run, None, 2).await.unwrap();
    assert_eq!(streams.len(), 1);
    streams[0].0.id.parse().unwrap()
}

/// What the moments of the only schedule led to.
async fn settled(rig: &Rig) -> Vec<Outcome> {
    use everfold_engine::schedules::ScheduleEvent;
    use everfold_engine::store::EventStore as _;
    let streams = rig.store.inner.streams(StreamKind::Schedule, None, 2).await.unwrap();
    let read = rig.store.inner.read(&streams[0].0, Version::FIRST, 1_000).await.unwrap();
    let events = read.iter().map(|envelope| {
        ScheduleEvent::decode(envelope.header.kind, envelope.header.schema, &envelope.payload).unwrap()
    });
    let outcomes = events.filter_map(|event| match event {
        ScheduleEvent::TickSettled(event) => Some(event.outcome),
        _other => None,
    });
    outcomes.collect()
}

fn parks() -> Arc<Definition> {
    let trigger = json!({
        "on": {"hook": "forge"}, "signal": "ci", "to": {"key": "issue-${event.body.n}"}, "park": true,
    });
    pipeline("p", 5_000, json!({"key": {"value": "issue-${input.n}"}, "triggers": [trigger]}))
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

/// An owner that serves nobody and gets no delivery offered nothing.
#[tokio::test(start_paused = true)]
async fn l28_a_parked_signal_reaches_a_run_of_an_owner_that_does_nothing_else() {
    let mut rig = Rig::new();
    save(&rig, &parks()).await;
    assert_eq!(outcome(&rig, "d1", json!({"n": 7})).await.word(), "parked");
    rig.crash().await;
    // Nothing is recovered: one run is started in the foreground.
    let run = rig.engine.start(crate::rig::request(&parks(), json!({"n": 7}))).await.unwrap().run;
    rig.until(run, |event| matches!(event, RunEvent::SignalReceived(_))).await;
    assert_eq!(signals(&rig, run).await, [("ci".into(), Some("forge/d1".into()))]);
    // One that goes on with a single run does so, too.
    assert_eq!(outcome(&rig, "d2", json!({"n": 8})).await.word(), "parked");
    let other = rig.engine.start(crate::rig::request(&parks(), json!({"n": 8}))).await.unwrap().run;
    rig.crash().await;
    rig.engine.recover(everfold_engine::driver::Which::Only(other)).await.unwrap();
    rig.until(other, |event| matches!(event, RunEvent::SignalReceived(_))).await;
}
