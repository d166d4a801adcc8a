//! Rules L19 to L23 as far as no other test covers them: which roles are asked, what a decision is, what it leaves alone.

use everfold_base::id::StepId;
use everfold_base::json::{BlobRef, JsonText, Payload};
use everfold_core::decide::Refusal;
use everfold_core::event::{
    AnswerSaved, AttemptNotes, BlockReason, CancelRequested, QuestionAnswered, RecheckRequested, RunEvent,
    SignalReceived, StepCancelRequested, TimerKind, UnblockDecision, VoteCast,
};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, RunStatus, StepStatus, StoredValue};
use everfold_language::definition::Vote;
use serde_json::{Value, json};

use crate::fixtures::scenario::{approval, attempts, function, names, run, status, unblock, vote, with};
use crate::fixtures::simulated_run::World;
use crate::fixtures::tasks::path;

fn question(id: &str, needs: &[&str], more: Value) -> Value {
    let terms = with(json!({"title": "Which one?"}), more);
    json!({"id": id, "needs": needs, "work": {"question": terms}})
}

fn answer(task: &str, text: &str) -> InputKind {
    let answer = json!({"text": text}).into();
    InputKind::Answer(QuestionAnswered {
        id: task.parse().expect("a task"),
        answer: Payload::Inline(answer),
        roles: Vec::new(),
    })
}

/// A vote with words.
fn says(task: &str, vote: Vote, comment: &str) -> InputKind {
    InputKind::Vote(VoteCast {
        id: task.parse().expect("a task"),
        vote,
        comment: Some(comment.into()),
        roles: Vec::new(),
        comments: Vec::new(),
        edited: None,
        seen: None,
    })
}

fn edits(task: &str, value: Value) -> InputKind {
    InputKind::Vote(VoteCast {
        id: task.parse().expect("a task"),
        vote: Vote::Approve,
        comment: None,
        roles: Vec::new(),
        comments: Vec::new(),
        edited: Some(Payload::Inline(value.into())),
        seen: None,
    })
}

/// What a step was given when it was scheduled last.
fn given(world: &World, step: &str) -> Value {
    let work = world.history.iter().rev().find_map(|(_, event)| match event {
        RunEvent::StepScheduled(event) if event.id.path.step.as_str() == step => Some(event.work.clone()),
        _other => None,
    });
    serde_json::to_value(work.expect("it was scheduled")).expect("JSON")
}

fn open_tasks(world: &World) -> Vec<String> {
    let of = |awaited| match awaited {
        Awaited::Approval { id, .. } | Awaited::Question { id, .. } => Some(id.to_string()),
        _other => None,
    };
    world.state.awaited().into_iter().filter_map(of).collect()
}

#[test]
fn an_input_brings_its_value_and_not_the_name_of_a_blob() {
    let ask = approval("ask", json!({"edit": "${7}"}));
    let mut world = run(json!([ask, question("which", &[], json!({}))]));
    let blob = BlobRef { hash: JsonText::null().hash(), size_bytes: 4 };
    let mut vote = edits("ask/1/1", json!(8));
    if let InputKind::Vote(vote) = &mut vote {
        vote.edited = Some(Payload::Blob(blob));
    }
    assert!(matches!(world.by("ada", vote), Err(Refusal::InvalidEdit { .. })));
    let id = "which/1/1".parse().expect("a task");
    let answer = QuestionAnswered { id, answer: Payload::Blob(blob), roles: Vec::new() };
    let refused = world.by("ada", InputKind::Answer(answer));
    assert!(matches!(refused, Err(Refusal::InvalidAnswer { .. })), "{refused:?}");
    let id = "which/1/1".parse().expect("a task");
    let part = AnswerSaved { id, answer: Payload::Blob(blob), roles: Vec::new() };
    assert!(matches!(world.by("ada", InputKind::SaveAnswer(part)), Err(Refusal::InvalidAnswer { .. })));
    let signal = SignalReceived { name: "ci".into(), payload: Payload::Blob(blob), delivery: None };
    assert!(matches!(world.by("ada", InputKind::Signal(signal)), Err(Refusal::TooLarge { .. })));
    assert_eq!(open_tasks(&world), ["ask/1/1", "which/1/1"]);
}

