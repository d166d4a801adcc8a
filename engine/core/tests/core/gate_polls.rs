//! Gates that ask again, by themselves and when a signal comes: L16 and L17.

use std::time::Duration;

use everfold_base::json::Payload;
use everfold_core::event::{
    BlockReason, OriginKind, ProbeFailed, RecheckRequested, RunEvent, RunPaused, RunResumed, SignalReceived,
};
use everfold_core::input::InputKind;
use everfold_core::policy::Verdict;
use everfold_core::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::fixtures::gates::{PENDING, command, exit, fire_poll, judged, poll_in, probe, probes};
use crate::fixtures::scenario::{names, status, with};
use crate::fixtures::simulated_run::{World, definition};

fn no_evidence(world: &mut World, gate: &str, probe_no: u32) -> Vec<RunEvent> {
    let kind = InputKind::ProbeFailed(ProbeFailed {
        id: "a/1/1".parse().expect("an id"),
        gate: gate.into(),
        probe_no,
        message: "no network".into(),
        permanent: false,
        took_ms: 1,
        broken: false,
    });
    world.give(kind).expect("reports are taken")
}

fn blocked_message(batch: &[RunEvent]) -> String {
    let blocked = batch.iter().find_map(|event| match event {
        RunEvent::StepBlocked(blocked) => Some(blocked.message.clone()),
        _other => None,
    });
    blocked.expect("it is blocked")
}

fn signal(world: &mut World, name: &str) -> Vec<RunEvent> {
    let kind = InputKind::Signal(SignalReceived {
        name: name.into(),
        payload: Payload::Inline(json!({"state": "success"}).into()),
        delivery: None,
    });
    world.by("hook", kind).expect("a signal is taken")
}

#[test]
fn l17_a_signal_probes_now_and_restarts_the_pause_and_is_no_poll() {
    let poll = json!({"policy": PENDING, "wake": ["ci"], "poll": {"every": "30s", "max": 2}});
    let mut world = judged(json!([command("g", poll)]));
    world.probe("a/1/1", "g", 1, exit(2));
    assert_eq!(poll_in(&world), Some(30_000));
    assert_eq!(names(&signal(&mut world, "other")), ["SignalReceived"], "another name wakes no gate");
    assert_eq!(names(&signal(&mut world, "ci")), ["SignalReceived", "SignalTaken"]);
    assert_eq!((probes(&world), poll_in(&world)), (vec![("g".to_owned(), 2)], None));
    // Its answer is no poll: one of the two is left, 30s after it.
    assert_eq!(names(&world.probe("a/1/1", "g", 2, exit(2))), ["GateEvaluated", "TimerSet"]);
    assert_eq!(poll_in(&world), Some(30_000));
    fire_poll(&mut world);
    assert_eq!(probes(&world), [("g".to_owned(), 3)]);
    let batch = world.probe("a/1/1", "g", 3, exit(2));
    assert_eq!(names(&batch), ["GateEvaluated", "StepBlocked"], "none after the last");
}

#[test]
fn l17_a_signal_whose_condition_does_not_hold_wakes_no_gate() {
    for (when, wakes) in [
        ("signal.state == 'success'", true),
        ("signal.state == 'failure'", false),
        ("signal.commit == 'abc'", false), // not computed: the payload has no commit
        ("signal.?commit.orValue('abc') == 'abc'", true),
    ] {
        let wake = json!([{"signal": "ci", "when": when}, "forced"]);
        let gate = json!({"policy": PENDING, "wake": wake, "poll": {"every": "30s", "max": 9}});
        let mut world = judged(json!([command("g", gate)]));
        world.probe("a/1/1", "g", 1, exit(2));
        let taken = if wakes { vec!["SignalReceived", "SignalTaken"] } else { vec!["SignalReceived"] };
        assert_eq!(names(&signal(&mut world, "ci")), taken, "{when}");
        assert_eq!(probes(&world).is_empty(), !wakes, "{when}");
        if !wakes {
            assert!(poll_in(&world) < Some(30_000), "{when}: the pause goes on");
            assert_eq!(names(&signal(&mut world, "forced")), ["SignalReceived", "SignalTaken"], "{when}");
        }
    }
}

