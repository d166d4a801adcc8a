//! Executors over real processes, and engines that come and go.

use super::remarks::remarks;
use crate::fixtures::home::{
    Home, failure, git, is_alive, kill_hard, observer, output, pid_in, repository, until,
};
use everfold_base::failure::FailureKind;
use everfold_base::time::Timestamp;
use everfold_language::definition::{OnLost, Save};
use everfold_ports::{
    AttemptRequest, AttemptResult, Executor as _, GitWorkdir, RequestedFile, RequestedJson,
};
use everfold_workflows::agent::AgentExecutor;
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::shim::protocol::ShimRecord;
use serde_json::{Value, json};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn file(path: &str) -> RequestedFile {
    RequestedFile { path: path.to_owned(), optional: false, fresh: false }
}

#[tokio::test]
async fn y_a_command_gets_its_place_and_gives_its_output() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes());
    let end = executor
        .start(
            home.shell(
                "pwd; echo $EVERFOLD_STEP $EVERFOLD_ROUND $EVERFOLD_ATTEMPT; cat $EVERFOLD_INPUT; \
                 test ${#EVERFOLD_IDEMPOTENCY_KEY} -eq 32; test $EVERFOLD_WORKSPACE = $(pwd); \
                 test $EVERFOLD_RUN = 0198c1f0-0000-7000-8000-0000deadbeef; test ! -e $EVERFOLD_OUTPUT; \
                 test -z \"$EVERFOLD_PROMPT$EVERFOLD_ROLE$EVERFOLD_MODEL$EVERFOLD_SESSION$EVERFOLD_GATE\"",
            ),
            observer(),
        )
        .await;
    let expected =
        format!("{}\nbuild 1 1\n{}", home.path("work").display(), r#"{"input":{"task":"x"},"round":1}"#);
    assert_eq!(output(&end), &json!({"exit_code": 0, "stdout": expected}));
    assert!(end.ended_at.0 > 0 && end.commit.is_none());
}

#[tokio::test]
async fn y_the_result_file_is_the_output_and_usage_is_reported() {
    let home = Home::new();
    let script =
        r#"echo '{"ok": true, "everfold": {"usage": {"input_tokens": 3, "cost": 0.5}}}' > $EVERFOLD_OUTPUT"#;
    let end = CommandExecutor::new(home.processes()).start(home.shell(script), observer()).await;
    assert_eq!(output(&end), &json!({"ok": true}));
    assert_eq!((end.usage[0].input_tokens, end.usage[0].cost_micros), (3, 500_000));
}

#[tokio::test]
async fn a_command_says_how_far_it_is_in_its_file_and_the_same_again_is_not_told() {
    let home = Home::new();
    let script = r#"test ! -e $EVERFOLD_PROGRESS || exit 9
        for n in 1 1 1 2; do
            printf '{"done": %s, "of": 2, "note": "part %s"}' $n $n > $EVERFOLD_PROGRESS.new
            mv $EVERFOLD_PROGRESS.new $EVERFOLD_PROGRESS; sleep 0.5
        done"#;
    let seen = observer();
    let end = CommandExecutor::new(home.processes()).start(home.shell(script), seen.clone()).await;
    assert_eq!(output(&end)["exit_code"], 0);
    let mut told: Vec<(u64, String)> = Vec::new();
    for progress in seen.progress.lock().unwrap().iter() {
        told.push((progress.done, progress.note.clone().unwrap()));
    }
    assert_eq!(told, [(1, "part 1".to_owned()), (2, "part 2".to_owned())]);
}

#[tokio::test]
async fn a_failure_has_its_code_and_the_last_lines() {
    let home = Home::new();
    let script = r#"echo '{"everfold": {"code": "E7"}}' > $EVERFOLD_OUTPUT; echo one; echo two >&2; exit 3"#;
    let end = CommandExecutor::new(home.processes()).start(home.shell(script), observer()).await;
    let failure = failure(&end);
    assert_eq!(
        (failure.kind, failure.exit_code, failure.code.as_deref()),
        (FailureKind::Exit, Some(3), Some("E7"))
    );
    let detail = failure.detail.as_deref().unwrap();
    assert!(detail.contains("one") && detail.contains("two"), "{detail}");
}

