//! L31: budgets that runs share, and paid work that asks before it starts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::failure::FailureKind;
use everfold_base::id::{Position, RunId};
use everfold_base::json::Value;
use everfold_core::budgets::{Counter, OwnLimit, OwnLimitSet};
use everfold_core::event::{CancelRequested, RunEvent, Spent};
use everfold_core::input::InputKind;
use everfold_core::state::{RunState, RunStatus};
use everfold_language::definition::{Definition, Period};
use everfold_runtime::Which;
use serde_json::json;

use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, definition, function};

/// One paid step that takes `ms` and costs `cents`.
fn paid(budget: Value, ms: u64, cents: u64) -> Arc<Definition> {
    let step = function("work", &[], "paid", json!({"ms": ms, "cents": cents}));
    definition(json!({"name": "p", "budgets": [budget], "steps": [step]}))
}

async fn counter(rig: &Rig) -> Counter {
    let counters = rig.engine.budget_counters().await.unwrap();
    counters.into_iter().map(|(_, counter)| counter).next().unwrap_or_default()
}

/// Waits until the only counter says so.
async fn until_counter(rig: &Rig, wanted: impl Fn(&Counter) -> bool) {
    let mut log = rig.engine.subscribe(Position::FIRST);
    let found = async {
        while !wanted(&counter(rig).await) {
            log.next().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(3_600), found).await.expect("the counter comes to say so");
}

async fn held(rig: &Rig, run: RunId) -> usize {
    rig.engine.with_state(run, |state: &RunState| state.held_by_budgets().count()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn l31_runs_that_share_a_scope_share_its_counter_and_a_raise_in_one_lets_it_go_on() {
    let rig = Rig::new();
    let team = json!({"id": "team", "scope": "team", "cost": "1 USD", "reserve": "0.30 USD"});
    let definition = paid(team, 50, 40);
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(rig.start(&definition).await);
    }
    let last = loop {
        let mut waiting = Vec::new();
        for run in &runs {
            if held(&rig, *run).await == 1 {
                waiting.push(*run);
            }
        }
        if let [only] = waiting.as_slice() {
            break *only;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for run in runs.iter().filter(|run| **run != last) {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
    }
    // Three ran at once; they exceeded the limit by no more than what they used beyond their reserves.
    until_counter(&rig, |counter| counter.used().spent.cost_micros == 1_200_000).await;
    assert_eq!(rig.status(last).await, RunStatus::Paused);
    assert_eq!(counter(&rig).await.used().reserved_micros, 0);
    let add = Spent { cost_micros: 1_000_000, ..Spent::default() };
    let kind = InputKind::RaiseBudget { budget: None, add, reason: Some("one more".into()) };
    rig.submit(last, kind).await.unwrap();
    assert_eq!(rig.end(last).await, RunStatus::Succeeded);
    until_counter(&rig, |counter| counter.used().spent.cost_micros == 1_600_000).await;
    for run in runs {
        rig.assert_replays(run).await;
    }
    assert_eq!(rig.machine.begun(), 4, "each began once");
}

#[tokio::test(start_paused = true)]
async fn l31_a_new_day_lets_every_run_go_on_that_waited_for_a_shared_budget() {
    let rig = Rig::new();
    let daily = json!({"id": "daily", "scope": "all", "per": "day", "cost": "0.40 USD"});
    let definition = paid(daily, 5, 40);
    let first = rig.start(&definition).await;
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    until_counter(&rig, |counter| counter.used().spent.cost_micros == 400_000).await;
    let second = rig.start(&definition).await;
    rig.until(second, |event| matches!(event, RunEvent::BudgetExceeded(_))).await;
    assert_eq!(rig.status(second).await, RunStatus::Paused);
    // Virtual time goes on to the timer by itself.
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    let names = rig.names(second).await;
    for name in ["TimerSet", "TimerFired", "FundsGranted"] {
        assert!(names.contains(&name), "{names:?}");
    }
    rig.assert_replays(second).await;
}

#[tokio::test(start_paused = true)]
async fn l31_a_budget_of_the_run_alone_is_nobody_elses() {
    let rig = Rig::new();
    let own = json!({"id": "own", "cost": "0.40 USD"});
    for _ in 0..2 {
        let run = rig.start(&paid(own.clone(), 1, 40)).await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    assert!(rig.engine.budget_counters().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn l31_a_run_that_its_own_budget_holds_keeps_nothing_of_a_shared_one_from_others() {
    let rig = Rig::new();
    let team = json!({"id": "team", "scope": "team", "cost": "1 USD", "reserve": "0.60 USD"});
    let work = |id: &str, needs: &[&str]| function(id, needs, "paid", json!({"ms": 5, "cents": 40}));
    let held = definition(json!({
        "name": "held",
        "budgets": [team, {"id": "own", "cost": "0.40 USD"}],
        "steps": [work("a", &[]), work("b", &["a"])],
    }));
    let run = rig.start(&held).await;
    rig.until(run, |event| matches!(event, RunEvent::BudgetExceeded(_))).await;
    until_counter(&rig, |counter| counter.used().reserved_micros == 0).await;
    let other = rig.start(&paid(team, 5, 40)).await;
    assert_eq!(rig.end(other).await, RunStatus::Succeeded);
    assert_eq!(rig.status(run).await, RunStatus::Paused);
    for budget in ["own", "team"] {
        let add = Spent { cost_micros: 1_000_000, ..Spent::default() };
        let kind = InputKind::RaiseBudget { budget: Some(budget.into()), add, reason: None };
        rig.submit(run, kind).await.unwrap();
    }
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    until_counter(&rig, |counter| counter.used().spent.cost_micros == 1_200_000).await;
    assert_eq!(counter(&rig).await.used().reserved_micros, 0);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn s9_what_its_own_budget_held_is_counted_exactly_once_whenever_the_engine_dies() {
    for seed in 0..40_u64 {
        let mut rig = Rig::new();
        rig.store.delay_ms.store(seed % 4, Ordering::SeqCst);
        let work = |id: &str| function(id, &[], "paid", json!({"ms": 10, "cents": 10}));
        let definition = definition(json!({
            "name": "p",
            "budgets": [
                {"id": "team", "scope": "team", "cost": "9 USD", "reserve": "0.50 USD"},
                {"id": "own", "cost": "0.25 USD", "reserve": "0.15 USD"},
            ],
            "steps": [work("a"), work("b"), work("c"), work("d")],
        }));
        let runs = [rig.start(&definition).await, rig.start(&definition).await];
        for turn in 0..5 {
            if (seed + turn) % 4 == 0 {
                rig.store.fail_next(Fault::Kept);
            }
            if turn == 3 {
                for run in runs {
                    let add = Spent { cost_micros: 1_000_000, ..Spent::default() };
                    let kind = InputKind::RaiseBudget { budget: Some("own".into()), add, reason: None };
                    rig.submit(run, kind).await.unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis((seed * 7 + turn * 13) % 40)).await;
            rig.crash().await;
            rig.recover().await;
        }
        for run in runs {
            assert_eq!(rig.end(run).await, RunStatus::Succeeded, "seed {seed}");
            rig.assert_replays(run).await;
        }
        let is_settled = |counter: &Counter| counter.reserved().count() == 0;
        until_counter(&rig, |counter| is_settled(counter) && counter.used().spent.cost_micros >= 800_000)
            .await;
        let used = counter(&rig).await.used();
        assert_eq!((used.spent.cost_micros, used.reserved_micros), (800_000, 0), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn s9_whenever_the_engine_dies_every_use_is_counted_exactly_once() {
    for seed in 0..40_u64 {
        let mut rig = Rig::new();
        rig.store.delay_ms.store(seed % 4, std::sync::atomic::Ordering::SeqCst);
        let team = json!({"id": "team", "scope": "team", "cost": "9 USD", "reserve": "0.50 USD"});
        let definition = paid(team, 30, 10);
        let mut runs = Vec::new();
        for _ in 0..5 {
            runs.push(rig.start(&definition).await);
        }
        for turn in 0..5 {
            if (seed + turn) % 4 == 0 {
                rig.store.fail_next(Fault::Kept);
            }
            tokio::time::sleep(Duration::from_millis((seed * 7 + turn * 13) % 40)).await;
            rig.crash().await;
            rig.recover().await;
        }
        for run in &runs {
            assert_eq!(rig.end(*run).await, RunStatus::Succeeded, "seed {seed}");
            rig.assert_replays(*run).await;
        }
        let is_settled = |counter: &Counter| counter.reserved().count() == 0;
        until_counter(&rig, |counter| is_settled(counter) && counter.used().spent.cost_micros >= 500_000)
            .await;
        let used = counter(&rig).await.used();
        assert_eq!((used.spent.cost_micros, used.reserved_micros), (500_000, 0), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn l31_a_run_that_ends_while_it_waits_leaves_nothing_reserved() {
    let rig = Rig::new();
    let team = json!({"id": "team", "scope": "team", "cost": "0.50 USD", "reserve": "0.50 USD"});
    let definition = paid(team, 200, 10);
    let (first, second) = (rig.start(&definition).await, rig.start(&definition).await);
    let is_waiting = |event: &RunEvent| matches!(event, RunEvent::BudgetExceeded(_));
    rig.until(second, is_waiting).await;
    rig.submit(second, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(second).await, RunStatus::Cancelled);
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    until_counter(&rig, |counter| counter.reserved().count() == 0).await;
    assert_eq!(counter(&rig).await.used().spent.cost_micros, 100_000);
    assert_eq!(rig.machine.begun(), 1);
}

/// What could not be counted at once was tried again though the run had ended meanwhile, and kept something
/// free for ever.
#[tokio::test(start_paused = true)]
async fn l31_what_was_asked_before_the_end_and_could_not_be_counted_keeps_nothing_free_behind_it() {
    let rig = Rig::new();
    let team = json!({"id": "team", "scope": "team", "cost": "0.50 USD", "reserve": "0.50 USD"});
    let definition = paid(team, 200, 10);
    // The counter is the first that is read.
    rig.store.reads_to_fail.store(1, Ordering::SeqCst);
    let run = rig.start(&definition).await;
    rig.until(run, |event| matches!(event, RunEvent::FundsRequested(_))).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(rig.store.reads_to_fail.load(Ordering::SeqCst), 0, "it could not be read");
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(counter(&rig).await.reserved().count(), 0);
    let next = rig.start(&definition).await;
    assert_eq!(rig.end(next).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn l31_what_runs_is_stopped_and_its_run_fails_when_another_run_passes_the_limit() {
    for on_over in ["stop", "fail"] {
        let rig = Rig::new();
        let team = json!({"id": "team", "scope": "team", "cost": "0.50 USD", "on_over": on_over});
        let long = rig.start(&paid(team.clone(), 600_000, 1)).await;
        rig.until(long, |event| matches!(event, RunEvent::FundsGranted(_))).await;
        let short = rig.start(&paid(team, 50, 60)).await;
        // Its work had ended when it passed the limit; as with a budget of its own, that fails the run all the same.
        let passes = if on_over == "fail" { RunStatus::Failed } else { RunStatus::Succeeded };
        assert_eq!(rig.end(short).await, passes, "{on_over}");
        assert_eq!(rig.end(long).await, RunStatus::Failed, "{on_over}");
        let history = rig.history(long).await;
        let failed = history.iter().find_map(|event| match event {
            RunEvent::RunFailed(event) => Some(event.failure.kind),
            _other => None,
        });
        assert_eq!(failed, Some(FailureKind::Budget), "{on_over}: {history:?}");
        let names = rig.names(long).await;
        assert!(
            names.contains(&"BudgetExceeded") && names.contains(&"StopRequested"),
            "{on_over}: {names:?}"
        );
        until_counter(&rig, |counter| counter.reserved().count() == 0).await;
        rig.assert_replays(long).await;
        rig.assert_replays(short).await;
    }
}

/// Its run was stopped, or failed, though the end of the other would have made room.
#[tokio::test(start_paused = true)]
async fn l31_what_is_reserved_for_another_run_ends_nothing_where_a_budget_stops_or_fails() {
    for (on_over, cents, then) in [
        ("stop", 5, RunStatus::Succeeded),
        ("fail", 5, RunStatus::Succeeded),
        ("stop", 20, RunStatus::Paused),
        ("fail", 20, RunStatus::Failed),
    ] {
        let rig = Rig::new();
        let team = json!({"id": "team", "scope": "team", "cost": "0.60 USD", "reserve": "0.50 USD", "on_over": on_over});
        let first = rig.start(&paid(team.clone(), 600_000, cents)).await;
        rig.until(first, |event| matches!(event, RunEvent::FundsGranted(_))).await;
        let second = rig.start(&paid(team, 50, 5)).await;
        rig.until(second, |event| matches!(event, RunEvent::FundsRequested(_))).await;
        assert_eq!(rig.status(second).await, RunStatus::Running, "{on_over} {cents}");
        assert_eq!(rig.end(first).await, RunStatus::Succeeded);
        if then == RunStatus::Paused {
            rig.until(second, |event| matches!(event, RunEvent::BudgetExceeded(_))).await;
            assert_eq!(rig.status(second).await, then);
        } else {
            assert_eq!(rig.end(second).await, then, "{on_over} {cents}");
        }
        let names = rig.names(second).await;
        let is_used_up = then != RunStatus::Succeeded;
        assert_eq!(names.contains(&"BudgetExceeded"), is_used_up, "{on_over} {cents}: {names:?}");
        rig.assert_replays(first).await;
        rig.assert_replays(second).await;
    }
}

/// A run that ends, and an owner that ends before the counter hears of it.
async fn ended_unheard(rig: &mut Rig, definition: &Arc<Definition>) -> RunId {
    let run = rig.start(definition).await;
    rig.until(run, |event| matches!(event, RunEvent::FundsGranted(_))).await;
    rig.store.counters_stand.store(true, Ordering::SeqCst);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.crash().await;
    assert_eq!(counter(rig).await.used().reserved_micros, 500_000);
    run
}

#[tokio::test(start_paused = true)]
async fn d9_what_is_reserved_for_a_run_that_ended_right_before_its_owner_is_free_for_the_next() {
    let mut rig = Rig::new();
    let team = json!({"id": "team", "scope": "team", "cost": "0.60 USD", "reserve": "0.50 USD"});
    let definition = paid(team, 20, 5);
    ended_unheard(&mut rig, &definition).await;
    // No engine drives the first run, and the second one asks for what was reserved for it.
    let second = rig.start(&definition).await;
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    until_counter(&rig, |counter| counter.reserved().count() == 0).await;
    assert_eq!(counter(&rig).await.used().spent.cost_micros, 100_000, "each use counts once");
    assert!(!rig.names(second).await.contains(&"BudgetExceeded"), "it did not have to wait");
}

#[tokio::test(start_paused = true)]
async fn d9_counters_are_compared_with_their_runs_at_a_start() {
    let mut rig = Rig::new();
    let team = json!({"id": "team", "scope": "team", "cost": "0.60 USD", "reserve": "0.50 USD"});
    let definition = paid(team, 20, 5);
    let first = ended_unheard(&mut rig, &definition).await;
    let other = rig.start(&function_only()).await;
    rig.end(other).await;
    rig.engine.recover(Which::Only(other)).await.unwrap();
    until_counter(&rig, |counter| counter.reserved().count() == 0).await;
    assert_eq!(counter(&rig).await.used().spent.cost_micros, 50_000);
    // When the run is gone on with it says so once more, and that is no news.
    rig.recover().await;
    rig.until(first, |event| matches!(event, RunEvent::SpendReported(_))).await;
    assert_eq!(counter(&rig).await.used().spent.cost_micros, 50_000);
    rig.assert_replays(first).await;
}

#[tokio::test(start_paused = true)]
async fn d9_work_that_lives_on_keeps_what_is_reserved_for_it() {
    let mut rig = Rig::new();
    let team = json!({"id": "team", "scope": "team", "cost": "0.60 USD", "reserve": "0.50 USD"});
    let definition = paid(team, 400, 5);
    let first = rig.start(&definition).await;
    rig.until(first, |event| matches!(event, RunEvent::FundsGranted(_))).await;
    rig.crash().await;
    let second = rig.start(&definition).await;
    rig.until(second, |event| matches!(event, RunEvent::BudgetExceeded(_))).await;
    assert_eq!(counter(&rig).await.used().reserved_micros, 500_000);
    rig.recover().await;
    for run in [first, second] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    }
}

/// The book of a counter is read, and the run is not, because the disk is full by then.
#[tokio::test(start_paused = true)]
async fn d9_a_counter_is_compared_again_with_a_run_that_could_not_be_read() {
    let team = json!({"id": "team", "scope": "team", "cost": "0.60 USD", "reserve": "0.50 USD"});
    let definition = paid(team, 20, 5);
    for full_after_ms in [50, 150, 250, 350] {
        let mut rig = Rig::new();
        let first = ended_unheard(&mut rig, &definition).await;
        let other = rig.start(&function_only()).await;
        rig.end(other).await;
        rig.store.read_delay_ms.store(100, Ordering::SeqCst);
        let recovering = rig.engine.recover(Which::Only(other));
        let filling = async {
            tokio::time::sleep(Duration::from_millis(full_after_ms)).await;
            rig.store.set_full(true);
            tokio::time::sleep(Duration::from_secs(2)).await;
            rig.store.set_full(false);
        };
        let _whether_it_was_read = tokio::join!(recovering, filling);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let counter = counter(&rig).await;
        assert_eq!(counter.reserved().count(), 0, "full after {full_after_ms} ms");
        assert_eq!(counter.used().spent.cost_micros, 50_000, "full after {full_after_ms} ms");
        assert!(!rig.names(first).await.contains(&"SpendReported"), "no engine drives it");
    }
}

fn function_only() -> Arc<Definition> {
    definition(json!({"name": "q", "steps": [function("a", &[], "ok", json!({}))]}))
}

#[tokio::test(start_paused = true)]
async fn l31_a_run_that_was_refused_and_leaves_memory_is_not_loaded_again_to_be_told_the_same() {
    let rig = Rig::with(|config| config.states = 0);
    // Runs with timers leave memory where the wake task runs.
    rig.recover().await;
    let daily = json!({"id": "daily", "scope": "all", "per": "day", "cost": "0.40 USD"});
    let definition = paid(daily, 5, 40);
    let first = rig.start(&definition).await;
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    until_counter(&rig, |counter| counter.used().spent.cost_micros == 400_000).await;
    let second = rig.start(&definition).await;
    rig.until(second, |event| matches!(event, RunEvent::BudgetExceeded(_))).await;
    // No sleep: where it is loaded over and over, no virtual time passes.
    let many_turns = async || {
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
    };
    many_turns().await;
    let reads = rig.store.reads.load(Ordering::SeqCst);
    many_turns().await;
    assert_eq!(rig.store.reads.load(Ordering::SeqCst), reads, "it waits, and is not read");
    assert_eq!(rig.end(second).await, RunStatus::Succeeded, "the next day");
    rig.assert_replays(second).await;
}

fn own_limit(cost_micros: u64) -> OwnLimitSet {
    OwnLimitSet {
        scope: "team".into(),
        per: Period::Total,
        zone: None,
        limit: OwnLimit { cost_micros: Some(cost_micros), ..OwnLimit::default() },
        written: None,
        reason: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_scope_itself_holds_work_and_a_raise_of_it_lets_all_that_waited_go_on() {
    let mut rig = Rig::new();
    let ada = || Actor::User("ada".into());
    // The limit stands before any run names the scope, and the pipeline has none.
    rig.engine.set_own_limit(own_limit(500_000), ada()).await.unwrap();
    let team = json!({"id": "team", "scope": "team", "reserve": "0.40 USD"});
    let definition = paid(team, 50, 40);
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(rig.start(&definition).await);
    }
    until_counter(&rig, |counter| counter.used().spent.cost_micros == 400_000).await;
    for run in &runs[1..] {
        rig.until(*run, |event| matches!(event, RunEvent::BudgetExceeded(_))).await;
        assert_eq!(rig.status(*run).await, RunStatus::Paused);
    }
    // It is kept over a crash, and raising it by too little lets one go on.
    rig.crash().await;
    rig.recover().await;
    let raised = rig.engine.set_own_limit(own_limit(800_000), ada()).await.unwrap();
    assert!(raised.change.changed);
    until_counter(&rig, |counter| counter.used().spent.cost_micros == 800_000).await;
    let again = rig.engine.set_own_limit(own_limit(800_000), ada()).await.unwrap();
    assert_eq!((again.change.changed, again.resumed.len()), (false, 0), "the same again changes nothing");
    let raised = rig.engine.set_own_limit(own_limit(2_000_000), ada()).await.unwrap();
    assert_eq!(raised.resumed.len(), 1);
    for run in runs {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    assert_eq!(counter(&rig).await.own().unwrap().limit.cost_micros, Some(2_000_000));
}

#[tokio::test(start_paused = true)]
async fn the_smaller_of_the_limits_of_a_run_and_of_its_scope_counts_and_one_that_is_passed_stops_work() {
    let rig = Rig::new();
    let ada = || Actor::User("ada".into());
    rig.engine.set_own_limit(own_limit(9_000_000), ada()).await.unwrap();
    let own = json!({"id": "team", "scope": "team", "cost": "0.30 USD", "reserve": "0.40 USD"});
    let small = rig.start(&paid(own, 50, 40)).await;
    rig.until(small, |event| matches!(event, RunEvent::BudgetExceeded(_))).await;
    assert_eq!(rig.status(small).await, RunStatus::Paused, "the run's own limit is the smaller one");
    let stops = json!({"id": "team", "scope": "team", "cost": "100 USD", "on_over": "stop"});
    let cheap = rig.start(&paid(stops.clone(), 10, 50)).await;
    assert_eq!(rig.end(cheap).await, RunStatus::Succeeded);
    let long = rig.start(&paid(stops, 60_000, 50)).await;
    rig.until(long, |event| matches!(event, RunEvent::FundsGranted(_))).await;
    until_counter(&rig, |counter| counter.used().spent.cost_micros == 500_000).await;
    rig.engine.set_own_limit(own_limit(100_000), ada()).await.unwrap();
    assert_eq!(rig.end(long).await, RunStatus::Failed);
    let failure =
        rig.engine.with_state(long, |state| state.failure().map(|(failure, _)| failure.clone())).await;
    let failure = failure.unwrap().unwrap();
    assert_eq!(failure.kind, FailureKind::Budget);
    assert!(failure.message.contains("the limit of its scope leaves no room"), "{}", failure.message);
}
