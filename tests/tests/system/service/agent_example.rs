//! The official SDK in Python drives a delivery over the protocol and answers ten questions, by the example of the guide.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::fixtures::Place;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/mcp_agent.py");
const PROGRAM: &str = env!("CARGO_BIN_EXE_everfold-under-test");

/// A Python that has the SDK. Where `EVERFOLD_PYTHON` names one it must have it: a skipped proof is no proof.
fn python() -> Option<String> {
    let named = std::env::var("EVERFOLD_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let asked = Command::new(&python).args(["-c", "import mcp.client.extension"]).output();
    let has = asked.is_ok_and(|done| done.status.success());
    assert!(has || named.is_none(), "{python} has no `mcp` of version 2.3 or later");
    has.then_some(python)
}

fn said(done: Output) -> Value {
    let [out, err] = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(done.status.success(), "{out}{err}");
    serde_json::from_str(&out[out.find("\n{\n").unwrap()..]).unwrap()
}

/// What an agent should have done and found out.
fn is_right(said: &Value, actor: &str) {
    assert_eq!(said["seen"][0], "working", "{said:#}");
    let seen: Vec<&str> = said["seen"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(seen.contains(&"input_required") && seen.last() == Some(&"completed"), "{seen:?}");
    let questions = &said["questions"];
    assert_eq!(questions.as_object().unwrap().len(), 10);
    let answer = |question: &str| questions[question].clone();
    let end = answer("What came of it?");
    assert_eq!((&end["id"], &end["status"]), (&said["task"], &json!("succeeded")));
    assert_eq!(end["output"], json!({ "words": 3, "to": "board" }));
    assert!(answer("Why is it where it is?").to_string().contains("succeeded"));
    assert_eq!(answer("Which runs of the pipeline are there?")["items"].as_array().unwrap().len(), 1);
    let votes = answer("Who decided what?").to_string();
    assert!(
        votes.contains(actor) && votes.contains("shorter, please") && votes.contains("well done"),
        "{votes}"
    );
    assert_eq!(answer("What did its first step write, in the end?")["round"], 2, "it was reworked");
    assert_eq!(answer("What happened first?")["items"][0]["event"]["type"], "RunStarted");
    assert_eq!(answer("Where was it after its second event?")["version"], 2);
    assert_eq!(answer("What changed since then?")["from"]["version"], 2);
    assert_eq!(answer("How many succeeded?")["grouped"]["groups"][0]["by_status"]["succeeded"], 1);
    assert!(answer("What did it cost?")["total"].is_object());
    assert!(said["tools"].as_array().unwrap().len() >= 20, "{}", said["tools"]);
}

#[test]
fn the_python_sdk_drives_a_delivery_and_answers_ten_questions() {
    let text = include_str!("../../../../docs/examples/mcp_agent.py");
    assert!(text.lines().count() <= 160, "an example of {} lines", text.lines().count());
    let Some(python) = python() else {
        println!(
            "NOT SHOWN: python3 has no `mcp` 2.3 (pip install mcp; EVERFOLD_PYTHON names one that has it)"
        );
        return;
    };
    let place = Place::new("");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let operator = json!({ "name": "agent", "role": "operator" });
    let made = runtime.block_on(place.client().post("/api/v1/tokens", "agent", &operator));
    let mut far = Command::new(&python);
    far.args([SCRIPT, "http", &format!("http://{}/mcp", place.address)])
        .env("EVERFOLD_TOKEN", made["token"].as_str().unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*");
    is_right(&said(far.output().unwrap()), "token:agent");

    let folder = tempfile::tempdir().unwrap();
    let init = Command::new(PROGRAM).arg("init").current_dir(folder.path()).output().unwrap();
    assert!(init.status.success());
    let mut near = Command::new(&python);
    near.args([SCRIPT, "stdio", PROGRAM, "mcp"])
        .current_dir(folder.path())
        .env_remove("EVERFOLD_DIR")
        .env("EVERFOLD_USER", "agent")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    is_right(&said(near.output().unwrap()), "user:agent");
}
