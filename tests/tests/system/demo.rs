//! `everfold demo` from outside: the real program, a real kill, and the commands that it prints.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Short pieces of work: the story is the same.
const PACE: [&str; 2] = ["--pace", "0.3"];

fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everfold-under-test"));
    command
        .arg("demo")
        .args(PACE)
        .current_dir(temporary)
        .env("TMPDIR", temporary)
        .env("EVERFOLD_USER", "ada")
        .env_remove("EVERFOLD_DIR")
        .env_remove("EVERFOLD_LOG")
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn played(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs a line as a shell does.
fn typed(line: &str, folder: &Path) -> Output {
    Command::new("sh").args(["-c", line]).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_delivery_whose_engine_is_killed_goes_on_and_runs_nothing_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let since = Instant::now();
    let output = demo(scratch.path()).arg("--json").output().unwrap();
    let report: Value = serde_json::from_str(&played(&output)).unwrap();
    assert!(since.elapsed() < Duration::from_secs(30), "it took {:?}", since.elapsed());

    // The file on disk, not what the demo says about it.
    let folder = Path::new(report["folder"].as_str().unwrap());
    let executions = std::fs::read_to_string(folder.join("agents/executions.log")).unwrap();
    let ran: Vec<Vec<&str>> = executions.lines().map(|line| line.split(' ').collect()).collect();
    let what: Vec<String> = ran.iter().map(|line| line[..3].join(" ")).collect();
    assert_eq!(what, ["analyse 1 1", "design 1 1", "develop 1 1", "review 1 1", "develop 2 1", "review 2 1"]);
    assert_eq!(ran[2][3], report["agent_pid"].to_string(), "the agent that survived is the one that began");
    assert_ne!(report["engines"][0], report["engines"][1]);

    // The merge is in the repository, and the merged program is right.
    let repository = report["repository"].as_str().unwrap();
    let merged = report["merged"].as_str().unwrap();
    let contains = format!("git merge-base --is-ancestor {merged} main && sh test.sh && sh roman.sh 1994");
    let checked = typed(&contains, Path::new(repository));
    assert!(played(&checked).ends_with("10 tests passed, 0 failed\nMCMXCIV\n"));

    // Every gate is there with its evidence; the tests failed once and then passed.
    let decisions = report["decisions"].as_array().unwrap();
    let verdicts = |gate: &str| -> Vec<(u64, String, String)> {
        let own = decisions.iter().filter(|decision| decision["gate"] == gate);
        own.map(|own| {
            let text = |name: &str| own[name].as_str().unwrap().to_owned();
            (own["round"].as_u64().unwrap(), text("verdict"), text("evidence"))
        })
        .collect()
    };
    let (fail, pass) = ("exit 1: 5 tests passed, 5 failed", "exit 0: 10 tests passed, 0 failed");
    assert_eq!(verdicts("tests"), [(1, "fail".into(), fail.into()), (2, "pass".into(), pass.into())]);
    assert_eq!(verdicts("a person"), [(1, "approve".into(), "ada: Go ahead".into())]);
    for gate in ["brief-ready", "plan-ready", "changed", "review-approved", "staging-tests", "merged"] {
        assert!(
            verdicts(gate).iter().all(|(_, verdict, evidence)| verdict == "pass" && !evidence.is_empty())
        );
        assert!(!verdicts(gate).is_empty(), "{gate}");
    }
    assert_eq!(report["findings"], "develop: the tests say: 4: expected IV, got IIII");
    assert_eq!(report["replay"]["differences"], serde_json::json!([]));
    assert!(report["verified_events"].as_u64().unwrap() > 60);

    // The whole history of the built-in delivery.
    let program = env!("CARGO_BIN_EXE_everfold-under-test");
    let data = report["dir"].as_str().unwrap();
    let run = report["run"].as_str().unwrap();
    let events =
        Command::new(program).arg("--dir").arg(data).args(["events", run, "--json"]).output().unwrap();
    let (place, real) = (folder.display().to_string(), folder.canonicalize().unwrap().display().to_string());
    let hidden = [(real.as_str(), "FOLDER"), (place.as_str(), "FOLDER"), (program, "everfold")];
    let history = crate::history::steady_history(&played(&events), &hidden);
    insta::with_settings!({ snapshot_path => "history/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("demo", history);
    });
}

#[test]
fn the_three_commands_that_it_prints_work_and_so_does_the_removal() {
    let scratch = tempfile::tempdir().unwrap();
    // A place that must be quoted, and is too long for a socket's address.
    let odd = scratch.path().join(format!("it's an odd \"place\" – {}", "long/".repeat(25)));
    std::fs::create_dir_all(&odd).unwrap();
    let output = demo(&odd).env("NO_COLOR", "1").output().unwrap();
    let shown = played(&output);
    assert!(!shown.contains('\u{1b}'), "no colours without a terminal");
    let lines: Vec<&str> = shown.lines().collect();
    let next = lines.iter().position(|line| *line == "Try next").unwrap();
    let commands: Vec<&str> =
        lines[next + 1..].iter().map(|line| line.trim()).filter(|line| line.contains("--dir")).collect();
    assert_eq!(commands.len(), 3, "{shown}");
    let answers: Vec<String> = commands.iter().map(|command| played(&typed(command, &odd))).collect();
    assert!(answers[0].contains("succeeded"), "{}", answers[0]);
    assert!(answers[1].contains("tests fail"), "{}", answers[1]);
    assert!(answers[2].contains("develop: wrote roman.sh"), "{}", answers[2]);
    let (_, removal) = lines.last().unwrap().split_once("remove it with: ").unwrap();
    played(&typed(removal, &odd));
    assert_eq!(std::fs::read_dir(&odd).unwrap().count(), 0);
}

#[test]
fn it_can_be_played_twice_at_once_with_no_stdin_and_no_reader() {
    let scratch = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_everfold-under-test");
    let pace = PACE.join(" ");
    // Closed, not empty; and a reader that goes away after the first line.
    let line = format!(
        "({program} demo {pace}; echo $? > first) <&- | head -n 1 & {program} demo {pace} > /dev/null; echo $? > second; wait"
    );
    let both = Command::new("sh")
        .args(["-c", &line])
        .current_dir(scratch.path())
        .env("TMPDIR", ".")
        .env_remove("EVERFOLD_DIR")
        .output()
        .unwrap();
    let code = |name: &str| std::fs::read_to_string(scratch.path().join(name)).unwrap();
    assert_eq!((code("first").trim(), code("second").trim()), ("0", "0"), "{}", text(&both.stderr));
}

#[test]
fn what_is_missing_or_in_the_way_is_named_before_anything_begins() {
    let scratch = tempfile::tempdir().unwrap();
    let said = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(!output.status.success());
        text(&output.stderr)
    };
    let no_git = said(demo(scratch.path()).env("PATH", scratch.path()));
    assert!(no_git.contains("the demo needs git") && no_git.contains("install git"), "{no_git}");
    let no_place = said(demo(scratch.path()).env("TMPDIR", scratch.path().join("absent")));
    assert!(no_place.contains("absent") && no_place.contains("--folder DIR"), "{no_place}");
    std::fs::write(scratch.path().join("mine"), "").unwrap();
    let in_the_way = said(demo(scratch.path()).args(["--folder", "."]));
    assert!(in_the_way.contains("is not empty"), "{in_the_way}");
    let with_dir = said(demo(scratch.path()).args(["--dir", "data"]));
    assert!(with_dir.contains("a data folder of its own"), "{with_dir}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing was left behind");
}
