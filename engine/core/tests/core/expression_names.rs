//! What expressions see of their own step.

use everfold_base::json::Payload;
use everfold_core::decide::plan;
use everfold_core::event::{OriginKind, QuestionAnswered, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::policy::Verdict;
use everfold_core::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::fixtures::scenario::attempts;
use crate::fixtures::simulated_run::{RUN, World, definition, start};

fn run(steps: Value) -> World {
    World::start(definition(json!({"name": "p", "steps": steps})), json!({}))
}

/// The document of the work that was scheduled last.
fn scheduled(world: &World) -> Value {
    let last = world.history.iter().rev().find(|(_, event)| matches!(event, RunEvent::StepScheduled(_)));
    serde_json::to_value(&last.expect("something was scheduled").1).expect("JSON")
}

fn verdicts(events: &[RunEvent]) -> Vec<Verdict> {
    let verdicts = events.iter().filter_map(|event| match event {
        RunEvent::GateEvaluated(evaluated) => Some(evaluated.verdict),
        _other => None,
    });
    verdicts.collect()
}

/// Regression: work got the number of the round before its own, and of the attempt with which that one had ended.
#[test]
fn work_is_told_the_round_that_it_begins() {
    let rounds = "${step.round} ${step.rounds} ${steps.a.round} ${steps.a.rounds} ${attempt}";
    let mut world = run(json!([{
        "id": "a", "retry": {"attempts": 2, "backoff_min": "0ms", "backoff_max": "0ms"},
        "on_fail": [{"when": "steps.a.attempts == 2", "to": {"rework": "a"}}],
        "work": {"task": {"kind": "function", "spec": {"name": "f", "with": rounds}}},
    }]));
    assert!(scheduled(&world).to_string().contains("1 1 1 1 1"), "{}", scheduled(&world));
    world.fail("a/1/1", "no");
    let retry = world.effects().into_iter().find(|effect| format!("{effect:?}").contains("Timer"));
    if let Some(timer) = retry {
        world.answer(&timer, 0);
    }
    world.fail("a/1/2", "no");
    assert!(scheduled(&world).to_string().contains("2 2 2 2 1"), "{}", scheduled(&world));
}

/// Gates of a `foreach` saw null.
#[test]
fn l24_a_gate_judges_the_whole_of_a_foreach() {
    let mut world = run(json!([{
        "id": "each", "foreach": {"items": [1, 2]},
        "work": {"task": {"kind": "function", "spec": {"name": "f"}}},
        "gates": [{"id": "all", "probe": {"expression": "output.map(item, item.output) == [3, 4]"}}],
    }]));
    world.succeed("each.0/1/1", json!(3));
    let events = world.succeed("each.1/1/1", json!(4));
    assert_eq!(verdicts(&events), [Verdict::Pass]);
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

/// An output that is kept outside of the state was null in the step's own gates.
#[test]
fn d3_a_gate_sees_an_output_that_must_be_loaded_first() {
    let mut world = run(json!([{
        "id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f"}}},
        "gates": [{"id": "long", "probe": {"expression": "size(output) == 5000"}}],
    }]));
    world.succeed("a/1/1", json!("x".repeat(5_000)));
    while let Some(effect) = world.effects().first().cloned() {
        world.answer(&effect, 0);
    }
    let events: Vec<RunEvent> = world.history.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(verdicts(&events), [Verdict::Pass]);
    assert_eq!(world.state.step_status(&"a".into()), Some(StepStatus::Succeeded));
}

/// Regression: `findings` of a gate's route could not name the output, and the default was used in silence.
#[test]
fn l11_findings_may_hold_the_output_that_was_judged() {
    let mut world = run(json!([{
        "id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${rework.?findings}"}}},
        "gates": [{"id": "good", "probe": {"expression": "output.good"},
            "on_fail": [{"to": {"rework": "a"}, "findings": "because ${output.why}"}]}],
    }]));
    world.succeed("a/1/1", json!({"good": false, "why": "it rains"}));
    assert!(scheduled(&world).to_string().contains("because it rains"), "{}", scheduled(&world));
}

