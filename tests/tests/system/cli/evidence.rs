//! What an attempt wrote as evidence: its log is sealed, a changed one is named, a transcript is readable; and what was used
//! up by label.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::fixtures::{Scratch, await_that};

const TWO: &str = "name: two\nsteps:\n  - id: good\n    command: echo one; echo two >&2; echo three\n  - id: bad\n    command: echo four; exit 3\n    on_fail: continue\n";

/// The log of an attempt of the only run.
fn log(scratch: &Scratch, attempt: &str) -> PathBuf {
    let runs = scratch.run(&["runs", "--json"]).json();
    let run = runs["items"][0]["id"].as_str().unwrap().to_owned();
    scratch.data().join("attempts").join(run).join(attempt).join("log")
}

/// What the events of this kind say of their logs.
fn seals(scratch: &Scratch, kind: &str) -> Vec<Value> {
    let events = scratch.run(&["events", "@", "--json"]);
    let events = events.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_kind = events.map(|event| event["event"].clone()).filter(|event| event["type"] == kind);
    of_kind.map(|event| event["told"]["log"].clone()).collect()
}

#[test]
fn one_flipped_byte_of_a_log_is_named_and_a_removed_folder_is_no_damage() {
    let scratch = Scratch::new();
    scratch.write("two.yaml", TWO);
    assert_eq!(scratch.run(&["run", "./two.yaml"]).code, 0);
    let (good, bad) = (log(&scratch, "good-r1-a1"), log(&scratch, "bad-r1-a1"));
    let bytes = fs::read(&good).unwrap();
    let expected = json!({"hash": blake3::hash(&bytes).to_hex().to_string(), "lines": 3, "bytes": bytes.len(), "lost_bytes": 0});
    assert_eq!(seals(&scratch, "AttemptSucceeded"), std::slice::from_ref(&expected));
    assert_eq!(seals(&scratch, "AttemptFailed")[0]["lines"], 1);
    let run = scratch.run(&["show", "@", "--json"]).json()["id"].as_str().unwrap().to_owned();
    let verified = scratch.run(&["store", "verify"]);
    assert!(verified.code == 0 && verified.out.contains(", 2 logs\n"), "{verified:?}");

    let mut changed = bytes.clone();
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 20;
    changed[at] ^= 1;
    fs::write(&good, &changed).unwrap();
    let verified = scratch.run(&["store", "verify"]);
    let named = format!("the log of run {run}, step good, round 1, attempt 1: line 2 (bytes ");
    assert!(verified.code != 0 && verified.out.contains(&named), "{verified:?}");
    assert!(verified.err.contains("a log cannot be made again"), "{verified:?}");
    let verified = scratch.run(&["store", "verify", "--json"]).json();
    assert_eq!(verified["logs"], json!({"checked": 2, "damaged": 1, "removed": 0}));
    assert_eq!((&verified["sound"], verified["faults"].as_array().map(Vec::len)), (&json!(false), Some(1)));

    fs::write(&good, &bytes).unwrap();
    fs::remove_file(&bad).unwrap();
    let verified = scratch.run(&["store", "verify"]);
    assert!(
        verified.code != 0 && verified.out.contains("step bad, round 1, attempt 1: it is missing"),
        "{verified:?}"
    );
    fs::remove_dir_all(bad.parent().unwrap()).unwrap();
    let verified = scratch.run(&["store", "verify"]);
    let named = format!("1 log of an ended attempt of run {run} was removed with its folder\n");
    assert!(verified.code == 0 && verified.out.contains(&named), "{verified:?}");
    fs::remove_dir_all(good.parent().unwrap()).unwrap();
    let verified = scratch.run(&["store", "verify"]);
    let named = format!("2 logs of ended attempts of run {run} were removed with their folders\n");
    assert!(verified.code == 0 && verified.out.contains(&named), "{verified:?}");
}

