//! Moments of a run: as it was, what changed between two of them, and how another policy would have judged.

use everfold_engine::clock;
use everfold_engine::time::Timestamp;
use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

#[tokio::test]
async fn the_state_at_a_version_and_the_lists_have_bounds() {
    let api = Api::new();
    let run = api.asking().await;
    let (_, then) = api.get(&format!("/api/v1/runs/{run}/state?version=1")).await;
    assert_eq!((&then["version"], &then["status"]), (&1.into(), &"running".into()));
    for (query, code) in [
        ("version=0", "EF0215"),
        ("version=99", "EF0215"),
        ("version=1&at=x", "EF0211"),
        ("at=noon", "EF0211"),
    ] {
        let (_, problem) = api.get(&format!("/api/v1/runs/{run}/state?{query}")).await;
        assert_eq!(problem["code"], code, "{query}");
    }
    let (_, page) = api.get(&format!("/api/v1/runs/{run}/events?limit=2")).await;
    // A moment may be a position of the log, as on every other route.
    let position = &page["items"][1]["position"];
    let (_, then) = api.get(&format!("/api/v1/runs/{run}/state?at={position}")).await;
    assert_eq!(then["version"], 2, "{then}");
    let (status, problem) = api.get(&format!("/api/v1/runs/{run}/state?at=0")).await;
    assert_eq!((status, &problem["code"]), (404, &"EF0215".into()), "{problem}");
    let (_, problem) = api.get(&format!("/api/v1/runs/{run}/state?at=999999")).await;
    assert_eq!(problem["code"], "EF0215", "{problem}");
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, next) = api.get(&format!("/api/v1/runs/{run}/events?limit=2&cursor={cursor}")).await;
    assert_eq!(next["items"][0]["version"], 3);
}

/// Each read that takes a moment, of a run and a pipeline.
fn reads_of_moments(run: &str, pipeline: &str, task: &str) -> Vec<(&'static str, String)> {
    let of_run = |end: &str| format!("/api/v1/runs/{run}/{end}");
    vec![
        ("/api/v1/runs", "/api/v1/runs".to_owned()),
        ("/api/v1/board", "/api/v1/board".to_owned()),
        ("/api/v1/attempts", "/api/v1/attempts".to_owned()),
        ("/api/v1/stats", "/api/v1/stats".to_owned()),
        ("/api/v1/insights", "/api/v1/insights".to_owned()),
        ("/api/v1/spend", "/api/v1/spend".to_owned()),
        ("/api/v1/inbox", "/api/v1/inbox".to_owned()),
        ("/api/v1/moment", "/api/v1/moment".to_owned()),
        ("/api/v1/audit/gates", "/api/v1/audit/gates".to_owned()),
        ("/api/v1/audit/decisions", "/api/v1/audit/decisions".to_owned()),
        ("/api/v1/runs/{run}/state", of_run("state")),
        ("/api/v1/runs/{run}/graph", of_run("graph")),
        ("/api/v1/runs/{run}/timeline", of_run("timeline")),
        ("/api/v1/runs/{run}/lineage", of_run("lineage")),
        ("/api/v1/runs/{run}/why", of_run("why")),
        ("/api/v1/runs/{run}/diff/{other}", of_run(&format!("diff/{run}"))),
        ("/api/v1/runs/{run}/artefacts", of_run("artefacts")),
        ("/api/v1/runs/{run}/audit", of_run("audit")),
        ("/api/v1/pipelines/{name}/stats", format!("/api/v1/pipelines/{pipeline}/stats")),
        ("/api/v1/orch/tasks", "/api/v1/orch/tasks".to_owned()),
        ("/api/v1/orch/tasks/{item}", format!("/api/v1/orch/tasks/{task}")),
        ("/api/v1/orch/review", "/api/v1/orch/review".to_owned()),
        ("/api/v1/orch/costs", "/api/v1/orch/costs".to_owned()),
    ]
}

