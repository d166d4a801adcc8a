//! How the needs of a step must have ended for it to begin (L8).

use everfold_core::event::{RunEvent, SkipReason, UnblockDecision};
use everfold_core::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::fixtures::scenario::{attempts, function, names, rework, run, status, unblock, with};

fn needs_succeeded(id: &str, needs: &[&str]) -> Value {
    with(function(id, needs), json!({"join": "succeeded"}))
}

#[test]
fn l8_any_begins_when_one_need_succeeded_and_the_others_run_on() {
    let mut world = run(json!([
        function("a", &[]),
        function("b", &[]),
        with(function("c", &["a", "b"]), json!({"join": "any"})),
    ]));
    world.succeed("a/1/1", json!(1));
    assert_eq!(attempts(&world), ["b/1/1", "c/1/1"]);
    world.succeed("b/1/1", json!(1));
    assert_eq!(attempts(&world), ["c/1/1"], "it begins once");
    world.succeed("c/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l8_any_is_skipped_when_all_needs_ended_without_success() {
    let tolerated = json!({"on_fail": [{"to": "continue"}]});
    let mut world = run(json!([
        with(function("a", &[]), tolerated),
        with(function("b", &[]), json!({"when": "false"})),
        with(function("c", &["a", "b"]), json!({"join": "any"})),
        function("d", &["c"]),
    ]));
    let batch = world.fail("a/1/1", "no");
    assert_eq!(names(&batch), ["AttemptFailed", "StepFailed", "StepSkipped", "StepScheduled"]);
    assert_eq!(status(&world, "c"), StepStatus::Skipped);
    assert_eq!(attempts(&world), ["d/1/1"]);
}

#[test]
fn l8_a_rework_counts_the_needs_of_any_anew() {
    let mut world = run(json!([
        function("a", &[]),
        function("b", &["a"]),
        function("c", &["a"]),
        with(function("d", &["b", "c"]), json!({"join": "any", "on_fail": [{"to": {"rework": "a"}}]})),
    ]));
    world.succeed("a/1/1", json!(1));
    world.succeed("b/1/1", json!(1));
    world.succeed("c/1/1", json!(1));
    world.fail("d/1/1", "no");
    world.succeed("a/2/1", json!(1));
    assert_eq!(status(&world, "d"), StepStatus::Pending, "both needs are to be done again");
    world.succeed("c/2/1", json!(1));
    assert_eq!(status(&world, "d"), StepStatus::Scheduled);

    // A rework of one need alone: the other one's success still counts.
    let mut world = run(json!([
        function("a", &[]),
        with(function("b", &[]), rework("b")),
        with(function("c", &["a", "b"]), json!({"join": "any"})),
    ]));
    world.succeed("a/1/1", json!(1));
    world.fail("b/1/1", "no");
    world.fail("c/1/1", "stopped");
    assert_eq!(attempts(&world), ["b/2/1", "c/2/1"]);
}

#[test]
fn succeeded_begins_when_all_needs_succeeded() {
    let mut world = run(json!([function("a", &[]), function("b", &[]), needs_succeeded("c", &["a", "b"])]));
    world.succeed("a/1/1", json!(1));
    assert_eq!(attempts(&world), ["b/1/1"]);
    world.succeed("b/1/1", json!(1));
    assert_eq!(attempts(&world), ["c/1/1"]);
}

#[test]
fn succeeded_is_skipped_when_all_have_ended_and_one_without_success() {
    let tolerated = json!({"on_fail": [{"to": "continue"}]});
    for (a, fails) in [
        (with(function("a", &[]), tolerated), true),
        (with(function("a", &[]), json!({"when": "false"})), false),
        (with(function("a", &[]), json!({"standby": true})), false),
    ] {
        let named = with(function("b", &[]), json!({"on_fail": [{"to": {"rework": "b"}}]}));
        let mut world = run(json!([a, named, needs_succeeded("c", &["a", "b"]), function("d", &["c"])]));
        if fails {
            world.fail("a/1/1", "no");
        }
        assert_eq!(status(&world, "c"), StepStatus::Pending, "the other need has not ended");
        let batch = world.succeed("b/1/1", json!(1));
        assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded", "StepSkipped", "StepScheduled"]);
        let RunEvent::StepSkipped(skipped) = &batch[2] else { panic!("{batch:?}") };
        assert_eq!(skipped.reason, SkipReason::Join);
        assert_eq!((attempts(&world), status(&world, "c")), (vec!["d/1/1".to_owned()], StepStatus::Skipped));
    }
}

/// What was skipped for a need begins where a later round of that need succeeds.
#[test]
fn a_rework_counts_the_needs_of_succeeded_anew() {
    let tolerated =
        json!({"on_fail": [{"when": "steps.a.round > 1", "to": "continue"}, {"to": {"rework": "a"}}]});
    let mut world = run(json!([
        with(function("a", &[]), tolerated),
        function("b", &["a"]),
        needs_succeeded("c", &["a", "b"]),
        with(function("d", &["c"]), rework("a")),
    ]));
    world.fail("a/1/1", "no");
    world.fail("a/2/1", "no");
    world.succeed("b/1/1", json!(1));
    assert_eq!((status(&world, "c"), attempts(&world)), (StepStatus::Skipped, vec!["d/1/1".to_owned()]));
    world.fail("d/1/1", "again");
    world.succeed("a/3/1", json!(1));
    world.succeed("b/2/1", json!(1));
    assert_eq!(attempts(&world), ["c/1/1"]);
}

/// A blocked need has not ended; a person's output counts as a success, a skip does not.
#[test]
fn what_a_person_decides_about_a_blocked_need_decides_about_succeeded() {
    for (decision, begins) in [(UnblockDecision::Proceed, true), (UnblockDecision::Skip, false)] {
        let mut world = run(json!([
            with(function("a", &[]), json!({"on_fail": [{"to": "block"}]})),
            with(
                needs_succeeded("b", &["a"]),
                json!({"work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.a.output.n}"}}}})
            ),
        ]));
        world.fail("a/1/1", "no");
        assert_eq!(world.state.status(), RunStatus::Blocked);
        let everfold_core::input::InputKind::Unblock { path, decision, reason, policies, .. } =
            unblock(decision)
        else {
            panic!("a decision")
        };
        let output = begins.then(|| json!({"n": 1}).into());
        let decided = everfold_core::input::InputKind::Unblock {
            path,
            decision,
            output,
            reason,
            policies,
            keeps_items: true,
        };
        world.by("ada", decided).expect("what reads the output is skipped with it");
        assert_eq!(attempts(&world).is_empty(), !begins, "{decision:?}");
        assert_eq!(status(&world, "b") == StepStatus::Skipped, !begins, "{decision:?}");
    }
}
