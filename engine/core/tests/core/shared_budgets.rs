//! Budgets that runs share, as one of the runs sees them: it asks their counters, waits for them, and reports to them.

use everfold_base::time::Timestamp;
use everfold_core::effect::Effect;
use everfold_core::event::{
    BudgetReading, BudgetRefusal, FundsAnswered, Measure, RunPaused, RunResumed, SpendReported, Spent,
};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, RunStatus};
use serde_json::{Value, json};

use crate::fixtures::scenario::names;
use crate::fixtures::simulated_run::World;
use crate::run_budgets::{agent, fire, id, money, world};

#[test]
fn l31_shared_counters_are_asked_before_and_told_after_exactly_once() {
    let team = json!([{"id": "team", "scope": "team-${input.n}", "per": "day", "cost": "5 USD", "reserve": "1 USD"}]);
    let mut world = world(team, json!([agent("a", &[])]));
    assert_eq!(world.state.shared_budgets().next().unwrap().scope.as_deref(), Some("team-1"));
    assert_eq!(names(&world.want_funds("a/1/1")), ["FundsRequested"]);
    let funds = world.effects();
    let [Effect::Funds { since, .. }] = funds.as_slice() else { panic!("{funds:?}") };
    let (since, until) = (*since, Timestamp(world.now.0 + 60_000));
    let answer = |refused: bool| {
        let refused = refused.then(|| BudgetRefusal { budget: "team".into(), measure: Measure::Cost });
        let spent = money(4.8);
        let reading = BudgetReading {
            budget: "team".into(),
            spent,
            reserved_micros: 0,
            raised: Spent::default(),
            until: Some(until),
        };
        InputKind::FundsAnswered(FundsAnswered { id: id("a/1/1"), refused, readings: vec![reading] })
    };
    let held = world.give(answer(true)).unwrap();
    assert_eq!(names(&held), ["FundsAnswered", "BudgetExceeded", "TimerSet"]);
    assert!(world.give(answer(true)).unwrap().is_empty(), "the same answer is no news");
    assert_eq!(world.state.status(), RunStatus::Paused);
    assert_eq!(world.state.awaited(), [Awaited::Budget { budget: "team".into(), until: Some(until) }]);
    // In the next period it asks again.
    assert_eq!(fire(&mut world), ["TimerFired"]);
    let asks_again = |effect: &Effect| matches!(effect, Effect::Funds { since: again, .. } if *again > since);
    assert!(world.effects().iter().any(asks_again));
    assert_eq!(names(&world.give(answer(false)).unwrap()), ["FundsAnswered", "FundsGranted"]);
    world.use_up(&id("a/1/1"), 300_000);
    world.succeed("a/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let effects = world.effects();
    let [Effect::SpendReport { version }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(world.state.note().busy, "an ended run is gone on with until its counters know");
    let version = *version;
    world.give(InputKind::SpendReported(SpendReported { version, readings: Vec::new() })).unwrap();
    assert!(
        world
            .give(InputKind::SpendReported(SpendReported { version, readings: Vec::new() }))
            .unwrap()
            .is_empty()
    );
    assert!(world.effects().is_empty() && !world.state.note().busy);
    world.check_fold();
}

#[test]
fn l31_what_a_counter_said_of_a_period_that_is_over_stops_nothing() {
    let team = json!([{"id": "team", "scope": "team", "per": "day", "cost": "2 USD", "on_over": "stop"}]);
    let mut world = world(team, json!([agent("a", &[]), agent("b", &[])]));
    world.want_funds("a/1/1");
    assert_eq!(has_room(&mut world, "a/1/1"), ["FundsAnswered", "FundsGranted"]);
    world.want_funds("b/1/1");
    let reading = BudgetReading {
        budget: "team".into(),
        spent: money(2.1),
        reserved_micros: 0,
        raised: Spent::default(),
        until: Some(Timestamp(world.now.0 + 60_000)),
    };
    let refused = BudgetRefusal { budget: "team".into(), measure: Measure::Cost };
    let refused = FundsAnswered { id: id("b/1/1"), refused: Some(refused), readings: vec![reading] };
    let full = names(&world.give(InputKind::FundsAnswered(refused)).unwrap());
    assert_eq!(full, ["FundsAnswered", "BudgetExceeded", "StopRequested", "TimerSet"]);
    // What is to be stopped goes on for a moment, while the next period begins.
    assert_eq!(fire(&mut world), ["TimerFired"]);
    assert!(asks_counters(&world, "b/1/1"));
    assert_eq!(has_room(&mut world, "b/1/1"), ["FundsAnswered", "FundsGranted"]);
    world.check_fold();
}

/// The counter hears of it at the end of the work: until then nothing stopped what had passed the limit by itself.
#[test]
fn l31_what_work_uses_up_while_it_runs_counts_at_once_in_a_budget_that_its_run_shares() {
    for (used, is_passed) in [(3_900_000, false), (5_000_000, true)] {
        let team =
            json!([{"id": "team", "scope": "team", "cost": "4 USD", "reserve": "1 USD", "on_over": "stop"}]);
        let mut world = world(team, json!([agent("a", &[])]));
        world.want_funds("a/1/1");
        assert_eq!(has_room(&mut world, "a/1/1"), ["FundsAnswered", "FundsGranted"]);
        world.use_up(&id("a/1/1"), used);
        let all = world.names();
        assert_eq!(all.contains(&"BudgetExceeded") && all.contains(&"StopRequested"), is_passed, "{all:?}");
        let view = world.state.budgets(world.now).next().unwrap();
        assert_eq!(view.used.spent.cost_micros, used, "readers see it, too");
        if is_passed {
            world.fail("a/1/1", "stopped");
            let failure = world.state.failure().map(|(failure, _)| failure.message.clone()).unwrap();
            assert!(failure.contains("5.00 USD of 4.00 USD"), "{failure}");
        }
        world.check_fold();
    }
}

/// A run that a person paused was given the money, and kept it from others for as long as the pause lasted.
#[test]
fn l31_a_paused_run_gives_back_what_a_counter_reserves_for_it_and_asks_again_when_it_goes_on() {
    let team = json!([{"id": "team", "scope": "team", "cost": "10 USD", "reserve": "6 USD"}]);
    let mut world = world(team, json!([agent("a", &[])]));
    world.want_funds("a/1/1");
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).unwrap();
    assert_eq!(has_room(&mut world, "a/1/1"), ["FundsAnswered", "FundsRequested"]);
    assert!(!asks_counters(&world, "a/1/1"));
    counted(&mut world);
    assert!(!asks_counters(&world, "a/1/1"), "it asks for nothing while it is paused");
    world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).unwrap();
    assert!(asks_counters(&world, "a/1/1"));
    assert_eq!(has_room(&mut world, "a/1/1"), ["FundsAnswered", "FundsGranted"]);
    world.check_fold();
}

