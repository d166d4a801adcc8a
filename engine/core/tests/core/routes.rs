//! Routes, row by row: where each leads, from wherever it may stand, and which findings it gives.

use everfold_base::actor::Actor;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Payload;
use everfold_core::effect::Effect;
use everfold_core::event::{BlockReason, Hearing, RunEvent, SignalReceived, SignalTaker, SkipReason};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, RunStatus, StepStatus};
use everfold_language::definition::{NoFiles, Vote, parse};
use serde_json::{Value, json};

use crate::fixtures::scenario::{approval, attempts, function, names, run, status, vote, with};
use crate::fixtures::simulated_run::{World, definition};

fn signal(name: &str, payload: Value) -> InputKind {
    InputKind::Signal(SignalReceived {
        name: name.into(),
        payload: Payload::Inline(payload.into()),
        delivery: None,
    })
}

/// A signal of a service.
fn send_signal(world: &mut World, name: &str, payload: Value) -> Vec<RunEvent> {
    world.give_as(Actor::Hook("forge".into()), signal(name, payload)).expect("a signal is taken")
}

fn question(id: &str, more: Value) -> Value {
    json!({"id": id, "needs": [], "work": {"question": with(json!({"title": "Which one?"}), more)}})
}

/// The steps that were passed over because a route ended the run.
fn bypassed(world: &World) -> Vec<String> {
    let of = |event: &RunEvent| match event {
        RunEvent::StepSkipped(skipped) if skipped.reason == SkipReason::Bypassed => {
            Some(skipped.path.to_string())
        }
        _other => None,
    };
    world.history.iter().filter_map(|(_, event)| of(event)).collect()
}

#[test]
fn r_finish_ends_the_run_as_it_says_wherever_it_stands() {
    for (word, ends) in [
        ("succeeded", RunStatus::Succeeded),
        ("failed", RunStatus::Failed),
        ("cancelled", RunStatus::Cancelled),
    ] {
        let finish = json!([{"to": {"finish": word}}]);
        let gate = |probe: &str, more: Value| json!({"gates": [with(json!({"id": "g", "probe": {"expression": probe}}), more)]});
        let once = json!({"poll": {"every": "1s", "max": 1, "on_timeout": finish}});
        for (place, more) in [
            ("on_fail", json!({"on_fail": finish})),
            ("on_success", json!({"on_success": finish})),
            ("a gate's on_fail", gate("false", json!({"on_fail": finish}))),
            ("on_timeout", gate("'pending'", once)),
        ] {
            let steps = json!([
                with(function("a", &[]), more),
                function("beside", &[]),
                function("after", &["a"]),
                with(approval("ask", json!({"timeout": "1h"})), json!({"needs": []})),
            ]);
            let document = json!({"name": "p", "on_finish": [function("tidy", &[])], "steps": steps});
            let mut world = World::start(definition(document), json!({}));
            match place {
                "on_fail" => world.fail("a/1/1", "broken"),
                _ => world.succeed("a/1/1", json!(1)),
            };
            let stop = Effect::Stop { id: "beside/1/1".parse().expect("an id") };
            assert!(world.effects().contains(&stop), "{word}, {place}: what executes is stopped first");
            world.fail("beside/1/1", "stopped");
            assert_eq!(bypassed(&world), ["beside", "after", "ask"], "{word}, {place}");
            assert_eq!(attempts(&world), ["tidy/1/1"], "{word}, {place}");
            world.succeed("tidy/1/1", json!(1));
            assert_eq!(world.state.status(), ends, "{word}, {place}");
            assert_eq!(world.state.failure().is_some(), word == "failed", "{word}, {place}");
        }
    }
}

#[test]
fn r_where_no_when_holds_it_is_fail_and_after_a_success_continue() {
    let none = json!([{"when": "run.pipeline == 'other'", "to": "continue"}]);
    let gates = json!([{"id": "g", "probe": {"expression": "false"}, "on_fail": none}]);
    let tolerant = json!({"gates": gates, "on_fail": [{"to": "continue"}]});
    for (more, works) in [(json!({"on_fail": none}), false), (tolerant, true)] {
        let mut world = run(json!([with(function("a", &[]), more.clone())]));
        let batch = if works { world.succeed("a/1/1", json!(1)) } else { world.fail("a/1/1", "broken") };
        assert_eq!(names(&batch)[batch.len() - 2..], ["StepFailed", "RunFailed"], "{more}");
    }
    let mut world = run(json!([with(function("a", &[]), json!({"on_success": none}))]));
    assert_eq!(names(&world.succeed("a/1/1", json!(1)))[1..], ["StepSucceeded", "RunSucceeded"]);
}

