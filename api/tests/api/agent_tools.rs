//! The tools of agents at `/mcp`: what they answer is what the routes answer, as the same caller.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, Response};
use everfold_api::access::{Caller, TokenWish};
use everfold_engine::actor::Actor;
use everfold_engine::tokens::Role;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fixtures::in_memory::{Api, STEPS, read};

/// Its gate passes each time.
const PASSED: &str = "\
name: passed
steps:
  - { id: build, function: everfold.noop, gates: [{ id: good, expression: 'true' }] }
";
const VERSION: &str = "2026-07-28";
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A client of the protocol, as some caller.
struct Agent<'a> {
    api: &'a Api,
    caller: Caller,
    /// What it says of itself with each request.
    capabilities: Value,
}

impl<'a> Agent<'a> {
    fn of(api: &'a Api) -> Self {
        Self { api, caller: Caller::local("ada"), capabilities: json!({}) }
    }

    /// One that follows runs as tasks and shows forms.
    fn with_tasks(api: &'a Api) -> Self {
        let capabilities = json!({ "extensions": { TASKS: {} }, "elicitation": { "form": {} } });
        Self { capabilities, ..Self::of(api) }
    }

    /// One with a token.
    async fn with_token(api: &'a Api, name: &str, role: Role) -> Self {
        let wish = TokenWish { name: name.into(), role, approves: Vec::new(), lasts: None };
        api.held.node().access().create(wish, Actor::Engine, None).await.unwrap();
        let actor = Actor::Token(name.to_owned());
        let caller = Caller { actor, role: Some(role), roles: Some(Vec::new()), local: false };
        Self { caller, ..Self::of(api) }
    }

    async fn sends(&self, method: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri("/mcp").extension(self.caller.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.api.routes().oneshot(request.body(body.into()).unwrap()).await.unwrap()
    }

    /// The answer to a request: its `result` or its `error`.
    async fn asks(&self, method: &str, mut params: Value) -> Value {
        let name =
            ["name", "uri", "taskId"].iter().find_map(|name| params[*name].as_str().map(str::to_owned));
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let name = name.unwrap_or_default();
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", VERSION),
            ("mcp-method", method),
        ];
        if !name.is_empty() {
            headers.push(("mcp-name", &name));
        }
        let (status, answer) = read(self.sends("POST", &headers, body.to_string()).await).await;
        assert!(answer["result"].is_object() || answer["error"].is_object(), "{method}: {status} {answer}");
        answer
    }

