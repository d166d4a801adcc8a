//! Budgets of one run: what starts, what waits, what is stopped, and what lets it go on.

use everfold_base::failure::FailureKind;
use everfold_base::id::{AttemptId, StepId};
use everfold_base::json::JsonText;
use everfold_base::time::Timestamp;
use everfold_core::artefact::Usage;
use everfold_core::decide::Refusal;
use everfold_core::effect::Effect;
use everfold_core::event::{
    CancelRequested, FundsAnswered, Measure, OriginKind, RunAbandoned, RunEvent, RunPaused, RunResumed,
    Spent, StopReason, TimerFired, TimerKind, UsageRecorded,
};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::fixtures::scenario::names;
use crate::fixtures::simulated_run::{World, definition};

pub fn agent(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "agent", "spec": {"prompt": "do"}}}})
}

pub fn world(budgets: Value, steps: Value) -> World {
    World::start(definition(json!({"name": "p", "budgets": budgets, "steps": steps})), json!({"n": 1}))
}

pub fn id(text: &str) -> AttemptId {
    text.parse().expect("an attempt id")
}

fn attempt(text: &str) -> Effect {
    Effect::Attempt { id: id(text), started: false }
}

pub fn money(dollars: f64) -> Spent {
    Spent { cost_micros: (dollars * 1e6) as u64, ..Spent::default() }
}

fn raise(world: &mut World, budget: Option<&str>, add: Spent) -> Vec<&'static str> {
    let kind = InputKind::RaiseBudget { budget: budget.map(str::to_owned), add, reason: Some("go".into()) };
    names(&world.by("ada", kind).expect("it can be raised"))
}

/// A paid attempt that asks, uses something up and ends.
fn spend(world: &mut World, attempt: &str, dollars: f64) -> Vec<&'static str> {
    world.want_funds(attempt);
    world.use_up(&id(attempt), money(dollars).cost_micros);
    names(&world.succeed(attempt, json!(1)))
}

fn until(world: &World) -> Option<Timestamp> {
    world.effects().into_iter().find_map(|effect| match effect {
        Effect::Timer { timer, at } if timer.kind == TimerKind::Budget => Some(at),
        _other => None,
    })
}

pub fn fire(world: &mut World) -> Vec<&'static str> {
    let due = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Timer { timer, at } if timer.kind == TimerKind::Budget => Some((timer, at)),
        _other => None,
    });
    let (timer, due) = due.expect("a timer of a budget");
    world.now = world.now.max(due);
    names(&world.give(InputKind::TimerFired(TimerFired { timer, due })).expect("a timer is never refused"))
}

#[test]
fn a_limit_that_is_computed_as_null_is_none_and_a_budget_without_a_limit_is_not_opened() {
    let steps = || json!([agent("a", &[])]);
    let unlimited = world(json!([{"id": "budget", "cost": "${input.?limit.orValue(null)}"}]), steps());
    assert_eq!(unlimited.state.budgets(unlimited.now).count(), 0);
    let mut by_tokens = json!([{"id": "budget", "cost": "${null}", "tokens": "${input.n}"}]);
    let limits = |world: &World| -> Vec<(Option<u64>, Option<u64>)> {
        let limit = |view: everfold_core::state::BudgetView<'_>| {
            (view.limit(Measure::Cost), view.limit(Measure::Tokens))
        };
        world.state.budgets(world.now).map(limit).collect()
    };
    assert_eq!(limits(&world(by_tokens.clone(), steps())), [(None, Some(1))]);
    by_tokens[0]["scope"] = json!("team");
    by_tokens[0]["tokens"] = json!("${null}");
    // What runs share is counted without a limit, too.
    assert_eq!(limits(&world(by_tokens, steps())), [(None, None)]);
}

