//! What bounds a run: how often it may go round by itself, least and greatest values where they are computed,
//! a hold that ends with the decision on it, and what is known of its end.

use everfold_base::failure::{Failure, FailureKind};
use everfold_core::event::{BlockReason, RunEvent, TimerKind, UnblockDecision};
use everfold_core::state::{RunStatus, StepStatus};
use everfold_language::definition::{OnLost, Vote};
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    approval, attempts, cancel, function, lose, names, run, send_signal, status, timer, unblock, vote, wait,
    with,
};
use crate::fixtures::simulated_run::{World, definition, start};

fn unlimited(to: &str) -> Value {
    json!([{"to": {"rework": to}, "max": "unlimited"}])
}

#[test]
fn row_40_a_run_that_goes_round_by_itself_is_blocked_at_its_ceiling_whatever_its_routes_allow() {
    let document = json!({"name": "p", "rounds": 4, "steps": [
        with(function("a", &[]), json!({"on_fail": unlimited("a")})),
        with(function("b", &["a"]), json!({"on_fail": [{"to": {"rework": "a"}, "max": "unlimited", "then": {"to": "continue"}}]})),
    ]});
    let mut world = World::start(definition(document), json!({}));
    world.fail("a/1/1", "broken");
    world.fail("a/2/1", "broken");
    world.succeed("a/3/1", json!(1));
    world.fail("b/1/1", "broken");
    world.succeed("a/4/1", json!(1));
    world.fail("b/2/1", "broken");
    world.succeed("a/5/1", json!(1));
    let batch = world.fail("b/3/1", "broken");
    assert_eq!(
        names(&batch),
        ["AttemptFailed", "StepBlocked"],
        "all routes count together, and no `then` goes on"
    );
    let Some(RunEvent::StepBlocked(blocked)) = batch.last() else { panic!("blocked") };
    assert!(matches!(&blocked.reason, BlockReason::UsedUp { target, gate: None } if target.as_str() == "a"));
    assert!(blocked.message.contains("4 times without a person"), "{}", blocked.message);
    // A person lets it go on once more, and that does not count.
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(attempts(&world), ["a/6/1"]);
    assert_eq!(names(&world.fail("a/6/1", "broken")), ["AttemptFailed", "StepBlocked"]);
}

#[test]
fn row_40_the_ceiling_is_a_thousand_and_people_and_held_rounds_do_not_count() {
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": unlimited("a")}))]));
    (1..=1_000).for_each(|round| drop(world.fail(&format!("a/{round}/1"), "broken")));
    assert_eq!(names(&world.fail("a/1001/1", "broken")), ["AttemptFailed", "StepBlocked"]);

    let document = json!({"name": "p", "rounds": 1, "steps": [
        function("a", &[]),
        with(approval("look", json!({"on_reject": unlimited("a")})), json!({"needs": ["a"]})),
    ]});
    let mut world = World::start(definition(document), json!({}));
    for round in 1..=5 {
        world.succeed(&format!("a/{round}/1"), json!(1));
        world.by("ada", vote(&format!("look/{round}/1"), Vote::Reject)).expect("taken");
    }
    assert_eq!(attempts(&world), ["a/6/1"], "people's reworks are theirs to count");
}

#[test]
fn row_41_on_timeout_of_a_wait_inside_foreach_is_followed_when_all_items_are_over() {
    let waiting = |more: Value| {
        let waits = json!({"signal": "go", "match": "signal == item", "timeout": "1h"});
        let step = wait("w", &[], with(waits, more));
        run(json!([with(step, json!({"foreach": {"items": ["a", "b"]}})), function("after", &["w"])]))
    };
    let expire = |world: &mut World| {
        let (effect, _) = timer(world, TimerKind::Signal).expect("a limit");
        world.answer(&effect, 0);
    };
    let mut world = waiting(json!({"on_timeout": [{"to": "continue"}]}));
    expire(&mut world);
    assert_eq!(world.state.status(), RunStatus::Waiting, "the other item still waits");
    expire(&mut world);
    assert_eq!(attempts(&world), ["after/1/1"], "it was tolerated");
    let mut world = waiting(json!({"on_timeout": [{"to": "block"}]}));
    expire(&mut world);
    expire(&mut world);
    assert_eq!(status(&world, "w"), StepStatus::Blocked);
    let mut world = waiting(json!({}));
    expire(&mut world);
    expire(&mut world);
    let (failure, _) = world.state.failure().expect("without a route it fails");
    assert_eq!(failure.kind, FailureKind::Timeout);
}

