//! The example in Python brings a delivery through over REST, over a killed server and a killed program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::fixtures::Place;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/delivery.py");

/// A Python that has `requests`. Where `EVERFOLD_PYTHON` names one it must have it: a skipped proof is no proof.
fn python() -> Option<String> {
    let named = std::env::var("EVERFOLD_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let asked = Command::new(&python).args(["-c", "import requests"]).output();
    let has = asked.is_ok_and(|done| done.status.success());
    assert!(has || named.is_none(), "{python} has no `requests`");
    has.then_some(python)
}

/// The program at work.
struct Delivery {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

impl Delivery {
    fn new(python: &str, place: &Place, token: &str) -> Self {
        let mut process = Command::new(python)
            .args([SCRIPT, "greet-1", "Greet several people"])
            .env("EVERFOLD_URL", format!("http://{}", place.address))
            .env("EVERFOLD_TOKEN", token)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_PROXY", "*")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output, said: String::new() }
    }

    /// Reads on until it says that.
    fn says(&mut self, text: &str) {
        let from = self.said.len();
        while !self.said[from..].contains(text) {
            let read = self.output.read_line(&mut self.said).unwrap();
            assert!(read > 0, "it ended and never said “{text}”: {}", self.said);
        }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// What it said in the end, as JSON.
    fn ends(mut self) -> Value {
        self.says("\n}\n");
        assert!(self.process.wait().unwrap().success(), "{}", self.said);
        serde_json::from_str(&self.said[self.said.find("\n{\n").unwrap()..]).unwrap()
    }
}

#[test]
fn the_python_delivery_goes_on_over_kills_of_the_server_and_of_itself() {
    let text = include_str!("../../../../docs/examples/delivery.py");
    assert!(text.lines().count() <= 120, "an example of {} lines", text.lines().count());
    let Some(python) = python() else {
        println!("not shown: python3 has no `requests` (EVERFOLD_PYTHON names one that has it)");
        return;
    };
    let mut place = Place::new("");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut admin = place.client();
    let operator = json!({ "name": "ci", "role": "operator" });
    let made = runtime.block_on(admin.post("/api/v1/tokens", "ci", &operator));
    let token = made["token"].as_str().unwrap().to_owned();

    // The server is killed while the program asks its user, so that the answer comes when no server is there.
    let mut first = Delivery::new(&python, &place, &token);
    first.says("QuestionAsked");
    place.kill();
    first.types("some");
    place.serve();
    // The program is killed while it asks its user; the next one goes on with the same run.
    first.says("ApprovalRequested");
    drop(first);
    let mut second = Delivery::new(&python, &place, &token);
    second.says("ApprovalRequested");
    second.types("it greets nobody");
    second.says("ApprovalRequested");
    place.kill();
    place.serve();
    second.types("yes");
    let end = second.ends();
    assert_eq!(end["status"], "succeeded", "{end:#}");
    assert_eq!(end["output"], json!({ "scope": "some", "change": "change.txt" }));
    let audit = end["audit"].to_string();
    assert!(
        audit.contains("it greets nobody") && audit.contains("tests") && audit.contains("token:ci"),
        "{audit}"
    );
    assert_eq!(end["spend"]["output_tokens"], 140, "both rounds: {}", end["spend"]);

    let runs = runtime.block_on(admin.get("/api/v1/runs"));
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "one run, however often it was started");
    let versions = runtime.block_on(admin.get("/api/v1/pipelines/delivery-in-small/versions"));
    assert_eq!(versions["items"].as_array().unwrap().len(), 1);
}
