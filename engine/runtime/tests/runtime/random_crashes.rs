//! Engines that die at random moments: nothing that finished runs twice, nothing is lost.

use std::collections::HashMap;
use std::time::Duration;

use everfold_core::state::RunStatus;
use serde_json::json;

use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, command, definition, function, is_end};

/// A small generator, so that a seed says everything.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

async fn crashes(seed: u64) {
    let mut dice = Dice(seed);
    let mut rig = Rig::with(|config| config.states = 4);
    let steps = json!([
        function("a", &[], "slow", json!({"ms": 30})),
        command("b", &["a"], 120),
        {"id": "c", "needs": ["a"], "foreach": {"items": "${[1, 2, 3, 4]}", "max_in_flight": 2},
         "work": {"task": {"kind": "command", "spec": {"argv": ["sleep", "40"]}}}},
        {"id": "d", "needs": ["b"], "work": {"wait": {"for": "70ms"}}},
        function("e", &["c", "d"], "ok", json!({})),
    ]);
    let definition = definition(json!({"name": "p", "steps": steps}));
    let mut runs = Vec::new();
    for _ in 0..12 {
        runs.push(rig.start(&definition).await);
    }
    for _ in 0..15 {
        rig.store.delay_ms.store(dice.roll(4), std::sync::atomic::Ordering::SeqCst);
        match dice.roll(4) {
            0 => rig.store.fail_next(Fault::Kept),
            1 => rig.store.fail_next(Fault::Dropped),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(40))).await;
        rig.crash().await;
        tokio::time::sleep(Duration::from_millis(dice.roll(60))).await;
        rig.recover().await;
    }
    for run in &runs {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded, "EVERFOLD_SEED={seed}");
        assert_eq!(rig.history(*run).await.iter().filter(|event| is_end(event)).count(), 1);
        rig.assert_replays(*run).await;
    }
    let begun = rig.machine.begun.lock().unwrap().clone();
    let ended = rig.machine.ended.lock().unwrap().clone();
    let mut processes: HashMap<_, usize> = HashMap::new();
    for (id, count) in &begun {
        if ["b", "c"].contains(&id.attempt.path.step.as_str()) {
            assert_eq!(*count, 1, "EVERFOLD_SEED={seed}: {id} was begun twice");
            *processes.entry(id.run).or_default() += 1;
        }
        if id.attempt.path.step.as_str() != "a" {
            continue;
        }
        // A function may be sent again when it was cut off; never once its result is recorded.
        let whole = ended.get(id).copied().unwrap_or(0);
        assert!(whole >= 1, "EVERFOLD_SEED={seed}: {id} never ended");
    }
    assert!(runs.iter().all(|run| processes[run] == 5), "EVERFOLD_SEED={seed}: {processes:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_no_process_begins_twice_whenever_the_engine_dies() {
    match std::env::var("EVERFOLD_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => crashes(seed).await,
        None => {
            for seed in 1..=20 {
                crashes(seed).await;
            }
        }
    }
}

/// The other process of the test below.
#[tokio::test(start_paused = true)]
async fn dies_here() {
    let Ok(event) = std::env::var("EVERFOLD_TEST_CRASH_AFTER") else { return };
    let rig = Rig::with(|config| config.crash_after = Some(event));
    let run = rig.start(&crate::fixtures::test_engine::chain(3)).await;
    rig.end(run).await;
}

#[test]
fn the_process_kills_itself_right_after_the_named_event() {
    use std::os::unix::process::ExitStatusExt as _;
    for (event, signal) in [("StepSucceeded", Some(9)), ("RunSucceeded", Some(9)), ("RunFailed", None)] {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "random_crashes::dies_here", "-q"])
            .env("EVERFOLD_TEST_CRASH_AFTER", event)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!((status.signal(), status.success()), (signal, signal.is_none()), "{event}");
    }
}