#[test]
fn a_process_outlives_two_engines_and_runs_once() {
    let home = Home::new();
    let request = home.shell("echo ran >> runs; while [ ! -e go ]; do sleep 0.02; done; echo bye; exit 5");
    for engine in 0..2 {
        let first = runtime();
        let executor = CommandExecutor::new(home.processes());
        first.block_on(async {
            let attempt = match engine {
                0 => executor.start(request.clone(), observer()),
                _ => executor.reattach(request.clone(), observer()),
            };
            tokio::select! {
                end = attempt => panic!("ended in engine {engine}: {end:?}"),
                () = until("the start", || ShimRecord::read(&home.path("attempt")).is_some()) => {}
            }
        });
        first.shutdown_background();
    }
    std::fs::write(home.work("go"), "").unwrap();
    runtime().block_on(async {
        let seen = observer();
        let end = CommandExecutor::new(home.processes()).reattach(request.clone(), seen.clone()).await;
        assert_eq!(failure(&end).exit_code, Some(5));
        assert_eq!(seen.lines.lock().unwrap().last().map(String::as_str), Some("bye"));
        let again = CommandExecutor::new(home.processes()).start(request.clone(), observer()).await;
        assert_eq!((failure(&again), again.ended_at), (failure(&end), end.ended_at));
    });
    assert_eq!(std::fs::read_to_string(home.work("runs")).unwrap(), "ran\n");
}

#[test]
fn a_later_engine_says_when_a_process_itself_began() {
    let home = Home::new();
    let request = home.shell("while [ ! -e go ]; do sleep 0.02; done");
    let first = runtime();
    let (early, late) = (observer(), observer());
    let seen = early.clone();
    first.block_on(async {
        let attempt = CommandExecutor::new(home.processes()).start(request.clone(), early.clone());
        tokio::select! {
            end = attempt => panic!("{end:?}"),
            () = until("the begin", || !seen.began.lock().unwrap().is_empty()) => {}
        }
    });
    first.shutdown_background();
    let seen = late.clone();
    runtime().block_on(async {
        let attempt = CommandExecutor::new(home.processes()).reattach(request, late.clone());
        tokio::select! {
            end = attempt => panic!("{end:?}"),
            () = until("the begin", || !seen.began.lock().unwrap().is_empty()) => {}
        }
        std::fs::write(home.work("go"), "").unwrap();
        until("the end", || home.path("attempt/exit.json").exists()).await;
    });
    let record: Value = serde_json::from_slice(&std::fs::read(home.path("attempt/lock")).unwrap()).unwrap();
    let began = Timestamp(record["started_at"].as_i64().unwrap());
    assert_eq!((&*early.began.lock().unwrap(), &*late.began.lock().unwrap()), (&vec![began], &vec![began]));
}

#[test]
fn an_end_while_no_engine_was_there_is_the_result() {
    let home = Home::new();
    let mut request = home.shell("echo up > up; sleep 60");
    request.timeout = Some(std::time::Duration::from_secs(2));
    let first = runtime();
    first.block_on(async {
        let attempt = CommandExecutor::new(home.processes()).start(request.clone(), observer());
        tokio::select! {
            end = attempt => panic!("{end:?}"),
            () = until("the start", || home.work("up").exists()) => {}
        }
    });
    first.shutdown_background();
    runtime().block_on(async {
        until("the record", || home.path("attempt/exit.json").exists()).await;
        let end = CommandExecutor::new(home.processes()).reattach(request, observer()).await;
        let failure = failure(&end);
        assert_eq!((failure.kind, failure.exit_code), (FailureKind::Timeout, Some(124)));
        assert!(failure.message.contains("2s"), "{}", failure.message);
    });
}

