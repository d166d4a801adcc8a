//! `ui` and `open`: the pages of a folder for who sits at this machine, and what becomes of runs when they end.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use super::fixtures::{Running, Scratch, await_that};

const SLOW: &str = "name: slow\nsteps:\n  - { id: work, command: 'sleep 8; echo done' }\n";

/// Starts the pages; what they said when they began.
fn pages(scratch: &Scratch) -> (Child, Value) {
    let mut child = scratch.command(&["ui", "--json"]).stderr(Stdio::inherit()).spawn().unwrap();
    let said = serde_json::Deserializer::from_reader(child.stdout.as_mut().unwrap()).into_iter().next();
    (child, said.expect("an answer").unwrap())
}

type Child = std::process::Child;

fn ends_with_0(mut child: Child, signal: Signal) {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, signal).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn owner(scratch: &Scratch) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(scratch.data().join("owner.json")).ok()?).ok()
}

#[test]
fn the_pages_end_with_ctrl_c_runs_go_on_in_the_background_and_the_next_pages_take_them_over() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path("slow.yaml"), SLOW).unwrap();
    let (first, said) = pages(&scratch);
    let url = said["url"].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:"), "{said}");
    assert!(said["login"].as_str().unwrap().starts_with(&format!("{url}/enter?code=evf_")), "{said}");
    let run = scratch.run(&["run", "./slow.yaml", "--detach", "--json"]).json()["short_id"].clone();
    let run = run.as_str().unwrap();
    let page = scratch.run(&["open", run, "--print"]);
    assert!(page.code == 0 && page.out.contains(&format!("&to=%2Fruns%2F{run}")), "{page:?}");
    // Where it is served, a second one leads there.
    let again = scratch.run(&["ui", "--json"]);
    assert_eq!((again.code, again.json()["url"].as_str()), (0, Some(url)), "{again:?}");

    ends_with_0(first, Signal::INT);
    await_that("an owner in the background", || owner(&scratch).filter(|owner| owner["background"] == true));
    let unserved = scratch.run(&["open", run, "--print"]);
    assert!(unserved.code == 7 && unserved.err.contains("ui"), "{unserved:?}");

    let (second, said) = pages(&scratch);
    assert_eq!(owner(&scratch).unwrap()["url"], said["url"]);
    scratch.await_status(run, "succeeded");
    ends_with_0(second, Signal::TERM);
    let tokens = scratch.run(&["token", "list", "--json"]).json();
    let names: Vec<&str> =
        tokens["items"].as_array().unwrap().iter().filter_map(|token| token["name"].as_str()).collect();
    assert_eq!(names, ["ada"], "one token for who sits here");
}

#[test]
fn no_token_is_made_for_the_page_of_a_folder_that_is_not_served() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path("p.yaml"), "name: p\nsteps: [{ id: a, command: \"true\" }]\n").unwrap();
    assert_eq!(scratch.run(&["run", "./p.yaml"]).code, 0);
    let unserved = scratch.run(&["open", "@", "--print"]);
    assert!(unserved.code == 7 && unserved.err.contains("EF0611"), "{unserved:?}");
    let tokens = scratch.run(&["token", "list", "--json"]).json();
    assert_eq!(tokens["items"].as_array().map(Vec::len), Some(0), "{tokens}");
}

#[test]
fn a_service_takes_over_what_a_decision_without_an_owner_left_in_the_background() {
    let scratch = Scratch::new();
    let asks = "name: asks\nsteps:\n  - { id: ask, approval: { title: Now? } }\n  - { id: work, needs: [ask], command: 'until [ -e go ]; do sleep 0.05; done' }\n";
    std::fs::write(scratch.path("asks.yaml"), asks).unwrap();
    assert_eq!(scratch.run(&["run", "./asks.yaml", "--no-wait"]).code, 6);
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    await_that("an owner in the background", || owner(&scratch).filter(|owner| owner["background"] == true));
    let mut command = scratch.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
    let mut service = command.stderr(Stdio::inherit()).spawn().unwrap();
    let said = serde_json::Deserializer::from_reader(service.stdout.as_mut().unwrap()).into_iter().next();
    let said: Value = said.expect("it serves").unwrap();
    assert_eq!(owner(&scratch).unwrap()["url"], said["url"]);
    std::fs::write(scratch.path("go"), "").unwrap();
    scratch.await_status("@", "succeeded");
    ends_with_0(service, Signal::TERM);
}

#[test]
fn a_command_that_has_the_folder_is_not_ended_for_the_pages() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path("slow.yaml"), SLOW).unwrap();
    let run: Running = scratch.start(&["run", "./slow.yaml"]);
    scratch.await_owner();
    let refused = scratch.run(&["ui", "--no-open"]);
    assert!(refused.code == 7 && refused.err.contains("EF0610"), "{refused:?}");
    assert_eq!(run.end().code, 0);
}

#[test]
fn the_pages_are_for_this_machine_alone() {
    let scratch = Scratch::new();
    for listen in ["0.0.0.0:0", "10.0.0.1:7878", "nowhere"] {
        let refused = scratch.run(&["ui", "--no-open", "--listen", listen]);
        assert_eq!(refused.code, 2, "{listen}: {refused:?}");
    }
    assert!(!scratch.data().exists());
}
