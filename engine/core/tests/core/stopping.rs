//! A run that is cancelled, as long as something of it executes.

use everfold_core::event::{CancelRequested, OriginKind, RunAdmitted};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use serde_json::json;

use crate::fixtures::scenario::names;
use crate::fixtures::simulated_run::{World, definition};

fn cancel(world: &mut World) {
    let cancel = CancelRequested { reason: Some("enough".into()) };
    world.by("ada", InputKind::Cancel(cancel)).expect("taken");
}

#[test]
fn a_cancelled_run_is_stopping_until_the_last_of_its_attempts_has_ended() {
    let task = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    let tidy = json!({"task": {"kind": "command", "spec": {"argv": ["tidy", "${run.outcome}"]}}});
    let document = json!({"name": "p", "steps": [{"id": "a", "work": task}, {"id": "b", "work": task}],
        "on_finish": [{"id": "tidy", "work": tidy}]});
    let mut world = World::start(definition(document), json!(null));
    assert_eq!(world.state.status(), RunStatus::Running);
    cancel(&mut world);
    assert_eq!(world.state.status(), RunStatus::Stopping);
    world.fail("a/1/1", "cancelled");
    assert_eq!(world.state.status(), RunStatus::Stopping, "one is still at work");
    world.fail("b/1/1", "cancelled");
    assert_eq!(world.state.status(), RunStatus::Stopping, "and what tidies up");
    world.succeed("tidy/1/1", json!(null));
    assert_eq!(world.state.status(), RunStatus::Cancelled);
}

#[test]
fn a_queued_copy_that_is_being_stopped_is_admitted_and_ends_all_the_same() {
    let task = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    let document = json!({"name": "p", "concurrency": [{"key": "repo"}], "steps": [{"id": "a", "work": task}],
        "on_finish": [{"id": "tidy", "work": task}]});
    let mut origin = World::start(definition(document), json!(null));
    let slots = || InputKind::Admitted(RunAdmitted { admission: Vec::new(), at_once: false });
    origin.give(slots()).expect("taken");
    for admitted in [true, false] {
        let mut copy = origin.forked(origin.history.len(), OriginKind::Fork, None).expect("a copy");
        assert_eq!(copy.state.status(), RunStatus::Queued);
        cancel(&mut copy);
        assert_eq!(copy.state.status(), RunStatus::Stopping, "what it copied is stopped");
        if admitted {
            assert_eq!(names(&copy.give(slots()).expect("taken")), ["RunAdmitted"]);
        }
        let next = names(&copy.fail("a/1/2", "cancelled"));
        if admitted {
            assert_eq!(next, ["AttemptFailed", "StepCancelled", "StepScheduled", "TimerSet"]);
            copy.succeed("tidy/1/1", json!(null));
        } else {
            let expected = ["AttemptFailed", "StepCancelled", "StepCancelled", "RunCancelled"];
            assert_eq!(next, expected, "it never began, so nothing tidies up");
        }
        assert_eq!(copy.state.status(), RunStatus::Cancelled);
        copy.check_fold();
    }
}

#[test]
fn expressions_see_a_run_that_is_stopped_as_a_running_one() {
    let task = json!({"task": {"kind": "command", "spec": {"argv": ["x"]}}});
    let notice = json!({"id": "n", "events": ["CancelRequested"], "function": "notify.log", "with": {"status": "${run.status}"}});
    let document = json!({"name": "p", "steps": [{"id": "a", "work": task}], "notify": [notice]});
    let mut world = World::start(definition(document), json!(null));
    cancel(&mut world);
    let queued = format!("{:?}", world.history);
    assert!(queued.contains(r#"{"status":"running"}"#), "{queued}");
}