/// The failure of a run of this step whose settings are computed from its input.
fn failure_of(step: Value, input: Value) -> Option<Failure> {
    let document = json!({"name": "p", "steps": [step]});
    let world = World::start(definition(document), input);
    world.state.failure().map(|(failure, _)| failure.clone())
}

#[test]
fn row_42_a_least_value_holds_where_it_is_computed_too_with_the_code_of_the_written_one() {
    let each = with(function("a", &[]), json!({"foreach": {"items": [1, 2], "max_in_flight": "${input.n}"}}));
    let people = |more: Value| json!({"id": "a", "needs": [], "work": {"approval": with(json!({"title": "go on?"}), more)}});
    for (step, word) in [
        (each.clone(), "`max_in_flight` is at least 1, not 0"),
        (people(json!({"quorum": "${input.n}"})), "`quorum` is at least 1, not 0"),
        (people(json!({"timeout": "${string(input.n)}s"})), "`timeout` is more than nothing"),
        (people(json!({"remind": "${string(input.n)}s"})), "`remind` is more than nothing"),
    ] {
        let failure =
            failure_of(step.clone(), json!({"n": 0})).expect("it fails instead of waiting for ever");
        assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Validation, Some("EF0110")));
        assert!(failure.message.contains(word), "{}", failure.message);
        assert_eq!(failure_of(step, json!({"n": 1})), None, "{word}");
    }
    for (attempts, code) in [(0, "EF0110"), (101, "EF0139")] {
        let retry = json!({"attempts": "${input.n}", "backoff_min": "1s", "backoff_max": "1s"});
        let document = json!({"name": "p", "steps": [with(function("a", &[]), json!({"retry": retry}))]});
        let mut world = World::start(definition(document), json!({"n": attempts}));
        world.fail("a/1/1", "broken");
        let (failure, _) = world.state.failure().expect("it fails");
        assert_eq!(failure.code.as_deref(), Some(code), "{}", failure.message);
    }
    let gate = json!({"id": "g", "probe": {"expression": "'pending'"}, "poll": {"every": "1s", "max": "${input.n}"}});
    let document = json!({"name": "p", "steps": [with(function("a", &[]), json!({"gates": [gate]}))]});
    let mut world = World::start(definition(document), json!({"n": 0}));
    let batch = world.succeed("a/1/1", json!(1));
    let said = batch.iter().any(|event| format!("{event:?}").contains("is at least 1, not 0"));
    assert!(said, "{batch:?}");
}

#[test]
fn a_computed_number_that_none_can_be_fails_as_the_written_one_does() {
    let each = with(function("a", &[]), json!({"foreach": {"items": [1], "max_in_flight": "${input.n}"}}));
    let quorum =
        json!({"id": "a", "needs": [], "work": {"approval": {"title": "go on?", "quorum": "${input.n}"}}});
    for (step, what) in [(each, "`max_in_flight`"), (quorum, "`quorum`")] {
        for (n, code) in
            [(json!(-1), "EF0110"), (json!("-1"), "EF0110"), (json!(4_294_967_296_i64), "EF0139")]
        {
            let failure = failure_of(step.clone(), json!({ "n": n })).expect("it fails");
            assert_eq!(failure.code.as_deref(), Some(code), "{}", failure.message);
            let number = n.as_str().map_or_else(|| n.to_string(), str::to_owned);
            assert!(failure.message.contains(&format!("{what} cannot be {number}")), "{}", failure.message);
        }
        let failure = failure_of(step, json!({"n": "many"})).expect("it fails");
        assert_eq!(failure.code, None, "{}", failure.message);
    }
    for (more, what) in [
        (json!({"retry": {"attempts": "${-1}", "backoff_min": "1s", "backoff_max": "1s"}}), "`attempts`"),
        (json!({"on_fail": [{"to": {"rework": "a"}, "max": {"times": "${-1}"}}]}), "`max`"),
        (
            json!({"max_rounds": "${-1}", "on_fail": [{"to": {"rework": "a"}, "max": {"times": 2}}]}),
            "`max_rounds`",
        ),
    ] {
        let mut world = World::start(
            definition(json!({"name": "p", "steps": [with(function("a", &[]), more)]})),
            json!({}),
        );
        world.fail("a/1/1", "broken");
        let (failure, _) = world.state.failure().expect("it fails");
        assert_eq!(failure.code.as_deref(), Some("EF0110"), "{}", failure.message);
        assert!(failure.message.contains(&format!("{what} cannot be -1")), "{}", failure.message);
    }
}