#[test]
fn l17_a_signal_during_a_probe_causes_one_more_unless_it_passes() {
    let gate =
        || command("g", json!({"policy": PENDING, "wake": ["ci"], "poll": {"every": "30s", "max": 1}}));
    let woken = || {
        let mut world = judged(json!([gate()]));
        signal(&mut world, "ci");
        signal(&mut world, "ci");
        assert_eq!(probes(&world), [("g".to_owned(), 1)], "the one in progress goes on");
        world
    };
    for answer in [1, 2] {
        let mut world = woken();
        assert_eq!(names(&world.probe("a/1/1", "g", 1, exit(answer))), ["GateEvaluated"]);
        assert_eq!(probes(&world), [("g".to_owned(), 2)], "one more, for both signals");
        let batch = world.probe("a/1/1", "g", 2, exit(0));
        assert_eq!(names(&batch), ["GateEvaluated", "StepSucceeded", "RunSucceeded"]);
    }
    let mut world = woken();
    assert_eq!(names(&no_evidence(&mut world, "g", 1)), ["ProbeFailed"]);
    assert_eq!(probes(&world), [("g".to_owned(), 2)]);
    assert_eq!(names(&no_evidence(&mut world, "g", 2)), ["ProbeFailed", "StepBlocked"]);
    let mut world = woken();
    let batch = world.probe("a/1/1", "g", 1, exit(0));
    assert_eq!(names(&batch), ["GateEvaluated", "StepSucceeded", "RunSucceeded"]);
}

#[test]
fn l17_a_blocked_gate_hears_and_a_pass_unblocks() {
    let once = json!({"policy": PENDING, "wake": ["ci"], "poll": {"every": "30s", "max": 1}, "on_fail": [{"to": "block"}]});
    for (answer, reason) in [(2, "no verdict in time"), (1, "a failure that blocks")] {
        let mut world = judged(json!([command("g", once.clone()), command("last", json!({}))]));
        world.probe("a/1/1", "g", 1, exit(answer));
        assert_eq!(status(&world, "a"), StepStatus::Blocked, "{reason}");
        assert_eq!(names(&signal(&mut world, "ci")), ["SignalReceived", "SignalTaken"]);
        assert_eq!((status(&world, "a"), world.state.status()), (StepStatus::Gating, RunStatus::Running));
        let batch = world.probe("a/1/1", "g", 2, exit(2));
        assert_eq!(names(&batch), ["GateEvaluated", "StepBlocked"], "only a pass unblocks");
        signal(&mut world, "ci");
        let batch = world.probe("a/1/1", "g", 3, exit(0));
        assert_eq!(names(&batch), ["GateEvaluated", "ProbeScheduled"], "on to the next gate");
        assert_eq!(names(&signal(&mut world, "ci")), ["SignalReceived"], "a gate that passed hears no more");
    }
}

#[test]
fn l17_expressions_and_gates_of_paused_runs_hear_too() {
    let gate = json!({"id": "g", "probe": {"expression": "'pending'"}, "wake": ["go"], "poll": {"every": "30s", "max": 2}});
    let mut world = judged(json!([gate]));
    assert_eq!(
        names(&signal(&mut world, "go")),
        ["SignalReceived", "SignalTaken", "GateEvaluated", "TimerSet"]
    );
    fire_poll(&mut world);
    assert_eq!(status(&world, "a"), StepStatus::Blocked, "two polls; the signal was none");
    let mut world = judged(json!([command("g", json!({"policy": PENDING, "wake": ["ci"]}))]));
    world.probe("a/1/1", "g", 1, exit(2));
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).expect("taken");
    signal(&mut world, "ci");
    assert_eq!(probes(&world), [], "no probe starts in a paused run");
    world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).expect("taken");
    assert_eq!(probes(&world), [("g".to_owned(), 2)]);
}

#[test]
fn l16_each_phrase_of_poll() {
    // At once, then `every` after each answer, over `for` after the first, none after the last.
    let gate = command("g", json!({"policy": PENDING, "poll": {"every": "40s", "timeout": "100s"}}));
    let mut world = judged(json!([gate]));
    assert_eq!(probes(&world), [("g".to_owned(), 1)]);
    let since = world.now;
    world.now = world.now.plus(Duration::from_secs(30));
    world.probe("a/1/1", "g", 1, exit(2));
    assert_eq!(poll_in(&world), Some(40_000), "after the answer, however long it took");
    fire_poll(&mut world);
    let batch = no_evidence(&mut world, "g", 2);
    assert_eq!(names(&batch), ["ProbeFailed", "StepBlocked"], "the next one would be later than `for`");
    assert!(world.now.since(since) < Duration::from_secs(100));
    let message = blocked_message(&batch);
    assert_eq!(message, "gate “g” has no verdict after 2 probes, and its time of 100s is over: no network");
}

