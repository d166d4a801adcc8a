//! Child runs, slots and copied histories: the program is killed between every two appends that belong
//! together. No child is started twice, no slot is lost or given twice, no copy is taken for a run.

use serde_json::json;

use super::fixtures::{Lab, TRACE, places};

const PARENT: &str = "name: parent
key: task
concurrency: { key: repo }
steps:
  - { id: before, command: 'TRACE_LINE' }
  - { id: call, run: { pipeline: ./child.yaml, input: { n: 7 } } }
  - { id: after, command: 'TRACE_LINE' }
output: '${steps.call.output}'
";

const CHILD: &str = "name: child
concurrency: { key: child, limit: 2 }
steps:
  - { id: work, command: 'TRACE_LINE' }
output: '${input.n}'
";

fn lab() -> Lab {
    let lab = Lab::with(&PARENT.replace("TRACE_LINE", TRACE));
    lab.write("child.yaml", &CHILD.replace("TRACE_LINE", TRACE));
    lab
}

#[test]
fn l25_d9_a_child_runs_once_and_slots_come_back_wherever_the_program_is_killed() {
    for event in [
        "RunStarted",
        "SlotGranted",
        "RunAdmitted",
        "ChildStarted",
        "ChildFinished",
        "StepSucceeded",
        "RunSucceeded",
        "SlotReleased",
    ] {
        let lab = lab();
        let start = ["run", "./p.yaml", "--idempotency-key", "k"];
        for crash in 0..3 {
            let mut args = start.to_vec();
            if crash < 2 {
                args.extend(["--crash-after", event]);
            }
            let done = lab.run(&args);
            assert!(done.code.is_none() || done.code == Some(0), "{event}: {done:?}");
        }
        let parent = lab.run(&["runs", "--pipeline", "parent", "--json"]).json();
        let parent = parent["items"][0]["id"].as_str().unwrap().to_owned();
        lab.run(&["resume", &parent]).ended_with(0);
        assert_eq!(lab.view(&parent)["output"], 7, "{event}");
        let mut trace = lab.trace();
        trace.sort();
        assert_eq!(trace, ["after 1 1", "before 1 1", "work 1 1"], "{event}");
        let children = lab.run(&["runs", "--parent", &parent, "--json"]).json();
        assert_eq!(children["items"].as_array().unwrap().len(), 1, "{event}");
        // Key and slots are free again.
        lab.run(&["run", "./p.yaml"]).ended_with(0);
        assert_eq!(lab.trace().len(), 6, "{event}");
        lab.assert_left_in_order();
    }
}

#[test]
fn d9_who_waits_goes_on_wherever_the_program_is_killed() {
    let text = format!(
        "name: p\nconcurrency: {{ key: one }}\nsteps:\n  - {{ id: a, command: '{TRACE}' }}\n  - {{ id: ok, approval: {{ title: 'Right?' }} }}\n"
    );
    for event in ["RunQueued", "SlotRequested", "SlotReleased", "SlotGranted", "RunAdmitted"] {
        let lab = Lab::with(&text);
        lab.run(&["run", "./p.yaml", "--no-wait"]).ended_with(6);
        let first = lab.view("@")["id"].as_str().unwrap().to_owned();
        let asked =
            lab.run(&["run", "./p.yaml", "--no-wait", "--idempotency-key", "k", "--crash-after", event]);
        assert!(asked.code.is_none() || asked.code == Some(6), "{event}: {asked:?}");
        if asked.code.is_some() {
            assert_eq!(lab.view("@")["status"], "queued", "{event}");
        }
        let second = lab.view("@")["id"].as_str().unwrap().to_owned();
        assert_ne!(first, second);
        lab.run(&["approve", &first, "--crash-after", event]);
        lab.run(&["resume", &first]).ended_with(0);
        lab.run(&["resume", &second, "--no-wait", "--crash-after", event]);
        lab.run(&["resume", &second, "--no-wait"]).ended_with(6);
        lab.run(&["approve", &second]);
        lab.run(&["resume", &second]).ended_with(0);
        lab.assert_trace(&["a 1 1", "a 1 1"]);
        assert_eq!(places(&lab.events(&second), "RunAdmitted").len(), 1, "{event}");
        lab.assert_left_in_order();
    }
}

#[test]
fn d11_a_copy_is_whole_or_no_run_wherever_the_program_is_killed() {
    let text = format!(
        "name: p\nsteps:\n  - {{ id: a, command: '{TRACE}' }}\n  - {{ id: b, command: '{TRACE}; test -e $LAB/fixed' }}\n"
    );
    for event in ["Copied", "RunForked", "RunAdmitted"] {
        let lab = Lab::with(&text);
        lab.run(&["run", "./p.yaml"]).ended_with(1);
        let origin = lab.view("@")["id"].as_str().unwrap().to_owned();
        lab.write("fixed", "");
        lab.run(&["retry", &origin, "--crash-after", event]).was_killed();
        let listed = lab.run(&["runs", "--json"]).json();
        let count = listed["items"].as_array().unwrap().len();
        if event == "Copied" {
            assert_eq!(count, 1, "a copy alone is no run");
            lab.run(&["retry", &origin]).ended_with(0);
        } else {
            assert_eq!(count, 2);
            lab.run(&["resume", "@"]).ended_with(0);
        }
        lab.assert_trace(&["a 1 1", "b 1 1", "b 1 1"]);
        assert_eq!(lab.view("@")["origin"]["run"], json!(origin));
        lab.assert_left_in_order();
    }
}