#[tokio::test]
async fn p2_a_killed_supervisor_means_lost_and_nothing_of_it_lives() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes());
    let attempt = tokio::spawn(executor.start(home.shell("echo $$ > head; sleep 60"), observer()));
    let head = pid_in(&home.work("head")).await;
    until("its record", || ShimRecord::read(&home.path("attempt")).is_some()).await;
    let record: Value = serde_json::from_slice(&std::fs::read(home.path("attempt/lock")).unwrap()).unwrap();
    kill_hard(i32::try_from(record["shim"]["pid"].as_i64().unwrap()).unwrap());
    let end = attempt.await.unwrap();
    assert!(matches!(end.result, AttemptResult::Lost { .. }), "{end:?}");
    assert!(!is_alive(head));
    let again = executor.reattach(home.shell("echo never > never"), observer()).await;
    assert!(matches!(again.result, AttemptResult::Lost { .. }));
    assert!(!home.work("never").exists());
}

#[tokio::test]
async fn cancel_by_another_engine_ends_the_waiting_one_too() {
    let home = Home::new();
    let request = home.shell("trap '' TERM; echo $$ > head; while :; do sleep 0.05; done");
    let attempt = tokio::spawn(CommandExecutor::new(home.processes()).start(request.clone(), observer()));
    let head = pid_in(&home.work("head")).await;
    let other = CommandExecutor::new(home.processes());
    other.cancel(request.clone()).await;
    assert!(!is_alive(head));
    assert_eq!(failure(&attempt.await.unwrap()).kind, FailureKind::Cancelled);
    other.cancel(request).await; // Again: no harm.
}

#[tokio::test]
async fn cancelled_before_it_started_it_never_starts() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes());
    let request = home.shell("echo never > never");
    executor.cancel(request.clone()).await;
    let end = executor.start(request, observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Cancelled);
    assert!(!home.work("never").exists());
}

/// Others end it: the kernel for want of memory, a machine that stops, a person.
#[tokio::test]
async fn work_that_others_end_has_a_code_of_its_own_and_is_lost_where_it_may_begin_again() {
    let ended = async |script: &str, on_lost: Option<OnLost>| {
        let home = Home::new();
        let request = AttemptRequest { on_lost, ..home.shell(script) };
        CommandExecutor::new(home.processes()).start(request, observer()).await
    };
    for (signal, name) in [(9, "SIGKILL"), (15, "SIGTERM")] {
        let script = format!("echo begun; kill -{signal} $$; sleep 60");
        let end = ended(&script, None).await;
        let failed = failure(&end);
        assert_eq!((failed.kind, failed.code.as_deref()), (FailureKind::Crash, Some("KILLED")), "{failed:?}");
        assert_eq!(failed.exit_code, Some(128 + signal));
        assert!(failed.message.contains(name) && failed.hint().contains("memory"), "{failed:?}");
        let end = ended(&script, Some(OnLost::Retry)).await;
        let AttemptResult::Lost { reason } = end.result else { panic!("{end:?}") };
        assert!(reason.contains(name), "{reason}");
        let end = ended(&script, Some(OnLost::Block)).await;
        assert_eq!(
            failure(&end).code.as_deref(),
            Some("KILLED"),
            "it may have done what must not be done twice"
        );
    }
    // A fault of the program's own would come again.
    let end = ended("kill -SEGV $$", Some(OnLost::Retry)).await;
    assert_eq!((failure(&end).kind, failure(&end).code.as_deref()), (FailureKind::Crash, None));
}

