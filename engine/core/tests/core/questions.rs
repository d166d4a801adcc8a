//! Questions of the pipeline and of the work, rule by rule: L21 and L22.

use everfold_base::failure::FailureKind;
use everfold_base::json::Payload;
use everfold_core::decide::{Refusal, plan};
use everfold_core::effect::Effect;
use everfold_core::event::{
    AttemptNotes, BlockReason, CancelRequested, QuestionAnswered, RunEvent, TimerKind, UnblockDecision,
};
use everfold_core::input::InputKind;
use everfold_core::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::fixtures::scenario::{attempts, names, run, status, unblock};
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::tasks::{agent, answer, fire, output, path, question, reader, save};

fn problems(refused: Result<Vec<RunEvent>, Refusal>) -> String {
    match refused {
        Err(Refusal::InvalidAnswer { problems, .. }) => problems.join("; "),
        other => panic!("not refused as an answer that does not fit: {other:?}"),
    }
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
        json!({
            "choice": "a", "text": null, "items": {"1": "x", "size": "m"},
            "states": {"1": "answered", "size": "answered"}, "by": "user:bob",
        })
    );
}

/// It stood there as null: `has` held, and a schema refused it.
#[test]
fn an_item_that_was_taken_back_is_as_one_that_was_never_answered() {
    let items =
        json!([{"id": "a", "text": "A?", "optional": true}, {"id": "b", "text": "B?", "optional": true}]);
    let schema = json!({"properties": {"items": {"additionalProperties": {"type": "string"}}}});
    let fields = json!({"items": items, "schema": schema, "accept": "!has(answer.items.a)"});
    let mut world = run(json!([question("ask", fields), reader("ask")]));
    world
        .by("ada", save("ask/1/1", json!({"items": {"a": "x", "b": "y"}, "states": {"a": "resolved"}})))
        .expect("taken");
    world.by("ada", save("ask/1/1", json!({"items": {"a": null}, "states": {"a": null}}))).expect("taken");
    let last = || answer("ask/1/1", json!({"items": {"a": null}}));
    world.by("bob", last()).expect("taken");
    assert_eq!(
        (&output(&world, "reader")["items"], &output(&world, "reader")["states"]),
        (&json!({"b": "y"}), &json!({"a": "open", "b": "answered"}))
    );
    assert!(world.by("bob", last()).expect("the same again").is_empty());
    world.check_fold();
}

