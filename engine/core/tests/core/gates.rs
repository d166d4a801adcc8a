//! Gates, rule by rule: policies and routes (L14), and judging again (L18).

use everfold_base::failure::{Failure, FailureKind};
use everfold_core::effect::Effect;
use everfold_core::event::{BlockReason, ProbeFailed, RecheckRequested, RunEvent, UnblockDecision};
use everfold_core::input::InputKind;
use everfold_core::policy::Verdict;
use everfold_core::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::fixtures::gates::{
    PENDING, asked, command, exit, fire_poll, judged, poll_in, probe, probes, verdict, work_ended,
};
use crate::fixtures::scenario::{names, status, unblock};
use crate::fixtures::simulated_run::{World, definition};

#[test]
fn l14_a_route_may_look_at_the_failure_when_it_says_next() {
    let warn = json!({"id": "w", "probe": {"expression": "false"}, "code": "W1",
        "on_fail": [{"when": "failure.code == 'W1' && !evidence.value", "to": "next"}]});
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
        assert_eq!(status(&world, "a"), StepStatus::Blocked);
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
    let next = json!({"code": "W", "on_fail": [{"to": "next"}]});
    let (world, batch) = step(command("g", next), back.clone());
    assert_eq!(batch, ["GateEvaluated", "StepSucceeded", "RunSucceeded"], "on to the next one: a warning");
    assert!(
        work_ended(&world)
            .iter()
            .any(|event| matches!(event, RunEvent::GateEvaluated(judged) if judged.tolerated))
    );
    let (world, batch) = step(command("g", json!({"code": "W"})), json!([{"to": "continue"}]));
    assert_eq!(batch, ["GateEvaluated", "StepFailed", "RunSucceeded"], "the run goes on past the step");
    assert_eq!(status(&world, "a"), StepStatus::Failed);
    assert!(
        !work_ended(&world)
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

/// A rework of `build` while a gate of `check` is probed.
pub fn reset_while_probed() -> World {
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
    let kind = InputKind::ProbeFailed(ProbeFailed {
        id: "check/1/1".parse().expect("an id"),
        gate: "g".into(),
        probe_no: 1,
        message: "cancelled".into(),
        permanent: false,
        took_ms: 1,
        broken: false,
    });
    assert_eq!(world.give(kind), Ok(Vec::new()));
}

fn recheck(policies: Value, reason: &str) -> InputKind {
    InputKind::Recheck(RecheckRequested {
        path: "a".parse().expect("a step"),
        policies: serde_json::from_value(policies).expect("texts"),
        reason: Some(reason.into()),
    })
}

#[test]
fn l18_o11_recheck_judges_by_an_operators_policy_that_is_recorded_with_actor_and_reason() {
    let blocked = || {
        let mut world =
            judged(json!([command("one", json!({})), command("two", json!({"on_fail": [{"to": "block"}]}))]));
        world.probe("a/1/1", "one", 1, exit(0));
        world.probe("a/1/1", "two", 1, exit(1));
        assert_eq!(status(&world, "a"), StepStatus::Blocked);
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
            keeps_items: true,
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
    assert_eq!(status(&world, "a"), StepStatus::Blocked);
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
    for (policies, code, place) in [
        (json!({"h": "true"}), "no_gate", ""),
        (json!({"g": "evidence.exit =="}), "bad_policy", "line 1, column 17: "),
        (json!({"g": "evidenc.exit == 0"}), "bad_policy", "line 1, column 1: "),
        (json!({"g": "true &&\n  steps.b.output == 1"}), "bad_policy", "line 2, column 9: "),
    ] {
        let refusal = world.by("ada", recheck(policies.clone(), "x")).expect_err("refused");
        assert_eq!(refusal.code(), code, "{policies}: {refusal}");
        assert!(refusal.to_string().contains(place), "{policies}: {refusal}");
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
            notes: Default::default(),
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

#[test]
fn a_diff_since_round_is_asked_since_the_commit_at_which_each_round_began() {
    let diff = json!({"task": {"kind": "diff", "spec": {"since": "round", "max_files": 1}}});
    let gates = json!([
        {"id": "own", "probe": diff, "on_fail": [{"to": {"rework": "a"}}]},
        {"id": "both", "probe": {"all": [{"probe": diff}]}},
    ]);
    let step =
        json!({"id": "a", "work": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}, "gates": gates});
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
            notes: Default::default(),
            ask: None,
        };
        world.give(kind).expect("reports are taken")
    };
    let batch = finish(&mut world, "a/1/1", "c1");
    assert_eq!(asked(&batch).1["spec"], json!({"since": "round", "max_files": 1, "base": "c0"}));
    world.probe("a/1/1", "own", 1, json!({"files": 2, "lines": 2, "max_files": 1, "names": ["x", "y"]}));
    let batch = finish(&mut world, "a/2/1", "c2");
    assert_eq!(asked(&batch).1["spec"]["base"], "c1");
    let batch =
        world.probe("a/2/1", "own", 1, json!({"files": 1, "lines": 1, "max_files": 1, "names": ["x"]}));
    assert_eq!(asked(&batch).1["spec"]["members"][0]["spec"]["base"], "c1");
}

/// A run of `a`, whose gate compares with what passed, and `b`, which may send back to it.
fn since_passed(on_fail: Value) -> World {
    let diff = json!({"task": {"kind": "diff", "spec": {"since": "passed", "allow": ["x"]}}});
    let command = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    let steps = json!([
        {"id": "a", "work": command, "gates": [{"id": "own", "probe": diff, "on_fail": on_fail}]},
        {"id": "b", "needs": ["a"], "work": command, "on_fail": [{"to": {"rework": "a"}}]},
    ]);
    let document = json!({"name": "p", "workspace": {"git": {"git": "/r"}}, "steps": steps});
    let mut world = World::start(definition(document), json!({}));
    world.answer(&Effect::Workspace, 1);
    world
}

fn left(world: &mut World, id: &str, result: Result<Value, Failure>, commit: &str) -> Vec<RunEvent> {
    let kind = InputKind::AttemptFinished {
        id: id.parse().expect("an id"),
        result: result.map(Into::into),
        commit: Some(commit.into()),
        artefacts: Vec::new(),
        ended_at: world.now,
        notes: Default::default(),
        ask: None,
    };
    world.give(kind).expect("reports are taken")
}

#[test]
fn o194_a_diff_since_passed_is_asked_with_what_the_rounds_left_that_were_refused() {
    let mut world = since_passed(json!([{"to": {"rework": "a"}, "max": {"times": 9}}]));
    let spec = |batch: &[RunEvent]| asked(batch).1["spec"].clone();
    let found = |name: &str| json!({"files": 1, "lines": 1, "names": [name], "allow": ["x"]});
    let batch = left(&mut world, "a/1/1", Ok(json!(1)), "c1");
    let plain = json!({"since": "passed", "allow": ["x"], "base": "c0", "refused": []});
    assert_eq!(spec(&batch), plain);
    world.probe("a/1/1", "own", 1, found("y"));
    // A round that changes nothing left nothing.
    let batch = left(&mut world, "a/2/1", Ok(json!(1)), "c1");
    assert_eq!(
        (spec(&batch)["base"].clone(), spec(&batch)["refused"].clone()),
        (json!("c1"), json!([["c0", "c1"]]))
    );
    world.probe("a/2/1", "own", 1, found("y"));
    let batch = left(&mut world, "a/3/1", Ok(json!(1)), "c3");
    assert_eq!(spec(&batch)["refused"], json!([["c0", "c1"]]));
    world.probe("a/3/1", "own", 1, found("y"));
    let batch = left(&mut world, "a/4/1", Ok(json!(1)), "c4");
    assert_eq!(spec(&batch)["refused"], json!([["c0", "c1"], ["c1", "c3"]]));
    world.check_fold();
    world.probe("a/4/1", "own", 1, found("x"));
    // What passed is held against no later round, and neither is what another step committed.
    left(&mut world, "b/1/1", Err(Failure::new(FailureKind::Exit, "red")), "c5");
    let batch = left(&mut world, "a/5/1", Ok(json!(1)), "c6");
    assert_eq!((spec(&batch)["base"].clone(), spec(&batch)["refused"].clone()), (json!("c5"), json!([])));
    world.check_fold();
}

#[test]
fn o194_what_a_person_passed_over_is_held_against_no_later_round() {
    for (decision, refused) in [(UnblockDecision::Proceed, json!([])), (UnblockDecision::Skip, json!([]))] {
        let mut world = since_passed(json!([{"to": "block"}]));
        left(&mut world, "a/1/1", Ok(json!(1)), "c1");
        world.probe("a/1/1", "own", 1, json!({"files": 1, "lines": 1, "names": ["y"], "allow": ["x"]}));
        world.by("ada", unblock(decision)).expect("it is blocked");
        left(&mut world, "b/1/1", Err(Failure::new(FailureKind::Exit, "red")), "c1");
        let batch = left(&mut world, "a/2/1", Ok(json!(1)), "c2");
        assert_eq!(asked(&batch).1["spec"]["refused"], refused, "{decision:?}");
    }
}

/// A pipeline of before the word, with a step of that name: its commit stands beside.
#[test]
fn a_diff_since_a_step_that_is_called_passed_is_asked_as_it_was() {
    let diff = json!({"task": {"kind": "diff", "spec": {"since": "passed", "allow": ["x"], "base": "${steps.passed.commit}"}}});
    let command = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    let steps = json!([
        {"id": "passed", "work": command},
        {"id": "a", "needs": ["passed"], "work": command, "gates": [{"id": "own", "probe": diff}]},
    ]);
    let document = json!({"name": "p", "workspace": {"git": {"git": "/r"}}, "steps": steps});
    let mut world = World::start(definition(document), json!({}));
    world.answer(&Effect::Workspace, 1);
    left(&mut world, "passed/1/1", Ok(json!(1)), "c1");
    let batch = left(&mut world, "a/1/1", Ok(json!(1)), "c2");
    assert_eq!(asked(&batch).1["spec"], json!({"since": "passed", "allow": ["x"], "base": "c1"}));
}

#[test]
fn row_37_the_text_of_a_route_sees_the_verdict_of_its_own_gate() {
    let message = "said ${steps.a.gates.g.reason}: ${steps.a.gates.g.evidence.exit}";
    let route = json!([{"to": {"fail": {"code": "BAD", "message": message}}}]);
    let mut world = judged(json!([command("g", json!({"policy": "evidence.exit == 0", "on_fail": route}))]));
    let batch = world.probe("a/1/1", "g", 1, exit(3));
    assert_eq!(names(&batch), ["GateEvaluated", "StepFailed", "RunFailed"], "it failed, and has evidence");
    let (failure, _) = world.state.failure().expect("it failed");
    assert_eq!(failure.message, "said `evidence.exit == 0` is false: 3");
    assert_eq!(failure.code.as_deref(), Some("BAD"));
    // Of the one that is judged at once, too.
    let expression = json!([{"id": "g", "probe": {"expression": "output.n > 1"},
        "on_fail": [{"to": {"fail": {"message": "said ${steps.a.gates.g.reason}"}}}]}]);
    let world = judged(expression);
    assert_eq!(world.state.failure().expect("it failed").0.message, "said `output.n > 1` is false");
}

#[test]
fn row_37_a_route_that_cannot_be_followed_is_told_beside_the_verdict_which_stands() {
    for route in [
        json!([{"to": {"fail": {"message": "${steps.a.output.nothing}"}}}]),
        json!([{"to": {"rework": "a"}, "max": {"times": "${steps.a.output.nothing}"}}]),
        json!([{"when": "steps.a.output.nothing", "to": "continue"}]),
    ] {
        let mut world = judged(json!([command("g", json!({"on_fail": route.clone()}))]));
        let batch = world.probe("a/1/1", "g", 1, exit(3));
        assert_eq!(names(&batch), ["GateEvaluated", "StepBlocked"], "{route}");
        assert_eq!(verdict(&batch).verdict, Verdict::Fail);
        let RunEvent::StepBlocked(blocked) = batch.last().expect("events") else { panic!("{batch:?}") };
        assert_eq!(blocked.reason, BlockReason::Gate { gate: "g".to_owned() }, "{blocked:?}");
        for said in ["exit", "its route cannot be followed", "nothing"] {
            assert!(blocked.message.contains(said), "{said} in {}", blocked.message);
        }
    }
}

#[test]
fn row_37_the_cause_of_a_failed_policy_is_told_however_long_the_policy_is() {
    let policy = format!("{}evidence.nothing == 1", "evidence.exit == 0 ||\n      ".repeat(40));
    let mut world = judged(json!([command("g", json!({"policy": policy}))]));
    let batch = world.probe("a/1/1", "g", 1, exit(3));
    let RunEvent::StepBlocked(blocked) = batch.last().expect("events") else { panic!("{batch:?}") };
    assert!(blocked.message.contains("nothing") && blocked.message.len() < 400, "{}", blocked.message);
    assert!(blocked.message.contains("evidence.exit == 0 || evidence.exit == 0"), "{}", blocked.message);
}
