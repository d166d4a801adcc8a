//! The owner of a data folder whose files are removed, replaced or damaged under a living process.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use everfold_engine::actor::Actor;
use everfold_engine::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_engine::id::{InputId, RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::{Append, EventStore as _, SledOptions, SledStore, StreamNote};
use everfold_engine::time::Timestamp;
use rustix::process::Signal;

use super::fixtures::{Scratch, await_that, lines};
use crate::workflow_fixtures::home::repository;

const ASKS: &str = "name: asks\nsteps:\n  - id: ok\n    approval: { title: Is it right? }\n  - id: charge\n    needs: [ok]\n    command: echo charged >> charges\n";

#[test]
fn row_01_a_removed_lock_and_socket_make_no_second_owner() {
    let scratch = Scratch::new();
    let (mut server, served) = scratch.serve(&[]);
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(scratch.data().join("owner.json")).unwrap()).unwrap();
    fs::remove_file(scratch.data().join("lock")).unwrap();
    fs::remove_file(scratch.data().join("everfold.sock")).unwrap();
    let second = scratch.run(&["runs"]);
    assert_eq!(second.code, 7, "{second:?}");
    let expected = format!("error[EF0401]: the store is in use by process {}", record["pid"]);
    assert!(second.err.contains(&expected), "{}", second.err);
    // The owner goes on.
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: one\n    command: echo one\n");
    let done = scratch.run_far(&served, &["run", "./quick.yaml"]);
    assert_eq!(done.code, 0, "{done:?}");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "succeeded");
    assert_eq!(scratch.run(&["store", "verify"]).code, 0);
}

