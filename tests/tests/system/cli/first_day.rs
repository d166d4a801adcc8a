//! What a new user types: help, manual, completions, times, fields, names that are nearly right.

use std::process::Command;

use serde_json::{Value, json};

use super::fixtures::{Done, Scratch};

const ASKS: &str = "name: asks
steps:
  - id: build
    command: echo built for ${input.name}
  - id: approve
    approval: { title: Ship it? }
  - { id: ship, command: 'echo shipped' }
";

/// A folder with a run that waits for an approval.
fn waiting() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    let done = scratch.run(&[
        "run",
        "./asks.yaml",
        "-i",
        "name=Ada",
        "-i",
        "task=Ship the thing\nat last",
        "--no-wait",
    ]);
    assert_eq!(done.code, 6, "{done:?}");
    scratch
}

/// What the program offers in place of the last word.
fn completed(scratch: &Scratch, words: &[&str]) -> Vec<(String, String)> {
    let mut typed = vec!["--", "everfold"];
    typed.extend(words);
    let mut command: Command = scratch.command(&typed);
    command.env("EVERFOLD_COMPLETE", "zsh").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    command.env("_CLAP_IFS", "\n");
    let done: Done = command.output().unwrap().into();
    assert!(done.code == 0 && done.err.is_empty(), "{done:?}");
    let pair = |line: &str| {
        let (value, help) = line.split_once(':').unwrap_or((line, ""));
        (value.to_owned(), help.to_owned())
    };
    done.out
        .replace("\\:", "\u{1}")
        .lines()
        .map(pair)
        .map(|(a, b)| (a.replace('\u{1}', ":"), b.replace('\u{1}', ":")))
        .collect()
}

#[test]
fn completions_know_runs_with_their_titles_steps_tasks_and_pipelines() {
    let scratch = waiting();
    let short = scratch.short("@");
    let offers = |words: &[&str], value: &str, help: &str| {
        let found = completed(&scratch, words);
        let is_there = found.iter().any(|(name, about)| name == value && about.contains(help));
        assert!(is_there, "{words:?}: {value} {help}: {found:?}");
    };
    offers(&["show", ""], &short, "Ship the thing");
    offers(&["show", &short[..3]], &short, "waiting, asks");
    offers(&["logs", &short, "bu"], "build", "command, succeeded");
    offers(&["restart", &short, "--from", ""], "approve", "approval, waiting");
    offers(&["approve", ""], &format!("{short}:approve:1"), "Ship it?");
    let task = format!("{short}:approve:1");
    assert!(completed(&scratch, &["answer", ""]).iter().all(|(name, _)| *name != task), "no question");
    offers(&["unblock", "@", "build", "--decision", "re"], "recheck", "");
    offers(&["runs", "--status", "bl"], "blocked", "");
    let added = scratch.run(&[
        "schedule",
        "add",
        "nightly",
        "delivery",
        "--every",
        "1d",
        "-i",
        "repo=.",
        "-i",
        "task=Tidy up",
    ]);
    assert_eq!(added.code, 0, "{added:?}");
    offers(&["schedule", "pause", "ni"], "nightly", "delivery");
    offers(&["run", "deli"], "delivery", "task");
    offers(&["run", "./as"], "./asks.yaml", "");
    offers(&["--dir", ".everfold", "runs", "--pipeline", ""], "delivery", "");
    let nowhere = completed(&scratch, &["--dir", "nowhere", "show", ""]);
    assert!(
        nowhere.iter().all(|(name, _)| name.starts_with("--")) && !scratch.path("nowhere").exists(),
        "{nowhere:?}"
    );
    for shell in ["bash", "elvish", "fish", "zsh"] {
        let script = scratch.run(&["completions", shell]);
        assert!(script.code == 0 && script.out.contains("EVERFOLD_COMPLETE"), "{script:?}");
    }
}

