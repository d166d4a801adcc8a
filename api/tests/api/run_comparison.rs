//! `GET /runs/{run}/diff/{other}`, and the rounds of `GET /runs/{run}/diff`: runs aligned by step and round.

use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

/// A gate whose policy is a value of the input, in front of it a step whose output is one, too.
const JUDGED: &str = "\
name: judged
input: { type: object }
steps:
  - id: build
    function: everfold.echo
    with: { failed: '${input.failed}' }
  - id: review
    function: everfold.noop
    gates:
      - { id: tests, expression: 'steps.build.output.failed', policy: evidence.value < LIMIT, on_fail: { rework: build, max: 1, then: block } }
  - { id: ship, function: everfold.noop }
";

impl Api {
    async fn judged_by(&self, failed: u32, limit: u32, status: &str) -> String {
        let definition = JUDGED.replace("LIMIT", &limit.to_string());
        self.started(json!({ "definition": definition, "input": { "failed": failed } }), status).await
    }

    async fn compared(&self, one: &str, other: &str) -> Value {
        let (status, diff) = self.get(&format!("/api/v1/runs/{one}/diff/{other}")).await;
        assert_eq!(status, 200, "{diff}");
        diff
    }
}

/// The rounds as words: the step, the round, how it ended on each side, what differs.
fn told(rounds: &Value) -> Vec<String> {
    let side = |side: &Value| match side {
        Value::Null => "-".to_owned(),
        side => side["end"].as_str().unwrap_or("goes on").to_owned(),
    };
    let row = |pair: &Value| {
        let differs: Vec<&str> =
            pair["differs"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
        let (step, round) = (pair["step"].as_str().unwrap(), &pair["round"]);
        format!("{step} {round}: {} {} [{}]", side(&pair["from"]), side(&pair["to"]), differs.join(" "))
    };
    rounds.as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn two_runs_of_one_input_went_the_same_way() {
    let api = Api::new();
    let (one, other) = (api.judged_by(1, 2, "succeeded").await, api.judged_by(1, 2, "succeeded").await);
    let diff = api.compared(&one, &other).await;
    assert_eq!((&diff["first"], &diff["differences"]), (&Value::Null, &json!([])), "{diff}");
    assert_eq!((&diff["same_input"], &diff["same_definition"]), (&json!(true), &json!(true)));
    let wanted = ["build 1", "review 1", "ship 1"].map(|round| format!("{round}: succeeded succeeded []"));
    assert_eq!(told(&diff["rounds"]), wanted);
    assert_eq!((&diff["from"], &diff["runs"][1]["run"]), (&json!(one[one.len() - 8..]), &json!(other)));
}

#[tokio::test]
async fn another_input_makes_runs_part_at_the_first_output_and_not_at_what_follows_from_it() {
    let api = Api::new();
    let (one, other) = (api.judged_by(1, 2, "succeeded").await, api.judged_by(7, 2, "blocked").await);
    let diff = api.compared(&one, &other).await;
    assert_eq!((&diff["same_input"], &diff["same_definition"]), (&json!(false), &json!(true)));
    let first = &diff["first"];
    assert_eq!(
        (&first["step"], &first["round"], &first["part"], &first["not_so_far"]),
        (&json!("build"), &json!(1), &json!("output"), &json!(false)),
        "{first}"
    );
    assert_eq!(
        first["cause"],
        "work that was given other values gave another output; their inputs are different"
    );
    for (run, side) in [(&one, "from"), (&other, "to")] {
        let (_, events) = api.get(&format!("/api/v1/runs/{run}/events?from={}&limit=1", first[side])).await;
        let event = &events["items"][0]["event"];
        assert_eq!(
            (&event["type"], &event["id"]["path"]["step"]),
            (&json!("AttemptSucceeded"), &json!("build"))
        );
    }
    assert_eq!(
        told(&diff["rounds"]),
        [
            "build 1: succeeded succeeded [output work]",
            "review 1: succeeded reworked [gates end evidence]",
            "ship 1: succeeded - [ran]",
            "build 2: - succeeded [ran]",
            "review 2: - blocked [ran]",
        ]
    );
    let gate = |side: &str| diff["rounds"][1][side]["gates"]["tests"].clone();
    assert_eq!((&gate("from")["verdict"], &gate("to")["verdict"]), (&json!("pass"), &json!("fail")));
    assert_ne!(gate("from")["evidence"], gate("to")["evidence"]);
    assert_eq!(gate("from")["policy"], gate("to")["policy"]);
    // Turned around it is the same place.
    let turned = api.compared(&other, &one).await;
    assert_eq!((&turned["first"]["step"], &turned["first"]["from"]), (&json!("build"), &first["to"]));
    // What is different in their states stands beside it.
    let paths: Vec<&str> = diff["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["path"].as_str().unwrap())
        .collect();
    assert!(paths.contains(&"input.failed") && paths.contains(&"status"), "{paths:?}");
    assert!(!paths.iter().any(|path| path.ends_with("_at") || *path == "id"), "{paths:?}");
}

#[tokio::test]
async fn another_policy_on_the_same_evidence_is_the_cause_of_another_verdict() {
    let api = Api::new();
    let (one, other) = (api.judged_by(3, 9, "succeeded").await, api.judged_by(3, 2, "blocked").await);
    let diff = api.compared(&one, &other).await;
    assert_eq!((&diff["same_input"], &diff["same_definition"]), (&json!(true), &json!(false)));
    let first = &diff["first"];
    assert_eq!((&first["step"], &first["part"]), (&json!("review"), &json!("gates")), "{first}");
    let cause = first["cause"].as_str().unwrap();
    let wanted = "the gate tests said pass in the first run and fail in the second, on the same evidence, by another policy";
    assert!(cause.starts_with(wanted), "{cause}");
    assert_eq!(told(&diff["rounds"])[1], "review 1: succeeded reworked [gates end policy]");
}

#[tokio::test]
async fn a_run_that_has_not_come_so_far_parts_only_where_nothing_else_is_different() {
    let api = Api::new();
    let one = api.asking().await;
    let other = api.asking().await;
    let (_, moment) = api.get("/api/v1/moment").await;
    let (status, _) =
        api.post(&format!("/api/v1/inbox/{other}:ok:1"), json!({ "decision": "approve" })).await;
    assert_eq!(status, 200);
    api.until(&other, "succeeded").await;
    let first = api.compared(&one, &other).await["first"].clone();
    assert_eq!(
        (&first["step"], &first["not_so_far"], &first["from"]),
        (&json!("ok"), &json!(true), &Value::Null),
        "{first}"
    );
    assert_eq!(first["cause"], "the first run has not come so far, and goes on");
    // As they were before, nothing was different.
    let then = format!("/api/v1/runs/{one}/diff/{other}?at={}", moment["position"]);
    let (status, then) = api.get(&then).await;
    assert_eq!((status, &then["first"]), (200, &Value::Null), "{then}");
    // One that decides otherwise is another way, whatever follows.
    let (status, _) = api
        .post(&format!("/api/v1/inbox/{one}:ok:1"), json!({ "decision": "reject", "comment": "not now" }))
        .await;
    assert_eq!(status, 200);
    api.until(&one, "failed").await;
    let first = api.compared(&one, &other).await["first"].clone();
    assert_eq!((&first["step"], &first["not_so_far"]), (&json!("ok"), &json!(false)), "{first}");
    assert_eq!(first["part"], "output");
    for (path, code) in [("/diff/0000", "EF0201"), ("/diff/@?at=1", "EF0215")] {
        let (status, problem) = api.get(&format!("/api/v1/runs/{one}{path}")).await;
        assert_eq!((status, &problem["code"]), (404, &json!(code)), "{path}: {problem}");
    }
}

/// It said that the run had not come so far, which it never would.
#[tokio::test]
async fn a_step_that_one_pipeline_alone_has_is_told_as_that_while_the_other_run_goes_on() {
    let api = Api::new();
    let asks = |steps: &str| {
        json!({ "definition": format!(
            "name: asks\nsteps:\n  - {{ id: a, function: everfold.noop }}\n{steps}  - {{ id: ok, approval: {{ title: 'Right?' }} }}\n"
        ) })
    };
    let one = api.started(asks(""), "waiting").await;
    let more = "  - { id: lint, foreach: { in: [1] }, function: everfold.noop }\n";
    let other = api.started(asks(more), "waiting").await;
    for (left, right, side) in [(&one, &other, "first"), (&other, &one, "second")] {
        let first = api.compared(left, right).await["first"].clone();
        assert_eq!(first["not_so_far"], false, "{first}");
        assert!(first["step"].as_str().unwrap().starts_with("lint"), "{first}");
        let cause =
            format!("the pipeline of the {side} run has no such step; their definitions are different");
        assert_eq!(first["cause"], cause, "{first}");
    }
}

/// A step whose work ends by the input well or at its time limit.
/// Time enough for the run that is to succeed, also on a busy machine.
const TIMED: &str = "\
name: timed
input: { type: object }
steps: [{ id: rest, function: everfold.sleep, with: { for: '${input.span}' }, timeout: 3s }]
";

/// A failure was called another output, and the event of the run that failed was none.
#[tokio::test]
async fn a_failure_is_told_as_that_with_its_event_and_not_as_another_output() {
    let api = Api::new();
    let start = |span: &str| json!({ "definition": TIMED, "input": { "span": span } });
    let (good, bad) =
        (api.started(start("1ms"), "succeeded").await, api.started(start("1h"), "failed").await);
    for (one, other, side) in [(&good, &bad, "second"), (&bad, &good, "first")] {
        let diff = api.compared(one, other).await;
        let first = &diff["first"];
        assert_eq!((&first["part"], &first["step"]), (&json!("end"), &json!("rest")), "{first}");
        assert!(first["from"].is_u64() && first["to"].is_u64(), "{first}");
        let cause = first["cause"].as_str().unwrap();
        assert!(
            cause.contains(&format!("work that was given other values failed in the {side}: ")),
            "{cause}"
        );
        assert!(told(&diff["rounds"])[0].ends_with("[end work]"), "{diff}");
    }
}

#[tokio::test]
async fn between_two_versions_stand_the_rounds_that_began_were_judged_or_ended() {
    let api = Api::new();
    let run = api.judged_by(7, 2, "blocked").await;
    let (_, events) = api.get(&format!("/api/v1/runs/{run}/events")).await;
    let events = events["items"].as_array().unwrap();
    let sent_back = events.iter().find(|event| event["event"]["type"] == "ReworkRequested").unwrap();
    let version = sent_back["version"].as_u64().unwrap();
    let (_, diff) = api.get(&format!("/api/v1/runs/{run}/diff?from={}&to={version}", version - 1)).await;
    assert_eq!(told(&diff["rounds"]), ["review 1: goes on reworked [end]"], "{diff}");
    let (_, rest) = api.get(&format!("/api/v1/runs/{run}/diff?from={version}")).await;
    assert_eq!(told(&rest["rounds"]), ["build 2: - succeeded [ran]", "review 2: - blocked [ran]"], "{rest}");
    let (_, none) = api.get(&format!("/api/v1/runs/{run}/diff?from=3&to=3")).await;
    assert_eq!(none["rounds"], json!([]));
}

/// A step that runs by the input, one that always does.
const CHOSEN: &str = "\
name: chosen
input: { type: object }
steps:
  - { id: one, function: everfold.noop, when: input.go }
  - { id: two, function: everfold.noop, needs: [one] }
";

#[tokio::test]
async fn a_step_that_one_run_passed_over_is_laid_beside_that_of_the_other_and_says_why() {
    let api = Api::new();
    let start = |go: bool| json!({ "definition": CHOSEN, "input": { "go": go } });
    let (one, other) =
        (api.started(start(true), "succeeded").await, api.started(start(false), "succeeded").await);
    let diff = api.compared(&one, &other).await;
    assert_eq!(
        told(&diff["rounds"]),
        ["one 1: succeeded skipped [ran]", "two 1: succeeded succeeded []"],
        "{diff}"
    );
    assert_eq!(diff["rounds"][0]["to"]["skipped"], "its `when` was false");
    let first = &diff["first"];
    assert_eq!((&first["step"], &first["round"], &first["part"]), (&json!("one"), &json!(1), &json!("ran")));
    assert!(first["from"].is_u64() && first["to"].is_u64(), "{first}");
    assert_eq!(
        first["cause"],
        "it began in the first run, and was passed over in the second run: its `when` was false: input.go, \
         where input.go was false; their inputs are different"
    );
    let turned = api.compared(&other, &one).await;
    assert_eq!(told(&turned["rounds"])[0], "one 1: skipped succeeded [ran]");
    let both = api.started(start(false), "succeeded").await;
    assert_eq!(api.compared(&other, &both).await["first"], Value::Null);
}

#[tokio::test]
async fn a_round_that_a_fork_goes_on_with_took_no_time_between_its_copied_history_and_the_fork() {
    let api = Api::new();
    let one = api.started(json!({ "definition": CHOSEN, "input": { "go": true } }), "succeeded").await;
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let (status, forked) = api.post(&format!("/api/v1/runs/{one}/fork"), json!({ "version": 3 })).await;
    assert_eq!(status, 201, "{forked}");
    let fork = forked["id"].as_str().unwrap().to_owned();
    let view = api.until(&fork, "succeeded").await;
    let at = |value: &Value| -> i64 {
        value.as_str().unwrap().parse::<everfold_engine::time::Timestamp>().unwrap().0
    };
    let (_, events) = api.get(&format!("/api/v1/runs/{fork}/events")).await;
    let events = events["items"].as_array().unwrap();
    let forked_at = events.iter().position(|event| event["event"]["type"] == "RunForked").unwrap();
    let idle = at(&events[forked_at]["recorded_at"]) - at(&events[forked_at - 1]["recorded_at"]);
    assert!(idle >= 30, "{idle}");
    let diff = api.compared(&one, &fork).await;
    assert_eq!(diff["first"], Value::Null);
    let whole = at(&view["ended_at"]) - at(&view["started_at"]);
    assert_eq!(diff["runs"][1]["took_ms"], whole, "it began with the fork: {diff}");
    // The fork goes on with the round that was open in the copied history.
    let round = &diff["rounds"][0]["to"];
    let is_end =
        |event: &&Value| event["event"]["type"] == "StepSucceeded" && event["event"]["path"]["step"] == "one";
    let end = events.iter().find(is_end).unwrap();
    assert!(at(&round["began_at"]) < at(&events[forked_at]["recorded_at"]), "{round}");
    assert_eq!(round["took_ms"], at(&end["recorded_at"]) - at(&round["began_at"]) - idle, "{round}");
}

/// They went on for ever: nothing but what people decided, or the end of what they wait for, ends them.
#[tokio::test]
async fn items_that_people_decide_on_or_that_wait_end_with_that() {
    const ITEMS: &str = "\
name: items
steps:
  - { id: asks, foreach: { in: [a, b], as: name }, approval: { title: 'Right, ${name}?' } }
  - { id: says, foreach: { in: [1] }, question: { title: 'What?', options: [m, n] } }
  - { id: rests, foreach: { in: [1] }, wait: { for: 1ms } }
";
    let api = Api::new();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let run = api.started(json!({ "definition": ITEMS }), "waiting").await;
        while api.get(&format!("/api/v1/runs/{run}")).await.1["status"] != "succeeded" {
            let (_, open) = api.get(&format!("/api/v1/inbox?run={run}")).await;
            for task in open["items"].as_array().unwrap() {
                let body = match task["kind"].as_str().unwrap() {
                    "approval" => json!({ "decision": "approve" }),
                    _question => json!({ "answers": { "choice": "m" } }),
                };
                let id = task["id"].as_str().unwrap();
                let (status, said) = api.post(&format!("/api/v1/inbox/{id}"), body).await;
                assert_eq!(status, 200, "{said}");
            }
        }
        runs.push(run);
    }
    let diff = api.compared(&runs[0], &runs[1]).await;
    let told = told(&diff["rounds"]);
    let items: Vec<&String> = told.iter().filter(|round| round.contains('.')).collect();
    let wanted = ["asks.0 1", "asks.1 1", "says.0 1", "rests.0 1"];
    assert_eq!(
        items,
        wanted.map(|round| format!("{round}: succeeded succeeded []")).iter().collect::<Vec<_>>()
    );
}