/// A run with a budget of its own of 1 USD and one that it shares with others.
fn own_and_shared(steps: Value) -> World {
    let budgets = json!([
        {"id": "team", "scope": "team", "cost": "50 USD", "reserve": "1 USD"},
        {"id": "own", "cost": "1 USD", "reserve": "1 USD"},
    ]);
    world(budgets, steps)
}

/// The counter has room for an attempt.
fn has_room(world: &mut World, attempt: &str) -> Vec<&'static str> {
    let answer = FundsAnswered { id: id(attempt), refused: None, readings: Vec::new() };
    names(&world.give(InputKind::FundsAnswered(answer)).expect("it is taken"))
}

/// The counter takes the only report there is.
fn counted(world: &mut World) -> Vec<&'static str> {
    let effects = world.effects();
    let mut reports = effects.iter().filter_map(|effect| match effect {
        Effect::SpendReport { version } => Some(*version),
        _other => None,
    });
    let (version, None) = (reports.next().expect("a report"), reports.next()) else { panic!("{effects:?}") };
    names(
        &world
            .give(InputKind::SpendReported(SpendReported { version, readings: Vec::new() }))
            .expect("it is taken"),
    )
}

fn asks_counters(world: &World, attempt: &str) -> bool {
    world
        .effects()
        .iter()
        .any(|effect| matches!(effect, Effect::Funds { id: asks, .. } if *asks == id(attempt)))
}

#[test]
fn l31_what_its_own_budget_has_no_room_for_asks_no_shared_counter_until_it_has() {
    let mut world = own_and_shared(json!([agent("a", &[]), agent("b", &["a"])]));
    world.want_funds("a/1/1");
    assert_eq!(has_room(&mut world, "a/1/1"), ["FundsAnswered", "FundsGranted"]);
    world.use_up(&id("a/1/1"), 1_000_000);
    world.succeed("a/1/1", json!(1));
    counted(&mut world);
    assert_eq!(names(&world.want_funds("b/1/1")), ["FundsRequested", "BudgetExceeded"]);
    assert!(world.effects().is_empty(), "the counter is not asked: {:?}", world.effects());
    assert_eq!(world.state.awaited(), [Awaited::Budget { budget: "own".into(), until: None }]);
    let kind = InputKind::RaiseBudget { budget: Some("own".into()), add: money(2.0), reason: None };
    assert_eq!(names(&world.by("ada", kind).unwrap()), ["BudgetRaised", "FundsRequested"]);
    assert!(asks_counters(&world, "b/1/1"));
    assert_eq!(has_room(&mut world, "b/1/1"), ["FundsAnswered", "FundsGranted"]);
    world.check_fold();
}

#[test]
fn l31_what_was_reserved_for_work_that_its_own_budget_has_no_room_for_goes_back_until_it_has() {
    let mut world = own_and_shared(json!([agent("a", &[]), agent("b", &[]), agent("c", &[])]));
    for attempt in ["a/1/1", "b/1/1", "c/1/1"] {
        assert_eq!(names(&world.want_funds(attempt)), ["FundsRequested"], "the own budget is empty yet");
    }
    assert_eq!(has_room(&mut world, "a/1/1"), ["FundsAnswered", "FundsGranted"]);
    assert_eq!(has_room(&mut world, "b/1/1"), ["FundsAnswered", "BudgetExceeded", "FundsRequested"]);
    assert!(!asks_counters(&world, "b/1/1"));
    assert_eq!(counted(&mut world), ["SpendReported"], "the counter releases what it had reserved");
    assert!(has_room(&mut world, "b/1/1").is_empty(), "an answer that comes late changes nothing");
    assert_eq!(has_room(&mut world, "c/1/1"), ["FundsAnswered", "FundsRequested"], "named once");
    // There is room again before the counter knows that `c` gave its reservation back: it waits for that.
    world.use_up(&id("a/1/1"), 100_000);
    assert_eq!(world.effects().iter().filter(|it| matches!(it, Effect::SpendReport { .. })).count(), 1);
    let kind = InputKind::RaiseBudget { budget: Some("own".into()), add: money(5.0), reason: None };
    assert_eq!(names(&world.by("ada", kind).unwrap()), ["BudgetRaised", "FundsRequested"]);
    assert!(asks_counters(&world, "b/1/1") && !asks_counters(&world, "c/1/1"));
    assert_eq!(counted(&mut world), ["SpendReported", "FundsRequested"]);
    for attempt in ["b/1/1", "c/1/1"] {
        assert!(asks_counters(&world, attempt));
        assert_eq!(has_room(&mut world, attempt), ["FundsAnswered", "FundsGranted"]);
    }
    world.check_fold();
}
