//! Rules of gates and tasks, one by one, as given, when, then: judging, quorums, decisions on a blocked step.

use everfold_base::actor::Actor;
use everfold_base::failure::FailureKind;
use everfold_base::id::StepPath;
use everfold_base::json::{JsonText, Payload};
use everfold_core::decide::{Refusal, is_own_decision, override_refusal};
use everfold_core::effect::Effect;
use everfold_core::event::{
    OriginKind, ProbeFailed, RunEvent, RunNumber, SignalReceived, UnblockDecision, VoteCast, decode, encode,
};
use everfold_core::input::{InputKind, Start, StartOptions};
use everfold_core::policy::Verdict;
use everfold_core::state::{RunState, RunStatus, StepStatus};
use everfold_language::definition::{OnLost, Vote};
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    approval, attempts, function, lose, names, run, status, unblock, vote, with,
};
use crate::fixtures::simulated_run::{World, definition, start};

fn gated(gates: Value, more: Value) -> World {
    run(json!([with(function("a", &[]), with(json!({"gates": gates}), more))]))
}

fn command(id: &str, more: Value) -> Value {
    with(json!({"id": id, "probe": {"task": {"kind": "command", "spec": {"argv": ["make"]}}}}), more)
}

#[test]
fn l14_gates_are_judged_in_order_and_the_first_failure_takes_its_route() {
    let first = json!({"id": "first", "probe": {"expression": "output == 1"}});
    let gates = json!([
        first,
        command("tests", json!({"on_fail": [{"to": {"rework": "a"}}]})),
        command("last", json!({}))
    ]);
    let mut world = gated(gates, json!({}));
    assert_eq!(
        names(&world.succeed("a/1/1", json!(1))),
        ["AttemptSucceeded", "GateEvaluated", "ProbeScheduled"]
    );
    assert_eq!(status(&world, "a"), StepStatus::Gating);
    let batch =
        world.probe("a/1/1", "tests", 1, json!({"argv": ["make"], "exit": 2, "output": "2 tests failed"}));
    assert_eq!(names(&batch), ["GateEvaluated", "ReworkRequested", "StepScheduled"]);
    let RunEvent::GateEvaluated(judged) = &batch[0] else { panic!("{batch:?}") };
    assert_eq!((judged.verdict, judged.policy.as_str()), (Verdict::Fail, "default:command"));
    let RunEvent::ReworkRequested(rework) = &batch[1] else { panic!("{batch:?}") };
    assert!(format!("{:?}", rework.findings).contains("2 tests failed"), "{rework:?}");
    world.succeed("a/2/1", json!(1));
    world.probe("a/2/1", "tests", 1, json!({"argv": ["make"], "exit": 0, "output": ""}));
    let batch = world.probe("a/2/1", "last", 1, json!({"argv": ["make"], "exit": 0, "output": ""}));
    assert_eq!(names(&batch), ["GateEvaluated", "StepSucceeded", "RunSucceeded"]);
}

