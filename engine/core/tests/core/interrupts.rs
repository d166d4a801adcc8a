//! Interrupts: what runs is stopped, its rounds stay open, and the run goes on with them.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::AttemptId;
use everfold_base::json::Payload;
use everfold_core::artefact::Usage;
use everfold_core::decide::{Refusal, plan};
use everfold_core::effect::Effect;
use everfold_core::event::{
    AttemptStarted, OriginKind, RunAdmitted, RunEvent, RunPaused, RunResumed, UsageRecorded,
};
use everfold_core::input::InputKind;
use everfold_core::state::{Resumption, RunState, RunStatus, StepStatus};
use everfold_language::definition::OnLost;
use everfold_language::expr::Loaded;
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    attempts, cancel, cancel_step, function, lose, names, pause, resume, run, status, with,
};
use crate::fixtures::simulated_run::World;

fn id(text: &str) -> AttemptId {
    text.parse().expect("an id")
}

fn begin(world: &mut World, attempt: &str) {
    world
        .give(InputKind::AttemptStarted(AttemptStarted { id: id(attempt), began_at: None, holder: None }))
        .expect("taken");
}

fn interrupt(world: &mut World) -> Vec<RunEvent> {
    let paused = RunPaused { reason: Some("it goes astray".into()), interrupt: true };
    world.by("ada", InputKind::Pause(paused)).expect("taken")
}

fn stopped(world: &mut World, attempt: &str) -> Vec<RunEvent> {
    world.finish(attempt, Err(Failure::new(FailureKind::Cancelled, "cancelled")))
}

fn resume_with(world: &mut World, prompt: &str) -> Result<Vec<RunEvent>, Refusal> {
    let prompt = Some(Payload::Inline(json!(prompt).into()));
    world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt }))
}

fn uses(world: &mut World, attempt: &str, seq: u32, session: &str) {
    let usage = Usage { session: Some(session.into()), output_tokens: 1, ..Usage::default() };
    world
        .give(InputKind::Usage(UsageRecorded { id: id(attempt), seq, usage, less_micros: 0 }))
        .expect("taken");
}

fn planned(world: &World, attempt: &str) -> (Option<String>, Option<Resumption>) {
    let plan = plan::attempt(&world.state, &id(attempt), &Loaded::default());
    let plan = plan.expect("nothing is to be loaded").expect("it is known");
    (plan.session, plan.resumption)
}

fn stops(world: &World) -> Vec<String> {
    let ids = world.effects().into_iter().filter_map(|effect| match effect {
        Effect::Stop { id } => Some(id.to_string()),
        _other => None,
    });
    ids.collect()
}

fn agent(more: Value) -> Value {
    with(json!({"id": "a", "work": {"task": {"kind": "agent", "spec": {"session": "new"}}}}), more)
}

