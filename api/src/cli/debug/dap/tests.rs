//! The adapter as an editor sees it: frames in, frames out, with a run that a fake of the routes gives.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, LocalSet};

use super::adapter::{DapAdapter, DapOrigin};
use super::frames::{DapFrame, DapFrameError, DapFrameReader, write_frame};
use super::routes::{RouteAnswer, RunRoutes};
use super::session::speak;
use crate::fault::{Code, Fault};

const TEXT: &str = "\
name: ship
steps:
  - id: build
    command: make
    gates:
      - { id: tests, tests: {} }
  - id: send
    command: echo sent
";
const LAST: u64 = 13;

fn event(version: u64) -> Value {
    let id = |step: &str, attempt: u64| json!({ "path": { "step": step, "item": null }, "round": 1, "attempt": attempt });
    let (what, input) = match version {
        1 => (json!({ "type": "RunStarted" }), 1),
        2 => (json!({ "type": "StepScheduled", "id": id("build", 1) }), 1),
        3 => (json!({ "type": "AttemptStarted", "id": id("build", 1) }), 3),
        4 => (
            json!({ "type": "AttemptFailed", "id": id("build", 1), "failure": { "kind": "exit", "message": "it broke" } }),
            4,
        ),
        5 => (json!({ "type": "RetryScheduled", "id": id("build", 2) }), 4),
        6 => (json!({ "type": "AttemptStarted", "id": id("build", 2) }), 6),
        7 => (json!({ "type": "AttemptSucceeded", "id": id("build", 2) }), 7),
        8 => (json!({ "type": "ProbeScheduled", "id": id("build", 2), "gate": "tests" }), 7),
        9 => {
            (json!({ "type": "GateEvaluated", "id": id("build", 2), "gate": "tests", "verdict": "fail" }), 9)
        }
        10 => (json!({ "type": "StepScheduled", "id": id("send", 1) }), 9),
        11 => (json!({ "type": "AttemptStarted", "id": id("send", 1) }), 11),
        12 => (json!({ "type": "AttemptSucceeded", "id": id("send", 1) }), 12),
        _end => (json!({ "type": "RunSucceeded" }), 12),
    };
    json!({ "version": version, "recorded_at": format!("2026-11-26T10:00:{version:02}.250Z"), "actor": "engine",
        "cause": { "input": format!("i{input}"), "because": 1 }, "event": what })
}

fn state(version: u64) -> Value {
    let status = if version < 3 { "pending" } else { "running" };
    json!({ "version": version, "status": "running", "input": { "title": "x" },
        "steps": [{ "id": "build", "status": status, "round": 1 }, { "id": "send", "status": "pending" }] })
}

/// A run that has recorded so much.
struct FakeRun {
    last: Cell<u64>,
    recorded: Notify,
    /// The server is away: it answers nothing any more.
    is_away: Cell<bool>,
}

impl FakeRun {
    fn at(last: u64) -> Rc<Self> {
        Rc::new(Self { last: Cell::new(last), recorded: Notify::new(), is_away: Cell::new(false) })
    }

    fn record(&self, last: u64) {
        self.last.set(last);
        self.recorded.notify_waiters();
    }

    fn view(&self) -> Value {
        let status = if self.last.get() == LAST { "succeeded" } else { "running" };
        json!({ "id": "0198", "short_id": "5b8093ed", "title": "Fix it", "pipeline": "ship", "definition": "cafe",
            "version": self.last.get(), "status": status })
    }

