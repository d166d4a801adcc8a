//! `everfold debug --dap`: an editor's debugger on the program's standard input and output.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::fixtures::Scratch;

const SHIP: &str = "\
name: ship
steps:
  - id: build
    command: echo built; echo warned >&2
    gates:
      - id: tests
        command: 'false'
  - { id: send, command: 'echo sent' }
";

/// An editor.
struct DapEditor {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    seq: u64,
    events: Vec<Value>,
}

impl Drop for DapEditor {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

impl DapEditor {
    fn begin(mut command: Command) -> Self {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output, seq: 0, events: Vec::new() }
    }

    fn writes(&mut self, body: &str) {
        let input = self.input.as_mut().unwrap();
        write!(input, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        input.flush().unwrap();
    }

    /// The next message; standard output has nothing beside them.
    fn reads(&mut self) -> Value {
        let mut head = String::new();
        self.output.read_line(&mut head).unwrap();
        let length = head.trim_end().strip_prefix("Content-Length: ").unwrap_or_else(|| panic!("{head:?}"));
        let mut rest = vec![0; length.parse::<usize>().unwrap() + 2];
        self.output.read_exact(&mut rest).unwrap();
        serde_json::from_slice(rest.strip_prefix(b"\r\n").unwrap()).unwrap()
    }

    fn response(&mut self, command: &str, arguments: Value) -> Value {
        self.seq += 1;
        let request =
            json!({ "seq": self.seq, "type": "request", "command": command, "arguments": arguments });
        self.writes(&request.to_string());
        loop {
            let message = self.reads();
            if message["type"] == "response" {
                assert_eq!(message["request_seq"], self.seq, "{message}");
                return message;
            }
            self.events.push(message);
        }
    }

    fn asks(&mut self, command: &str, arguments: Value) -> Value {
        let response = self.response(command, arguments);
        assert_eq!(response["success"], true, "{command}: {response}");
        response["body"].clone()
    }

    /// The next event of a kind; what was printed before it is kept.
    fn awaits(&mut self, kind: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["event"] == kind) {
                return self.events.remove(at)["body"].clone();
            }
            let event = self.reads();
            self.events.push(event);
        }
    }

    /// Goes on: the reason for which it stops, the name of the frame on top, and its line.
    fn goes(&mut self, command: &str) -> (String, String, u64) {
        self.asks(command, json!({ "threadId": 1 }));
        self.stands()
    }

    fn stands(&mut self) -> (String, String, u64) {
        let stopped = self.awaits("stopped");
        let stack = self.asks("stackTrace", json!({ "threadId": 1 }));
        let frame = &stack["stackFrames"][0];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&stopped["reason"]), text(&frame["name"]), frame["line"].as_u64().unwrap())
    }

    fn begins(&mut self, request: &str, configuration: Value) {
        let can = self.asks("initialize", json!({ "adapterID": "everfold", "linesStartAt1": true }));
        assert_eq!(can["supportsStepBack"], true);
        self.asks(request, configuration);
        self.awaits("initialized");
    }

    fn ends(mut self) -> Option<i32> {
        self.asks("disconnect", json!({}));
        self.process.wait().unwrap().code()
    }
}