#[test]
fn l31_paid_work_starts_while_the_limit_is_not_reached_and_waits_from_then_on() {
    let chain = json!([agent("a", &[]), agent("b", &["a"]), agent("c", &["b"])]);
    let mut world = world(json!([{"id": "budget", "cost": "1 USD"}]), chain);
    assert_eq!(world.names()[..2], ["RunStarted", "BudgetsOpened"]);
    assert_eq!(names(&world.want_funds("a/1/1")), ["FundsRequested", "FundsGranted"]);
    assert!(world.want_funds("a/1/1").is_empty(), "asked twice");
    assert_eq!(world.effects(), [attempt("a/1/1")]);
    world.use_up(&id("a/1/1"), 999_999);
    world.succeed("a/1/1", json!(1));
    // Just below: it runs, and exceeds the limit by no more than itself.
    assert_eq!(spend(&mut world, "b/1/1", 0.5), ["AttemptSucceeded", "StepSucceeded", "StepScheduled"]);
    assert_eq!(names(&world.want_funds("c/1/1")), ["FundsRequested", "BudgetExceeded"]);
    assert!(world.effects().is_empty(), "nothing is to be started");
    assert_eq!(world.state.status(), RunStatus::Paused);
    assert_eq!(world.state.step_status(&"c".into()), Some(StepStatus::Waiting));
    assert_eq!(world.state.awaited(), [Awaited::Budget { budget: "budget".into(), until: None }]);
    let view = world.state.budgets(world.now).next().unwrap();
    assert_eq!(view.summary(), "1.499999 USD of 1.00 USD");
    assert!(
        world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).is_err(),
        "no pause is to be lifted"
    );
    assert_eq!(raise(&mut world, None, money(0.25)), ["BudgetRaised", "BudgetExceeded"], "not enough");
    assert_eq!(raise(&mut world, None, money(0.5)), ["BudgetRaised", "FundsGranted"]);
    assert_eq!(world.effects(), [attempt("c/1/1")]);
    world.succeed("c/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    world.check_fold();
}

#[test]
fn l31_reserve_is_kept_free_for_each_piece_of_work_that_runs() {
    let side_by_side = json!([agent("a", &[]), agent("b", &[]), agent("c", &[])]);
    let mut world = world(json!([{"id": "budget", "cost": "1 USD", "reserve": "0.40 USD"}]), side_by_side);
    world.want_funds("a/1/1");
    world.want_funds("b/1/1");
    assert_eq!(names(&world.want_funds("c/1/1")), ["FundsRequested", "BudgetExceeded"]);
    let view = world.state.budgets(world.now).next().unwrap();
    assert_eq!((view.used.reserved_micros, view.over), (800_000, Some(Measure::Cost)));
    assert_eq!(view.summary(), "0.00 USD of 1.00 USD, 0.80 USD reserved, 0.40 USD wanted for the next");
    assert_eq!(world.state.status(), RunStatus::Running, "others run");
    // It used less than was reserved for it: what is left is enough for the next.
    world.use_up(&id("a/1/1"), 100_000);
    assert_eq!(
        names(&world.succeed("a/1/1", json!(1))),
        ["AttemptSucceeded", "StepSucceeded", "FundsGranted"]
    );
    world.check_fold();
}

#[test]
fn l31_a_new_period_resumes_by_itself_and_nothing_is_spent_in_it() {
    let chain = json!([agent("a", &[]), agent("b", &["a"])]);
    let daily = json!([{"id": "daily", "per": "day", "cost": "1 USD"}]);
    let mut world = world(daily, chain);
    spend(&mut world, "a/1/1", 2.0);
    let held = world.want_funds("b/1/1");
    assert_eq!(names(&held), ["FundsRequested", "BudgetExceeded", "TimerSet"]);
    assert_eq!(until(&world), Some(Timestamp(24 * 60 * 60 * 1_000)), "midnight, from the input's time alone");
    assert_eq!(fire(&mut world), ["TimerFired", "BudgetPeriodBegan", "FundsGranted"]);
    let view = world.state.budgets(world.now).next().unwrap();
    assert_eq!(view.used.spent.cost_micros, 0);
    world.check_fold();
}

#[test]
fn l31_what_ends_after_midnight_counts_in_the_new_day() {
    let side_by_side = json!([agent("a", &[]), agent("b", &[])]);
    let mut world = world(json!([{"id": "daily", "per": "day", "cost": "1 USD"}]), side_by_side);
    world.want_funds("a/1/1");
    world.now = Timestamp(24 * 60 * 60 * 1_000 + 5);
    world.use_up(&id("a/1/1"), 700_000);
    assert_eq!(world.names().last(), Some(&"BudgetPeriodBegan"));
    let view = world.state.budgets(world.now).next().unwrap();
    assert_eq!(view.used.spent.cost_micros, 700_000);
    world.check_fold();
}