#[test]
fn l14_a_verdict_that_says_next_is_a_warning_and_a_gate_that_does_not_apply_is_skipped() {
    let warn =
        json!({"id": "warn", "probe": {"expression": "false"}, "on_fail": [{"to": "next"}], "code": "W1"});
    let never = json!({"id": "never", "when": "step.round > 5", "otherwise": "too early", "probe": {"expression": "false"}});
    let mut world = gated(json!([warn, never]), json!({}));
    let batch = world.succeed("a/1/1", json!(1));
    let verdicts: Vec<_> = batch
        .iter()
        .filter_map(|event| match event {
            RunEvent::GateEvaluated(judged) => {
                Some((judged.verdict, judged.tolerated, judged.reason.as_str()))
            }
            _other => None,
        })
        .collect();
    assert_eq!(verdicts, [(Verdict::Fail, true, "`false` is false"), (Verdict::Skipped, false, "too early")]);
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l16_a_gate_without_evidence_asks_again_and_never_passes() {
    let mut world = gated(json!([command("tests", json!({"poll": {"every": "5s", "max": 2}}))]), json!({}));
    world.succeed("a/1/1", json!(1));
    let failed = |probe_no| {
        InputKind::ProbeFailed(ProbeFailed {
            id: "a/1/1".parse().expect("an id"),
            gate: "tests".into(),
            probe_no,
            message: "no network".into(),
            permanent: false,
            took_ms: 1,
            broken: false,
        })
    };
    assert_eq!(names(&world.give(failed(1)).expect("taken")), ["ProbeFailed", "TimerSet"]);
    assert_eq!(world.state.status(), RunStatus::Waiting);
    let timer = world.effects().remove(0);
    world.answer(&timer, 0);
    assert_eq!(names(&world.give(failed(2)).expect("taken")), ["ProbeFailed", "StepBlocked"]);
    assert_eq!(world.state.status(), RunStatus::Blocked);
    let batch = world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(names(&batch), ["RunUnblocked", "ProbeScheduled"]);
    let batch = world.probe("a/1/1", "tests", 3, json!({"argv": ["make"], "exit": 0, "output": ""}));
    assert_eq!(names(&batch), ["GateEvaluated", "StepSucceeded", "RunSucceeded"]);
}

#[test]
fn l18_recheck_judges_every_gate_again_on_the_same_artefacts() {
    let mut world = gated(
        json!([command("one", json!({})), command("two", json!({"on_fail": [{"to": "block"}]}))]),
        json!({}),
    );
    world.succeed("a/1/1", json!(1));
    world.probe("a/1/1", "one", 1, json!({"argv": ["make"], "exit": 0, "output": ""}));
    world.probe("a/1/1", "two", 1, json!({"argv": ["make"], "exit": 1, "output": ""}));
    world.by("ada", unblock(UnblockDecision::Recheck)).expect("taken");
    let probes = world.effects();
    let [Effect::Probe { gate, probe_no, .. }] = probes.as_slice() else { panic!("{probes:?}") };
    assert_eq!((gate.as_str(), *probe_no), ("one", 2));
}

#[test]
fn l20_a_quorum_decides_and_a_veto_ends_it() {
    let mut world = run(json!([approval("ask", json!({"quorum": 2}))]));
    assert_eq!(names(&world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken")), ["VoteCast"]);
    assert!(world.by("ada", vote("ask/1/1", Vote::Approve)).expect("no news").is_empty());
    let batch = world.by("bob", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(names(&batch), ["VoteCast", "ApprovalDecided", "StepSucceeded", "RunSucceeded"]);

    let mut world = run(json!([approval("ask", json!({"quorum": 2}))]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    let batch = world.by("bob", vote("ask/1/1", Vote::Reject)).expect("taken");
    assert_eq!(names(&batch), ["VoteCast", "ApprovalDecided", "StepFailed", "RunFailed"]);
    assert_eq!(world.state.failure().expect("a failure").0.kind, FailureKind::Rejected);

    let mut world = run(json!([approval("ask", json!({"quorum": 2, "veto": false}))]));
    assert_eq!(names(&world.by("bob", vote("ask/1/1", Vote::Reject)).expect("taken")), ["VoteCast"]);
}

#[test]
fn l20_roles_self_approval_and_comments_are_asked_for() {
    let terms = json!({"roles": ["product"], "self_approval": false, "comment": ["reject"]});
    let mut world = run(json!([approval("ask", terms)]));
    let cast = |vote, roles: &[&str]| {
        InputKind::Vote(VoteCast {
            id: "ask/1/1".parse().expect("a task"),
            vote,
            comment: None,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            comments: Vec::new(),
            edited: None,
            seen: None,
        })
    };
    let path = StepPath::step(&"ask".into());
    assert_eq!(
        world.by("bob", cast(Vote::Approve, &["ops"])),
        Err(Refusal::WrongRole { path: path.clone(), roles: vec!["product".into()] })
    );
    assert_eq!(world.by("ada", cast(Vote::Approve, &["product"])), Err(Refusal::SelfApproval(path.clone())));
    assert_eq!(
        world.by("bob", cast(Vote::Reject, &["product"])),
        Err(Refusal::CommentNeeded { path, vote: Vote::Reject })
    );
    world.by("bob", cast(Vote::Approve, &["product"])).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l20_who_is_behind_a_start_is_its_starter_too_where_self_approval_is_not_wanted() {
    for (self_approval, number) in [(false, None), (true, None), (false, Some(4))] {
        let terms = json!({"self_approval": self_approval});
        let mut world = World::new(definition(json!({"name": "p", "steps": [approval("ask", terms)]})));
        let InputKind::Start(begin) = start(json!(null)) else { unreachable!("it is a start") };
        let initiator = Some(Actor::User("ada".into()));
        let options = StartOptions { initiator, ..begin.options };
        let number = number.map(|number| RunNumber { key: "ET".into(), number });
        world.by("nightly", InputKind::Start(Start { options, number, ..begin })).expect("taken");
        let stored: Vec<_> = world.history.iter().map(|(_, event)| encode(event).expect("written")).collect();
        assert_eq!(stored[0].0, 6);
        let read = decode(world.history[0].1.kind(), stored[0].0, &stored[0].1).expect("read");
        assert_eq!(read, world.history[0].1);
        let definition = world.state.definition().clone();
        let kept = RunState::from_snapshot(definition, &world.state.snapshot()).expect("a snapshot");
        assert_eq!(kept.initiator(), world.state.initiator());
        let by_ada = world.by("ada", vote("ask/1/1", Vote::Approve));
        if self_approval {
            by_ada.expect("taken");
        } else {
            assert_eq!(by_ada, Err(Refusal::SelfApproval(StepPath::step(&"ask".into()))));
            world.by("bob", vote("ask/1/1", Vote::Approve)).expect("taken");
        }
        assert_eq!(world.state.status(), RunStatus::Succeeded);
    }
}

#[test]
fn l20_who_is_behind_a_step_that_forks_a_run_is_the_starter_of_the_fork_too() {
    let origin = run(json!([approval("ask", json!({"self_approval": false}))]));
    let (hash, until) = (origin.state.definition_hash().expect("it is pinned"), origin.history.len());
    let step = Actor::Run("00000000-0000-0000-0000-000000000007/copy".into());
    let by = |initiator: Option<&str>| (step.clone(), initiator.map(|name| Actor::User(name.into())));
    for (initiator, schema) in [(Some("eve"), 3), (None, 2)] {
        let from = Some("ask".into());
        let fork = origin.forked_for(until, OriginKind::Fork, from, hash, by(initiator));
        let mut world = fork.expect("it can be forked");
        let forked = world.history.iter().find(|(_, event)| matches!(event, RunEvent::RunForked(_)));
        let forked = forked.expect("it is recorded").1.clone();
        let (written, bytes) = encode(&forked).expect("written");
        assert_eq!(written, schema, "one without an initiator keeps its bytes");
        assert_eq!(decode(forked.kind(), written, &bytes).expect("read"), forked);
        let kept = RunState::from_snapshot(world.state.definition().clone(), &world.state.snapshot());
        assert_eq!(kept.expect("a snapshot").initiator(), world.state.initiator());
        if initiator.is_some() {
            let by_eve = world.by("eve", vote("ask/1/1", Vote::Approve));
            assert_eq!(by_eve, Err(Refusal::SelfApproval(StepPath::step(&"ask".into()))));
        }
        let by_ada = world.by("ada", vote("ask/1/1", Vote::Approve));
        let refused = Err(Refusal::SelfApproval(StepPath::step(&"ask".into())));
        assert_eq!(by_ada, refused, "who started the origin is its author still");
        world.by("bob", vote("ask/1/1", Vote::Approve)).expect("taken");
        assert_eq!(world.state.status(), RunStatus::Succeeded);
    }
}

#[test]
fn l20_an_author_does_not_approve_what_somebody_else_retried_of_it() {
    let mut world = run(json!([approval("ask", json!({"self_approval": false}))]));
    for starter in ["bob", "cyd"] {
        let (hash, until) = (world.state.definition_hash().expect("it is pinned"), world.history.len());
        let by = (Actor::User(starter.into()), None);
        world = world.forked_for(until, OriginKind::Fork, Some("ask".into()), hash, by).expect("forked");
    }
    for author in ["ada", "bob", "cyd"] {
        let refused = Err(Refusal::SelfApproval(StepPath::step(&"ask".into())));
        assert_eq!(world.by(author, vote("ask/1/1", Vote::Approve)), refused, "{author}");
    }
    let kept = RunState::from_snapshot(world.state.definition().clone(), &world.state.snapshot());
    assert_eq!(kept.expect("a snapshot"), world.state);
    world.by("dan", vote("ask/1/1", Vote::Approve)).expect("taken");
    world.check_fold();
}

#[test]
fn l20_a_login_name_and_the_token_of_that_name_have_one_voice() {
    let mut world = run(json!([approval("ask", json!({"quorum": 2, "self_approval": false}))]));
    let token = |name: &str| Actor::Token(name.into());
    let refused = Err(Refusal::SelfApproval(StepPath::step(&"ask".into())));
    assert_eq!(world.give_as(token("ada"), vote("ask/1/1", Vote::Approve)), refused, "ada started it");
    world.by("bob", vote("ask/1/1", Vote::Approve)).expect("taken");
    let again = world.give_as(token("bob"), vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(names(&again), ["VoteCast"], "the same person once more");
    let other = world.give_as(token("eve"), vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(names(&other)[..2], ["VoteCast", "ApprovalDecided"]);
}

#[test]
fn l20_who_is_excluded_decides_by_no_other_way() {
    let asks = with(
        approval("ask", json!({"self_approval": false})),
        json!({"on_signal": {"go": [{"to": "approve"}]}}),
    );
    let world = run(json!([asks, approval("open", json!({}))]));
    let signal = |name: &str| {
        let payload = Payload::Inline(JsonText::from(json!(null)));
        InputKind::Signal(SignalReceived { name: name.into(), payload, delivery: None })
    };
    let unblock = |step: &str, decision| InputKind::Unblock {
        path: Some(step.parse().expect("a path")),
        decision,
        output: None,
        reason: None,
        policies: Default::default(),
        keeps_items: true,
    };
    for (kind, is_own) in [
        (vote("ask/1/1", Vote::Approve), true),
        (vote("open/1/1", Vote::Approve), false),
        (signal("go"), true),
        (signal("other"), false),
        (unblock("ask", UnblockDecision::Proceed), true),
        (unblock("ask", UnblockDecision::Retry), false),
        (unblock("open", UnblockDecision::Skip), false),
    ] {
        let by = |actor: Actor| is_own_decision(&world.state, &kind, &actor);
        assert_eq!(by(Actor::Token("ada".into())), is_own, "{kind:?}");
        assert!(!by(Actor::User("bob".into())), "{kind:?}");
    }
}

#[test]
fn l20_passing_over_a_blocked_approval_asks_for_its_roles() {
    let terms = json!({"roles": ["security"], "self_approval": false, "on_reject": [{"to": "block"}]});
    let mut world = run(json!([approval("ask", terms)]));
    let cast = VoteCast {
        id: "ask/1/1".parse().expect("a task"),
        vote: Vote::Reject,
        comment: None,
        roles: vec!["security".into()],
        comments: Vec::new(),
        edited: None,
        seen: None,
    };
    world.by("bob", InputKind::Vote(cast)).expect("taken");
    let path = StepPath::step(&"ask".into());
    for place in [None, Some(path.clone())] {
        let unblock = |decision| InputKind::Unblock {
            path: place.clone(),
            decision,
            output: None,
            reason: Some("now".into()),
            policies: Default::default(),
            keeps_items: true,
        };
        let refusal = |decision, roles: &[&str], by: &str| {
            let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
            override_refusal(&world.state, &unblock(decision), &roles, &Actor::Token(by.into()))
        };
        let wrong = Refusal::WrongRole { path: path.clone(), roles: vec!["security".into()] };
        assert_eq!(refusal(UnblockDecision::Proceed, &[], "eve"), Some(wrong));
        assert_eq!(
            refusal(UnblockDecision::Skip, &["security"], "ada"),
            Some(Refusal::SelfApproval(path.clone()))
        );
        assert_eq!(refusal(UnblockDecision::Skip, &["security"], "eve"), None);
        assert_eq!(refusal(UnblockDecision::Retry, &[], "ada"), None, "people are asked again");
    }
}

#[test]
fn l19_a_decided_task_takes_the_same_again_and_refuses_another_and_a_withdrawn_one_is_superseded() {
    let mut world = run(json!([
        approval("ask", json!({"on_reject": [{"to": {"rework": "ask"}}]})),
        function("after", &["ask"]),
    ]));
    world.by("ada", vote("ask/1/1", Vote::Reject)).expect("taken");
    let path = StepPath::step(&"ask".into());
    assert_eq!(world.by("ada", vote("ask/1/1", Vote::Approve)), Err(Refusal::Superseded(path.clone())));
    world.by("ada", vote("ask/2/1", Vote::Approve)).expect("taken");
    assert!(world.by("bob", vote("ask/2/1", Vote::Approve)).expect("no news").is_empty());
    let refused = world.by("bob", vote("ask/2/1", Vote::Reject));
    assert_eq!(refused, Err(Refusal::Decided { path, decision: Vote::Approve }));
}

#[test]
fn l23_each_unblock_decision_does_what_it_says() {
    let blocked = || {
        let mut world = run(json!([
            with(function("a", &[]), json!({"on_fail": [{"to": {"rework": "a"}, "max": {"times": 0}}]})),
            function("b", &["a"]),
        ]));
        world.fail("a/1/1", "broken");
        assert_eq!(world.state.status(), RunStatus::Blocked);
        world
    };
    let mut world = blocked();
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(attempts(&world), ["a/2/1"], "the used-up rework, once more");

    let mut world = blocked();
    let output = Some(json!({"by": "hand"}).into());
    let proceed = InputKind::Unblock {
        path: None,
        decision: UnblockDecision::Proceed,
        output,
        reason: None,
        policies: Default::default(),
        keeps_items: true,
    };
    world.by("ada", proceed).expect("taken");
    assert_eq!((status(&world, "a"), status(&world, "b")), (StepStatus::Succeeded, StepStatus::Scheduled));

    let mut world = blocked();
    world.by("ada", unblock(UnblockDecision::Skip)).expect("taken");
    assert_eq!((status(&world, "a"), status(&world, "b")), (StepStatus::Skipped, StepStatus::Scheduled));

    let mut world = blocked();
    world.by("ada", unblock(UnblockDecision::Fail)).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Failed);
    assert_eq!(world.by("ada", unblock(UnblockDecision::Fail)), Err(Refusal::Ended(RunStatus::Failed)));

    let mut world = run(json!([function("a", &[])]));
    assert_eq!(world.by("ada", unblock(UnblockDecision::Skip)), Err(Refusal::NothingBlocked));
    lose(&mut world, "a/1/1", OnLost::Block);
    assert_eq!(
        names(&world.by("ada", unblock(UnblockDecision::Retry)).expect("taken")),
        ["RunUnblocked", "RetryScheduled"]
    );
    assert_eq!(attempts(&world), ["a/1/2"]);
}
