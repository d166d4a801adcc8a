//! A signal that comes when the run has ended: recorded as refused where a route of the run's own says `late`.

use everfold_base::actor::Actor;
use everfold_base::json::{JsonText, Payload};
use everfold_core::decide::Refusal;
use everfold_core::event::{Hearing, NoticeQueued, RunEvent, SignalReceived, SignalTaken, SignalTaker};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use serde_json::{Value, json};

use crate::fixtures::scenario::{names, send_signal, signal};
use crate::fixtures::simulated_run::{World, definition};

/// One step; what comes late is refused while `when` holds, and a notice says why.
fn world(when: &str) -> World {
    let late = json!({"when": when, "to": {"late": "${run.title} is done: ${signal.state}"}});
    let routes = json!({"go": [late, {"to": {"finish": "cancelled"}, "busy": "interrupt"}]});
    let steps = json!([{"id": "a", "work": {"task": {"kind": "command", "spec": {"command": "x"}}}}]);
    let notice = json!({"id": "told", "events": ["SignalTaken"], "function": "f.tell", "with": {"why": "${event.reason}"}});
    let run = json!({"name": "p", "on_signal": routes, "steps": steps, "notify": [notice]});
    World::start(definition(run), json!({"n": 1}))
}

fn delivered(id: &str) -> InputKind {
    let payload = Payload::Inline(JsonText::new(&json!({"state": "Rejected"})));
    InputKind::Signal(SignalReceived { name: "go".to_owned(), payload, delivery: Some(id.to_owned()) })
}

#[test]
fn what_comes_when_the_run_has_ended_is_recorded_as_refused_and_notices_tell_of_it() {
    let mut world = world("run.status == 'succeeded'");
    world.succeed("a/1/1", Value::Null);
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let batch = world.give_as(Actor::Hook("plane/olga".into()), delivered("d-1")).expect("taken");
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken", "NoticeQueued"]);
    let RunEvent::SignalTaken(SignalTaken { by, how, ends, reason, .. }) = &batch[1] else {
        panic!("{batch:?}")
    };
    assert_eq!((by, how, ends), (&SignalTaker::Run, &Hearing::Refused, &None));
    let why = reason.as_deref().unwrap();
    assert!(why.ends_with("is done: Rejected"), "{why}");
    let RunEvent::NoticeQueued(NoticeQueued { with: Payload::Inline(with), .. }) = &batch[2] else {
        panic!("{batch:?}")
    };
    assert!(with.as_str().contains(why), "{with:?}");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    // The same delivery once more changes nothing, another one is refused as well.
    assert_eq!(world.give_as(Actor::Hook("plane/olga".into()), delivered("d-1")).expect("known"), []);
    assert_eq!(world.give_as(Actor::Hook("plane/olga".into()), delivered("d-2")).expect("taken").len(), 3);
    world.check_fold();
}

#[test]
fn a_delivery_that_ended_its_run_is_no_news_when_it_comes_again() {
    let mut world = world("false");
    let olga = || Actor::Hook("plane/olga".into());
    world.give_as(olga(), delivered("d-1")).expect("taken");
    world.fail("a/1/1", "stopped");
    assert_eq!(world.state.status(), RunStatus::Cancelled);
    assert_eq!(world.give_as(olga(), delivered("d-1")).expect("known"), []);
    assert_eq!(world.give_as(olga(), delivered("d-2")), Err(Refusal::Ended(RunStatus::Cancelled)));
}

#[test]
fn a_run_that_has_ended_records_a_thousand_signals_of_a_name_and_refuses_further_ones() {
    let mut world = world("true");
    world.succeed("a/1/1", Value::Null);
    for nth in 0..1_000 {
        world.give_as(Actor::Hook("plane/olga".into()), delivered(&format!("d-{nth}"))).expect("taken");
    }
    let refused = world.give_as(Actor::Hook("plane/olga".into()), delivered("d-1000"));
    assert_eq!(refused, Err(Refusal::Ended(RunStatus::Succeeded)));
    world.check_fold();
}

#[test]
fn a_run_that_ended_otherwise_or_that_says_nothing_of_late_signals_refuses_them_as_ever() {
    let mut world = world("run.status == 'succeeded'");
    world.fail("a/1/1", "broken");
    let refused = world.give_as(Actor::Hook("plane/olga".into()), delivered("d-1"));
    assert_eq!(refused, Err(Refusal::Ended(RunStatus::Failed)));
    let refused = world.give_as(Actor::Hook("plane/olga".into()), signal("other", Value::Null));
    assert_eq!(refused, Err(Refusal::Ended(RunStatus::Failed)));
    world.check_fold();
}

#[test]
fn while_the_run_goes_on_the_next_route_takes_it() {
    let mut world = world("true");
    let batch = send_signal(&mut world, "go", json!({"state": "Approved"}));
    let RunEvent::SignalTaken(taken) = &batch[1] else { panic!("{batch:?}") };
    assert_eq!((taken.how, taken.reason.as_deref()), (Hearing::Now, None));
    world.check_fold();
}
