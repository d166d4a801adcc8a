//! Every verb answers alike, whether another process owns the folder or the command itself does.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::fixtures::{Done, Scratch, lines};

const PIPELINE: &str = "\
name: mixed
labels: { team: blue }
steps:
  - id: build
    command: echo building; echo built
    gates:
      - { id: made, command: 'true' }
  - id: approve
    approval: { title: Ship it?, roles: [product] }
";

/// A folder with one run that waits, without an owner.
fn waiting() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("mixed.yaml", PIPELINE);
    let done = scratch.run(&["run", "./mixed.yaml", "--no-wait", "--title", "A title"]);
    assert_eq!(done.code, 6, "{done:?}");
    scratch
}

/// Leaves out what differs because time passes and an engine drives the run.
fn comparable(done: &Done) -> (i32, Vec<String>, Vec<String>) {
    let steady = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines
            .map(|line| match line.find(" ago") {
                Some(_) => {
                    line.split_whitespace().filter(|word| !is_span(word)).collect::<Vec<_>>().join(" ")
                }
                None => line.split_whitespace().filter(|word| !is_span(word)).collect::<Vec<_>>().join(" "),
            })
            .collect()
    };
    (done.code, steady(&done.out), steady(&done.err))
}

fn is_span(word: &str) -> bool {
    word.ends_with(['s', 'm', 'h']) && word.starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn p4_reading_verbs_answer_alike_with_and_without_an_owner() {
    let scratch = waiting();
    let short = scratch.short("@");
    let verbs: Vec<Vec<&str>> = vec![
        vec!["runs"],
        vec!["runs", "--json"],
        vec!["runs", "--status", "waiting", "--label", "team=blue", "-q", "title"],
        vec!["runs", "--status", "nonsense"],
        vec!["show", &short],
        vec!["events", &short],
        vec!["events", &short, "--json", "--from", "2", "--limit", "3"],
        vec!["logs", &short],
        vec!["logs", &short, "build", "--tail", "1"],
        vec!["logs", &short, "biuld"],
        vec!["logs", &short, "approve"],
        vec!["state", &short, "--at", "3"],
        vec!["state", &short, "--at", "3", "--json"],
        vec!["state", &short, "--at", "999"],
        vec!["state", &short, "--at", "2001-01-01T00:00:00Z"],
        vec!["inbox"],
        vec!["inbox", "--json", "--role", "product"],
        vec!["inbox", "--role", "nobody"],
        vec!["replay", &short],
        vec!["replay", &short, "--json"],
        vec!["diff", &short, "1..4"],
        vec!["diff", &short, "1..4", "--json"],
        vec!["diff", &short, "4..1"],
        vec!["diff", &short, &short],
        vec!["why", &short, "--json"],
        vec!["why", &short, "build", "--json"],
        vec!["why", &short, "biuld"],
        vec!["bisect", &short, "steps.build.status == 'succeeded'"],
        vec!["bisect", &short, "steps.build.stauts == 'succeeded'"],
        vec!["bisect", "--pipeline", "mixed", "status == 'waiting'", "--json"],
        vec!["audit", "backtest", "tests", "--policy", "true"],
        vec!["audit", "backtest", "tests", "--policy", "evidnce"],
        vec!["show", "ffff"],
        vec!["show", "x"],
        vec!["unblock", &short, "--decision", "retry"],
        vec!["unblock", &short, "--decision", "retyr"],
        vec!["approve", "ffff:approve:1"],
        vec!["store", "verify"],
    ];
    let alone: Vec<_> = verbs.iter().map(|verb| comparable(&scratch.run(verb))).collect();
    let owner = scratch.start(&["resume", &short]);
    scratch.await_owner();
    // The refused `unblock` left no trace; the owner drives the run, which changes nothing in it.
    for (verb, alone) in verbs.iter().zip(&alone) {
        assert_eq!(&comparable(&scratch.run(verb)), alone, "{verb:?}");
    }
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    assert_eq!(owner.end().code, 0);
}

#[test]
fn logs_print_only_what_the_process_wrote() {
    let scratch = waiting();
    assert_eq!(scratch.run(&["logs", "@", "build"]).out, "building\nbuilt\n");
    assert_eq!(scratch.run(&["logs", "@", "build", "--tail", "1"]).out, "built\n");
    let json: Value =
        serde_json::from_str(scratch.run(&["logs", "--json"]).out.lines().next().unwrap()).unwrap();
    assert_eq!((&json["source"], &json["text"]), (&"stdout".into(), &"building".into()));
}

#[test]
fn the_state_at_a_version_is_what_the_run_was_then() {
    let scratch = waiting();
    let then = scratch.run(&["state", "@", "--at", "2", "--json"]).json();
    assert_eq!((&then["version"], &then["steps"][0]["status"]), (&2.into(), &"scheduled".into()));
    let now = scratch.run(&["state", "@", "--json"]).json();
    assert_eq!(now["status"], "waiting");
    let at = now["updated_at"].as_str().unwrap();
    assert_eq!(scratch.run(&["state", "@", "--at", at, "--json"]).code, 0);
}

#[test]
fn runs_are_named_by_id_short_id_prefix_and_age() {
    let scratch = waiting();
    scratch.run(&["run", "./mixed.yaml", "--no-wait"]);
    let view = scratch.run(&["show", "@1", "--json"]).json();
    let (id, short) = (view["id"].as_str().unwrap(), view["short_id"].as_str().unwrap());
    for name in [id, short, &short[..6], "@1"] {
        assert_eq!(scratch.run(&["show", name, "--json"]).json()["id"], id, "{name}");
    }
    assert_eq!(scratch.run(&["show", "@2"]).code, 3);
}

#[test]
fn s10_a_start_with_the_same_key_is_one_run() {
    let scratch = Scratch::new();
    scratch.write("once.yaml", "name: once\nsteps:\n  - id: a\n    command: echo a >> trace\n");
    let start = ["run", "./once.yaml", "--idempotency-key", "k1", "--json"];
    let first = scratch.run(&start).json();
    let second = scratch.run(&start).json();
    assert_eq!(first["id"], second["id"]);
    assert_eq!(lines(&scratch.path("trace")), ["a"]);
    let other = scratch.run(&["run", "./once.yaml", "--idempotency-key", "k1", "--title", "other"]);
    assert_eq!(other.code, 2, "{other:?}");
    assert!(other.err.contains("EF0214"), "{}", other.err);
}

#[test]
fn events_as_json_are_one_document_per_line_without_gaps() {
    let scratch = waiting();
    let done = scratch.run(&["events", "@", "--json"]);
    let events: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let versions: Vec<u64> = events.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>());
    assert_eq!(events[0]["event"]["type"], "RunStarted");
    assert_eq!(events[0]["actor"], "user:ada");
}

