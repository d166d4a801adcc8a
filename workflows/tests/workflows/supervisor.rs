//! The supervisor with real processes, and no engine anywhere.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use everfold_workflows::redact::RedactSettings;
use everfold_workflows::shim::log::{LogCheck, LogFiles, LogReader, LogSource, check, tail};
use everfold_workflows::shim::protocol::{
    CommandOutcome, CommandRequest, ExitRecord, PROTOCOL, PROTOCOL_SECRETS, ShimRecord,
};

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Attempt {
    _home: tempfile::TempDir,
    pub(super) folder: PathBuf,
}

impl Attempt {
    pub(super) fn new(script: &str, change: impl FnOnce(&mut CommandRequest)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("attempt");
        std::fs::create_dir(&folder).unwrap();
        let mut request = CommandRequest {
            protocol: PROTOCOL,
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: [("HOME_OF_TEST".to_owned(), home.path().display().to_string())].into(),
            env_remove: vec!["SECRET_*".to_owned()],
            cwd: home.path().to_owned(),
            stdin: None,
            timeout_ms: None,
            grace_ms: 300,
            log_max_bytes: 1 << 20,
            stdout_max_bytes: 1 << 20,
            stdout_tail_max_bytes: 1 << 10,
            secrets: false,
            declared: Vec::new(),
            redact: None,
            handles: None,
        };
        change(&mut request);
        std::fs::write(folder.join("request.json"), serde_json::to_vec(&request).unwrap()).unwrap();
        Self { _home: home, folder }
    }

    fn supervisor_of(&self, folder: &Path) -> Command {
        let mut command = Command::new(crate::SUPERVISOR);
        command.arg("shim").arg(folder).env("SECRET_KEY", "s3cret");
        command
    }

    pub(super) fn spawn(&self) -> Child {
        self.supervisor_of(&self.folder).spawn().unwrap()
    }

    pub(super) fn run(&self) -> ExitStatus {
        self.spawn().wait().unwrap()
    }

    pub(super) fn record(&self) -> ExitRecord {
        serde_json::from_slice(&std::fs::read(self.folder.join("exit.json")).unwrap()).unwrap()
    }

    pub(super) fn shim_record(&self) -> ShimRecord {
        until("its record", || ShimRecord::read(&self.folder).is_some());
        ShimRecord::read(&self.folder).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.parent().unwrap().join(name)
    }

    pub(super) fn log(&self) -> String {
        tail(&self.folder.join("log"), 1_000)
    }
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|end| !stat[end..].starts_with(") Z"))
}