/// It was as it was written, also where the digest of what had been there was given.
#[test]
fn a_folder_that_is_gone_is_not_as_it_was_written() {
    let scratch = Scratch::new();
    let digest = format!("53:{}", "0".repeat(64));
    for args in [&["store", "verify"][..], &["store", "verify", "--digest", &digest]] {
        let gone = scratch.run(args);
        assert!(gone.code != 0 && gone.err.contains("there is no folder "), "{args:?}: {gone:?}");
        assert_eq!((gone.out.as_str(), scratch.data().exists()), ("", false), "{args:?}");
    }
    fs::create_dir(scratch.data()).unwrap();
    let fresh = scratch.run(&["store", "verify"]);
    assert!(fresh.code == 0 && fresh.out.contains("nothing was ever stored here"), "{fresh:?}");
    let emptied = scratch.run(&["store", "verify", "--digest", &digest]);
    assert!(emptied.code == 7, "{emptied:?}");
    // Neither is what never was a data folder.
    fs::create_dir(scratch.path("elsewhere")).unwrap();
    scratch.write("elsewhere/notes.txt", "not ours");
    scratch.write("file", "not ours");
    for (place, code, says) in [("elsewhere", 7, "EF0404"), (".", 7, "EF0404"), ("file", 2, "is no folder")] {
        let foreign = scratch.run(&["--dir", place, "store", "verify"]);
        assert!(foreign.code == code && foreign.err.contains(says), "{place}: {foreign:?}");
        assert_eq!(foreign.out, "", "{place}");
    }
}

#[test]
fn a_log_that_was_cut_is_sealed_as_it_was_kept_with_what_is_missing_counted() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.data()).unwrap();
    fs::write(scratch.data().join("everfold.toml"), "[logs]\nmax_bytes = 4_000\n").unwrap();
    scratch.write("long.yaml", "name: long\nsteps:\n  - id: a\n    command: seq 1 5000\n");
    assert_eq!(scratch.run(&["run", "./long.yaml"]).code, 0);
    let bytes = fs::read(log(&scratch, "a-r1-a1")).unwrap();
    let [seal] = seals(&scratch, "AttemptSucceeded").try_into().unwrap();
    assert_eq!(seal["hash"], json!(blake3::hash(&bytes).to_hex().to_string()));
    assert_eq!(seal["lines"], json!(bytes.iter().filter(|byte| **byte == b'\n').count()));
    assert!(seal["lost_bytes"].as_u64().unwrap() > 4_000, "{seal}");
    assert_eq!(scratch.run(&["store", "verify"]).code, 0);
}

#[test]
fn folders_of_attempts_over_the_limits_are_removed_and_those_of_runs_that_go_on_stay() {
    let scratch = Scratch::new();
    scratch.write("two.yaml", TWO);
    scratch.write("waits.yaml", "name: waits\nsteps:\n  - id: good\n    command: echo one\n  - id: ok\n    needs: [good]\n    approval: { title: Go? }\n");
    assert_eq!(scratch.run(&["run", "./two.yaml"]).code, 0);
    let (old, fresh) = (log(&scratch, "good-r1-a1"), log(&scratch, "bad-r1-a1"));
    let (mut server, _) = scratch.serve(&[]);
    let started = scratch.run(&["run", "./waits.yaml", "--detach"]);
    assert_eq!(started.code, 0, "{started:?}");
    scratch.await_status("@", "waiting");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
    let active = log(&scratch, "good-r1-a1");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(100 * 86_400);
    for folder in [old.parent().unwrap(), active.parent().unwrap()] {
        for file in ["log", "exit.json"] {
            fs::File::options().append(true).open(folder.join(file)).unwrap().set_modified(long_ago).unwrap();
        }
    }
    let (mut server, _) = scratch.serve(&[]);
    await_that("the old folder is removed", || (!old.parent().unwrap().exists()).then_some(()));
    assert!(fresh.exists() && active.exists());
    let gone = scratch.run(&["logs", "@1", "good"]);
    assert!(gone.code != 0 && gone.err.contains("[logs] keep"), "{gone:?}");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
    let verified = scratch.run(&["store", "verify"]);
    assert!(verified.code == 0 && verified.out.contains("1 log of an ended attempt of run "), "{verified:?}");
}

