//! `GET /runs/{run}/bisect` and `GET /bisect`: the first event, and the first run, of which an expression is true.

use everfold_engine::expr::{Allowance, Loaded};
use everfold_engine::id::{RunId, Version};
use everfold_projections::{StateAnswer, StateQuestion};
use serde_json::{Value, json};

use crate::fixtures::in_memory::{Api, SENT_BACK, encoded, read};

/// A run that was sent back and is blocked.
async fn sent_back(api: &Api) -> String {
    api.started(json!({ "definition": SENT_BACK, "input": { "deploy": true } }), "blocked").await
}

/// What a plain look at each version by itself says: the first true one, the first one behind it that is not, how many.
async fn plainly(api: &Api, run: &str, source: &str) -> (Option<u64>, Option<u64>, u64) {
    let (engine, run) = (api.held.node().engine(), run.parse::<RunId>().unwrap());
    let last = engine.state(run).await.unwrap().version().get();
    let (mut first, mut again) = (None, None);
    for version in 1..=last {
        let state = engine.state_at(run, Version(version)).await.unwrap();
        let question = StateQuestion::compile(source, None).unwrap();
        let is_true = question.ask(&state, &Loaded::default(), &Allowance::of_rows()) == StateAnswer::True;
        match (is_true, first) {
            (true, None) => first = Some(version),
            (false, Some(_)) if again.is_none() => again = Some(version),
            _goes_on => {}
        }
    }
    (first, again, last)
}

#[tokio::test]
async fn the_first_event_is_that_of_asking_each_version_by_itself() {
    let api = Api::new();
    let run = sent_back(&api).await;
    for source in [
        "status == 'blocked'",
        "status == 'running'",
        "steps.build.round > 1",
        "steps.build.status == 'running' && steps.build.round == 2",
        "steps.build.output.failed == 3",
        "steps.review.gates.?tests.?verdict.orValue('') == 'fail'",
        "steps.review.status == 'gating' || steps.review.status == 'blocked'",
        "version >= 7 && version < 9",
        "cost > 1.0",
        "now - started_at >= duration('0s')",
        "size(run.waiting) > 0",
    ] {
        let (code, found) =
            api.get(&format!("/api/v1/runs/{run}/bisect?expression={}", encoded(source))).await;
        assert_eq!(code, 200, "{source}: {found}");
        let seen = (
            found["first"]["version"].as_u64(),
            found["false_again"]["version"].as_u64(),
            found["looked_at"].as_u64().unwrap(),
        );
        assert_eq!(seen, plainly(&api, &run, source).await, "{source}: {found}");
        assert_eq!(found["more"], false);
    }
}

