//! Only the triggers of saved pipelines hear webhooks: who sets ORCH up is told, and can save what is built in.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cli::fixtures::Scratch;

const SETTINGS: &str = "[hooks.plane]\nreader = \"plane\"\nsecret = { env = \"PLANE_SECRET\" }\n";

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.data()).unwrap();
    scratch.write(".everfold/everfold.toml", SETTINGS);
    scratch
}

/// What `doctor` says of the source.
fn finding(scratch: &Scratch) -> Option<Value> {
    let said = scratch.run(&["doctor", "--json"]).json();
    said["findings"].as_array().unwrap().iter().find(|it| it["what"] == "hook plane").cloned()
}

#[test]
fn a_source_that_no_saved_pipeline_listens_to_is_named_and_the_built_in_one_is_saved_by_its_name() {
    let scratch = scratch();
    let lacking = finding(&scratch).expect("it is named");
    assert_eq!(lacking["health"], "lacking");
    assert_eq!(lacking["hint"], "everfold pipeline save orch");
    let saved = scratch.run(&["pipeline", "save", "orch"]);
    assert_eq!(saved.code, 0, "{saved:?}");
    assert!(saved.out.starts_with("orch is saved as orch@1"), "{}", saved.out);
    assert_eq!(finding(&scratch), None);
    let again = scratch.run(&["pipeline", "save", "orch"]);
    assert!(again.out.starts_with("orch is saved already as orch@1"), "{}", again.out);
    // A file of that name is what its owner means.
    scratch.write("orch.yaml", "name: orch\nsteps:\n  - { id: a, command: 'true' }\n");
    let file = scratch.run(&["pipeline", "save", "orch"]);
    assert!(file.out.starts_with("./orch.yaml is saved as orch@2"), "{file:?}");
}

#[test]
fn the_pipeline_that_init_wrote_is_saved_by_its_name_beside_the_folder_of_its_files() {
    let scratch = scratch();
    assert_eq!(scratch.run(&["init", "--pipeline", "orch"]).code, 0);
    assert!(scratch.path("orch").is_dir() && scratch.path("orch.yaml").is_file());
    let saved = scratch.run(&["pipeline", "save", "orch"]);
    assert!(saved.out.starts_with("./orch.yaml is saved as orch@1"), "{saved:?}");
    assert_eq!(finding(&scratch), None);
}

#[test]
fn a_saved_pipeline_that_is_not_the_built_in_one_of_its_name_is_told_of() {
    let scratch = scratch();
    let found = || {
        let said = scratch.run(&["doctor", "--json"]).json();
        said["findings"].as_array().unwrap().iter().find(|it| it["what"] == "pipeline orch").cloned()
    };
    scratch.run(&["pipeline", "save", "orch"]);
    assert_eq!(found(), None);
    let short = "name: orch\nsteps:\n  - { id: a, command: 'true' }\n";
    scratch.write("former.yaml", short);
    assert_eq!(scratch.run(&["pipeline", "save", "former.yaml"]).code, 0);
    let finding = found().expect("it is told of");
    assert_eq!(finding["health"], "notable");
    assert!(finding["hint"].as_str().unwrap().contains("everfold pipeline save orch"), "{finding}");
}

#[test]
fn a_server_says_which_source_nothing_listens_to_and_once_more_when_something_comes() {
    let scratch = scratch();
    scratch.write(
        "delivery.json",
        r#"{ "event": "issue", "action": "updated", "data": { "id": "i", "project": "p" } }"#,
    );
    let mut command = scratch.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    for id in ["one", "two"] {
        let sent = scratch.run(&["hook", "deliver", "plane", "delivery.json", "--id", id]);
        assert_eq!(sent.code, 0, "{sent:?}");
    }
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    let mut said = String::new();
    server.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    server.wait().unwrap();
    let warning = "no saved pipeline has a trigger with hook: plane, so deliveries lead to nothing; everfold pipeline save orch";
    assert_eq!(said.matches(warning).count(), 1, "{said}");
    assert_eq!(said.matches("no saved pipeline has a trigger with this hook").count(), 1, "{said}");
}

#[test]
fn onboarding_saves_the_pipeline_and_a_check_only_says_that_it_is_not_saved() {
    let scratch = Scratch::new();
    let away = ["--plane-url", "http://127.0.0.1:1", "--gitea-url", "http://127.0.0.1:1", "--repos", "repos"];
    let fixed = [
        "orch",
        "onboard",
        "--project",
        "7a79f0a9-5278-49cd-9007-9a338f238f9c",
        "--repo",
        "shop",
        "--prefix",
        "ET",
    ];
    let more = ["--address", "http://127.0.0.1:2", "--projects", "projects.yaml", "--json"];
    let arguments = [&fixed[..], &away, &more].concat();
    let standing = |arguments: &[&str]| {
        let done = scratch.run(arguments);
        assert_eq!(done.code, 1, "services are away: {done:?}");
        let report = done.json();
        let item =
            report["items"].as_array().unwrap().iter().find(|item| item["name"] == "pipeline").cloned();
        let item = item.unwrap_or_else(|| panic!("{report}"));
        (item["standing"].as_str().unwrap().to_owned(), item["to_do"].clone())
    };
    let (word, to_do) = standing(&[&arguments[..], &["--check"]].concat());
    assert_eq!((word.as_str(), &to_do), ("missing", &"everfold pipeline save orch".into()));
    assert!(!scratch.data().exists(), "a check makes nothing");
    assert_eq!(standing(&arguments).0, "made");
    assert_eq!(standing(&arguments).0, "there");
}