#[tokio::test]
async fn an_engine_killed_with_its_group_and_without_its_file_leaves_the_process_to_the_next() {
    use std::os::unix::process::CommandExt as _;
    let home = Home::new();
    let program = home.path("engine");
    // By another process, for the reason that `write_program` gives.
    let copied = std::process::Command::new("cp").arg(crate::SUPERVISOR).arg(&program).status();
    assert!(copied.unwrap().success());
    let script = "echo $$ > head; while [ ! -e on ]; do sleep 0.02; done; exit 9";
    let mut engine = std::process::Command::new(&program)
        .args(["engine", "../attempt", ".", script])
        .current_dir(home.path("work"))
        .process_group(0)
        .spawn()
        .unwrap();
    std::fs::remove_file(&program).unwrap(); // As an update does; it supervises all the same.
    std::fs::write(home.work("go"), "").unwrap();
    let head = pid_in(&home.work("head")).await;
    until("its record", || ShimRecord::read(&home.path("attempt")).is_some()).await;
    let group = rustix::process::Pid::from_child(&engine);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    engine.wait().unwrap();
    assert!(is_alive(head));
    std::fs::write(home.work("on"), "").unwrap();
    let end = CommandExecutor::new(home.processes()).reattach(home.shell("never"), observer()).await;
    assert_eq!(failure(&end).exit_code, Some(9));
}

#[tokio::test]
async fn p1_killed_at_any_moment_a_command_runs_at_most_once_and_leaves_nothing() {
    let seed = std::env::var("EVERFOLD_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut random: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    println!("EVERFOLD_SEED={random}");
    let (mut lost, mut ended) = (0, 0);
    // How long a command takes here and now: the moments are spread over twice that.
    let script = "echo $$ >> runs; sleep 0.02; echo done >> ends";
    let undisturbed = Home::new();
    let began = std::time::Instant::now();
    let end =
        CommandExecutor::new(undisturbed.processes()).start(undisturbed.shell(script), observer()).await;
    assert!(matches!(end.result, AttemptResult::Succeeded(_)), "{:?}", end.result);
    let longest = u64::try_from(began.elapsed().as_micros()).unwrap() * 2;
    for _ in 0..40 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let home = Home::new();
        let executor = CommandExecutor::new(home.processes());
        let request = home.shell(script);
        let attempt = tokio::spawn(executor.start(request.clone(), observer()));
        tokio::time::sleep(std::time::Duration::from_micros((random >> 33) % longest)).await;
        // Engine and supervisor die together; who supervises is known by the lock alone.
        attempt.abort();
        for pid in shims_of(&home.path("attempt")) {
            kill_hard(pid);
        }
        let end = executor.start(request, observer()).await;
        let lines = |name: &str| std::fs::read_to_string(home.work(name)).unwrap_or_default().lines().count();
        match end.result {
            AttemptResult::Succeeded(_) => {
                assert_eq!((lines("runs"), lines("ends")), (1, 1));
                ended += 1;
            }
            AttemptResult::Lost { .. } => {
                assert!(lines("runs") <= 1);
                lost += 1;
            }
            AttemptResult::Failed(failure) => panic!("{failure:?}"),
            AttemptResult::NoRoom { reason } | AttemptResult::Unreadable { reason } => panic!("{reason}"),
        }
        for line in std::fs::read_to_string(home.work("runs")).unwrap_or_default().lines() {
            assert!(!is_alive(line.parse().unwrap()), "{line} lives on");
        }
    }
    assert!(lost > 0 && ended > 0, "{lost} lost, {ended} ended: the moments were not spread");
}

/// The supervisors of a folder, by their command lines.
fn shims_of(folder: &std::path::Path) -> Vec<i32> {
    let wanted = format!("\0shim\0{}\0", folder.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let command = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.filter(|pid| String::from_utf8_lossy(&command(pid)).ends_with(&wanted)).collect()
}

#[tokio::test]
async fn p1_what_began_is_lost_with_its_folder_and_never_begun_again() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes());
    let end = executor.reattach(home.shell("echo never > never"), observer()).await;
    assert!(matches!(end.result, AttemptResult::Lost { .. }), "{end:?}");
    drop(executor.cancel(home.shell("")));
    let end = executor.reattach(home.shell("echo never > never"), observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Cancelled, "the mark is there before the future is polled");
    assert!(!home.work("never").exists());
}

