//! Signals, rule by rule: which steps take one, and when (L26, L27).

use everfold_base::actor::Actor;
use everfold_base::json::{JsonText, Payload};
use everfold_core::decide::{self, Refusal};
use everfold_core::effect::Effect;
use everfold_core::event::{BlockReason, Hearing, RunEvent, SignalReceived, SignalTaker, TimerKind};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, RunStatus, StepStatus};
use everfold_language::definition::Vote;
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    approval, attempts, function, names, run, send_signal, signal, status, timer, wait, with,
};
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::tasks::fire;

/// What took a signal, and how.
fn takers(events: &[RunEvent]) -> Vec<(String, Hearing)> {
    let taken = events.iter().filter_map(|event| match event {
        RunEvent::SignalTaken(taken) => {
            let by = match &taken.by {
                SignalTaker::Gate { id, gate } => format!("gate {gate} of {id}"),
                SignalTaker::Wait(id) => format!("wait {id}"),
                SignalTaker::Step(id) => format!("step {id}"),
                SignalTaker::Run => "run".to_owned(),
                SignalTaker::Nobody => "nobody".to_owned(),
            };
            Some((by, taken.how))
        }
        _other => None,
    });
    taken.collect()
}

#[test]
fn a_wait_for_a_signal_gives_its_payload_and_takes_only_what_matches() {
    let mut world = run(json!([
        wait("w", &[], json!({"signal": "merged", "match": "signal.pr == 7"})),
        {"id": "next", "needs": ["w"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.w.output.sha}"}}}},
    ]));
    assert_eq!(world.state.status(), RunStatus::Waiting);
    assert!(matches!(world.state.awaited().as_slice(), [Awaited::Signal { name, .. }] if name == "merged"));
    assert_eq!(
        takers(&send_signal(&mut world, "merged", json!({"pr": 8}))),
        [("nobody".into(), Hearing::Kept)]
    );
    assert_eq!(
        takers(&send_signal(&mut world, "merged", json!("what?"))),
        [("nobody".into(), Hearing::Kept)]
    );
    let batch = send_signal(&mut world, "merged", json!({"pr": 7, "sha": "abc"}));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken", "StepSucceeded", "StepScheduled"]);
    assert!(format!("{:?}", batch[3]).contains(r#""with":"abc""#), "{batch:?}");
}

// L26

#[test]
fn l26_a_delivery_counts_once() {
    let mut world = run(json!([wait("w", &[], json!({"signal": "go", "match": "signal == 2"}))]));
    let delivered = |payload: Value| {
        InputKind::Signal(SignalReceived {
            name: "go".into(),
            payload: Payload::Inline(payload.into()),
            delivery: Some("d-1".into()),
        })
    };
    let hook = || Actor::Hook("ci".into());
    assert_eq!(
        names(&world.give_as(hook(), delivered(json!(1))).expect("taken")),
        ["SignalReceived", "SignalTaken"]
    );
    assert!(world.give_as(hook(), delivered(json!(2))).expect("taken").is_empty());
    assert_eq!(status(&world, "w"), StepStatus::Waiting);
}

#[test]
fn row_49_a_delivery_counts_once_for_as_long_as_the_run() {
    let mut world = run(json!([wait("w", &[], json!({"signal": "go"}))]));
    let other = |n: usize| {
        InputKind::Signal(SignalReceived {
            name: "other".into(),
            payload: Payload::Inline(json!(n).into()),
            delivery: Some(format!("d-{n}")),
        })
    };
    let hook = || Actor::Hook("ci".into());
    for n in 0..1_100 {
        assert_eq!(names(&world.give_as(hook(), other(n)).expect("taken")), ["SignalReceived"], "{n}");
    }
    for n in [0, 1, 500, 1_099] {
        assert!(world.give_as(hook(), other(n)).expect("taken").is_empty(), "{n} came before");
    }
    assert!(world.state.snapshot().len() < 64 * 1024, "{}", world.state.snapshot().len());
    world.check_fold();
}

#[test]
fn l26_a_wait_goes_before_steps_in_file_order_and_those_before_the_run() {
    let ignore = json!({"on_signal": {"s": [{"to": "ignore"}]}});
    let document = json!({"name": "p", "on_signal": {"s": [{"to": "ignore"}]}, "steps": [
        with(function("a", &[]), ignore.clone()),
        with(function("b", &[]), ignore.clone()),
        wait("w", &[], json!({"signal": "s"})),
        with(function("late", &["a"]), ignore),
    ]});
    let mut world = World::start(definition(document), json!({}));
    let mut took = Vec::new();
    took.extend(takers(&send_signal(&mut world, "s", json!(1))));
    took.extend(takers(&send_signal(&mut world, "s", json!(2))));
    world.succeed("b/1/1", json!(1));
    world.succeed("a/1/1", json!(1));
    took.extend(takers(&send_signal(&mut world, "s", json!(3))));
    world.succeed("late/1/1", json!(1));
    assert_eq!(world.by("ada", signal("s", json!(4))), Err(Refusal::Ended(RunStatus::Succeeded)));
    let by: Vec<&str> = took.iter().map(|(by, _)| by.as_str()).collect();
    assert_eq!(by, ["wait w/1/1", "step a/1/1", "step late/1/1"]);
}

#[test]
fn l26_the_runs_route_hears_what_no_active_step_does() {
    let document = json!({"name": "p", "on_signal": {"stop": [{"to": {"finish": "cancelled"}}]}, "steps": [
        with(function("a", &["w"]), json!({"on_signal": {"stop": [{"to": "ignore"}]}})),
        wait("w", &[], json!({"for": "1h"})),
    ]});
    let mut world = World::start(definition(document), json!({}));
    let batch = send_signal(&mut world, "stop", json!(null));
    assert_eq!(takers(&batch), [("run".into(), Hearing::Now)], "a is not active yet");
    assert_eq!(names(&batch)[2..], ["StepSkipped", "StepSkipped", "RunCancelled"]);
}

#[test]
fn l26_what_nobody_hears_is_kept_for_a_wait_to_come_in_order_and_else_recorded_only() {
    let mut world = run(json!([
        function("a", &[]),
        wait("w", &["a"], json!({"signal": "go"})),
        wait("v", &["w"], json!({"signal": "go"}))
    ]));
    assert_eq!(takers(&send_signal(&mut world, "other", json!(0))), []);
    send_signal(&mut world, "go", json!("x".repeat(3_000)));
    for n in 2..=101 {
        let kept = [("nobody".to_owned(), Hearing::Kept)];
        let expected = if n <= 100 { kept.as_slice() } else { &[] };
        assert_eq!(takers(&send_signal(&mut world, "go", json!(n))), expected, "{n}");
    }
    world.succeed("a/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let taken: Vec<_> = world
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            RunEvent::SignalTaken(taken) if matches!(taken.by, SignalTaker::Wait(_)) => Some(taken.signal),
            _other => None,
        })
        .collect();
    let sent: Vec<_> = (world.history.iter().enumerate())
        .filter(|(_, (_, event))| matches!(event, RunEvent::SignalReceived(signal) if signal.name == "go"))
        .map(|(at, _)| everfold_base::id::Version(at as u64 + 1))
        .collect();
    assert_eq!(taken, sent[..2], "the oldest first");
}

#[test]
fn l26_a_wait_finds_its_signal_behind_many_large_ones() {
    let mut world = run(json!([
        function("a", &[]),
        wait("w", &["a"], json!({"signal": "go", "match": "signal.ok == true"}))
    ]));
    for n in 1..=100 {
        send_signal(&mut world, "go", json!({"ok": n == 90, "text": "x".repeat(2_000)}));
    }
    world.succeed("a/1/1", json!(1));
    while world.effects().contains(&Effect::Advance) {
        world.give(InputKind::Advance).expect("a run that is started goes on");
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l26_a_signal_decides_a_task_as_its_hook_and_answers_nothing_else() {
    let routes = json!({"on_signal": {"review": [
        {"when": "signal.state == 'approved'", "to": "approve"},
        {"when": "signal.state == 'changes'", "to": "reject", "findings": "${signal.body}"},
    ]}, "on_fail": [{"to": {"rework": "work"}}], "needs": ["work"]});
    let mut world = run(json!([function("work", &[]), with(approval("ask", json!({"quorum": 2})), routes)]));
    world.succeed("work/1/1", json!(1));
    let hook = |world: &mut World, payload: Value| {
        world.give_as(Actor::Hook("github".into()), signal("review", payload)).expect("taken")
    };
    let batch = hook(&mut world, json!({"state": "commented"}));
    assert_eq!(takers(&batch), [], "no route holds");
    let batch = hook(&mut world, json!({"state": "changes", "body": "rename it"}));
    assert_eq!(
        names(&batch),
        ["SignalReceived", "SignalTaken", "VoteCast", "ApprovalDecided", "ReworkRequested", "StepScheduled"]
    );
    let RunEvent::ReworkRequested(rework) = &batch[4] else { panic!("{batch:?}") };
    assert!(format!("{:?}", rework.findings).contains("rename it"), "{rework:?}");
    let batch = hook(&mut world, json!({"state": "approved"}));
    assert_eq!(takers(&batch), [], "the step is not active");
    world.succeed("work/2/1", json!(1));
    let batch = hook(&mut world, json!({"state": "approved"}));
    let RunEvent::ApprovalDecided(decided) = &batch[3] else { panic!("{batch:?}") };
    assert_eq!(
        (decided.decision, decided.by.as_slice()),
        (Vote::Approve, ["hook:github".to_owned()].as_slice())
    );
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l26_a_rework_by_a_signal_is_told_its_payload_and_limited_unless_a_person_sent_it() {
    let routes = json!({"on_signal": {"again": [{"to": {"rework": "a"}}]}, "needs": ["a"]});
    let mut world = run(json!([function("a", &[]), with(approval("ask", json!({})), routes)]));
    for round in 1..=4 {
        world.succeed(&format!("a/{round}/1"), json!(1));
        let batch =
            world.give_as(Actor::Hook("ci".into()), signal("again", json!({"why": round}))).expect("taken");
        if round < 4 {
            let RunEvent::ReworkRequested(rework) = &batch[2] else { panic!("{batch:?}") };
            assert!(format!("{:?}", rework.findings).contains(&format!(r#"{{"why":{round}}}"#)));
            assert_eq!(rework.source.by.as_deref(), Some("hook:ci"));
        } else {
            assert_eq!(
                names(&batch),
                ["SignalReceived", "SignalTaken", "StepBlocked"],
                "three is the default"
            );
        }
    }
}

#[test]
fn l26_a_signal_blocks_unblocks_and_fails() {
    let routes = json!({"on_signal": {
        "hold": [{"to": "block", "busy": "interrupt"}],
        "go": [{"to": {"unblock": "retry"}}],
        "no": [{"to": {"fail": {"code": "told", "message": "because ${signal}"}}}],
    }});
    let mut world = run(json!([with(function("a", &[]), routes), function("b", &[])]));
    let batch = send_signal(&mut world, "hold", json!("look"));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken", "StopRequested", "StepBlocked"]);
    assert!(matches!(
        world.state.block_reason(&"a".parse().expect("a path")),
        Some(BlockReason::Signal { name }) if name == "hold"
    ));
    send_signal(&mut world, "go", json!(null));
    assert_eq!(attempts(&world), ["b/1/1"], "what was stopped has not ended");
    assert!(names(&world.fail("a/1/1", "stopped")).contains(&"AttemptFailed"));
    assert_eq!(attempts(&world), ["a/2/1", "b/1/1"]);
    send_signal(&mut world, "no", json!("enough"));
    world.fail("a/2/1", "stopped by nobody yet");
    world.fail("b/1/1", "stopped");
    let (failure, _) = world.state.failure().expect("a failure");
    assert_eq!((failure.code.as_deref(), failure.message.as_str()), (Some("told"), "because enough"));
}

// L27

#[test]
fn l27_defer_waits_for_the_end_of_the_attempt_and_goes_before_gates_and_routes() {
    let gates = json!([{"id": "g", "probe": {"expression": "false"}}]);
    let more =
        json!({"gates": gates, "on_signal": {"comment": [{"to": {"rework": "a"}, "max": "unlimited"}]}});
    let mut world = run(json!([with(function("a", &[]), more)]));
    for n in 1..=3 {
        assert_eq!(
            takers(&send_signal(&mut world, "comment", json!(n))),
            [("step a/1/1".into(), Hearing::Deferred)]
        );
    }
    let batch = world.succeed("a/1/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "SignalTaken", "ReworkRequested", "StepScheduled"]);
    let RunEvent::ReworkRequested(rework) = &batch[2] else { panic!("{batch:?}") };
    assert!(format!("{:?}", rework.findings).contains('3'), "the newest of its name: {rework:?}");
    let batch = world.succeed("a/2/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "GateEvaluated", "StepFailed", "RunFailed"]);
}

#[test]
fn l27_a_deferred_signal_goes_before_the_route_of_a_failure_and_before_a_retry() {
    let more = json!({"retry": {"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"},
        "on_signal": {"stop": [{"to": {"finish": "succeeded"}}]}});
    let mut world = run(json!([with(function("a", &[]), more)]));
    send_signal(&mut world, "stop", json!(null));
    let batch = world.fail("a/1/1", "no");
    assert_eq!(names(&batch), ["AttemptFailed", "SignalTaken", "StepSkipped", "RunSucceeded"]);
}

#[test]
fn l27_interrupt_stops_the_attempt_and_ignore_records_only() {
    let more = json!({"on_signal": {
        "now": [{"to": {"rework": "a"}, "busy": "interrupt"}],
        "idle": [{"to": {"rework": "a"}, "busy": "ignore"}],
    }});
    let mut world = run(json!([with(function("a", &[]), more)]));
    assert_eq!(takers(&send_signal(&mut world, "idle", json!(1))), [("step a/1/1".into(), Hearing::Ignored)]);
    let batch = send_signal(&mut world, "now", json!(1));
    assert_eq!(
        names(&batch),
        ["SignalReceived", "SignalTaken", "StopRequested", "ReworkRequested", "StepScheduled"]
    );
    assert_eq!(world.effects(), [Effect::Stop { id: "a/1/1".parse().expect("an id") }]);
    world.fail("a/1/1", "stopped");
    assert_eq!(attempts(&world), ["a/2/1"]);
}

#[test]
fn l27_on_the_runs_level_any_attempt_puts_a_signal_off() {
    let document = json!({"name": "p", "on_signal": {"again": [{"to": {"rework": "a"}}]}, "steps": [
        function("a", &[]), function("b", &[]), wait("w", &["a", "b"], json!({"for": "1h"})),
    ]});
    let mut world = World::start(definition(document), json!({}));
    assert_eq!(takers(&send_signal(&mut world, "again", json!("more"))), [("run".into(), Hearing::Deferred)]);
    assert_eq!(names(&world.succeed("a/1/1", json!(1))), ["AttemptSucceeded", "StepSucceeded"]);
    let batch = world.succeed("b/1/1", json!(1));
    assert_eq!(names(&batch)[..3], ["AttemptSucceeded", "SignalTaken", "ReworkRequested"]);
    assert!(attempts(&world).contains(&"a/2/1".to_owned()));
}

/// Its large payload has to be read first; meanwhile a retry began. The signal was put off again and again,
/// for ever: what put it off stayed on the list of what is to be done.
#[test]
fn l27_a_signal_whose_turn_comes_while_the_step_is_busy_again_is_put_off_once_more() {
    let more = json!({"foreach": {"items": "${[1, 2]}"},
        "retry": {"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"},
        "on_signal": {"again": [{"to": {"rework": "a"}}]}});
    let mut world = run(json!([with(function("a", &[]), more)]));
    send_signal(&mut world, "again", json!({"text": "x".repeat(2_000)}));
    world.fail("a.0/1/1", "no");
    assert_eq!(names(&world.succeed("a.1/1/1", json!(1))), ["AttemptSucceeded"], "the payload is read first");
    let (retry, _) = timer(&world, TimerKind::Retry).expect("the first item is tried again");
    world.answer(&retry, 0);
    assert_eq!(attempts(&world), ["a.0/1/2"]);
    let batch = world.give(InputKind::Advance).expect("never refused");
    assert_eq!(takers(&batch), [("step a/1/1".into(), Hearing::Deferred)]);
    let batch = world.succeed("a.0/1/2", json!(1));
    let batch = if batch.len() > 1 { batch } else { world.give(InputKind::Advance).expect("never refused") };
    assert_eq!(takers(&batch), [("step a/1/1".into(), Hearing::Now)]);
    assert!(names(&batch).contains(&"ReworkRequested"));
}

#[test]
fn l27_a_signal_that_was_put_off_survives_a_rework_of_its_step_from_elsewhere() {
    let mut world = run(json!([
        function("a", &[]),
        with(function("b", &["a"]), json!({"on_signal": {"note": [{"to": {"rework": "b"}}]}})),
        with(function("c", &["a"]), json!({"on_fail": [{"to": {"rework": "a"}}]})),
    ]));
    world.succeed("a/1/1", json!(1));
    send_signal(&mut world, "note", json!("mind the gap"));
    world.fail("c/1/1", "no");
    world.fail("b/1/1", "stopped");
    world.succeed("a/2/1", json!(1));
    let batch = world.succeed("b/2/1", json!(1));
    let RunEvent::ReworkRequested(rework) = &batch[2] else { panic!("{batch:?}") };
    assert!(format!("{:?}", rework.findings).contains("mind the gap"));
}

#[test]
fn row_33_a_vote_by_a_signal_keeps_its_words_and_not_the_delivery() {
    let comment_of = |payload: Value, route: Value| {
        let step = with(
            approval("ask", json!({"on_changes": [{"to": "block"}]})),
            json!({"on_signal": {"review": [route]}}),
        );
        let mut world = run(json!([step]));
        let batch = send_signal(&mut world, "review", payload);
        let mut comments = batch.iter().filter_map(|event| match event {
            RunEvent::VoteCast(vote) => Some(vote.comment.clone()),
            RunEvent::ApprovalDecided(decided) => Some(decided.comment.clone()),
            _other => None,
        });
        let (vote, decided) = (comments.next().expect("a vote"), comments.next().expect("a decision"));
        assert_eq!(vote, decided);
        vote
    };
    let approve = || json!({"to": "approve"});
    let delivery =
        json!({"action": "submitted", "repository": {"name": "shop", "description": "x".repeat(9_000)}});
    assert_eq!(comment_of(delivery.clone(), approve()), None);
    assert_eq!(comment_of(json!("fine by me"), approve()).as_deref(), Some("fine by me"));
    let said = with(delivery.clone(), json!({"body": " fine "}));
    assert_eq!(comment_of(said, approve()).as_deref(), Some("fine"));
    let long = comment_of(json!({"text": "é".repeat(80_000)}), approve()).expect("a comment");
    assert!(long.len() <= 64 * 1024 && long.len() > 60 * 1024, "{}", long.len());
    let own = json!({"to": "changes", "findings": "${signal.repository.name} is late"});
    assert_eq!(comment_of(delivery, own).as_deref(), Some("shop is late"));
}

#[test]
fn a_signal_of_the_runs_own_steps_or_of_who_may_not_approve_what_is_theirs_decides_nothing() {
    let decided = |by: Actor, self_approval: bool| {
        let work = json!({"title": "ok?", "self_approval": self_approval});
        let routes = json!({"on_signal": {"go": [{"to": "approve"}]}});
        let mut world = run(json!([with(approval("q", work), routes)]));
        let batch = world.give_as(by, signal("go", json!({}))).expect("taken");
        assert!(takers(&batch)[0].0.starts_with("step q"), "{batch:?}");
        status(&world, "q") == StepStatus::Succeeded
    };
    let own = || Actor::Run(format!("{}/work", crate::fixtures::simulated_run::RUN));
    assert!(!decided(own(), true), "a run's own step, whatever the terms");
    assert!(!decided(own(), false));
    let starter = || Actor::User("ada".into());
    assert!(decided(starter(), true));
    assert!(!decided(starter(), false), "who started it");
    assert!(decided(Actor::Hook("forge/bob".into()), false));
    assert!(decided(Actor::User("bob".into()), false));
}

/// How a signal was heard, and why nothing follows.
fn heard_because(events: &[RunEvent]) -> Option<(Hearing, String)> {
    events.iter().find_map(|event| match event {
        RunEvent::SignalTaken(taken) => Some((taken.how, taken.reason.clone().unwrap_or_default())),
        _other => None,
    })
}

#[test]
fn a_route_refuses_a_signal_with_its_own_reason_also_while_work_executes() {
    let refuses = json!({"on_signal": {"go": [
        {"when": "signal == 'now'", "to": {"refuse": "${step.id} is at work on round ${step.round}"}},
        {"to": {"refuse": "${signal.nothing}"}},
    ]}});
    let mut world = run(json!([with(function("a", &[]), refuses)]));
    let batch = send_signal(&mut world, "go", json!("now"));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken"]);
    assert_eq!(heard_because(&batch), Some((Hearing::Refused, "a is at work on round 1".into())));
    let batch = send_signal(&mut world, "go", json!("later"));
    let (how, why) = heard_because(&batch).expect("it was heard");
    assert!(how == Hearing::Refused && why.contains("cannot be given"), "{why}");
    world.check_fold();
}

#[test]
fn a_signal_that_decides_nothing_says_why() {
    let routes = json!({"on_signal": {
        "yes": [{"to": "approve"}], "change": [{"to": "changes"}], "go": [{"to": {"unblock": "retry"}}],
        "wait": [{"to": "block", "busy": "ignore"}], "never": [{"to": "ignore"}],
    }});
    let mut world = run(json!([with(approval("ask", json!({})), routes.clone())]));
    let mut why = |signal: &str| heard_because(&send_signal(&mut world, signal, json!(null))).unwrap();
    assert_eq!(why("go"), (Hearing::Ignored, "it is not blocked".into()));
    assert!(why("change").1.contains("changes cannot be asked for"));
    assert_eq!(why("never"), (Hearing::Ignored, String::new()), "the route says no more");
    assert_eq!(why("wait").0, Hearing::Now, "nothing executes");
    let mut why = |signal: &str| heard_because(&send_signal(&mut world, signal, json!(null))).unwrap();
    assert_eq!(why("yes"), (Hearing::Ignored, "no approval is open there".into()));
    let mut world = run(json!([with(function("a", &[]), routes)]));
    let busy = heard_because(&send_signal(&mut world, "wait", json!(null))).unwrap();
    assert!(busy.0 == Hearing::Ignored && busy.1.contains("busy: ignore"), "{busy:?}");
}

#[test]
fn ov14_who_decides_what_was_decided_already_is_told_by_whom_and_when() {
    let routes = json!({"on_signal": {"yes": [{"to": "approve"}]}});
    let mut world = run(json!([with(approval("ask", json!({})), routes), function("after", &["ask"])]));
    assert_eq!(heard_because(&send_signal(&mut world, "yes", json!(null))).unwrap().0, Hearing::Now);
    assert_eq!(names(&send_signal(&mut world, "yes", json!(1))), ["SignalReceived"]);
    let why = why_not_taken(&world, "yes", json!(1));
    assert!(why.starts_with("“ask” was already approved by ada at "), "{why}");
}

#[test]
fn why_nothing_takes_a_signal_is_known_of_the_run() {
    let listens = json!({"on_signal": {"s": [{"when": "signal == 1", "to": "block"}]}});
    let mut world = run(json!([
        with(function("a", &[]), listens.clone()),
        with(function("b", &["a"]), listens.clone()),
        with(function("c", &["b"]), listens),
    ]));
    world.succeed("a/1/1", json!(1));
    assert_eq!(names(&send_signal(&mut world, "s", json!(2))), ["SignalReceived"]);
    let why = why_not_taken(&world, "s", json!(2));
    for part in ["“a” has ended", "“b” listens, and none of its conditions", "“c” has not begun"]
    {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(why_not_taken(&world, "other", json!(2)).contains("listens to “other”"));
}

fn why_not_taken(world: &World, name: &str, payload: Value) -> String {
    let payload = Payload::Inline(JsonText::new(&payload));
    let signal = SignalReceived { name: name.to_owned(), payload, delivery: None };
    decide::why_not_taken(&world.state, &signal, &Actor::Engine)
}

#[test]
fn a_blocked_wait_says_that_it_is_blocked_and_not_that_a_condition_is_false() {
    let terms = json!({"signal": "s", "timeout": "1h", "on_timeout": [{"to": "block"}]});
    let mut world = run(json!([wait("w", &[], terms)]));
    fire(&mut world, TimerKind::Signal);
    let why = why_not_taken(&world, "s", json!(2));
    assert!(why.contains("“w” is blocked: it waits for a signal again once it is retried"), "{why}");
}

#[test]
fn a_condition_that_fails_on_a_signal_is_told_from_one_that_is_false() {
    let listens = json!({"on_signal": {"s": [{"when": "signal.pr == 1", "to": "block"}]}});
    let waits = wait("w", &[], json!({"signal": "s", "match": "signal.pr == 7"}));
    let world = run(json!([with(function("a", &[]), listens), waits]));
    let why = why_not_taken(&world, "s", json!({"pr": 2}));
    for part in [
        "“a” listens, and none of its conditions holds",
        "“w” waits for one that fits `match`, and `signal.pr == 7` is false",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let why = why_not_taken(&world, "s", json!({"number": 2}));
    for part in [
        "“a” listens, and `signal.pr == 1` cannot be answered for what it says: ",
        "“w” waits for one that fits `match`, and `signal.pr == 7` cannot be answered for what it says: ",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
}

#[test]
fn a_signal_whose_name_holds_a_blank_is_refused() {
    let mut world = run(json!([function("a", &[])]));
    for name in ["two words", "tab\there", " s"] {
        let payload = Payload::Inline(JsonText::null());
        let signal = SignalReceived { name: name.to_owned(), payload, delivery: None };
        let refused = world.give(InputKind::Signal(signal)).unwrap_err();
        assert!(refused.to_string().contains("no blanks"), "{refused}");
    }
}

#[test]
fn a_run_that_pauses_because_the_rework_of_a_signal_is_used_up_says_so() {
    let document = json!({"name": "p", "on_signal": {"again": [{"to": {"rework": "a"}, "max": {"times": 0}}]}, "steps": [
        function("a", &[]), wait("w", &["a"], json!({"for": "1h"}))]});
    let mut world = World::start(definition(document), json!({}));
    world.succeed("a/1/1", json!(1));
    let events = send_signal(&mut world, "again", json!({"text": "once more"}));
    let reason = events.iter().find_map(|event| match event {
        RunEvent::RunPaused(paused) => paused.reason.clone(),
        _other => None,
    });
    let reason = reason.unwrap_or_default();
    for part in ["the signal “again” says so", "its rework of “a” is used up", "restart it from “a”"]
    {
        assert!(reason.contains(part), "{part}: {reason}");
    }
}