#[test]
fn a_completion_of_bash_keeps_the_tilde_that_was_typed() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("folder")).unwrap();
    let script = scratch.run(&["completions", "bash"]).out;
    let asked = [
        ("everfold --dir ~/fo", "(everfold --dir '~/fo')", "~/folder/"),
        ("everfold --dir=~/fo", "(everfold --dir = '~/fo')", "~/folder/"),
    ];
    for (line, words, wanted) in asked {
        let asks = format!(
            "everfold() {{ '{program}' \"$@\"; }}\n{script}\nCOMP_LINE='{line}' COMP_WORDS={words}\n\
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_POINT=${{#COMP_LINE}}\n\
             _everfold everfold '~/fo' x\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            program = env!("CARGO_BIN_EXE_everfold-under-test"),
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &asks]).current_dir(scratch.path("")).env("HOME", scratch.path(""));
        let said = bash.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim_end(), wanted, "{line}: {said:?}");
    }
}

#[test]
fn a_manual_page_is_there_for_each_verb() {
    let scratch = Scratch::new();
    let page = scratch.run(&["man", "pipeline", "check"]);
    assert!(page.code == 0 && page.out.contains(".TH everfold-pipeline-check 1"), "{page:?}");
    assert_eq!(scratch.run(&["man", "nothing"]).code, 2);
    assert_eq!(scratch.run(&["man", "--folder", "pages"]).code, 0);
    assert!(
        scratch.path("pages/everfold-run.1").is_file() && !scratch.path("pages/everfold-shim.1").exists()
    );
    assert!(!scratch.data().exists());
}

#[test]
fn a_run_without_a_title_has_its_task_as_one_and_a_note_says_why_it_waits() {
    let scratch = waiting();
    assert_eq!(scratch.run(&["show", "--json"]).json()["title"], "Ship the thing");
    let runs = scratch.run(&["runs"]).out;
    assert!(runs.contains("Ship the thing  approve: anyone (approval)"), "{runs}");
    assert!(scratch.run(&["board"]).out.contains("Ship the thing  approve: anyone (approval)"));
    let titled = scratch.run(&[
        "run",
        "./asks.yaml",
        "-i",
        "name=Ada",
        "-i",
        "task=x",
        "--title",
        "Own",
        "--no-wait",
        "--json",
    ]);
    assert_eq!(titled.json()["title"], "Own");
}

#[test]
fn json_gives_chosen_fields_of_one_shape_in_all_verbs() {
    let scratch = waiting();
    let run = scratch.run(&["show", "--json=short_id,status,title,pipeline"]).json();
    assert_eq!(run.as_object().unwrap().len(), 4);
    let listed = scratch.run(&["runs", "--json=short_id,status,title,pipeline"]).json();
    assert_eq!(listed, json!({ "items": [run], "next_cursor": null }));
    let board = scratch.run(&["board", "--json=short_id,status,title,pipeline"]).json();
    let cards: Vec<&Value> = board["columns"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|column| column["cards"].as_array().unwrap())
        .collect();
    assert_eq!(cards, [&run]);
    let whole = scratch.run(&["show", "--json"]).json();
    let row = scratch.run(&["runs", "--json"]).json()["items"][0].clone();
    for field in
        ["id", "usage", "labels", "started_at", "updated_at", "ended_at", "failure", "version", "started_by"]
    {
        assert_eq!(whole[field], row[field], "{field}");
    }
    let events = scratch.run(&["events", "--json=version,actor", "--limit", "1"]).out;
    assert_eq!(events, "{\"actor\":\"user:ada\",\"version\":1}\n");
    for (args, wanted) in [
        (["runs", "--json=statsu"].as_slice(), "did you mean status?"),
        (&["runs", "--json", "id,status"], "write --json=id,status"),
        (&["show", "--json", "id,status"], "write --json=id,status"),
    ] {
        let refused = scratch.run(args);
        assert!(refused.code == 2 && refused.err.contains(wanted), "{refused:?}");
    }
    // What follows `--json` is still the run.
    assert_eq!(scratch.run(&["show", "--json", "@"]).json()["id"], whole["id"]);
}

