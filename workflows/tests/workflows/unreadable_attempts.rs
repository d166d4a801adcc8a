//! Attempts that the system does not let be seen: an error is neither an end nor a beginning.
//!
//! A link that leads to itself stands where a file is looked for (`ELOOP`), so that no process can open it,
//! whichever user runs the tests.

use std::path::PathBuf;
use std::sync::Arc;

use crate::fixtures::home::{Home, is_alive, limit_files, observer, output, pid_in, until};
use everfold_ports::{AttemptEnd, AttemptRequest, AttemptResult, Executor as _};
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::shim::protocol::ShimRecord;

/// A file that cannot be looked at for a while.
struct Veiled {
    path: PathBuf,
    aside: PathBuf,
}

impl Veiled {
    fn new(path: PathBuf) -> Self {
        let aside = path.with_extension("aside");
        // What is not there yet is not there afterwards, either.
        let _missing = std::fs::rename(&path, &aside);
        std::os::unix::fs::symlink(&path, &path).unwrap();
        Self { path, aside }
    }

    fn unveil(self) {
        // The record may have been renamed over the link.
        if std::fs::read_link(&self.path).is_ok() {
            std::fs::remove_file(&self.path).unwrap();
        }
        let _missing = std::fs::rename(&self.aside, &self.path);
    }
}

const SLOW: &str =
    "echo $$ > head; echo ran >> runs; while [ ! -e go ]; do sleep 0.02; done; echo '{\"n\": 1}'";

fn runs(home: &Home) -> usize {
    std::fs::read_to_string(home.work("runs")).unwrap_or_default().lines().count()
}

fn is_no_end(end: &AttemptEnd) -> bool {
    matches!(end.result, AttemptResult::Unreadable { .. } | AttemptResult::NoRoom { .. })
}

/// An attempt that an engine began, and then went.
async fn begun(home: &Home) -> (AttemptRequest, i32) {
    let request = home.shell(SLOW);
    let attempt = tokio::spawn(CommandExecutor::new(home.processes()).start(request.clone(), observer()));
    let head = pid_in(&home.work("head")).await;
    until("its record", || ShimRecord::read(&home.path("attempt")).is_some()).await;
    attempt.abort();
    let _aborted = attempt.await;
    (request, head)
}

async fn another_engine(home: &Home, request: &AttemptRequest) -> AttemptEnd {
    CommandExecutor::new(home.processes()).reattach(request.clone(), observer()).await
}

#[tokio::test]
async fn row_09_no_error_while_looking_at_a_living_attempt_ends_it_or_begins_another() {
    for name in ["exit.json", "lock", "report.json", "turns"] {
        let home = Home::new();
        let (request, head) = begun(&home).await;
        let veiled = Veiled::new(home.path("attempt").join(name));
        let end = another_engine(&home, &request).await;
        assert!(is_no_end(&end), "{name}: {end:?}");
        assert!(is_alive(head), "{name}");
        veiled.unveil();
        std::fs::write(home.work("go"), "").unwrap();
        let end = another_engine(&home, &request).await;
        assert_eq!((output(&end)["exit_code"].as_i64(), runs(&home)), (Some(0), 1), "{name}");
    }
}

/// Found again before the looks are over, it is as if nothing had been.
#[tokio::test]
async fn row_09_an_error_that_passes_is_no_more_than_a_delay() {
    let home = Home::new();
    let (request, _head) = begun(&home).await;
    let veiled = Veiled::new(home.path("attempt/report.json"));
    let processes = home.processes();
    let looking = tokio::spawn(CommandExecutor::new(processes).reattach(request, observer()));
    tokio::task::yield_now().await;
    veiled.unveil();
    std::fs::write(home.work("go"), "").unwrap();
    let end = looking.await.unwrap();
    assert_eq!((output(&end)["exit_code"].as_i64(), runs(&home)), (Some(0), 1));
}

