//! Gates, rule by rule: L14 to L18.

use std::time::Duration;

use everfold_engine::effect::Effect;
use everfold_engine::event::{GateEvaluated, RunEvent, TimerKind, UnblockDecision};
use everfold_engine::input::InputKind;
use everfold_engine::json::Payload;
use everfold_engine::policy::Verdict;
use everfold_engine::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use super::world::{World, definition};

/// A run of one step with these gates, whose work has ended.
fn judged(gates: Value) -> World {
    let work = json!({"task": {"kind": "function", "spec": {"name": "f"}}});
    let mut world = World::start(
        definition(json!({"name": "p", "steps": [{"id": "a", "work": work, "gates": gates}]})),
        json!({}),
    );
    world.succeed("a/1/1", json!({"n": 1}));
    world
}

fn with(mut base: Value, more: Value) -> Value {
    let fields = base.as_object_mut().expect("a map");
    fields.extend(more.as_object().expect("fields").clone());
    base
}

/// A gate that a prober of this kind collects evidence for; a policy of its own unless `more` has one.
fn probe(id: &str, kind: &str, more: Value) -> Value {
    with(json!({"id": id, "probe": {"task": {"kind": kind, "spec": {"name": id}}}}), more)
}

fn command(id: &str, more: Value) -> Value {
    probe(id, "command", more)
}

fn names(events: &[RunEvent]) -> Vec<&'static str> {
    events.iter().map(RunEvent::name).collect()
}

fn exit(exit: i64) -> Value {
    json!({"argv": ["make"], "exit": exit, "output": ""})
}

fn no_evidence(world: &mut World, gate: &str, probe_no: u32) -> Vec<RunEvent> {
    let kind = InputKind::ProbeFailed {
        id: "a/1/1".parse().expect("an id"),
        gate: gate.into(),
        probe_no,
        message: "no network".into(),
        permanent: false,
        took_ms: 1,
    };
    world.give(kind).expect("reports are taken")
}

fn signal(world: &mut World, name: &str) -> Vec<RunEvent> {
    let kind =
        InputKind::Signal { name: name.into(), payload: json!({"state": "success"}).into(), delivery: None };
    world.by("hook", kind).expect("a signal is taken")
}

fn probes(world: &World) -> Vec<(String, u32)> {
    let probes = world.effects().into_iter().filter_map(|effect| match effect {
        Effect::Probe { gate, probe_no, .. } => Some((gate, probe_no)),
        _other => None,
    });
    probes.collect()
}

/// How long until the next poll, in milliseconds from the last input.
fn poll_in(world: &World) -> Option<i64> {
    world.effects().into_iter().find_map(|effect| match effect {
        Effect::Timer { timer, at } if timer.kind == TimerKind::Poll => Some(at.0 - world.now.0),
        _other => None,
    })
}

fn fire_poll(world: &mut World) -> Vec<RunEvent> {
    let before = world.history.len();
    let timer = world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. }));
    world.answer(&timer.expect("a timer"), 0);
    world.history[before..].iter().map(|(_, event)| event.clone()).collect()
}

fn status(world: &World) -> StepStatus {
    world.state.step_status(&"a".into()).expect("the step")
}

const PENDING: &str = "evidence.exit == 0 ? 'pass' : evidence.exit == 1 ? 'fail' : 'pending'";

#[test]
fn l17_a_signal_probes_now_and_restarts_the_pause_and_is_no_poll() {
    let poll = json!({"policy": PENDING, "wake": ["ci"], "poll": {"every": "30s", "max": 2}});
    let mut world = judged(json!([command("g", poll)]));
    world.probe("a/1/1", "g", 1, exit(2));
    assert_eq!(poll_in(&world), Some(30_000));
    assert_eq!(names(&signal(&mut world, "other")), ["SignalReceived"], "another name wakes nobody");
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
        assert_eq!(status(&world), StepStatus::Blocked, "{reason}");
        assert_eq!(names(&signal(&mut world, "ci")), ["SignalReceived", "SignalTaken"]);
        assert_eq!((status(&world), world.state.status()), (StepStatus::Gating, RunStatus::Running));
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
    assert_eq!(status(&world), StepStatus::Blocked, "two polls; the signal was none");
    let mut world = judged(json!([command("g", json!({"policy": PENDING, "wake": ["ci"]}))]));
    world.probe("a/1/1", "g", 1, exit(2));
    world.by("ada", InputKind::Pause { reason: None }).expect("taken");
    signal(&mut world, "ci");
    assert_eq!(probes(&world), [], "no probe starts in a paused run");
    world.by("ada", InputKind::Resume { reason: None }).expect("taken");
    assert_eq!(probes(&world), [("g".to_owned(), 2)]);
}