#[test]
fn l31_stop_ends_paid_work_that_runs_when_a_limit_is_passed() {
    let side_by_side = json!([agent("a", &[]), agent("b", &[]), {"id": "c", "work": {"task": {"kind": "command", "spec": {}}}}]);
    let mut world = world(json!([{"id": "hard", "cost": "1 USD", "on_over": "stop"}]), side_by_side);
    world.want_funds("a/1/1");
    world.want_funds("b/1/1");
    world.use_up(&id("a/1/1"), 1_500_000);
    let stops: Vec<_> = world
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            RunEvent::StopRequested(event) => Some((event.ids.clone(), event.reason)),
            _other => None,
        })
        .collect();
    assert_eq!(stops, [(vec![id("a/1/1"), id("b/1/1")], StopReason::Budget)], "what costs nothing goes on");
    world.fail("b/1/1", "stopped");
    let failed = |event: &RunEvent| match event {
        RunEvent::StepFailed(event) => Some(event.failure.clone()),
        _other => None,
    };
    let failure = world.history.iter().find_map(|(_, event)| failed(event)).expect("the step failed");
    assert_eq!(failure.kind, FailureKind::Budget);
    assert_eq!(failure.message, "budget “hard” is used up: 1.50 USD of 1.00 USD");
    // A run that has ended takes no raise, and was said to.
    ["a/1/1", "c/1/1"].iter().for_each(|id| drop(world.fail(id, "stopped")));
    assert_eq!(world.state.status(), RunStatus::Failed);
    let hint = failure.hint.as_deref().unwrap_or_default();
    let (blocked, failed) = hint.split_once("; where it has failed").expect("both are told");
    assert!(blocked.contains("everfold budget RUN --add") && blocked.contains("everfold unblock RUN STEP"));
    assert!(failed.contains("everfold retry RUN") && !failed.contains("budget RUN"), "{hint}");
    let raised = InputKind::RaiseBudget { budget: None, add: money(1.0), reason: Some("go".into()) };
    assert!(matches!(world.by("ada", raised), Err(Refusal::Ended(_))));
    world.check_fold();
}

#[test]
fn l31_behind_a_limit_that_running_work_passed_the_first_that_waits_is_named() {
    let steps = json!([agent("a", &[]), agent("b", &["a"]), agent("c", &["a"])]);
    let mut world = world(json!([{"id": "hard", "cost": "1 USD", "on_over": "stop"}]), steps);
    world.want_funds("a/1/1");
    world.use_up(&id("a/1/1"), 1_500_000);
    // It had ended before it could be stopped.
    world.succeed("a/1/1", json!(1));
    let named = |world: &World| -> Vec<Option<AttemptId>> {
        let named = |event: &RunEvent| match event {
            RunEvent::BudgetExceeded(event) => Some(event.id.clone()),
            _other => None,
        };
        world.history.iter().filter_map(|(_, event)| named(event)).collect()
    };
    assert_eq!(named(&world), [None]);
    assert_eq!(names(&world.want_funds("b/1/1")), ["FundsRequested", "BudgetExceeded"]);
    assert_eq!(names(&world.want_funds("c/1/1")), ["FundsRequested"], "the first is named");
    assert_eq!(named(&world), [None, Some(id("b/1/1"))]);
    assert_eq!(raise(&mut world, None, money(1.0)), ["BudgetRaised", "FundsGranted", "FundsGranted"]);
    world.check_fold();
}