#[test]
fn row_02_an_owner_whose_folder_was_made_anew_leaves_the_next_one_alone() {
    let scratch = Scratch::new();
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: one\n    command: echo one\n");
    let (mut old, served) = scratch.serve(&[]);
    assert_eq!(scratch.run(&["run", "./quick.yaml"]).code, 0);
    remove(&scratch.data());
    let (mut new, _) = scratch.serve(&[]);
    assert_eq!(scratch.run(&["run", "./quick.yaml"]).code, 0);
    let record = fs::read(scratch.data().join("owner.json")).unwrap();
    // The old process cannot store what it is asked to, and answers so; then it is stopped.
    let refused = scratch.run_far(&served, &["run", "./quick.yaml"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    old.signal(Signal::TERM);
    old.end();
    assert_eq!(fs::read(scratch.data().join("owner.json")).unwrap(), record);
    let runs = scratch.run(&["runs", "--json"]);
    assert_eq!(runs.json()["items"].as_array().map(Vec::len), Some(1), "{runs:?}");
    let verified = scratch.run(&["store", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    new.signal(Signal::TERM);
    assert_eq!(new.end().code, 0);
    let verified = scratch.run(&["store", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// Only another owner went on with it: `resume` asked this one for the run first, and got no further.
#[test]
fn row_38_resume_goes_on_with_a_run_that_is_set_aside_in_the_process_that_owns_the_folder() {
    let scratch = Scratch::new();
    scratch.write(
        "large.yaml",
        "name: large\nsteps:\n  - { id: first, command: \"true\" }\n  - { id: echo, needs: [first], function: everfold.echo, with: { v: \"${input.s}${input.s}\" } }\noutput: \"${size(steps.echo.output.v)}\"\n",
    );
    scratch.write("input.json", &format!("{{\"s\": \"{}\"}}", "a".repeat(20_000)));
    let (mut server, _) = scratch.serve(&[]);
    // Large values are kept in this folder.
    let blobs = scratch.data().join("blobs");
    remove(&blobs);
    fs::write(&blobs, "in the way").unwrap();
    // Who waits for the run is told, in whichever process it is.
    let started = scratch.run(&["run", "./large.yaml", "--input-file", "input.json"]);
    assert!(
        started.code == 4
            && started.err.contains("error[EF0216]")
            && started.err.contains("a large value could not be kept"),
        "{started:?}"
    );
    let still = scratch.run(&["resume", "@"]);
    assert!(still.code == 4 && still.err.contains("a large value could not be kept"), "{still:?}");
    let short = scratch.run(&["runs", "--json"]).json()["items"][0]["short_id"].as_str().unwrap().to_owned();
    let resume = || post(&scratch, &format!("/api/v1/runs/{short}/resume"));
    let (status, problem) = resume();
    assert_eq!((status, problem["code"].as_str()), (409, Some("EF0216")), "{problem}");
    fs::remove_file(&blobs).unwrap();
    let (status, view) = resume();
    assert_eq!(status, 200, "{view}");
    let done = scratch.run(&["resume", "@", "--json"]);
    assert_eq!((done.code, &done.json()["output"]), (0, &40_000.into()), "{done:?}");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}

/// Posts an empty object to the owner of the folder; its answer.
fn post(scratch: &Scratch, path: &str) -> (u16, serde_json::Value) {
    let mut stream = UnixStream::connect(scratch.data().join("everfold.sock")).unwrap();
    let head = "host: localhost\r\ncontent-length: 2\r\nconnection: close";
    stream.write_all(format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n{{}}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// All of its history was called lost: the owner was asked, and looked under the name that the folder had had.
#[test]
fn a_folder_that_was_moved_under_its_owner_is_verified_where_it_lies() {
    let scratch = Scratch::new();
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: one\n    command: echo one\n");
    let (server, _) = scratch.serve(&[]);
    assert_eq!(scratch.run(&["run", "./quick.yaml"]).code, 0);
    fs::rename(scratch.data(), scratch.path("moved")).unwrap();
    let verified = scratch.run(&["--dir", "moved", "store", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(verified.out.contains("everything is as it was written"), "{verified:?}");
    assert_eq!(server.end().code, 7);
}

/// Typed as they stood, the commands of these hints looked at another folder.
#[test]
fn what_the_hint_of_a_damaged_folder_names_is_typed_for_that_folder() {
    let scratch = Scratch::new();
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: one\n    command: echo one\n");
    assert_eq!(scratch.run(&["--dir", "other", "run", "./quick.yaml"]).code, 0);
    let segment = scratch.path("other/journal/0000000001.segment");
    let mut bytes = fs::read(&segment).unwrap();
    let last = (0..bytes.len() - 4).rfind(|at| bytes[*at..].starts_with(b"EVGR")).unwrap();
    bytes[last..].fill(0);
    fs::write(&segment, bytes).unwrap();
    for (verb, code, named) in [
        (&["runs"][..], "EF0403", "`everfold --dir other store verify`"),
        (&["store", "verify"], "EF0504", "`everfold --dir other store repair`"),
    ] {
        let done = scratch.run(&[&["--dir", "other"], verb].concat());
        assert_eq!(done.code, 7, "{done:?}");
        assert!(done.err.contains(code) && done.err.contains(named), "{done:?}");
    }
}

/// Removes a folder whose owner may make a file in it meanwhile.
fn remove(folder: &Path) {
    while folder.exists() {
        let _again = fs::remove_dir_all(folder);
    }
}

fn cp(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn row_04_a_backup_that_was_put_back_does_not_act_before_somebody_says_so() {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    let mut waiting = scratch.start(&["run", "./asks.yaml"]);
    scratch.await_status("@", "waiting");
    waiting.signal(Signal::INT);
    waiting.end();
    cp(&scratch.data(), &scratch.path("backup"));
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    let done = scratch.run(&["resume", "@"]);
    assert_eq!(done.code, 0, "{done:?}");
    let charges = || fs::read_to_string(scratch.path("charges")).map_or(0, |text| text.lines().count());
    let found = charges();
    // Into the files that are there: the folder, the journal and its segment stay the same files.
    cp(&scratch.path("backup/."), &scratch.data());
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "waiting", "it can be read");
    let refused = scratch.run(&["approve", "@"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.err.contains("error[EF0408]") && refused.err.contains("store adopt"), "{}", refused.err);
    assert_eq!(charges(), found, "nothing was done twice");
    assert_eq!(scratch.run(&["store", "adopt"]).code, 0);
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    assert_eq!(scratch.run(&["resume", "@"]).code, 0);
}

/// Fills the journal beyond its first segment with what means nothing to runs.
fn fill(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(folder, SledOptions::default()).unwrap();
        let stream = StreamId::engine("filler");
        let mut last = (Version::ZERO, Hash::ZERO);
        for _ in 0..4 {
            let header = EventHeader {
                stream: stream.clone(),
                version: last.0.next(),
                recorded_at: Timestamp(1),
                actor: Actor::Engine,
                cause: Cause { input: InputId([1; 16]), because: last.0 },
                kind: 1,
                schema: 1,
                flags: 0,
                payload_hash: Hash::ZERO,
            };
            let event = NewEvent::link(header, vec![7; 600_000], &last.1);
            let (expected, previous) = last;
            last = (event.header.version, event.hash);
            let note = StreamNote::default();
            let (events, stream) = (vec![event], stream.clone());
            store
                .append(Append { stream, expected, previous, events, dedup: None, fence: None, note })
                .await
                .unwrap();
        }
        store.close().await.unwrap();
    });
}

#[test]
fn row_05_a_flipped_byte_in_an_old_segment_holds_up_neither_schedules_nor_the_end() {
    let scratch = Scratch::new();
    let trace = scratch.path("trace");
    let step = format!("name: tick\nsteps:\n  - id: one\n    command: echo tick >> {}\n", trace.display());
    scratch.write("tick.yaml", &step);
    assert_eq!(scratch.run(&["pipeline", "save", "./tick.yaml"]).code, 0);
    let added = scratch.run(&["schedule", "add", "often", "tick", "--every", "1s", "--overlap", "allow"]);
    assert_eq!(added.code, 0, "{added:?}");
    fill(&scratch.data());
    let segment = scratch.data().join("journal/0000000001.segment");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[300_000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    // As after an upgrade, or after a cleanup that deleted the index.
    fs::remove_dir_all(scratch.data().join("projections")).unwrap();
    let (mut server, _served) = scratch.serve(&[]);
    await_that("the schedule has a moment", || lines(&trace).first().cloned());
    let refused = scratch.run(&["runs"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    for part in ["error[EF0402]", "0000000001.segment", "byte", "position"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}

#[test]
fn row_05_a_start_that_takes_long_hears_that_it_is_to_end() {
    use std::os::unix::net::UnixListener;
    let scratch = Scratch::new();
    fs::create_dir(scratch.data()).unwrap();
    // An owner that takes connections and says nothing: the start waits for it.
    let _silent = UnixListener::bind(scratch.data().join("everfold.sock")).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = scratch.start(&["serve", "--listen", "127.0.0.1:0"]);
        let listens = |pid: u32| {
            fs::read_to_string(format!("/proc/{pid}/status")).ok().filter(|text| {
                let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
                u64::from_str_radix(caught, 16).is_ok_and(|caught| caught & (1 << (15 - 1)) != 0)
            })
        };
        let pid = server.pid();
        await_that("it hears signals", || listens(pid));
        server.signal(signal);
        assert_eq!(server.end().code, 0);
    }
}

#[test]
fn a_command_that_owned_a_folder_that_was_removed_ends_and_says_so() {
    for flags in [&[][..], &["--no-wait"]] {
        let scratch = Scratch::new();
        let text = "name: two\nsteps:\n  - id: one\n    command: echo one >> trace; sleep 1\n  - id: two\n    needs: [one]\n    command: echo two >> trace\n";
        scratch.write("two.yaml", text);
        let owner = scratch.start(&[&["run", "./two.yaml"], flags].concat());
        await_that("it began", || (lines(&scratch.path("trace")) == ["one"]).then_some(()));
        remove(&scratch.data());
        let done = owner.end();
        assert_eq!(done.code, 7, "{done:?}");
        assert!(done.err.contains("error[EF0420]"), "{}", done.err);
        assert!(!scratch.data().join("store.json").exists(), "it made no other store there");
        assert_eq!(lines(&scratch.path("trace")), ["one"]);
    }
}

/// It stayed for ever: only what was to be written learnt that the folder was gone.
#[test]
fn an_owner_in_the_background_of_a_folder_that_was_removed_ends_though_its_run_waits() {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    assert_eq!(scratch.run(&["run", "./asks.yaml", "--detach"]).code, 0);
    let process = await_that("a process in the background owns the folder", || {
        let record = fs::read(scratch.data().join("owner.json")).ok()?;
        let record: serde_json::Value = serde_json::from_slice(&record).ok()?;
        Some(Path::new("/proc").join(record["pid"].as_u64()?.to_string()))
    });
    assert!(process.exists());
    remove(&scratch.data());
    await_that("it has ended", || (!process.exists()).then_some(()));
}

#[test]
fn a_limit_of_the_size_of_files_is_an_error_and_not_the_end_by_a_signal() {
    let scratch = Scratch::new();
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: one\n    command: echo one\n");
    let program = scratch.command(&[]).get_program().to_owned();
    let script = "ulimit -f 100; exec \"$0\" run ./quick.yaml";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program).current_dir(scratch.path(""));
    command.env_remove("EVERFOLD_DIR").env_remove("EVERFOLD_SERVER").env_remove("EVERFOLD_CONTEXT");
    command.env("XDG_CONFIG_HOME", scratch.path("config"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{:?}: {said}", output.status);
    assert!(said.contains("File too large"), "{said}");
}

#[test]
fn a_pipe_under_the_name_of_a_file_of_the_folder_holds_nothing_up() {
    let scratch = Scratch::new();
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: one\n    command: echo one\n");
    assert_eq!(scratch.run(&["run", "./quick.yaml"]).code, 0);
    for name in ["aborts", "suspects", "owner.json"] {
        let file = scratch.data().join(name);
        let _none = fs::remove_file(&file);
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        let done = scratch.run(&["run", "./quick.yaml"]);
        assert_eq!(done.code, 0, "{name}: {done:?}");
        let _replaced = fs::remove_file(&file);
    }
    for (name, aside) in [("store.json", "store.aside"), ("lock", "lock.aside")] {
        let (file, aside) = (scratch.data().join(name), scratch.path(aside));
        fs::rename(&file, &aside).unwrap();
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        for args in [&["run", "./quick.yaml"][..], &["store", "verify"]] {
            let done = scratch.run(args);
            assert_eq!(done.code, 7, "{name}: {done:?}");
            assert!(done.err.contains(name) && done.err.contains("no regular file"), "{name}: {}", done.err);
        }
        fs::rename(&aside, &file).unwrap();
    }
}

/// The first file of a name below a folder.
fn file_below(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    entries.into_iter().find_map(|path| match path.is_dir() {
        true => file_below(&path, name),
        false => path.file_name().is_some_and(|own| own == name).then_some(path),
    })
}

/// `logs` printed it without a word, and ended with 0.
#[test]
fn a_log_that_is_not_what_was_written_is_printed_and_named() {
    let scratch = Scratch::new();
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: one\n    command: seq 1 20\n");
    assert_eq!(scratch.run(&["run", "./quick.yaml"]).code, 0);
    let sound = scratch.run(&["logs", "@", "one"]);
    assert_eq!((sound.code, sound.out.lines().count(), sound.err.as_str()), (0, 20, ""));

    let log = file_below(&scratch.data(), "log").unwrap();
    let written = fs::read_to_string(&log).unwrap();
    let kept: String = written.lines().take(15).map(|line| format!("{line}\n")).collect();
    fs::write(&log, kept).unwrap();
    for args in
        [vec!["logs", "@", "one"], vec!["logs", "@", "one", "--tail", "3"], vec!["logs", "@", "one", "-f"]]
    {
        let damaged = scratch.run(&args);
        assert_eq!(damaged.code, 7, "{args:?} {damaged:?}");
        assert_eq!(damaged.out.lines().last(), Some("15"), "{args:?}: it is printed all the same");
        let named = "step one, round 1, attempt 1 is damaged: it ends after line 15: 5 lines are missing";
        assert!(damaged.err.contains(named), "{args:?} {}", damaged.err);
        assert!(damaged.err.contains("EF0504"), "{}", damaged.err);
    }
    let (_server, served) = scratch.serve(&[]);
    let far = scratch.run_far(&served, &["logs", "@", "one"]);
    assert!(far.code == 7 && far.err.contains("5 lines are missing"), "{far:?}");
    // A log that was removed with its folder is none: that is no damage.
    fs::remove_dir_all(log.parent().unwrap()).unwrap();
    assert_eq!(scratch.run(&["logs", "@", "one"]).code, 3);
}

const IN_WORKTREE: &str = "\
name: in-worktree
workspace: { git: ./repository }
steps:
  - { id: make, command: \"echo precious > uncommitted\" }
  - { id: ok, approval: { title: Go? } }
  - { id: write, command: \"echo behind >> uncommitted\" }
";

/// The copy wrote into the original's worktree, and the moved folder failed the run for good.
#[test]
fn a_copied_or_moved_folder_does_nothing_in_a_worktree_of_another_place() {
    let scratch = Scratch::new();
    repository(&scratch.path("repository"));
    scratch.write("in-worktree.yaml", IN_WORKTREE);
    scratch.run(&["run", "./in-worktree.yaml", "--no-wait"]);
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "waiting");
    let mut entries = fs::read_dir(scratch.data().join("worktrees")).unwrap();
    let worktree =
        entries.find_map(|entry| Some(entry.unwrap().path()).filter(|path| path.is_dir())).unwrap();
    let text = || fs::read_to_string(worktree.join("uncommitted")).unwrap();
    let goes_on = |folder: &Path| {
        let folder = folder.to_str().unwrap();
        assert_eq!(scratch.run(&["--dir", folder, "store", "adopt"]).code, 0);
        scratch.run(&["--dir", folder, "approve", "@"]);
        scratch.run(&["--dir", folder, "resume", "@"])
    };
    let copy = scratch.path("copy");
    cp(&scratch.data(), &copy);
    let refused = goes_on(&copy);
    assert!(refused.err.contains("belongs to another data folder"), "{refused:?}");
    assert_eq!(text(), "precious\n");
    // Until it lies where it was, nothing is lost.
    let (here, there) = (scratch.data(), scratch.path("there"));
    fs::rename(&here, &there).unwrap();
    let refused = goes_on(&there);
    assert!(refused.err.contains("in a data folder that was moved"), "{refused:?}");
    fs::rename(&there, &here).unwrap();
    let done = goes_on(&here);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "succeeded");
}

const TWO_PASTS: &str = "\
name: two-pasts
steps:
  - { id: asked, wait: { signal: go } }
  - { id: paint, command: \"echo ${steps.asked.output.colour} >> painted\" }
";

/// The documented order of a copy: first `store.json`, then the journal, the rest as it is when its turn comes. What was done
/// meanwhile lay there as the end of an attempt, and answered for another decision.
#[test]
fn attempts_that_a_copys_history_has_not_come_to_are_put_aside_when_it_is_adopted() {
    let scratch = Scratch::new();
    scratch.write("two-pasts.yaml", TWO_PASTS);
    scratch.run(&["run", "./two-pasts.yaml", "--no-wait"]);
    let copy = scratch.path("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(scratch.data().join("store.json"), copy.join("store.json")).unwrap();
    cp(&scratch.data().join("journal"), &copy.join("journal"));
    assert_eq!(scratch.run(&["signal", "@", "go", r#"{"colour":"blue"}"#]).code, 0);
    assert_eq!(scratch.run(&["resume", "@"]).code, 0);
    cp(&scratch.data().join("attempts"), &copy.join("attempts"));
    let adopted = scratch.run(&["--dir", "copy", "store", "adopt"]);
    assert!(adopted.code == 0 && adopted.out.contains("attempts.lost-1"), "{adopted:?}");
    let kept = fs::read_dir(copy.join("attempts.lost-1")).unwrap().count();
    assert_eq!(kept, 1, "{adopted:?}");
    assert_eq!(scratch.run(&["--dir", "copy", "signal", "@", "go", r#"{"colour":"red"}"#]).code, 0);
    assert_eq!(scratch.run(&["--dir", "copy", "resume", "@"]).code, 0);
    assert_eq!(lines(&scratch.path("painted")), ["blue", "red"]);
}

/// Nothing named the process: no run of the folder had it any more, and it went on beside what was done anew.
#[test]
fn work_of_a_past_that_was_given_up_is_ended_and_named_when_the_folder_is_adopted() {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    scratch
        .write("works.yaml", "name: works\nsteps: [{ id: dig, command: 'echo $$ >> began; sleep 300' }]\n");
    assert_eq!(scratch.run(&["run", "./asks.yaml", "--no-wait"]).code, 6);
    let (data, past) = (scratch.data(), scratch.path("past"));
    fs::create_dir(&past).unwrap();
    for name in ["store.json", "journal"] {
        cp(&data.join(name), &past.join(name));
    }
    let mut owner = scratch.start(&["run", "./works.yaml"]);
    let pid = await_that("it began", || lines(&scratch.path("began")).first().cloned());
    owner.kill();
    for name in ["journal", "sled", "projections"] {
        remove(&data.join(name));
    }
    cp(&past.join("."), &data);
    let process = Path::new("/proc").join(&pid);
    assert!(process.exists(), "a supervisor outlives its engine");
    let adopted = scratch.run(&["store", "adopt"]);
    assert_eq!(adopted.code, 0, "{adopted:?}");
    let ended = adopted.out.lines().find(|line| line.starts_with("ended "));
    assert!(ended.is_some_and(|line| line.contains("/dig-r1-a1: it was still at work")), "{adopted:?}");
    assert!(adopted.err.contains("dig-r1-a1"), "the log names it: {adopted:?}");
    assert!(!process.exists(), "it was ended");
    assert_eq!(fs::read_dir(data.join("attempts.lost-1")).unwrap().count(), 1);
}

/// Records an event in a run that no version of the program knows.
fn record_unknown(folder: &Path, run: RunId) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(folder, SledOptions::default()).unwrap();
        let stream = StreamId::run(run);
        let head = store.head(&stream).await.unwrap().unwrap();
        let header = EventHeader {
            stream: stream.clone(),
            version: head.version.next(),
            recorded_at: Timestamp(1),
            actor: Actor::Engine,
            cause: Cause { input: InputId([1; 16]), because: head.version },
            kind: 60_000,
            schema: 1,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let events = vec![NewEvent::link(header, vec![7], &head.hash)];
        let (expected, previous, note) = (head.version, head.hash, head.note);
        store
            .append(Append { stream, expected, previous, events, dedup: None, fence: None, note })
            .await
            .unwrap();
        store.close().await.unwrap();
    });
}

/// A run that could not be read kept the folder from being adopted.
#[test]
fn a_run_that_cannot_be_read_is_named_when_a_copy_is_adopted_and_its_attempts_stay() {
    let scratch = Scratch::new();
    scratch.write("two-pasts.yaml", TWO_PASTS);
    let ids = [(), ()].map(|()| {
        scratch.run(&["run", "./two-pasts.yaml", "--no-wait"]);
        scratch.run(&["show", "@", "--json"]).json()["id"].as_str().unwrap().to_owned()
    });
    let [unreadable, sound] = &ids;
    record_unknown(&scratch.data(), unreadable.parse().unwrap());
    let copy = scratch.path("copy");
    cp(&scratch.data(), &copy);
    let behind = |folder: &str, run: &str| copy.join(folder).join(run).join("paint-r1-a1");
    for run in &ids {
        fs::create_dir_all(behind("attempts", run)).unwrap();
    }
    let adopted = scratch.run(&["--dir", "copy", "store", "adopt"]);
    assert_eq!(adopted.code, 0, "{adopted:?}");
    assert!(adopted.err.contains(unreadable.as_str()), "the log names it: {adopted:?}");
    assert!(behind("attempts", unreadable).exists() && !behind("attempts.lost-1", unreadable).exists());
    assert!(behind("attempts.lost-1", sound).exists() && !behind("attempts", sound).exists());
    // The other one acts.
    assert_eq!(scratch.run(&["--dir", "copy", "signal", sound, "go", r#"{"colour":"red"}"#]).code, 0);
    assert_eq!(scratch.run(&["--dir", "copy", "resume", sound]).code, 0);
    assert_eq!(lines(&scratch.path("painted")), ["red"]);
}