#[test]
fn l16_a_later_answer_replaces_no_evidence_and_the_gate_passes() {
    let mut world = judged(json!([command("g", json!({"poll": {"every": "1s", "max": 3}}))]));
    no_evidence(&mut world, "g", 1);
    fire_poll(&mut world);
    let batch = world.probe("a/1/1", "g", 2, exit(0));
    assert_eq!(names(&batch), ["GateEvaluated", "StepSucceeded", "RunSucceeded"]);
}

#[test]
fn l16_ci_mergeable_and_http_ask_every_30s_for_an_hour_and_others_three_times() {
    let gate = |kind: &str, poll: Value| with(probe("g", kind, json!({"policy": PENDING})), poll);
    let tried = |gate: Value, kind: &str| {
        let mut world = judged(json!([gate]));
        let (first, mut probes, mut pause) = (world.now, 1, None);
        loop {
            let batch = no_evidence(&mut world, "g", probes);
            if names(&batch).contains(&"StepBlocked") {
                return (probes, pause, world.now.since(first).as_secs() / 60);
            }
            pause = poll_in(&world);
            fire_poll(&mut world);
            probes += 1;
            assert!(probes < 200, "{kind} polls for ever");
        }
    };
    for kind in ["ci", "mergeable", "http"] {
        assert_eq!(tried(gate(kind, json!({})), kind), (120, Some(30_000), 59), "{kind}");
        let (probes, pause, minutes) = tried(gate(kind, json!({"poll": {"every": "10m"}})), kind);
        assert_eq!((probes, pause, minutes), (6, Some(600_000), 50), "a pause alone keeps the hour");
    }
    for kind in ["command", "file", "tests", "function"] {
        assert_eq!(tried(gate(kind, json!({})), kind).0, 3, "{kind}");
    }
    let (probes, pause, _) = tried(gate("file", json!({"poll": {"every": "1m"}})), "file");
    assert_eq!((probes, pause), (3, Some(60_000)));
    assert_eq!(tried(gate("file", json!({"poll": {"every": "1m", "timeout": "10m"}})), "file").0, 10);
}

#[test]
fn l16_a_poll_that_is_over_takes_its_own_route_and_none_of_the_others() {
    let over = |on_timeout: Value| {
        let poll = json!({"every": "1s", "max": 1, "on_timeout": on_timeout});
        let gate = json!({"policy": PENDING, "poll": poll, "on_fail": [{"to": "next"}], "code": "SLOW"});
        let mut world = judged(json!([command("g", gate), command("last", json!({}))]));
        let batch = names(&world.probe("a/1/1", "g", 1, exit(2)));
        (world, batch)
    };
    let (world, batch) = over(json!([{"to": "next"}]));
    assert_eq!(batch, ["GateEvaluated", "GateEvaluated", "ProbeScheduled"], "on to the next one");
    let said = world.history.iter().rev().find_map(|(_, event)| match event {
        RunEvent::GateEvaluated(judged) => Some((judged.verdict, judged.tolerated, judged.code.clone())),
        _other => None,
    });
    assert_eq!(said, Some((Verdict::Fail, true, Some("SLOW".into()))), "a warning");
    let (_, batch) = over(json!([{"when": "failure.code == 'SLOW'", "to": {"rework": "a"}}]));
    assert_eq!(batch, ["GateEvaluated", "ReworkRequested", "StepScheduled"]);
    let (world, batch) = over(json!([{"to": {"fail": {"code": "NEVER"}}}]));
    assert_eq!(batch, ["GateEvaluated", "StepFailed", "RunFailed"]);
    assert_eq!(world.state.failure().expect("a failure").0.code.as_deref(), Some("NEVER"));
    let (_, batch) = over(json!([]));
    assert_eq!(batch, ["GateEvaluated", "StepBlocked"]);
}

