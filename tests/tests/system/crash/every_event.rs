//! "Append not acknowledged", and everything between two appends: the program is killed right behind
//! each kind of event, several times, over pipelines in which they all occur. What then ends is what
//! would have ended, and nothing was executed twice or never.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use super::fixtures::{Done, Lab, TRACE, await_that, places};

/// Kills behind one kind of event before the run is let go.
const CRASHES: usize = 2;
/// Labs at work at once: most of them wait most of the time.
const WORKERS: usize = 6;

/// Everything that goes without people, then people.
const RICH: &str = r#"
name: rich
workspace: { git: repo, branch: work, save: commit }
defaults: { on_lost: retry }
search: { of: "${run.short_id}", done: { type: number } }
steps:
  - id: first
    command: |
      TRACE_LINE
      echo '{"everfold": {"search": {"done": 1}, "usage": {"model": "m", "input_tokens": 5, "output_tokens": 7, "cost": 0.01}}}' > "$EVERFOLD_OUTPUT"
  - id: flaky
    retry: { attempts: 2, backoff: 20ms..20ms }
    command: |
      TRACE_LINE
      [ $EVERFOLD_ATTEMPT = 2 ]
  - id: vanishes
    command: |
      TRACE_LINE
      if [ $EVERFOLD_ATTEMPT = 1 ]; then kill -9 $PPID; sleep 600; fi
  - id: fan
    foreach: { in: [x, y, z], max_in_flight: 2 }
    command: |
      TRACE_LINE
  - { id: never, when: "size(run.id) == 0", command: 'TRACE_LINE' }
  - { id: tolerated, on_fail: continue, command: 'TRACE_LINE; exit 3' }
  - { id: pause, wait: { for: 30ms } }
  - id: draft
    command: |
      TRACE_LINE
      echo $EVERFOLD_ROUND >> draft
  - id: beside
    needs: [draft]
    command: |
      TRACE_LINE
      if [ $EVERFOLD_ROUND = 1 ]; then touch "$LAB/beside"; sleep 600; fi
  - id: judge
    needs: [draft]
    gates:
      - id: is-there
        poll: { every: 20ms, max: 50 }
        command: 'if [ -e "$LAB/looked" ]; then exit 0; fi; touch "$LAB/looked"; exit 127'
      - id: second
        command: 'until [ -e "$LAB/beside" ]; do sleep 0.02; done; [ $EVERFOLD_ROUND = 2 ]'
        on_fail: { rework: draft }
  - { id: call, needs: [judge, beside], function: everfold.echo, with: { a: 1 } }
  - id: think
    agent: { profile: script, prompt: "Think", args: [sh, -e, -c, 'TRACE_LINE'] }
  - id: stuck
    on_fail: block
    command: |
      TRACE_LINE
      [ -e "$LAB/unstuck" ]
  - { id: ok, approval: { title: "Right?" } }
  - { id: last, command: 'TRACE_LINE' }
on_finish:
  - { id: tidy, command: 'TRACE_LINE' }
output: { last: "${steps.last.status}" }
"#;

const RICH_TRACE: &[&str] = &[
    "beside 1 1",
    "beside 2 1",
    "draft 1 1",
    "draft 2 1",
    "fan.0 1 1",
    "fan.1 1 1",
    "fan.2 1 1",
    "first 1 1",
    "flaky 1 1",
    "flaky 1 2",
    "last 1 1",
    "stuck 1 1",
    "stuck 1 2",
    "think 1 1",
    "tidy 1 1",
    "tolerated 1 1",
    "vanishes 1 1",
    "vanishes 1 2",
];

const RICH_EVENTS: &[&str] = &[
    "RunStarted",
    "StepScheduled",
    "WorkspacePrepared",
    "ItemsExpanded",
    "AttemptStarted",
    "AttemptSucceeded",
    "AttemptFailed",
    "AttemptLost",
    "StopRequested",
    "RetryScheduled",
    "StepSucceeded",
    "StepSkipped",
    "StepFailed",
    "StepBlocked",
    "ProbeScheduled",
    "GateEvaluated",
    "ProbeFailed",
    "ReworkRequested",
    "ApprovalRequested",
    "VoteCast",
    "ApprovalDecided",
    "TimerSet",
    "TimerFired",
    "UsageRecorded",
    "RunUnblocked",
    "RunSucceeded",
];