    fn answer(&self, path: &str) -> Result<Value, Fault> {
        let (path, params) = path.split_once('?').unwrap_or((path, ""));
        let number = |name: &str| {
            let mut pairs = params.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value.parse::<u64>().ok())
                .unwrap_or_default()
        };
        Ok(match path.trim_start_matches("/api/v1/") {
            "runs/@" | "runs/0198" => self.view(),
            "runs/0198/definition" => json!({ "name": "ship", "steps": [
                { "id": "build", "gates": [{ "id": "tests" }] }, { "id": "send" }] }),
            "pipelines/ship@cafe" => json!({ "hash": "cafe", "text": TEXT }),
            "runs/0198/events" => {
                // A part ends early where events are large.
                let end = (number("from") + number("limit").min(4)).min(self.last.get() + 1);
                json!({ "items": (number("from")..end).map(event).collect::<Vec<_>>() })
            }
            "runs/0198/state" => state(number("version")),
            "runs/0198/why" => json!({ "causes": [{ "kind": "attempt", "subject": { "step": "build" },
                "sentence": "the attempt broke", "since": null, "until": null, "evidence": null }] }),
            "runs/0198/bisect" if params.contains("true") => {
                json!({ "first": { "version": number("from").max(2) } })
            }
            "runs/0198/bisect" => json!({ "first": null, "unknown": [] }),
            other => return Err(Fault::new(Code::NoRun, format!("there is no {other}")).hint("look again")),
        })
    }
}

struct FakeRoutes(Rc<FakeRun>);

impl RunRoutes for FakeRoutes {
    fn get(&self, path: String) -> RouteAnswer<Value> {
        if self.0.is_away.get() {
            return std::future::pending().boxed_local();
        }
        let answer = self.0.answer(&path);
        async move { answer }.boxed_local()
    }

    fn log(&self, path: String, _most: usize) -> RouteAnswer<Vec<Value>> {
        let records = vec![
            json!({ "source": "stdout", "text": format!("out of {path}"), "complete": true }),
            json!({ "source": "stderr", "text": "cc: error\u{1b}[2J", "complete": true }),
        ];
        async move { Ok(records) }.boxed_local()
    }

    fn recorded(&self, _run: String, version: u64) -> LocalBoxFuture<'static, ()> {
        let run = Rc::clone(&self.0);
        async move {
            loop {
                let more = run.recorded.notified();
                if run.last.get() >= version {
                    return;
                }
                more.await;
            }
        }
        .boxed_local()
    }
}

/// An editor.
struct FakeEditor {
    input: Option<DuplexStream>,
    output: DapFrameReader<DuplexStream>,
    seq: i64,
    events: VecDeque<Value>,
    session: JoinHandle<Result<(), DapFrameError>>,
}

impl FakeEditor {
    fn begin(run: &Rc<FakeRun>) -> Self {
        let routes = Rc::new(FakeRoutes(Rc::clone(run)));
        let adapter =
            DapAdapter::new(DapOrigin { routes, run: "@".to_owned(), folder: None, is_here: false });
        // A pipe each: the end of one is not that of the other.
        let (input, far_in) = tokio::io::duplex(1024 * 1024);
        let (output, far_out) = tokio::io::duplex(1024 * 1024);
        let session = tokio::task::spawn_local(speak(adapter, far_in, far_out));
        let output = DapFrameReader::new(output);
        Self { input: Some(input), output, seq: 0, events: VecDeque::new(), session }
    }

    /// One that stands at the entry.
    async fn attached(run: &Rc<FakeRun>, configuration: Value) -> Self {
        let mut editor = Self::begin(run);
        let capabilities = editor.ask("initialize", json!({ "adapterID": "everfold" })).await;
        assert_eq!(capabilities["supportsStepBack"], true);
        editor.ask("launch", configuration).await;
        editor.event("initialized").await;
        editor.ask("configurationDone", Value::Null).await;
        editor
    }

    async fn send(&mut self, command: &str, arguments: Value) -> i64 {
        self.seq += 1;
        let request =
            json!({ "seq": self.seq, "type": "request", "command": command, "arguments": arguments });
        write_frame(self.input.as_mut().unwrap(), &request).await.unwrap();
        self.seq
    }