/// It ended the paid work whose end would have made room, or the run.
#[test]
fn l31_what_is_reserved_for_work_that_runs_ends_nothing_where_a_budget_stops_or_fails() {
    for (on_over, used, then) in [
        ("stop", 300_000, RunStatus::Running),
        ("fail", 300_000, RunStatus::Running),
        ("stop", 700_000, RunStatus::Paused),
        ("fail", 700_000, RunStatus::Failed),
    ] {
        let hard = json!([{"id": "hard", "cost": "1 USD", "reserve": "0.60 USD", "on_over": on_over}]);
        let mut world = world(hard, json!([agent("a", &[]), agent("b", &[])]));
        world.want_funds("a/1/1");
        assert_eq!(
            names(&world.want_funds("b/1/1")),
            ["FundsRequested"],
            "{on_over}: it waits for the first"
        );
        assert_eq!(world.state.status(), RunStatus::Running);
        world.use_up(&id("a/1/1"), used);
        world.succeed("a/1/1", json!(1));
        if then == RunStatus::Failed {
            world.finish("b/1/1", Ok(JsonText::null()));
        }
        let all = world.names();
        assert_eq!(world.state.status(), then, "{on_over} {used}: {all:?}");
        assert_eq!(all.last() == Some(&"FundsGranted"), used == 300_000, "{on_over} {used}: {all:?}");
        // Behind what was spent the second does not fit, whatever comes of the first.
        assert_eq!(all.contains(&"BudgetExceeded"), used == 700_000, "{on_over} {used}: {all:?}");
        world.check_fold();
    }
}

#[test]
fn l31_fail_fails_the_run() {
    let chain = json!([agent("a", &[]), agent("b", &["a"])]);
    let mut world = world(json!([{"id": "strict", "cost": "1 USD", "on_over": "fail"}]), chain);
    spend(&mut world, "a/1/1", 1.0);
    world.want_funds("b/1/1");
    world.finish("b/1/1", Ok(JsonText::null()));
    assert_eq!(world.state.status(), RunStatus::Failed);
    let (failure, path) = world.state.failure().expect("it failed");
    assert_eq!((failure.kind, path.map(ToString::to_string)), (FailureKind::Budget, Some("b".into())));
    // The run has ended, so its budget takes nothing more.
    let hint = failure.hint.as_deref().unwrap_or_default();
    assert!(
        hint.contains("everfold restart RUN --from STEP --definition FILE") && !hint.contains("--add"),
        "{failure:?}"
    );
    world.check_fold();
}

#[test]
fn l31_wall_is_the_time_of_the_run_without_pauses() {
    let steps = json!([{"id": "w", "work": {"wait": {"signal": "go"}}}]);
    let mut world = world(json!([{"id": "time", "wall": "1h", "on_over": "fail"}]), steps);
    let hour = 60 * 60 * 1_000;
    let begun = world.now.0;
    assert_eq!(until(&world), Some(Timestamp(begun + hour)));
    world.now = Timestamp(begun + hour / 2);
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).unwrap();
    assert_eq!(until(&world), None, "timers of a paused run stand still");
    world.now = Timestamp(begun + 3 * hour);
    world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).unwrap();
    // It was due while the run was paused: half an hour is left.
    assert_eq!(fire(&mut world), ["TimerFired", "TimerSet"]);
    let left = until(&world).unwrap().0 - world.now.0;
    assert!((hour / 2 - 100..=hour / 2 + 100).contains(&left), "{left}");
    assert_eq!(fire(&mut world).get(1), Some(&"BudgetExceeded"));
    assert_eq!(world.state.status(), RunStatus::Failed);
    world.check_fold();
}

#[test]
fn l31_exempt_work_starts_whatever_the_budgets_say_and_counts_towards_none() {
    let mut flat = agent("b", &["a"]);
    flat["budget_exempt"] = json!("input.n == 1");
    let mut unclear = agent("c", &["b"]);
    unclear["budget_exempt"] = json!("input.missing == 1");
    let mut world =
        world(json!([{"id": "budget", "cost": "1 USD"}]), json!([agent("a", &[]), flat, unclear]));
    spend(&mut world, "a/1/1", 1.0);
    assert_eq!(names(&world.want_funds("b/1/1")), ["FundsRequested", "FundsGranted"]);
    world.use_up(&id("b/1/1"), 5_000_000);
    world.succeed("b/1/1", json!(1));
    let view = world.state.budgets(world.now).next().unwrap();
    assert_eq!(view.used.spent.cost_micros, 1_000_000);
    assert_eq!(world.state.usage().cost_micros, 6_000_000, "the run's own sum has all of it");
    assert_eq!(names(&world.want_funds("c/1/1"))[1], "BudgetExceeded", "what cannot be said counts as paid");
    world.check_fold();
}