/// The one probe that is asked for, with what it is asked.
fn asked(events: &[RunEvent]) -> (String, Value) {
    let asked = events.iter().find_map(|event| match event {
        RunEvent::ProbeScheduled(probe) => {
            let Payload::Inline(task) = &probe.task else { panic!("small") };
            Some((probe.kind.clone(), task.value()))
        }
        _other => None,
    });
    asked.expect("a probe")
}

fn verdict(events: &[RunEvent]) -> GateEvaluated {
    let judged = events.iter().find_map(|event| match event {
        RunEvent::GateEvaluated(judged) => Some(judged.clone()),
        _other => None,
    });
    judged.expect("a verdict")
}

fn evidence(judged: &GateEvaluated) -> Value {
    let Payload::Inline(text) = &judged.evidence else { panic!("small") };
    text.value()
}

fn work_ended(world: &World) -> Vec<RunEvent> {
    world.history.iter().map(|(_, event)| event.clone()).collect()
}

fn member(id: &str, more: Value) -> Value {
    command(id, more)
}

fn answer(id: &str, exit_code: i64) -> Value {
    json!({"id": id, "kind": "command", "evidence": {"argv": [id], "exit": exit_code, "output": format!("{id} says {exit_code}")}})
}

#[test]
fn l15_members_are_one_probe_that_says_what_each_is_asked_and_what_is_known() {
    let gate = json!({"id": "g", "probe": {"all": [
        member("unit", json!({})),
        {"probe": {"expression": "output.n == 1"}},
        {"id": "deep", "when": "output.n > 1", "otherwise": "n is ${output.n}", "probe": {"expression": "true"}},
        {"id": "either", "probe": {"any": [member("x", json!({})), {"probe": {"expression": "false"}}]}},
    ]}});
    let world = judged(json!([gate]));
    let (kind, task) = asked(&work_ended(&world));
    assert_eq!(kind, "members");
    let known = |value: bool, source: &str| json!({"id": "expression", "kind": "expression", "evidence": {"value": value, "source": {"expression": source}}});
    assert_eq!(
        task["spec"]["members"],
        json!([
            {"id": "unit", "kind": "command", "spec": {"name": "unit"}},
            known(true, "output.n == 1"),
            {"id": "deep", "kind": "expression", "skipped": "n is 1"},
            {"id": "either", "kind": "any", "spec": {"members": [
                {"id": "x", "kind": "command", "spec": {"name": "x"}},
                known(false, "false"),
            ]}},
        ])
    );
}