#[tokio::test]
async fn a_cancel_settles_what_a_killed_supervisor_left() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes());
    let request = home.shell("echo $$ > head; sleep 60");
    let attempt = executor.start(request.clone(), observer());
    tokio::select! {
        end = attempt => panic!("{end:?}"),
        () = until("its record", || ShimRecord::read(&home.path("attempt")).is_some() && home.work("head").exists()) => {}
    }
    let head = pid_in(&home.work("head")).await;
    let record: Value = serde_json::from_slice(&std::fs::read(home.path("attempt/lock")).unwrap()).unwrap();
    kill_hard(i32::try_from(record["shim"]["pid"].as_i64().unwrap()).unwrap());
    executor.cancel(request).await;
    assert!(!is_alive(head));
}

/// Whatever a command makes under the name of its record, a cancel ends it, and another engine sees it running.
#[tokio::test]
async fn a_folder_in_the_place_of_the_record_keeps_no_cancel_back() {
    let home = Home::new();
    let request = home.shell("mkdir \"$EVERFOLD_SHIM/exit.json\"; echo $$ > head; sleep 60");
    let attempt = tokio::spawn(CommandExecutor::new(home.processes()).start(request.clone(), observer()));
    let head = pid_in(&home.work("head")).await;
    let other = CommandExecutor::new(home.processes());
    let again = tokio::spawn(other.reattach(request.clone(), observer()));
    other.cancel(request).await;
    assert!(!is_alive(head));
    for end in [attempt.await.unwrap(), again.await.unwrap()] {
        assert_eq!(failure(&end).kind, FailureKind::Cancelled);
    }
}

#[tokio::test]
async fn a_missing_program_fails_before_anything_is_made() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes());
    let end = executor.start(home.request(json!({"argv": ["no-such-program-here"]})), observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Spawn);
    assert!(!home.path("attempt").exists());
    let agents = AgentExecutor::new(home.processes_with("[agents.claude]\ncommand = [\"no-such-agent\"]\n"));
    let end = agents.start(home.request(json!({"prompt": "x"})), observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Spawn);
    assert!(
        failure(&end).hint().contains("agents.claude.command in everfold.toml"),
        "{}",
        failure(&end).hint()
    );
    let end = agents.start(home.request(json!({"prompt": "x", "profile": "claud"})), observer()).await;
    assert!(failure(&end).message.contains("did you mean claude?"));
}

#[tokio::test]
async fn declared_files_are_kept_and_a_repeated_report_is_the_same() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes());
    let mut request = home.shell("echo report > r.md; echo n=42");
    request.outputs.files.insert("report".to_owned(), file("r.md"));
    request.outputs.files.insert("extra".to_owned(), RequestedFile { optional: true, ..file("none.md") });
    request.outputs.matches.insert("n".to_owned(), "n=(\\d+)".to_owned());
    let end = executor.start(request.clone(), observer()).await;
    assert_eq!(output(&end)["n"], "42");
    let [artefact] = end.artefacts.as_slice() else { panic!("{end:?}") };
    assert_eq!((artefact.name.as_str(), home.blob(artefact.blob).as_str()), ("report", "report\n"));
    std::fs::write(home.work("r.md"), "changed since").unwrap();
    let again = executor.reattach(request, observer()).await;
    assert_eq!((again.artefacts, again.ended_at), (end.artefacts, end.ended_at));
}

#[tokio::test]
async fn l33_a_declared_file_that_is_missing_stale_or_outside_is_a_validation_failure() {
    for (path, fresh, part) in [
        ("none.md", false, "is missing"),
        ("../attempt/input.json", false, "leads out of the workspace"),
        ("link", false, "leads out of the workspace"),
        ("old.md", true, "has not changed"),
    ] {
        let home = Home::new();
        std::fs::write(home.work("old.md"), "old").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", home.work("link")).unwrap();
        let mut request = home.shell("touch old.md");
        request.outputs.files.insert("x".to_owned(), RequestedFile { fresh, ..file(path) });
        let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
        assert_eq!(failure(&end).kind, FailureKind::Validation);
        assert!(failure(&end).message.contains(part), "{path}: {}", failure(&end).message);
    }
}