#[tokio::test]
async fn row_08_unreadable_leftovers_of_an_ended_attempt_are_no_failure_of_it() {
    for name in ["exit.json", "stdout", "output.json"] {
        let home = Home::new();
        let request = home.shell("echo ran >> runs; echo '{\"n\": 7}' > \"$EVERFOLD_OUTPUT\"; echo said");
        let (folder, processes) = (home.path("attempt"), home.processes());
        let attempt = tokio::spawn(CommandExecutor::new(processes).start(request.clone(), observer()));
        attempt.await.unwrap();
        assert!(!folder.join("report.json").exists(), "it follows from the folder");
        let veiled = Veiled::new(folder.join(name));
        let end = another_engine(&home, &request).await;
        // A result file that cannot be opened may be the process's own doing.
        assert!(is_no_end(&end) || name == "output.json", "{name}: {end:?}");
        veiled.unveil();
        let end = another_engine(&home, &request).await;
        assert_eq!((output(&end)["n"].as_i64(), runs(&home)), (Some(7), 1), "{name}");
    }
}

/// It holds what came of the command, and cannot write it; the next engine waits for it.
#[cfg(target_os = "linux")]
/// What was left of it was taken for all that the command had said.
#[tokio::test]
async fn standard_output_that_is_not_as_long_as_its_record_says_is_not_the_output() {
    let home = Home::new();
    let (request, head) = begun(&home).await;
    std::fs::write(home.work("go"), "").unwrap();
    until("its end", || home.path("attempt/exit.json").exists() && !is_alive(head)).await;
    let stdout = home.path("attempt/stdout");
    let said = std::fs::read(&stdout).unwrap();
    std::fs::write(&stdout, &said[..3]).unwrap();
    let end = another_engine(&home, &request).await;
    assert!(is_no_end(&end), "{end:?}");
    let AttemptResult::Unreadable { reason } = &end.result else { panic!("{end:?}") };
    assert!(reason.contains("has 3 bytes, and the record of its end says 9"), "{reason}");
    std::fs::write(&stdout, said).unwrap();
    let end = another_engine(&home, &request).await;
    assert_eq!((output(&end)["exit_code"].as_i64(), runs(&home)), (Some(0), 1));
}

#[tokio::test]
async fn row_08_finished_work_whose_record_cannot_be_written_is_not_called_unstarted_and_runs_once() {
    let home = Home::new();
    let (request, head) = begun(&home).await;
    let supervisor = ShimRecord::read(&home.path("attempt")).unwrap().shim.pid;
    let former = limit_files(supervisor, Some(0));
    std::fs::write(home.work("go"), "").unwrap();
    until("the end of the command", || !is_alive(head)).await;
    let executor = CommandExecutor::new(home.processes());
    let seen = observer();
    let waiting = tokio::spawn(executor.reattach(request.clone(), Arc::clone(&seen) as _));
    until("the engine waits for it", || *seen.started.lock().unwrap() > 0).await;
    assert!(!waiting.is_finished());
    limit_files(supervisor, former);
    let end = waiting.await.unwrap();
    assert_eq!((output(&end)["exit_code"].as_i64(), runs(&home)), (Some(0), 1));
}

/// `started` is there, and no supervisor can begin: whatever it was, it is not unstarted work.
#[tokio::test]
async fn row_08_begun_work_that_cannot_be_supervised_is_lost_and_what_is_left_of_it_is_ended() {
    let home = Home::new();
    let (request, head) = begun(&home).await;
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(home.path("attempt/lock")).unwrap()).unwrap();
    let shim = i32::try_from(record["shim"]["pid"].as_i64().unwrap()).unwrap();
    crate::fixtures::home::kill_hard(shim);
    until("the supervisor's end", || !is_alive(shim)).await;
    // No supervisor can read it.
    std::fs::remove_file(home.path("attempt/request.json")).unwrap();
    let end = another_engine(&home, &request).await;
    assert!(matches!(end.result, AttemptResult::Lost { .. }), "{end:?}");
    assert!(!is_alive(head), "nothing may begin beside it");
    assert_eq!(runs(&home), 1);
}

#[tokio::test]
async fn row_09_what_is_cancelled_and_cannot_be_seen_is_not_taken_to_have_ended() {
    let home = Home::new();
    let (request, head) = begun(&home).await;
    let veiled = Veiled::new(home.path("attempt/lock"));
    let cancelling = tokio::spawn(CommandExecutor::new(home.processes()).cancel(request.clone()));
    until("the mark", || home.path("attempt/cancel").exists()).await;
    // It is not over before it can be seen that it is; the supervisor itself sees the mark in its own time.
    for _ in 0..50 {
        tokio::task::yield_now().await;
        assert!(!cancelling.is_finished() || !is_alive(head));
    }
    veiled.unveil();
    cancelling.await.unwrap();
    assert!(!is_alive(head));
}