#[test]
fn l19_the_same_answer_again_changes_nothing_also_where_a_part_of_it_was_saved_before() {
    let fields = json!({"items": ["first", {"id": "size", "text": "how large", "options": ["s", "m"]}]});
    let asked = || {
        let mut world = run(json!([question("ask", fields.clone())]));
        world
            .by("ada", save("ask/1/1", json!({"items": {"1": "x"}, "states": {"1": "resolved"}})))
            .expect("taken");
        world
    };
    let mut world = asked();
    let own = || answer("ask/1/1", json!({"items": {"size": "m"}}));
    world.by("bob", own()).expect("taken");
    assert!(world.by("bob", own()).expect("the same again").is_empty());
    for other in [
        json!({"items": {"size": "s"}}),
        json!({"items": {"size": "m", "1": "y"}}),
        json!({"items": null}),
        json!({}),
    ] {
        let given = world.by("eve", answer("ask/1/1", other.clone()));
        assert_eq!(given, Err(Refusal::Answered(path("ask"))), "{other}");
    }
    let mut world = asked();
    world.by("ada", save("ask/1/1", json!({"items": {"size": "s"}}))).expect("taken");
    world.by("bob", answer("ask/1/1", json!({}))).expect("what was saved is the answer");
    assert!(world.by("bob", answer("ask/1/1", json!({}))).expect("the same again").is_empty());
    assert_eq!(world.by("ada", answer("ask/1/1", json!({}))), Err(Refusal::Answered(path("ask"))));
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
    let kind = InputKind::Answer(QuestionAnswered {
        id: "ask/1/1".parse().expect("there"),
        answer: Payload::Inline(json!({"text": "x"}).into()),
        roles: vec!["product".into()],
    });
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
    let asked = world.asks("build/1/1", json!({"text": "Which database?", "options": ["sled", "pg"]}));
    assert_eq!(names(&asked), ["AttemptAsked", "QuestionAsked"]);
    assert_eq!((world.state.status(), status(&world, "build")), (RunStatus::Waiting, StepStatus::Waiting));
    let refused = world.by("ada", answer("build/1/1", json!({"choice": "mysql"})));
    assert_eq!(problems(refused), "“mysql” is none of the options: sled, pg");
    let answered = world.by("ada", answer("build/1/1", json!({"choice": "sled"}))).expect("taken");
    assert_eq!(names(&answered), ["QuestionAnswered", "RetryScheduled"]);
    assert_eq!(attempts(&world), ["build/1/2"]);

    world.asks("build/1/2", json!({"text": "And\nwhy?"}));
    world.by("bob", answer("build/1/2", json!({"text": "fast"}))).expect("taken");
    let id = "build/1/3".parse().expect("there");
    let spec = plan::attempt(&world.state, &id, &Default::default()).expect("there").expect("there").spec;
    let context = plan::work_context(&world.state, &id, &spec, &Default::default()).expect("there");
    let expected = json!([
        {"asked": {"text": "Which database?", "options": ["sled", "pg"]}, "choice": "sled", "text": null, "items": null, "by": "user:ada"},
        {"asked": {"text": "And\nwhy?"}, "choice": null, "text": "fast", "items": null, "by": "user:bob"},
    ]);
    assert_eq!(context["answers"], expected);
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
    world.asks("build/1/1", json!({"text": "?", "options": ["a", "b"]}));
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
    world.asks("build/1/1", json!({"text": "one"}));
    world.by("ada", answer("build/1/1", json!({"text": "1"}))).expect("taken");
    let events = world.asks("build/1/2", json!({"text": "two"}));
    assert_eq!(names(&events), ["AttemptAsked", "StepBlocked"]);
    assert_eq!(world.state.block_reason(&path("build")), Some(&BlockReason::Asked));
    let refused = world.by("ada", unblock(UnblockDecision::Recheck));
    let Err(refusal @ Refusal::CannotUnblock { .. }) = refused else { panic!("there is nothing to judge") };
    assert!(refusal.to_string().contains("cannot be unblocked by `recheck`: "), "{refusal}");
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
        assert_eq!(names(&world.asks(&id, json!({"text": "?"}))), ["AttemptAsked", "QuestionAsked"]);
        world.by("ada", answer(&id, json!({"text": "yes"}))).expect("taken");
    }
    assert_eq!(names(&world.asks("build/1/11", json!({"text": "?"}))), ["AttemptAsked", "StepBlocked"]);
}

#[test]
fn l22_a_question_of_the_work_expires_and_is_withdrawn_like_any() {
    let ask = json!({"timeout": "1h", "roles": ["product"], "on_timeout": [{"to": {"rework": "build"}}]});
    let mut world = run(json!([agent("build", json!({"ask": ask}))]));
    world.asks("build/1/1", json!({"text": "?"}));
    let refused = world.by("ada", answer("build/1/1", json!({"text": "x"})));
    assert_eq!(refused, Err(Refusal::WrongRole { path: path("build"), roles: vec!["product".into()] }));
    fire(&mut world, TimerKind::Expiry);
    assert_eq!(attempts(&world), ["build/2/1"]);
    let id = "build/2/1".parse().expect("there");
    let context = plan::work_context(&world.state, &id, &Value::Null, &Default::default()).expect("there");
    assert_eq!(context["answers"], json!([]), "answers belong to a round");

    let mut world = run(json!([agent("build", json!({}))]));
    world.asks("build/1/1", json!({"text": "?"}));
    world.by("ada", InputKind::Cancel(CancelRequested { reason: None })).expect("taken");
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
        assert_eq!(names(&world.asks("build/1/1", ask))[0], "AttemptFailed");
        let (failure, _) = world.state.failure().expect("the run failed");
        assert_eq!(failure.kind, FailureKind::Validation);
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    let tidy = json!({"id": "tidy", "work": {"task": {"kind": "agent", "spec": {"prompt": "tidy"}}}});
    let first = json!({"id": "first", "work": {"task": {"kind": "agent", "spec": {"prompt": "do"}}}});
    let document = json!({"name": "p", "steps": [first], "on_finish": [tidy]});
    let mut world = World::start(definition(document), json!({}));
    world.succeed("first/1/1", json!(1));
    assert_eq!(names(&world.asks("tidy/1/1", json!({"text": "?"})))[0], "AttemptFailed");
    assert_eq!(world.state.status(), RunStatus::Succeeded, "nothing is waited for at the end");
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
    assert_eq!(names(&world.asks("other/1/1", json!({"text": "?"}))), ["AttemptAsked"]);
    assert_eq!(attempts(&world), ["base/2/1"]);
}