#[test]
fn r_a_when_that_cannot_be_evaluated_is_a_failure_of_its_own() {
    let routes = json!([{"when": "failure.code.startsWith('X')", "to": "block"}, {"to": "continue"}]);
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": routes}))]));
    world.fail("a/1/1", "broken");
    let (failure, path) = world.state.failure().expect("the run failed");
    assert_eq!(
        (failure.kind, path.map(ToString::to_string).as_deref()),
        (FailureKind::Validation, Some("a"))
    );
    assert!(failure.message.contains("failure.code.startsWith"), "{}", failure.message);
}

#[test]
fn r_the_first_that_holds_is_taken_and_sees_what_the_failure_was() {
    let failed = || Failure {
        code: Some("E7".into()),
        detail: Some("one\ntwo".into()),
        exit_code: Some(3),
        ..Failure::new(FailureKind::Exit, "exit 3")
    };
    let seen = "failure.kind == 'exit' && failure.code == 'E7' && failure.exit_code == 3 \
                && failure.detail.contains('two') && failure.message == 'exit 3'";
    let routes = json!([{"when": "failure.kind == 'timeout'", "to": "block"}, {"when": seen, "to": "continue"}, {"to": {"fail": {}}}]);
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": routes}))]));
    world.finish("a/1/1", Err(failed()));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn r_fail_has_words_of_its_own_and_keeps_what_it_does_not_say() {
    let own = json!({"code": "MINE", "message": "so: ${failure.message}", "hint": "ask ${run.pipeline}"});
    let failed = |to: Value| {
        let mut world = run(json!([with(function("a", &[]), json!({"on_fail": [{"to": {"fail": to}}]}))]));
        world.finish(
            "a/1/1",
            Err(Failure {
                code: Some("E7".into()),
                exit_code: Some(3),
                ..Failure::new(FailureKind::Exit, "exit 3")
            }),
        );
        let (failure, path) = world.state.failure().expect("the run failed");
        assert_eq!(path.map(ToString::to_string).as_deref(), Some("a"));
        (failure.clone(), failure.hint().to_owned())
    };
    let (failure, hint) = failed(own);
    assert_eq!(
        (failure.code.as_deref(), failure.message.as_str(), hint.as_str()),
        (Some("MINE"), "so: exit 3", "ask p")
    );
    assert_eq!((failure.kind, failure.exit_code), (FailureKind::Exit, Some(3)));
    let (failure, _) = failed(json!({}));
    assert_eq!((failure.code.as_deref(), failure.message.as_str()), (Some("E7"), "exit 3"));
}

/// Where a file gave no `max`, three was written down for people, too.
#[test]
fn l12_without_a_max_people_send_back_as_often_as_they_want_and_others_three_times() {
    let text = "name: p\nsteps:\n  - { id: a, command: x }\n  - id: ask\n    approval: { title: t }\n    \
                on_fail: { rework: a }\n    on_signal: { again: { rework: a } }\n";
    let read = |text: &str| match parse(text, "p.yaml", &NoFiles) {
        Ok(checked) => std::sync::Arc::new(checked.definition),
        Err(problems) => panic!("{problems}"),
    };
    let mut world = World::start(read(text), json!({}));
    for round in 1..=10 {
        world.succeed(&format!("a/{round}/1"), json!(1));
        let kind = match round % 2 {
            0 => vote(&format!("ask/{round}/1"), Vote::Reject),
            _ => signal("again", json!("once more")),
        };
        world.by("ada", kind).expect("taken");
        assert_eq!(attempts(&world), [format!("a/{}/1", round + 1)]);
    }
    world.succeed("a/11/1", json!(1));
    send_signal(&mut world, "again", json!("once more"));
    assert_eq!(status(&world, "ask"), StepStatus::Blocked, "what happens by itself has its limit");

    let mut world = World::start(read(text), json!({}));
    for round in 1..=4 {
        world.succeed(&format!("a/{round}/1"), json!(1));
        send_signal(&mut world, "again", json!(round));
    }
    assert_eq!(status(&world, "ask"), StepStatus::Blocked);
    // A number limits people, too.
    let mut world =
        World::start(read(&text.replace("again: { rework: a }", "again: { rework: a, max: 1 }")), json!({}));
    for round in 1..=2 {
        world.succeed(&format!("a/{round}/1"), json!(1));
        world.by("ada", signal("again", json!(round))).expect("taken");
    }
    assert_eq!(status(&world, "ask"), StepStatus::Blocked);
}

/// What took a signal, and how.
fn heard(events: &[RunEvent]) -> Vec<(String, Hearing)> {
    let of = |event: &RunEvent| match event {
        RunEvent::SignalTaken(taken) => match &taken.by {
            SignalTaker::Step(id) => Some((id.to_string(), taken.how)),
            other => panic!("{other:?}"),
        },
        _other => None,
    };
    events.iter().filter_map(of).collect()
}

#[test]
fn r_a_signal_answers_the_question_of_a_step_wholly_and_one_that_will_not_do_is_recorded_only() {
    let step = || {
        with(
            question("ask", json!({"options": ["a", "b"], "items": ["why?"], "roles": ["product"]})),
            json!({"on_signal": {"reply": [{"to": {"answer": {"choice": "${signal.pick}", "items": {"1": "${signal.why}"}}}}]}}),
        )
    };
    let read = json!({"id": "read", "needs": ["ask"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.ask.output}"}}}});
    let mut world = run(json!([step(), read]));
    let batch = send_signal(&mut world, "reply", json!({"pick": "c", "why": "so"}));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken"], "“c” is none of the options");
    assert_eq!(status(&world, "ask"), StepStatus::Waiting);
    let batch = send_signal(&mut world, "reply", json!({"why": "so"}));
    assert_eq!(heard(&batch), [("ask/1/1".into(), Hearing::Ignored)], "it cannot be rendered");
    let batch = send_signal(&mut world, "reply", json!({"pick": "b", "why": "so"}));
    assert_eq!(
        names(&batch),
        ["SignalReceived", "SignalTaken", "QuestionAnswered", "StepSucceeded", "StepScheduled"]
    );
    let said =
        r#""with":{"by":"hook:forge","choice":"b","items":{"1":"so"},"states":{"1":"answered"},"text":null}"#;
    assert!(format!("{:?}", batch[4]).contains(said), "{:?}", batch[4]);
    let batch = send_signal(&mut world, "reply", json!({"pick": "a", "why": "so"}));
    assert_eq!(names(&batch), ["SignalReceived"], "no task is open any more");
}

#[test]
fn r_a_signal_answers_what_the_work_asked() {
    let work =
        with(function("a", &[]), json!({"on_signal": {"reply": [{"to": {"answer": "${signal.text}"}}]}}));
    let mut world = run(json!([work]));
    let batch = send_signal(&mut world, "reply", json!({"text": "early"}));
    assert_eq!(heard(&batch), [("a/1/1".into(), Hearing::Deferred)], "it works, and asks nothing yet");
    let batch = world.asks("a/1/1", json!({"text": "which one?"}));
    assert_eq!(names(&batch), ["AttemptAsked", "SignalTaken", "QuestionAsked"], "before it asks, too");
    let batch = send_signal(&mut world, "reply", json!({"text": "that one"}));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken", "QuestionAnswered", "RetryScheduled"]);
    assert_eq!(attempts(&world), ["a/1/2"]);
}

/// Regression: what the answer is judged by was too large to be loaded, and the answer was lost in silence.
#[test]
fn r_a_signal_answers_though_what_judges_the_answer_must_be_loaded_first() {
    let words: Vec<String> = (0..500).map(|n| format!("word-{n}")).collect();
    let ask = with(
        question("ask", json!({"accept": "answer.text in steps.plan.output"})),
        json!({"needs": ["plan"], "on_signal": {"reply": [{"to": {"answer": "${signal.text}"}}]}}),
    );
    let mut world = run(json!([function("plan", &[]), ask]));
    world.succeed("plan/1/1", json!(words));
    let batch = send_signal(&mut world, "reply", json!({"text": "another"}));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken"], "it will not do");
    let batch = send_signal(&mut world, "reply", json!({"text": "word-7"}));
    assert_eq!(
        names(&batch),
        ["SignalReceived", "SignalTaken", "QuestionAnswered", "StepSucceeded", "RunSucceeded"]
    );
}

#[test]
fn r_a_signal_wants_changes_whatever_the_quorum_and_its_words_are_the_comment() {
    let routes = json!({"needs": ["a"], "on_signal": {
        "mine": [{"to": "changes", "findings": "as ${signal.by} says"}], "plain": [{"to": "changes"}],
    }});
    let ask = approval("ask", json!({"quorum": 2, "on_changes": [{"to": {"rework": "a"}}]}));
    let mut world = run(json!([function("a", &[]), with(ask, routes)]));
    for (round, name, said) in [(1, "mine", "as bob says"), (2, "plain", r#"{\"by\":\"bob\"}"#)] {
        world.succeed(&format!("a/{round}/1"), json!(1));
        let batch = send_signal(&mut world, name, json!({"by": "bob"}));
        assert_eq!(
            names(&batch),
            [
                "SignalReceived",
                "SignalTaken",
                "VoteCast",
                "ApprovalDecided",
                "ReworkRequested",
                "StepScheduled"
            ]
        );
        assert!(serde_json::to_string(&batch[4]).expect("JSON").contains(said), "{:?}", batch[4]);
    }
}

#[test]
fn r_a_signal_unblocks_in_each_way_and_only_what_is_blocked() {
    for (decision, expected) in [
        ("retry", StepStatus::Scheduled),
        ("proceed", StepStatus::Succeeded),
        ("skip", StepStatus::Skipped),
        ("fail", StepStatus::Failed),
    ] {
        let routes =
            json!({"on_fail": [{"to": "block"}], "on_signal": {"go": [{"to": {"unblock": decision}}]}});
        let mut world = run(json!([with(function("a", &[]), routes), function("after", &["a"])]));
        let batch = send_signal(&mut world, "go", json!(null));
        assert_eq!(heard(&batch), [("a/1/1".into(), Hearing::Deferred)], "{decision}: it is at work");
        let batch = world.fail("a/1/1", "broken");
        assert_eq!(
            names(&batch),
            ["AttemptFailed", "SignalTaken", "StepBlocked"],
            "{decision}: before its route it is not blocked"
        );
        assert!(matches!(world.state.awaited().as_slice(), [Awaited::Unblock { .. }]), "{decision}");
        let batch = send_signal(&mut world, "go", json!(null));
        assert_eq!(heard(&batch), [("a/1/1".into(), Hearing::Now)], "{decision}");
        assert_eq!(status(&world, "a"), expected, "{decision}");
    }
}

/// A gate that failed has a verdict, and says so, also where its route cannot be followed.
#[test]
fn row_20_a_max_that_cannot_be_computed_hides_no_verdict() {
    for (what, routes) in [
        ("max", json!([{"to": {"rework": "a"}, "max": {"times": "${output.missing}"}}])),
        ("when", json!([{"when": "output.missing == 1", "to": {"rework": "a"}}])),
    ] {
        let gate =
            json!({"id": "g", "probe": {"expression": "output.n == 2"}, "code": "TWO", "on_fail": routes});
        let mut world = run(json!([with(function("a", &[]), json!({ "gates": [gate] }))]));
        let batch = world.succeed("a/1/1", json!({"n": 1}));
        assert_eq!(names(&batch), ["AttemptSucceeded", "GateEvaluated", "StepBlocked"], "{what}");
        let RunEvent::StepBlocked(blocked) = &batch[2] else { panic!("{batch:?}") };
        assert_eq!(blocked.reason, BlockReason::Gate { gate: "g".into() }, "{what}");
        assert!(
            blocked.message.contains("output.n == 2") && blocked.message.contains("output.missing"),
            "{what}: {}",
            blocked.message
        );
        world.check_fold();
    }
}

#[test]
fn a_signal_skips_no_step_whose_output_is_read_later() {
    let routes = json!({"on_fail": [{"to": "block"}], "on_signal": {"go": [{"to": {"unblock": "skip"}}]}});
    let spec = json!({"name": "f", "with": {"text": "${steps.a.output.text}"}});
    let reader = json!({"id": "after", "needs": ["a"], "work": {"task": {"kind": "function", "spec": spec}}});
    let mut world = run(json!([with(function("a", &[]), routes), reader]));
    world.fail("a/1/1", "broken");
    assert_eq!(status(&world, "a"), StepStatus::Blocked);
    let batch = send_signal(&mut world, "go", json!(null));
    assert!(!names(&batch).contains(&"RunUnblocked"), "{:?}", names(&batch));
    assert_eq!((status(&world, "a"), world.state.status()), (StepStatus::Blocked, RunStatus::Blocked));
}
