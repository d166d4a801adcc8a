//! What people are asked and what follows: rules L19 to L23, and items of people (L24).

use std::time::Duration;

use everfold_engine::decide::Refusal;
use everfold_engine::decide::plan;
use everfold_engine::definition::Vote;
use everfold_engine::effect::Effect;
use everfold_engine::event::{BlockReason, Comment, RunEvent, TimerKind, Told, UnblockDecision};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{StepId, StepPath};
use everfold_engine::input::InputKind;
use everfold_engine::state::{Awaited, RunStatus, StepStatus};
use serde_json::{Value, json};

use super::world::{World, definition};

fn run(steps: Value) -> World {
    World::start(definition(json!({"name": "p", "steps": steps})), json!({"doc": "draft", "n": 1}))
}

fn approval(id: &str, fields: Value) -> Value {
    let mut approval = json!({"title": "Ship it?"});
    approval.as_object_mut().expect("there").extend(fields.as_object().expect("there").clone());
    json!({"id": id, "work": {"approval": approval}})
}

fn question(id: &str, fields: Value) -> Value {
    let mut question = json!({"title": "Which one?"});
    question.as_object_mut().expect("there").extend(fields.as_object().expect("there").clone());
    json!({"id": id, "work": {"question": question}})
}

fn agent(id: &str, more: Value) -> Value {
    let mut step =
        json!({"id": id, "work": {"task": {"kind": "agent", "spec": {"prompt": "${toJson(answers)}"}}}});
    step.as_object_mut().expect("there").extend(more.as_object().expect("there").clone());
    step
}

fn path(step: &str) -> StepPath {
    step.parse().expect("a step path")
}

/// A vote with everything that may belong to one.
fn ballot(
    task: &str,
    vote: Vote,
    comment: Option<&str>,
    comments: Vec<Comment>,
    edited: Option<Value>,
) -> InputKind {
    InputKind::Vote {
        id: task.parse().expect("a task"),
        vote,
        comment: comment.map(str::to_owned),
        roles: Vec::new(),
        comments,
        edited: edited.map(Into::into),
    }
}

fn vote(task: &str, vote: Vote) -> InputKind {
    ballot(task, vote, None, Vec::new(), None)
}

fn answer(task: &str, answer: Value) -> InputKind {
    InputKind::Answer { id: task.parse().expect("a task"), answer: answer.into(), roles: Vec::new() }
}

fn save(task: &str, answer: Value) -> InputKind {
    InputKind::SaveAnswer { id: task.parse().expect("a task"), answer: answer.into(), roles: Vec::new() }
}

fn asks(world: &mut World, id: &str, ask: Value) -> Vec<RunEvent> {
    let ended_at = world.now;
    let kind = InputKind::AttemptFinished {
        id: id.parse().expect("an attempt"),
        result: Ok(Value::Null.into()),
        commit: None,
        artefacts: Vec::new(),
        ended_at,
        told: Told::default(),
        ask: Some(ask.into()),
    };
    world.give(kind).expect("reports are never refused")
}

fn names(events: &[RunEvent]) -> Vec<&'static str> {
    events.iter().map(RunEvent::name).collect()
}

fn problems(refused: Result<Vec<RunEvent>, Refusal>) -> String {
    match refused {
        Err(Refusal::InvalidAnswer { problems, .. }) => problems.join("; "),
        other => panic!("not refused as an answer that does not fit: {other:?}"),
    }
}

fn status(world: &World, step: &str) -> StepStatus {
    world.state.step_status(&StepId::from(step)).expect("a step")
}

/// What `steps.X.output` is to the step after it: its rendered work holds it.
fn output(world: &World, reader: &str) -> Value {
    let id = format!("{reader}/1/1").parse().expect("an attempt");
    let plan = plan::attempt(&world.state, &id, &Default::default()).expect("at hand").expect("an attempt");
    plan.spec["with"].clone()
}

