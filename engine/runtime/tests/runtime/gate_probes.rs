//! Probes of several members, woken, rechecked and reset ones.

use std::time::Duration;

use everfold_base::id::RunId;
use everfold_base::json::Payload;
use everfold_core::event::{
    CancelRequested, GateEvaluated, RecheckRequested, RunEvent, SignalReceived, TimerKind,
};
use everfold_core::input::InputKind;
use everfold_core::policy::Verdict;
use everfold_core::state::RunStatus;
use serde_json::{Value, json};

use crate::fixtures::test_engine::{Rig, function, pipeline};

/// A probe that takes so long, and has evidence from the `passes_at`th time on.
fn asked(name: &str, passes_at: u32, ms: u64) -> Value {
    json!({"task": {"kind": "command", "spec": {"argv": [name, passes_at.to_string(), ms.to_string()]}}})
}

fn gated(id: &str, needs: &[&str], gate: Value) -> Value {
    json!({"id": id, "needs": needs, "gates": [gate]})
}

async fn verdicts(rig: &Rig, run: RunId) -> Vec<GateEvaluated> {
    let history = rig.history(run).await;
    let verdicts = history.into_iter().filter_map(|event| match event {
        RunEvent::GateEvaluated(verdict) => Some(verdict),
        _other => None,
    });
    verdicts.collect()
}