/// It was read twice, whatever its size, and no time limit counted meanwhile.
#[tokio::test]
async fn l33_a_file_that_must_be_fresh_and_is_too_large_to_be_kept_is_known_by_its_size_and_time() {
    for (script, part) in [
        ("true", "has not changed"),
        ("echo more >> large", "larger than 64 MiB"),
        ("echo small > large", ""),
    ] {
        let home = Home::new();
        // Reading the hole in it to its end takes longer than any test.
        std::fs::File::create(home.work("large")).unwrap().set_len(1 << 40).unwrap();
        let mut request = home.shell(script);
        request.outputs.files.insert("x".to_owned(), RequestedFile { fresh: true, ..file("large") });
        let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
        if part.is_empty() {
            let [artefact] = end.artefacts.as_slice() else { panic!("{end:?}") };
            assert_eq!(home.blob(artefact.blob), "small\n");
        } else {
            assert!(failure(&end).message.contains(part), "{script}: {}", failure(&end).message);
        }
    }
}

#[tokio::test]
async fn output_over_the_limit_still_gives_its_last_json() {
    let home = Home::new();
    let mut request = home.shell(
        "i=0; while [ $i -lt 1300 ]; do printf '%01000d\\n' $i; i=$((i+1)); done; echo '{\"last\": 1}'",
    );
    request.outputs.json = Some(RequestedJson::Lenient);
    let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
    assert_eq!(output(&end), &json!({"last": 1}));
}

#[tokio::test]
async fn l33_leftovers_are_committed_once_with_the_configured_author() {
    let home = Home::new();
    repository(&home.path("work"));
    let executor =
        CommandExecutor::new(home.processes_with("[git]\nauthor = \"Robot <robot@example.org>\"\n"));
    let mut request = home.shell("echo two >> readme; echo new > new; exit 1");
    request.workdir.git = Some(GitWorkdir {
        save: Save::Commit,
        message: Some("build: leftovers".to_owned()),
        author: None,
        base_commit: git(&home.path("work"), &["rev-parse", "HEAD"]),
        is_copy: false,
        repository: home.path("work"),
        branch: Some("main".to_owned()),
    });
    let end = executor.start(request.clone(), observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Exit);
    assert_eq!(end.commit.as_deref(), Some(git(&home.path("work"), &["rev-parse", "HEAD"]).as_str()));
    assert_eq!(
        git(&home.path("work"), &["log", "-1", "--format=%an <%ae> %s", "--name-only"]),
        "Robot <robot@example.org> build: leftovers\n\nnew\nreadme"
    );
    // As after a crash between the end and its report.
    std::fs::remove_file(home.path("attempt/report.json")).unwrap();
    let again = executor.reattach(request, observer()).await;
    assert_eq!(again.commit, end.commit);
    assert_eq!(git(&home.path("work"), &["rev-list", "--count", "HEAD"]), "2");
}

#[tokio::test]
async fn l22_a_process_that_asks_ends_without_an_output_and_its_files_are_not_kept() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes());
    let script = r#"echo '{"n": 1, "everfold": {"ask": {"text": "which?"}, "note": "half-way", "labels": {"pr": 1}}}' > $EVERFOLD_OUTPUT"#;
    let request = home.shell(script);
    let end = executor.start(request.clone(), observer()).await;
    assert_eq!(end.ask, Some(json!({"text": "which?"})));
    assert_eq!(output(&end), &Value::Null);
    assert_eq!((end.notes.note.as_deref(), end.notes.labels["pr"].as_str()), (Some("half-way"), "1"));
    let again = executor.reattach(request, observer()).await;
    assert_eq!((again.ask, again.notes), (end.ask, end.notes), "reported alike after a restart");
    let script = r#"echo '{"everfold": {"ask": {"text": "which?"}}}' > $EVERFOLD_OUTPUT; exit 3"#;
    let home = Home::new();
    let end = CommandExecutor::new(home.processes()).start(home.shell(script), observer()).await;
    assert_eq!(
        (failure(&end).kind, end.ask.is_none()),
        (FailureKind::Exit, true),
        "a failure asks no question"
    );
}