/// Whether the fact of the last input of a kind keeps a value as a blob. The world decides every batch again (H5).
fn keeps_a_blob(world: &World, fact: &str) -> bool {
    let recorded = world.history.iter().rev().find(|(_, event)| event.name() == fact);
    let (_, recorded) = recorded.unwrap_or_else(|| panic!("{fact} was recorded"));
    recorded.payloads().iter().any(|payload| matches!(payload, Payload::Blob(_)))
}

#[test]
fn h5_a_large_value_of_a_person_is_recorded_as_a_blob() {
    let ask = approval("ask", json!({"edit": "small"}));
    let mut world = run(json!([ask, question("which", &[], json!({}))]));
    let large = "x".repeat(40 * 1024);
    world.by("ada", edits("ask/1/1", json!(large))).expect("taken");
    assert!(keeps_a_blob(&world, "VoteCast"));
    let id = "which/1/1".parse().expect("a task");
    let part = Payload::Inline(json!({"text": large}).into());
    let save = InputKind::SaveAnswer(AnswerSaved { id, answer: part, roles: Vec::new() });
    world.by("ada", save).expect("taken");
    assert!(keeps_a_blob(&world, "AnswerSaved"));
    world.by("ada", answer("which/1/1", &large.repeat(2))).expect("taken");
    assert!(keeps_a_blob(&world, "QuestionAnswered"));
}

#[test]
fn l19_a_task_is_known_by_its_step_round_attempt_and_item() {
    let foreach = json!({"foreach": {"items": ["x", "y"]}, "on_fail": [{"to": {"rework": "ask"}}]});
    let mut world = run(json!([with(approval("ask", json!({"timeout": "1h"})), foreach)]));
    assert_eq!(open_tasks(&world), ["ask.0/1/1", "ask.1/1/1"]);
    world.by("ada", vote("ask.0/1/1", Vote::Reject)).expect("taken");
    world.by("ada", vote("ask.1/1/1", Vote::Reject)).expect("taken");
    assert_eq!(open_tasks(&world), ["ask.0/2/1", "ask.1/2/1"], "another round");
    for withdrawn in ["ask.0/1/1", "ask.1/1/1"] {
        let late = world.by("ada", vote(withdrawn, Vote::Approve));
        assert_eq!(late, Err(Refusal::Superseded(path(withdrawn.split('/').next().expect("a path")))));
    }
}

#[test]
fn l19_whatever_ends_a_round_withdraws_its_tasks() {
    let steps = || {
        json!([
            with(approval("ask", json!({"timeout": "1h", "remind": "5m"})), json!({"needs": []})),
            question("which", &[], json!({"timeout": "1h"})),
            with(function("other", &[]), json!({"on_success": [{"to": {"finish": "succeeded"}}]})),
        ])
    };
    type Ends = fn(&mut World);
    let ways: [(&str, Ends); 3] = [
        ("cancel", |world| {
            drop(world.by("ada", InputKind::Cancel(CancelRequested { reason: None })).expect("taken"))
        }),
        ("failure", |world| drop(world.fail("other/1/1", "broken"))),
        ("finish", |world| drop(world.succeed("other/1/1", json!(1)))),
    ];
    for (way, end) in ways {
        let mut world = run(steps());
        assert_eq!(open_tasks(&world), ["ask/1/1", "which/1/1"], "{way}");
        end(&mut world);
        assert_eq!(open_tasks(&world), Vec::<String>::new(), "{way}");
        assert_eq!(world.state.awaited(), [], "{way}: neither people nor timers");
        let before = world.history.len();
        for late in [vote("ask/1/1", Vote::Approve), answer("which/1/1", "x")] {
            let refused = world.by("ada", late);
            let is_meant = matches!(refused, Err(Refusal::Superseded(_) | Refusal::Ended(_)));
            assert!(is_meant, "{way}: {refused:?}");
        }
        assert_eq!(world.history.len(), before, "{way}");
        if !world.state.is_ended() {
            world.fail("other/1/1", "stopped");
        }
        assert!(world.state.is_ended() && world.effects().is_empty(), "{way}: {:?}", world.effects());
    }

    // One step alone: the run goes on.
    let mut world = run(steps());
    let cancel = InputKind::CancelStep(StepCancelRequested { path: path("ask"), reason: None });
    world.by("ada", cancel).expect("taken");
    let late = world.by("ada", vote("ask/1/1", Vote::Approve));
    assert!(matches!(late, Err(Refusal::Superseded(_) | Refusal::Ended(_))), "{late:?}");
}