/// A step whose output has a member that is null in its second round, and none in the others.
const NULL_MEMBER: &str = "\
name: null-member
steps:
  - id: a
    function: everfold.echo
    with: { v: \"${step.round == 2 ? {'x': null} : {}}\" }
    gates: [{ id: thrice, expression: step.round > 2, on_fail: { rework: a, max: 2 } }]
";

#[tokio::test]
async fn a_member_that_is_null_is_told_from_one_that_is_absent() {
    let api = Api::new();
    let run = api.started(json!({ "definition": NULL_MEMBER }), "succeeded").await;
    for source in [
        "'x' in steps.a.output.v",
        "has(steps.a.output.v.x)",
        "size(steps.a.output.v) == 1",
        "steps.a.output.v == {'x': null}",
        "steps.a.output == {'v': {'x': null}}",
    ] {
        let (code, found) =
            api.get(&format!("/api/v1/runs/{run}/bisect?expression={}", encoded(source))).await;
        assert_eq!(code, 200, "{source}: {found}");
        assert_eq!(found["first"]["type"], "AttemptSucceeded", "{source}: {found}");
        assert_eq!(found["changed"]["steps"][0]["step"], "a", "{source}: {found}");
        assert_eq!(found["false_again"]["type"], "ReworkRequested", "{source}: {found}");
    }
    let (_, absent) =
        api.get(&format!("/api/v1/runs/{run}/bisect?expression={}", encoded("steps.a.output.v == {}"))).await;
    let version = |found: &Value| found["version"].as_u64().unwrap();
    let (_, null) = api
        .get(&format!("/api/v1/runs/{run}/bisect?expression={}", encoded("'x' in steps.a.output.v")))
        .await;
    assert!(version(&absent["first"]) < version(&null["first"]), "{absent} {null}");
}

#[tokio::test]
async fn the_event_is_told_with_its_input_and_what_it_changed() {
    let api = Api::new();
    let run = sent_back(&api).await;
    let asked = encoded("steps.build.round > 1");
    let (_, found) = api.get(&format!("/api/v1/runs/{run}/bisect?expression={asked}")).await;
    assert_eq!(
        (&found["first"]["type"], &found["first"]["step"]),
        (&"StepScheduled".into(), &"build".into())
    );
    assert_eq!(found["false_again"], Value::Null, "{found}");
    assert_eq!((&found["last"], &found["undecided"]), (&true.into(), &Value::Null));
    let build = &found["changed"]["steps"][0];
    assert_eq!(build["step"], "build");
    let rounds: Vec<&Value> =
        build["changes"].as_array().unwrap().iter().filter(|change| change["path"] == "round").collect();
    assert_eq!((&rounds[0]["before"], &rounds[0]["after"]), (&1.into(), &2.into()), "{build}");
    // What it was recorded with stands before it, and is of the same input.
    let cause = found["cause"]["version"].as_u64().unwrap();
    assert!(cause < found["first"]["version"].as_u64().unwrap(), "{found}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_its_place() {
    let api = Api::new();
    let run = sent_back(&api).await;
    for (source, said) in [
        ("steps.bild.round > 1", "column 7: the run has no step “bild”"),
        ("steps.build.rond > 1", "column 13: steps have no field “rond”"),
        ("statsu == 'x'", "column 1: states of runs have no name “statsu”"),
        ("steps.build.status == 'done'", "“done” is never the value of"),
        ("status == 'blokced'", "“blokced” is never the value of"),
        ("run.stats == 'x'", "`run` has no field “stats”"),
        ("failure.cod == 'x'", "`failure` has no field “cod”"),
        ("cost", "a question is true or false, this is"),
        ("title.matches('[')", "column 16: “[”: pattern"),
        ("elapsed > duration('999999d')", "longer than a duration may be"),
        ("status = 'x'", "column 8"),
    ] {
        let (code, fault) =
            api.get(&format!("/api/v1/runs/{run}/bisect?expression={}", encoded(source))).await;
        assert_eq!((code, &fault["code"]), (422, &"EF0284".into()), "{source}: {fault}");
        assert!(fault["detail"].as_str().unwrap().contains(said), "{source}: {fault}");
    }
    let (code, _) = api.get(&format!("/api/v1/runs/{run}/bisect")).await;
    assert_eq!(code, 422);
}

#[tokio::test]
async fn the_first_run_is_told_with_the_run_before_it_and_what_changed_of_the_definition() {
    let api = Api::new();
    let version = |wanted: u32| {
        format!(
            "name: count\nsteps:\n  - id: check\n    gates:\n      - {{ id: small, expression: '{wanted} < 3' }}\n"
        )
    };
    let mut runs = Vec::new();
    for (wanted, status) in [(1, "succeeded"), (2, "succeeded"), (5, "failed"), (6, "failed")] {
        let body = json!({ "definition": version(wanted) }).to_string();
        let (code, saved) = read(api.send("PUT", "/api/v1/pipelines/count", &[], body).await).await;
        assert!(code < 300, "{saved}");
        runs.push(api.started(json!({ "pipeline": "count" }), status).await);
    }
    let asked = encoded("steps.check.status == 'failed'");
    let (code, found) = api.get(&format!("/api/v1/bisect?expression={asked}&pipeline=count")).await;
    assert_eq!(code, 200, "{found}");
    assert_eq!((&found["first"]["run"], &found["first"]["saved"]), (&json!(runs[2]), &json!(3)), "{found}");
    assert_eq!((&found["before"]["run"], &found["before"]["saved"]), (&json!(runs[1]), &json!(2)));
    assert_eq!((&found["looked_at"], &found["more"]), (&json!(3), &json!(false)));
    let change = &found["definition"];
    assert_eq!(
        (&change["from"], &change["to"]),
        (&found["before"]["definition"], &found["first"]["definition"])
    );
    assert!(change["changes"].to_string().contains("5 < 3"), "{change}");
    assert!(change["saved_at"].is_string(), "{change}");
    // The list is asked by its own filter; a step that a definition does not have is left out and counted.
    let (_, none) = api
        .get(&format!("/api/v1/bisect?expression={asked}&filter={}", encoded("status == 'succeeded'")))
        .await;
    assert_eq!((&none["first"], &none["looked_at"]), (&Value::Null, &json!(2)), "{none}");
    let (_, other) =
        api.get(&format!("/api/v1/bisect?expression={}", encoded("steps.absent.round > 1"))).await;
    assert_eq!((&other["first"], &other["undecided"]["rows"]), (&Value::Null, &json!(4)), "{other}");
}

#[tokio::test]
async fn a_look_that_ends_at_its_bound_says_where_it_goes_on_and_the_parts_together_are_the_whole() {
    let api = Api::new();
    let definition = |id: &str| json!({ "definition": format!("name: n\nsteps: [{{ id: {id}, function: everfold.noop }}]") });
    let mut runs = Vec::new();
    for id in ["a", "a", "a", "b"] {
        runs.push(api.started(definition(id), "succeeded").await);
    }
    let asked = encoded("steps.b.status == 'succeeded'");
    let (code, part) = api.get(&format!("/api/v1/bisect?expression={asked}&limit=2")).await;
    assert_eq!((code, &part["first"], &part["more"]), (200, &Value::Null, &json!(true)), "{part}");
    assert_eq!(part["looked_at"], 2);
    // None of the runs of this part has the step.
    assert_eq!(part["unknown"][0]["name"], "b");
    let cursor = part["next_cursor"].as_str().unwrap();
    let (_, rest) = api.get(&format!("/api/v1/bisect?expression={asked}&limit=2&cursor={cursor}")).await;
    assert_eq!((&rest["first"]["run"], &rest["before"]["run"]), (&json!(runs[3]), &json!(runs[2])), "{rest}");
    assert_eq!((&rest["more"], &rest["next_cursor"]), (&json!(false), &Value::Null));
    // The run before the first one is known where the part before looked at it.
    let (_, part) = api.get(&format!("/api/v1/bisect?expression={asked}&limit=3")).await;
    let cursor = part["next_cursor"].as_str().unwrap();
    let (_, rest) = api.get(&format!("/api/v1/bisect?expression={asked}&cursor={cursor}")).await;
    assert_eq!((&rest["first"]["run"], &rest["before"]["run"]), (&json!(runs[3]), &json!(runs[2])), "{rest}");
    let (code, _) = api.get(&format!("/api/v1/bisect?expression=paused&cursor={cursor}")).await;
    assert_eq!(code, 422, "a cursor of another question");

    let run = &runs[3];
    let path = format!("/api/v1/runs/{run}/bisect?expression={}", encoded("status == 'succeeded'"));
    let (_, whole) = api.get(&path).await;
    let (_, part) = api.get(&format!("{path}&limit=2")).await;
    assert_eq!((&part["first"], &part["more"], &part["next"]), (&Value::Null, &json!(true), &json!(3)));
    let (_, rest) = api.get(&format!("{path}&from=3")).await;
    assert_eq!((&rest["first"], &rest["more"]), (&whole["first"], &json!(false)), "{rest}");
    let last = whole["looked_at"].as_u64().unwrap();
    assert_eq!(api.get(&format!("{path}&from={last}")).await.0, 200);
    let (code, beyond) = api.get(&format!("{path}&from={}", last + 1)).await;
    assert_eq!((code, &beyond["code"]), (404, &json!("EF0215")), "{beyond}");
}

#[tokio::test]
async fn a_name_that_no_run_has_is_told_with_the_nearest_one() {
    let api = Api::new();
    let run = sent_back(&api).await;
    let labelled =
        json!({ "definition": SENT_BACK, "input": { "deploy": true }, "labels": { "team": "blue" } });
    api.started(labelled, "blocked").await;
    let ask = |path: &str, source: &str| format!("/api/v1/{path}?expression={}", encoded(source));
    for (source, kind, name, near) in [
        ("steps.review.gates.?tets.?verdict.orValue('') == 'fail'", "gate", "tets", Some("tests")),
        ("steps.bild.round > 1", "step", "bild", Some("build")),
        ("labels.tem == 'blue'", "label", "tem", Some("team")),
        ("labels.zebra == 'blue'", "label", "zebra", None),
    ] {
        let (code, found) = api.get(&ask("bisect", source)).await;
        assert_eq!((code, &found["first"]), (200, &Value::Null), "{source}: {found}");
        let unknown = &found["unknown"];
        assert_eq!(
            (&unknown[0]["kind"], &unknown[0]["name"], &unknown[0]["near"]),
            (&json!(kind), &json!(name), &json!(near)),
            "{source}: {found}"
        );
        assert_eq!(unknown.as_array().unwrap().len(), 1);
    }
    let gate = "steps.review.gates.?tets.?verdict.orValue('') == 'fail'";
    let (_, found) = api.get(&ask(&format!("runs/{run}/bisect"), gate)).await;
    assert_eq!(found["unknown"][0]["near"], "tests", "{found}");
    let known = "steps.review.gates.?tests.?verdict.orValue('') == 'skipped'";
    let (_, found) = api.get(&ask(&format!("runs/{run}/bisect"), known)).await;
    assert_eq!(found["unknown"], json!([]), "{found}");
}
