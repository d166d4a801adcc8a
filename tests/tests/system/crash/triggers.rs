//! L28, T: deliveries and moments, with the real program killed in between.

use serde_json::Value;

use rustix::process::{Pid, Signal, kill_process};

use super::fixtures::{Lab, TRACE, await_that};

const INTAKE: &str = "name: intake\nkey: \"issue-${input.n}\"\nconcurrency: { key: all, limit: 1 }\ntriggers:\n  - hook: tracker\n    start: { input: { n: \"${event.body.n}\" } }\n    signal: again\non_signal: { again: { rework: a, max: 9 } }\nsteps:\n  - id: a\n    approval: { title: go on? }\n";

fn deliver(lab: &Lab, id: &str) -> Value {
    let done = lab.run(&["hook", "deliver", "tracker", "d.json", "--id", id, "--json"]);
    done.ended_with(0).json()
}

fn outcome(view: &Value) -> String {
    view["handled"][0]["outcomes"][0]["outcome"].as_str().unwrap_or_default().to_owned()
}

/// The owner in the background is killed, so that the next command is the owner.
fn kill_owner(lab: &Lab) {
    // One that has just begun to begin is not known yet: the run is at rest before.
    lab.run(&["resume", "@", "--no-wait"]).ended_with(6);
    if let Some(pid) = lab.owner().and_then(Pid::from_raw) {
        let _gone_by_itself = kill_process(pid, Signal::KILL);
    }
    let socket = lab.data().join("everfold.sock");
    await_that("no process owns the folder", || {
        std::os::unix::net::UnixStream::connect(&socket).is_err().then_some(())
    });
}

fn count(lab: &Lab) -> usize {
    lab.run(&["runs", "--json"]).ended_with(0).json()["items"].as_array().map_or(0, Vec::len)
}

#[test]
fn l28_a_kill_between_the_delivery_and_its_outcome_does_nothing_twice() {
    for event in ["DeliveryReceived", "RunStarted", "SlotGranted", "DeliveryHandled"] {
        let lab = Lab::with(INTAKE);
        lab.write("d.json", "{\"n\": \"7\"}");
        lab.run(&["pipeline", "save", "./p.yaml"]).ended_with(0);
        let args = ["--crash-after", event, "hook", "deliver", "tracker", "d.json", "--id", "d1"];
        lab.run(&args).was_killed();
        let view = deliver(&lab, "d1");
        assert_eq!(
            (outcome(&view).as_str(), &view["repeated"]),
            ("started", &true.into()),
            "{event}: {view}"
        );
        assert_eq!(count(&lab), 1, "{event}");
        let second = deliver(&lab, "d2");
        assert_eq!(outcome(&second), "signalled", "{event}: {second}");
        lab.run(&["approve", "@"]).ended_with(0);
        lab.run(&["resume", "@"]).ended_with(0);
        lab.run(&["replay", "@"]).ended_with(0);
        lab.run(&["store", "verify"]).ended_with(0);
    }
}

#[test]
fn l28_a_kill_around_a_signal_tells_the_run_once() {
    for event in ["SignalMeant", "SignalReceived", "DeliveryHandled"] {
        let lab = Lab::with(INTAKE);
        lab.write("d.json", "{\"n\": \"7\"}");
        lab.run(&["pipeline", "save", "./p.yaml"]).ended_with(0);
        assert_eq!(outcome(&deliver(&lab, "d1")), "started", "{event}");
        kill_owner(&lab);
        let args = ["--crash-after", event, "hook", "deliver", "tracker", "d.json", "--id", "d2"];
        lab.run(&args).was_killed();
        assert_eq!(outcome(&deliver(&lab, "d2")), "signalled", "{event}");
        let received = lab.events("@").iter().filter(|event| event.kind() == "SignalReceived").count();
        assert_eq!((received, count(&lab)), (1, 1), "{event}");
    }
}

#[test]
fn t_a_kill_between_a_moment_and_its_run_starts_it_exactly_once() {
    for event in ["TickDue", "RunStarted", "TickSettled"] {
        let lab = Lab::with(&format!("name: nightly\nsteps:\n  - id: a\n    command: '{TRACE}'\n"));
        lab.run(&["pipeline", "save", "./p.yaml"]).ended_with(0);
        // One moment by hand: no other one comes.
        lab.run(&["schedule", "add", "now", "nightly", "--every", "3650d", "--overlap", "queue"])
            .ended_with(0);
        lab.run(&["--crash-after", event, "schedule", "trigger", "now"]).was_killed();
        let serving = lab.start(&["serve", "--listen", "127.0.0.1:0"]);
        lab.await_owner();
        lab.await_status("succeeded");
        lab.await_ticks("now", 1);
        serving.signal(Signal::TERM);
        serving.end().ended_with(0);
        assert_eq!(count(&lab), 1, "{event}");
        lab.assert_trace(&["a 1 1"]);
        lab.run(&["store", "verify"]).ended_with(0);
    }
}

#[test]
fn t_while_it_serves_moments_come_and_after_a_kill_none_comes_twice() {
    let lab = Lab::with(
        "name: nightly\ntriggers:\n  - schedule: { every: 1s, catch_up: all, overlap: queue }\n    start: true\nsteps:\n  - id: a\n    command: 'true'\n",
    );
    lab.run(&["pipeline", "save", "./p.yaml"]).ended_with(0);
    for round in 1..=3 {
        let serving = lab.start(&["serve", "--listen", "127.0.0.1:0"]);
        lab.await_owner();
        lab.await_ticks("nightly:1", 2 * round);
        serving.kill().was_killed();
    }
    let serving = lab.start(&["serve", "--listen", "127.0.0.1:0"]);
    lab.await_owner();
    lab.run(&["schedule", "pause", "nightly:1"]).ended_with(0);
    serving.kill().was_killed();
    // Each moment has one run, and each run one moment.
    let shown = lab.run(&["schedule", "show", "nightly:1", "--json"]).ended_with(0).json();
    let ticks = shown["ticks"].as_array().unwrap();
    // One that came right before the pause leads to nothing.
    let ticks = ticks.iter().filter(|tick| tick["outcome"] != "ignored");
    let ticks: Vec<&Value> = ticks.collect();
    let mut moments: Vec<&str> = ticks.iter().map(|tick| tick["at"].as_str().unwrap()).collect();
    let mut runs: Vec<&str> = ticks.iter().map(|tick| tick["runs"][0].as_str().unwrap()).collect();
    let before = (moments.len(), runs.len());
    moments.dedup();
    runs.sort_unstable();
    runs.dedup();
    assert_eq!((moments.len(), runs.len()), before, "{shown}");
}