#[test]
fn l20_without_a_veto_wishes_and_rejections_need_the_quorum_each_and_are_not_added_up() {
    let terms = json!({"quorum": 2, "veto": false, "on_changes": [{"to": {"rework": "ask"}}]});
    let mut world = run(json!([approval("ask", terms.clone())]));
    world.by("ada", vote("ask/1/1", Vote::Changes)).expect("taken");
    world.by("bob", vote("ask/1/1", Vote::Reject)).expect("taken");
    world.by("cat", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(open_tasks(&world), ["ask/1/1"], "one each decides nothing");
    world.by("dan", vote("ask/1/1", Vote::Changes)).expect("taken");
    assert_eq!(open_tasks(&world), ["ask/2/1"], "two want changes");

    let with_veto = json!({"quorum": 3, "on_changes": [{"to": {"rework": "ask"}}]});
    let mut world = run(json!([approval("ask", with_veto)]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    world.by("bob", vote("ask/1/1", Vote::Changes)).expect("taken");
    assert_eq!(open_tasks(&world), ["ask/2/1"], "with a veto one wish for changes decides");
}

#[test]
fn l20_a_rejection_takes_its_route_and_its_comment_goes_along() {
    let write = json!({"id": "write", "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${rework}"}}}});
    let ask = |more| with(approval("ask", more), json!({"needs": ["write"]}));
    let back = json!({"on_reject": [{"to": {"rework": "write"}}]});
    let mut world = run(json!([write, ask(back)]));
    for round in 1..=4 {
        world.succeed(&format!("write/{round}/1"), json!(1));
        let no = says(&format!("ask/{round}/1"), Vote::Reject, "too long");
        world.by("ada", no).expect("a person's rework has no limit of its own");
    }
    assert!(given(&world, "write").to_string().contains("user:ada: too long"), "{}", given(&world, "write"));

    // Without a route of its own it is the step's `on_fail`, and its failure says who.
    let mut world = run(json!([with(approval("ask", json!({})), json!({"on_fail": [{"to": "continue"}]}))]));
    world.by("ada", vote("ask/1/1", Vote::Reject)).expect("taken");
    assert_eq!((status(&world, "ask"), world.state.status()), (StepStatus::Failed, RunStatus::Succeeded));
    let failure = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::StepFailed(event) => Some(event.failure.clone()),
        _other => None,
    });
    let failure = failure.expect("the step failed");
    assert_eq!(failure.message, "rejected by user:ada");
    assert_eq!(serde_json::to_value(failure.kind).expect("JSON"), "rejected");
}