#[test]
fn l31_work_that_waits_is_cancelled_with_its_run_and_reserves_nothing() {
    let mut world = world(json!([{"id": "budget", "cost": "0 USD"}]), json!([agent("a", &[])]));
    world.want_funds("a/1/1");
    world.by("ada", InputKind::Cancel(CancelRequested { reason: None })).unwrap();
    assert_eq!(world.effects(), [Effect::Stop { id: id("a/1/1") }]);
    world.fail("a/1/1", "stopped");
    assert_eq!(world.state.status(), RunStatus::Cancelled);
    assert_eq!(world.state.held_by_budgets().count(), 0);
    world.check_fold();
}

#[test]
fn l31_a_time_limit_inside_the_engine_begins_when_the_work_may_start() {
    let mut step = agent("a", &[]);
    step["work"] = json!({"task": {"kind": "function", "spec": {"name": "f"}}});
    step["timeout"] = json!("5s");
    let mut world = world(json!([{"id": "budget", "cost": "0 USD"}]), json!([step]));
    assert!(world.effects().iter().any(|effect| matches!(effect, Effect::Timer { .. })));
    world.want_funds("a/1/1");
    assert!(world.effects().is_empty(), "{:?}", world.effects());
    world.now = Timestamp(world.now.0 + 60_000);
    raise(&mut world, Some("budget"), money(1.0));
    let due = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Timer { at, .. } => Some(at.0 - world.now.0),
        _other => None,
    });
    assert_eq!(due, Some(5_000));
    world.check_fold();
}

#[test]
fn l31_a_deadline_runs_on_while_work_is_held_and_stands_still_only_in_a_pause() {
    let mut step = agent("a", &[]);
    step["deadline"] = json!("1h");
    step["on_fail"] = json!([{"to": "continue"}]);
    let mut world = world(json!([{"id": "budget", "cost": "0 USD"}]), json!([step]));
    let begun = world.now.0;
    let due = |world: &World| {
        world.effects().into_iter().find_map(|effect| match effect {
            Effect::Timer { timer, at } if timer.kind == TimerKind::Deadline => Some((timer, at)),
            _other => None,
        })
    };
    world.want_funds("a/1/1");
    assert_eq!(world.state.status(), RunStatus::Paused, "people see it stand still");
    let (timer, at) = due(&world).expect("a deadline");
    assert_eq!(at.0, begun + 3_600_000);
    world.now = at;
    let events =
        world.give(InputKind::TimerFired(TimerFired { timer, due: at })).expect("a timer is never refused");
    assert!(names(&events).contains(&"StopRequested"), "{:?}", names(&events));
    world.fail("a/1/1", "stopped");
    let failed = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::StepFailed(event) => Some(event.failure.kind),
        _other => None,
    });
    assert_eq!((failed, world.state.status()), (Some(FailureKind::Timeout), RunStatus::Succeeded));
    world.check_fold();
}

#[test]
fn l31_a_raise_says_what_is_wrong_with_it() {
    let two = json!([{"id": "money", "cost": "1 USD"}, {"id": "words", "tokens": 100}]);
    let mut world = world(two, json!([agent("a", &[])]));
    let mut refused = |budget: Option<&str>, add: Spent| {
        let kind = InputKind::RaiseBudget { budget: budget.map(str::to_owned), add, reason: None };
        world.by("ada", kind).expect_err("it is refused").to_string()
    };
    assert_eq!(refused(None, money(1.0)), "the run has several budgets, name one: money, words");
    assert_eq!(refused(Some("monney"), money(1.0)), "the run has no budget “monney”; it has money, words");
    assert_eq!(refused(Some("money"), Spent::default()), "budget “money” cannot be raised by nothing");
    assert_eq!(
        refused(Some("words"), money(1.0)),
        "budget “words” cannot be raised by money: it limits none"
    );
    let mut none = World::start(definition(json!({"name": "p", "steps": [agent("a", &[])]})), json!(1));
    let kind = InputKind::RaiseBudget { budget: None, add: money(1.0), reason: None };
    assert_eq!(none.by("ada", kind).expect_err("there is none").to_string(), "the run has no budget");
}

