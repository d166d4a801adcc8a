//! Work that brings the engine down, again and again.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::fixtures::{Done, Scratch, await_that};

/// A service that has a signal sent to the engine that asks it, the first so many times, instead of an answer.
struct Poison {
    url: String,
    asked: Arc<AtomicU32>,
}

fn poison(owner: PathBuf, signal: Signal, times: u32) -> Poison {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1024];
            if stream.read(&mut head).unwrap_or(0) == 0 {
                continue;
            }
            if counted.fetch_add(1, Ordering::SeqCst) < times {
                let record: Value = serde_json::from_slice(&std::fs::read(&owner).unwrap()).unwrap();
                let pid = Pid::from_raw(i32::try_from(record["pid"].as_i64().unwrap()).unwrap()).unwrap();
                kill_process(pid, signal).unwrap();
                // Until it is gone.
                let _end = stream.read(&mut head);
            } else {
                let body = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                let _gone = stream.write_all(body);
            }
        }
    });
    Poison { url, asked }
}

fn pipeline(scratch: &Scratch, url: &str) {
    let text = format!(
        "name: fragile\nkey: the-key\nsteps:\n  - {{ id: first, command: \"true\" }}\n  - id: call\n    http: {{ url: \"{url}\" }}\n"
    );
    scratch.write("fragile.yaml", &text);
}

fn is_signalled(done: &Done) -> bool {
    done.code == -1
}

#[test]
fn row_38_work_that_aborts_the_engine_three_times_in_a_row_is_set_aside_and_can_be_ended() {
    let scratch = Scratch::new();
    let poison = poison(scratch.data().join("owner.json"), Signal::ABORT, u32::MAX);
    pipeline(&scratch, &poison.url);
    for time in 0..3 {
        let args: &[&str] = if time == 0 { &["run", "./fragile.yaml"] } else { &["resume", "@"] };
        let done = scratch.run(args);
        assert!(is_signalled(&done), "{time}: {done:?}");
    }
    assert_eq!(poison.asked.load(Ordering::SeqCst), 3);
    let fourth = scratch.run(&["resume", "@"]);
    assert_eq!((fourth.code, poison.asked.load(Ordering::SeqCst)), (4, 3), "{fourth:?}");
    assert!(
        fourth.err.contains("EF0216") && fourth.err.contains("3 times in a row with call/1/1"),
        "{fourth:?}"
    );

    // Seen from everywhere while a process serves the folder, and the others go on.
    scratch.write("fine.yaml", "name: fine\nsteps: [{ id: a, command: \"true\" }]\n");
    let (_server, _) = scratch.serve(&[]);
    let listed = await_that("the run is set aside", || {
        let items = scratch.run(&["runs", "--json"]).json()["items"].clone();
        items.as_array().unwrap().iter().find(|run| run["set_aside"].is_string()).cloned()
    });
    let short = listed["short_id"].as_str().unwrap().to_owned();
    assert!(scratch.run(&["runs"]).out.contains("set aside"));
    let doctor = scratch.run(&["doctor"]);
    assert!(doctor.out.contains(&format!("run {short}")) && doctor.out.contains("--force"), "{}", doctor.out);
    assert_eq!(scratch.run(&["run", "./fine.yaml"]).code, 0);
    let cancelled = scratch.run(&["cancel", &short]);
    assert_eq!(cancelled.code, 4, "{cancelled:?}");
    let forced = scratch.run(&["cancel", &short, "--force", "-m", "it cannot be parsed"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    assert_eq!(scratch.run(&["show", &short, "--json"]).json()["status"], "cancelled");
    let again = scratch.run(&["cancel", &short, "--force"]);
    assert_eq!(again.code, 4, "{again:?}");
    assert_eq!(poison.asked.load(Ordering::SeqCst), 3);
    // Its key is free.
    scratch.write("fragile.yaml", "name: fragile\nkey: the-key\nsteps: [{ id: a, command: \"true\" }]\n");
    let freed = scratch.run(&["run", "./fragile.yaml", "--json"]);
    assert_eq!(freed.code, 0, "{freed:?}");
    assert_ne!(freed.json()["short_id"], short.as_str());
}

#[test]
fn row_38_a_cancel_reaches_a_run_before_its_work_does() {
    let scratch = Scratch::new();
    let poison = poison(scratch.data().join("owner.json"), Signal::ABORT, u32::MAX);
    pipeline(&scratch, &poison.url);
    let first = scratch.run(&["run", "./fragile.yaml"]);
    assert!(is_signalled(&first), "{first:?}");
    let cancelled = scratch.run(&["cancel", "@"]);
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    assert_eq!(poison.asked.load(Ordering::SeqCst), 1, "it was not taken up for that");
}

#[test]
fn row_38_whoever_kills_the_engine_blames_nothing_that_was_in_hand() {
    let scratch = Scratch::new();
    let poison = poison(scratch.data().join("owner.json"), Signal::KILL, 5);
    pipeline(&scratch, &poison.url);
    assert!(is_signalled(&scratch.run(&["run", "./fragile.yaml"])));
    for _ in 1..5 {
        assert!(is_signalled(&scratch.run(&["resume", "@"])));
    }
    let done = scratch.run(&["resume", "@"]);
    assert_eq!((done.code, poison.asked.load(Ordering::SeqCst)), (0, 6), "{done:?}");
}

#[test]
fn row_38_a_report_that_is_nested_without_end_is_a_failed_gate() {
    let scratch = Scratch::new();
    scratch.write(
        "report.yaml",
        "name: report\nsteps:\n  - id: test\n    command: |\n      i=0; while [ $i -lt 2000 ]; do printf '<a><a><a><a><a><a><a><a><a><a><a><a>'; i=$((i+1)); done > r.xml\n    gates: [{ id: tests, tests: { files: r.xml } }]\n",
    );
    let done = scratch.run(&["run", "./report.yaml"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("nested deeper than") || done.out.contains("nested deeper than"), "{done:?}");
}