#[test]
fn a_run_ends_as_ever_when_the_program_is_killed_behind_any_event() {
    let lab = rich();
    let crashes = to_its_end(&lab, None);
    assert_eq!(crashes, 0);
    check_rich(&lab, "none");
    let seen = lab.events("@");
    for event in RICH_EVENTS {
        assert!(seen.iter().any(|seen| seen.kind() == *event), "{event} does not occur");
    }
    let left = Mutex::new(RICH_EVENTS.to_vec());
    let next = || left.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(event) = next() {
                    let lab = rich();
                    let crashes = to_its_end(&lab, Some(event));
                    // Behind the very last event the command may be over first; there is nothing left to crash.
                    assert!(crashes > 0 || event == "RunSucceeded", "never killed behind {event}");
                    check_rich(&lab, event);
                }
            });
        }
    });
}

fn rich() -> Lab {
    let lab = Lab::with(&RICH.replace("TRACE_LINE", TRACE));
    lab.repository();
    lab
}

fn check_rich(lab: &Lab, event: &str) {
    let mut trace = lab.trace();
    trace.sort();
    assert_eq!(trace, RICH_TRACE, "killed behind {event}");
    let view = lab.view("@");
    assert_eq!(
        (&view["status"], &view["output"]["last"]),
        (&"succeeded".into(), &"succeeded".into()),
        "{event}"
    );
    assert_eq!(lab.run(&["runs", "--json"]).json()["items"].as_array().unwrap().len(), 1, "one run: {event}");
    lab.assert_left_in_order();
}

