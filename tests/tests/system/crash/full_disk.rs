//! A full disk under the real program: a small tmpfs. Needs root; elsewhere it says so, loudly, and
//! passes; with `EVERFOLD_REQUIRE_FULL_DISK=1` it fails instead.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixtures::{Lab, TRACE, UNTIL_GO, await_that, only, places};

const SIZE: &str = "size=48m";
/// A hidden file does not make the folder a foreign one.
const FILLER: &str = ".filler";

/// A mounted tmpfs, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn at(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "everfold-test"]).arg(folder).output();
        let mount = mount.map_err(|error| format!("mount: {error}"))?;
        match mount.status.success() {
            true => Ok(Self(folder.to_owned())),
            false => Err(String::from_utf8_lossy(&mount.stderr).trim().to_owned()),
        }
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.0.join(FILLER)).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join(FILLER)).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _reported = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// A command that waits for the test, then results that need more room than was set aside.
const PIPELINE: &str = r#"
name: p
input: { type: object }
steps:
  - id: first
    command: |
      TRACE_LINE
      UNTIL_GO
  - id: large
    foreach: { in: "${input.items}", max_in_flight: 4 }
    function: everfold.echo
    with: { text: "${input.text}", item: "${item}" }
output: "${size(steps.large.output)}"
"#;
const ITEMS: usize = 80;

fn lab() -> Lab {
    let lab = Lab::with(&PIPELINE.replace("TRACE_LINE", TRACE).replace("UNTIL_GO", UNTIL_GO));
    let items: Vec<usize> = (0..ITEMS).collect();
    lab.write("input.json", &serde_json::json!({ "items": items, "text": "x".repeat(25_000) }).to_string());
    lab
}

const RUN: &[&str] = &["run", "./p.yaml", "--input-file", "input.json"];

#[test]
fn s7_on_a_full_disk_the_engine_says_so_and_goes_on_by_itself_when_there_is_room() {
    let lab = lab();
    let disk = match Mounted::at(&lab.data()) {
        Ok(disk) => disk,
        Err(why) => {
            let required = std::env::var("EVERFOLD_REQUIRE_FULL_DISK").is_ok_and(|value| value == "1");
            assert!(!required, "the full-disk test is required and cannot run: {why}");
            eprintln!("\n*** THE FULL-DISK TEST DID NOT RUN: it needs root and tmpfs ({why}) ***\n");
            return;
        }
    };
    let engine = lab.start(RUN);
    await_that("the first step runs", || (lab.trace().len() == 1).then_some(()));
    disk.fill();
    lab.go();
    await_that("the engine says that the disk is full", || engine.said("full").then_some(()));
    let acknowledged = lab.events("@");
    let shown = lab.run(&["show", "@"]);
    assert!(
        shown.out.contains("room on the disk: the disk is full"),
        "another process says so, too: {}",
        shown.out
    );
    let view = lab.run(&["show", "@", "--json"]);
    assert_eq!(view.json()["disk_full"], true, "{}", view.out);
    disk.make_room();
    engine.end().ended_with(0);
    let ended = lab.run(&["show", "@", "--json"]);
    assert_eq!(ended.json().get("disk_full"), None, "{}", ended.out);
    let events = lab.events("@");
    assert_eq!(events[..acknowledged.len()], acknowledged[..], "what was acknowledged stays");
    assert_eq!(places(&events, "AttemptSucceeded").len(), ITEMS + 1);
    lab.assert_left_in_order();
    drop(disk);
}

#[test]
fn s7_a_kill_on_a_full_disk_loses_nothing_that_was_acknowledged() {
    let lab = lab();
    let Ok(disk) = Mounted::at(&lab.data()) else { return };
    let engine = lab.start(RUN);
    await_that("the first step runs", || (lab.trace().len() == 1).then_some(()));
    disk.fill();
    lab.go();
    await_that("the engine says that the disk is full", || engine.said("full").then_some(()));
    let known = lab.events("@");
    engine.kill().was_killed();
    disk.make_room();
    lab.run(&["resume", "@"]).ended_with(0);
    let events = lab.events("@");
    assert_eq!(events[..known.len()], known[..], "what could be read is still there");
    assert_eq!(places(&events, "AttemptSucceeded").len(), ITEMS + 1);
    lab.assert_trace(&["first 1 1"]);
    lab.assert_left_in_order();
    drop(disk);
}