#[test]
fn times_are_taken_as_people_write_them() {
    let scratch = waiting();
    let count = |args: &[&str]| {
        let done = scratch.run(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done.json()["items"].as_array().unwrap().len()
    };
    assert_eq!(count(&["runs", "--since", "1h", "--json"]), 1);
    assert_eq!(count(&["runs", "--started-after", "yesterday", "--json"]), 1);
    assert_eq!(count(&["runs", "--at", "-1h", "--json"]), 0);
    assert_eq!(count(&["runs", "--at", "now", "--json"]), 1);
    let open = scratch.run(&["show", "@", "--json"]).json()["awaits"].as_array().unwrap().len();
    assert_eq!(
        (count(&["inbox", "--at", "-1h", "--json"]), count(&["inbox", "--at", "now", "--json"])),
        (0, open)
    );
    let then = scratch.run(&["inbox", "--at", "-1h"]);
    assert!(then.err.contains("no task was open then"), "{then:?}");
    assert_eq!(count(&["spend", "--at", "-1h", "--json"]), 0);
    assert_eq!(scratch.run(&["state", "--at", "-0s", "--json"]).json()["status"], "waiting");
    assert_eq!(scratch.run(&["state", "--at", "2h ago"]).code, 3, "it was not there yet");
    let all_at = |at: &str| scratch.run(&["stats", "--at", at, "--json"]).json();
    assert_ne!(all_at("now"), all_at("-1h"));
    assert_eq!(count(&["audit", "--since", "yesterday", "--until", "-1h", "--json"]), 0);
    for args in
        [["spend", "--since", "7d"], ["orch", "status", "--at=yesterday"], ["orch", "stuck", "--at=-1h"]]
    {
        assert_eq!(scratch.run(&args).code, 0, "{args:?}");
    }
    let fork = scratch.run(&["fork", "@", "--at", "-0s", "--no-wait"]);
    assert!(fork.code == 6 && scratch.run(&["cancel", "@"]).code == 0, "{fork:?}");
    assert_eq!(scratch.run(&["fork", "@1", "--at", "-2h"]).code, 3, "nothing to go on from");
    assert_eq!(scratch.run(&["board", "--at", "yesterday", "--json"]).json()["columns"][0]["count"], 0);
    let all = scratch.run(&["events"]).out;
    assert_eq!(scratch.run(&["events", "--since", "1d"]).out, all);
    assert_eq!(scratch.run(&["events", "--since", "now"]).out, "");
    let changed = scratch.run(&["diff", "@", "-1h..", "--json"]).json();
    assert_eq!(changed, scratch.run(&["diff", "@", "..", "--json"]).json());
    let refused = scratch.run(&["runs", "--at", "noon"]);
    assert!(refused.code == 2 && refused.err.contains("yesterday"), "{refused:?}");
}

#[test]
fn resume_prints_what_is_new() {
    let scratch = waiting();
    let first = scratch.run(&["resume", "--no-wait"]);
    assert!(first.code == 6 && !first.err.contains("build"), "{first:?}");
    scratch.run(&["approve", "@"]);
    scratch.await_status("@", "succeeded");
    scratch.run(&["run", "./asks.yaml", "-i", "name=Ada", "--no-wait"]);
    let fork = scratch.run(&["fork", "@1", "--at", "3", "--no-wait"]);
    assert!(!fork.err.contains("started    asks"), "what was copied is not new: {fork:?}");
    let restart = scratch.run(&["restart", "@1", "--from", "approve", "--no-wait"]);
    assert!(restart.err.contains("asks") && !restart.err.contains("build 1.1"), "{restart:?}");
}

#[test]
fn names_that_are_nearly_right_lead_to_the_right_ones() {
    let scratch = Scratch::new();
    scratch.write("greet.yaml", ASKS);
    scratch.write("other.yaml", ASKS);
    scratch.run(&["run", "./other.yaml", "-i", "name=Ada", "--no-wait"]);
    for (args, code, wanted) in [
        (["run", "greet"].as_slice(), 3, "there is a file: ./greet.yaml"),
        (&["run", "gret"], 3, "did you mean the file ./greet.yaml?"),
        (&["run", "./gret.yaml"], 2, "did you mean ./greet.yaml?"),
        (&["run", "./delivery.yaml"], 2, "there is a pipeline of this name: delivery"),
        (&["run", "deliverry"], 3, "did you mean “delivery”?"),
        (&["pipeline", "check", "gret"], 3, "did you mean the file ./greet.yaml?"),
        (&["pipeline", "show", "./gret.yaml"], 2, "did you mean ./greet.yaml?"),
        (&["pipeline", "test", "greet"], 3, "there is a file: ./greet.yaml"),
        (&["pipeline", "test", "gret"], 3, "did you mean the file ./greet.yaml?"),
        (&["pipeline", "test", "deliverry"], 3, "did you mean “delivery”?"),
        (&["schedule", "add", "x", "deliverry", "--every", "1h"], 3, "did you mean “delivery”?"),
        (&["schedule", "add", "x", "greet", "--every", "1h"], 3, "everfold pipeline save ./greet.yaml"),
        (&["restart", "@", "--from", "biuld"], 3, "did you mean “build”?"),
        (&["unblock", "@", "biuld", "--decision", "retry"], 3, "did you mean “build”?"),
        (&["breakpoints", "@", "shipp"], 3, "did you mean “ship”?"),
    ] {
        let done = scratch.run(args);
        assert!(done.code == code && done.err.contains(wanted), "{args:?}: {done:?}");
    }
    let mistyped = scratch.run(&["run", "./greet.yaml", "-i", "nmae=Ada"]);
    assert!(mistyped.err.contains("did you mean “name”?"), "{mistyped:?}");
    // Its expression would fail again: the missing input is proposed, not a blind retry.
    let next = mistyped.out.lines().last().unwrap();
    assert!(next.contains("--from build -i name=VALUE"), "{mistyped:?}");
    assert!(!mistyped.out.contains("everfold retry"), "{mistyped:?}");
}

#[test]
fn several_pipelines_are_checked_at_once() {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    scratch.write("bad.yaml", "name: bad\nsteps:\n  - { id: a, comand: x }\n");
    let done = scratch.run(&["pipeline", "check", "./bad.yaml", "./asks.yaml", "delivery"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.out.contains("./asks.yaml: 3 steps, no errors") && done.out.contains("delivery: "),
        "{done:?}"
    );
    assert!(done.err.contains("comand"), "{done:?}");
    let json = scratch.run(&["pipeline", "check", "./asks.yaml", "delivery", "--json"]).json();
    let names: Vec<&Value> =
        json["items"].as_array().unwrap().iter().map(|item| &item["pipeline"]["name"]).collect();
    assert_eq!(names, ["asks", "delivery"]);
    assert_eq!(
        scratch.run(&["pipeline", "check", "./asks.yaml", "--json"]).json()["pipeline"]["name"],
        "asks"
    );
}

#[test]
fn doctor_is_short_and_ends_with_1_where_something_is_missing() {
    let scratch = Scratch::new();
    let bin = scratch.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let doctor = |args: &[&str], agent: bool| -> Done {
        if agent {
            std::os::unix::fs::symlink("/bin/sh", bin.join("claude")).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", bin.display());
        let mut words = vec!["doctor"];
        words.extend(args);
        scratch.command(&words).env("PATH", path).output().unwrap().into()
    };
    let missing = doctor(&[], false);
    assert!(missing.code == 1 && missing.out.contains("there is no program claude"), "{missing:?}");
    assert!(missing.out.lines().count() < 20 && !missing.out.contains("[limits]"), "{missing:?}");
    let masked = missing.out.lines().find(|line| line.contains("redaction")).unwrap();
    assert!(masked.contains("`doctor --settings` names them") && masked.chars().count() <= 80, "{masked}");
    let there = doctor(&["--settings"], true);
    assert!(
        there.code == 0 && there.out.contains("[limits]") && there.out.contains("github-token"),
        "{there:?}"
    );
    std::fs::create_dir_all(scratch.data()).unwrap();
    std::fs::write(scratch.data().join("everfold.toml"), "[agents.mine]\ncommand = [\"no-such-agent\"]\n")
        .unwrap();
    assert_eq!(doctor(&[], false).code, 1, "one that the settings name is wanted");
}

#[test]
fn a_delivery_asks_for_what_it_needs_before_it_makes_anything() {
    let scratch = Scratch::new();
    let git = |args: &[&str]| {
        let done = Command::new("git").arg("-C").arg(scratch.path("repo")).args(args).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    std::fs::create_dir(scratch.path("repo")).unwrap();
    std::fs::create_dir(scratch.path("agents")).unwrap();
    let agents = scratch.path("agents").display().to_string();
    let given = format!("agents={agents}");
    let mut args = vec![
        "run",
        "delivery",
        "-i",
        "repo=repo",
        "-i",
        "task=Greet several people",
        "-i",
        "profile=script",
        "-i",
        &given,
    ];
    let refused = |args: &[&str], words: &[&str]| {
        let done = scratch.run(args);
        assert_eq!(done.code, 4, "{args:?}: {done:?}");
        for word in words {
            assert!(done.err.contains(word), "{word}: {done:?}");
        }
        let runs = scratch.run(&["runs", "--json"]).json();
        assert_eq!(runs["items"], json!([]), "nothing was made");
    };
    refused(&args, &["REPO_NOT_READY", "no git repository"]);
    let once = scratch.run(&args).err;
    assert_eq!(once.matches("no git repository").count(), 1, "said once: {once}");
    git(&["init", "--quiet", "-b", "main"]);
    git(&["config", "user.name", "Ada"]);
    git(&["config", "user.email", "ada@localhost"]);
    scratch.write("repo/README", "hello\n");
    refused(&args, &["REPO_NOT_READY", "no commit"]);
    git(&["add", "README"]);
    git(&["commit", "--quiet", "-m", "A start"]);
    scratch.write("repo/README", "being edited\n");
    refused(&args, &["NOT_CLEAN", "README", "commit or stash"]);
    git(&["checkout", "--quiet", "README"]);
    scratch.write("repo/untracked", "");
    refused(&args, &["NO_TESTS", "-i test='make test'"]);
    args.extend(["-i", "test=make test"]);
    refused(&args, &["NO_AGENT", "analyst.sh"]);
    let nobody: Vec<&str> =
        args.iter().map(|arg| if *arg == "profile=script" { "profile=claude" } else { arg }).collect();
    let mut command = scratch.command(&nobody);
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .any(|folder| folder.join("claude").is_file());
    if !found {
        let done: Done = command.output().unwrap().into();
        assert!(done.code == 4 && done.err.contains("there is no program claude"), "{done:?}");
    }
    for role in ["analyst", "architect", "developer", "reviewer"] {
        scratch.write(&format!("agents/{role}.sh"), "exit 1\n");
    }
    let begun = scratch.run(&args);
    assert!(begun.code == 1 && begun.err.contains("analyse"), "{begun:?}");
    assert_eq!(scratch.run(&["show", "--json"]).json()["title"], "Greet several people");
}

#[test]
fn what_work_asks_for_is_the_next_command() {
    let scratch = Scratch::new();
    scratch.write(
        "asks.yaml",
        "name: asks\nsteps:\n  - id: inspect\n    command: |\n      [ -n \"${has(input.test) ? input.test : ''}\" ] || { echo \"say how: -i test='make test'\" >&2; exit 1; }\n",
    );
    let failed = scratch.run(&["run", "./asks.yaml"]);
    let short = scratch.short("@");
    let next = format!("everfold restart {short} --from inspect -i test='make test'");
    assert!(failed.code == 1 && failed.out.contains(&next) && !failed.out.contains("retry"), "{failed:?}");
    assert!(scratch.run(&["show"]).out.contains(&next));
    let again = scratch.run(&["restart", &short, "--from", "inspect", "-i", "test=make test"]);
    assert_eq!(again.code, 0, "{again:?}");
}