#[tokio::test]
async fn pipes_and_devices_that_a_command_leaves_are_no_files_and_hold_nothing_up() {
    for (script, said) in [
        ("mkfifo $EVERFOLD_OUTPUT", "no regular file"),
        ("ln -s /dev/zero $EVERFOLD_OUTPUT", "a link stands in the place"),
    ] {
        let home = Home::new();
        let end = CommandExecutor::new(home.processes()).start(home.shell(script), observer()).await;
        let failure = failure(&end);
        assert_eq!(failure.kind, FailureKind::Validation, "{script}");
        assert!(failure.message.contains(said), "{}", failure.message);
    }
    for is_there_before in [false, true] {
        let home = Home::new();
        let pipe = home.path("work").join("left");
        if is_there_before {
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        }
        let mut request = home.shell("test -p left || mkfifo left");
        request.outputs.files.insert("left".to_owned(), RequestedFile { fresh: true, ..file("left") });
        let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
        assert!(failure(&end).message.contains("is no file"), "{}", failure(&end).message);
    }
}

#[tokio::test]
async fn y_what_a_process_leaves_is_bounded_and_a_log_over_its_limit_says_so() {
    let home = Home::new();
    let executor = CommandExecutor::new(home.processes_with("[logs]\nmax_bytes = 20000\n"));
    let end = executor.start(home.shell("yes 0123456789 | head -n 50000"), observer()).await;
    assert_eq!(output(&end)["exit_code"], 0);
    assert!(std::fs::metadata(home.path("attempt/log")).unwrap().len() < 21_000);
    assert!(remarks(&home.path("attempt"))[0].contains("the limit of this log is reached"));
    for (script, part) in [
        ("head -c 1100000 /dev/zero | tr '\\0' ' ' > $EVERFOLD_OUTPUT", "larger than 1 MiB"),
        ("echo '{\"a\": ' > $EVERFOLD_OUTPUT", "no JSON"),
    ] {
        let home = Home::new();
        let end = CommandExecutor::new(home.processes()).start(home.shell(script), observer()).await;
        assert_eq!(failure(&end).kind, FailureKind::Validation);
        assert!(failure(&end).message.contains(part), "{}", failure(&end).message);
    }
    let home = Home::new();
    std::os::unix::fs::symlink("/etc/hostname", home.work("link")).unwrap();
    for path in ["link", "../token", "/etc/hostname"] {
        std::fs::write(home.path("token"), "x").unwrap();
        let mut request = home.shell("true");
        request.folder = home.path(&format!("attempt-{}", path.len()));
        let file = RequestedFile { path: path.to_owned(), optional: false, fresh: false };
        request.outputs.files.insert("f".to_owned(), file);
        let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
        assert!(failure(&end).message.contains("leads out of the workspace"), "{:?}", end.result);
    }
}

#[tokio::test]
async fn y_a_process_that_forks_away_and_one_that_ignores_sigterm_do_not_outlive_their_attempt() {
    let home = Home::new();
    let script = "setsid sh -c 'trap \"\" TERM; (trap \"\" TERM; echo $$ > away; sleep 600) & sleep 600' & \
                  while [ ! -s away ]; do sleep 0.02; done";
    let end = CommandExecutor::new(home.processes()).start(home.shell(script), observer()).await;
    assert_eq!(output(&end)["exit_code"], 0);
    let away = pid_in(&home.work("away")).await;
    until("what forked away is gone", || !crate::fixtures::home::is_alive(away)).await;
    let home = Home::new();
    let mut request = home.shell("trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    request.timeout = Some(std::time::Duration::from_secs(2));
    let end = CommandExecutor::new(home.processes()).start(request, observer()).await;
    assert_eq!(failure(&end).kind, FailureKind::Timeout);
    let stubborn = pid_in(&home.work("pid")).await;
    until("what ignores SIGTERM is gone", || !crate::fixtures::home::is_alive(stubborn)).await;
}