#[test]
fn l20_what_an_approver_edits_is_the_approvals_result_and_no_other_output_changes() {
    let reads = |id: &str| {
        let with = "${{'was': steps.plan.output.limit, 'is': steps.ask.output.value}}";
        json!({"id": id, "needs": ["ask"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": with}}}})
    };
    let ask =
        with(approval("ask", json!({"edit": "${steps.plan.output.limit}"})), json!({"needs": ["plan"]}));
    let mut world = run(json!([function("plan", &[]), ask, reads("build")]));
    world.succeed("plan/1/1", json!({"limit": 5}));
    for other in [json!("six"), json!([6]), json!({"n": 6}), json!(true), json!(null)] {
        let refused = world.by("ada", edits("ask/1/1", other.clone()));
        assert!(matches!(refused, Err(Refusal::InvalidEdit { .. })), "{other}: {refused:?}");
    }
    world.by("ada", edits("ask/1/1", json!(8))).expect("taken");
    let given = given(&world, "build").to_string();
    assert!(given.contains("\\\"was\\\":5") || given.contains("\"was\":5"), "{given}");
    assert!(given.contains("\\\"is\\\":8") || given.contains("\"is\":8"), "{given}");
}

/// Reports that an attempt ended with a question.
fn asks(world: &mut World, id: &str) -> Vec<RunEvent> {
    let ended_at = world.now;
    let kind = InputKind::AttemptFinished {
        id: id.parse().expect("an attempt"),
        result: Ok(json!({"half": "done"}).into()),
        commit: None,
        artefacts: Vec::new(),
        ended_at,
        notes: AttemptNotes::default(),
        ask: Some(json!({"text": "Which?"}).into()),
    };
    world.give(kind).expect("reports are never refused")
}

#[test]
fn l22_work_that_asks_has_no_output_yet_and_its_gates_are_judged_after_the_answer() {
    let step = with(
        function("build", &[]),
        json!({"gates": [{"id": "tests", "probe": {"task": {"kind": "command", "spec": {"argv": ["make"]}}}}]}),
    );
    let mut world = run(json!([step, function("after", &["build"])]));
    assert_eq!(names(&asks(&mut world, "build/1/1")), ["AttemptAsked", "QuestionAsked"]);
    let (_, build) = world.state.step(&StepId::from("build")).expect("there");
    assert!(matches!(build.unit.output, StoredValue::Null), "no output");
    assert!(!world.names().contains(&"ProbeScheduled"), "no gate");
    world.by("ada", answer("build/1/1", "that one")).expect("taken");
    assert_eq!(attempts(&world), ["build/1/2"], "the next attempt of the same round");
    assert!(names(&world.succeed("build/1/2", json!(1))).contains(&"ProbeScheduled"));
}

#[test]
fn l23_a_retry_uses_the_used_up_route_or_does_the_failed_work_once() {
    let back = json!({"on_fail": [{"to": {"rework": "a"}, "max": {"times": 1}}]});
    let mut world = run(json!([with(function("a", &[]), back)]));
    world.fail("a/1/1", "broken");
    world.fail("a/2/1", "broken");
    assert_eq!(world.state.status(), RunStatus::Blocked);
    for round in 3..=4 {
        world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
        assert_eq!(attempts(&world), [format!("a/{round}/1")], "the route, once more");
        world.fail(&format!("a/{round}/1"), "broken");
        assert_eq!(world.state.status(), RunStatus::Blocked, "and only once");
    }
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": [{"to": "block"}]}))]));
    world.fail("a/1/1", "broken");
    for attempt in 2..=3 {
        world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
        assert_eq!(attempts(&world), [format!("a/1/{attempt}")], "the failed work, once more");
        world.fail(&format!("a/1/{attempt}"), "broken");
        assert_eq!(world.state.status(), RunStatus::Blocked, "and only once");
    }
}

#[test]
fn l23_to_proceed_gives_an_output_that_is_an_override_and_known_as_such() {
    let reads = json!({"id": "b", "needs": ["a"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.a.output.by}"}}}});
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": [{"to": "block"}]})), reads]));
    world.fail("a/1/1", "broken");
    let proceed = |output: Option<Value>| InputKind::Unblock {
        path: Some(path("a")),
        decision: UnblockDecision::Proceed,
        output: output.map(Into::into),
        reason: Some("seen by eye".into()),
        policies: Default::default(),
        keeps_items: true,
    };
    let events = world.by("ada", proceed(Some(json!({"by": "hand"})))).expect("taken");
    let RunEvent::RunUnblocked(event) = &events[0] else { panic!("{events:?}") };
    assert_eq!(event.unblocked.decision, UnblockDecision::Proceed);
    assert_eq!(event.unblocked.reason.as_deref(), Some("seen by eye"));
    let (meta, _) =
        world.history.iter().rev().find(|(_, event)| event.name() == "RunUnblocked").expect("there");
    assert_eq!(meta.actor.to_string(), "user:ada", "who overrode it stands beside it");
    assert!(given(&world, "b").to_string().contains("hand"));
    // An output belongs to that decision alone.
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": [{"to": "block"}]}))]));
    world.fail("a/1/1", "broken");
    let mut skip = proceed(Some(json!(1)));
    if let InputKind::Unblock { decision, .. } = &mut skip {
        *decision = UnblockDecision::Skip;
    }
    assert!(matches!(world.by("ada", skip), Err(Refusal::CannotUnblock { .. })));
}

#[test]
fn o12_an_override_names_the_gates_of_the_round_that_had_not_passed() {
    let gates = json!([
        {"id": "small", "probe": {"expression": "true"}},
        {"id": "off", "when": "1 > 2", "probe": {"expression": "false"}},
        {"id": "unwired", "when": "false", "probe": {"expression": "false"}},
        {"id": "warns", "probe": {"expression": "false"}, "on_fail": [{"to": "next"}]},
        {"id": "documented", "probe": {"expression": "false"}, "on_fail": [{"to": "block"}]},
        {"id": "off-behind", "when": "false", "probe": {"expression": "false"}},
        {"id": "ci", "probe": {"expression": "true"}},
    ]);
    let bypassed = |fails: bool, decision: UnblockDecision| {
        let mut world =
            run(json!([with(function("a", &[]), json!({"gates": gates, "on_fail": [{"to": "block"}]}))]));
        if fails {
            world.fail("a/1/1", "broken");
        } else {
            world.succeed("a/1/1", json!(1));
        }
        let events = world.by("ada", unblock(decision)).expect("it is blocked");
        let RunEvent::RunUnblocked(event) = events[0].clone() else { panic!("{events:?}") };
        event.bypassed
    };
    for decision in [UnblockDecision::Proceed, UnblockDecision::Skip] {
        assert_eq!(bypassed(false, decision), ["documented", "ci"]);
        assert_eq!(
            bypassed(true, decision),
            ["small", "off", "warns", "documented", "ci"],
            "none was judged"
        );
    }
    assert!(bypassed(false, UnblockDecision::Recheck).is_empty(), "they are judged again");
    assert!(bypassed(false, UnblockDecision::Retry).is_empty(), "they are judged behind the work");
}

#[test]
fn o12_an_override_of_which_nobody_says_why_is_known() {
    let mut proceed = unblock(UnblockDecision::Proceed);
    let recheck = |policies: &[(&str, &str)], reason: Option<&str>| {
        let policies = policies.iter().map(|(gate, policy)| ((*gate).into(), (*policy).into())).collect();
        InputKind::Recheck(RecheckRequested { path: path("a"), policies, reason: reason.map(Into::into) })
    };
    assert_eq!(proceed.override_without_reason(), Some("to proceed past a blocked step"));
    for (reason, is_missing) in [(" \n", true), ("seen by eye", false)] {
        if let InputKind::Unblock { reason: said, .. } = &mut proceed {
            *said = Some(reason.into());
        }
        assert_eq!(proceed.override_without_reason().is_some(), is_missing, "{reason:?}");
    }
    let by_own = recheck(&[("g", "true")], None);
    assert_eq!(by_own.override_without_reason(), Some("to judge by another policy"));
    assert_eq!(recheck(&[("g", "true")], Some("a flake")).override_without_reason(), None);
    assert_eq!(recheck(&[], None).override_without_reason(), None);
    assert_eq!(unblock(UnblockDecision::Retry).override_without_reason(), None);
}

#[test]
fn l23_while_a_step_is_blocked_other_branches_go_on_to_their_end() {
    let mut world = run(json!([
        with(function("a", &[]), json!({"on_fail": [{"to": "block"}]})),
        function("after-a", &["a"]),
        function("b", &[]),
        function("c", &["b"]),
        with(approval("d", json!({"timeout": "1h"})), json!({"needs": ["c"]})),
    ]));
    world.fail("a/1/1", "broken");
    assert_eq!(world.state.block_reason(&path("a")), Some(&BlockReason::Failed));
    assert_eq!(attempts(&world), ["b/1/1"]);
    world.succeed("b/1/1", json!(1));
    assert_eq!(attempts(&world), ["c/1/1"]);
    world.succeed("c/1/1", json!(1));
    assert_eq!((open_tasks(&world), world.state.status()), (vec!["d/1/1".to_owned()], RunStatus::Blocked));
    world.by("ada", vote("d/1/1", Vote::Approve)).expect("people decide on");
    assert_eq!(status(&world, "d"), StepStatus::Succeeded);
    assert_eq!((status(&world, "after-a"), world.state.status()), (StepStatus::Pending, RunStatus::Blocked));
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    world.succeed("a/1/2", json!(1));
    assert_eq!(attempts(&world), ["after-a/1/1"]);
    let is_timer =
        |kind| world.effects().into_iter().any(|effect| format!("{effect:?}").contains(&format!("{kind:?}")));
    assert!(!is_timer(TimerKind::Expiry), "what was decided expires no more");
}

/// A route that says `then: block` is the same as one that says nothing: what is used up is that rework, of whichever
/// step. The step whose gate failed began anew in place of the one that the route names.
#[test]
fn l23_a_retry_uses_the_used_up_route_to_the_step_that_it_names() {
    let gate = |then: Value| {
        let back = with(json!({"to": {"rework": "a"}, "max": {"times": 1}}), then);
        json!({"gates": [{"id": "g", "probe": {"expression": "false"}, "on_fail": [back]}]})
    };
    for then in [json!({}), json!({"then": {"to": "block"}})] {
        let mut world = run(json!([function("a", &[]), with(function("b", &["a"]), gate(then.clone()))]));
        for round in 1..=2 {
            world.succeed(&format!("a/{round}/1"), json!(1));
            world.succeed(&format!("b/{round}/1"), json!(1));
        }
        let used_up = BlockReason::UsedUp { target: "a".into(), gate: Some("g".into()) };
        assert_eq!(world.state.block_reason(&path("b")), Some(&used_up), "{then}");
        world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
        assert_eq!(attempts(&world), ["a/3/1"], "{then}");
        world.succeed("a/3/1", json!(1));
        world.succeed("b/3/1", json!(1));
        assert_eq!(world.state.status(), RunStatus::Blocked, "{then}: once");
        // The gate alone can be judged again, too.
        world.by("ada", unblock(UnblockDecision::Recheck)).expect("taken");
        assert_eq!(world.state.status(), RunStatus::Blocked, "{then}");
        world.by("ada", unblock(UnblockDecision::Proceed)).expect("taken");
        assert_eq!(world.state.status(), RunStatus::Succeeded, "{then}");
    }
}

/// A person who grants one more round does not have to repeat the findings.
#[test]
fn l23_a_retry_of_the_used_up_route_tells_what_the_route_tells() {
    let findings_of = |world: &mut World| {
        let batch = world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
        let rework = batch.iter().find_map(|event| match event {
            RunEvent::ReworkRequested(rework) => Some(rework.findings.clone()),
            _other => None,
        });
        format!("{:?}", rework.expect("a rework"))
    };
    let back = |more: Value| with(json!({"to": {"rework": "a"}, "max": {"times": 0}}), more);
    let own = json!({"findings": "${output.feedback}: ${failure.message}"});
    let gate =
        |route: Value| json!({"gates": [{"id": "g", "probe": {"expression": "false"}, "on_fail": [route]}]});
    let of_gate = |route: Value| {
        let mut world = run(json!([function("a", &[]), with(function("b", &["a"]), gate(route))]));
        world.succeed("a/1/1", json!(1));
        world.succeed("b/1/1", json!({"feedback": "more tests"}));
        findings_of(&mut world)
    };
    assert!(of_gate(back(own)).contains("more tests: gate"), "the route's own findings");
    assert!(of_gate(back(json!({}))).contains("value"), "the evidence");
    let then = json!({"to": {"rework": "b"}, "max": {"times": 0}, "then": back(json!({"findings": "from the start"}))});
    assert!(of_gate(then).contains("from the start"), "of what follows when another one is used up");
    // The failure of work, and what people said.
    let failing = json!({"on_fail": [back(json!({"findings": "it says ${failure.message}"}))]});
    let mut world = run(json!([function("a", &[]), with(function("b", &["a"]), failing)]));
    world.succeed("a/1/1", json!(1));
    world.fail("b/1/1", "no good");
    assert!(findings_of(&mut world).contains("it says no good"));
    let ask = approval("ask", json!({"on_reject": [back(json!({}))]}));
    let mut world = run(json!([function("a", &[]), with(ask, json!({"needs": ["a"]}))]));
    world.succeed("a/1/1", json!(1));
    world.by("ada", says("ask/1/1", Vote::Reject, "too long")).expect("taken");
    let findings = findings_of(&mut world);
    assert!(findings.contains("too long"), "{findings}");
}