#[test]
fn row_43_a_held_step_is_not_held_any_more_once_a_person_decided_on_the_held_round() {
    for decision in [UnblockDecision::Skip, UnblockDecision::Proceed] {
        let held = json!({"on_fail": [
            {"when": "failure.message == 'hold'", "to": {"rework": "a"}, "hold": true},
            {"to": {"rework": "a"}},
        ]});
        let mut world = run(json!([function("a", &[]), with(function("b", &["a"]), held)]));
        world.succeed("a/1/1", json!(1));
        world.fail("b/1/1", "hold");
        assert_eq!(status(&world, "a"), StepStatus::Blocked);
        world.by("ada", unblock(decision)).expect("taken");
        assert_eq!(attempts(&world), ["b/2/1"], "{decision:?}: the run goes on past the held step");
        world.fail("b/2/1", "plainly");
        assert_eq!(attempts(&world), ["a/2/1"], "{decision:?}: a rework that holds nothing begins at once");
    }
}

#[test]
fn a_held_round_on_top_of_max_rounds_waits_for_a_person_and_the_next_rework_is_refused() {
    let build =
        with(function("build", &[]), json!({"max_rounds": 1, "on_fail": [{"to": {"rework": "build"}}]}));
    for (extra, blocked) in [(false, "check"), (true, "build")] {
        let route = json!({"on_fail": [{"to": {"rework": "build"}, "hold": true, "extra": extra}]});
        let mut world = run(json!([build, with(function("check", &["build"]), route)]));
        world.succeed("build/1/1", json!(1));
        world.fail("check/1/1", "broken");
        assert_eq!(status(&world, blocked), StepStatus::Blocked, "extra: {extra}");
        assert!(attempts(&world).is_empty(), "extra: {extra}: a person decides");
        if extra {
            world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
            world.fail("build/2/1", "broken");
            assert_eq!(status(&world, "build"), StepStatus::Blocked, "no further round by itself");
        }
    }
}

#[test]
fn a_signal_that_sends_back_further_lifts_what_waits_behind_where_its_route_says_so() {
    for lift in [false, true] {
        let held = json!({"on_fail": [{"to": {"rework": "build"}, "hold": true}]});
        let back = json!({"on_signal": {"back": [{"to": {"rework": "draw"}, "lift": lift}]}});
        let mut world = run(json!([
            function("draw", &[]),
            with(function("build", &["draw"]), back),
            with(function("check", &["build"]), held),
        ]));
        world.succeed("draw/1/1", json!(1));
        world.succeed("build/1/1", json!(1));
        world.fail("check/1/1", "broken");
        assert_eq!(status(&world, "build"), StepStatus::Blocked);
        send_signal(&mut world, "back", json!(null));
        assert_eq!(attempts(&world), ["draw/2/1"], "lift: {lift}: nothing behind begins before it");
        world.succeed("draw/2/1", json!(2));
        let expected: &[&str] = if lift { &["build/2/1"] } else { &[] };
        assert_eq!(attempts(&world), expected, "lift: {lift}");
    }
}