#[test]
fn logs_of_an_ended_run_are_read_out_of_its_archive_and_one_that_was_changed_there_is_named() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.data()).unwrap();
    fs::write(scratch.data().join("everfold.toml"), "[logs]\narchive_after = \"1m\"\n").unwrap();
    let many = format!("{TWO}  - id: long\n    command: seq 1 2000\n    needs: []\n");
    scratch.write("many.yaml", &many);
    assert_eq!(scratch.run(&["run", "./many.yaml"]).code, 0);
    let folder = log(&scratch, "good-r1-a1").parent().unwrap().parent().unwrap().to_owned();
    let archive = folder.with_extension("zip");
    let read =
        [&["logs", "@", "good"][..], &["logs", "@", "long", "--tail", "3"], &["logs", "@", "bad", "--json"]];
    let before = read.map(|args| scratch.run(args).out);
    assert!(before[1].starts_with("1998\n"), "{before:?}");
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3_600);
    for attempt in ["good-r1-a1", "bad-r1-a1", "long-r1-a1"] {
        let exit = folder.join(attempt).join("exit.json");
        fs::File::options().append(true).open(exit).unwrap().set_modified(an_hour_ago).unwrap();
    }
    let (mut server, served) = scratch.serve(&[]);
    await_that("the run is archived", || (!folder.exists()).then_some(()));
    assert!(archive.is_file());
    assert_eq!(read.map(|args| scratch.run(args).out), before);
    let mut stream = TcpStream::connect(served.url.trim_start_matches("http://")).unwrap();
    let lines = "/api/v1/runs/@/attempts/long/1/1/log?verify=true";
    let (kind, token) = ("Accept: text/event-stream\r\nLast-Event-ID: 1999", &served.token);
    write!(stream, "GET {lines} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut behind = String::new();
    stream.read_to_string(&mut behind).unwrap();
    assert!(behind.contains("id: 2000\n") && !behind.contains("id: 1999\n"), "{behind}");
    assert!(behind.contains("event: over\n") && behind.contains("data: {}"), "{behind}");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
    let verified = scratch.run(&["store", "verify"]);
    assert!(verified.code == 0 && verified.out.contains(", 3 logs\n"), "{verified:?}");

    let whole = fs::read(&archive).unwrap();
    let damage = |entry: &str| {
        let mut bytes = whole.clone();
        let at = bytes.windows(entry.len()).position(|part| part == entry.as_bytes()).unwrap();
        bytes[at + entry.len() + 5] ^= 0xff;
        fs::write(&archive, &bytes).unwrap();
        scratch.run(&["store", "verify"])
    };
    // Beside logs nothing of an archive was looked at.
    let verified = damage("good-r1-a1/exit.json");
    let named = ".zip: good-r1-a1/exit.json is damaged: ";
    assert!(verified.code == 7 && verified.out.contains(named), "{verified:?}");
    assert!(verified.err.contains("the store has 1 fault"), "{verified:?}");
    assert!(verified.err.contains("the history is sound"), "{verified:?}");
    let verified = damage("long-r1-a1/log");
    assert!(
        verified.code != 0
            && verified.out.contains("step long, round 1, attempt 1: it cannot be read: the archive ")
            && verified.err.contains("the store has 1 fault"),
        "{verified:?}"
    );
    assert_eq!(scratch.run(read[0]).out, before[0]);
    let refused = scratch.run(&["logs", "@", "long"]);
    assert!(refused.code != 0 && refused.err.contains(".zip"), "{refused:?}");
    fs::remove_file(&archive).unwrap();
    let verified = scratch.run(&["store", "verify"]);
    assert!(verified.code == 0 && verified.out.contains("3 logs of ended attempts"), "{verified:?}");
}

