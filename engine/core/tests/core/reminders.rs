//! Reminders: of what people are asked, of what is blocked, of signals and of budgets that hold the run (L19).

use std::time::Duration;

use everfold_base::id::AttemptId;
use everfold_base::time::Timestamp;
use everfold_core::effect::Effect;
use everfold_core::event::{OriginKind, Spent, TimerFired, TimerId, TimerKind, UnblockDecision};
use everfold_core::input::InputKind;
use everfold_core::state::{RunState, RunStatus};
use everfold_language::definition::OnLost;
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    approval, cancel, function, lose, names, pause, resume, run, send_signal, timer, unblock, wait, with,
};
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::tasks::{agent, answer, fire, question};

const MINUTE: u64 = 60;

/// The reminders that are set, with the seconds until each is due.
fn reminders(world: &World) -> Vec<(TimerId, u64)> {
    let of = |effect| match effect {
        Effect::Timer { timer, at } if timer.kind == TimerKind::Reminder => {
            Some((timer, u64::try_from(at.since(world.now).as_millis()).expect("soon").div_ceil(1_000)))
        }
        _other => None,
    };
    world.effects().into_iter().filter_map(of).collect()
}

fn due_in(world: &World) -> Vec<u64> {
    reminders(world).into_iter().map(|(_, due)| due).collect()
}

/// How often people were reminded of what the run waits for first.
fn count(state: &RunState) -> Option<u32> {
    state.awaited().first().and_then(|first| state.reminded(first)).map(|reminded| reminded.count)
}

fn remind(world: &mut World) -> Vec<&'static str> {
    names(&fire(world, TimerKind::Reminder))
}

#[test]
fn the_first_reminder_has_a_span_of_its_own_and_max_bounds_all() {
    let remind_when = json!({"remind": {"first": "2h", "every": "30m", "max": 3}});
    let asks_in_work = agent("ask", json!({"ask": remind_when}));
    for step in [approval("ask", remind_when.clone()), question("ask", remind_when), asks_in_work] {
        let mut world = run(json!([step]));
        if step.get("ask").is_some() {
            world.asks("ask/1/1", json!({"text": "which?"}));
        }
        assert_eq!(due_in(&world), [120 * MINUTE]);
        assert_eq!(count(&world.state), Some(0));
        assert_eq!(remind(&mut world), ["TimerFired", "TimerSet"]);
        assert_eq!((due_in(&world), count(&world.state)), (vec![30 * MINUTE], Some(1)));
        assert_eq!(remind(&mut world), ["TimerFired", "TimerSet"]);
        assert_eq!(remind(&mut world), ["TimerFired"], "the third is the last");
        assert_eq!((due_in(&world), count(&world.state)), (vec![], Some(3)));
        world.check_fold();
    }
}