#[test]
fn as_many_lost_attempts_are_repeated_in_a_round_as_retry_says() {
    let retry = json!({"attempts": 1, "backoff_min": "1s", "backoff_max": "1s", "lost": 2});
    let mut world = run(json!([with(function("a", &[]), json!({"on_lost": "retry", "retry": retry}))]));
    for attempt in 1..=3 {
        assert_eq!(world.state.status(), RunStatus::Running, "attempt {attempt}");
        lose(&mut world, &format!("a/1/{attempt}"), OnLost::Block);
    }
    assert_eq!(world.state.status(), RunStatus::Blocked);
}

/// The parameters of a step of `on_finish`, which name the end of the run.
fn parameters_at_the_end(mut world: World) -> Value {
    let tidy = world.effects().into_iter().find_map(|effect| match effect {
        everfold_core::effect::Effect::Attempt { id, .. } if id.path.step.as_str() == "tidy" => Some(id),
        _other => None,
    });
    let id = tidy.expect("on_finish runs");
    let scheduled = world.history.iter().rev().find_map(|(_, event)| match event {
        RunEvent::StepScheduled(scheduled) if scheduled.id == id => Some(format!("{scheduled:?}")),
        _other => None,
    });
    let text = scheduled.expect("it was scheduled");
    world.succeed(&id.to_string(), json!(null));
    assert!(world.state.is_ended());
    Value::String(text)
}

#[test]
fn row_44_on_finish_knows_how_the_run_ends_and_why() {
    let of = |steps: Value| {
        let with = json!({"how": "${run.outcome}", "why": "${run.failure}"});
        let tidy = json!({"id": "tidy", "work": {"task": {"kind": "function", "spec": {"name": "f", "with": with}}}});
        let document = json!({"name": "p", "steps": steps, "on_finish": [tidy]});
        World::start(definition(document), json!({}))
    };
    let has = |parameters: &Value, parts: &[&str]| {
        let text = parameters.as_str().unwrap_or_default().replace('\\', "");
        parts.iter().for_each(|part| assert!(text.contains(part), "{part} in {text}"));
    };
    let mut world = of(json!([function("a", &[])]));
    world.succeed("a/1/1", json!(1));
    has(&parameters_at_the_end(world), &[r#""how":"succeeded""#, r#""why":null"#]);

    let mut world = of(json!([function("a", &[])]));
    world.fail("a/1/1", "no room");
    has(&parameters_at_the_end(world), &[r#""how":"failed""#, r#""message":"no room""#, r#""step":"a""#]);

    let mut world = of(json!([function("a", &[])]));
    world.by("ada", cancel()).expect("taken");
    world.fail("a/1/1", "stopped");
    has(&parameters_at_the_end(world), &[r#""how":"cancelled""#, r#""why":null"#]);

    let finish = json!({"on_success": [{"to": {"finish": "failed"}}]});
    let mut world = of(json!([with(function("a", &[]), finish)]));
    world.succeed("a/1/1", json!(1));
    has(&parameters_at_the_end(world), &[r#""how":"failed""#, "“a” finished the run as failed"]);
}

#[test]
fn row_47_a_key_that_renders_empty_refuses_the_start_and_null_says_that_there_is_none() {
    let start_with = |input: Value| {
        let key = json!({"value": "${input.title}"});
        let document = json!({"name": "p", "key": key, "steps": [function("a", &[])]});
        World::new(definition(document)).give(start(input))
    };
    for empty in ["", "  "] {
        let refused = start_with(json!({"title": empty})).expect_err("an empty key").to_string();
        assert!(refused.contains("`key` renders to an empty text"), "{refused}");
    }
    let names_of = |events: Vec<RunEvent>| names(&events).join(" ");
    let without = names_of(start_with(json!({"title": null})).expect("no key is wanted"));
    assert!(!without.contains("RunQueued"), "{without}");
    assert!(names_of(start_with(json!({"title": "x"})).expect("a key")).contains("RunQueued"));
}