#[test]
fn l15_each_member_is_judged_by_its_own_policy_and_says_so_in_the_evidence() {
    let gate = |how: Value| json!({"id": "g", "probe": how, "on_fail": [{"to": "block"}]});
    let of = || {
        json!([
            member("unit", json!({})),
            member("lint", json!({"policy": "evidence.exit < 3"})),
            member("e2e", json!({}))
        ])
    };
    let all = |members: [Value; 3]| json!({ "members": members });
    for (how, answers, expected, reason) in [
        (json!({"all": of()}), [0, 2, 0], Verdict::Pass, "all 3 pass: unit, lint, e2e"),
        (
            json!({"all": of()}),
            [1, 3, 0],
            Verdict::Fail,
            "unit: exit 1: unit says 1; lint: `evidence.exit < 3` is false",
        ),
        (json!({"any": of()}), [1, 2, 1], Verdict::Pass, "lint: `evidence.exit < 3` is true"),
        (
            json!({"at_least": {"n": 2, "of": of()}}),
            [0, 3, 1],
            Verdict::Fail,
            "1 of 3 pass, 2 needed; lint: `evidence.exit < 3` is false; e2e: exit 1: e2e says 1",
        ),
    ] {
        let mut world = judged(json!([gate(how)]));
        let [unit, lint, e2e] = answers;
        let mut found = all([answer("unit", unit), answer("lint", lint), answer("e2e", e2e)]);
        found["n"] = json!(2);
        let judged = verdict(&world.probe("a/1/1", "g", 1, found));
        assert_eq!((judged.verdict, judged.reason.as_str()), (expected, reason));
        let said = &evidence(&judged)["members"][1];
        assert_eq!(said["policy"], "evidence.exit < 3");
        assert_eq!(said["verdict"], if lint < 3 { "pass" } else { "fail" });
    }
    let mut world = judged(json!([gate(json!({"not": member("unit", json!({}))}))]));
    let judged = verdict(&world.probe("a/1/1", "g", 1, json!({"members": [answer("unit", 0)]})));
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Fail, "must not pass: unit: exit 0"));
    assert_eq!(judged.policy, "default:not");
}

#[test]
fn l15_a_member_without_evidence_is_pending_and_never_passes() {
    let of = json!([member("unit", json!({})), member("e2e", json!({}))]);
    let silent = |permanent: bool| json!({"id": "e2e", "kind": "command", "message": "no network", "permanent": permanent});
    for (how, unit, expected) in [
        ("all", 0, Verdict::Pending),
        ("all", 1, Verdict::Fail),
        ("any", 0, Verdict::Pass),
        ("any", 1, Verdict::Pending),
    ] {
        let mut world = judged(json!([{"id": "g", "probe": {how: of}}]));
        let found = json!({"members": [answer("unit", unit), silent(false)]});
        let judged = verdict(&world.probe("a/1/1", "g", 1, found));
        assert_eq!(judged.verdict, expected, "{how} {unit}");
    }
    let mut world = judged(json!([{"id": "g", "probe": {"not": member("e2e", json!({}))}}]));
    let judged_now = verdict(&world.probe("a/1/1", "g", 1, json!({"members": [silent(false)]})));
    assert_eq!(
        (judged_now.verdict, judged_now.reason.as_str()),
        (Verdict::Pending, "e2e: no evidence: no network")
    );
    let mut world = judged(json!([{"id": "g", "probe": {"all": of}}]));
    let batch = world.probe("a/1/1", "g", 1, json!({"members": [answer("unit", 0), silent(true)]}));
    assert_eq!(names(&batch), ["ProbeFailed", "StepBlocked"], "it will never have any");
}

/// A notice mentions the large output that the judging asked for, too. Decided again by its fact alone, the
/// input led further than it had been recorded to.
#[test]
fn h5_a_verdict_that_there_cannot_be_leads_as_far_as_its_fact_alone() {
    let of = json!([member("unit", json!({})), member("e2e", json!({}))]);
    let document = json!({
        "name": "p",
        "notify": [{"id": "all", "events": ["*"], "function": "f", "with": "${steps.a.output}"}],
        "steps": [{"id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f"}}},
            "gates": [{"id": "g", "probe": {"all": of}}]}],
    });
    let mut world = World::start(definition(document), json!({}));
    world.succeed("a/1/1", json!("x".repeat(2_000)));
    if world.effects().contains(&Effect::Advance) {
        world.give(InputKind::Advance).expect("never refused");
    }
    let silent = json!({"id": "e2e", "kind": "command", "message": "no network", "permanent": true});
    let batch = world.probe("a/1/1", "g", 1, json!({"members": [answer("unit", 0), silent]}));
    assert_eq!(names(&batch), ["ProbeFailed", "StepBlocked", "NoticeQueued", "NoticeQueued"]);
}