/// A gate that is broken is neither failed nor without evidence: nothing that tolerates those lets it through.
#[test]
fn row_27_a_policy_that_fails_lets_no_step_through_whatever_on_timeout_and_on_fail_say() {
    let poll = json!({"every": "1s", "max": 2, "on_timeout": [{"to": "next"}]});
    let lenient = |more: Value| with(json!({"poll": poll, "on_fail": [{"to": "next"}]}), more);
    let member = |policy: &str| command("m", json!({"policy": policy}));
    let throwing = "evidence.missing == 1";
    for (what, gate) in [
        ("a policy that throws", command("g", lenient(json!({"policy": throwing})))),
        ("a policy that says nonsense", command("g", lenient(json!({"policy": "evidence.exit + 1"})))),
        (
            "a member's policy",
            with(
                json!({"id": "g", "probe": {"any": [member("evidence.exit == 7"), member(throwing)]}}),
                lenient(json!({})),
            ),
        ),
        (
            "an expression",
            with(json!({"id": "g", "probe": {"expression": "output.missing"}}), lenient(json!({}))),
        ),
        ("a condition", command("g", lenient(json!({"when": "output.missing == 1"})))),
        (
            "a pause that cannot be computed",
            command(
                "g",
                json!({"policy": PENDING, "poll": {"every": "${output.missing}", "on_timeout": [{"to": "next"}]}}),
            ),
        ),
    ] {
        let mut world = judged(json!([gate]));
        let evidence = match what {
            "a member's policy" => json!({"members": [
                {"id": "m", "kind": "command", "evidence": exit(0)},
                {"id": "m-2", "kind": "command", "evidence": exit(0)},
            ]}),
            _single => exit(2),
        };
        if !probes(&world).is_empty() {
            world.probe("a/1/1", "g", 1, evidence);
        }
        assert_eq!(status(&world, "a"), StepStatus::Blocked, "{what}: {:?}", world.names());
        let blocked = world.history.iter().rev().find_map(|(_, event)| match event {
            RunEvent::StepBlocked(blocked) => Some((blocked.reason.clone(), blocked.message.clone())),
            _other => None,
        });
        let (reason, message) = blocked.expect("it says why");
        assert_eq!(reason, BlockReason::Broken { gate: "g".into() }, "{what}");
        assert!(message.contains("missing") || message.contains("evidence.exit + 1"), "{what}: {message}");
        world.check_fold();
        // A person may have it judged by another policy, on the same evidence or on that of a new probe.
        let recheck = InputKind::Recheck(RecheckRequested {
            path: "a".parse().expect("a step"),
            policies: [("g".to_owned(), "true".to_owned())].into(),
            reason: None,
        });
        world.by("ada", recheck).expect("a broken gate is judged again");
    }
}

#[test]
fn row_27_evidence_that_can_never_be_had_still_goes_where_on_timeout_says() {
    let poll = json!({"every": "1s", "max": 2, "on_timeout": [{"to": "next"}]});
    let mut world = judged(json!([command("g", json!({ "poll": poll }))]));
    let never = InputKind::ProbeFailed(ProbeFailed {
        id: "a/1/1".parse().expect("an id"),
        gate: "g".into(),
        probe_no: 1,
        message: "a path out of the workspace".into(),
        permanent: true,
        took_ms: 1,
        broken: false,
    });
    world.give(never).expect("taken");
    assert_eq!(status(&world, "a"), StepStatus::Succeeded);
    let none = json!([{"id": "m", "kind": "command", "message": "no network", "permanent": true}]);
    let gate = json!({"id": "g", "probe": {"all": [command("m", json!({}))]}, "poll": poll});
    let mut world = judged(json!([gate]));
    world.probe("a/1/1", "g", 1, json!({ "members": none }));
    assert_eq!(status(&world, "a"), StepStatus::Succeeded, "of members, too");
}

/// The runs that a probe did not name are no runs that are not there.
#[test]
fn row_22_a_policy_over_names_gives_no_verdict_where_some_are_not_named() {
    let of = |policy: &str, unnamed: u64| {
        let mut world = judged(json!([probe("g", "runs", json!({"policy": policy}))]));
        let labels = json!({"card": [{"value": "a", "count": 50}, {"value": "b", "count": 1}]});
        let mut found = json!({"total": 50 + unnamed, "runs": [{"title": "x"}], "labels": labels});
        if unnamed > 0 {
            found["unnamed"] = unnamed.into();
        }
        world.probe("a/1/1", "g", 1, found);
        status(&world, "a")
    };
    let by_name = "!evidence.runs.exists(it, it.title == 'b')";
    assert_eq!(of(by_name, 0), StepStatus::Succeeded);
    assert_eq!(of(by_name, 1), StepStatus::Blocked, "one of them may be it");
    assert_eq!(of("evidence.unnamed == 1 && size(evidence.runs) == 1", 1), StepStatus::Succeeded);
    assert_eq!(
        of("evidence.labels.card.exists(it, it.value == 'b' && it.count == 1)", 1),
        StepStatus::Succeeded
    );
    assert_eq!(of("evidence.total == 51", 1), StepStatus::Succeeded);
}