/// Drives the run to its end, deciding what people are asked; gives how often it was killed.
fn to_its_end(lab: &Lab, crash_after: Option<&str>) -> usize {
    let mut crashes = 0;
    // An owner in the background is killed like any other; the next one writes its own record over what that one left.
    let (mut owners, mut gone) = (BTreeSet::new(), BTreeSet::new());
    let mut crash = |args: &[&str], crashes: &mut usize| -> Done {
        let mut args = args.to_vec();
        if let Some(event) = crash_after.filter(|_| *crashes < CRASHES) {
            args.extend(["--crash-after", event]);
        }
        let done = lab.run(&args);
        owners.extend(lab.owner());
        let dead = owners.iter().filter(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        let newly = dead.filter(|pid| gone.insert(**pid)).count();
        *crashes += newly.max(usize::from(done.code.is_none()));
        done
    };
    for _ in 0..40 {
        // The key makes a repeated start the same run.
        let done = crash(&["run", "./p.yaml", "--idempotency-key", "k", "--no-wait"], &mut crashes);
        match done.code {
            None => {}
            Some(0) => return crashes,
            Some(6) => {
                let view = lab.view("@");
                if view["status"] == "blocked" {
                    lab.write("unstuck", "");
                    crash(&["unblock", "@", "stuck", "--decision", "retry"], &mut crashes);
                } else if lab.run(&["inbox", "--json"]).json()["items"][0].is_object() {
                    crash(&["approve", "@"], &mut crashes);
                }
            }
            Some(code) => panic!("{code} behind {crash_after:?}: {done:#?}"),
        }
    }
    panic!("it does not end");
}

/// A run that is cancelled, with something to stop and something to do at the end.
const CANCELLED: &str = r#"
name: cancelled
steps:
  - id: long
    grace: 200ms
    command: |
      TRACE_LINE
      exec sleep 600
  - { id: after, command: 'TRACE_LINE' }
on_finish:
  - { id: tidy, command: 'TRACE_LINE' }
"#;

#[test]
fn a_cancellation_goes_through_when_the_program_is_killed_behind_any_event_of_it() {
    for event in [
        "CancelRequested",
        "StopRequested",
        "AttemptFailed",
        "StepCancelled",
        "StepScheduled",
        "RunCancelled",
    ] {
        let lab = Lab::with(&CANCELLED.replace("TRACE_LINE", TRACE));
        let engine = lab.start(&["run", "./p.yaml"]);
        await_that("it runs", || (!lab.trace().is_empty()).then_some(()));
        engine.kill().was_killed();
        let done = lab.run(&["cancel", "@", "-m", "enough", "--crash-after", event]);
        let mut code = done.code;
        // The command may be over before the event it was to die behind.
        for _ in 0..10 {
            if code == Some(5) {
                break;
            }
            code = lab.run(&["resume", "@", "--crash-after", event]).code;
        }
        lab.run(&["resume", "@"]).ended_with(5);
        lab.assert_trace(&["long 1 1", "tidy 1 1"]);
        let events = lab.events("@");
        assert_eq!(places(&events, "CancelRequested").len(), 1, "{event}");
        lab.assert_left_in_order();
    }
}

#[test]
fn a_pause_and_its_end_hold_when_the_program_is_killed_behind_them() {
    let lab = Lab::with(&format!(
        "name: p\nsteps:\n  - {{ id: w, wait: {{ for: 50ms }} }}\n  - {{ id: a, command: '{TRACE}' }}\n"
    ));
    lab.run(&["run", "./p.yaml", "--crash-after", "TimerSet"]).was_killed();
    lab.run(&["pause", "@", "--crash-after", "RunPaused"]).was_killed();
    assert_eq!(lab.view("@")["status"], "paused");
    lab.run(&["resume", "@", "--crash-after", "RunResumed"]).was_killed();
    lab.run(&["resume", "@"]).ended_with(0);
    lab.assert_trace(&["a 1 1"]);
    lab.assert_left_in_order();
}

const ASKING: &str = r#"
name: asking
steps:
  - id: asks
    command: |
      TRACE_LINE
      grep -q '"asked"' "$EVERFOLD_INPUT" || echo '{"everfold": {"ask": {"text": "Which?", "options": ["a", "b"]}}}' > "$EVERFOLD_OUTPUT"
  - { id: which, question: { title: "Which?", options: [a, b] } }
  - { id: last, command: 'TRACE_LINE' }
output: ${steps.which.output.choice}
"#;

#[test]
fn l22_what_is_asked_saved_and_answered_holds_when_the_program_is_killed_behind_it() {
    let lab = Lab::with(&ASKING.replace("TRACE_LINE", TRACE));
    let waits_for = |step: &str| {
        let view = lab.view("@");
        assert_eq!((&view["status"], &view["awaits"][0]["step"]), (&"waiting".into(), &step.into()));
        view["awaits"][0].clone()
    };
    lab.run(&["run", "./p.yaml", "--crash-after", "AttemptAsked"]).was_killed();
    lab.run(&["resume", "@", "--no-wait"]).ended_with(6);
    waits_for("asks");
    lab.run(&["answer", "@", "a", "--crash-after", "QuestionAnswered"]).was_killed();
    lab.run(&["resume", "@", "--crash-after", "QuestionAsked"]).was_killed();
    waits_for("which");
    lab.run(&["answer", "@", "b", "--save", "--crash-after", "AnswerSaved"]).was_killed();
    assert_eq!(waits_for("which")["draft"]["choice"], "b");
    lab.run(&["answer", "@", "--crash-after", "QuestionAnswered"]).was_killed();
    lab.run(&["resume", "@"]).ended_with(0);
    assert_eq!(lab.view("@")["output"], "b");
    lab.assert_trace(&["asks 1 1", "asks 1 2", "last 1 1"]);
    assert_eq!(places(&lab.events("@"), "QuestionAnswered").len(), 2);
    lab.assert_left_in_order();
}

#[test]
fn a_failure_is_recorded_once_when_the_program_is_killed_behind_it() {
    for event in ["AttemptFailed", "StepFailed", "StepCancelled", "RunFailed"] {
        let lab = Lab::with(&format!(
            "name: p\nsteps:\n  - {{ id: a, command: '{TRACE}; exit 4' }}\n  - {{ id: b, command: '{TRACE}' }}\non_finish:\n  - {{ id: tidy, command: '{TRACE}' }}\n"
        ));
        lab.run(&["run", "./p.yaml", "--crash-after", event]).was_killed();
        lab.run(&["resume", "@"]).ended_with(1);
        lab.assert_trace(&["a 1 1", "tidy 1 1"]);
        assert_eq!(places(&lab.events("@"), "RunFailed").len(), 1);
        lab.assert_left_in_order();
    }
}

/// More than one append holds: the parts are gone on with where they stopped.
#[test]
fn s8_a_large_fan_out_goes_on_when_the_program_is_killed_between_its_appends() {
    let lab = Lab::with(
        "name: p\nsteps:\n  - id: list\n    foreach: { in: \"${input.items}\" }\n    function: everfold.echo\n    with: { item: \"${item}\" }\noutput: \"${size(steps.list.output)}\"\n",
    );
    let items: Vec<u32> = (0..1_500).collect();
    lab.write("input.json", &serde_json::json!({ "items": items }).to_string());
    lab.run(&["run", "./p.yaml", "--input-file", "input.json", "--crash-after", "Advanced"]).was_killed();
    lab.run(&["resume", "@", "--crash-after", "AttemptSucceeded"]).was_killed();
    lab.run(&["resume", "@"]).ended_with(0);
    assert_eq!(lab.view("@")["output"], 1_500);
    assert_eq!(places(&lab.events("@"), "AttemptSucceeded").len(), 1_500);
    lab.assert_left_in_order();
}