#[test]
fn what_runs_is_stopped_and_its_round_goes_on_with_the_next_attempt() {
    let mut world = run(json!([agent(json!({})), function("b", &["a"]), function("c", &[])]));
    begin(&mut world, "a/1/1");
    uses(&mut world, "a/1/1", 1, "s-1");
    assert_eq!(names(&interrupt(&mut world)), ["RunPaused", "StopRequested"]);
    assert_eq!(stops(&world), ["a/1/1", "c/1/1"], "also what waits for its place");
    assert_eq!(names(&stopped(&mut world, "a/1/1")), ["AttemptFailed"], "nothing follows");
    stopped(&mut world, "c/1/1");
    assert_eq!((world.state.status(), status(&world, "a")), (RunStatus::Paused, StepStatus::Scheduled));
    assert!(world.effects().is_empty());
    let interrupted: Vec<String> = world.state.interrupted().map(ToString::to_string).collect();
    assert_eq!(interrupted, ["a", "c"]);
    let events = resume_with(&mut world, "Leave the tests alone.").expect("taken");
    assert_eq!(names(&events), ["RunResumed", "RetryScheduled", "RetryScheduled"]);
    assert_eq!(attempts(&world), ["a/1/2", "c/1/2"]);
    let said = Resumption { prompt: Some("Leave the tests alone.".into()) };
    assert_eq!(planned(&world, "a/1/2"), (Some("s-1".into()), Some(said)), "in the same session");
    assert!(world.state.interrupted().next().is_none());
    world.succeed("a/1/2", json!("done"));
    world.succeed("c/1/2", json!(1));
    assert_eq!(planned(&world, "b/1/1"), (None, None), "the next step is told nothing");
    world.succeed("b/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn an_interrupted_attempt_is_no_try() {
    let retry = json!({"retry": {"attempts": 2, "backoff_min": "0s", "backoff_max": "0s"}});
    let mut world = run(json!([agent(retry)]));
    for attempt in ["a/1/1", "a/1/2", "a/1/3"] {
        begin(&mut world, attempt);
        interrupt(&mut world);
        stopped(&mut world, attempt);
        resume(&mut world);
    }
    assert_eq!(names(&world.fail("a/1/4", "no"))[..2], ["AttemptFailed", "RetryScheduled"], "the first try");
    world.fail("a/1/5", "no");
    assert_eq!(world.state.status(), RunStatus::Failed, "the second one was the last");
}

#[test]
fn a_try_of_a_round_that_goes_on_keeps_what_was_said_and_a_new_round_does_not() {
    let more = json!({"retry": {"attempts": 3, "backoff_min": "0s", "backoff_max": "0s"}});
    let again = json!({"id": "b", "needs": ["a"], "work": {"task": {"kind": "function", "spec": {"name": "f"}}},
        "on_fail": [{"to": {"rework": "a"}}]});
    let mut world = run(json!([agent(more), again]));
    begin(&mut world, "a/1/1");
    uses(&mut world, "a/1/1", 1, "s-1");
    interrupt(&mut world);
    stopped(&mut world, "a/1/1");
    resume_with(&mut world, "Hurry.").expect("taken");
    begin(&mut world, "a/1/2");
    uses(&mut world, "a/1/2", 1, "s-2");
    world.fail("a/1/2", "rate limit");
    let said = Resumption { prompt: Some("Hurry.".into()) };
    assert_eq!(planned(&world, "a/1/3"), (Some("s-2".into()), Some(said)), "the newest session");
    world.succeed("a/1/3", json!(1));
    world.fail("b/1/1", "not good");
    assert_eq!(planned(&world, "a/2/1"), (None, None));
}

#[test]
fn what_was_said_to_an_attempt_that_began_is_not_said_again_after_another_interrupt() {
    let mut world = run(json!([agent(json!({}))]));
    begin(&mut world, "a/1/1");
    interrupt(&mut world);
    stopped(&mut world, "a/1/1");
    resume_with(&mut world, "One.").expect("taken");
    let said = |prompt: &str| Some(Resumption { prompt: Some(prompt.into()) });
    assert_eq!(planned(&world, "a/1/2").1, said("One."));
    // One that never began was told nothing.
    interrupt(&mut world);
    stopped(&mut world, "a/1/2");
    resume(&mut world);
    assert_eq!(planned(&world, "a/1/3").1, said("One."));
    begin(&mut world, "a/1/3");
    uses(&mut world, "a/1/3", 1, "s-3");
    interrupt(&mut world);
    stopped(&mut world, "a/1/3");
    resume(&mut world);
    let goes_on = (Some("s-3".to_owned()), Some(Resumption { prompt: None }));
    assert_eq!(planned(&world, "a/1/4"), goes_on, "in its session, without a word");
    begin(&mut world, "a/1/4");
    interrupt(&mut world);
    stopped(&mut world, "a/1/4");
    resume_with(&mut world, "Two.").expect("taken");
    assert_eq!(planned(&world, "a/1/5").1, said("Two."));
}

#[test]
fn what_ended_well_all_the_same_counts_and_what_vanished_is_lost() {
    let mut world = run(json!([function("a", &[]), function("b", &[])]));
    begin(&mut world, "a/1/1");
    begin(&mut world, "b/1/1");
    interrupt(&mut world);
    world.succeed("a/1/1", json!(1));
    lose(&mut world, "b/1/1", OnLost::Block);
    resume(&mut world);
    assert_eq!((status(&world, "a"), status(&world, "b")), (StepStatus::Succeeded, StepStatus::Blocked));
}

#[test]
fn a_run_may_be_resumed_before_its_attempts_have_ended() {
    let mut world = run(json!([agent(json!({}))]));
    begin(&mut world, "a/1/1");
    interrupt(&mut world);
    resume_with(&mut world, "Go on otherwise.").expect("it is awaited");
    assert_eq!((attempts(&world), stops(&world)), (vec![], vec!["a/1/1".to_owned()]));
    uses(&mut world, "a/1/1", 1, "s-9");
    assert_eq!(names(&stopped(&mut world, "a/1/1")), ["AttemptFailed", "RetryScheduled"]);
    let said = Resumption { prompt: Some("Go on otherwise.".into()) };
    assert_eq!(planned(&world, "a/1/2"), (Some("s-9".into()), Some(said)));
}

#[test]
fn an_interrupt_of_what_stands_still_is_a_pause_and_one_of_a_paused_run_stops_what_runs() {
    let mut world = run(json!([function("a", &[])]));
    begin(&mut world, "a/1/1");
    pause(&mut world);
    assert_eq!(names(&interrupt(&mut world)), ["RunPaused", "StopRequested"]);
    assert_eq!(names(&interrupt(&mut world)), [] as [&str; 0], "there is nothing left to stop");
    stopped(&mut world, "a/1/1");
    resume(&mut world);
    assert_eq!(attempts(&world), ["a/1/2"]);
    let mut world = run(json!([{"id": "w", "work": {"wait": {"for": "1h"}}}]));
    assert_eq!(names(&interrupt(&mut world)), ["RunPaused"]);
    assert_eq!(resume_with(&mut world, "x"), Err(Refusal::NothingInterrupted));
    resume(&mut world);
    assert_eq!(world.state.status(), RunStatus::Waiting);
}

#[test]
fn runs_and_requests_go_on_to_their_ends() {
    for (kind, spec) in [("run", json!({"pipeline": "p"})), ("http", json!({"url": "https://example.org"}))] {
        let mut world = run(json!([{"id": "a", "work": {"task": {"kind": kind, "spec": spec}}}]));
        begin(&mut world, "a/1/1");
        assert_eq!(names(&interrupt(&mut world)), ["RunPaused"], "{kind}");
    }
}

#[test]
fn a_cancel_of_an_interrupted_run_or_step_ends_it() {
    let mut world = run(json!([agent(json!({}))]));
    begin(&mut world, "a/1/1");
    interrupt(&mut world);
    world.by("ada", cancel()).expect("taken");
    stopped(&mut world, "a/1/1");
    assert_eq!(world.state.status(), RunStatus::Cancelled);
    for ends_first in [true, false] {
        let mut world = run(json!([agent(json!({"on_fail": [{"to": "continue"}]}))]));
        begin(&mut world, "a/1/1");
        interrupt(&mut world);
        if ends_first {
            stopped(&mut world, "a/1/1");
        }
        cancel_step(&mut world, "a").expect("taken");
        if !ends_first {
            stopped(&mut world, "a/1/1");
        }
        resume(&mut world);
        assert_eq!(world.state.status(), RunStatus::Succeeded, "{ends_first}: its route was followed");
        assert_eq!(attempts(&world), [] as [&str; 0]);
    }
}

#[test]
fn items_go_on_and_clean_work_is_not_thrown_away() {
    let each = json!({"id": "each", "foreach": {"items": "${['x', 'y', 'z']}", "as": "n", "max_in_flight": 2},
        "clean": true, "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${n}"}}}});
    let mut world = run(json!([each]));
    interrupt(&mut world);
    stopped(&mut world, "each.0/1/1");
    stopped(&mut world, "each.1/1/1");
    assert_eq!(names(&resume(&mut world)), ["RunResumed", "RetryScheduled", "RetryScheduled"]);
    assert_eq!(attempts(&world), ["each.0/1/2", "each.1/1/2"]);
    for attempt in ["each.0/1/2", "each.1/1/2", "each.2/1/1"] {
        world.succeed(attempt, json!(1));
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn a_copy_of_an_interrupted_run_goes_on_with_a_new_session() {
    let mut world = run(json!([agent(json!({}))]));
    begin(&mut world, "a/1/1");
    uses(&mut world, "a/1/1", 1, "s-1");
    interrupt(&mut world);
    stopped(&mut world, "a/1/1");
    let mut copy = world.forked(world.history.len(), OriginKind::Fork, None).expect("a fork");
    if attempts(&copy).is_empty() {
        copy.give(InputKind::Advance).expect("taken");
    }
    assert_eq!(attempts(&copy), ["a/1/2"]);
    assert_eq!(planned(&copy, "a/1/2").0, None);
}

#[test]
fn a_snapshot_holds_what_was_interrupted() {
    let mut world = run(json!([agent(json!({}))]));
    let before = world.state.snapshot();
    begin(&mut world, "a/1/1");
    uses(&mut world, "a/1/1", 1, "s-1");
    interrupt(&mut world);
    stopped(&mut world, "a/1/1");
    resume_with(&mut world, &"long ".repeat(1_000)).expect("taken");
    let definition = world.state.definition().clone();
    let read = RunState::from_snapshot(definition, &world.state.snapshot()).expect("it can be read");
    assert_eq!(read.fingerprint(), world.state.fingerprint());
    assert_ne!(before, world.state.snapshot());
    let needs = plan::attempt(&read, &id("a/1/2"), &Loaded::default());
    assert!(needs.is_err(), "a long prompt stays in the history, and is loaded");
}

#[test]
fn a_question_that_interrupted_work_left_is_asked_when_the_run_goes_on() {
    let ask = json!({"ask": {"max": 1}});
    let mut world = run(json!([agent(ask)]));
    begin(&mut world, "a/1/1");
    interrupt(&mut world);
    assert_eq!(names(&world.asks("a/1/1", json!({"text": "Which one?"}))), ["AttemptAsked"]);
    let events = resume(&mut world);
    assert!(names(&events).contains(&"QuestionAsked"), "{:?}", names(&events));
    assert_eq!(status(&world, "a"), StepStatus::Waiting);
}

#[test]
fn a_step_that_begins_anew_in_a_copy_was_not_interrupted() {
    let mut world = run(json!([agent(json!({}))]));
    begin(&mut world, "a/1/1");
    uses(&mut world, "a/1/1", 1, "s-1");
    interrupt(&mut world);
    stopped(&mut world, "a/1/1");
    resume_with(&mut world, "Hurry.").expect("taken");
    begin(&mut world, "a/1/2");
    world.finish("a/1/2", Err(Failure::new(FailureKind::Exit, "no")));
    assert_eq!(world.state.status(), RunStatus::Failed);
    let mut copy =
        world.forked(world.history.len(), OriginKind::Retry, world.state.retry_step()).expect("a copy");
    copy.give(InputKind::Admitted(RunAdmitted { admission: vec![], at_once: false })).expect("taken");
    let again = attempts(&copy)[0].to_string();
    assert_eq!(planned(&copy, &again), (None, None), "neither the word nor the session of the origin");
    begin(&mut copy, &again);
    let events = copy.finish(&again, Err(Failure::new(FailureKind::Exit, "no")));
    assert!(names(&events).contains(&"RunFailed"), "no try more than its own: {:?}", names(&events));
}
