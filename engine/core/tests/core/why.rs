//! Why a run is where it is, sentence by sentence. That every state has a cause is a law of the simulated run, which
//! looks after every batch of every test.

use everfold_base::failure::{Failure, FailureKind};
use everfold_core::event::{
    AttemptStarted, BreakpointsSet, HaltScope, RunEvent, RunHalted, RunPaused, TimerKind, UnblockDecision,
};
use everfold_core::input::InputKind;
use everfold_core::why::{CauseKind, CauseNode, of_run, of_step};
use everfold_language::definition::OnLost;
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    approval, cancel, function, lose, pause, resume, rework, run, send_signal, timer, unblock, wait, with,
};
use crate::fixtures::simulated_run::{World, definition};
use crate::run_budgets::{agent, money, world as budgeted};

fn told(causes: &[CauseNode]) -> Vec<String> {
    fn lines(causes: &[CauseNode], depth: usize, found: &mut Vec<String>) {
        for cause in causes {
            let event =
                cause.evidence.as_ref().map(|shown| format!(" <{}>", shown.event)).unwrap_or_default();
            found.push(format!("{}{}{event}", "  ".repeat(depth), cause.sentence));
            lines(&cause.because, depth + 1, found);
        }
    }
    let mut found = Vec::new();
    lines(causes, 0, &mut found);
    found
}

fn of(world: &World) -> Vec<String> {
    told(&of_run(&world.state, &world.trail))
}

fn of_one(world: &World, step: &str) -> Vec<String> {
    told(&of_step(&world.state, &world.trail, &step.into()).expect("a step"))
}

#[test]
fn work_that_is_to_begin_and_is_at_work() {
    let mut world = run(json!([function("a", &[]), function("b", &["a"])]));
    assert_eq!(of(&world), ["attempt 1 of a is to begin <StepScheduled>"]);
    assert_eq!(
        of_one(&world, "b"),
        ["b begins when a has ended", "  attempt 1 of a is to begin <StepScheduled>"]
    );
    let id = "a/1/1".parse().expect("an id");
    world
        .give(InputKind::AttemptStarted(AttemptStarted { id, began_at: None, holder: None }))
        .expect("taken");
    assert_eq!(of(&world), ["attempt 1 of a is at work <AttemptStarted>"]);
    world.succeed("a/1/1", json!(null));
    assert_eq!(of_one(&world, "a"), ["a succeeded <StepSucceeded>"]);
}

#[test]
fn a_retry_says_which_of_how_many_and_how_the_attempt_before_failed() {
    let retry = json!({"retry": {"attempts": 3, "backoff_min": "10s", "backoff_max": "60s"}});
    let mut world = run(json!([with(function("a", &[]), retry)]));
    let failure =
        Failure { code: Some("BUSY".into()), ..Failure::new(FailureKind::Error, "too many requests") };
    world.finish("a/1/1", Err(failure));
    assert_eq!(
        of(&world),
        [
            "attempt 2 of a, of 3 at most, follows <RetryScheduled>",
            "  an attempt of a failed (error BUSY): too many requests <AttemptFailed>",
        ]
    );
    assert!(of_run(&world.state, &world.trail)[0].until.is_some(), "when it follows is known");
}

#[test]
fn a_budget_that_is_only_reserved_is_not_said_to_be_used_up() {
    let side_by_side = json!([agent("a", &[]), agent("b", &[]), agent("c", &[])]);
    let mut world = budgeted(json!([{"id": "budget", "cost": "1 USD", "reserve": "0.40 USD"}]), side_by_side);
    for attempt in ["a/1/1", "b/1/1", "c/1/1"] {
        world.want_funds(attempt);
    }
    let of_budget = |world: &World| -> Vec<String> {
        let causes = of_run(&world.state, &world.trail);
        let causes = causes.into_iter().flat_map(|cause| cause.because);
        let of_budget = causes.filter(|cause| cause.kind == CauseKind::Budget);
        of_budget.map(|cause| cause.sentence).collect()
    };
    let how = "0.00 USD of 1.00 USD, 0.80 USD reserved, 0.40 USD wanted for the next";
    assert_eq!(of_budget(&world), [format!("the budget is reserved for work that runs: {how}")]);
    let said = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::BudgetExceeded(event) => Some(event.taken()),
        _other => None,
    });
    assert_eq!(said, Some("reserved for work that runs"));
    // The next would not fit either if b gave back what is reserved for it: 0.40 beside 0.70 of 1.00.
    world.use_up(&"a/1/1".parse().expect("an id"), 700_000);
    world.succeed("a/1/1", json!(1));
    assert_eq!(
        of_budget(&world),
        ["the budget is used up: 0.70 USD of 1.00 USD, 0.40 USD reserved, 0.40 USD wanted for the next"]
    );
}