fn reader(of: &str) -> Value {
    json!({"id": "reader", "needs": [of], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": format!("${{steps.{of}.output}}")}}}})
}

/// Fires the timer of that kind, whenever it is due.
fn fire(world: &mut World, kind: TimerKind) -> Vec<RunEvent> {
    let (timer, at) = world
        .effects()
        .into_iter()
        .find_map(|effect| match effect {
            Effect::Timer { timer, at } if timer.kind == kind => Some((timer, at)),
            _other => None,
        })
        .expect("such a timer is set");
    world.now = world.now.max(at);
    world.give(InputKind::TimerFired { timer, due: at }).expect("reports are never refused")
}

fn attempts(world: &World) -> Vec<String> {
    let attempt = |effect| match effect {
        Effect::Attempt { id, .. } => Some(id.to_string()),
        _other => None,
    };
    world.effects().into_iter().filter_map(attempt).collect()
}

fn remark(line: u32, text: &str) -> Comment {
    Comment {
        on: Some("docs/brd.md".into()),
        shown: Some("aa".into()),
        line: Some(line),
        quote: Some("must be fast".into()),
        text: text.into(),
    }
}

#[test]
fn l20_a_quorum_approves_and_with_veto_one_rejection_decides() {
    let mut world = run(json!([approval("ask", json!({"quorum": 2}))]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Waiting);
    assert!(world.by("ada", vote("ask/1/1", Vote::Approve)).expect("no news").is_empty());
    let decided = world.by("bob", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(names(&decided), ["VoteCast", "ApprovalDecided", "StepSucceeded", "RunSucceeded"]);

    let mut world = run(json!([approval("ask", json!({"quorum": 2}))]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    world.by("bob", vote("ask/1/1", Vote::Reject)).expect("taken");
    let (failure, _) = world.state.failure().expect("the run failed");
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Rejected, "rejected by user:bob"));
}

#[test]
fn l20_without_veto_the_quorum_decides_either_way_and_a_vote_may_be_changed() {
    let mut world = run(json!([approval("ask", json!({"quorum": 2, "veto": false}))]));
    world.by("ada", vote("ask/1/1", Vote::Reject)).expect("taken");
    world.by("bob", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Waiting, "one against one");
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l20_changes_are_offered_only_with_a_route_and_carry_the_comments() {
    let mut world = run(json!([approval("ask", json!({}))]));
    let refused = world.by("ada", vote("ask/1/1", Vote::Changes));
    assert_eq!(refused, Err(Refusal::NotOffered { path: path("ask"), vote: Vote::Changes }));

    let routes = json!({"on_changes": [{"to": {"rework": "write"}}], "comment": ["changes"]});
    let mut ask = approval("ask", routes);
    ask["needs"] = json!(["write"]);
    let write = json!({"id": "write", "work": {"task": {"kind": "agent", "spec": {"prompt": "${has(rework.findings) ? rework.findings : ''}"}}}});
    let mut world = run(json!([write, ask]));
    for round in 1..=5 {
        world.succeed(&format!("write/{round}/1"), json!("text"));
        let task = format!("ask/{round}/1");
        let silent = world.by("bob", vote(&task, Vote::Changes));
        assert_eq!(silent, Err(Refusal::CommentNeeded { path: path("ask"), vote: Vote::Changes }));
        let words = ballot(&task, Vote::Changes, Some("shorter"), vec![remark(12, "say how fast")], None);
        world.by("bob", words).expect("taken: a person's rework has no limit of its own");
    }
    let told = plan::attempt(&world.state, &"write/6/1".parse().expect("there"), &Default::default());
    assert_eq!(
        told.expect("there").expect("there").spec["prompt"],
        "user:bob: shorter\nuser:bob on docs/brd.md:12 “must be fast”: say how fast"
    );
}

#[test]
fn l20_on_changes_with_a_limit_keeps_to_it() {
    let routes =
        json!({"on_changes": [{"to": {"rework": "ask"}, "max": {"times": 1}, "then": {"to": "block"}}]});
    let mut world = run(json!([approval("ask", routes)]));
    world.by("ada", vote("ask/1/1", Vote::Changes)).expect("taken");
    world.by("ada", vote("ask/2/1", Vote::Changes)).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Blocked);
    assert_eq!(
        world.state.block_reason(&path("ask")),
        Some(&BlockReason::UsedUp { target: "ask".into(), gate: None })
    );
    let unblock = InputKind::Unblock {
        path: None,
        decision: UnblockDecision::Retry,
        output: None,
        reason: None,
        policies: Default::default(),
    };
    world.by("ada", unblock).expect("taken");
    world.by("ada", vote("ask/3/1", Vote::Approve)).expect("asked in a new round");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l20_one_value_may_be_replaced_its_type_kept_and_the_output_says_so() {
    let fields = json!({"edit": "${input.doc}", "show": ["${input.doc}"]});
    let mut world = run(json!([approval("ask", fields.clone()), reader("ask")]));
    let edit = |vote, value| ballot("ask/1/1", vote, None, Vec::new(), Some(value));
    for (vote, value, part) in [
        (Vote::Approve, json!(7), "is a text, and a number cannot take its place"),
        (Vote::Reject, json!("no"), "only who approves"),
    ] {
        match world.by("ada", edit(vote, value)) {
            Err(Refusal::InvalidEdit { why, .. }) => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    world.by("ada", edit(Vote::Approve, json!("final"))).expect("taken");
    let said = output(&world, "reader");
    assert_eq!(
        (&said["decision"], &said["value"], &said["edited"], &said["by"], &said["comments"]),
        (&json!("approve"), &json!("final"), &json!(true), &json!(["user:ada"]), &json!([]))
    );

    let mut world = run(json!([approval("ask", fields), reader("ask")]));
    world.by("ada", edit(Vote::Approve, json!("draft"))).expect("taken: it is as it was");
    let said = output(&world, "reader");
    assert_eq!((&said["value"], &said["edited"]), (&json!("draft"), &json!(false)));

    let mut world = run(json!([approval("ask", json!({})), reader("ask")]));
    assert!(matches!(world.by("ada", edit(Vote::Approve, json!(1))), Err(Refusal::InvalidEdit { .. })));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(output(&world, "reader")["value"], Value::Null);
}

#[test]
fn l20_an_approval_counts_for_the_value_that_stood_when_it_was_given() {
    let mut world =
        run(json!([approval("ask", json!({"quorum": 2, "edit": "${input.doc}"})), reader("ask")]));
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    let edited = ballot("ask/1/1", Vote::Approve, None, Vec::new(), Some(json!("other")));
    world.by("bob", edited).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Waiting, "ada approved of another value");
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken: the value is another one now");
    let said = output(&world, "reader");
    assert_eq!((&said["value"], &said["by"]), (&json!("other"), &json!(["user:ada", "user:bob"])));
}

#[test]
fn l20_a_large_value_stays_out_of_the_state_and_is_loaded_where_it_is_needed() {
    let large = "x".repeat(5_000);
    let mut world = run(json!([
        approval("ask", json!({"edit": "${input.doc}"})),
        {"id": "after", "needs": ["ask"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.ask.output.value}"}}}},
    ]));
    let edited = ballot("ask/1/1", Vote::Approve, Some("longer"), Vec::new(), Some(json!(large)));
    world.by("ada", edited).expect("taken");
    assert_eq!(world.effects(), [Effect::Advance], "what follows needs the value loaded");
    world.give(InputKind::Advance).expect("taken");
    let given = world.history.iter().rev().find_map(|(_, event)| match event {
        RunEvent::StepScheduled(event) => Some(event.work.clone()),
        _other => None,
    });
    assert!(
        serde_json::to_string(&given).expect("there").contains(&large),
        "the next step was given the value"
    );
    assert!(world.state.snapshot().len() < 5_000, "and the state does not hold it");
}

#[test]
fn l19_expiry_takes_its_route_and_default_is_the_step_s_on_fail() {
    let mut world = run(json!([approval("ask", json!({"expires": "2d"}))]));
    assert!(world.state.awaited().iter().any(|awaited| matches!(awaited, Awaited::Timer { .. })));
    let expired = fire(&mut world, TimerKind::Expiry);
    assert_eq!(names(&expired), ["TimerFired", "StepFailed", "RunFailed"]);
    let (failure, _) = world.state.failure().expect("the run failed");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.contains("172800 s"), "{}", failure.message);

    let fields = json!({"expires": "1h", "on_expire": [{"to": "block"}]});
    for step in [approval("ask", fields.clone()), question("ask", fields)] {
        let mut world = run(json!([step]));
        fire(&mut world, TimerKind::Expiry);
        assert_eq!(world.state.block_reason(&path("ask")), Some(&BlockReason::Failed));
        let late = world.by("ada", vote("ask/1/1", Vote::Approve));
        assert_eq!(late, Err(Refusal::Superseded(path("ask"))));
        let unblock = InputKind::Unblock {
            path: None,
            decision: UnblockDecision::Retry,
            output: None,
            reason: None,
            policies: Default::default(),
        };
        let again = world.by("ada", unblock).expect("taken");
        assert_eq!(names(&again)[..2], ["RunUnblocked", "RetryScheduled"], "people are asked again");
        let task = match world.state.awaited().remove(0) {
            Awaited::Approval { id, .. } | Awaited::Question { id, .. } => id.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(task, "ask/1/2", "another task");
        fire(&mut world, TimerKind::Expiry);
        assert_eq!(world.state.status(), RunStatus::Blocked);
    }
}

#[test]
fn l12_a_route_that_a_person_used_without_limit_keeps_its_limit_for_what_follows_by_itself() {
    let mut ask = approval("ask", json!({"expires": "1h"}));
    ask["on_fail"] = json!([{"to": {"rework": "ask"}}]);
    let mut world = run(json!([ask]));
    for round in 1..=5 {
        world.by("ada", vote(&format!("ask/{round}/1"), Vote::Reject)).expect("taken");
    }
    assert_eq!(world.state.status(), RunStatus::Waiting, "people may send it back as often as they want");
    fire(&mut world, TimerKind::Expiry);
    assert_eq!(world.state.status(), RunStatus::Blocked);
}

#[test]
fn l19_a_decision_ends_the_timers_of_its_task() {
    let mut world = run(json!([approval("ask", json!({"expires": "1h", "remind": "10m"})), reader("ask")]));
    let timers = |world: &World| {
        world.effects().iter().filter(|effect| matches!(effect, Effect::Timer { .. })).count()
    };
    assert_eq!(timers(&world), 2);
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(timers(&world), 0);
}

#[test]
fn l19_people_are_reminded_until_they_decide_and_once_after_a_long_sleep() {
    let mut world = run(json!([question("ask", json!({"remind": "10m"}))]));
    for _ in 0..3 {
        // The engine was away for a day.
        world.now = world.now.plus(Duration::from_secs(86_400));
        let reminded = fire(&mut world, TimerKind::Reminder);
        assert_eq!(names(&reminded), ["TimerFired", "TimerSet"]);
    }
    assert_eq!(world.state.status(), RunStatus::Waiting);
    world.by("ada", answer("ask/1/1", json!({"text": "that one"}))).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l19_a_task_of_a_step_that_a_rework_reset_is_withdrawn() {
    let mut first = json!({"id": "first", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    first["on_fail"] = json!([{"to": {"rework": "base"}}]);
    first["needs"] = json!(["base"]);
    let mut ask = question("ask", json!({"expires": "1h"}));
    ask["needs"] = json!(["base"]);
    let base = json!({"id": "base", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    let mut world = run(json!([base, first, ask]));
    world.succeed("base/1/1", json!(1));
    world.by("ada", save("ask/1/1", json!({"text": "half"}))).expect("taken");
    world.fail("first/1/1", "broken");
    let refused = world.by("ada", answer("ask/1/1", json!({"text": "late"})));
    assert_eq!(refused, Err(Refusal::Superseded(path("ask"))));
    assert!(!world.effects().iter().any(|effect| matches!(effect, Effect::Timer { .. })));
    world.succeed("base/2/1", json!(1));
    world.by("ada", answer("ask/2/1", json!({"text": "new"}))).expect("the new round asks anew");
}

#[test]
fn l19_of_two_answers_the_same_is_no_event_and_another_is_refused() {
    let mut world = run(json!([question("ask", json!({"options": ["a", "b"]})), reader("ask")]));
    world.by("ada", answer("ask/1/1", json!({"text": "a"}))).expect("taken: it is an option");
    assert_eq!(output(&world, "reader")["choice"], "a");
    for same in [json!({"choice": "a"}), json!({"text": "a"})] {
        assert!(world.by("bob", answer("ask/1/1", same)).expect("no news").is_empty());
    }
    let other = world.by("bob", answer("ask/1/1", json!({"choice": "b"})));
    assert_eq!(other, Err(Refusal::Answered(path("ask"))));
    assert_eq!(world.by("bob", save("ask/1/1", json!({}))), Err(Refusal::Answered(path("ask"))));
    let wrong = world.by("bob", vote("ask/1/1", Vote::Approve));
    assert_eq!(wrong, Err(Refusal::WrongKind { path: path("ask"), wants: "an answer" }));
}

#[test]
fn l19_partial_answers_are_merged_and_what_is_left_out_stands_in_what_was_saved() {
    let fields = json!({"options": ["a", "b"], "items": ["first", {"id": "size", "text": "how large", "options": ["s", "m"]}]});
    let mut world = run(json!([question("ask", fields), reader("ask")]));
    world.by("ada", save("ask/1/1", json!({"choice": "b", "items": {"1": "x"}}))).expect("taken");
    world.by("bob", save("ask/1/1", json!({"items": {"size": "m"}, "text": "so far"}))).expect("taken");
    assert!(world.by("bob", save("ask/1/1", json!({"text": "so far"}))).expect("no news").is_empty());
    world.check_fold();
    world.by("bob", answer("ask/1/1", json!({"choice": "a", "text": null}))).expect("taken");
    assert_eq!(
        output(&world, "reader"),
        json!({"choice": "a", "text": null, "items": {"1": "x", "size": "m"}, "by": "user:bob"})
    );
}

#[test]
fn l21_options_items_schema_and_accept_refuse_and_say_what_is_wrong() {
    let mut world = run(json!([question("ask", json!({"options": ["a", "b"]}))]));
    let refused = world.by("ada", answer("ask/1/1", json!({"choice": "c"})));
    assert_eq!(problems(refused), "“c” is none of the options: a, b");
    assert_eq!(problems(world.by("ada", answer("ask/1/1", json!({})))), "choose one of: a, b");
    assert_eq!(problems(world.by("ada", save("ask/1/1", json!({"choice": 1})))), "`choice` is no text");

    let mut world = run(json!([question("ask", json!({}))]));
    assert_eq!(problems(world.by("ada", answer("ask/1/1", json!({"text": " "})))), "it wants a text");
    let refused = world.by("ada", answer("ask/1/1", json!({"choice": "c"})));
    assert!(problems(refused).contains("no options"), "no options are offered");
    let refused = world.by("ada", answer("ask/1/1", json!({"colour": "red"})));
    assert!(problems(refused).contains("no `colour`"));

    let items = json!({"items": ["one", {"id": "two", "text": "?", "options": ["x"]}]});
    let mut world = run(json!([question("ask", items)]));
    let refused = world.by("ada", answer("ask/1/1", json!({"items": {"two": "x"}})));
    assert_eq!(problems(refused), "items without an answer: 1");
    let refused = world.by("ada", answer("ask/1/1", json!({"items": {"two": "y", "three": 1}})));
    assert_eq!(
        problems(refused),
        "there is no item “three”; it has 1, two; item “two”: \"y\" is none of the options: x"
    );

    let schema = json!({"schema": {"type": "object", "required": ["text"], "properties": {"text": {"pattern": "^[A-Z]+-[0-9]+$"}}}});
    let mut world = run(json!([question("ask", schema)]));
    let refused = problems(world.by("ada", answer("ask/1/1", json!({"text": "x"}))));
    assert!(refused.starts_with("answer.text: "), "{refused}");
    world.by("ada", answer("ask/1/1", json!({"text": "AB-1"}))).expect("taken");

    let accept = json!({"accept": "answer.text.startsWith('because')"});
    let mut world = run(json!([question("ask", accept)]));
    let refused = problems(world.by("ada", answer("ask/1/1", json!({"text": "so"}))));
    assert_eq!(refused, "`answer.text.startsWith('because')` does not hold");
    world.by("ada", answer("ask/1/1", json!({"text": "because"}))).expect("taken");

    let accept = json!({"options": ["all", "some"], "accept": "answer.choice == 'all' || has(answer.text)"});
    let mut world = run(json!([question("ask", accept)]));
    problems(world.by("ada", answer("ask/1/1", json!({"choice": "some", "text": null}))));
    world.by("ada", answer("ask/1/1", json!({"choice": "some", "text": "half"}))).expect("taken");

    let accept = json!({"accept": "answer.text == 'no' ? 'say more than no' : ''"});
    let mut world = run(json!([question("ask", accept)]));
    assert_eq!(problems(world.by("ada", answer("ask/1/1", json!({"text": "no"})))), "say more than no");
}

#[test]
fn l21_roles_bound_who_answers() {
    let mut world = run(json!([question("ask", json!({"roles": ["product"]}))]));
    let wrong = Err(Refusal::WrongRole { path: path("ask"), roles: vec!["product".into()] });
    assert_eq!(world.by("ada", answer("ask/1/1", json!({"text": "x"}))), wrong);
    assert_eq!(world.by("ada", save("ask/1/1", json!({"text": "x"}))), wrong);
    let kind = InputKind::Answer {
        id: "ask/1/1".parse().expect("there"),
        answer: json!({"text": "x"}).into(),
        roles: vec!["product".into()],
    };
    world.by("ada", kind).expect("taken");
}

#[test]
fn l21_gates_and_on_success_follow_an_answer() {
    let mut ask = question("ask", json!({"options": ["stop", "go"]}));
    ask["gates"] = json!([{"id": "g", "probe": {"expression": "output.choice != ''"}}]);
    ask["on_success"] =
        json!([{"when": "output.choice == 'stop'", "to": {"finish": "cancelled"}}, {"to": "continue"}]);
    let mut world = run(json!([ask.clone(), reader("ask")]));
    let events = world.by("ada", answer("ask/1/1", json!({"choice": "stop"}))).expect("taken");
    assert_eq!(names(&events)[..3], ["QuestionAnswered", "GateEvaluated", "StepSucceeded"]);
    assert_eq!(world.state.status(), RunStatus::Cancelled);
    let mut world = run(json!([ask, reader("ask")]));
    world.by("ada", answer("ask/1/1", json!({"choice": "go"}))).expect("taken");
    assert_eq!(attempts(&world), ["reader/1/1"]);
}

#[test]
fn l21_a_question_that_cannot_be_asked_fails_its_step() {
    for (fields, part) in [
        (json!({"options": "${input}"}), "`options` is no list"),
        (json!({"options": ["a", "a"]}), "twice"),
        (json!({"items": [{"id": "x"}]}), "no `text`"),
        (json!({"items": [{"id": "x", "text": "1"}, {"id": "x", "text": "2"}]}), "two items"),
    ] {
        let world = run(json!([question("ask", fields)]));
        let (failure, _) = world.state.failure().expect("the run failed");
        assert_eq!(failure.kind, FailureKind::Validation);
        assert!(failure.message.contains(part), "{}", failure.message);
    }
}

#[test]
fn l22_an_answer_starts_the_next_attempt_of_the_same_round_with_all_answers() {
    let retry = json!({"retry": {"attempts": 2, "backoff_min": "1s", "backoff_max": "1s"}});
    let mut world = run(json!([agent("build", retry)]));
    let asked = asks(&mut world, "build/1/1", json!({"text": "Which database?", "options": ["sled", "pg"]}));
    assert_eq!(names(&asked), ["AttemptAsked", "QuestionAsked"]);
    assert_eq!((world.state.status(), status(&world, "build")), (RunStatus::Waiting, StepStatus::Waiting));
    let refused = world.by("ada", answer("build/1/1", json!({"choice": "mysql"})));
    assert_eq!(problems(refused), "“mysql” is none of the options: sled, pg");
    let answered = world.by("ada", answer("build/1/1", json!({"choice": "sled"}))).expect("taken");
    assert_eq!(names(&answered), ["QuestionAnswered", "RetryScheduled"]);
    assert_eq!(attempts(&world), ["build/1/2"]);

    asks(&mut world, "build/1/2", json!({"text": "And\nwhy?"}));
    world.by("bob", answer("build/1/2", json!({"text": "fast"}))).expect("taken");
    let id = "build/1/3".parse().expect("there");
    let spec = plan::attempt(&world.state, &id, &Default::default()).expect("there").expect("there").spec;
    let told = plan::told(&world.state, &id, &spec, &Default::default()).expect("there");
    let expected = json!([
        {"asked": {"text": "Which database?", "options": ["sled", "pg"]}, "choice": "sled", "text": null, "items": null, "by": "user:ada"},
        {"asked": {"text": "And\nwhy?"}, "choice": null, "text": "fast", "items": null, "by": "user:bob"},
    ]);
    assert_eq!(told["answers"], expected);
    let prompt: Value = serde_json::from_str(spec["prompt"].as_str().expect("there")).expect("there");
    assert_eq!(prompt, expected, "what the work was given is rendered anew where it mentions `answers`");

    world.fail("build/1/3", "broken");
    fire(&mut world, TimerKind::Retry);
    assert_eq!(attempts(&world), ["build/1/4"], "questions are no tries");
    world.fail("build/1/4", "broken");
    assert_eq!(world.state.status(), RunStatus::Failed);
}

#[test]
fn l22_answering_twice_is_as_with_any_task_also_after_the_next_attempt_began() {
    let mut world = run(json!([agent("build", json!({}))]));
    asks(&mut world, "build/1/1", json!({"text": "?", "options": ["a", "b"]}));
    world.by("ada", answer("build/1/1", json!({"choice": "a"}))).expect("taken");
    assert!(world.by("ada", answer("build/1/1", json!({"choice": "a"}))).expect("no news").is_empty());
    let other = world.by("ada", answer("build/1/1", json!({"choice": "b"})));
    assert_eq!(other, Err(Refusal::Answered(path("build"))));
    world.succeed("build/1/2", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let late = world.by("ada", answer("build/1/1", json!({"choice": "b"})));
    assert_eq!(late, Err(Refusal::Answered(path("build"))), "an ended step is never reopened");
    let none = world.by("ada", answer("build/1/2", json!({"choice": "b"})));
    assert_eq!(none, Err(Refusal::Superseded(path("build"))));
}

#[test]
fn l22_work_that_asks_too_often_is_blocked_and_goes_on_without_an_answer() {
    let mut world = run(json!([agent("build", json!({"ask": {"max": 1}}))]));
    asks(&mut world, "build/1/1", json!({"text": "one"}));
    world.by("ada", answer("build/1/1", json!({"text": "1"}))).expect("taken");
    let events = asks(&mut world, "build/1/2", json!({"text": "two"}));
    assert_eq!(names(&events), ["AttemptAsked", "StepBlocked"]);
    assert_eq!(world.state.block_reason(&path("build")), Some(&BlockReason::Asked));
    let unblock = |decision| InputKind::Unblock {
        path: None,
        decision,
        output: None,
        reason: None,
        policies: Default::default(),
    };
    let refused = world.by("ada", unblock(UnblockDecision::Recheck));
    assert!(matches!(refused, Err(Refusal::CannotUnblock { .. })), "there is nothing to judge");
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(attempts(&world), ["build/1/3"]);
    world.succeed("build/1/3", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l22_ten_questions_of_one_round_are_not_too_many_and_the_next_is() {
    let mut world = run(json!([agent("build", json!({}))]));
    for attempt in 1..=10 {
        let id = format!("build/1/{attempt}");
        assert_eq!(names(&asks(&mut world, &id, json!({"text": "?"}))), ["AttemptAsked", "QuestionAsked"]);
        world.by("ada", answer(&id, json!({"text": "yes"}))).expect("taken");
    }
    assert_eq!(names(&asks(&mut world, "build/1/11", json!({"text": "?"}))), ["AttemptAsked", "StepBlocked"]);
}

#[test]
fn l22_a_question_of_the_work_expires_and_is_withdrawn_like_any() {
    let ask = json!({"expires": "1h", "roles": ["product"], "on_expire": [{"to": {"rework": "build"}}]});
    let mut world = run(json!([agent("build", json!({"ask": ask}))]));
    asks(&mut world, "build/1/1", json!({"text": "?"}));
    let refused = world.by("ada", answer("build/1/1", json!({"text": "x"})));
    assert_eq!(refused, Err(Refusal::WrongRole { path: path("build"), roles: vec!["product".into()] }));
    fire(&mut world, TimerKind::Expiry);
    assert_eq!(attempts(&world), ["build/2/1"]);
    let id = "build/2/1".parse().expect("there");
    let told = plan::told(&world.state, &id, &Value::Null, &Default::default()).expect("there");
    assert_eq!(told["answers"], json!([]), "answers belong to a round");

    let mut world = run(json!([agent("build", json!({}))]));
    asks(&mut world, "build/1/1", json!({"text": "?"}));
    world.by("ada", InputKind::Cancel { reason: None }).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Cancelled);
    let late = world.by("ada", answer("build/1/1", json!({"text": "x"})));
    assert!(late.is_err());
}

#[test]
fn l22_a_question_that_cannot_be_asked_is_a_failure_of_the_work() {
    for (ask, part) in [
        (json!("what?"), "no map"),
        (json!({"options": ["a"]}), "no `text`"),
        (json!({"text": "?", "option": ["a"]}), "no key `option`"),
        (json!({"text": "?", "options": "a"}), "no list"),
    ] {
        let mut world = run(json!([agent("build", json!({}))]));
        assert_eq!(names(&asks(&mut world, "build/1/1", ask))[0], "AttemptFailed");
        let (failure, _) = world.state.failure().expect("the run failed");
        assert_eq!(failure.kind, FailureKind::Validation);
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    let tidy = json!({"id": "tidy", "work": {"task": {"kind": "agent", "spec": {"prompt": "tidy"}}}});
    let first = json!({"id": "first", "work": {"task": {"kind": "agent", "spec": {"prompt": "do"}}}});
    let document = json!({"name": "p", "steps": [first], "on_finish": [tidy]});
    let mut world = World::start(definition(document), json!({}));
    world.succeed("first/1/1", json!(1));
    assert_eq!(names(&asks(&mut world, "tidy/1/1", json!({"text": "?"})))[0], "AttemptFailed");
    assert_eq!(world.state.status(), RunStatus::Succeeded, "nobody is waited for at the end");
}

#[test]
fn l22_the_question_of_a_stopped_attempt_is_a_fact_and_asks_nobody() {
    let slow = json!({"id": "slow", "work": {"task": {"kind": "agent", "spec": {"prompt": "x"}}}, "on_fail": [{"to": {"rework": "base"}}], "needs": ["base"]});
    let base = json!({"id": "base", "work": {"task": {"kind": "agent", "spec": {"prompt": "x"}}}});
    let other = json!({"id": "other", "needs": ["base"], "work": {"task": {"kind": "agent", "spec": {"prompt": "x"}}}});
    let mut world = run(json!([base, slow, other]));
    world.succeed("base/1/1", json!(1));
    world.fail("slow/1/1", "broken");
    assert!(world.effects().iter().any(|effect| matches!(effect, Effect::Stop { .. })));
    assert_eq!(names(&asks(&mut world, "other/1/1", json!({"text": "?"}))), ["AttemptAsked"]);
    assert_eq!(attempts(&world), ["base/2/1"]);
}

#[test]
fn y_labels_and_notes_of_the_work_are_kept() {
    let mut world = run(json!([agent("build", json!({})), reader("build")]));
    let told = Told {
        labels: [("pr".to_owned(), "17".to_owned())].into(),
        note: Some("opened #17".into()),
        code: Some("PR1".into()),
    };
    let ended_at = world.now;
    world
        .give(InputKind::AttemptFinished {
            id: "build/1/1".parse().expect("there"),
            result: Ok(json!(1).into()),
            commit: None,
            artefacts: Vec::new(),
            ended_at,
            told,
            ask: None,
        })
        .expect("taken");
    assert_eq!(world.state.labels()["pr"], "17");
    let (_, build) = world.state.step(&"build".into()).expect("there");
    assert_eq!((build.unit.note.as_deref(), build.unit.code.as_deref()), (Some("opened #17"), Some("PR1")));
}

#[test]
fn l23_a_run_that_asks_is_running_while_another_branch_runs_then_blocked_then_waiting() {
    let mut world = run(json!([
        question("ask", json!({})),
        {"id": "other", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}, "on_fail": [{"to": "block"}]},
    ]));
    assert_eq!(world.state.status(), RunStatus::Running);
    world.fail("other/1/1", "broken");
    assert_eq!(world.state.status(), RunStatus::Blocked);
    let unblock = InputKind::Unblock {
        path: None,
        decision: UnblockDecision::Skip,
        output: None,
        reason: None,
        policies: Default::default(),
    };
    world.by("ada", unblock).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Waiting);
    world.by("ada", InputKind::Pause { reason: None }).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Paused);
    world.by("ada", answer("ask/1/1", json!({"text": "x"}))).expect("decisions count while it is paused");
    world.by("ada", InputKind::Resume { reason: None }).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

fn items(mut step: Value, more: Value) -> Value {
    let mut foreach = json!({"items": "${['a', 'b', 'c']}", "as": "name"});
    foreach.as_object_mut().expect("there").extend(more.as_object().expect("there").clone());
    step["foreach"] = foreach;
    step
}

#[test]
fn l24_each_item_of_an_approval_is_a_task_of_its_own() {
    let ask = items(approval("ask", json!({"title": "Ship ${name}?"})), json!({"max_in_flight": 2}));
    let mut world = run(json!([ask, reader("ask")]));
    let open = |world: &World| -> Vec<String> {
        let tasks = world.state.awaited().into_iter();
        tasks
            .filter_map(|awaited| match awaited {
                Awaited::Approval { id, .. } => Some(id.to_string()),
                _other => None,
            })
            .collect()
    };
    assert_eq!(open(&world), ["ask.0/1/1", "ask.1/1/1"]);
    for unknown in ["ask/1/1", "ask.3/1/1", "ask.0/2/1"] {
        let refused = world.by("ada", vote(unknown, Vote::Approve));
        assert!(matches!(refused, Err(Refusal::NotAsking(_))), "{refused:?}");
    }
    assert_eq!((world.state.status(), status(&world, "ask")), (RunStatus::Waiting, StepStatus::Waiting));
    let title =
        world.state.asking_unit(&"ask.1/1/1".parse().expect("there")).and_then(|unit| unit.approval());
    assert_eq!(title.expect("there").title, "Ship b?");
    world.by("ada", vote("ask.1/1/1", Vote::Approve)).expect("taken");
    assert_eq!(open(&world), ["ask.0/1/1", "ask.2/1/1"]);
    world.by("ada", vote("ask.2/1/1", Vote::Approve)).expect("taken");
    world.by("ada", vote("ask.0/1/1", Vote::Approve)).expect("taken");
    let said = output(&world, "reader");
    let decisions: Vec<&Value> =
        said.as_array().expect("there").iter().map(|item| &item["output"]["decision"]).collect();
    assert_eq!(decisions, ["approve", "approve", "approve"]);
    world.check_fold();
}

#[test]
fn l24_what_people_say_of_items_leads_where_it_leads_for_the_step_when_all_are_over() {
    let fields = json!({"on_changes": [{"to": {"rework": "ask"}}], "on_reject": [{"to": "continue"}]});
    let ask = || items(approval("ask", fields.clone()), json!({"on_failure": "continue"}));
    let mut world = run(json!([ask()]));
    let words = ballot("ask.0/1/1", Vote::Changes, Some("shorter"), Vec::new(), None);
    world.by("ada", words).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Waiting, "the others are asked on");
    let words = ballot("ask.1/1/1", Vote::Changes, Some("longer"), Vec::new(), None);
    world.by("bob", words).expect("taken");
    world.by("bob", vote("ask.2/1/1", Vote::Approve)).expect("taken");
    let (_, step) = world.state.step(&"ask".into()).expect("there");
    assert_eq!(step.round.0, 2);
    let rework = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::ReworkRequested(event) => Some(event.clone()),
        _other => None,
    });
    let rework = rework.expect("a rework");
    assert_eq!(rework.source.by.as_deref(), Some("user:ada, user:bob"));
    assert_eq!(
        serde_json::to_value(&rework.findings).expect("there"),
        json!("user:ada: shorter\nuser:bob: longer")
    );

    let mut world = run(json!([ask()]));
    for task in ["ask.0/1/1", "ask.1/1/1", "ask.2/1/1"] {
        world.by("ada", vote(task, Vote::Reject)).expect("taken");
    }
    assert_eq!((status(&world, "ask"), world.state.status()), (StepStatus::Failed, RunStatus::Succeeded));
}

#[test]
fn l24_items_of_questions_waits_and_asking_work() {
    let ask = items(question("ask", json!({"title": "${name}?", "expires": "1h"})), json!({}));
    let mut world = run(json!([ask, reader("ask")]));
    for (task, text) in [("ask.0/1/1", "x"), ("ask.2/1/1", "z")] {
        world.by("ada", answer(task, json!({"text": text}))).expect("taken");
    }
    fire(&mut world, TimerKind::Expiry);
    let (failure, _) = world.state.failure().expect("an item expired");
    assert_eq!(failure.kind, FailureKind::Timeout);

    let wait = items(json!({"id": "pause", "work": {"wait": {"for": "5s"}}}), json!({"max_in_flight": 1}));
    let mut world = run(json!([wait]));
    for _ in 0..3 {
        fire(&mut world, TimerKind::Wait);
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded);

    let work = items(agent("build", json!({})), json!({"on_failure": "continue"}));
    let mut world = run(json!([work]));
    asks(&mut world, "build.1/1/1", json!({"text": "?"}));
    world.succeed("build.0/1/1", json!(1));
    world.succeed("build.2/1/1", json!(1));
    assert_eq!((world.state.status(), status(&world, "build")), (RunStatus::Waiting, StepStatus::Waiting));
    world.by("ada", answer("build.1/1/1", json!({"text": "yes"}))).expect("taken");
    assert_eq!(attempts(&world), ["build.1/1/2"]);
    world.finish("build.1/1/2", Err(Failure::new(FailureKind::Exit, "exit 1")));
    assert_eq!(world.state.status(), RunStatus::Failed);
}