/// Expressions of a step see it, its run, and what it needs; a process gets the same in one document.
#[test]
fn y_the_input_document_says_what_there_is_to_say() {
    let function_with = |id: &str, needs: &[&str], more: Value| {
        let work = json!({"task": {"kind": "function", "spec": {"name": "f", "with": more}}});
        json!({"id": id, "stage": "making", "needs": needs, "work": work})
    };
    let rework = json!([{"to": {"rework": "b"}, "findings": "no: ${failure.message}"}]);
    let mut c = function_with("c", &["b"], json!(null));
    c["on_fail"] = rework;
    let each = json!({"id": "each", "needs": [], "foreach": {"items": ["x", "y"], "as": "part"},
        "work": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    let document = json!({"name": "p", "labels": {"team": "${input.team}"}, "steps": [
        function_with("a", &[], json!("${step}")), function_with("b", &["a"], json!({"tone": "dry", "step": "${step}"})), c, each,
    ]});
    let mut world = World::new(definition(document));
    let InputKind::Start(mut asked) = start(json!({"team": "blue"})) else { unreachable!("a start") };
    asked.config = Some(json!({"limits": {"n": 3}}).into());
    asked.options.title = Some("a title".into());
    world.by("ada", InputKind::Start(asked)).expect("taken");
    let input = |world: &World, id: &str| {
        let id = id.parse().expect("an attempt");
        let plan = plan::attempt(&world.state, &id, &Default::default()).expect("at hand").expect("planned");
        plan::work_context(&world.state, &id, &plan.spec, &Default::default()).expect("at hand")
    };
    let run = json!({
        "id": RUN, "short_id": "deadbeef", "root": "deadbeef", "title": "a title", "pipeline": "p", "labels": {"team": "blue"},
        "status": "running", "origin": null, "started_at": "1970-01-01T00:16:40.007Z",
        "outcome": null, "failure": null,
    });
    let (given, config) = (json!({"team": "blue"}), json!({"limits": {"n": 3}}));
    let own = |id: &str, round: u32| json!({"id": id, "stage": "making", "round": round, "rounds": round});
    assert_eq!(
        input(&world, "a/1/1"),
        json!({
            "input": given, "config": config, "run": run, "step": "a", "round": 1, "attempt": 1,
            "with": own("a", 1), "needs": {}, "rework": null, "answers": [], "previous": null,
        })
    );
    let item = input(&world, "each.1/1/1");
    assert_eq!((&item["step"], &item["item"], &item["index"]), (&json!("each"), &json!("y"), &json!(1)));
    world.succeed("a/1/1", json!({"n": 1}));
    world.succeed("b/1/1", json!("first"));
    world.fail("c/1/1", "broken");
    let rework = json!({
        "from": "c", "gate": null, "by": null, "round": 1, "findings": "no: broken", "history": [],
    });
    assert_eq!(
        input(&world, "b/2/1"),
        json!({
            "input": given, "config": config, "run": run, "step": "b", "round": 2, "attempt": 1,
            "with": {"tone": "dry", "step": own("b", 2)}, "needs": {"a": {"n": 1}}, "rework": rework,
            "answers": [], "previous": "first",
        })
    );
}

#[test]
fn x_answers_are_there_after_the_work_too() {
    let gates = json!([{"id": "g", "probe": {"expression": "answers[0].text == 'that one' && answers[0].by == 'user:ada'"}}]);
    let mut world = run(json!([{
        "id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}, "gates": gates,
        "labels": {"said": "${answers[0].text}"}, "on_success": [{"when": "size(answers) == 1", "to": "continue"}],
    }]));
    world.asks("a/1/1", json!({"text": "which one?"}));
    let (id, answer) = ("a/1/1".parse().expect("a task"), json!({"text": "that one"}).into());
    world
        .by(
            "ada",
            InputKind::Answer(QuestionAnswered { id, answer: Payload::Inline(answer), roles: Vec::new() }),
        )
        .expect("taken");
    let events = world.succeed("a/1/2", json!(1));
    assert_eq!(verdicts(&events), [Verdict::Pass]);
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    assert_eq!(world.state.labels()["said"], "that one");
}

#[test]
fn x_a_run_knows_where_it_comes_from() {
    let origin = json!({"task": {"kind": "function", "spec": {"name": "f", "with": "${run.origin}"}}});
    let task = json!({"task": {"kind": "function", "spec": {"name": "f"}}});
    let world = run(json!([{"id": "a", "work": task}, {"id": "b", "needs": ["a"], "work": origin}]));
    let until = world.history.len();
    let mut other = world.forked(until, OriginKind::Fork, None).expect("taken");
    let again = attempts(&other);
    other.succeed(&again[0], json!(1));
    let origin = json!({"run": RUN, "version": until, "how": "fork"});
    assert_eq!(scheduled(&other)["work"]["task"]["task"]["spec"]["with"], origin, "{}", scheduled(&other));
    let mut world = world;
    world.succeed("a/1/1", json!(1));
    assert_eq!(scheduled(&world)["work"]["task"]["task"]["spec"]["with"], json!(null));
}

/// What is computed when a run starts sees the run that starts.
#[test]
fn labels_and_keys_name_the_run_that_begins() {
    let document = json!({"name": "p", "steps": [{"id": "a", "work": {"wait": {"for": "1h"}}}], "labels": {
        "id": "${run.short_id}", "status": "${run.status}", "whole": "${toJson(run).contains('deadbeef')}",
        "usage": "${run.usage.cost} ${size(run.waiting)}", "title": "${run.title}", "cancelled": "${run.cancelled == null}",
    }});
    let mut world = World::new(definition(document));
    let InputKind::Start(mut asked) = start(json!({})) else { unreachable!("a start") };
    asked.options.title = Some("a title".into());
    world.by("ada", InputKind::Start(asked)).expect("taken");
    let expected = [
        ("cancelled", "true"),
        ("id", "deadbeef"),
        ("status", "queued"),
        ("title", "a title"),
        ("usage", "0.0 0"),
        ("whole", "true"),
    ];
    let labels: Vec<_> =
        world.state.labels().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, expected);
}