/// It said that the work failed, and how the process ended that was stopped.
#[test]
fn a_step_that_is_blocked_because_a_budget_stopped_its_work_names_the_budget() {
    let paid = with(agent("a", &[]), json!({"on_fail": [{"to": "block"}]}));
    let mut world = budgeted(json!([{"id": "hard", "cost": "1 USD", "on_over": "stop"}]), json!([paid]));
    world.want_funds("a/1/1");
    world.use_up(&"a/1/1".parse().expect("an id"), 1_500_000);
    world.fail("a/1/1", "killed");
    let blocked = "a waits for a person to decide, because its work was stopped: budget “hard” is used up: 1.50 USD of 1.00 USD <StepBlocked>";
    let ended = "  an attempt of a failed (exit): killed <AttemptFailed>";
    let stands = "  the budget hard is used up: 1.50 USD of 1.00 USD <BudgetExceeded>";
    assert_eq!(of_one(&world, "a"), [blocked, ended, stands]);
    assert_eq!(of(&world), [blocked, ended, stands]);
    // It has room again, and the step waits for a person all the same.
    let add = money(2.0);
    world.by("ada", InputKind::RaiseBudget { budget: None, add, reason: None }).expect("taken");
    assert_eq!(of_one(&world, "a"), [blocked, ended]);
}

#[test]
fn the_next_attempt_is_shown_by_the_event_that_scheduled_it() {
    let retry = json!({"retry": {"attempts": 3, "backoff_min": "10s", "backoff_max": "60s"}});
    let mut world = run(json!([with(function("a", &[]), retry)]));
    let id = "a/1/1".parse().expect("an id");
    world
        .give(InputKind::AttemptStarted(AttemptStarted { id, began_at: None, holder: None }))
        .expect("taken");
    world.fail("a/1/1", "busy");
    let (due, _) = timer(&world, TimerKind::Retry).expect("a timer");
    world.answer(&due, 0);
    assert_eq!(of(&world), ["attempt 2 of a is to begin <RetryScheduled>"]);
}

#[test]
fn items_that_people_or_their_next_attempt_hold_up_come_first_and_the_rest_is_counted() {
    let retry = json!({"retry": {"attempts": 3, "backoff_min": "10s", "backoff_max": "60s"}});
    let items: Vec<u32> = (0..15).collect();
    let each =
        with(with(function("a", &[]), retry), json!({"foreach": {"items": items, "max_in_flight": 12}}));
    let mut world = run(json!([each]));
    for item in 2..12 {
        world.fail(&format!("a.{item}/1/1"), "busy");
    }
    let told = of(&world);
    assert_eq!(
        told[..2],
        [
            "attempt 2 of a.2, of 3 at most, follows <RetryScheduled>",
            "  an attempt of a.2 failed (exit): busy <AttemptFailed>",
        ],
    );
    let of_all: Vec<&String> = told.iter().filter(|line| line.contains("items of a")).collect();
    assert_eq!(
        of_all,
        [
            "3 of 15 items of a begin when others have ended, 12 at once",
            "2 further items of a have not ended: 2 wait for their next attempt",
        ]
    );
}

#[test]
fn a_step_that_is_sent_back_names_what_sent_it_back() {
    let steps = json!([function("build", &[]), with(function("check", &["build"]), rework("build"))]);
    let mut world = run(steps);
    world.succeed("build/1/1", json!(null));
    world.fail("check/1/1", "two are red");
    assert_eq!(
        of_one(&world, "build"),
        [
            "attempt 1 of build in round 2 is to begin <StepScheduled>",
            "build was sent back because of how round 1 of check ended (1 of 3) <ReworkRequested>",
            "  an attempt of check failed (exit): two are red <AttemptFailed>",
        ]
    );
}

/// The newest failure was named, whichever round the step was sent back for.
#[test]
fn what_sent_a_step_back_is_the_failure_of_that_round_and_no_later_one() {
    let steps = json!([function("build", &[]), with(function("check", &["build"]), rework("build"))]);
    let mut world = run(steps);
    for round in 1..=4 {
        world.succeed(&format!("build/{round}/1"), json!(null));
        world.fail(&format!("check/{round}/1"), &format!("red in round {round}"));
    }
    assert_eq!(
        of_one(&world, "build")[1..],
        [
            "build was sent back because of how round 3 of check ended (3 of 3) <ReworkRequested>",
            "  an attempt of check failed (exit): red in round 3 <AttemptFailed>",
        ]
    );
}