#[test]
fn l31_copied_facts_spend_nothing() {
    let chain = json!([agent("a", &[]), agent("b", &["a"])]);
    let mut world = world(json!([{"id": "budget", "cost": "1 USD"}]), chain);
    spend(&mut world, "a/1/1", 2.0);
    world.want_funds("b/1/1");
    let until = world.history.len();
    let mut other = world.forked(until, OriginKind::Fork, None).expect("it can be forked");
    let view = other.state.budgets(other.now).next().unwrap();
    assert_eq!((view.used.spent, view.over), (Spent::default(), None));
    let started = other.effects();
    let [Effect::Attempt { id, .. }] = started.as_slice() else { panic!("{started:?}") };
    assert_eq!(names(&other.want_funds(&id.to_string())), ["FundsRequested", "FundsGranted"]);
    let again = world.forked(until, OriginKind::Restart, Some(StepId::new("a"))).expect("it can begin anew");
    assert_eq!(again.state.budgets(again.now).next().unwrap().used.spent, Spent::default());
    again.check_fold();
}

#[test]
fn l31_pause_lets_running_work_end_and_several_budgets_count_side_by_side() {
    let two = json!([
        {"id": "money", "cost": "1 USD"},
        {"id": "words", "tokens": 1_000_000},
    ]);
    let mut world = world(two, json!([agent("a", &[]), agent("b", &[]), agent("c", &["a", "b"])]));
    world.want_funds("a/1/1");
    world.want_funds("b/1/1");
    world.use_up(&id("a/1/1"), 3_000_000);
    world.succeed("a/1/1", json!(1));
    assert_eq!(world.effects(), [attempt("b/1/1")], "what runs goes on");
    assert!(!world.names().contains(&"StopRequested"));
    assert_eq!(world.state.status(), RunStatus::Running);
    world.use_up(&id("b/1/1"), 200_000);
    assert!(names(&world.succeed("b/1/1", json!(1))).contains(&"StepSucceeded"));
    assert_eq!(names(&world.want_funds("c/1/1")), ["FundsRequested", "BudgetExceeded"]);
    assert_eq!(world.state.status(), RunStatus::Paused);
    let over: Vec<_> = world.state.budgets(world.now).filter_map(|budget| budget.over).collect();
    assert_eq!(over, [Measure::Cost], "of two, the one that is used up holds it");
    // The other one is not what is wanted.
    assert_eq!(raise(&mut world, Some("words"), Spent { tokens: 5, ..Spent::default() })[0], "BudgetRaised");
    assert_eq!(world.state.status(), RunStatus::Paused);
    assert_eq!(raise(&mut world, Some("money"), money(3.0)), ["BudgetRaised", "FundsGranted"]);
    world.check_fold();
}

#[test]
fn l31_tokens_are_a_limit_like_money() {
    let mut world = world(
        json!([{"id": "words", "tokens": 150}]),
        json!([agent("a", &[]), agent("b", &["a"]), agent("c", &["b"])]),
    );
    // Each uses 110.
    spend(&mut world, "a/1/1", 0.0);
    spend(&mut world, "b/1/1", 0.0);
    assert_eq!(names(&world.want_funds("c/1/1")), ["FundsRequested", "BudgetExceeded"]);
    let view = world.state.budgets(world.now).next().unwrap();
    assert_eq!((view.over, view.used.spent.tokens), (Some(Measure::Tokens), 220));
    let add = Spent { tokens: 100, ..Spent::default() };
    assert_eq!(raise(&mut world, None, add), ["BudgetRaised", "FundsGranted"]);
    world.check_fold();
}

#[test]
fn l31_a_scope_is_a_text_that_is_rendered_once_at_the_start() {
    let scope = |scope: &str, world: &World| {
        let terms: Vec<_> = world.state.shared_budgets().filter_map(|terms| terms.scope.clone()).collect();
        assert_eq!(terms, [scope]);
    };
    let team = json!([{"id": "team", "scope": "team-${input.n}-${run.pipeline}", "cost": "1 USD"}]);
    scope("team-1-p", &world(team, json!([agent("a", &[])])));
    // Without one it is this run alone, and no counter is asked.
    let mut own = world(json!([{"id": "own", "cost": "1 USD"}]), json!([agent("a", &[])]));
    assert_eq!(own.state.shared_budgets().count(), 0);
    assert_eq!(names(&own.want_funds("a/1/1")), ["FundsRequested", "FundsGranted"]);
}