#[test]
fn l15_findings_come_from_the_members_that_failed_and_a_policy_may_look_at_all_of_them() {
    let inner = json!({"id": "inner", "probe": {"all": [member("b", json!({})), member("c", json!({}))]}});
    let own = json!({"policy": "{'verdict': evidence.exit == 0, 'findings': 'look at ' + evidence.output}"});
    let gate =
        json!({"id": "g", "probe": {"all": [member("a", own), inner]}, "on_fail": [{"to": {"rework": "a"}}]});
    let mut world = judged(json!([gate.clone()]));
    let found = json!({"members": [answer("a", 1), {"id": "inner", "kind": "all", "evidence": {"members": [answer("b", 2), answer("c", 0)]}}]});
    let batch = world.probe("a/1/1", "g", 1, found.clone());
    let findings = batch.iter().find_map(|event| match event {
        RunEvent::ReworkRequested(rework) => Some(rework.findings.clone()),
        _other => None,
    });
    let Some(Payload::Inline(findings)) = findings else { panic!("{batch:?}") };
    let findings = findings.value();
    let text = findings.as_str().expect("a text");
    for part in [
        "gate “g” failed",
        "a: the policy says fail\nlook at a says 1",
        "inner/b: exit 2: b says 2\nb says 2",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("c says"), "{text}");
    let lenient = with(
        gate,
        json!({"policy": "evidence.members.exists(m, m.verdict == 'pass') || evidence.members[1].evidence.members[1].evidence.exit == 0"}),
    );
    let mut world = judged(json!([lenient]));
    assert_eq!(verdict(&world.probe("a/1/1", "g", 1, found)).verdict, Verdict::Pass);
}

#[test]
fn l15_members_that_ask_nobody_are_judged_at_once() {
    let gate = json!({"id": "g", "probe": {"any": [
        {"probe": {"expression": "output.n > 5"}}, {"id": "small", "probe": {"expression": "output.n < 5"}},
        {"when": "false", "probe": {"task": {"kind": "command", "spec": {}}}}]}});
    let world = judged(json!([gate]));
    let judged_now = verdict(&work_ended(&world));
    assert_eq!(
        (judged_now.verdict, judged_now.reason.as_str()),
        (Verdict::Pass, "small: `output.n < 5` is true")
    );
    let none = json!({"id": "g", "probe": {"all": [{"when": "false", "probe": {"expression": "true"}}]}});
    let judged_now = verdict(&work_ended(&judged(json!([none]))));
    assert_eq!((judged_now.verdict, judged_now.reason.as_str()), (Verdict::Skipped, "no member applies"));
}

#[test]
fn l16_each_phrase_of_poll() {
    // At once, then `every` after each answer, over `for` after the first, none after the last.
    let gate = command("g", json!({"policy": PENDING, "poll": {"every": "40s", "for": "100s"}}));
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
    let RunEvent::StepBlocked(blocked) = &batch[1] else { panic!("{batch:?}") };
    assert_eq!(blocked.message, "gate “g” has no verdict after 2 probes: no network");
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
    assert_eq!(tried(gate("file", json!({"poll": {"every": "1m", "for": "10m"}})), "file").0, 10);
}