async fn assert_verdicts_hold(rig: &Rig, run: RunId) {
    let replayed = rig.engine.replay(run).await.unwrap();
    assert_eq!(replayed.differences, []);
    assert_eq!(replayed.verdicts, verdicts(rig, run).await.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn l15_members_are_asked_at_the_same_time_and_again_after_a_crash() {
    let mut rig = Rig::new();
    let members = ["a", "b", "c"].map(|name| json!({"id": name, "probe": asked(name, 1, 10_000)}));
    let gate = json!({"id": "g", "probe": {"all": members}});
    let run = rig.start(&pipeline(vec![gated("check", &[], gate)])).await;
    rig.until(run, |event| matches!(event, RunEvent::ProbeScheduled(_))).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.machine.probes.lock().unwrap().len(), 3);
    rig.crash().await;
    rig.recover().await;
    let before = (rig.config.clock)();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let took = (rig.config.clock)().since(before);
    assert!(took < Duration::from_secs(15), "{took:?}");
    let [verdict] = verdicts(&rig, run).await.try_into().unwrap();
    assert_eq!((verdict.probe_no, verdict.reason.as_str()), (1, "all 3 pass: a, b, c"));
    assert_verdicts_hold(&rig, run).await;
}

#[tokio::test(start_paused = true)]
async fn l15_a_member_without_evidence_is_asked_again_with_the_others() {
    let rig = Rig::new();
    let members = [("a", 1), ("b", 3)].map(|(name, at)| json!({"id": name, "probe": asked(name, at, 0)}));
    let gate = json!({"id": "g", "probe": {"all": members}, "poll": {"every": "5s", "max": 5}});
    let run = rig.start(&pipeline(vec![gated("check", &[], gate)])).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let said: Vec<Verdict> = verdicts(&rig, run).await.iter().map(|verdict| verdict.verdict).collect();
    assert_eq!(said, [Verdict::Pending, Verdict::Pending, Verdict::Pass]);
    assert_verdicts_hold(&rig, run).await;
}

#[tokio::test(start_paused = true)]
async fn o033_after_a_crash_behind_the_seventh_poll_the_eighth_follows_on_schedule_and_waiting_holds_no_place()
 {
    let mut rig = Rig::new();
    let members =
        [("push", 1), ("ci", 10)].map(|(name, at)| json!({"id": name, "probe": asked(name, at, 0)}));
    let gate = json!({"id": "ci", "probe": {"all": members}, "poll": {"every": "10s", "max": 12}});
    let run = rig.start(&pipeline(vec![gated("check", &[], gate)])).await;
    let begun = (rig.config.clock)();
    for poll in 1..=7 {
        let is_it =
            |event: &RunEvent| matches!(event, RunEvent::GateEvaluated(verdict) if verdict.probe_no == poll);
        rig.until(run, is_it).await;
    }
    let seventh = (rig.config.clock)().since(begun);
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    rig.recover().await;
    // Meanwhile another run is done: a gate that waits holds nothing.
    let other = rig.start(&pipeline(vec![function("other", &[], "ok", json!({}))])).await;
    assert_eq!(rig.end(other).await, RunStatus::Succeeded);
    assert_eq!(verdicts(&rig, run).await.len(), 7);
    let is_eighth =
        |event: &RunEvent| matches!(event, RunEvent::GateEvaluated(verdict) if verdict.probe_no == 8);
    rig.until(run, is_eighth).await;
    let pause = (rig.config.clock)().since(begun) - seventh;
    assert!(pause >= Duration::from_secs(10) && pause < Duration::from_secs(11), "{pause:?}");
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let polls: Vec<u32> = verdicts(&rig, run).await.iter().map(|verdict| verdict.probe_no).collect();
    assert_eq!(polls, (1..=10).collect::<Vec<u32>>());
    assert_verdicts_hold(&rig, run).await;
}

#[tokio::test(start_paused = true)]
async fn l17_a_signal_wakes_a_gate_long_before_its_poll() {
    let rig = Rig::new();
    let gate =
        json!({"id": "g", "probe": asked("ci", 2, 0), "wake": ["ci"], "poll": {"every": "1h", "max": 9}});
    let run = rig.start(&pipeline(vec![gated("check", &[], gate)])).await;
    rig.until(run, |event| matches!(event, RunEvent::TimerSet(set) if set.timer.kind == TimerKind::Poll))
        .await;
    let before = (rig.config.clock)();
    let signal = InputKind::Signal(SignalReceived {
        name: "ci".into(),
        payload: Payload::Inline(json!(null).into()),
        delivery: None,
    });
    rig.submit(run, signal).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let took = (rig.config.clock)().since(before);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_verdicts_hold(&rig, run).await;
}

#[tokio::test(start_paused = true)]
async fn l14_a_probe_that_answers_after_its_round_was_reset_is_recorded() {
    let rig = Rig::new();
    let gate = json!({"id": "g", "probe": asked("slow", 1, 30_000)});
    let mut other = function("other", &["build"], "fail", json!({}));
    other["on_fail"] = json!([{"to": {"rework": "build"}, "max": {"times": 1}, "then": {"to": "continue"}}]);
    let steps = vec![function("build", &[], "ok", json!({})), gated("check", &["build"], gate), other];
    let run = rig.start(&pipeline(steps)).await;
    rig.until(run, |event| matches!(event, RunEvent::RunSucceeded(_))).await;
    let ids: Vec<String> = verdicts(&rig, run).await.iter().map(|verdict| verdict.id.to_string()).collect();
    assert_eq!(ids, ["check/1/1", "check/2/1"]);
    assert_verdicts_hold(&rig, run).await;
}

#[tokio::test(start_paused = true)]
async fn l18_a_recheck_asks_anew_while_the_former_probe_still_ends() {
    let rig = Rig::new();
    let gate = json!({"id": "g", "probe": asked("slow", 1, 30_000)});
    let run = rig.start(&pipeline(vec![gated("check", &[], gate)])).await;
    rig.until(run, |event| matches!(event, RunEvent::ProbeScheduled(_))).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let recheck = InputKind::Recheck(RecheckRequested {
        path: "check".parse().unwrap(),
        policies: [("g".to_owned(), "evidence.exit == 0".to_owned())].into(),
        reason: Some("a flake".to_owned()),
    });
    rig.submit(run, recheck).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let [verdict] = verdicts(&rig, run).await.try_into().unwrap();
    assert_eq!((verdict.probe_no, verdict.policy.as_str()), (2, "evidence.exit == 0"));
    assert_eq!(rig.machine.probes.lock().unwrap().values().sum::<usize>(), 2, "each once");
    assert_verdicts_hold(&rig, run).await;
}

#[tokio::test(start_paused = true)]
async fn l14_the_gates_of_a_step_are_probed_in_order_each_after_the_former_passed() {
    let rig = Rig::new();
    let gates: Vec<Value> = [("first", 2, 10), ("second", 1, 5_000), ("third", 1, 1)]
        .map(|(name, passes_at, ms)| {
            json!({"id": name, "probe": asked(name, passes_at, ms), "poll": {"every": "1s", "max": 3}})
        })
        .into();
    let run = rig.start(&pipeline(vec![json!({"id": "check", "gates": gates})])).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let history = rig.history(run).await;
    let order: Vec<String> = history
        .iter()
        .filter_map(|event| match event {
            RunEvent::ProbeScheduled(probe) => Some(format!("{}?", probe.gate)),
            RunEvent::GateEvaluated(verdict) => Some(format!("{}!", verdict.gate)),
            _other => None,
        })
        .collect();
    assert_eq!(order, ["first?", "first!", "second?", "second!", "third?", "third!"]);
    let failed = history.iter().filter(|event| matches!(event, RunEvent::ProbeFailed(_))).count();
    assert_eq!(failed, 1, "the first had no evidence at first");
    assert_verdicts_hold(&rig, run).await;
}

/// It kept its place in the queue, kept its run in memory, and was called later.
#[tokio::test(start_paused = true)]
async fn a_probe_that_is_stopped_while_it_waits_for_its_place_is_never_called() {
    let rig = Rig::with(|config| config.probes_max = 1);
    let gate = |name: &str| json!({"id": "g", "probe": asked(name, 1, 30_000)});
    let first = rig.start(&pipeline(vec![gated("check", &[], gate("first"))])).await;
    rig.until(first, |event| matches!(event, RunEvent::ProbeScheduled(_))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let other = rig.start(&pipeline(vec![gated("check", &[], gate("other"))])).await;
    rig.until(other, |event| matches!(event, RunEvent::ProbeScheduled(_))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.engine.waiting(other, 10).1, 1, "it waits for its place");
    rig.submit(other, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(other).await, RunStatus::Cancelled);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.engine.waiting(other, 10).1, 0);
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let called: Vec<String> = rig.machine.probes.lock().unwrap().keys().cloned().collect();
    assert!(called.len() == 1 && called[0].contains("first"), "{called:?}");
}
