//! What the clock says, where that is less than what the run has recorded: spans count by it, moments stay.

use everfold_base::time::Timestamp;
use everfold_core::effect::Effect;
use everfold_core::event::{ClockRead, RunEvent, TimerFired, TimerKind};
use everfold_core::input::InputKind;
use serde_json::json;

use crate::fixtures::gates::{PENDING, command, exit, judged, probes};
use crate::fixtures::scenario::{function, names, run, timer, wait};
use crate::fixtures::simulated_run::{World, definition};

const HOUR: i64 = 3_600_000;

/// The clock is found at `clock`, which is less than what is recorded.
fn read(world: &mut World, clock: i64) -> Vec<RunEvent> {
    world.give(InputKind::ClockRead(ClockRead { clock: Timestamp(clock) })).expect("readings are taken")
}

/// The next input is recorded at the moment of the last one, as where the clock is still behind the record.
fn hold(world: &mut World) {
    world.now = Timestamp(world.now.0 - 7);
}

fn due(world: &World, kind: TimerKind) -> i64 {
    timer(world, kind).expect("it is set").1.0
}

#[test]
fn row_07_a_span_that_was_set_while_the_clock_was_ahead_begins_anew_by_what_it_says_now() {
    let mut world = run(json!([function("a", &[]), wait("w", &["a"], json!({"for": "10s"}))]));
    let right = world.now.0;
    world.now = Timestamp(right + HOUR);
    world.succeed("a/1/1", json!(1));
    assert_eq!(due(&world, TimerKind::Wait), world.now.0 + 10_000);
    assert_eq!(names(&read(&mut world, right + 50)), ["ClockRead"]);
    assert_eq!(due(&world, TimerKind::Wait), right + 50 + 10_000);
    world.check_fold();
    // A clock that goes on from there moves nothing that was set by it.
    hold(&mut world);
    assert_eq!(names(&read(&mut world, right + 3_050)), ["ClockRead"]);
    assert_eq!(due(&world, TimerKind::Wait), right + 50 + 10_000);
    world.check_fold();
}

#[test]
fn row_07_what_follows_a_reading_counts_from_it_and_is_recorded_no_earlier() {
    let mut world = run(json!([function("a", &[]), wait("w", &["a"], json!({"for": "10s"}))]));
    let right = world.now.0;
    world.now = Timestamp(right + HOUR);
    read(&mut world, right + 50);
    hold(&mut world);
    world.succeed("a/1/1", json!(1));
    assert_eq!(due(&world, TimerKind::Wait), right + 50 + 10_000);
    let times: Vec<_> = world.history.iter().map(|(meta, _)| meta.at).collect();
    assert!(times.is_sorted(), "{times:?}");
    world.check_fold();
}

#[test]
fn row_07_a_moment_of_the_calendar_is_waited_for_whatever_the_clock_said_when_it_was_set() {
    let moment = 1_000_000 + 2 * HOUR;
    let until = json!({"until": Timestamp(moment).to_string()});
    let mut world = run(json!([function("a", &[]), wait("w", &["a"], until)]));
    let right = world.now.0;
    world.now = Timestamp(right + HOUR);
    world.succeed("a/1/1", json!(1));
    read(&mut world, right + 50);
    assert_eq!(due(&world, TimerKind::Wait), moment);
}

#[test]
fn row_07_polls_go_on_by_the_clock_and_the_same_evidence_is_judged_alike_by_it() {
    let policy = format!("gate.elapsed >= 1200000 ? 'fail' : ({PENDING})");
    let gate = command("g", json!({"policy": policy, "poll": {"every": "30s", "timeout": "10m"}}));
    let mut world = judged(json!([gate]));
    let right = world.now.0;
    world.now = Timestamp(right + HOUR);
    read(&mut world, right + 1_000);
    hold(&mut world);
    // An hour has passed in the record, and a second by the clock; every verdict is given again by the world's laws.
    assert_eq!(names(&world.probe("a/1/1", "g", 1, exit(2))), ["GateEvaluated", "TimerSet"]);
    assert_eq!(due(&world, TimerKind::Poll), right + 1_000 + 30_000);
    assert_eq!(probes(&world), []);
    hold(&mut world);
    read(&mut world, right + 500);
    assert_eq!(due(&world, TimerKind::Poll), right + 500 + 30_000);
    world.check_fold();
}

#[test]
fn row_07_a_reading_that_says_nothing_new_is_no_event() {
    let mut world = run(json!([function("a", &[])]));
    let later = world.now.0 + HOUR;
    assert_eq!(names(&read(&mut world, later)), [""; 0], "it is ahead: records follow it by themselves");
    let right = world.now.0 - 500;
    assert_eq!(names(&read(&mut world, right)), ["ClockRead"]);
    hold(&mut world);
    assert_eq!(names(&read(&mut world, right)), [""; 0], "it is known");
    world.succeed("a/1/1", json!(1));
    assert_eq!(names(&read(&mut world, right)), [""; 0], "nothing of a run that has ended counts");
}

/// Between two readings the clock goes on: what is due by it is due, and is not set again for the rest.
#[test]
fn row_07_a_timer_that_fires_says_that_its_moment_has_come() {
    let document = json!({
        "name": "p", "steps": [function("a", &[])], "budgets": [{"id": "wall", "wall": "9s", "on_over": "fail"}],
    });
    let mut world = World::start(definition(document), json!({}));
    let (effect, at) = timer(&world, TimerKind::Budget).expect("it is set");
    let Effect::Timer { timer, .. } = effect else { panic!("{effect:?}") };
    world.now = Timestamp(world.now.0 + HOUR);
    read(&mut world, at.0 - 2);
    hold(&mut world);
    let batch = world.give(InputKind::TimerFired(TimerFired { timer, due: at })).expect("taken");
    assert_eq!(names(&batch)[..2], ["TimerFired", "BudgetExceeded"]);
    world.check_fold();
}

#[test]
fn row_07_a_budget_of_time_takes_nothing_for_what_the_clock_went_back() {
    let document = json!({
        "name": "p", "steps": [function("a", &[])], "budgets": [{"id": "wall", "wall": "2h", "on_over": "fail"}],
    });
    let mut world = World::start(definition(document), json!({}));
    let right = world.now.0;
    let before = due(&world, TimerKind::Budget);
    world.now = Timestamp(right + HOUR);
    read(&mut world, right + 50);
    let now = due(&world, TimerKind::Budget);
    assert!(now >= before && now <= before + 50, "{before} then {now}");
    world.check_fold();
}