#[test]
fn an_editor_steps_through_the_history_of_a_run_in_a_folder_and_at_a_server() {
    let scratch = Scratch::new();
    scratch.write("ship.yaml", SHIP);
    scratch.run(&["run", "ship.yaml"]);
    for is_far in [false, true] {
        let served = is_far.then(|| scratch.serve(&[]));
        let mut editor = DapEditor::begin(match &served {
            Some((_, place)) => {
                std::fs::create_dir_all(scratch.path("elsewhere")).unwrap();
                let mut command = scratch.far(place, &["debug", "--dap"]);
                command.current_dir(scratch.path("elsewhere"));
                command
            }
            None => scratch.command(&["debug", "@", "--dap"]),
        });
        editor.begins("launch", json!({ "run": "@" }));
        let source = editor.asks("loadedSources", json!({}))["sources"][0].clone();
        // In the folder the file is that of the run; elsewhere what the run is pinned to is read.
        let own = scratch.path("ship.yaml").canonicalize().unwrap();
        assert_eq!(source["path"].as_str(), own.to_str().filter(|_| !is_far), "{source}");
        let text = match is_far {
            true => {
                editor.asks("source", json!({ "source": source, "sourceReference": 1 }))["content"].clone()
            }
            false => json!(SHIP),
        };
        let text = text.as_str().unwrap().to_owned();
        let line = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() as u64 + 1;
        let lines =
            json!([{ "line": line("tests") }, { "line": line("build"), "condition": "type=AttemptStarted" }]);
        let set = editor.asks("setBreakpoints", json!({ "source": source, "breakpoints": lines }));
        assert_eq!(set["breakpoints"][0]["line"].as_u64(), Some(line("tests")), "{set} {text}");
        editor.asks("setExceptionBreakpoints", json!({ "filters": ["failure"] }));
        editor.asks("configurationDone", Value::Null);
        let (reason, frame, _) = editor.stands();
        assert!(reason == "entry" && frame.starts_with("v1 "), "{reason} {frame}");

        let (reason, frame, at) = editor.goes("continue");
        assert!(reason == "breakpoint" && frame.contains("AttemptStarted build 1.1"), "{frame}");
        assert_eq!(at, line("build"));
        let (reason, frame, at) = editor.goes("continue");
        assert!(reason == "breakpoint" && frame.contains("ProbeScheduled build"), "{frame}");
        assert_eq!(at, line("tests"));
        let printed: Vec<(String, String)> = editor
            .events
            .iter()
            .filter(|event| event["event"] == "output")
            .map(|event| {
                (
                    event["body"]["category"].as_str().unwrap().to_owned(),
                    event["body"]["output"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        assert!(printed.contains(&("stdout".to_owned(), "built\n".to_owned())), "{printed:?}");
        assert!(printed.contains(&("stderr".to_owned(), "warned\n".to_owned())), "{printed:?}");
        let (_, frame, _) = editor.goes("stepBack");
        assert!(frame.contains("AttemptSucceeded build 1.1"), "{frame}");

        let status = json!({ "expression": "steps.build.status", "context": "watch" });
        assert_eq!(editor.asks("evaluate", status)["result"], "\"gating\"");
        let found = editor.asks("evaluate", json!({ "expression": "/verdict=fail", "context": "repl" }));
        let (reason, frame, _) = editor.stands();
        assert!(reason == "goto" && frame.contains("GateEvaluated build"), "{found} {frame}");
        let verdict = json!({ "expression": "steps.build.gates.tests.verdict", "context": "watch" });
        assert_eq!(editor.asks("evaluate", verdict)["result"], "\"fail\"");
        let blocked =
            editor.asks("evaluate", json!({ "expression": "steps.build.round > 5", "context": "watch" }));
        assert_eq!(blocked["result"], "false");
        let scopes = editor.asks("scopes", json!({ "frameId": 1 }))["scopes"].clone();
        let changed =
            editor.asks("variables", json!({ "variablesReference": scopes[0]["variablesReference"] }));
        assert!(changed["variables"].to_string().contains("fail"), "{changed}");

        let refused = editor.response("setVariable", json!({}));
        assert_eq!(refused["success"], false);
        editor.writes("{no json");
        assert!(editor.awaits("output")["output"].is_string());
        assert_eq!(editor.goes("reverseContinue").0, "breakpoint");
        assert_eq!(editor.ends(), Some(0));
    }
}

#[test]
fn an_editor_waits_for_what_a_run_records_and_the_run_does_not_wait_for_it() {
    let scratch = Scratch::new();
    scratch.write("held.yaml", "name: held\nsteps:\n  - { id: ok, approval: { title: Go? } }\n  - { id: send, command: echo sent }\n");
    let (_server, _) = scratch.serve(&[]);
    scratch.run(&["run", "held.yaml", "--detach"]);
    scratch.await_status("@", "waiting");
    let mut editor = DapEditor::begin(scratch.command(&["debug", "--dap"]));
    editor.begins("attach", json!({}));
    editor.asks(
        "setFunctionBreakpoints",
        json!({ "breakpoints": [{ "name": "send", "condition": "type=AttemptSucceeded" }] }),
    );
    editor.asks("configurationDone", Value::Null);
    assert_eq!(editor.stands().0, "entry");
    editor.asks("continue", json!({ "threadId": 1 }));
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    scratch.await_status("@", "succeeded");
    let (reason, frame, _) = editor.stands();
    assert!(reason == "function breakpoint" && frame.contains("AttemptSucceeded send"), "{frame}");
    assert_eq!(editor.goes("continue").0, "pause");
    // The end of its input is as good as a farewell.
    editor.input = None;
    assert_eq!(editor.process.wait().unwrap().code(), Some(0));
}
