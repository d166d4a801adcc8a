//! `everfold mcp`: an agent's client on the program's standard input and output, however it reaches the runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::fixtures::{Running, Scratch, Served, await_that};

const SHIP: &str = "\
name: ship
input: { type: object, required: [task], properties: { task: { type: string } } }
steps:
  - { id: build, command: 'pwd; echo built' }
  - { id: sign, approval: { title: 'Ship ${input.task}?', show: ['3 files'] } }
  - { id: send, command: 'echo sent' }
";
const HELD: &str = "\
name: held
steps:
  - { id: work, command: 'until [ -e go ]; do sleep 0.05; done; echo done' }
";

/// A client that speaks the version of the protocol in which each request says all of itself.
struct AgentClient {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    last_id: u64,
}

impl Drop for AgentClient {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

impl AgentClient {
    fn begin(mut command: std::process::Command) -> Self {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output, last_id: 0 }
    }

    fn here(scratch: &Scratch) -> Self {
        Self::begin(scratch.command(&["mcp"]))
    }

    fn writes(&mut self, line: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line).unwrap();
        input.write_all(b"\n").unwrap();
        input.flush().unwrap();
    }

    fn reads(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The answer to a request; what comes before it is passed over.
    fn asks(&mut self, method: &str, mut params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "extensions": { "io.modelcontextprotocol/tasks": {} } },
        });
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.writes(request.to_string().as_bytes());
        loop {
            let answer = self.reads();
            if answer["id"] == id {
                return answer;
            }
        }
    }

    fn calls(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.asks("tools/call", json!({ "name": tool, "arguments": arguments }));
        assert_eq!(answer["result"]["isError"], false, "{tool}: {answer}");
        answer["result"]["structuredContent"].clone()
    }

    /// Starts a run that is not followed as a task.
    fn starts(&mut self, definition: &str, input: Value) -> String {
        let arguments = json!({ "definition": definition, "input": input, "detach": true });
        self.calls("start_run", arguments)["id"].as_str().unwrap().to_owned()
    }

    /// The task of a run, when it is in this status.
    fn awaits(&mut self, task: &str, status: &str) -> Value {
        await_that(&format!("{task} is {status}"), || {
            let answer = self.asks("tasks/get", json!({ "taskId": task }));
            (answer["result"]["status"] == status).then(|| answer["result"].clone())
        })
    }

    /// Ends the input; its exit code.
    fn ends(mut self) -> Option<i32> {
        self.input = None;
        self.process.wait().unwrap().code()
    }
}