#[tokio::test]
async fn every_moment_is_a_time_or_a_position_and_no_route_is_left_out() {
    let api = Api::new();
    let staged = json!({ "definition": "name: staged\nsteps:\n  - { id: look, stage: review, approval: { title: Right? } }\n" });
    let (status, task) = api.post("/api/v1/runs", staged).await;
    assert_eq!(status, 201, "{task}");
    let task = task["id"].as_str().unwrap();
    api.until(task, "waiting").await;
    let run = api.judged(7).await;
    let reads = reads_of_moments(&run, "judged", task);
    let (_, document) = api.get("/api/openapi.json").await;
    let takes_at = |item: &Value| {
        let mut parameters = item["get"]["parameters"].as_array().into_iter().flatten();
        parameters.any(|parameter| parameter["name"] == "at" && parameter["in"] == "query")
    };
    let paths = document["paths"].as_object().unwrap();
    let mut documented: Vec<&str> =
        paths.iter().filter(|(_, item)| takes_at(item)).map(|(path, _)| path.as_str()).collect();
    let mut known: Vec<&str> = reads.iter().map(|(path, _)| *path).collect();
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
    for path in &documented {
        let parameters = paths[*path]["get"]["parameters"].as_array().unwrap();
        let at = parameters.iter().find(|parameter| parameter["name"] == "at").unwrap();
        assert_eq!(at["schema"]["anyOf"].as_array().map(Vec::len), Some(2), "{path}: {at}");
    }
    let position = api.held.node().store().last_position().get();
    let (_, moment) = api.get(&format!("/api/v1/moment?at={position}")).await;
    let time = moment["time"].as_str().unwrap();
    for (_, path) in &reads {
        let (status, of_position) = api.get(&format!("{path}?at={position}")).await;
        assert_eq!(status, 200, "{path}: {of_position}");
        let (status, of_time) = api.get(&format!("{path}?at={time}")).await;
        assert_eq!((status, &of_time), (200, &of_position), "{path}");
        for (at, code) in [("999999", "EF0215"), ("noon", "EF0211"), ("-1", "EF0211")] {
            let (_, problem) = api.get(&format!("{path}?at={at}")).await;
            assert_eq!(problem["code"], code, "{path} at {at}: {problem}");
        }
    }
}

#[tokio::test]
async fn a_position_has_a_time_and_a_time_a_position() {
    let api = Api::new();
    let run = api.judged(7).await;
    let last = api.held.node().store().last_position().get();
    let (status, now) = api.get("/api/v1/moment").await;
    assert_eq!((status, now["position"].as_u64()), (200, Some(last)), "{now}");
    let (_, nothing) = api.get("/api/v1/moment?at=0").await;
    assert_eq!(nothing, json!({ "position": 0, "time": null }));
    let (_, events) = api.get(&format!("/api/v1/runs/{run}/events")).await;
    let first = events["items"][0]["position"].as_u64().unwrap();
    let (_, begun) = api.get(&format!("/api/v1/moment?at={first}")).await;
    assert_eq!(begun["position"], first);
    assert!(begun["time"].as_str().unwrap() <= now["time"].as_str().unwrap());
}

#[tokio::test]
async fn what_was_decided_later_is_not_among_the_decisions_of_a_moment() {
    let api = Api::new();
    let run = api.judged(7).await;
    let (_, all) = api.get(&format!("/api/v1/runs/{run}/audit")).await;
    let position = all["items"][0]["position"].as_u64().unwrap();
    let listed = async |at: u64| {
        let (_, page) = api.get(&format!("/api/v1/runs/{run}/audit?at={at}")).await;
        page["items"].as_array().unwrap().len()
    };
    assert_eq!((listed(position - 1).await, listed(position).await), (0, 1));
    let (_, problem) = api.get(&format!("/api/v1/runs/{run}/audit?since=1")).await;
    assert_eq!(problem["code"], "EF0211", "a parameter that it does not know: {problem}");
}

