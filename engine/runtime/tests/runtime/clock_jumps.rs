//! A clock that jumps: set ahead for a moment and back again, set back for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use everfold_base::id::RunId;
use everfold_base::json::Payload;
use everfold_base::time::Timestamp;
use everfold_core::event::{NoteAdded, RunEvent, RunPaused, RunResumed, SignalReceived};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use everfold_system::clock::{Clock, Stopwatch};
use serde_json::json;

use crate::fixtures::test_engine::{Rig, pipeline, virtual_clock};
use crate::fixtures::trigger_setup::{every, pass, runs, save};

const HOUR: i64 = 3_600_000;
/// A jump is noticed within this, where nothing else happens.
const NOTICED: Duration = Duration::from_secs(6);

/// The machine's clock, and by how much it is wrong.
struct Machine {
    rig: Rig,
    ahead: Arc<AtomicI64>,
}

impl Machine {
    fn new() -> Self {
        Self::with(10_000)
    }

    fn with(states: usize) -> Self {
        let ahead = Arc::new(AtomicI64::new(0));
        let (right, wrong) = (virtual_clock(), Arc::clone(&ahead));
        let clock: Clock = Arc::new(move || Timestamp(right().0 + wrong.load(Ordering::SeqCst)));
        let rig = Rig::with(|config| (config.clock, config.states) = (clock, states));
        Self { rig, ahead }
    }

    fn set(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
    }

    /// How long it takes until the run is over, by a watch.
    async fn takes(&self, run: RunId) -> Duration {
        let since = Stopwatch::start();
        assert_eq!(self.rig.end(run).await, RunStatus::Succeeded);
        self.rig.assert_replays(run).await;
        let times: Vec<_> = self.rig.envelopes(run).await.iter().map(|it| it.header.recorded_at).collect();
        assert!(times.is_sorted(), "what is recorded never goes back: {times:?}");
        since.elapsed()
    }
}

