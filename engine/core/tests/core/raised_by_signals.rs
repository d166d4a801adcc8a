//! A signal raises the run's own budget: what it holds goes on, what it has stopped begins again.

use everfold_base::actor::Actor;
use everfold_core::event::{RunEvent, SignalTaken, Spent};
use everfold_core::state::RunStatus;
use serde_json::{Value, json};

use crate::fixtures::scenario::{attempts, names, send_signal, signal};
use crate::fixtures::simulated_run::{World, definition};

fn agent(id: &str, needs: &[&str]) -> Value {
    let block = json!([{"to": "block"}]);
    json!({"id": id, "needs": needs, "on_fail": block, "work": {"task": {"kind": "agent", "spec": {"prompt": "do"}}}})
}

/// Two agents one after the other, and a signal that adds half a dollar, else ends the run.
fn world(budget: Value) -> World {
    let routes = json!({"go": [{"to": {"raise": "0.50 USD"}}, {"to": {"finish": "cancelled"}}]});
    let steps = json!([agent("a", &[]), agent("b", &["a"])]);
    let run = json!({"name": "p", "budgets": [budget], "on_signal": routes, "steps": steps});
    World::start(definition(run), json!({"n": 1}))
}

/// The first agent uses up so much, and the second one asks.
fn used_up(budget: Value, micros: u64) -> World {
    let mut world = world(budget);
    world.want_funds("a/1/1");
    world.use_up(&"a/1/1".parse().expect("an id"), micros);
    world.succeed("a/1/1", json!(1));
    world.want_funds("b/1/1");
    world
}

fn budget() -> Value {
    json!({"id": "task", "cost": "1 USD"})
}

#[test]
fn a_signal_raises_the_budget_that_holds_the_run_in_the_name_of_who_sent_it() {
    let mut world = used_up(budget(), 1_200_000);
    assert_eq!(world.state.status(), RunStatus::Paused);
    let batch = send_signal(&mut world, "go", json!(null));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken", "BudgetRaised", "FundsGranted"]);
    let RunEvent::BudgetRaised(raised) = &batch[2] else { panic!("{batch:?}") };
    assert_eq!((raised.budget.as_str(), raised.reason.as_deref()), ("task", Some("the signal “go”")));
    assert_eq!(raised.add, Spent { cost_micros: 500_000, ..Spent::default() });
    assert_eq!(attempts(&world), ["b/1/1"]);
    world.check_fold();
    // Where nothing is held, the next route holds.
    let batch = send_signal(&mut world, "go", json!(null));
    assert!(!names(&batch).contains(&"BudgetRaised"), "{batch:?}");
}

#[test]
fn a_raise_that_is_not_enough_says_so_and_the_next_one_adds_as_much() {
    let mut world = used_up(budget(), 1_700_000);
    let batch = send_signal(&mut world, "go", json!(null));
    assert_eq!(names(&batch)[2..], ["BudgetRaised", "BudgetExceeded"]);
    assert_eq!(names(&send_signal(&mut world, "go", json!(null)))[2..], ["BudgetRaised", "FundsGranted"]);
    world.check_fold();
}

#[test]
fn what_the_budget_has_stopped_begins_its_next_attempt() {
    let mut world = world(json!({"id": "task", "cost": "1 USD", "on_over": "stop"}));
    world.want_funds("a/1/1");
    world.use_up(&"a/1/1".parse().expect("an id"), 1_200_000);
    assert_eq!(names(&world.fail("a/1/1", "stopped")), ["AttemptFailed", "StepBlocked"]);
    let batch = send_signal(&mut world, "go", json!(null));
    assert_eq!(
        names(&batch),
        ["SignalReceived", "SignalTaken", "BudgetRaised", "RunUnblocked", "RetryScheduled"]
    );
    world.check_fold();
}

#[test]
fn a_run_or_a_schedule_raises_nothing() {
    for by in [Actor::Run("0198/a".into()), Actor::Schedule("nightly".into()), Actor::Worker("w".into())] {
        let mut world = used_up(budget(), 1_200_000);
        let batch = world.give_as(by, signal("go", json!(null))).expect("taken");
        assert!(!names(&batch).contains(&"BudgetRaised"), "{batch:?}");
    }
    let mut world = used_up(budget(), 1_200_000);
    let batch = world.give_as(Actor::Hook("plane/olga".into()), signal("go", json!(null))).expect("taken");
    assert!(matches!(&batch[1], RunEvent::SignalTaken(SignalTaken { reason: None, .. })), "{batch:?}");
    assert!(names(&batch).contains(&"BudgetRaised"), "{batch:?}");
}
