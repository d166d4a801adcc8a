//! Folders and pipes that a command makes under the names of its supervisor's files, with real processes.

use everfold_workflows::shim::protocol::CommandOutcome;

use super::supervisor::{Attempt, until};

/// Makes the folders, and goes on when the supervisor has made what it makes for itself.
const FOLDERS: &str = "cd \"$EVERFOLD_SHIM\"; rm exit.json.new; sleep 0.1; rm -f wake; \
                       mkdir -p exit.json/deep exit.json.new stdout/x stdout.tail log/x log.index shim.err wake; \
                       touch exit.json/deep/file;";

#[test]
fn folders_under_the_names_of_the_supervisors_files_keep_no_record_back() {
    let attempt = Attempt::new(&format!("{FOLDERS} echo said; exit 3"), |_| {});
    let mut shim = attempt.spawn();
    until("its end", || shim.try_wait().unwrap().is_some());
    assert_eq!(attempt.record().outcome, CommandOutcome::Exited { code: 3 });
    assert_eq!(std::fs::read_to_string(attempt.folder.join("stdout")).unwrap(), "said\n");
    assert_eq!(attempt.log(), "said");
    assert!(!attempt.folder.join("wake").exists() && !attempt.folder.join("exit.json.new").exists());
    // A time limit, a cancel and the loss of the supervisor end it alike.
    let late = Attempt::new(&format!("{FOLDERS} sleep 60"), |request| request.timeout_ms = Some(600));
    let mut shim = late.spawn();
    until("its end", || shim.try_wait().unwrap().is_some());
    assert_eq!(late.record().outcome, CommandOutcome::TimedOut);
    let lost = Attempt::new(&format!("{FOLDERS} sleep 60"), |_| {});
    let mut shim = lost.spawn();
    lost.shim_record();
    until("its folders", || lost.folder.join("exit.json").is_dir() && lost.folder.join("wake").is_dir());
    shim.kill().unwrap();
    shim.wait().unwrap();
    assert!(lost.run().success());
    assert!(matches!(lost.record().outcome, CommandOutcome::Lost { .. }));
    // What is no file is not waited for either.
    let pipe = Attempt::new("cd \"$EVERFOLD_SHIM\"; rm exit.json.new; mkfifo exit.json.new; exit 5", |_| {});
    let mut shim = pipe.spawn();
    until("its end", || shim.try_wait().unwrap().is_some());
    assert_eq!(pipe.record().outcome, CommandOutcome::Exited { code: 5 });
}
