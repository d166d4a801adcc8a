//! The supervisor where there is no room: on a full disk, and at a limit of the size of files.

use std::process::Command;

use everfold_workflows::shim::protocol::{CommandOutcome, ShimRecord};

use crate::supervisor::{Attempt, is_alive, until};

#[test]
fn a_limit_on_the_size_of_files_costs_log_lines_and_not_the_supervisor() {
    let attempt = Attempt::new("head -c 3000000 /dev/zero | tr '\\0' x | fold -w 100; exit 4", |request| {
        (request.log_max_bytes, request.stdout_max_bytes) = (64 << 20, 16 << 20);
    });
    let script = format!("ulimit -f 1000; exec {} shim {}", crate::SUPERVISOR, attempt.folder.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let record = attempt.record();
    assert_eq!(record.outcome, CommandOutcome::Exited { code: 4 });
    assert!(record.log_lost_bytes > 0 && record.stdout_truncated);
    assert_eq!(record.stdout_bytes, 3_029_999, "it is counted whole");
}

#[test]
fn p2_a_full_disk_stops_no_command_and_the_record_has_its_end_and_its_output() {
    const LINES: usize = 2_000;
    const LINE_BYTES: usize = 1_001;
    let home = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        Command::new("mount").args(arguments).arg(home.path()).output().is_ok_and(|out| out.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) {
        eprintln!("SKIPPED: a_full_disk needs the right to mount a tmpfs");
        return;
    }
    let folder = home.path().join("attempt");
    std::fs::create_dir(&folder).unwrap();
    let mut attempt = Attempt::new(
        &format!("i=0; while [ $i -lt {LINES} ]; do printf '%01000d\\n' $i; i=$((i+1)); done; exit 4"),
        |request| request.stdout_max_bytes = 4 << 20,
    );
    let request = std::fs::read(attempt.folder.join("request.json")).unwrap();
    std::fs::write(folder.join("request.json"), request).unwrap();
    attempt.folder = folder;
    let mut shim = attempt.spawn();
    let ShimRecord { command, .. } = attempt.shim_record();
    until("the end of the command", || !is_alive(command.pid));
    let free = std::fs::write(home.path().join("more"), vec![0; 64 * 1024]).is_ok();
    let waits = shim.try_wait().unwrap().is_none() && !attempt.folder.join("exit.json").exists();
    let room = mount(&["-o", "remount,size=8m"]);
    let ended = shim.wait().unwrap().success();
    let record = ended.then(|| attempt.record());
    let said = std::fs::read_to_string(attempt.folder.join("stdout")).unwrap_or_default();
    let log = std::fs::read_to_string(attempt.folder.join("log")).unwrap_or_default();
    assert!(Command::new("umount").arg(home.path()).status().unwrap().success());
    assert!(!free && waits && room, "the disk was full, and what the command said waited for room");
    let record = record.unwrap();
    assert_eq!(record.outcome, CommandOutcome::Exited { code: 4 });
    assert!(!record.stdout_truncated && record.log_lost_bytes > 0);
    assert!(log.trim_end().ends_with("bytes could not be written to this log"), "{:.200}", log);
    assert_eq!(said.len(), LINES * LINE_BYTES);
    assert!(said.lines().enumerate().all(|(at, line)| line.parse() == Ok(at)));
}