#[tokio::test]
async fn a_moment_before_a_run_began_is_refused_on_every_route_of_it() {
    let api = Api::new();
    api.judged(7).await;
    let before = api.held.node().store().last_position();
    let run = api.judged(7).await;
    let of_run = |(name, path): (&'static str, String)| name.contains("{run}").then_some(path);
    let mut paths: Vec<String> =
        reads_of_moments(&run, "judged", "").into_iter().filter_map(of_run).collect();
    assert_eq!(paths.len(), 8);
    paths.extend(["spend", "audit/decisions"].map(|list| format!("/api/v1/{list}?run={run}")));
    for path in paths {
        let mark = if path.contains('?') { '&' } else { '?' };
        for at in [before.to_string(), "0".to_owned(), "2001-01-01T00:00:00Z".to_owned()] {
            let (status, problem) = api.get(&format!("{path}{mark}at={at}")).await;
            assert_eq!((status, &problem["code"]), (404, &json!("EF0215")), "{path} at {at}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains("had not begun then"), "{problem}");
        }
        let (status, answer) = api.get(&format!("{path}{mark}at={}", before.get() + 1)).await;
        assert_eq!(status, 200, "{path} at its begin: {answer}");
    }
}

#[tokio::test]
async fn a_fork_goes_on_from_a_position() {
    let api = Api::new();
    let run = api.asking().await;
    let (_, events) = api.get(&format!("/api/v1/runs/{run}/events")).await;
    let third = &events["items"][2];
    let position = third["position"].as_u64().unwrap();
    for at in [json!(position), json!(position.to_string()), third["recorded_at"].clone()] {
        let (status, fork) = api.post(&format!("/api/v1/runs/{run}/fork"), json!({ "at": at })).await;
        assert_eq!(status, 201, "{at}: {fork}");
        if !at.as_str().is_some_and(|at| at.contains('T')) {
            assert_eq!(
                fork["origin"]["version"].as_u64().or(fork["origin"]["at"].as_u64()),
                Some(3),
                "{fork}"
            );
        }
    }
    for (at, code) in
        [(json!(0), "EF0215"), (json!(999_999), "EF0215"), (json!("noon"), "EF0211"), (json!(1.5), "EF0211")]
    {
        let (_, problem) = api.post(&format!("/api/v1/runs/{run}/fork"), json!({ "at": at })).await;
        assert_eq!(problem["code"], code, "{at}: {problem}");
    }
}

/// The list of tasks went on from when the origin had asked, or the run did.
#[tokio::test]
async fn a_fork_asks_for_as_long_as_was_left_on_its_page_and_in_the_list_of_tasks() {
    let api = Api::new();
    let definition = "name: asks\nsteps:\n  - { id: ok, approval: { title: Right?, timeout: 1h } }\n";
    let (status, run) = api.post("/api/v1/runs", json!({ "definition": definition })).await;
    assert_eq!(status, 201, "{run}");
    let origin = run["id"].as_str().unwrap();
    api.until(origin, "waiting").await;
    // The clock goes on between the question and its copy; the two times could be equal otherwise.
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let version = api.get(&format!("/api/v1/runs/{origin}")).await.1["version"].clone();
    let (status, fork) =
        api.post(&format!("/api/v1/runs/{origin}/fork"), json!({ "version": version })).await;
    assert_eq!(status, 201, "{fork}");
    let fork = fork["id"].as_str().unwrap();
    let mut ends = std::collections::BTreeSet::new();
    for run in [origin, fork] {
        let shown = api.get(&format!("/api/v1/runs/{run}")).await.1["awaits"][0]["expires_at"].clone();
        let (_, listed) = api.get("/api/v1/inbox").await;
        let task = listed["items"].as_array().unwrap().iter().find(|task| task["run"] == run).unwrap();
        assert_eq!(task["expires_at"], shown, "{run}");
        ends.insert(shown.as_str().unwrap().to_owned());
    }
    assert_eq!(ends.len(), 2, "the fork's time is its own: {ends:?}");
}

const JUDGED: &str = "
name: judged
input: { type: object, required: [n], properties: { n: { type: integer } } }
steps:
  - id: a
    function: everfold.echo
    with: { n: '${input.n}', long: '${input.long}' }
    gates: [{ id: small, expression: output.n, policy: evidence.value < 3, on_fail: next }]
  - id: b
    needs: [a]
    function: everfold.noop
";

impl Api {
    async fn judged(&self, n: u32) -> String {
        let pipeline = JUDGED.replace("'${input.long}'", &format!("'{}'", "x".repeat(2_000)));
        let body = json!({ "definition": pipeline, "input": { "n": n } });
        let (status, run) = self.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        let id = run["id"].as_str().unwrap().to_owned();
        self.until(&id, "succeeded").await;
        id
    }
}

#[tokio::test]
async fn two_moments_of_a_run_differ_by_what_the_events_between_changed() {
    let api = Api::new();
    let run = api.judged(7).await;
    let (_, events) = api.get(&format!("/api/v1/runs/{run}/events")).await;
    let events = events["items"].as_array().unwrap();
    let last = events.len();
    let (status, whole) = api.get(&format!("/api/v1/runs/{run}/diff")).await;
    assert_eq!((status, &whole["from"]["version"], &whole["to"]["version"]), (200, &json!(1), &json!(last)));
    assert_eq!(
        (whole["events_total"].as_u64(), &whole["next_cursor"]),
        (Some(last as u64 - 1), &Value::Null)
    );
    let status = whole["changes"].as_array().unwrap().iter().find(|it| it["path"] == "status").unwrap();
    assert_eq!((&status["before"], &status["after"]), (&json!("running"), &json!("succeeded")));
    let steps: Vec<&str> =
        whole["steps"].as_array().unwrap().iter().map(|it| it["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["a", "b"]);
    // A value that the state holds by reference is loaded.
    let output = whole["steps"][0]["changes"].as_array().unwrap();
    let output = output.iter().find(|it| it["path"] == "output").unwrap();
    assert_eq!(
        (&output["after"]["n"], output["after"]["long"].as_str().map(str::len)),
        (&json!(7), Some(2_000))
    );

    // Between a moment and itself there is nothing, and a part names just its events.
    let (_, none) = api.get(&format!("/api/v1/runs/{run}/diff?from=3&to=3")).await;
    assert_eq!((&none["changes"], &none["steps"], &none["events"]), (&json!([]), &json!([]), &json!([])));
    let (_, part) = api.get(&format!("/api/v1/runs/{run}/diff?from=2&to=4")).await;
    let names: Vec<&Value> = part["events"].as_array().unwrap().iter().map(|it| &it["type"]).collect();
    assert_eq!(names, [&events[2]["event"]["type"], &events[3]["event"]["type"]]);
    let (_, turned) = api.get(&format!("/api/v1/runs/{run}/diff?from=4&to=2")).await;
    assert_eq!(turned, part, "the earlier one is first, however it is asked");
    for (query, code) in
        [("from=0", "EF0215"), ("to=999", "EF0215"), ("from=x", "EF0211"), ("form=1", "EF0211")]
    {
        let (_, problem) = api.get(&format!("/api/v1/runs/{run}/diff?{query}")).await;
        assert_eq!(problem["code"], code, "{query}: {problem}");
    }
    assert_eq!(api.get("/api/v1/runs/0000/diff").await.0, 404);
}

const STRICT: &str = "
name: strict
steps:
  - id: a
    function: everfold.noop
    gates: [{ id: never, expression: '1', policy: evidence.value > 1, on_fail: block }]
";

impl Api {
    /// The newest decisions, by what they are.
    async fn decided(&self, query: &str) -> Vec<Value> {
        let (status, page) = self.get(&format!("/api/v1/audit/decisions?{query}")).await;
        assert_eq!(status, 200, "{query}: {page}");
        page["items"].as_array().unwrap().clone()
    }

    /// A run whose gate fails, at the end by a person's policy for it, and then passed over by another decision.
    async fn overridden(&self) -> String {
        let body = json!({ "definition": STRICT, "title": "A strict one" });
        let (status, run) = self.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        let id = run["id"].as_str().unwrap().to_owned();
        self.until(&id, "blocked").await;
        for body in [
            json!({ "step": "a" }),
            json!({ "step": "a", "reason": "as strict", "policy": { "never": "evidence.value > 2" } }),
        ] {
            let (status, answer) = self.post(&format!("/api/v1/runs/{id}/recheck"), body).await;
            assert_eq!(status, 200, "{answer}");
            self.until(&id, "blocked").await;
        }
        // Each needs a reason, and is recorded with one alone.
        for (verb, body) in [
            ("recheck", json!({ "step": "a", "policy": { "never": "true" } })),
            ("unblock", json!({ "step": "a", "decision": "recheck", "policy": { "never": "true" } })),
            ("unblock", json!({ "step": "a", "decision": "proceed" })),
            ("unblock", json!({ "step": "a", "decision": "proceed", "reason": " " })),
        ] {
            let (status, refused) = self.post(&format!("/api/v1/runs/{id}/{verb}"), body).await;
            assert_eq!((status, &refused["code"]), (400, &json!("EF0239")), "{refused}");
            assert_eq!(refused["hint"], "add -m WHY; over REST `reason`");
        }
        let body = json!({ "step": "a", "decision": "proceed", "reason": "by hand" });
        let (status, answer) = self.post(&format!("/api/v1/runs/{id}/unblock"), body).await;
        assert_eq!(status, 200, "{answer}");
        self.until(&id, "succeeded").await;
        id
    }
}

const SIGNALLED: &str = "
name: signalled
on_signal:
  merged: { finish: succeeded }
  stop: { finish: cancelled }
  broken: { fail: { code: BROKEN, message: 'said ${signal.text}' } }
steps:
  - id: a
    function: everfold.noop
    gates: [{ id: never, expression: 'false', on_fail: block }]
    on_signal: { rejected: fail }
";

#[tokio::test]
async fn a_signal_that_ends_a_run_past_its_gates_or_fails_its_step_is_a_decision_with_its_actor() {
    let api = Api::new();
    for (signal, status, kind, decision, bypassed) in [
        ("merged", "succeeded", "override", json!("succeed"), json!(["a/never"])),
        ("broken", "failed", "override", json!("fail"), json!(null)),
        ("rejected", "failed", "override", json!("fail"), json!(null)),
        ("stop", "cancelled", "cancel", json!(null), json!(null)),
    ] {
        let (_, run) = api.post("/api/v1/runs", json!({ "definition": SIGNALLED })).await;
        let id = run["id"].as_str().unwrap().to_owned();
        api.until(&id, "blocked").await;
        let body = json!({ "payload": { "text": "by hand" } });
        let (sent, answer) = api.post(&format!("/api/v1/runs/{id}/signals/{signal}"), body).await;
        assert_eq!(sent, 200, "{answer}");
        api.until(&id, status).await;
        let found = api
            .decided(&format!("run={id}&kind={kind}&actor=user:ada&filter=signal%20%3D%3D%20'{signal}'"))
            .await;
        assert_eq!(found.len(), 1, "{signal}: {found:?}");
        assert_eq!((&found[0]["decision"], &found[0]["bypassed"]), (&decision, &bypassed), "{signal}");
        let reason = if signal == "broken" {
            "said by hand".to_owned()
        } else {
            format!("the signal “{signal}”: by hand")
        };
        assert_eq!(found[0]["reason"], json!(reason));
        let (_, own) = api.get(&format!("/api/v1/runs/{id}/audit")).await;
        assert!(own["items"].as_array().unwrap().iter().any(|item| item["kind"] == kind), "{own}");
        let (_, view) = api.get(&format!("/api/v1/runs/{id}")).await;
        let by = if signal == "stop" { json!("user:ada") } else { json!(null) };
        assert_eq!(view["cancelled"]["by"], by, "{view}");
    }
}

#[tokio::test]
async fn decisions_of_all_runs_are_listed_with_their_runs_and_found_by_what_they_are() {
    let api = Api::new();
    let strict = api.overridden().await;
    let before = api.held.node().store().last_position();
    let asking = api.asking().await;
    let inbox = api.get("/api/v1/inbox").await.1;
    let task = inbox["items"][0]["id"].as_str().unwrap();
    assert_eq!(api.post(&format!("/api/v1/inbox/{task}"), json!({ "decision": "approve" })).await.0, 200);
    api.until(&asking, "succeeded").await;

    // Each is what the list of its run has, and its run.
    let all = api.decided("").await;
    let mut of_runs = Vec::new();
    for run in [&asking, &strict] {
        let (_, own) = api.get(&format!("/api/v1/runs/{run}/audit")).await;
        let (_, row) = api.get(&format!("/api/v1/runs/{run}")).await;
        for decision in own["items"].as_array().unwrap().iter().rev() {
            let mut listed = decision.clone();
            for (name, value) in [
                ("run", &row["id"]),
                ("short_id", &row["short_id"]),
                ("title", &row["title"]),
                ("pipeline", &row["pipeline"]),
            ] {
                listed[name] = value.clone();
            }
            of_runs.push(listed);
        }
    }
    assert_eq!(all, of_runs);
    assert_eq!(all.last().unwrap()["title"], "A strict one");

    let kinds = async |query: &str| -> Vec<String> {
        let kind = |item: &Value| item["kind"].as_str().unwrap().to_owned();
        api.decided(query).await.iter().map(kind).collect()
    };
    // Where a person went against a gate: not where they had it judged again as it is.
    assert_eq!(kinds("kind=override").await, ["override", "recheck"]);
    let past = &api.decided("kind=override").await[0];
    assert_eq!((&past["reason"], &past["bypassed"]), (&json!("by hand"), &json!(["never"])));
    assert_eq!(kinds("kind=recheck").await, ["recheck", "recheck"]);
    assert_eq!(kinds("kind=vote,approval").await, ["approval", "vote"]);
    assert_eq!(kinds("gate=never&verdict=fail").await.len(), 3);
    assert_eq!(kinds("kind=gate&pipeline=strict").await, ["gate", "gate", "gate"]);
    // A verdict is the engine's also where a person asked for it: who did is said by the recheck, whatever was probed.
    assert_eq!(kinds("actor=user:ada&pipeline=strict").await, ["override", "recheck", "recheck"]);
    assert_eq!(kinds("actor=engine&pipeline=strict").await, ["gate", "gate", "gate"]);
    for (kind, actor) in [("gate", "engine"), ("recheck", "user:ada"), ("override", "user:ada")] {
        for decision in api.decided(&format!("kind={kind}&pipeline=strict")).await {
            let known = if decision["kind"] == kind { actor } else { "user:ada" };
            assert_eq!(decision["actor"], known, "{decision}");
        }
    }
    let asked = json!({ "sql": "select distinct actor from gates where pipeline = 'strict'" });
    assert_eq!(api.post("/api/v1/query", asked).await.1["rows"], json!([["engine"]]));
    let overrides = "select kind, bypassed from decisions where kind = 'override' or policies is not null";
    let asked = json!({ "sql": overrides });
    let rows = json!([["override", ["never"]], ["recheck", null]]);
    assert_eq!(api.post("/api/v1/query", asked).await.1["rows"], rows);
    let filter = "filter=kind%20%3D%3D%20'override'%20%7C%7C%20policies%20!%3D%20null";
    assert_eq!(kinds(filter).await, kinds("kind=override").await);
    assert_eq!(kinds(&format!("run={strict}")).await, kinds("pipeline=strict").await);
    assert_eq!(kinds(&format!("at={before}")).await, kinds("pipeline=strict").await);
    assert!(kinds("since=2999-01-01T00:00:00Z").await.is_empty());
    assert!(kinds("until=2001-01-01T00:00:00Z").await.is_empty());
    assert_eq!(kinds("until=2999-01-01T00:00:00Z").await, kinds("").await);
    // From a time on, and before it: each decision is in one of the two.
    let split = api.decided("kind=override").await[0]["at"].as_str().unwrap().to_owned();
    let (older, newer) = (kinds(&format!("until={split}")).await, kinds(&format!("since={split}")).await);
    assert_eq!([newer, older].concat(), kinds("").await);
    assert_eq!(
        kinds(&format!("at={before}&until=2999-01-01T00:00:00Z")).await,
        kinds("pipeline=strict").await
    );

    // Part by part it is the same list.
    let (mut cursor, mut parts) = (String::new(), Vec::new());
    loop {
        let (_, page) = api.get(&format!("/api/v1/audit/decisions?limit=3{cursor}")).await;
        parts.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(parts, all);
    for query in [
        "kind=gates",
        "kind=",
        "actor=ada",
        "verdict=failed",
        "limit=0",
        "at=noon",
        "until=noon",
        &cursor[1..],
    ] {
        let path = format!("/api/v1/audit/decisions?kind=vote&{query}").replace("kind=vote&kind", "kind");
        let (status, problem) = api.get(&path).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{query}: {problem}");
    }
    assert_eq!(api.get("/api/v1/audit/decisions?run=ffff").await.0, 404);
}

#[tokio::test]
async fn a_new_policy_is_tried_on_recorded_verdicts_before_it_is_turned_on() {
    let api = Api::new();
    let mut runs = Vec::new();
    for n in [1, 2, 3, 4] {
        runs.push(api.judged(n).await);
    }
    let before = api.held.node().store().last_position();
    let test = async |body: Value| api.post("/api/v1/audit/backtest", body).await;
    // By the same policy everything stays as it is.
    let (status, same) = test(json!({ "gate": "small", "policy": "evidence.value < 3" })).await;
    assert_eq!((status, &same["verdicts"], &same["equal"]), (200, &json!(4), &json!(4)), "{same}");
    let (_, other) = test(json!({ "gate": "small", "policy": "evidence.value < 4" })).await;
    assert_eq!((&other["changed"], &other["becomes"]), (&json!(1), &json!({ "fail → pass": 1 })));
    let item = &other["items"][0];
    assert_eq!((&item["run"], &item["step"]), (&json!(runs[2]), &json!("a")));
    assert_eq!((&item["recorded"]["verdict"], &item["judged"]["verdict"]), (&json!("fail"), &json!("pass")));
    // It sees the run of then, and where it gives no verdict it says why.
    let (_, seen) = test(json!({ "gate": "small", "policy": "input.n < 4 && step.round == 1" })).await;
    assert_eq!(seen["changed"], 1, "{seen}");
    let (_, none) = test(json!({ "gate": "small", "policy": "evidence.other < 3" })).await;
    assert_eq!((&none["failed"], &none["items"][0]["judged"]), (&json!(4), &Value::Null));
    assert!(none["items"][0]["problem"].as_str().unwrap().contains("other"), "{none}");

    // Part by part it comes to the same, newest first.
    let (mut cursor, mut verdicts, mut changed) = (Value::Null, 0, Vec::new());
    loop {
        let body = json!({ "gate": "small", "policy": "evidence.value > 3", "limit": 3, "cursor": cursor });
        let (_, part) = test(body).await;
        verdicts += part["verdicts"].as_u64().unwrap();
        changed.extend(part["items"].as_array().unwrap().iter().map(|item| item["run"].clone()));
        cursor = part["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!((verdicts, changed), (4, vec![json!(runs[3]), json!(runs[1]), json!(runs[0])]));
    assert_eq!(test(json!({ "gate": "none", "policy": "true" })).await.1["verdicts"], 0);
    let later = test(json!({ "gate": "small", "policy": "true", "since": "2999-01-01T00:00:00Z" })).await;
    assert_eq!(later.1["verdicts"], 0);
    for body in [
        json!({ "gate": "small", "policy": "true", "since": "yesterday" }),
        json!({ "gate": "small", "policy": "true", "limit": 0 }),
        json!({ "gate": "small", "policy": "true", "cursor": "x" }),
        json!({ "gate": "small" }),
    ] {
        let (status, problem) = test(body).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{problem}");
    }
    for (policy, line, column) in
        [("evidence.value <", 1, 17), ("evidnce.value < 3", 1, 1), ("true &&\n  evidnce.value < 3", 2, 3)]
    {
        let (status, problem) = test(json!({ "gate": "small", "policy": policy })).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0231")), "{problem}");
        let place = &problem["errors"][0];
        assert_eq!((&place["line"], &place["column"]), (&json!(line), &json!(column)), "{problem}");
        let said = format!("policy: line {line}, column {column}: ");
        assert!(problem["detail"].as_str().unwrap().starts_with(&said), "{problem}");
    }
    assert_eq!(api.held.node().store().last_position(), before, "nothing was recorded");
}

#[tokio::test]
async fn the_graph_of_a_run_has_a_place_for_each_of_its_steps() {
    let api = Api::new();
    let run = api.judged(1).await;
    let ids = |graph: &Value| -> Vec<String> {
        let nodes = graph["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
    };
    let (status, whole) = api.get(&format!("/api/v1/runs/{run}/graph")).await;
    assert_eq!((status, ids(&whole)), (200, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(whole["nodes"][0]["gates"][0]["id"], "small");
    assert_eq!((&whole["arrows"][0]["from"], &whole["arrows"][0]["to"]), (&"a".into(), &"b".into()));
    let (_, small) = api.get(&format!("/api/v1/runs/{run}/graph?detail=names")).await;
    assert!(small["height"].as_f64() < whole["height"].as_f64(), "{small}");
    let (status, refused) = api.get(&format!("/api/v1/runs/{run}/graph?detail=all")).await;
    assert_eq!((status, &refused["code"]), (422, &"EF0211".into()));
    let (_, folded) = api.get(&format!("/api/v1/runs/{run}/graph?without=a")).await;
    assert_eq!(
        (ids(&folded), folded["arrows"].as_array().unwrap().len()),
        (vec!["b".to_owned()], 0),
        "{folded}"
    );
    let (status, refused) = api.get(&format!("/api/v1/runs/{run}/graph?without=a,x")).await;
    assert_eq!((status, &refused["code"]), (404, &"EF0203".into()), "{refused}");
    let (status, named) = api.get("/api/v1/pipelines/delivery/graph").await;
    assert!(status == 200 && ids(&named).contains(&"develop".to_owned()), "{named}");
    let (status, _) = api.get("/api/v1/pipelines/nothing/graph").await;
    assert_eq!(status, 404);
}

/// What waits had waited until the time that is named, and not only until the last event before it.
#[tokio::test]
async fn a_fork_at_a_time_has_what_was_left_at_that_time() {
    let api = Api::new();
    let definition = "name: asks\nsteps:\n  - { id: ok, approval: { title: Right?, timeout: 1h } }\n";
    let origin = api.started(json!({ "definition": definition }), "waiting").await;
    let view = api.get(&format!("/api/v1/runs/{origin}")).await.1;
    let time = |text: &Value| text.as_str().unwrap().parse::<Timestamp>().unwrap();
    let last = time(&view["updated_at"]);
    let at = loop {
        let now = clock::now();
        if now.since(last) >= std::time::Duration::from_millis(30) {
            break now;
        }
        tokio::task::yield_now().await;
    };
    let asked = json!({ "at": at.to_string() });
    let (status, fork) = api.post(&format!("/api/v1/runs/{origin}/fork"), asked).await;
    assert_eq!(status, 201, "{fork}");
    let expected = time(&view["awaits"][0]["expires_at"]).plus(time(&fork["started_at"]).since(at));
    assert_eq!(time(&fork["awaits"][0]["expires_at"]), expected);
}