    async fn message(&mut self) -> Value {
        match self.output.next().await.unwrap() {
            Some(DapFrame::Message(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    /// The response to a request; events that come before it are kept.
    async fn response(&mut self, seq: i64) -> Value {
        loop {
            let message = self.message().await;
            if message["type"] == "response" {
                assert_eq!(message["request_seq"], seq, "{message}");
                return message;
            }
            self.events.push_back(message);
        }
    }

    async fn ask(&mut self, command: &str, arguments: Value) -> Value {
        let seq = self.send(command, arguments).await;
        let response = self.response(seq).await;
        assert_eq!(response["success"], true, "{command}: {response}");
        response["body"].clone()
    }

    async fn refused(&mut self, command: &str, arguments: Value) -> String {
        let seq = self.send(command, arguments).await;
        let response = self.response(seq).await;
        assert_eq!(response["success"], false, "{command}: {response}");
        response["message"].as_str().unwrap().to_owned()
    }

    async fn event(&mut self, name: &str) -> Value {
        loop {
            let message = match self.events.pop_front() {
                Some(message) => message,
                None => self.message().await,
            };
            if message["event"] == name {
                return message["body"].clone();
            }
        }
    }

    /// Goes on, and where it stops: the reason, and the name of the frame on top.
    async fn stops(&mut self, command: &str) -> (String, u64) {
        self.ask(command, json!({ "threadId": 1 })).await;
        self.stopped().await
    }

    async fn stopped(&mut self) -> (String, u64) {
        let stopped = self.event("stopped").await;
        let stack = self.ask("stackTrace", json!({ "threadId": 1 })).await;
        let name = stack["stackFrames"][0]["name"].as_str().unwrap().to_owned();
        let version = name[1..].split(' ').next().unwrap().parse().unwrap();
        (stopped["reason"].as_str().unwrap().to_owned(), version)
    }

    async fn ends(mut self) {
        self.input = None;
        self.session.await.unwrap().unwrap();
    }
}

/// Runs a test with an editor at the first event of a run that has ended.
fn with_editor<F: Future<Output = ()>>(test: impl FnOnce(FakeEditor) -> F) {
    on_one_thread(async {
        let mut editor = FakeEditor::attached(&FakeRun::at(LAST), json!({})).await;
        assert_eq!(editor.stopped().await, ("entry".to_owned(), 1));
        test(editor).await;
    });
}

fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test));
}

fn stop(reason: &str, version: u64) -> (String, u64) {
    (reason.to_owned(), version)
}

#[test]
fn steps_go_through_events_of_a_step_out_of_it_and_back() {
    with_editor(|mut editor| async move {
        for (command, wanted) in [
            ("next", stop("step", 2)),
            ("next", stop("step", 3)),
            ("stepIn", stop("step", 4)),
            ("stepOut", stop("step", 10)),
            ("stepBack", stop("step", 9)),
            ("next", stop("step", 10)),
            ("next", stop("step", 11)),
            ("next", stop("step", 12)),
            ("next", stop("step", 13)),
            ("next", stop("pause", 13)),
            ("reverseContinue", stop("entry", 1)),
            ("stepBack", stop("entry", 1)),
            ("continue", stop("pause", 13)),
        ] {
            assert_eq!(editor.stops(command).await, wanted, "{command}");
        }
        editor.ends().await;
    });
}

#[test]
fn breakpoints_stop_on_the_way_forward_and_back() {
    with_editor(|mut editor| async move {
        let source = json!({ "name": "ship.yaml", "sourceReference": 1 });
        let lines =
            json!([{ "line": 4, "condition": "type=AttemptSucceeded" }, { "line": 6 }, { "line": 1 }]);
        let set = editor.ask("setBreakpoints", json!({ "source": source, "breakpoints": lines })).await;
        let shown: Vec<(bool, Option<u64>)> = (0..3)
            .map(|at| (set["breakpoints"][at]["verified"] == true, set["breakpoints"][at]["line"].as_u64()))
            .collect();
        assert_eq!(shown, [(true, Some(3)), (true, Some(6)), (false, None)], "{set}");
        let steps = json!([{ "name": "send", "condition": "type=StepScheduled" }, { "name": "snd" }, { "name": "build.size" }]);
        let set = editor.ask("setFunctionBreakpoints", json!({ "breakpoints": steps })).await;
        let said = set["breakpoints"][1]["message"].as_str().unwrap();
        assert_eq!(said, "the pipeline has no step snd: did you mean send?");
        assert_eq!(set["breakpoints"][2]["message"], "the step build has no gate size: it has tests");
        let wanted = [
            ("continue", stop("breakpoint", 7)),
            ("continue", stop("breakpoint", 8)),
            ("continue", stop("breakpoint", 9)),
            ("continue", stop("function breakpoint", 10)),
            ("continue", stop("pause", 13)),
            ("reverseContinue", stop("function breakpoint", 10)),
            ("reverseContinue", stop("breakpoint", 9)),
        ];
        for (command, wanted) in wanted {
            assert_eq!(editor.stops(command).await, wanted);
        }
        editor.ends().await;
    });
}

#[test]
fn failures_verdicts_and_decisions_stop_it_and_say_what_they_are() {
    with_editor(|mut editor| async move {
        editor.ask("setExceptionBreakpoints", json!({ "filters": ["failure", "verdict"] })).await;
        assert_eq!(editor.stops("continue").await, stop("exception", 4));
        let info = editor.ask("exceptionInfo", json!({ "threadId": 1 })).await;
        assert_eq!(
            (&info["exceptionId"], &info["details"]["message"]),
            (&json!("AttemptFailed"), &json!("it broke"))
        );
        assert_eq!(editor.stops("continue").await, stop("exception", 9));
        let options = json!([{ "filterId": "decision", "condition": "step=send" }, { "filterId": "odd" }]);
        let set =
            editor.ask("setExceptionBreakpoints", json!({ "filters": [], "filterOptions": options })).await;
        assert_eq!(set["breakpoints"][1]["message"], "there is no filter odd");
        assert_eq!(editor.stops("reverseContinue").await, stop("entry", 1));
        editor.ends().await;
    });
}

#[test]
fn a_stack_says_why_it_came_to_an_event_with_the_lines_of_its_steps() {
    with_editor(|mut editor| async move {
        editor.ask("goto", json!({ "threadId": 1, "targetId": 10 })).await;
        assert_eq!(editor.stopped().await, stop("goto", 10));
        let stack = editor.ask("stackTrace", json!({ "threadId": 1 })).await;
        let frames: Vec<(String, u64)> = stack["stackFrames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| (frame["name"].as_str().unwrap().to_owned(), frame["line"].as_u64().unwrap()))
            .collect();
        let wanted = [
            ("v10 StepScheduled send 1.1", 7),
            ("v9 GateEvaluated build 1.2", 6),
            ("v8 ProbeScheduled build 1.2", 6),
            ("v7 AttemptSucceeded build 1.2", 3),
            ("v6 AttemptStarted build 1.2", 3),
            ("v5 RetryScheduled build 1.2", 3),
            ("v4 AttemptFailed build 1.1", 3),
            ("v3 AttemptStarted build 1.1", 3),
            ("v2 StepScheduled build 1.1", 3),
            ("v1 RunStarted", 1),
            ("── why the run stood there after v10", 0),
            ("the attempt broke", 3),
        ];
        assert_eq!(frames.iter().map(|(name, line)| (name.as_str(), *line)).collect::<Vec<_>>(), wanted);
        let part = editor.ask("stackTrace", json!({ "threadId": 1, "startFrame": 1, "levels": 2 })).await;
        assert_eq!((part["stackFrames"].as_array().unwrap().len(), &part["totalFrames"]), (2, &json!(12)));
        // The state below a frame is that of its version.
        let scopes = editor.ask("scopes", json!({ "frameId": 10 })).await;
        assert_eq!(scopes["scopes"][1]["name"], "State at v1");
        let source = editor.ask("source", json!({ "sourceReference": 1 })).await;
        assert_eq!(source["content"], TEXT);
        let again = editor.ask("restartFrame", json!({ "frameId": 7 })).await;
        assert_eq!((again, editor.stopped().await), (Value::Null, stop("goto", 4)));
        editor.ends().await;
    });
}

#[test]
fn values_unfold_and_say_what_changed() {
    with_editor(|mut editor| async move {
        editor.ask("goto", json!({ "threadId": 1, "targetId": 3 })).await;
        editor.stopped().await;
        let scopes = editor.ask("scopes", json!({ "frameId": 1 })).await;
        let below = |at: usize| scopes["scopes"][at]["variablesReference"].clone();
        let changed = editor.ask("variables", json!({ "variablesReference": below(0) })).await;
        let change = &changed["variables"][0];
        assert_eq!(change["name"], "steps.build.status");
        assert_eq!(change["value"], "~ \"pending\" → \"running\"");
        let state = editor.ask("variables", json!({ "variablesReference": below(1) })).await;
        let steps = &state["variables"][1];
        assert_eq!((&steps["name"], &steps["namedVariables"]), (&json!("steps"), &json!(2)));
        let steps =
            editor.ask("variables", json!({ "variablesReference": steps["variablesReference"] })).await;
        assert_eq!(steps["variables"][0]["evaluateName"], "steps.build");
        let event = editor.ask("variables", json!({ "variablesReference": below(2) })).await;
        assert!(event["variables"].as_array().unwrap().iter().any(|field| field["name"] == "actor"));
        editor.stops("next").await;
        let why = editor.refused("variables", json!({ "variablesReference": below(1) })).await;
        assert!(why.contains("it has gone on since then"), "{why}");
        editor.ends().await;
    });
}

#[test]
fn expressions_are_paths_or_conditions_and_the_console_goes_places() {
    with_editor(|mut editor| async move {
        let ask = |expression: &str, context: &str| json!({ "expression": expression, "context": context });
        for (expression, context, wanted) in [
            ("steps.build.status", "watch", "\"pending\""),
            ("${ input.title }", "hover", "\"x\""),
            ("build", "hover", "pending 1.0"),
            ("input", "clipboard", "{\n  \"title\": \"x\"\n}"),
            ("true || false", "watch", "true"),
            ("false", "repl", "false"),
        ] {
            let answer = editor.ask("evaluate", ask(expression, context)).await;
            assert_eq!(answer["result"], wanted, "{expression}");
        }
        assert_eq!(editor.refused("evaluate", ask("nothing", "hover")).await, "the state has no nothing");
        for (expression, wanted) in [
            ("/verdict=fail", stop("goto", 9)),
            ("?step=build type=AttemptStarted", stop("goto", 6)),
            ("?", stop("goto", 3)),
            ("goto 12", stop("goto", 12)),
            ("first true", stop("goto", 2)),
        ] {
            editor.ask("evaluate", ask(expression, "repl")).await;
            assert_eq!(editor.stopped().await, wanted, "{expression}");
        }
        let refused = editor.refused("evaluate", ask("goto 99", "repl")).await;
        assert_eq!(refused, "the run has no version 99: they go from 1 to 13");
        assert!(editor.refused("evaluate", ask("/a || b", "repl")).await.contains("cannot be searched for"));
        let help = editor.ask("evaluate", ask("help", "repl")).await;
        assert!(help["result"].as_str().unwrap().contains("/verdict=fail"));
        let why = editor.ask("evaluate", ask("why", "repl")).await;
        assert!(why["result"].as_str().unwrap().contains("What happened"));
        let names = editor.ask("completions", json!({ "text": "steps.bu", "column": 9 })).await;
        assert_eq!(names["targets"][0]["label"], "build");
        editor.ends().await;
    });
}

#[test]
fn what_attempts_printed_on_the_way_is_shown_by_its_stream() {
    with_editor(|mut editor| async move {
        editor.stops("next").await;
        editor.ask("continue", json!({ "threadId": 1 })).await;
        let mut output = Vec::new();
        while output.len() < 4 {
            let body = editor.event("output").await;
            output.push((body["category"].clone(), body["output"].as_str().unwrap().to_owned()));
        }
        assert_eq!(output[0], (json!("console"), "── log of build 1.1\n".to_owned()));
        assert!(output[1].0 == "stdout" && output[1].1.contains("/attempts/build/1/1/log"), "{output:?}");
        assert_eq!(output[2], (json!("stderr"), "cc: error\n".to_owned()));
        editor.ends().await;
    });
}

#[test]
fn a_run_that_goes_on_is_waited_for_and_can_be_paused() {
    on_one_thread(async {
        let run = FakeRun::at(3);
        let mut editor = FakeEditor::begin(&run);
        editor.ask("initialize", json!({})).await;
        editor.ask("attach", json!({})).await;
        editor.ask("setExceptionBreakpoints", json!({ "filters": ["verdict"] })).await;
        editor.ask("configurationDone", Value::Null).await;
        assert_eq!(editor.stopped().await, stop("entry", 3), "attach begins at the newest event");
        editor.ask("continue", json!({ "threadId": 1 })).await;
        let refused = editor.refused("continue", json!({ "threadId": 1 })).await;
        assert!(refused.contains("pause stops it"), "{refused}");
        run.record(10);
        assert_eq!(editor.stopped().await, stop("exception", 9));
        assert_eq!(editor.stops("continue").await, stop("pause", 10), "the newest event");
        editor.ask("continue", json!({ "threadId": 1 })).await;
        assert_eq!(editor.stops("pause").await, stop("pause", 10));
        editor.ask("continue", json!({ "threadId": 1 })).await;
        run.record(LAST);
        assert_eq!(editor.stopped().await, stop("pause", LAST), "it ended");
        editor.ends().await;
    });
}

#[test]
fn the_end_of_the_input_and_disconnect_end_it_also_while_a_server_is_away() {
    for is_asked in [true, false] {
        on_one_thread(async move {
            let run = FakeRun::at(LAST);
            let mut editor = FakeEditor::attached(&run, json!({ "version": 9 })).await;
            assert_eq!(editor.stopped().await, stop("entry", 9));
            run.is_away.set(true);
            let hanging =
                editor.send("evaluate", json!({ "expression": "first x", "context": "repl" })).await;
            if is_asked {
                let cancel = editor.send("cancel", json!({ "requestId": hanging })).await;
                assert_eq!(editor.response(hanging).await["message"], "cancelled");
                assert_eq!(editor.response(cancel).await["success"], true);
                let hanging =
                    editor.send("evaluate", json!({ "expression": "first x", "context": "repl" })).await;
                let gone = editor.send("disconnect", json!({})).await;
                assert_eq!(editor.response(hanging).await["success"], false);
                assert_eq!(editor.response(gone).await["success"], true);
                editor.session.await.unwrap().unwrap();
            } else {
                editor.ends().await;
            }
        });
    }
}

#[test]
fn what_cannot_be_done_is_refused_in_a_sentence() {
    on_one_thread(async {
        let run = FakeRun::at(LAST);
        let mut editor = FakeEditor::begin(&run);
        assert!(editor.refused("next", json!({ "threadId": 1 })).await.contains("there is no run yet"));
        assert!(editor.refused("setVariable", json!({})).await.contains("setVariable is not supported"));
        assert!(
            editor
                .refused("launch", json!({ "run": 7 }))
                .await
                .contains("the arguments of launch cannot be read")
        );
        let refused = editor.refused("launch", json!({ "run": "abc" })).await;
        assert!(refused.starts_with("there is no runs/abc") && refused.ends_with("look again"), "{refused}");
        let refused = editor.refused("attach", json!({ "version": 40 })).await;
        assert_eq!(refused, "the run has no version 40: they go from 1 to 13");
        let input = editor.input.as_mut().unwrap();
        tokio::io::AsyncWriteExt::write_all(input, b"Content-Length: 3\r\n\r\n{x}").await.unwrap();
        assert!(editor.event("output").await["output"].as_str().unwrap().contains("no JSON"));
        editor.ask("attach", json!({ "at": "2026-11-26T10:00:00Z" })).await;
        let text = editor.ask("loadedSources", json!({})).await;
        assert_eq!(text["sources"][0]["name"], "ship.yaml");
        editor.ends().await;
    });
}