#[test]
fn an_inbox_where_nothing_fits_does_not_say_that_nothing_is_open() {
    let scratch = waiting();
    for asked in [["--filter", "pipeline == 'other'"], ["--role", "nobody"]] {
        let done = scratch.run(&["inbox", asked[0], asked[1]]);
        assert_eq!(
            (done.code, done.out.as_str(), done.err.trim()),
            (0, "", "no open task fits"),
            "{asked:?}"
        );
    }
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    assert_eq!(scratch.run(&["inbox"]).err.trim(), "no task is open");
}

#[test]
fn looking_at_a_folder_that_is_not_there_makes_none() {
    let scratch = Scratch::new();
    assert_eq!(scratch.run(&["runs"]).code, 0);
    assert_eq!(scratch.run(&["inbox"]).code, 0);
    assert_eq!(scratch.run(&["show", "@"]).code, 3);
    // Nothing is as it was written there.
    assert_eq!(scratch.run(&["store", "verify"]).code, 2);
    assert!(!scratch.data().exists());
}

#[test]
fn a_folder_that_was_copied_reads_and_does_not_act_until_it_is_adopted() {
    let scratch = waiting();
    let copied = Command::new("cp").args(["-r", ".everfold", "copy"]).current_dir(scratch.path("")).status();
    assert!(copied.unwrap().success());
    assert_eq!(scratch.run(&["--dir", "copy", "show", "@"]).code, 0);
    let refused = scratch.run(&["--dir", "copy", "approve", "@"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    // What it names is to be typed for this folder.
    let named = "everfold --dir copy store adopt";
    assert!(refused.err.contains("EF0408") && refused.err.contains(named), "{}", refused.err);
    assert_eq!(scratch.run(&["--dir", "copy", "store", "adopt"]).code, 0);
    assert_eq!(scratch.run(&["--dir", "copy", "approve", "@"]).code, 0);
    scratch.await_status("@", "waiting");
}

#[test]
fn a_backup_of_a_folder_in_use_by_the_words_of_the_reference_is_whole() {
    let scratch = waiting();
    let page = std::fs::read_to_string("../docs/reference/store-format.md").unwrap();
    let lines = page.lines().filter(|line| line.starts_with("tar -C .everfold "));
    let commands = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(commands.lines().count(), 1, "{commands}");
    let mut owner = scratch.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut owner = owner.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(owner.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let shell = |script: &str| {
        let done = Command::new("sh").args(["-c", script]).current_dir(scratch.path("")).output().unwrap();
        assert!(done.status.success(), "{script}: {done:?}");
    };
    shell(&commands);
    shell("mkdir restored && tar -C restored -xf backup.tar");
    let before = scratch.run(&["events", "@", "--json"]).out;
    kill_process(Pid::from_child(&owner), Signal::TERM).unwrap();
    owner.wait().unwrap();
    assert_eq!(scratch.run(&["--dir", "restored", "store", "adopt"]).code, 0);
    let verified = scratch.run(&["--dir", "restored", "store", "verify"]);
    assert!(verified.code == 0 && verified.out.contains("everything is as it was written"), "{verified:?}");
    assert_eq!(scratch.run(&["--dir", "restored", "events", "@", "--json"]).out, before);
}

#[test]
fn init_writes_what_run_takes_and_overwrites_nothing() {
    let scratch = Scratch::new();
    assert_eq!(scratch.run(&["init", "--example"]).code, 0);
    assert_eq!(scratch.run(&["pipeline", "check", "./hello.yaml"]).code, 0);
    assert_eq!(scratch.run(&["run", "./hello.yaml", "-i", "name=Ada", "--no-wait"]).code, 6);
    scratch.write("hello.yaml", "mine");
    assert!(scratch.run(&["init", "--example"]).out.contains("kept"));
    assert_eq!(lines(&scratch.path("hello.yaml")), ["mine"]);
}

#[test]
fn init_writes_a_built_in_pipeline_with_all_of_its_files() {
    let scratch = Scratch::new();
    assert_eq!(scratch.run(&["init", "--pipeline", "delivery"]).code, 0);
    assert!(scratch.path("prompts/analyst.md").is_file());
    assert_eq!(scratch.run(&["pipeline", "test", "./delivery.yaml"]).code, 0);
    assert!(scratch.run(&["init", "--pipeline", "delivery"]).out.contains("kept"));
    let unknown = scratch.run(&["init", "--pipeline", "delivry"]);
    assert!(unknown.code != 0 && unknown.err.contains("delivery"), "{unknown:?}");
}