    /// The document that a tool answers with.
    async fn calls(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.asks("tools/call", json!({ "name": tool, "arguments": arguments })).await;
        assert_eq!(answer["result"]["isError"], false, "{tool} {arguments}: {answer}");
        let shown = answer["result"]["structuredContent"].clone();
        let text: Value =
            serde_json::from_str(answer["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, shown, "a client without documents reads the same");
        shown
    }

    /// How a tool refuses.
    async fn refused(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.asks("tools/call", json!({ "name": tool, "arguments": arguments })).await;
        assert_eq!(answer["result"]["isError"], true, "{tool} {arguments}: {answer}");
        answer["result"]["structuredContent"].clone()
    }

    async fn tools(&self) -> BTreeSet<String> {
        let listed = self.asks("tools/list", json!({})).await;
        let tools = listed["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn tools_answer_in_short_what_the_routes_answer() {
    let api = Api::new();
    let run = api.asking().await;
    let agent = Agent::of(&api);
    let (_, view) = api.get(&format!("/api/v1/runs/{run}")).await;

    let listed = agent.calls("list_runs", json!({ "filter": "pipeline == 'steps'" })).await;
    assert_eq!(listed["items"][0]["short_id"], view["short_id"]);
    assert_eq!(agent.calls("list_runs", json!({ "status": "failed" })).await["items"], json!([]));

    let shown = agent.calls("show_run", json!({ "run": "@" })).await;
    assert_eq!((&shown["id"], &shown["status"]), (&view["id"], &json!("waiting")));
    assert_eq!(shown["inbox"][0]["task"], view["awaits"][0]["task"]);
    let whole = agent.calls("show_run", json!({ "run": run, "full": true })).await;
    assert_eq!(whole["definition"], view["definition"]);
    let then = agent.calls("show_run", json!({ "run": run, "version": 2 })).await;
    assert_eq!((&then["status"], &then["version"]), (&json!("running"), &json!(2)));

    let why = agent.calls("why", json!({ "run": run })).await;
    assert!(why["causes"][0]["sentence"].as_str().unwrap().contains("ok"), "{why}");
    assert!(agent.calls("why", json!({})).await["open"] == 1);
    let events = agent.calls("list_events", json!({ "run": run, "limit": 2 })).await;
    assert_eq!((&events["items"][1]["version"], events["items"].as_array().unwrap().len()), (&json!(2), 2));
    let next = agent.calls("list_events", json!({ "run": run, "cursor": events["next_cursor"] })).await;
    assert_eq!(next["items"][0]["version"], 3);

    let diff = agent.calls("diff_runs", json!({ "run": run, "from": 1 })).await;
    assert_eq!(diff["to"]["version"], view["version"]);
    let stats = agent.calls("stats", json!({ "by": "pipeline" })).await;
    assert_eq!(stats["grouped"]["groups"][0]["count"], 1);
    assert_eq!(agent.calls("spend", json!({ "run": run })).await["by"], "run");
    let shows = agent.calls("insights", json!({ "only": "gates,cost", "pipeline": "steps" })).await;
    let (_, insights) = api.get("/api/v1/insights?only=gates,cost&pipeline=steps").await;
    assert_eq!((&shows["runs"], &shows["ended"]), (&json!(1), &json!(0)), "{shows}");
    assert_eq!(shows["items"][1]["none"], insights["items"][1]["none"]);
    let pipelines = agent.calls("list_pipelines", json!({})).await;
    assert!(pipelines["items"].as_array().unwrap().iter().any(|it| it["name"] == "delivery"), "{pipelines}");
    let delivery = agent.calls("show_pipeline", json!({ "name": "delivery" })).await;
    assert!(delivery["input"]["properties"]["task"].is_object() && delivery.get("text").is_none());
    let waited = agent.calls("wait_for_run", json!({ "run": run })).await;
    assert!(
        waited["next"].as_str().unwrap().contains("decide"),
        "it asks, so nothing is waited for: {waited}"
    );
}

#[tokio::test]
async fn insights_say_in_short_what_the_rows_are_and_in_full_the_query_that_gives_them() {
    let api = Api::new();
    for _ in 0..3 {
        api.started(json!({ "definition": PASSED }), "succeeded").await;
    }
    let agent = Agent::of(&api);
    let short = agent.calls("insights", json!({})).await;
    let names: Vec<&str> =
        short["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gates", "reworks", "flaky", "time", "cost"]);
    let gates = &short["items"][0];
    let columns: Vec<&str> =
        gates["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    assert_eq!(
        (&gates["rows"][0][at("gate")], &gates["rows"][0][at("verdicts")]),
        (&json!("good"), &json!(3))
    );
    assert!(
        gates["about"].is_string() && gates.get("sql").is_none() && gates.get("none").is_none(),
        "{gates}"
    );
    let reworks = &short["items"][1];
    assert!(reworks["none"].is_string() && reworks.get("columns").is_none(), "{reworks}");

    let full = agent.calls("insights", json!({ "only": "gates", "full": true })).await;
    let asked = agent.calls("ask", json!({ "sql": full["items"][0]["sql"] })).await;
    assert_eq!((&asked["rows"], &asked["columns"]), (&gates["rows"], &gates["columns"]));
    let refused = agent.refused("insights", json!({ "only": "gatse" })).await;
    assert!(refused["hint"].as_str().unwrap().contains("gates"), "{refused}");
}

#[tokio::test]
async fn errors_are_those_of_the_routes_and_mistakes_are_named() {
    let api = Api::new();
    let agent = Agent::of(&api);
    let (status, problem) = api.get("/api/v1/runs/00000000").await;
    let refused = agent.refused("show_run", json!({ "run": "00000000" })).await;
    assert_eq!((&refused["code"], &refused["status"]), (&problem["code"], &json!(status)));
    let misspelt = agent.refused("list_runs", json!({ "filter": "statsu == 'failed'" })).await;
    assert!(misspelt.to_string().contains("status"), "{misspelt}");
    let unknown = agent.refused("show_run", json!({ "runn": "@" })).await;
    assert!(unknown["error"].as_str().unwrap().contains("unknown field `runn`"), "{unknown}");
    let missing = agent.refused("read_log", json!({ "run": "@" })).await;
    assert!(missing["error"].as_str().unwrap().contains("missing field `step`"), "{missing}");
    for (tool, arguments, name) in [
        ("show_run", json!({ "run": "" }), "run"),
        ("read_log", json!({ "run": "", "step": "a" }), "run"),
        ("read_log", json!({ "run": "@", "step": "" }), "step"),
        ("show_pipeline", json!({ "name": "" }), "name"),
        ("signal_run", json!({ "run": "@", "name": "" }), "name"),
        ("diff_runs", json!({ "run": "@", "other": "" }), "other"),
    ] {
        let empty = agent.refused(tool, arguments).await;
        assert!(empty["error"].as_str().unwrap().contains(&format!("`{name}` is empty")), "{tool}: {empty}");
    }
    for arguments in [json!([]), json!("@"), json!(7)] {
        let answer = agent.asks("tools/call", json!({ "name": "why", "arguments": arguments })).await;
        assert_eq!(answer["error"]["code"], -32602, "{arguments}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("`arguments`"), "{answer}");
    }
    let no_name = agent.asks("tools/call", json!({})).await;
    assert_eq!(no_name["error"]["code"], -32602, "{no_name}");
    assert!(no_name["error"]["message"].as_str().unwrap().contains("`name`"), "{no_name}");
    for list in ["tools/list", "resources/list", "resources/templates/list"] {
        let answer = agent.asks(list, json!({ "cursor": "nowhere" })).await;
        assert_eq!(answer["error"]["code"], -32602, "{list}: {answer}");
    }
    let no_tool = agent.asks("tools/call", json!({ "name": "drop_tables", "arguments": {} })).await;
    assert_eq!(no_tool["error"]["code"], -32602, "{no_tool}");
    let no_method = agent.asks("tables/drop", json!({})).await;
    assert_eq!(no_method["error"]["code"], -32601, "{no_method}");
}

#[tokio::test]
async fn what_is_no_message_is_answered_with_an_error_of_the_protocol() {
    let api = Api::new();
    let agent = Agent::of(&api);
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", VERSION),
    ];
    for (sent, code) in [
        ("junk", -32700),
        ("", -32700),
        ("{\"jsonrpc\":\"2.0\"", -32700),
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600),
        ("{\"id\":1}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"method\":\"ping\"}", -32600),
        ("7", -32600),
    ] {
        let (status, answer) = read(agent.sends("POST", &headers, sent).await).await;
        assert_eq!((status, &answer["jsonrpc"]), (400, &json!("2.0")), "{sent}: {answer}");
        assert_eq!(answer["error"]["code"], code, "{sent}: {answer}");
    }
    let text = [("content-type", "text/plain"), headers[1], headers[2]];
    assert_eq!(agent.sends("POST", &text, "junk").await.status(), 415);
}

#[tokio::test]
async fn a_decision_on_what_its_caller_did_not_see_is_refused() {
    let api = Api::new();
    let run = api.asking().await;
    let agent = Agent::of(&api);
    let item = agent.calls("list_inbox", json!({})).await["items"][0].clone();
    assert_eq!(item["version"], agent.calls("show_run", json!({ "run": run })).await["inbox"][0]["version"]);

    let decide = |version: &Value| json!({ "task": item["task"], "version": version, "decision": "approve" });
    let stale = agent.refused("decide", decide(&json!("000000000000"))).await;
    assert!(stale["error"].as_str().unwrap().contains("is another one"), "{stale}");
    assert!(stale["hint"].as_str().unwrap().contains(item["version"].as_str().unwrap()), "{stale}");
    let wrong = json!({ "task": item["task"], "version": item["version"], "decision": "answer" });
    assert!(agent.refused("decide", wrong).await["error"].as_str().unwrap().contains("no decision on"));
    assert_eq!(api.until(&run, "waiting").await["awaits"][0]["votes"], json!({}), "nothing was decided");

    agent.calls("decide", decide(&item["version"])).await;
    api.until(&run, "succeeded").await;
    let votes = agent.calls("list_decisions", json!({ "run": run, "kind": "vote" })).await;
    assert_eq!(votes["items"][0]["actor"], "user:ada", "{votes}");
    let gone = agent.refused("decide", decide(&item["version"])).await;
    assert!(gone["error"].as_str().unwrap().contains("any more"), "{gone}");
}

#[tokio::test]
async fn a_role_is_shown_its_tools_and_the_routes_judge_each_call() {
    let api = Api::new();
    let run = api.asking().await;
    let viewer = Agent::with_token(&api, "reader", Role::Viewer).await;
    let approver = Agent::with_token(&api, "judge", Role::Approver).await;
    let operator = Agent::with_token(&api, "pilot", Role::Operator).await;
    let shown = viewer.tools().await;
    assert!(shown.contains("list_runs") && !shown.contains("decide") && !shown.contains("start_run"));
    let more: BTreeSet<String> = approver.tools().await.difference(&shown).cloned().collect();
    assert_eq!(more, BTreeSet::from(["decide".to_owned()]));
    assert!(operator.tools().await.contains("cancel_run"));

    let item = viewer.calls("list_inbox", json!({})).await["items"][0].clone();
    let yes = json!({ "task": item["task"], "version": item["version"], "decision": "approve" });
    // A tool that is not listed may be called all the same: the routes refuse, as over REST.
    assert_eq!(viewer.refused("decide", yes.clone()).await["status"], 403);
    // The caller's rights come before anything about the item: its version, its kind, whether it is open.
    for (name, value) in
        [("version", "000000000000"), ("decision", "answer"), ("task", "00000000:ok:1"), ("task", "ok")]
    {
        let mut other = yes.clone();
        other[name] = json!(value);
        assert_eq!(viewer.refused("decide", other.clone()).await["status"], 403, "{other}");
        assert_ne!(approver.refused("decide", other.clone()).await["status"], 403, "{other}");
    }
    assert_eq!(approver.refused("start_run", json!({ "definition": STEPS })).await["status"], 403);
    assert_eq!(approver.refused("cancel_run", json!({ "run": run })).await["status"], 403);
    approver.calls("decide", yes).await;
    let decided = viewer.calls("list_decisions", json!({ "run": run, "kind": "vote" })).await;
    assert_eq!(decided["items"][0]["actor"], "token:judge", "{decided}");
    let started = operator.calls("start_run", json!({ "definition": STEPS })).await;
    assert_eq!(started["started_by"], "token:pilot");

    let worker = Agent::with_token(&api, "hands", Role::Worker).await;
    assert!(worker.tools().await.is_empty());
    assert_eq!(worker.refused("list_runs", json!({})).await["status"], 403);
}

#[tokio::test]
async fn a_run_is_a_task_that_asks_what_the_inbox_asks() {
    let api = Api::new();
    let agent = Agent::with_tasks(&api);
    let start =
        json!({ "name": "start_run", "arguments": { "definition": STEPS, "idempotency_key": "once" } });
    let begun = agent.asks("tools/call", start.clone()).await["result"].clone();
    assert_eq!(begun["resultType"], "task", "{begun}");
    let task = begun["taskId"].as_str().unwrap().to_owned();
    api.until(&task, "waiting").await;
    let again = agent.asks("tools/call", start).await["result"].clone();
    assert_eq!(again["taskId"], begun["taskId"], "the same start is the same run");

    let asked = agent.asks("tasks/get", json!({ "taskId": task })).await["result"].clone();
    assert_eq!((&asked["status"], &asked["ttlMs"]), (&json!("input_required"), &Value::Null));
    let (key, form) = asked["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(form["method"], "elicitation/create");
    assert!(form["params"]["message"].as_str().unwrap().starts_with("Right?"), "{form}");

    let answer = |key: &str, response: Value| json!({ "taskId": task, "inputResponses": { key: response } });
    let (item, _) = key.rsplit_once('@').unwrap();
    let yes = json!({ "action": "accept", "content": { "decision": "approve" } });
    let stale = agent.asks("tasks/update", answer(&format!("{item}@000000000000"), yes.clone())).await;
    assert!(stale["error"]["message"].as_str().unwrap().contains("not what is asked any more"), "{stale}");
    agent.asks("tasks/update", answer(key, json!({ "action": "decline" }))).await;
    agent.asks("tasks/update", answer("nothing@0", yes.clone())).await;
    api.until(&task, "waiting").await;
    let accepted = agent.asks("tasks/update", answer(key, yes)).await;
    assert_eq!(accepted["result"]["resultType"], "complete", "{accepted}");
    api.until(&task, "succeeded").await;
    let done = agent.asks("tasks/get", json!({ "taskId": task })).await["result"].clone();
    assert_eq!(done["status"], "completed");
    assert_eq!(done["result"]["structuredContent"]["output"], json!({ "done": true }));
    let over = agent.asks("tasks/cancel", json!({ "taskId": task })).await;
    assert_eq!(over["result"]["resultType"], "complete", "nothing follows: {over}");

    let unknown = agent.asks("tasks/get", json!({ "taskId": "00000000" })).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    // Who declares no tasks is answered with the run at once, and has no tasks.
    let plain = Agent::of(&api);
    let started = plain.calls("start_run", json!({ "definition": STEPS, "wait_seconds": 50 })).await;
    assert_eq!(started["inbox"][0]["title"], "Right?", "{started}");
    let refused = plain.asks("tasks/get", json!({ "taskId": task })).await;
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
    let detached = agent.calls("start_run", json!({ "definition": STEPS, "detach": true })).await;
    let cancelled = detached["id"].as_str().unwrap();
    agent.asks("tasks/cancel", json!({ "taskId": cancelled })).await;
    api.until(cancelled, "cancelled").await;
    let over = agent.asks("tasks/get", json!({ "taskId": cancelled })).await;
    assert_eq!(over["result"]["status"], "cancelled");
}

#[tokio::test]
async fn runs_are_steered_by_tools() {
    let api = Api::new();
    let agent = Agent::of(&api);
    let waits = "name: waits\nsteps:\n  - { id: w, wait: { signal: go } }\n";
    let started =
        agent.calls("start_run", json!({ "definition": waits, "labels": { "team": "blue" } })).await;
    let run = started["id"].as_str().unwrap().to_owned();
    api.until(&run, "waiting").await;
    let signalled =
        agent.calls("signal_run", json!({ "run": run, "name": "go", "payload": { "n": 1 } })).await;
    assert_eq!(signalled["taken"].as_array().unwrap().len(), 1, "{signalled}");
    api.until(&run, "succeeded").await;
    let forked = agent.calls("fork_run", json!({ "run": run, "version": 2 })).await;
    assert_eq!(forked["origin"]["run"], json!(run), "{forked}");
    let cancelled = agent.calls("cancel_run", json!({ "run": forked["id"], "reason": "enough" })).await;
    assert_eq!(cancelled["cancelled"]["reason"], "enough", "{cancelled}");

    let blocks = "name: blocks\nsteps:\n  - id: held\n    function: everfold.noop\n    gates: [{ id: never, expression: 'false', on_fail: block }]\n";
    let blocked = agent.calls("start_run", json!({ "definition": blocks })).await["id"].clone();
    let blocked = blocked.as_str().unwrap();
    api.until(blocked, "blocked").await;
    agent.calls("retry_run", json!({ "run": blocked })).await;
    api.until(blocked, "blocked").await;
    let no_reason = agent.refused("unblock_step", json!({ "run": blocked, "decision": "proceed" })).await;
    assert_eq!(no_reason["code"], "EF0239");
    agent.calls("unblock_step", json!({ "run": blocked, "decision": "skip", "reason": "known" })).await;
    api.until(blocked, "succeeded").await;
}

#[tokio::test]
async fn no_answer_is_larger_than_its_bound() {
    let api = Api::new();
    let agent = Agent::of(&api);
    let large = "name: large\ninput: {}\nsteps:\n  - { id: a, function: everfold.echo, with: { all: '${input}' } }\noutput: ${steps.a.output}\n";
    let input = json!({ "text": "x".repeat(300_000), "list": (0..20_000).collect::<Vec<_>>() });
    let run = api.started(json!({ "definition": large, "input": input }), "succeeded").await;
    for (full, most) in [(false, 8 * 1024), (true, 64 * 1024)] {
        for (tool, arguments) in [
            ("show_run", json!({ "run": run, "full": full })),
            ("list_events", json!({ "run": run, "limit": 1000, "full": full })),
            ("diff_runs", json!({ "run": run, "from": 1, "full": full })),
        ] {
            let shown = agent.calls(tool, arguments).await;
            let size = shown.to_string().len();
            assert!(size <= most && size > 100, "{tool} {full}: {size}");
        }
    }
}

#[tokio::test]
async fn resources_are_runs_pipelines_and_pages() {
    let api = Api::new();
    let run = api.asking().await;
    let agent = Agent::of(&api);
    let listed = agent.asks("resources/list", json!({})).await;
    for resource in listed["result"]["resources"].as_array().unwrap() {
        let read = agent.asks("resources/read", json!({ "uri": resource["uri"] })).await;
        assert!(read["result"]["contents"][0]["text"].as_str().unwrap().len() > 1000, "{resource}");
    }
    let templates = agent.asks("resources/templates/list", json!({})).await;
    assert_eq!(templates["result"]["resourceTemplates"].as_array().unwrap().len(), 3);
    let shown = agent.asks("resources/read", json!({ "uri": format!("everfold://runs/{run}") })).await;
    assert!(shown["result"]["contents"][0]["text"].as_str().unwrap().contains(&run), "{shown}");
    let delivery = agent.asks("resources/read", json!({ "uri": "everfold://pipelines/delivery" })).await;
    assert!(delivery["result"]["contents"][0]["text"].as_str().unwrap().contains("name: delivery"));
    for unknown in
        ["everfold://runs", "everfold://runs/00000000", "file:///etc/passwd", "everfold://docs/../x"]
    {
        let refused = agent.asks("resources/read", json!({ "uri": unknown })).await;
        assert_eq!(refused["error"]["code"], -32602, "{unknown}: {refused}");
    }
}

#[tokio::test]
async fn older_clients_are_served_without_a_session() {
    let api = Api::new();
    let agent = Agent::of(&api);
    let headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "old", "version": "1" },
    } });
    let response = agent.sends("POST", &headers, hello.to_string()).await;
    assert!(response.headers().get("mcp-session-id").is_none());
    let (_, answer) = read(response).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "{answer}");
    let headers = [headers[0], headers[1], ("mcp-protocol-version", "2025-06-18")];
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "list_runs", "arguments": {} } });
    let (_, answer) = read(agent.sends("POST", &headers, call.to_string()).await).await;
    assert_eq!(answer["result"]["structuredContent"]["items"], json!([]), "{answer}");
}