/// The newest verdict alone was shown by its event.
#[test]
fn a_verdict_that_sent_back_is_shown_by_its_event_when_the_gate_has_failed_again() {
    let gate = json!({"id": "g", "probe": {"expression": "false"}, "on_fail": [{"to": {"rework": "b"}, "max": {"times": 1}}, {"to": "block"}]});
    let steps = json!([function("b", &[]), with(function("z", &["b"]), json!({"gates": [gate]}))]);
    let mut world = run(steps);
    for round in [1, 2] {
        world.succeed(&format!("b/{round}/1"), json!(null));
        world.succeed(&format!("z/{round}/1"), json!(null));
    }
    let said: Vec<String> =
        of(&world).into_iter().filter(|line| line.contains("the gate g of z said")).collect();
    assert_eq!(said.len(), 2, "{:?}", of(&world));
    assert!(said.iter().all(|line| line.ends_with("<GateEvaluated>")), "{said:?}");
}

#[test]
fn people_a_signal_and_a_moment_are_named_with_what_they_are_for() {
    let people = json!({"roles": ["qa", "product"], "quorum": 2});
    let mut world = run(json!([
        approval("ok", people),
        wait("go", &[], json!({"signal": "ci"})),
        wait("nap", &[], json!({"for": "1h"})),
    ]));
    assert_eq!(
        of(&world),
        [
            "ok waits for the approval of qa or product, 0 of 2 votes: go on? <ApprovalRequested>",
            "go waits for the signal ci <StepScheduled>",
            "nap waits for its time <StepScheduled>",
        ]
    );
    send_signal(&mut world, "ci", json!({}));
    assert_eq!(of_one(&world, "go"), ["go succeeded <StepSucceeded>"]);
}

#[test]
fn a_lost_attempt_that_blocks_says_how_it_is_known() {
    let mut world = run(json!([function("a", &[])]));
    lose(&mut world, "a/1/1", OnLost::Block);
    assert_eq!(
        of(&world),
        [
            "a waits for a person to decide, because an attempt vanished, and it is not known what it did <StepBlocked>",
            "  an attempt of a vanished: no record <AttemptLost>",
        ]
    );
    world.by("ada", unblock(UnblockDecision::Fail)).expect("taken");
    assert_eq!(of(&world)[0].split(':').next(), Some("the run failed"), "{:?}", of(&world));
}

#[test]
fn pauses_say_who_and_why_and_what_would_begin() {
    let mut world = run(json!([function("a", &[]), function("b", &["a"])]));
    let kind = InputKind::Pause(RunPaused { reason: Some("lunch".into()), interrupt: false });
    world.by("ada", kind).expect("taken");
    let scope = HaltScope::Pipeline("p".into());
    world.by("bob", InputKind::Halt(RunHalted { scope, reason: None })).expect("taken");
    world.succeed("a/1/1", json!(null));
    assert_eq!(
        of_one(&world, "b"),
        [
            "b begins when a has ended",
            "  the work of a has ended, and what follows is decided when the run goes on",
            "    the run is paused by user:ada: lunch <RunPaused>",
            "    the pipeline p is paused <RunHalted>",
        ]
    );
    resume(&mut world);
    assert_eq!(
        of(&world),
        [
            "the pipeline p is paused <RunHalted>",
            "the work of a has ended, and what follows is decided when the run goes on",
            "  the pipeline p is paused <RunHalted>",
        ]
    );
}

#[test]
fn a_breakpoint_and_a_cancellation_are_named() {
    let mut world = run(json!([function("a", &[]), function("b", &["a"])]));
    world.by("ada", InputKind::Breakpoints(BreakpointsSet { steps: vec!["b".into()] })).expect("taken");
    world.succeed("a/1/1", json!(null));
    assert_eq!(of(&world), ["the run is paused before b, where a breakpoint is set <BreakpointHit>"]);
    resume(&mut world);
    pause(&mut world);
    world.by("ada", cancel()).expect("taken");
    assert_eq!(
        of(&world),
        [
            "the run is being cancelled by user:ada <CancelRequested>",
            "attempt 1 of b is being ended: the run was cancelled <StopRequested>",
        ]
    );
    world.fail("b/1/1", "stopped");
    assert_eq!(of(&world), ["the run was cancelled by user:ada <RunCancelled>"]);
}

fn started(pipeline: Value, input: Value) -> World {
    World::start(definition(pipeline), input)
}

#[test]
fn a_false_condition_is_said_with_the_values_that_it_looked_at() {
    let step = with(function("deploy", &[]), json!({"when": "input.deploy && input.version > 3"}));
    let pipeline = json!({"name": "p", "steps": [step]});
    let world = started(pipeline, json!({"deploy": true, "version": 2}));
    assert_eq!(
        of_one(&world, "deploy"),
        [
            "deploy was passed over <StepSkipped>",
            "  its `when` was false: input.deploy && input.version > 3, where input.deploy was true, \
             input.version was 2 <StepSkipped>",
        ]
    );
    let condition = &of_step(&world.state, &world.trail, &"deploy".into()).expect("a step")[0].because[0];
    assert_eq!(json!(condition.values[1]), json!({"name": "input.version", "value": 2}));
}