#[test]
fn s7_a_start_on_a_full_disk_is_refused_and_says_why_until_there_is_room() {
    let lab = lab();
    let Ok(disk) = Mounted::at(&lab.data()) else { return };
    let engine = lab.start(RUN);
    await_that("the first step runs", || (lab.trace().len() == 1).then_some(()));
    // A few starts still fit into the journal's rest, and into what the index has laid out. They are
    // to fit onto the disk when there is room.
    lab.write("few.json", &serde_json::json!({ "items": [1], "text": "x".repeat(25_000) }).to_string());
    let start: &[&str] = &["run", "./p.yaml", "--input-file", "few.json", "--detach"];
    let refused = (0..50).find_map(|_| {
        disk.fill();
        let done = lab.run(start);
        (done.code != Some(0)).then_some(done)
    });
    let refused = refused.expect("the disk is full");
    assert!(refused.err.contains("the disk is full"), "{}", refused.err);
    refused.ended_with(7);
    disk.make_room();
    await_that("a start is taken", || (lab.run(start).code == Some(0)).then_some(()));
    lab.go();
    engine.end().ended_with(0);
    assert_eq!(places(&lab.events("@"), "StepFailed"), [""; 0]);
    lab.assert_left_in_order();
    drop(disk);
}

/// The second step gets more input than there is room for.
const TWO_STEPS: &str = r#"
name: p
input: { type: object }
steps:
  - id: first
    command: |
      TRACE_LINE
      UNTIL_GO
  - id: second
    needs: [first]
    command: |
      TRACE_LINE
"#;

#[test]
fn s7_a_step_that_cannot_begin_on_a_full_disk_begins_by_itself_when_there_is_room() {
    let lab = Lab::with(&TWO_STEPS.replace("TRACE_LINE", TRACE).replace("UNTIL_GO", UNTIL_GO));
    lab.write("input.json", &serde_json::json!({ "text": "x".repeat(25_000) }).to_string());
    let Ok(disk) = Mounted::at(&lab.data()) else { return };
    let engine = lab.start(RUN);
    await_that("the first step runs", || (lab.trace().len() == 1).then_some(()));
    disk.fill();
    lab.go();
    await_that("the engine says what waits", || {
        engine.said("attempts wait for room on the disk").then_some(())
    });
    disk.make_room();
    engine.end().ended_with(0);
    lab.assert_trace(&["first 1 1", "second 1 1"]);
    assert_eq!(places(&lab.events("@"), "AttemptFailed"), [""; 0]);
    lab.assert_left_in_order();
    drop(disk);
}

/// It says more than a pipe holds while there is no room for it, and a gate judges what it said.
const SAYS_WHILE_FULL: &str = r#"
name: p
steps:
  - id: first
    command: |
      TRACE_LINE
      UNTIL_GO
      for i in $(seq 10000 20000); do echo "ERROR $i"; done
      TRACE_LINE
    gates: [{ id: clean, expression: "!output.stdout.contains('ERROR')", on_fail: next }]
output: "${size(steps.first.output.stdout)}"
"#;
const SAID_BYTES: usize = "ERROR 10000\n".len() * 10_001;

/// The step had succeeded with a beginning of its output, and gates had passed on nothing.
#[test]
fn s7_what_a_command_says_on_a_full_disk_waits_for_room_and_is_judged_whole() {
    let lab = Lab::with(&SAYS_WHILE_FULL.replace("TRACE_LINE", TRACE).replace("UNTIL_GO", UNTIL_GO));
    let Ok(disk) = Mounted::at(&lab.data()) else { return };
    let engine = lab.start(&["run", "./p.yaml"]);
    await_that("the step runs", || (lab.trace().len() == 1).then_some(()));
    disk.fill();
    lab.go();
    await_that("the step has said all", || (lab.trace().len() == 2).then_some(()));
    disk.make_room();
    engine.end().ended_with(0);
    assert_eq!(lab.view("@")["output"], SAID_BYTES);
    assert_eq!(only(&lab.events("@"), "GateEvaluated").field("verdict"), "fail");
    lab.assert_left_in_order();
    drop(disk);
}

#[test]
fn s7_a_folder_that_cannot_be_opened_for_want_of_room_says_so() {
    let lab = lab();
    let Ok(disk) = Mounted::at(&lab.data()) else { return };
    lab.go();
    for _ in 0..2 {
        disk.fill();
        let refused = lab.run(RUN);
        refused.ended_with(7);
        assert!(refused.err.contains("EF0409") && refused.err.contains("free some space"), "{}", refused.err);
        disk.make_room();
    }
    lab.run(RUN).ended_with(0);
    lab.assert_left_in_order();
    drop(disk);
}