#[tokio::test]
async fn a_wait_says_how_far_it_is_where_its_client_wants_to_know() {
    let api = Api::new();
    let run = api.asking().await;
    let agent = Agent::of(&api);
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2025-06-18"),
    ];
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "wait_for_run", "arguments": { "run": run }, "_meta": { "progressToken": "here" },
    } });
    let response = agent.sends("POST", &headers, call.to_string()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("notifications/progress") && text.contains("\"progressToken\":\"here\""), "{text}");
    assert!(text.contains("asks: Right?") && text.contains("\"structuredContent\""), "{text}");
}

#[tokio::test]
async fn what_is_no_request_of_the_protocol_is_refused_and_harms_nothing() {
    let api = Api::new();
    let agent = Agent::of(&api);
    let json_in = ("content-type", "application/json");
    let both = ("accept", "application/json, text/event-stream");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_call = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"list_runs\",\"arguments\":{{\"filter\":{}1{}}}}}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    for body in ["", "{", "null", "[]", "[1]", "\u{0}", "{\"jsonrpc\":\"2.0\"}", &deep, &deep_call] {
        let answer = agent.sends("POST", &[json_in, both], body.to_owned()).await;
        assert!(answer.status().is_client_error(), "{:.40}: {}", body, answer.status());
    }
    for (method, headers, status) in [
        ("GET", vec![both], 405),
        ("DELETE", vec![both], 405),
        ("PUT", vec![both], 405),
        ("POST", vec![("content-type", "application/x-www-form-urlencoded"), both], 415),
        ("POST", vec![json_in], 406),
        // Whatever the answer is like: that this is no message is said as JSON.
        ("POST", vec![json_in, ("accept", "*/*")], 400),
    ] {
        let answer = agent.sends(method, &headers, "{}").await;
        assert_eq!(answer.status().as_u16(), status, "{method} {headers:?}");
    }
    let large = format!("{{\"jsonrpc\":\"2.0\",\"x\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
    assert_eq!(agent.sends("POST", &[json_in, both], large).await.status().as_u16(), 413);
    assert_eq!(agent.calls("list_runs", json!({})).await["items"], json!([]), "it goes on");
}

#[tokio::test]
async fn a_stranger_is_asked_for_a_token() {
    let api = Api::new();
    let stranger = Agent { caller: Caller::anonymous(), ..Agent::of(&api) };
    let answer = stranger.sends("POST", &[("content-type", "application/json")], "{}").await;
    assert_eq!(answer.status().as_u16(), 401);
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    let (_, problem) = read(answer).await;
    assert_eq!(problem["code"], "EF0601", "{problem}");
}