#[test]
fn y_labels_and_notes_of_the_work_are_kept() {
    let mut world = run(json!([agent("build", json!({})), reader("build")]));
    let notes = AttemptNotes {
        labels: [("pr".to_owned(), "17".to_owned())].into(),
        note: Some("opened #17".into()),
        code: Some("PR1".into()),
        ..AttemptNotes::default()
    };
    let ended_at = world.now;
    world
        .give(InputKind::AttemptFinished {
            id: "build/1/1".parse().expect("there"),
            result: Ok(json!(1).into()),
            commit: None,
            artefacts: Vec::new(),
            ended_at,
            notes,
            ask: None,
        })
        .expect("taken");
    assert_eq!(world.state.labels()["pr"], "17");
    let (_, build) = world.state.step(&"build".into()).expect("there");
    assert_eq!((build.unit.note.as_deref(), build.unit.code.as_deref()), (Some("opened #17"), Some("PR1")));
}

/// A question whose items are findings: the last one may stay open.
fn findings() -> World {
    let items = json!(["a", "b", "c", {"id": "d", "text": "nice to have", "optional": true}]);
    let read = json!({"id": "read", "needs": ["ask"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.ask.output.states}"}}}});
    run(json!([question("ask", json!({"items": items})), read]))
}

#[test]
fn an_item_is_answered_resolved_or_dismissed_and_only_an_optional_one_may_stay_open() {
    let mut world = findings();
    world.by("ada", save("ask/1/1", json!({"states": {"2": "dismissed"}}))).expect("taken");
    world.by("bob", save("ask/1/1", json!({"items": {"1": "yes", "2": "late"}}))).expect("taken");
    let refused = world.by("ada", answer("ask/1/1", json!({})));
    assert_eq!(problems(refused), "items without an answer: 3");
    let batch = world.by("ada", answer("ask/1/1", json!({"states": {"3": "resolved"}}))).expect("taken");
    let said = r#""with":{"1":"answered","2":"dismissed","3":"resolved","d":"open"}"#;
    assert!(batch.iter().any(|event| format!("{event:?}").contains(said)), "{batch:?}");
    // The same again changes nothing, and another is refused.
    assert!(
        world.by("ada", answer("ask/1/1", json!({"states": {"3": "resolved"}}))).expect("taken").is_empty()
    );
    assert!(world.by("ada", answer("ask/1/1", json!({"states": {"3": "dismissed"}}))).is_err());
    world.check_fold();
}

#[test]
fn the_answers_of_items_are_an_empty_map_where_each_is_resolved_or_dismissed() {
    let items = json!({"items": ["a", {"id": "d", "text": "nice to have", "optional": true}]});
    let read = json!({"id": "read", "needs": ["ask"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.ask.output.items.size()}"}}}});
    let mut world = run(json!([question("ask", items), read]));
    let states = json!({"states": {"1": "dismissed"}});
    let batch = world.by("ada", answer("ask/1/1", states)).expect("taken");
    assert!(batch.iter().any(|event| format!("{event:?}").contains(r#""with":0"#)), "{batch:?}");
    world.check_fold();
}

#[test]
fn a_state_can_be_taken_back_and_one_that_is_none_is_refused() {
    let mut world = findings();
    for (states, part) in [
        (json!({"9": "dismissed"}), "there is no item “9”"),
        (json!({"1": "gone"}), "open, answered, resolved, dismissed"),
        (json!(["1"]), "no map of states"),
    ] {
        let refused = problems(world.by("ada", save("ask/1/1", json!({"states": states}))));
        assert!(refused.contains(part), "{refused}");
    }
    let all = json!({"1": "dismissed", "2": "dismissed", "3": "dismissed"});
    world.by("ada", save("ask/1/1", json!({"states": all}))).expect("taken");
    world.by("ada", save("ask/1/1", json!({"states": {"3": "open"}}))).expect("taken");
    assert_eq!(problems(world.by("ada", answer("ask/1/1", json!({})))), "items without an answer: 3");
    world
        .by("ada", answer("ask/1/1", json!({"states": {"3": "dismissed"}})))
        .expect("nothing has to be answered");
}