fn pid_in(path: &Path) -> i32 {
    until("a pid", || std::fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n')));
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

fn kill_hard(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn p1_exit_output_and_environment_are_recorded() {
    let attempt = Attempt::new(
        "echo out; echo err >&2; printf no-end; echo \"${SECRET_KEY-gone}\" >&2; exit 7",
        |_| {},
    );
    assert!(attempt.run().success());
    let record = attempt.record();
    assert_eq!(record.outcome, CommandOutcome::Exited { code: 7 });
    assert_eq!(std::fs::read_to_string(attempt.folder.join("stdout")).unwrap(), "out\nno-end");
    assert_eq!(record.stdout_bytes, 10);
    assert!(record.started_at > 0 && record.ended_at >= record.started_at);
    let log = attempt.log();
    assert!(
        log.contains("out\n") && log.contains("err\n") && log.contains("gone") && !log.contains("s3cret")
    );
    let sealed = record.log.expect("the log is sealed before the end is recorded");
    let written = std::fs::read(attempt.folder.join("log")).unwrap();
    assert_eq!((sealed.hash, sealed.bytes), (everfold_base::json::Hash::of(&written), written.len() as u64));
    assert_eq!(check(LogFiles::at(&attempt.folder.join("log")).unwrap(), &sealed).unwrap(), LogCheck::Same);
    let lines = LogReader::from_start(&attempt.folder.join("log")).read().unwrap();
    assert_eq!(sealed.lines, lines.len() as u64);
    assert!(lines.iter().any(|line| line.source == LogSource::Stderr && line.text == "err"));
}

#[test]
fn p1_a_second_supervisor_never_runs_the_command_again() {
    let attempt = Attempt::new("echo ran >> count; while [ ! -e go ]; do sleep 0.02; done", |_| {});
    let mut first = attempt.spawn();
    until("the start", || attempt.file("count").exists());
    assert_eq!(attempt.run().code(), Some(75), "the lock is held");
    std::fs::write(attempt.file("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    let record = attempt.record();
    assert!(attempt.run().success(), "exit.json is there");
    assert_eq!(attempt.record(), record);
    assert_eq!(std::fs::read_to_string(attempt.file("count")).unwrap(), "ran\n");
}

#[test]
fn p1_started_without_a_record_is_lost_and_not_run() {
    let attempt = Attempt::new("echo ran >> count", |_| {});
    std::fs::write(attempt.folder.join("started"), "").unwrap();
    assert!(attempt.run().success());
    assert!(matches!(attempt.record().outcome, CommandOutcome::Lost { .. }));
    assert!(!attempt.file("count").exists());
}

#[test]
fn p2_the_group_of_a_killed_supervisor_is_killed_before_it_is_lost() {
    let attempt = Attempt::new(
        "echo $$ > head; (setsid sh -c 'echo $$ > runaway; exec sleep 60') & \
         (exec env -i sh -c 'echo $$ > bare; exec sleep 60') & sleep 60",
        |_| {},
    );
    let mut shim = attempt.spawn();
    let (head, runaway) = (pid_in(&attempt.file("head")), pid_in(&attempt.file("runaway")));
    let bare = pid_in(&attempt.file("bare"));
    let record = attempt.shim_record();
    shim.kill().unwrap();
    shim.wait().unwrap();
    assert_eq!(record.command.pid, head);
    assert!(is_alive(head) && is_alive(runaway), "the command outlives its supervisor");
    assert!(attempt.run().success());
    assert!(!is_alive(head) && !is_alive(runaway));
    assert!(!is_alive(bare), "it was in the session of the recorded command");
    let CommandOutcome::Lost { reason } = attempt.record().outcome else { panic!("not lost") };
    assert!(reason.contains("were killed"), "{reason}");
}

/// A number of a session comes again: in a container that was restarted soon, else when all numbers were used.
#[test]
fn o140_a_foreign_session_with_the_number_of_a_dead_supervisor_is_left_alone() {
    let attempt = Attempt::new("true", |_| {});
    let daemon = attempt.file("daemon");
    let script = format!("sleep 60 & echo $! > {0}.new; mv {0}.new {0}", daemon.display());
    let mut leader = Command::new("setsid").args(["sh", "-c", &script]).spawn().unwrap();
    let session = i32::try_from(leader.id()).unwrap();
    let foreign = pid_in(&daemon);
    assert!(leader.wait().unwrap().success(), "as a daemon's session, it has no leader any more");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let record = serde_json::json!({
        "protocol": PROTOCOL, "boot_id": boot.trim(), "started_at": 1,
        "shim": {"pid": session, "start_ticks": 1}, "command": {"pid": foreign, "start_ticks": 2},
    });
    std::fs::write(attempt.folder.join("shim.json"), record.to_string()).unwrap();
    std::fs::write(attempt.folder.join("started"), "").unwrap();
    assert!(attempt.run().success());
    assert!(matches!(attempt.record().outcome, CommandOutcome::Lost { .. }));
    let lives = is_alive(foreign);
    kill_hard(foreign);
    assert!(lives, "it has nothing to do with the attempt");
}

#[test]
fn p3_o139_the_time_limit_is_kept_and_a_command_that_ignores_sigterm_is_killed() {
    let attempt = Attempt::new("trap '' TERM; echo armed; while :; do sleep 0.05; done", |request| {
        request.timeout_ms = Some(2_000);
    });
    let started = Instant::now();
    assert!(attempt.run().success());
    assert!(started.elapsed() >= Duration::from_millis(2_300), "limit and grace");
    assert_eq!(attempt.record().outcome, CommandOutcome::TimedOut);
}

#[test]
fn p3_a_request_of_a_newer_protocol_is_refused_and_nothing_starts() {
    let attempt = Attempt::new("echo ran >> count", |request| request.protocol = PROTOCOL_SECRETS + 1);
    assert_eq!(attempt.run().code(), Some(70));
    assert!(!attempt.folder.join("started").exists() && !attempt.file("count").exists());
}

#[test]
fn sigterm_lets_a_command_tidy_up_within_the_grace() {
    let attempt =
        Attempt::new("trap 'echo tidy > tidied; exit 0' TERM; while :; do sleep 0.02; done", |request| {
            (request.timeout_ms, request.grace_ms) = (Some(2_000), 20_000)
        });
    assert!(attempt.run().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::TimedOut);
    assert!(attempt.file("tidied").exists());
}

#[test]
fn a_runaway_in_its_own_session_does_not_outlive_the_command() {
    let attempt = Attempt::new(
        "setsid sh -c 'trap \"\" TERM; echo $$ > runaway; while :; do sleep 0.05; done' & \
         while [ ! -s runaway ]; do sleep 0.01; done; exit 3",
        |_| {},
    );
    assert!(attempt.run().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Exited { code: 3 });
    assert!(!is_alive(pid_in(&attempt.file("runaway"))));
}

#[test]
fn a_storm_of_forks_ends_with_the_time_limit() {
    let attempt = Attempt::new(
        // Each generation replaces itself in a session of its own; the number at once stays small.
        "storm() { setsid sh -c 'sleep 0.02; . ./storm.sh' & }; \
         echo 'setsid sh -c \"sleep 0.02; . ./storm.sh\" & exit' > storm.sh; \
         for n in 1 2 3 4 5 6 7 8; do storm; done; sleep 60",
        |request| (request.timeout_ms, request.grace_ms) = (Some(500), 100),
    );
    let started = Instant::now();
    assert!(attempt.run().success());
    assert!(started.elapsed() < Duration::from_secs(20));
    let record = attempt.record();
    assert_eq!((record.outcome, record.left_over), (CommandOutcome::TimedOut, 0));
    let mark = format!("EVERFOLD_SHIM={}", attempt.folder.display());
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        assert!(!environ.split(|byte| *byte == 0).any(|it| it == mark.as_bytes()), "{:?}", entry.path());
    }
}

#[test]
fn a_huge_log_is_cut_with_a_mark_and_the_end_of_stdout_is_kept() {
    let attempt = Attempt::new(
        "i=0; while [ $i -lt 400 ]; do printf '%01000d\\n' $i; i=$((i+1)); done; echo the-end",
        |request| (request.log_max_bytes, request.stdout_max_bytes) = (100_000, 50_000),
    );
    assert!(attempt.run().success());
    let record = attempt.record();
    assert_eq!(record.outcome, CommandOutcome::Exited { code: 0 });
    assert!(record.stdout_truncated && record.log_lost_bytes > 0);
    assert_eq!(record.stdout_bytes, 400 * 1001 + 8);
    assert!(std::fs::metadata(attempt.folder.join("log")).unwrap().len() < 101_000);
    assert_eq!(std::fs::metadata(attempt.folder.join("stdout")).unwrap().len(), 50_000);
    let tail = std::fs::read_to_string(attempt.folder.join("stdout.tail")).unwrap();
    assert!(tail.len() <= 1 << 10 && tail.ends_with("the-end\n"));
}

#[test]
fn cancel_from_another_process_ends_the_whole_group() {
    let attempt = Attempt::new("echo $$ > head; sleep 60 & wait", |_| {});
    let mut shim = attempt.spawn();
    let head = pid_in(&attempt.file("head"));
    let wake = attempt.folder.join("wake");
    let script = format!("touch {}/cancel; echo > {}", attempt.folder.display(), wake.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    assert!(shim.wait().unwrap().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Cancelled);
    assert!(!is_alive(head));
}

#[test]
fn a_sparse_file_in_its_folder_is_removed_and_named_and_costs_no_time() {
    let script = "truncate -s 4T attempt/core; echo done > attempt/small";
    let attempt = Attempt::new(script, |request| request.redact = Some(RedactSettings::default()));
    assert!(attempt.run().success());
    let record = attempt.record();
    assert_eq!(
        (record.outcome, record.removed),
        (CommandOutcome::Exited { code: 0 }, vec!["core".to_owned()])
    );
    assert!(!attempt.folder.join("core").exists() && attempt.folder.join("small").exists());
}

#[test]
fn a_cancel_ends_an_attempt_whose_command_has_ended_and_whose_files_are_being_masked() {
    let script = "for i in $(seq 500); do truncate -s 1000M attempt/f$i; done; echo $$ > head";
    let attempt = Attempt::new(script, |request| request.redact = Some(RedactSettings::default()));
    let mut shim = attempt.spawn();
    let head = pid_in(&attempt.file("head"));
    until("the end of the command", || !is_alive(head));
    std::fs::write(attempt.folder.join("cancel"), "").unwrap();
    assert!(shim.wait().unwrap().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Cancelled);
    assert!(!attempt.folder.join("f1").exists() && !attempt.folder.join("f500").exists());
}

#[test]
fn cancelled_before_its_start_a_command_never_runs() {
    let attempt = Attempt::new("echo ran >> count", |_| {});
    std::fs::write(attempt.folder.join("cancel"), "").unwrap();
    assert!(attempt.run().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Cancelled);
    assert!(!attempt.file("count").exists());
}

#[test]
fn a_missing_program_and_a_missing_folder_are_distinguished() {
    let attempt = Attempt::new("", |request| request.argv = vec!["no-such-program-here".to_owned()]);
    assert!(attempt.run().success());
    assert!(matches!(attempt.record().outcome, CommandOutcome::NotStarted { missing: true, .. }));
    let attempt = Attempt::new("true", |request| request.cwd = PathBuf::from("/no/such/folder"));
    assert!(attempt.run().success());
    let CommandOutcome::NotStarted { missing: false, reason } = attempt.record().outcome else { panic!() };
    assert!(reason.contains("/no/such/folder"), "{reason}");
}

#[test]
fn the_supervisor_survives_the_process_that_started_it() {
    let attempt = Attempt::new("sleep 0.4; echo done > done; exit 5", |_| {});
    // A shell starts the supervisor in its own process group and is killed with the whole group.
    let script = format!("{} shim {} & sleep 60", crate::SUPERVISOR, attempt.folder.display());
    let mut engine = Command::new("sh").args(["-c", &script]).process_group(0).spawn().unwrap();
    attempt.shim_record();
    let group = rustix::process::Pid::from_child(&engine);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    engine.wait().unwrap();
    until("exit.json", || attempt.folder.join("exit.json").exists());
    assert_eq!(attempt.record().outcome, CommandOutcome::Exited { code: 5 });
    assert!(attempt.file("done").exists());
}

#[test]
fn a_killed_command_is_a_crash_and_not_an_exit() {
    let attempt = Attempt::new("echo $$ > head; sleep 60", |_| {});
    let mut shim = attempt.spawn();
    kill_hard(pid_in(&attempt.file("head")));
    assert!(shim.wait().unwrap().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Signalled { signal: 9 });
}

/// What tools that copy folders fail on.
fn fifos(folder: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::FileTypeExt as _;
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().unwrap().is_fifo()).map(|entry| entry.path()).collect()
}

#[test]
fn row_06_no_fifo_is_left_of_an_attempt_that_has_ended() {
    let ended = Attempt::new("echo done", |_| {});
    assert!(ended.run().success());
    assert_eq!(fifos(&ended.folder), [""; 0].map(PathBuf::from));
    // One whose supervisor was killed is ended by the next.
    let lost = Attempt::new("sleep 60", |_| {});
    let mut shim = lost.spawn();
    lost.shim_record();
    until("it can be woken while it lives", || fifos(&lost.folder).len() == 1);
    shim.kill().unwrap();
    shim.wait().unwrap();
    assert!(lost.run().success());
    assert_eq!(fifos(&lost.folder), [""; 0].map(PathBuf::from));
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The supervisor may write no file of any size, so not its record. Nor can the message about that be written.
#[cfg(target_os = "linux")]
#[test]
fn row_08_a_record_that_cannot_be_written_is_tried_again_and_no_other_takes_the_folder_meanwhile() {
    let attempt = Attempt::new("echo ran >> count; while [ ! -e go ]; do sleep 0.02; done; exit 4", |_| {});
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut shim = attempt.supervisor_of(&attempt.folder).stderr(full).spawn().unwrap();
    until("the start", || attempt.file("count").exists());
    let ShimRecord { shim: supervisor, command, .. } = attempt.shim_record();
    let former = crate::fixtures::home::limit_files(supervisor.pid, Some(0));
    std::fs::write(attempt.file("go"), "").unwrap();
    until("the end of the command", || !is_alive(command.pid));
    for _ in 0..3 {
        assert_eq!(attempt.run().code(), Some(75), "it is held by who knows how the command ended");
    }
    assert!(shim.try_wait().unwrap().is_none() && !attempt.folder.join("exit.json").exists());
    crate::fixtures::home::limit_files(supervisor.pid, former);
    assert!(shim.wait().unwrap().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Exited { code: 4 });
    assert_eq!(std::fs::read_to_string(attempt.file("count")).unwrap(), "ran\n");
}

#[test]
fn row_08_a_supervisor_whose_folder_was_deleted_does_not_try_for_ever() {
    let attempt = Attempt::new("echo ran >> count; while [ ! -e go ]; do sleep 0.02; done", |_| {});
    let mut shim = attempt.spawn();
    until("the start", || attempt.file("count").exists() && ShimRecord::read(&attempt.folder).is_some());
    std::fs::remove_dir_all(&attempt.folder).unwrap();
    std::fs::write(attempt.file("go"), "").unwrap();
    until("its end", || shim.try_wait().unwrap().is_some());
}

/// What `systemctl stop` does to everything in a unit, by default.
#[test]
fn row_10_signals_that_ask_for_an_end_do_not_end_the_supervisor() {
    use rustix::process::Signal;
    let attempt = Attempt::new(
        "trap 'echo asked >> asked' TERM; echo $$ > head; while [ ! -e go ]; do sleep 0.02; done; exit 3",
        |_| {},
    );
    let mut shim = attempt.spawn();
    let (head, record) = (pid_in(&attempt.file("head")), attempt.shim_record());
    for each in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::TERM] {
        signal(record.shim.pid, each);
    }
    // The command's own: it was not shielded from it.
    signal(head, Signal::TERM);
    until("the command's trap", || attempt.file("asked").exists());
    assert!(shim.try_wait().unwrap().is_none() && is_alive(head));
    std::fs::write(attempt.file("go"), "").unwrap();
    assert!(shim.wait().unwrap().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Exited { code: 3 });
}

#[test]
fn row_10_a_command_that_the_same_stop_ends_has_its_end_recorded() {
    use rustix::process::Signal;
    let attempt = Attempt::new("echo $$ > head; exec sleep 60", |_| {});
    let mut shim = attempt.spawn();
    let (head, record) = (pid_in(&attempt.file("head")), attempt.shim_record());
    signal(record.shim.pid, Signal::TERM);
    signal(head, Signal::TERM);
    assert!(shim.wait().unwrap().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Signalled { signal: 15 });
}

#[test]
fn row_11_a_command_has_the_limit_of_open_files_that_it_would_have_without_an_engine() {
    let attempt = Attempt::new("ulimit -Sn", |request| request.handles = Some(77));
    assert!(attempt.run().success());
    assert_eq!(std::fs::read_to_string(attempt.folder.join("stdout")).unwrap(), "77\n");
}

#[test]
fn a_supervisor_whose_folder_is_moved_leaves_its_record_there_and_hears_a_cancel() {
    for is_cancelled in [false, true] {
        let attempt = Attempt::new("echo ran > began; while [ ! -e go ]; do sleep 0.02; done", |_| {});
        let mut supervisor = attempt.spawn();
        until("the start", || attempt.file("began").exists());
        attempt.shim_record();
        let moved = attempt.file("moved");
        std::fs::rename(&attempt.folder, &moved).unwrap();
        match is_cancelled {
            true => {
                std::fs::write(moved.join("cancel"), "").unwrap();
                std::fs::write(moved.join("wake"), "!").unwrap();
            }
            false => std::fs::write(attempt.file("go"), "").unwrap(),
        }
        assert!(supervisor.wait().unwrap().success());
        let record: ExitRecord =
            serde_json::from_slice(&std::fs::read(moved.join("exit.json")).unwrap()).unwrap();
        let wanted =
            if is_cancelled { CommandOutcome::Cancelled } else { CommandOutcome::Exited { code: 0 } };
        assert_eq!(record.outcome, wanted);
        assert!(!attempt.folder.exists(), "nothing is left under the former name");
    }
}

#[test]
fn a_supervisor_of_a_copied_folder_kills_nothing_of_the_original() {
    let attempt = Attempt::new("echo ran > began; while [ ! -e go ]; do sleep 0.02; done", |_| {});
    let mut supervisor = attempt.spawn();
    until("the start", || attempt.file("began").exists());
    attempt.shim_record();
    let copy = attempt.file("copy");
    std::fs::create_dir(&copy).unwrap();
    for name in ["request.json", "started", "lock"] {
        std::fs::copy(attempt.folder.join(name), copy.join(name)).unwrap();
    }
    assert!(attempt.supervisor_of(&copy).status().unwrap().success());
    let record: ExitRecord = serde_json::from_slice(&std::fs::read(copy.join("exit.json")).unwrap()).unwrap();
    assert!(matches!(record.outcome, CommandOutcome::Lost { .. }), "{:?}", record.outcome);
    assert!(supervisor.try_wait().unwrap().is_none(), "the original lives");
    std::fs::write(attempt.file("go"), "").unwrap();
    assert!(supervisor.wait().unwrap().success());
    assert_eq!(attempt.record().outcome, CommandOutcome::Exited { code: 0 });
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Each is an inode for as long as the folder stays.
#[test]
fn a_command_leaves_no_more_files_than_what_it_says_needs() {
    let silent = Attempt::new("true", |request| request.redact = Some(RedactSettings::default()));
    assert!(silent.run().success());
    assert_eq!(names(&silent.folder), ["exit.json", "lock", "request.json", "started"]);
    let sealed = silent.record().log.expect("it is recorded that it said nothing");
    assert_eq!((sealed.lines, sealed.bytes, sealed.hash), (0, 0, everfold_base::json::Hash::of(&[])));
    assert_eq!(check(LogFiles::at(&silent.folder.join("log")).unwrap(), &sealed).unwrap(), LogCheck::Same);
    std::fs::write(silent.folder.join("log"), "1 O added\n").unwrap();
    assert!(matches!(
        check(LogFiles::at(&silent.folder.join("log")).unwrap(), &sealed).unwrap(),
        LogCheck::Changed(_)
    ));
    let speaking = Attempt::new("echo out", |_| {});
    assert!(speaking.run().success());
    let names = names(&speaking.folder);
    assert_eq!(names, ["exit.json", "lock", "log", "log.index", "request.json", "started", "stdout"]);
}

#[test]
fn p1_a_whole_record_whose_name_a_crash_took_is_the_end_and_half_of_one_is_none() {
    let attempt = Attempt::new("echo ran >> count", |_| {});
    let record = CommandOutcome::Exited { code: 4 }.record();
    let text = serde_json::to_string(&record).unwrap();
    let reserve = attempt.folder.join("exit.json.new");
    std::fs::write(attempt.folder.join("started"), "").unwrap();
    std::fs::write(&reserve, format!("{text}\n{}", " ".repeat(100))).unwrap();
    assert!(attempt.run().success());
    assert_eq!((attempt.record(), reserve.exists()), (record, false));
    std::fs::remove_file(attempt.folder.join("exit.json")).unwrap();
    std::fs::write(&reserve, &text[..text.len() / 2]).unwrap();
    assert!(attempt.run().success());
    assert!(matches!(attempt.record().outcome, CommandOutcome::Lost { .. }));
    assert!(!attempt.file("count").exists(), "it never ran a second time");
}