#[test]
fn l14_a_route_may_look_at_the_failure_when_it_says_continue() {
    let warn = json!({"id": "w", "probe": {"expression": "false"}, "code": "W1",
        "on_fail": [{"when": "failure.code == 'W1' && !evidence.value", "to": "continue"}]});
    let world = judged(json!([warn]));
    let judged_now = verdict(&work_ended(&world));
    assert_eq!((judged_now.tolerated, judged_now.code.as_deref()), (true, Some("W1")));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l14_a_policy_that_throws_or_says_nonsense_is_no_pass() {
    for policy in ["evidence.missing == 1", "evidence.exit + 1", "'PASS'", "{'verdict': 'pass', 'why': ''}"] {
        let mut world = judged(json!([command("g", json!({"policy": policy}))]));
        let batch = world.probe("a/1/1", "g", 1, exit(0));
        assert_eq!(names(&batch), ["ProbeFailed", "StepBlocked"], "{policy}");
        let RunEvent::ProbeFailed(failed) = &batch[0] else { panic!("{batch:?}") };
        assert!(failed.permanent && failed.message.contains(policy), "{failed:?}");
        assert_eq!(status(&world), StepStatus::Blocked);
    }
}

#[test]
fn l14_a_policy_knows_how_often_and_how_long_it_was_asked_and_what_it_said_before() {
    let policy = "gate.previous == null ? 'pending' : gate.previous.evidence.exit == evidence.exit ? 'fail' : gate.elapsed >= 20000 ? 'pass' : 'pending'";
    let gate = command(
        "g",
        json!({"policy": policy, "poll": {"every": "10s", "max": 5}, "on_fail": [{"to": {"rework": "a"}}]}),
    );
    let mut world = judged(json!([gate]));
    for (probe_no, exit_code, expected) in [(1, 5, "pending"), (2, 6, "pending"), (3, 7, "pass")] {
        let judged_now = verdict(&world.probe("a/1/1", "g", probe_no, exit(exit_code)));
        assert_eq!(judged_now.verdict.as_str(), expected, "probe {probe_no}");
        if expected == "pending" {
            fire_poll(&mut world);
        }
    }
    let used = command(
        "g",
        json!({"policy": "{'verdict': gate.used > 0 && gate.round == 2 && gate.previous.round == 1, 'reason': 'used ' + string(gate.used) + ', probe ' + string(gate.probe_no)}", "on_fail": [{"to": {"rework": "a"}}]}),
    );
    let sibling = command("g2", json!({"on_fail": [{"to": {"rework": "a"}}]}));
    let mut world = judged(json!([used, sibling]));
    assert_eq!(verdict(&world.probe("a/1/1", "g", 1, exit(1))).reason, "used 0, probe 1");
    world.succeed("a/2/1", json!(1));
    let judged_now = verdict(&world.probe("a/2/1", "g", 1, exit(1)));
    assert_eq!((judged_now.verdict, judged_now.reason.as_str()), (Verdict::Pass, "used 1, probe 1"));
}

#[test]
fn l14_a_gate_without_a_route_takes_its_steps_and_one_whose_routes_do_not_hold_fails() {
    let step = |gate: Value, on_fail: Value| {
        let work = json!({"task": {"kind": "function", "spec": {"name": "f"}}});
        let step = json!({"id": "a", "work": work, "gates": [gate], "on_fail": on_fail});
        let mut world = World::start(definition(json!({"name": "p", "steps": [step]})), json!({}));
        world.succeed("a/1/1", json!(1));
        let batch = names(&world.probe("a/1/1", "g", 1, exit(1)));
        (world, batch)
    };
    let back = json!([{"when": "failure.kind == 'gate' && evidence.exit == 1", "to": {"rework": "a"}}]);
    let (_, batch) = step(command("g", json!({})), back.clone());
    assert_eq!(batch, ["GateEvaluated", "ReworkRequested", "StepScheduled"]);
    let (world, batch) = step(command("g", json!({"code": "W"})), json!([{"to": "continue"}]));
    assert_eq!(batch, ["GateEvaluated", "StepSucceeded", "RunSucceeded"], "on to the next one: a warning");
    assert!(
        work_ended(&world)
            .iter()
            .any(|event| matches!(event, RunEvent::GateEvaluated(judged) if judged.tolerated))
    );
    let never = json!({"on_fail": [{"when": "evidence.exit == 2", "to": "block"}]});
    let (_, batch) = step(command("g", never), back);
    assert_eq!(
        batch,
        ["GateEvaluated", "StepFailed", "RunFailed"],
        "a list that has no route for it says fail"
    );
}

#[test]
fn l16_a_poll_that_is_over_takes_its_own_route_and_none_of_the_others() {
    let over = |on_timeout: Value| {
        let poll = json!({"every": "1s", "max": 1, "on_timeout": on_timeout});
        let gate = json!({"policy": PENDING, "poll": poll, "on_fail": [{"to": "continue"}], "code": "SLOW"});
        let mut world = judged(json!([command("g", gate), command("last", json!({}))]));
        let batch = names(&world.probe("a/1/1", "g", 1, exit(2)));
        (world, batch)
    };
    let (world, batch) = over(json!([{"to": "continue"}]));
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

/// A rework of `build` while a gate of `check` is probed.
fn reset_while_probed() -> World {
    let task = json!({"task": {"kind": "function", "spec": {"name": "f"}}});
    let mut world = World::start(
        definition(json!({"name": "p", "steps": [
            {"id": "build", "work": task},
            {"id": "check", "needs": ["build"], "gates": [command("g", json!({}))]},
            {"id": "other", "needs": ["build"], "work": task, "on_fail": [{"to": {"rework": "build"}}]},
        ]})),
        json!({}),
    );
    world.succeed("build/1/1", json!(1));
    world.fail("other/1/1", "broken");
    world
}

#[test]
fn l14_a_late_verdict_of_a_reset_round_is_recorded_without_effect() {
    let mut world = reset_while_probed();
    assert_eq!(probes(&world), []);
    let before = world.effects();
    let batch = world.probe("check/1/1", "g", 1, exit(1));
    assert_eq!(names(&batch), ["GateEvaluated"]);
    let judged_now = verdict(&batch);
    assert_eq!((judged_now.id.to_string().as_str(), judged_now.verdict), ("check/1/1", Verdict::Fail));
    assert_eq!(world.effects(), before);
    assert!(world.probe("check/1/1", "g", 1, exit(0)).is_empty(), "once");
    world.succeed("build/2/1", json!(2));
    assert_eq!(probes(&world), [("g".to_owned(), 1)], "each round judges anew");
    assert_eq!(names(&world.probe("check/2/1", "g", 1, exit(0))), ["GateEvaluated", "StepSucceeded"]);
    // Evidence that did not come in time is no verdict.
    let mut world = reset_while_probed();
    let kind = InputKind::ProbeFailed {
        id: "check/1/1".parse().expect("an id"),
        gate: "g".into(),
        probe_no: 1,
        message: "cancelled".into(),
        permanent: false,
        took_ms: 1,
    };
    assert_eq!(world.give(kind), Ok(Vec::new()));
}

fn recheck(policies: Value, reason: &str) -> InputKind {
    InputKind::Recheck {
        path: "a".parse().expect("a step"),
        policies: serde_json::from_value(policies).expect("texts"),
        reason: Some(reason.into()),
    }
}

#[test]
fn l18_recheck_judges_by_an_operators_policy_that_is_recorded_with_actor_and_reason() {
    let blocked = || {
        let mut world =
            judged(json!([command("one", json!({})), command("two", json!({"on_fail": [{"to": "block"}]}))]));
        world.probe("a/1/1", "one", 1, exit(0));
        world.probe("a/1/1", "two", 1, exit(1));
        assert_eq!(status(&world), StepStatus::Blocked);
        world
    };
    let lenient = "evidence.exit <= 1";
    let asks = [
        recheck(json!({"two": lenient}), "a known flake"),
        InputKind::Unblock {
            path: None,
            decision: UnblockDecision::Recheck,
            output: None,
            reason: Some("a known flake".into()),
            policies: [("two".to_owned(), lenient.to_owned())].into(),
        },
    ];
    for ask in asks {
        let mut world = blocked();
        let batch = world.by("ada", ask).expect("taken");
        assert_eq!(names(&batch)[1..], ["ProbeScheduled"]);
        let (meta, fact) = &world.history[world.history.len() - 2];
        assert_eq!(meta.actor.to_string(), "user:ada");
        assert!(format!("{fact:?}").contains(lenient) && format!("{fact:?}").contains("a known flake"));
        assert_eq!(probes(&world), [("one".to_owned(), 2)], "all gates, the first first");
        assert_eq!(verdict(&world.probe("a/1/1", "one", 2, exit(0))).policy, "default:command");
        let judged_now = verdict(&world.probe("a/1/1", "two", 2, exit(1)));
        assert_eq!((judged_now.verdict, judged_now.policy.as_str()), (Verdict::Pass, lenient));
        assert_eq!(world.state.status(), RunStatus::Succeeded);
    }
    // The policy is that recheck's: another one judges by the pipeline's again.
    let mut world = blocked();
    world.by("ada", recheck(json!({"two": "evidence.exit > 5"}), "stricter")).expect("taken");
    world.probe("a/1/1", "one", 2, exit(0));
    world.probe("a/1/1", "two", 2, exit(0));
    assert_eq!(status(&world), StepStatus::Blocked);
    world.by("ada", recheck(json!({}), "as it was")).expect("taken");
    world.probe("a/1/1", "one", 3, exit(0));
    assert_eq!(verdict(&world.probe("a/1/1", "two", 3, exit(0))).policy, "default:command");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l18_a_gate_that_is_pending_is_rechecked_and_a_probe_in_progress_does_not_count() {
    let mut world = judged(json!([command("one", json!({})), command("g", json!({"policy": PENDING}))]));
    world.probe("a/1/1", "one", 1, exit(0));
    world.probe("a/1/1", "g", 1, exit(2));
    world.by("ada", recheck(json!({}), "again")).expect("taken");
    assert_eq!((probes(&world), poll_in(&world)), (vec![("one".to_owned(), 2)], None));
    world.by("ada", recheck(json!({}), "and again")).expect("taken");
    assert_eq!(probes(&world), [("one".to_owned(), 3)]);
    assert!(world.probe("a/1/1", "one", 2, exit(1)).is_empty(), "the former probe is no longer asked");
    assert_eq!(names(&world.probe("a/1/1", "one", 3, exit(0))), ["GateEvaluated", "ProbeScheduled"]);
}

#[test]
fn l18_what_cannot_judge_is_refused_before_anything_is_recorded() {
    let mut world = judged(json!([command("g", json!({"policy": PENDING}))]));
    for (policies, code) in [
        (json!({"h": "true"}), "no_gate"),
        (json!({"g": "evidence.exit =="}), "bad_policy"),
        (json!({"g": "evidenc.exit == 0"}), "bad_policy"),
        (json!({"g": "steps.b.output == 1"}), "bad_policy"),
    ] {
        let refusal = world.by("ada", recheck(policies.clone(), "x")).expect_err("refused");
        assert_eq!(refusal.code(), code, "{policies}: {refusal}");
    }
    let mut world = judged(json!([command("g", json!({})), command("h", json!({}))]));
    world.probe("a/1/1", "g", 1, exit(0));
    world.probe("a/1/1", "h", 1, exit(1));
    assert_eq!(world.by("ada", recheck(json!({}), "x")).expect_err("over").code(), "ended");
}

#[test]
fn l18_fresh_asks_since_the_rounds_first_commit_and_fails_whatever_the_policy() {
    let step = json!({"id": "a", "work": {"task": {"kind": "command", "spec": {"argv": ["x"]}}},
        "gates": [probe("g", "file", json!({"fresh": true, "policy": "true", "on_fail": [{"to": {"rework": "a"}}]}))]});
    let mut world = World::start(
        definition(json!({"name": "p", "workspace": {"git": {"git": "/r"}}, "steps": [step]})),
        json!({}),
    );
    world.answer(&Effect::Workspace, 1);
    let finish = |world: &mut World, id: &str, commit: &str| {
        let kind = InputKind::AttemptFinished {
            id: id.parse().expect("an id"),
            result: Ok(json!(1).into()),
            commit: Some(commit.into()),
            artefacts: Vec::new(),
            ended_at: world.now,
            told: Default::default(),
            ask: None,
        };
        world.give(kind).expect("reports are taken")
    };
    let batch = finish(&mut world, "a/1/1", "c1");
    assert_eq!(asked(&batch).1["fresh"]["commit"], "c0", "the head before the round's work");
    let found = json!({"exists": true, "path": "log.md", "unchanged": ["log.md"], "files": []});
    let judged_now = verdict(&world.probe("a/1/1", "g", 1, found));
    assert_eq!(judged_now.reason, "log.md is unchanged since the round began");
    let batch = finish(&mut world, "a/2/1", "c2");
    assert_eq!(asked(&batch).1["fresh"]["commit"], "c1");
    let batch = world.probe("a/2/1", "g", 1, json!({"exists": true, "path": "log.md", "files": []}));
    assert_eq!(names(&batch), ["GateEvaluated", "StepSucceeded", "RunSucceeded"]);
}
