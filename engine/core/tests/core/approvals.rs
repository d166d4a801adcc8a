//! Approvals, rule by rule: what votes decide, and what approvers may say and replace (L20).

use everfold_base::failure::FailureKind;
use everfold_core::decide::{Refusal, plan};
use everfold_core::effect::Effect;
use everfold_core::event::{BlockReason, Comment, RunEvent, TimerKind, UnblockDecision};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_language::definition::Vote;
use serde_json::{Value, json};

use crate::fixtures::scenario::{approval, names, vote};
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::tasks::{ballot, fire, output, path, reader};

fn run(steps: Value) -> World {
    World::start(definition(json!({"name": "p", "steps": steps})), json!({"doc": "draft", "n": 1}))
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
    let plan = plan::attempt(&world.state, &"write/6/1".parse().expect("there"), &Default::default());
    assert_eq!(
        plan.expect("there").expect("there").spec["prompt"],
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
        keeps_items: true,
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
fn l12_a_route_that_a_person_used_without_limit_keeps_its_limit_for_what_follows_by_itself() {
    let mut ask = approval("ask", json!({"timeout": "1h"}));
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
fn l20_who_has_no_voice_is_refused_also_by_what_is_decided() {
    let mut then = approval("then", json!({}));
    then["needs"] = json!(["ask"]);
    let mut world = run(json!([approval("ask", json!({"roles": ["product"]})), then]));
    let voice = |roles: &[&str]| match vote("ask/1/1", Vote::Approve) {
        InputKind::Vote(vote) => {
            let roles = roles.iter().map(|role| (*role).to_owned()).collect();
            InputKind::Vote(everfold_core::event::VoteCast { roles, ..vote })
        }
        other => panic!("{other:?}"),
    };
    let open = world.by("eve", voice(&[])).expect_err("she has no voice");
    world.by("ada", voice(&["product"])).expect("taken");
    assert_eq!(world.by("eve", voice(&[])), Err(open), "as while it was open");
    assert!(world.by("ada", voice(&["product"])).expect("no news").is_empty());
    assert!(world.by("bob", voice(&["product"])).expect("no news").is_empty());
}