/// How the tools are reached, the folder, and its server where one runs.
type Reached = (&'static str, Scratch, Option<(Running, Served)>);

/// A folder, what serves it, and a client in one of the three ways.
fn ways() -> Vec<Reached> {
    let [alone, socket, server] = [(); 3].map(|()| {
        let scratch = Scratch::new();
        assert_eq!(scratch.run(&["init"]).code, 0);
        scratch
    });
    let owner = socket.serve(&[]);
    let served = server.serve(&[]);
    vec![("alone", alone, None), ("socket", socket, Some(owner)), ("server", server, Some(served))]
}

#[test]
fn an_agent_brings_a_run_through_alone_over_the_socket_and_at_a_server() {
    for (way, scratch, served) in ways() {
        let mut agent = match &served {
            Some((_, place)) if way == "server" => AgentClient::begin(scratch.far(place, &["mcp"])),
            _local => AgentClient::here(&scratch),
        };
        let run = agent.starts(SHIP, json!({ "task": "it" }));
        let task = agent.awaits(&run, "input_required");
        assert!(task["statusMessage"].as_str().unwrap().contains("Ship it?"), "{way}: {task}");
        let log = agent.calls("read_log", json!({ "run": run, "step": "build" }));
        let log = log["log"].as_str().unwrap();
        assert!(log.ends_with("built\n"), "{way}: {log}");
        // As with `everfold run`: a caller at this machine works in the folder in which it is.
        let here = scratch.path("").canonicalize().unwrap();
        let is_here = log.lines().next() == here.to_str();
        assert_eq!(is_here, way != "server", "{way}: {log}");
        let item = agent.calls("list_inbox", json!({ "run": run }))["items"][0].clone();
        let decision = json!({ "task": item["task"], "version": item["version"], "decision": "approve" });
        agent.calls("decide", decision);
        agent.awaits(&run, "completed");
        let votes = agent.calls("list_decisions", json!({ "run": run, "kind": "vote" }));
        let actor = if way == "server" { "token:admin" } else { "user:ada" };
        assert_eq!(votes["items"][0]["actor"], actor, "{way}");
        assert_eq!(agent.ends(), Some(0), "{way}");
    }
}

#[test]
fn what_is_no_message_is_passed_over_before_and_after_the_first_request() {
    let scratch = Scratch::new();
    let mut agent = AgentClient::here(&scratch);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_call = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{{\"name\":\"why\",\"arguments\":{{\"run\":{}1{}}}}}}}",
        "[".repeat(9_000),
        "]".repeat(9_000)
    );
    let large = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{}\"}}", "x".repeat(6 * 1024 * 1024));
    let early = json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/list" }).to_string();
    for _time in 0..2 {
        for line in [
            &b""[..],
            b"{",
            b"not json",
            b"\xff\xfe\x00",
            b"null",
            b"[]",
            b"{}",
            b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":99}}",
            b"{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}",
            deep.as_bytes(),
            deep_call.as_bytes(),
            large.as_bytes(),
            early.as_bytes(),
        ] {
            agent.writes(line);
        }
        assert_eq!(agent.calls("list_runs", json!({}))["items"], json!([]));
    }
    let unknown = agent.asks("no/such/method", json!({}));
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    // A message that breaks off ends like any other input.
    agent.input.as_mut().unwrap().write_all(b"{\"jsonrpc\":\"2.0\",\"id\":8,").unwrap();
    assert_eq!(agent.ends(), Some(0));
}

#[test]
fn a_client_that_goes_before_it_asks_leaves_nothing_behind() {
    let scratch = Scratch::new();
    assert_eq!(AgentClient::here(&scratch).ends(), Some(0));
    assert!(!scratch.data().exists(), "to look makes no folder");
    let mut agent = AgentClient::here(&scratch);
    let refused =
        agent.asks("tools/call", json!({ "name": "start_run", "arguments": { "definition": SHIP } }));
    assert_eq!(refused["result"]["structuredContent"]["code"], "EF0390", "{refused}");
    // The folder that is made meanwhile is found.
    assert_eq!(scratch.run(&["init"]).code, 0);
    let (mut server, _) = scratch.serve(&[]);
    let run = agent.starts(SHIP, json!({ "task": "it" }));
    agent.awaits(&run, "input_required");
    server.signal(Signal::TERM);
    assert_eq!(agent.ends(), Some(0));
}

#[test]
fn runs_go_on_when_the_client_is_gone() {
    for how in ["input ends", "SIGTERM"] {
        let scratch = Scratch::new();
        assert_eq!(scratch.run(&["init"]).code, 0);
        let mut agent = AgentClient::here(&scratch);
        let run = agent.starts(HELD, json!({}));
        agent.awaits(&run, "working");
        if how == "SIGTERM" {
            let pid = rustix::process::Pid::from_child(&agent.process);
            rustix::process::kill_process(pid, Signal::TERM).unwrap();
            assert_eq!(agent.process.wait().unwrap().code(), Some(0), "{how}");
        }
        assert_eq!(agent.ends(), Some(0), "{how}");
        scratch.write("go", "");
        scratch.await_status(&run, "succeeded");
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_task_goes_on_with_the_same_run() {
    let scratch = Scratch::new();
    let (mut server, served) = scratch.serve(&[]);
    let mut agent = AgentClient::begin(scratch.far(&served, &["mcp"]));
    let go = scratch.path("go").display().to_string();
    let held = HELD.replace("-e go", &format!("-e {go}"));
    let start =
        json!({ "name": "start_run", "arguments": { "definition": held, "idempotency_key": "only-once" } });
    let begun = agent.asks("tools/call", start.clone())["result"].clone();
    assert_eq!(begun["resultType"], "task", "{begun}");
    let task = begun["taskId"].as_str().unwrap().to_owned();
    agent.awaits(&task, "working");
    server.kill();
    let (_server, _) = scratch.serve(&["--listen", &served.listen()]);
    // Its answer may have been lost with the server: the client repeats the call.
    let again = agent.asks("tools/call", start)["result"].clone();
    assert_eq!(again["taskId"], begun["taskId"]);
    scratch.write("go", "");
    let done = agent.awaits(&task, "completed");
    assert_eq!(done["result"]["structuredContent"]["status"], "succeeded");
    let runs = agent.calls("list_runs", json!({}));
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{runs}");
    let log = agent.calls("read_log", json!({ "run": task, "step": "work" }));
    assert_eq!(log["log"], "done\n", "its work went on over the kill");
}

#[test]
fn many_clients_are_served_at_once_and_a_client_that_does_not_read_holds_up_no_other() {
    let scratch = Scratch::new();
    let (_server, _) = scratch.serve(&[]);
    let mut silent = AgentClient::here(&scratch);
    let mut input = silent.input.take().unwrap();
    let written = std::thread::spawn(move || {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "silent", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        for id in 0..500 {
            let request =
                json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": { "_meta": meta } });
            input.write_all(format!("{request}\n").as_bytes()).unwrap();
        }
        input
    });
    let mut agents: Vec<AgentClient> = (0..8).map(|_n| AgentClient::here(&scratch)).collect();
    for agent in &mut agents {
        assert_eq!(agent.calls("list_runs", json!({}))["items"], json!([]));
    }
    // When it reads in the end, it has every answer.
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 500 {
        answered.insert(silent.reads()["id"].as_u64().unwrap());
    }
    drop(written.join().unwrap());
    assert_eq!(silent.ends(), Some(0));
}