#[test]
fn a_poll_may_bound_how_often_in_a_row_nothing_can_be_read() {
    let poll = json!({"policy": PENDING, "poll": {"every": "10s", "max": 280, "max_unread": 5,
        "on_timeout": [{"to": {"fail": {"code": "UNREADABLE"}}}]}});
    let mut world = judged(json!([command("g", poll)]));
    for probe_no in 1..=5 {
        assert_eq!(names(&no_evidence(&mut world, "g", probe_no)), ["ProbeFailed", "TimerSet"], "{probe_no}");
        fire_poll(&mut world);
    }
    world.probe("a/1/1", "g", 6, exit(2));
    fire_poll(&mut world);
    for probe_no in 7..=11 {
        let events = no_evidence(&mut world, "g", probe_no);
        assert_eq!(
            names(&events),
            ["ProbeFailed", "TimerSet"],
            "they are counted anew after an answer: {probe_no}"
        );
        fire_poll(&mut world);
    }
    no_evidence(&mut world, "g", 12);
    let (failure, _) = world.state.failure().expect("the sixth in a row is one too many");
    assert_eq!(failure.code.as_deref(), Some("UNREADABLE"));
    assert_eq!(failure.message, "gate “g” could not be read 6 times in a row: no network");
}

/// The fork found its time used up while nothing of it had happened there: it was blocked at once.
#[test]
fn a_fork_goes_on_asking_for_as_long_as_was_left() {
    let poll = json!({"policy": PENDING, "poll": {"every": "30s", "timeout": "70s"}});
    let mut world = judged(json!([command("g", poll)]));
    world.probe("a/1/1", "g", 1, exit(2));
    fire_poll(&mut world);
    // An hour later. The probe that was on its way begins once more.
    let mut fork = world.forked(world.history.len(), OriginKind::Fork, None).expect("it can be forked");
    fork.probe("a/1/1", "g", 2, exit(2));
    assert_eq!(poll_in(&fork), Some(30_000));
    let mut fork = fork.forked(fork.history.len(), OriginKind::Fork, None).expect("it can be forked");
    assert_eq!(poll_in(&fork), Some(30_000), "the pause, too");
    fire_poll(&mut fork);
    let batch = fork.probe("a/1/1", "g", 3, exit(2));
    assert_eq!(names(&batch), ["GateEvaluated", "StepBlocked"], "after 70 s of both");
}

/// The copy ended behind a verdict, before the timer of the next probe was set: the origin's time counted.
#[test]
fn a_fork_behind_a_pending_verdict_goes_on_asking_for_as_long_as_was_left() {
    let poll = json!({"policy": PENDING, "poll": {"every": "30s", "timeout": "70s"}});
    let mut world = judged(json!([command("g", poll)]));
    world.probe("a/1/1", "g", 1, exit(2));
    let verdict = world.history.iter().position(|(_, event)| matches!(event, RunEvent::GateEvaluated(_)));
    let cut = verdict.expect("a verdict") + 1;
    let mut fork = world.forked(cut, OriginKind::Fork, None).expect("it can be forked");
    assert_eq!(poll_in(&fork), Some(30_000), "what the copy left undone follows with the fork");
    fire_poll(&mut fork);
    assert_eq!(names(&fork.probe("a/1/1", "g", 2, exit(2))), ["GateEvaluated", "TimerSet"]);
    fire_poll(&mut fork);
    let message = blocked_message(&fork.probe("a/1/1", "g", 3, exit(2)));
    assert_eq!(
        message,
        "gate “g” has no verdict after 3 probes, and its time of 70s is over: the policy says pending"
    );
}

/// In a workspace of its own the probe is rendered anew: the origin's time counted, and the probe counted twice.
#[test]
fn a_fork_with_a_workspace_at_the_timer_of_a_poll_counts_its_probe_once_and_from_its_own_time() {
    let poll = json!({"policy": PENDING, "poll": {"every": "30s", "timeout": "70s"}});
    let work = json!({"task": {"kind": "function", "spec": {"name": "f"}}});
    let document = json!({"name": "p", "workspace": {"git": {"git": "/repository"}}, "steps": [
        {"id": "a", "work": work, "gates": [command("g", poll)]},
    ]});
    let mut world = World::start(definition(document), json!({}));
    world.answer(&world.effects().remove(0), 1);
    world.succeed("a/1/1", json!({"n": 1}));
    world.probe("a/1/1", "g", 1, exit(2));
    fire_poll(&mut world);
    let mut fork = world.forked(world.history.len(), OriginKind::Fork, None).expect("it can be forked");
    fork.answer(&fork.effects().remove(0), 1);
    assert_eq!(probes(&fork), [("g".to_owned(), 2)]);
    assert_eq!(names(&fork.probe("a/1/1", "g", 2, exit(2))), ["GateEvaluated", "TimerSet"]);
    fire_poll(&mut fork);
    let message = blocked_message(&fork.probe("a/1/1", "g", 3, exit(2)));
    assert!(message.starts_with("gate “g” has no verdict after 3 probes, and its time"), "{message}");
}