#[test]
fn without_every_there_is_one_reminder_and_without_max_a_hundred() {
    let mut once = run(json!([question("ask", json!({"remind": {"first": "2h"}}))]));
    assert_eq!(remind(&mut once), ["TimerFired"]);
    assert_eq!(due_in(&once), [] as [u64; 0]);

    let mut world = run(json!([question("ask", json!({"remind": "1m"}))]));
    for _ in 0..99 {
        assert_eq!(remind(&mut world), ["TimerFired", "TimerSet"]);
    }
    assert_eq!(remind(&mut world), ["TimerFired"]);
    assert_eq!(count(&world.state), Some(100));
    world.by("ada", answer("ask/1/1", json!({"text": "that one"}))).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn what_is_blocked_is_reminded_of_until_it_goes_on_and_anew_when_it_is_blocked_again() {
    let step = with(
        function("build", &[]),
        json!({"on_fail": [{"to": "block"}], "remind": {"first": "2h", "every": "1h"}}),
    );
    let mut world = run(json!([step]));
    let blocked = names(&world.fail("build/1/1", "broken"));
    assert_eq!(blocked[blocked.len() - 2..], ["StepBlocked", "TimerSet"]);
    assert_eq!(due_in(&world), [120 * MINUTE]);
    assert_eq!(remind(&mut world), ["TimerFired", "TimerSet"]);
    assert_eq!((due_in(&world), count(&world.state)), (vec![60 * MINUTE], Some(1)));
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(due_in(&world), [] as [u64; 0], "it is tried again");
    world.fail("build/1/2", "broken");
    assert_eq!((due_in(&world), count(&world.state)), (vec![120 * MINUTE], Some(0)), "it begins anew");
    world.check_fold();
    world.by("ada", cancel()).expect("taken");
    assert_eq!(due_in(&world), [] as [u64; 0]);
    assert_eq!(world.state.status(), RunStatus::Cancelled);
}

#[test]
fn a_blocked_item_has_reminders_of_its_own() {
    let step = with(
        function("build", &[]),
        json!({"on_fail": [{"to": "block"}], "foreach": {"items": "${[1, 2]}", "fail_fast": false}, "remind": "1h"}),
    );
    let mut world = run(json!([step]));
    lose(&mut world, "build.0/1/1", OnLost::Block);
    world.now = world.now.plus(Duration::from_secs(600));
    lose(&mut world, "build.1/1/1", OnLost::Block);
    let set = reminders(&world);
    let of: Vec<_> = set.iter().map(|(timer, due)| (timer.id.path.to_string(), *due)).collect();
    assert_eq!(of, [("build.0".to_owned(), 50 * MINUTE), ("build.1".to_owned(), 60 * MINUTE)]);
    world.check_fold();
}

#[test]
fn a_signal_that_is_awaited_is_reminded_of_until_it_comes() {
    let told = wait("told", &[], json!({"signal": "go", "timeout": "1d", "remind": "2h"}));
    let mut world = run(json!([told]));
    assert_eq!(due_in(&world), [120 * MINUTE]);
    assert_eq!(remind(&mut world), ["TimerFired", "TimerSet"]);
    assert_eq!(count(&world.state), Some(1));
    send_signal(&mut world, "go", json!({}));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    assert_eq!(due_in(&world), [] as [u64; 0]);
    let over = wait("told", &[], json!({"signal": "go", "timeout": "1d", "remind": "2h"}));
    let mut world = run(json!([with(over, json!({"on_fail": [{"to": "block"}]}))]));
    fire(&mut world, TimerKind::Signal);
    assert_eq!(due_in(&world), [] as [u64; 0], "it is blocked, and `remind` is that of the signal");
}

fn paid(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "agent", "spec": {"prompt": "do"}}}})
}

fn held() -> World {
    let budgets = json!([{"id": "budget", "cost": "1 USD", "remind": {"first": "2h", "every": "1d"}}]);
    let steps = json!([paid("a", &[]), paid("b", &["a"])]);
    let mut world =
        World::start(definition(json!({"name": "p", "budgets": budgets, "steps": steps})), json!({}));
    world.want_funds("a/1/1");
    world.use_up(&"a/1/1".parse().expect("an attempt"), 2_000_000);
    world.succeed("a/1/1", json!(1));
    assert_eq!(reminders(&world), [], "nothing waits for it yet");
    let batch = names(&world.want_funds("b/1/1"));
    assert_eq!(batch, ["FundsRequested", "BudgetExceeded", "TimerSet"]);
    world
}

fn raise(world: &mut World, micros: u64) -> Vec<&'static str> {
    let add = Spent { cost_micros: micros, ..Spent::default() };
    let kind = InputKind::RaiseBudget { budget: None, add, reason: None };
    names(&world.by("ada", kind).expect("it can be raised"))
}