#[test]
fn logs_of_an_agent_are_readable_and_raw_ones_as_its_program_wrote_them() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.data()).unwrap();
    let transcript = [
        r#"{"type":"system","subtype":"init","session_id":"s1","model":"claude-opus-4-5"}"#,
        r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"I look first."},{"type":"tool_use","name":"Bash","input":{"command":"ls"}}]}}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"a\nb\nc"}]}}"#,
        r#"{"type":"result","subtype":"success","num_turns":2,"total_cost_usd":0.25,"usage":{"input_tokens":7,"output_tokens":5},"result":"It is done."}"#,
    ]
    .join("\n");
    scratch.write("transcript", &(transcript.clone() + "\n"));
    let settings = "[agents.mine]\ncommand = [\"sh\", \"-c\", \"cat transcript; echo beside >&2\"]\noutput = \"claude\"\n";
    fs::write(scratch.data().join("everfold.toml"), settings).unwrap();
    scratch.write(
        "think.yaml",
        "name: think\nsteps:\n  - id: think\n    agent: { profile: mine, prompt: Go. }\n",
    );
    for team in ["red", "blue", "red"] {
        let label = format!("team={team}");
        let done = scratch.run(&["run", "./think.yaml", "--label", &label]);
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(scratch.run(&["run", "./think.yaml"]).code, 0);
    let readable = scratch.run(&["logs", "@", "think"]);
    let mut lines: Vec<&str> = readable.out.lines().collect();
    // Standard error comes when it comes.
    lines.retain(|line| *line != "beside");
    assert_eq!(
        lines,
        [
            "session s1, claude-opus-4-5",
            "I look first.",
            "→ Bash: ls",
            "  ← a (2 more lines)",
            "It is done.",
            "end: success, 2 turns, $0.2500, 7 tokens read, 0 cached, 5 written",
        ],
        "{readable:?}"
    );
    let raw = scratch.run(&["logs", "@", "think", "--raw"]).out;
    assert!(transcript.lines().all(|line| raw.contains(line)) && raw.contains("beside\n"), "{raw}");
    let records = scratch.run(&["logs", "@", "think", "--json"]).out;
    let numbers: Vec<Value> =
        records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["line"].clone()).collect();
    assert_eq!(numbers, [json!(1), json!(2), json!(3), json!(4), json!(5)]);

    // What the agents used up, by the label of their runs.
    let spent = scratch.run(&["spend", "--by", "label:team", "--json"]).json();
    assert_eq!(spent["by"], "label:team");
    let groups: Vec<(&str, &str)> = spent["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["group"].as_str().unwrap(), item["cost_usd"].as_str().unwrap()))
        .collect();
    assert_eq!(groups.len(), 3, "{spent}");
    assert_eq!(groups[0].0, "red");
    assert!(
        groups.iter().any(|(group, _)| *group == "blue") && groups.iter().any(|(group, _)| group.is_empty())
    );
    let total = |text: &str| text.parse::<f64>().unwrap();
    assert!(
        (total(groups[0].1) - 0.5).abs() < 1e-9
            && (total(spent["total"]["cost_usd"].as_str().unwrap()) - 1.0).abs() < 1e-9
    );
    let refused = scratch.run(&["spend", "--by", "label:"]);
    assert!(refused.code != 0 && refused.err.contains("label:NAME"), "{refused:?}");
}

#[test]
fn replay_says_where_another_definition_would_decide_otherwise_or_does_not_fit() {
    let scratch = Scratch::new();
    let text = "name: p\nsteps:\n  - { id: a, command: echo a }\n  - { id: b, command: echo b }\n";
    scratch.write("p.yaml", text);
    assert_eq!(scratch.run(&["run", "./p.yaml"]).code, 0);
    let same = scratch.run(&["replay", "@", "--definition", "./p.yaml"]);
    assert_eq!(same.code, 0, "{same:?}");
    assert!(same.out.contains("by which they were recorded") && same.out.contains("all alike"), "{same:?}");
    scratch.write("skips.yaml", &text.replace("id: b,", "id: b, when: 'run.pipeline == \"q\"',"));
    let other = scratch.run(&["replay", "@", "--pipeline", "./skips.yaml"]);
    assert_eq!(other.code, 1, "{other:?}");
    let words = "StepScheduled of step “b” is recorded; StepSkipped of step “b” would follow";
    assert!(other.out.contains(words), "{other:?}");
    let json = scratch.run(&["replay", "@", "--definition", "./skips.yaml", "--json"]);
    assert_eq!(json.code, 1, "{json:?}");
    let version = json.json()["differences"][0]["version"].to_string();
    let one = scratch.run(&["replay", "@", "--definition", "./skips.yaml", "--version", &version]);
    assert!(one.code == 1 && one.out.contains("in full"), "{one:?}");
    scratch.write("gone.yaml", "name: p\nsteps:\n  - { id: b, command: echo b }\n");
    let gone = scratch.run(&["replay", "@", "--definition", "./gone.yaml"]);
    assert!(gone.code == 1 && gone.out.contains("does not fit: step “a”: there is no such step"), "{gone:?}");
    let none = scratch.run(&["replay", "@", "--definition", "current"]);
    assert!(none.code == 3 && none.err.contains("no pipeline “p” is saved"), "{none:?}");
    let own = scratch.run(&["replay", "@", "--version", "2"]);
    assert!(own.code == 0 && own.out.contains("in full"), "{own:?}");
}