/// What an attempt has used up so far; `is_billed`: it has ended, and says so itself.
fn used_so_far(world: &mut World, dollars: f64, is_billed: bool) -> Vec<&'static str> {
    let usage = Usage { input_tokens: 1_000, cost_micros: money(dollars).cost_micros, ..Usage::default() };
    let kind = InputKind::UsageSoFar { id: id("a/1/1"), usage, is_billed };
    names(&world.give(kind).expect("reports are never refused"))
}

#[test]
fn what_a_program_bills_at_its_end_takes_the_place_of_what_prices_counted() {
    let mut world =
        world(json!([{"id": "budget", "cost": "1 USD"}]), json!([agent("a", &[]), agent("b", &[])]));
    world.want_funds("a/1/1");
    assert_eq!(used_so_far(&mut world, 1.5, false), ["UsageRecorded"]);
    assert!(
        used_so_far(&mut world, 1.2, false).is_empty(),
        "a lower estimate, as by another table, is no news"
    );
    assert_eq!(names(&world.want_funds("b/1/1")), ["FundsRequested", "BudgetExceeded"]);
    assert_eq!(used_so_far(&mut world, 0.6, true), ["UsageRecorded", "FundsGranted"]);
    assert!(used_so_far(&mut world, 0.6, true).is_empty(), "said again");
    let view = world.state.budgets(world.now).next().unwrap();
    assert_eq!((view.summary().as_str(), view.over), ("0.60 USD of 1.00 USD", None));
    assert_eq!(world.state.usage().cost_micros, 600_000);
    assert_eq!(world.state.usage_of(&"a".into()).cost_micros, 600_000);
    world.succeed("a/1/1", json!(1));
    world.check_fold();
}

#[test]
fn a_bill_below_the_estimate_counts_for_shared_budgets_too() {
    let shared = json!([{"id": "team", "scope": "team", "cost": "5 USD", "reserve": "1 USD"}]);
    let mut world = world(shared, json!([agent("a", &[])]));
    world.want_funds("a/1/1");
    let answer = FundsAnswered { id: id("a/1/1"), refused: None, readings: Vec::new() };
    world.give(InputKind::FundsAnswered(answer)).expect("taken");
    used_so_far(&mut world, 1.5, false);
    used_so_far(&mut world, 0.25, true);
    world.by("ada", InputKind::Abandon(RunAbandoned { reason: None })).expect("taken");
    let (_, spent, _) = world.state.charge_of(&id("a/1/1")).expect("its run is over");
    assert_eq!((spent.cost_micros, spent.tokens), (250_000, 1_000));
}

#[test]
fn usage_beyond_all_numbers_is_counted_as_the_largest() {
    let mut world = world(json!([]), json!([agent("a", &[])]));
    for seq in [1, 2] {
        let all = u64::MAX;
        let usage = Usage {
            input_tokens: all,
            cached_tokens: all,
            output_tokens: all,
            cost_micros: all,
            ..Usage::default()
        };
        world
            .give(InputKind::Usage(UsageRecorded { id: id("a/1/1"), seq, usage, less_micros: 0 }))
            .expect("taken");
    }
    let used = world.state.usage();
    assert_eq!((used.input_tokens, used.output_tokens, used.cost_micros), (u64::MAX, u64::MAX, u64::MAX));
}

/// A counter that was compared with the run of an abandoned attempt counted nothing for it.
#[test]
fn what_an_abandoned_attempt_used_up_is_charged() {
    let shared = json!([{"id": "team", "scope": "team", "cost": "5 USD", "reserve": "1 USD"}]);
    let mut world = world(shared, json!([agent("a", &[])]));
    world.want_funds("a/1/1");
    let answer = FundsAnswered { id: id("a/1/1"), refused: None, readings: Vec::new() };
    world.give(InputKind::FundsAnswered(answer)).expect("taken");
    world.use_up(&id("a/1/1"), 250_000);
    assert_eq!(world.state.charge_of(&id("a/1/1")), None, "it is in progress");
    world.by("ada", InputKind::Abandon(RunAbandoned { reason: None })).expect("taken");
    let (_, spent, _) = world.state.charge_of(&id("a/1/1")).expect("its run is over");
    assert_eq!((spent.cost_micros, spent.tokens), (250_000, 110));
}