#[test]
fn a_budget_that_holds_the_run_is_reminded_of_until_it_is_raised() {
    let mut world = held();
    assert_eq!((due_in(&world), count(&world.state)), (vec![120 * MINUTE], Some(0)));
    assert_eq!(remind(&mut world), ["TimerFired", "TimerSet"]);
    assert_eq!((due_in(&world), count(&world.state)), (vec![24 * 60 * MINUTE], Some(1)));
    // Too little: what waits has no room still, and the reminders begin anew.
    assert_eq!(raise(&mut world, 10), ["BudgetRaised", "BudgetExceeded", "TimerSet"]);
    assert_eq!((due_in(&world), count(&world.state)), (vec![120 * MINUTE], Some(0)));
    assert_eq!(raise(&mut world, 5_000_000), ["BudgetRaised", "FundsGranted"]);
    assert_eq!(due_in(&world), [] as [u64; 0]);
    world.succeed("b/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    world.check_fold();

    let mut cancelled = held();
    cancelled.by("ada", cancel()).expect("taken");
    assert_eq!(reminders(&cancelled), []);
}

#[test]
fn a_fork_is_not_reminded_of_a_budget_that_held_the_origin() {
    let world = held();
    let fork = world.forked(world.history.len(), OriginKind::Fork, None).expect("a fork");
    assert_eq!(reminders(&fork), [], "nothing waits for its budget yet");
    fork.check_fold();
}

#[test]
fn a_paused_run_reminds_of_nothing_and_once_when_it_goes_on() {
    let step = with(function("build", &[]), json!({"on_fail": [{"to": "block"}], "remind": "1h"}));
    let mut world = run(json!([step]));
    world.fail("build/1/1", "broken");
    pause(&mut world);
    assert_eq!(reminders(&world), []);
    world.now = world.now.plus(Duration::from_secs(10 * 60 * MINUTE));
    resume(&mut world);
    assert_eq!(due_in(&world), [0], "it is due");
    remind(&mut world);
    assert_eq!((due_in(&world), count(&world.state)), (vec![60 * MINUTE], Some(1)));
}

#[test]
fn a_fork_reminds_anew_of_what_it_waits_for() {
    let step = with(
        function("build", &[]),
        json!({"on_fail": [{"to": "block"}], "needs": [], "remind": {"first": "2h", "every": "1h", "max": 2}}),
    );
    let asked = with(approval("ask", json!({"remind": {"first": "3h", "max": 1}})), json!({"needs": []}));
    let mut world = run(json!([step, asked]));
    world.fail("build/1/1", "broken");
    for _ in 0..3 {
        remind(&mut world);
    }
    assert_eq!(reminders(&world), [], "both are used up");
    let fork = world.forked(world.history.len(), OriginKind::Fork, None).expect("a fork");
    let mut due = due_in(&fork);
    due.sort_unstable();
    assert_eq!(due, [120 * MINUTE, 180 * MINUTE]);
    assert!(fork.state.awaited().iter().all(|it| fork.state.reminded(it).is_none_or(|it| it.count == 0)));
    fork.check_fold();
}

#[test]
fn a_notice_knows_the_number_of_the_reminder_and_what_it_is_about() {
    let notify = json!([{
        "id": "urgent", "events": ["TimerFired"], "function": "notify.log",
        "when": "has(event.reminder) && event.reminder.count == 2",
        "with": "${event.reminder}",
    }]);
    let steps =
        json!([approval("ask", json!({"remind": {"first": "2h", "every": "1h"}, "roles": ["lead"]}))]);
    let mut world =
        World::start(definition(json!({"name": "p", "notify": notify, "steps": steps})), json!({}));
    let since = world.now;
    assert_eq!(remind(&mut world), ["TimerFired", "TimerSet"], "the first is not urgent");
    let batch = fire(&mut world, TimerKind::Reminder);
    assert_eq!(names(&batch), ["TimerFired", "TimerSet", "NoticeQueued"]);
    let said = serde_json::to_value(&batch[2]).expect("JSON")["with"].clone();
    let said = &said["with"];
    assert_eq!(
        (&said["kind"], &said["step"], &said["count"], &said["max"]),
        (&json!("approval"), &json!("ask"), &json!(2), &json!(100),)
    );
    assert_eq!((&said["title"], &said["roles"]), (&json!("go on?"), &json!(["lead"])));
    let begun: Timestamp = said["since"].as_str().expect("a time").parse().expect("a time");
    assert!(begun.since(since) < Duration::from_secs(1), "{begun} {since}");
}

#[test]
fn a_reminder_that_is_reported_twice_or_too_late_is_no_second_one() {
    let mut world = run(json!([question("ask", json!({"remind": "1h"}))]));
    let id: AttemptId = "ask/1/1".parse().expect("an attempt");
    let reminder = TimerId { id, kind: TimerKind::Reminder, name: String::new() };
    let (_, due) = timer(&world, TimerKind::Reminder).expect("set");
    world.now = due;
    let fired = InputKind::TimerFired(TimerFired { timer: reminder.clone(), due });
    assert_eq!(names(&world.give(fired.clone()).expect("taken")), ["TimerFired", "TimerSet"]);
    assert!(world.give(fired).expect("taken").is_empty(), "the same again");
    world.by("ada", answer("ask/1/1", json!({"text": "x"}))).expect("taken");
    let due = world.now.plus(Duration::from_secs(3_600));
    assert!(
        world.give(InputKind::TimerFired(TimerFired { timer: reminder, due })).expect("taken").is_empty()
    );
}
