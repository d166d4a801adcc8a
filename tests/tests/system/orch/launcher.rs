//! What ORCH asks of its launcher, its queue and its worktrees, of the real program with real processes (O134–O151).
//!
//! The rest of these rules stands in the tests of the parts; `docs/guides/orch-rules.md` says where.

use crate::crash::fixtures::{Event, Lab, await_that, lines, places};

/// A pipeline of one step `NAME` that works until it is let go.
fn work(name: &str) -> String {
    format!(
        "name: {name}\nsteps:\n  - id: {name}\n    on_lost: retry\n    command: |\n      echo \"begin {name} $EVERFOLD_ATTEMPT\" >> \"$TRACE\"\n      until [ -e \"$LAB/go\" ]; do sleep 0.02; done\n      echo \"end {name} $EVERFOLD_ATTEMPT\" >> \"$TRACE\"\n"
    )
}

#[test]
fn o134_after_a_crash_each_job_that_ran_is_queued_once_more_and_their_number_is_said_first() {
    let lab = Lab::new();
    lab.write("first.yaml", &work("first"));
    lab.write("second.yaml", &work("second"));
    let server = lab.start(&["serve", "--listen", "127.0.0.1:0"]);
    lab.await_owner();
    for name in ["first", "second"] {
        lab.run(&["run", &format!("./{name}.yaml"), "--detach"]).ended_with(0);
        await_that("it works", || lab.trace().contains(&format!("begin {name} 1")).then_some(()));
        lab.await_attempt(&format!("{name}-r1-a1"), "lock");
    }
    server.kill().was_killed();
    // The machine goes down: the supervisors and what they ran are gone, too.
    for name in ["first", "second"] {
        lab.vanish(&format!("{name}-r1-a1"));
    }
    let mut command = lab.command(&["serve", "--listen", "127.0.0.1:0", "--log", "text"]);
    let log = std::fs::File::create(lab.path("serve.log")).unwrap();
    command.env("EVERFOLD_LOG", "info").stdout(std::process::Stdio::null()).stderr(log);
    let mut server = command.spawn().unwrap();
    for name in ["first", "second"] {
        await_that("it works again", || lab.trace().contains(&format!("begin {name} 2")).then_some(()));
    }
    lab.go();
    for name in ["first", "second"] {
        await_that("it ends", || lab.trace().contains(&format!("end {name} 2")).then_some(()));
    }
    server.kill().unwrap();
    server.wait().unwrap();
    let trace = lab.trace();
    assert_eq!(trace.iter().filter(|line| line.starts_with("begin")).count(), 4, "once each: {trace:?}");
    let said = lines(&lab.path("serve.log"));
    let at = |text: &str| said.iter().position(|line| line.contains(text));
    let recovered = at("runs that a former engine left go on").unwrap_or_else(|| panic!("{said:#?}"));
    assert!(said[recovered].contains("runs=2"), "{}", said[recovered]);
    assert!(recovered < at("AttemptStarted").unwrap(), "before the first begins: {said:#?}");
    for run in lab.run(&["runs", "--json"]).json()["items"].as_array().unwrap() {
        let events: Vec<Event> = lab.events(run["id"].as_str().unwrap());
        assert_eq!(places(&events, "AttemptLost").len(), 1, "{run}");
    }
    lab.await_quiet();
}

#[test]
fn o135_no_more_run_at_once_than_are_allowed_and_each_begins_once() {
    let lab = Lab::new();
    lab.settings("[limits]\nprocesses = 2\n");
    let step = "{ id: ID, needs: [], command: 'echo begin ID >> \"$TRACE\"; sleep 0.05; echo end ID >> \"$TRACE\"' }";
    let steps: String = (0..8).map(|n| format!("  - {}\n", step.replace("ID", &format!("s{n}")))).collect();
    lab.write("p.yaml", &format!("name: p\nsteps:\n{steps}"));
    // Two commands that both want the run to go on: one owner claims for both.
    let engines = [
        lab.start(&["run", "./p.yaml", "--idempotency-key", "k"]),
        lab.start(&["run", "./p.yaml", "--idempotency-key", "k"]),
    ];
    for engine in engines {
        engine.end().ended_with(0);
    }
    let (mut now, mut peak) = (0_i32, 0_i32);
    let trace = lab.trace();
    for line in &trace {
        now += if line.starts_with("begin") { 1 } else { -1 };
        peak = peak.max(now);
    }
    assert_eq!((trace.len(), peak), (16, 2), "{trace:?}");
    lab.assert_left_in_order();
}
