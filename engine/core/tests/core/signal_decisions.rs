//! What a signal decides in the place of the pipeline's own judgement: who sent it, and what it passes over.

use everfold_base::actor::Actor;
use everfold_core::event::RunEvent;
use everfold_core::state::RunStatus;
use serde_json::{Value, json};

use crate::fixtures::scenario::{function, run, send_signal, with};
use crate::fixtures::simulated_run::{World, definition};

/// A run past its blocking gate by `on_signal: { merged: { finish: succeeded } }` was in no audit.
#[test]
fn a_signal_that_ends_the_run_says_who_sent_it_and_which_gates_it_passes_over() {
    let gates = json!([
        {"id": "ok", "probe": {"expression": "true"}},
        {"id": "ci", "probe": {"expression": "false"}, "on_fail": [{"to": "block"}]},
        {"id": "late", "probe": {"expression": "true"}},
    ]);
    let ended = |to: Value| {
        let document = json!({"name": "p", "on_signal": {"merged": [{"to": to}]}, "steps": [
            with(function("g", &[]), json!({"gates": gates})),
            with(function("after", &["g"]), json!({"gates": gates})),
        ]});
        let mut world = World::start(definition(document), json!({}));
        world.succeed("g/1/1", json!(1));
        let batch = send_signal(&mut world, "merged", json!({"text": "by hand"}));
        let taken = batch.iter().find_map(|event| match event {
            RunEvent::SignalTaken(taken) => taken.decision.clone(),
            _other => None,
        });
        (taken.expect("it ends the run"), world)
    };
    let (decision, world) = ended(json!({"finish": "succeeded"}));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    assert_eq!((decision.sent_by, decision.name.as_str()), (Actor::User("ada".into()), "merged"));
    assert_eq!(decision.words.as_deref(), Some("by hand"));
    assert_eq!(
        decision.bypassed,
        ["g/ci", "g/late"],
        "gates of steps that never began are passed over by none"
    );
    assert!(world.state.cancelling().is_none());

    let (decision, world) = ended(json!({"finish": "cancelled"}));
    assert_eq!((world.state.status(), decision.bypassed.len()), (RunStatus::Cancelled, 0));
    let by = world.state.cancelling().expect("it was cancelled");
    assert_eq!(
        (&by.by, by.reason.as_deref()),
        (&Actor::User("ada".into()), Some("the signal “merged”: by hand"))
    );

    let (decision, world) = ended(json!({"fail": {"code": "BROKEN"}}));
    assert_eq!((world.state.status(), decision.bypassed.len()), (RunStatus::Failed, 0));
}

#[test]
fn a_signal_that_was_put_off_ends_the_run_in_the_name_of_who_sent_it() {
    let routes = json!([{"to": {"finish": "cancelled"}, "busy": "defer"}]);
    let document = json!({"name": "p", "on_signal": {"stop": routes}, "steps": [function("a", &[])]});
    let mut world = World::start(definition(document), json!({}));
    send_signal(&mut world, "stop", json!(null));
    world.succeed("a/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Cancelled);
    assert_eq!(world.state.cancelling().map(|it| &it.by), Some(&Actor::User("ada".into())));
}

/// A review bot's `on_signal: { rejected: { fail } }` of a step was in no audit, though one of the run's own routes was.
#[test]
fn a_signal_that_fails_its_step_says_who_sent_it() {
    let routes = json!({"on_signal": {"rejected": [{"to": {"fail": {}}}]}});
    let mut world = run(json!([with(function("a", &[]), routes)]));
    send_signal(&mut world, "rejected", json!({"text": "no licence"}));
    let batch = world.succeed("a/1/1", json!(1));
    let decision = batch.iter().find_map(|event| match event {
        RunEvent::SignalTaken(taken) => taken.ends.is_none().then(|| taken.decision.clone()).flatten(),
        _other => None,
    });
    let decision = decision.expect("it fails the step");
    assert_eq!((&decision.sent_by, decision.name.as_str()), (&Actor::User("ada".into()), "rejected"));
    assert_eq!(decision.reason(), "the signal “rejected”: no licence");
    assert!(decision.bypassed.is_empty());
    assert!(batch.iter().any(|event| matches!(event, RunEvent::StepFailed(_))));
}