fn waits(span: &str) -> Arc<Definition> {
    pipeline(vec![json!({"id": "pause", "work": {"wait": {"for": span}}})])
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn row_07_what_was_set_while_the_clock_was_ahead_counts_from_when_it_is_right_again() {
    let machine = Machine::new();
    machine.set(HOUR);
    let run = machine.rig.start(&waits("10s")).await;
    seconds(1).await;
    machine.set(0);
    let took = machine.takes(run).await;
    assert!(took >= Duration::from_secs(9) && took <= Duration::from_secs(10) + NOTICED, "{took:?}");
}

/// Years that no calendar of the machine has, before 1970 and behind 9999.
#[tokio::test(start_paused = true)]
async fn row_07_a_clock_that_shows_an_impossible_year_ends_nothing_and_holds_nothing_up_for_good() {
    for year in [-60, 8_100, 200_000] {
        let machine = Machine::new();
        let document = pipeline(vec![
            json!({"id": "one", "work": {"wait": {"for": "10s"}}}),
            json!({"id": "two", "needs": ["one"], "work": {"wait": {"for": "10s"}}}),
        ]);
        let run = machine.rig.start(&document).await;
        machine.set(year * 366 * 24 * HOUR);
        seconds(7).await;
        let meanwhile = machine.rig.start(&waits("10s")).await;
        seconds(1).await;
        machine.set(0);
        let took = machine.takes(run).await + machine.takes(meanwhile).await;
        assert!(took <= Duration::from_secs(40) + NOTICED, "year {year}: {took:?}");
        assert_eq!(machine.rig.engine.set_aside(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn row_07_a_run_that_recorded_something_while_the_clock_was_ahead_waits_no_longer_than_it_should_afterwards()
 {
    let machine = Machine::new();
    let document = pipeline(vec![
        json!({"id": "hear", "work": {"wait": {"signal": "go"}}}),
        json!({"id": "one", "needs": ["hear"], "work": {"wait": {"for": "10s"}}}),
        json!({"id": "two", "needs": ["one"], "work": {"wait": {"for": "10s"}}}),
    ]);
    let run = machine.rig.start(&document).await;
    machine.set(HOUR);
    machine.rig.submit(run, InputKind::Note(NoteAdded { text: "ahead".into() })).await.unwrap();
    seconds(1).await;
    machine.set(0);
    let go = InputKind::Signal(SignalReceived {
        name: "go".into(),
        payload: Payload::Inline(json!(null).into()),
        delivery: None,
    });
    machine.rig.submit(run, go).await.unwrap();
    let took = machine.takes(run).await;
    assert!(took >= Duration::from_secs(20) && took < Duration::from_secs(21), "{took:?}");
    let names = machine.rig.names(run).await;
    assert!(names.contains(&"ClockRead"), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn row_07_later_runs_and_a_restart_know_nothing_of_a_clock_that_was_ahead() {
    for is_taken_up in [true, false] {
        let mut machine = Machine::new();
        machine.set(HOUR);
        let first = machine.rig.start(&waits("10s")).await;
        seconds(1).await;
        machine.set(0);
        if is_taken_up {
            machine.rig.crash().await;
            machine.rig.recover().await;
        }
        let later = machine.rig.start(&waits("10s")).await;
        let took = machine.takes(later).await;
        assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?}");
        assert!(machine.takes(first).await <= NOTICED);
    }
}

#[tokio::test(start_paused = true)]
async fn row_07_runs_that_left_memory_are_woken_by_the_clock_that_is_right_again() {
    let machine = Machine::with(1);
    machine.rig.recover().await;
    machine.set(HOUR);
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(machine.rig.start(&waits("20s")).await);
    }
    seconds(1).await;
    machine.set(0);
    let since = Stopwatch::start();
    for run in runs {
        machine.takes(run).await;
    }
    assert!(since.elapsed() <= Duration::from_secs(20) + 2 * NOTICED, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn row_07_a_backoff_a_time_limit_and_a_pause_are_spans_too() {
    let machine = Machine::new();
    let document = pipeline(vec![
        json!({"id": "hear", "work": {"wait": {"signal": "go"}}}),
        json!({
            "id": "tries", "needs": ["hear"], "retry": {"attempts": 3, "backoff_min": "5s", "backoff_max": "5s"},
            "work": {"task": {"kind": "function", "spec": {"name": "fail", "with": {}}}},
        }),
    ]);
    let run = machine.rig.start(&document).await;
    machine.set(HOUR);
    machine.rig.submit(run, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await.unwrap();
    seconds(1).await;
    machine.set(0);
    machine.rig.submit(run, InputKind::Resume(RunResumed { reason: None, prompt: None })).await.unwrap();
    let go = InputKind::Signal(SignalReceived {
        name: "go".into(),
        payload: Payload::Inline(json!(null).into()),
        delivery: None,
    });
    machine.rig.submit(run, go).await.unwrap();
    let since = Stopwatch::start();
    let status = machine.rig.end(run).await;
    assert!(since.elapsed() <= Duration::from_secs(30), "{status:?} after {:?}", since.elapsed());
    machine.rig.assert_replays(run).await;
}

/// A clock that was right and is set back for good: spans go on, a moment of the calendar is waited for.
#[tokio::test(start_paused = true)]
async fn row_07_a_clock_that_is_set_back_for_good_makes_spans_no_longer_and_moments_later() {
    let machine = Machine::new();
    let moment = (machine.rig.config.clock)().plus(Duration::from_secs(60));
    let until = pipeline(vec![json!({"id": "pause", "work": {"wait": {"until": moment.to_string()}}})]);
    let (by_span, by_moment) = (machine.rig.start(&waits("60s")).await, machine.rig.start(&until).await);
    seconds(10).await;
    machine.set(-HOUR);
    // How much of it had passed is unknown: it counts as a whole.
    let took = machine.takes(by_span).await;
    assert!(took <= Duration::from_secs(60) + NOTICED, "{took:?}");
    let took = machine.takes(by_moment).await;
    assert!(took > Duration::from_secs(3_000), "{took:?}");
    let fired = machine.rig.history(by_moment).await;
    assert!(fired.iter().any(|event| matches!(event, RunEvent::TimerFired(fired) if fired.due == moment)));
}

#[tokio::test(start_paused = true)]
async fn row_07_a_clock_that_jumps_ahead_and_stays_there_fires_what_is_due_by_it() {
    let machine = Machine::new();
    let run = machine.rig.start(&waits("30m")).await;
    seconds(1).await;
    machine.set(HOUR);
    assert!(machine.takes(run).await <= NOTICED);
}

/// They waited for the hour by which the clock had been wrong.
#[tokio::test(start_paused = true)]
async fn runs_that_left_memory_learn_of_the_jump_also_where_the_store_cannot_name_them_at_once() {
    let machine = Machine::with(1);
    machine.rig.recover().await;
    machine.set(HOUR);
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(machine.rig.start(&waits("20s")).await);
    }
    seconds(1).await;
    machine.set(0);
    machine.rig.store.looks_to_fail.store(1, Ordering::SeqCst);
    let since = Stopwatch::start();
    for run in runs {
        machine.takes(run).await;
    }
    assert_eq!(machine.rig.store.looks_to_fail.load(Ordering::SeqCst), 0, "it failed meanwhile");
    assert!(since.elapsed() <= Duration::from_secs(20) + 2 * NOTICED, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_schedule_goes_on_at_once_where_the_clock_is_set_back() {
    let machine = Machine::new();
    machine.set(HOUR);
    save(&machine.rig, &every(json!({"every": "10s", "overlap": "allow"}))).await;
    pass(&machine.rig, 30).await;
    let before = runs(&machine.rig).await;
    assert!(before >= 2, "{before}");
    machine.set(0);
    pass(&machine.rig, 30).await;
    let after = runs(&machine.rig).await;
    assert!(after >= before + 2, "{before} {after}");
    let next = machine.rig.engine.schedules().await.unwrap().remove(0).next.unwrap();
    assert!(next < Timestamp(1_790_000_000_000 + HOUR), "{next}");
}
