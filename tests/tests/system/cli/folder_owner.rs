//! One process owns the folder; the others work through it (P4).

use super::fixtures::{Scratch, await_that, lines};

const SLOW: &str = "name: slow\nsteps:\n  - id: one\n    command: echo one >> trace; sleep 2\n  - id: two\n    command: echo two >> trace\n";

#[test]
fn p4_a_second_command_works_through_the_owner() {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", "name: asks\nsteps:\n  - id: ok\n    approval: { title: Is it right? }\n");
    let waiting = scratch.start(&["run", "./asks.yaml"]);
    scratch.await_owner();
    scratch.await_status("@", "waiting");
    let inbox = scratch.run(&["inbox", "--json"]).json();
    let task = inbox["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(scratch.run(&["approve", &task]).code, 0);
    let done = waiting.end();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains(&format!("everfold approve {task}")), "{}", done.err);
}

#[test]
fn p4_when_the_owner_is_killed_the_waiting_command_takes_over() {
    let scratch = Scratch::new();
    scratch.write("slow.yaml", SLOW);
    let mut owner = scratch.start(&["run", "./slow.yaml", "--title", "first"]);
    await_that("the first began", || (lines(&scratch.path("trace")) == ["one"]).then_some(()));
    let waiting = scratch.start(&["run", "./slow.yaml", "--title", "second"]);
    await_that("both began", || (lines(&scratch.path("trace")) == ["one", "one"]).then_some(()));
    owner.kill();
    let done = waiting.end();
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "succeeded");
    assert_eq!(
        scratch.run(&["show", "@1", "--json"]).json()["status"],
        "running",
        "no caller asked for that one"
    );
    assert_eq!(scratch.run(&["resume", "@1"]).code, 0);
    assert_eq!(lines(&scratch.path("trace")).len(), 4, "nothing ran twice");
}

#[test]
fn p4_when_the_owner_ends_the_waiting_command_takes_over() {
    let scratch = Scratch::new();
    scratch.write("slow.yaml", SLOW);
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: nap\n    command: sleep 1\n");
    let owner = scratch.start(&["run", "./quick.yaml"]);
    scratch.await_owner();
    let waiting = scratch.start(&["run", "./slow.yaml"]);
    assert_eq!(owner.end().code, 0);
    let done = waiting.end();
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(lines(&scratch.path("trace")), ["one", "two"]);
}

#[test]
fn resume_all_beside_a_run_that_has_ended_goes_on_with_the_others() {
    let scratch = Scratch::new();
    scratch.write("slow.yaml", SLOW);
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: one\n    command: echo quick\n");
    let mut owner = scratch.start(&["run", "./slow.yaml"]);
    await_that("it began", || (lines(&scratch.path("trace")) == ["one"]).then_some(()));
    owner.kill();
    assert_eq!(scratch.run(&["run", "./quick.yaml"]).code, 0);
    let done = scratch.run(&["resume", "@", "--resume-all"]);
    assert_eq!(done.code, 0, "the code of the run that has ended: {done:?}");
    scratch.await_status("@1", "succeeded");
    assert_eq!(lines(&scratch.path("trace")), ["one", "two"]);
    await_that("the background owner ends", || {
        (!scratch.data().join("everfold.sock").exists()).then_some(())
    });
}

#[test]
fn a_detached_run_goes_on_in_the_background_which_ends_with_it() {
    let scratch = Scratch::new();
    scratch.write("slow.yaml", SLOW);
    let done = scratch.run(&["run", "./slow.yaml", "--detach"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(scratch.run(&["watch", "@"]).code, 0);
    assert_eq!(lines(&scratch.path("trace")), ["one", "two"]);
    await_that("the background owner ends", || {
        (!scratch.data().join("everfold.sock").exists()).then_some(())
    });
}

#[test]
fn a_detached_run_outlives_the_foreground_owner_it_was_started_through() {
    let scratch = Scratch::new();
    scratch.write("slow.yaml", SLOW);
    scratch.write("quick.yaml", "name: quick\nsteps:\n  - id: nap\n    command: sleep 1\n");
    let owner = scratch.start(&["run", "./quick.yaml"]);
    scratch.await_owner();
    assert_eq!(scratch.run(&["run", "./slow.yaml", "--detach"]).code, 0);
    assert_eq!(owner.end().code, 0);
    await_that("it went on", || (lines(&scratch.path("trace")) == ["one", "two"]).then_some(()));
    await_that("the background owner ends", || {
        (!scratch.data().join("everfold.sock").exists()).then_some(())
    });
}

/// Short commands own the folder for their own time; runs that are started through them meanwhile are handed on, also those
/// that come when a command is just ending.
#[test]
fn detached_runs_that_are_started_beside_many_short_commands_all_go_on_to_their_ends() {
    const ROUNDS: usize = 8;
    let scratch = Scratch::new();
    scratch.write("two.yaml", "name: two\nsteps:\n  - id: one\n    command: echo one >> trace\n  - id: two\n    command: echo two >> trace\n");
    assert_eq!(scratch.run(&["run", "./two.yaml"]).code, 0);
    let repeated = |commands: &[&[&str]]| {
        for _ in 0..ROUNDS {
            for command in commands {
                let done = scratch.run(command);
                assert_eq!(done.code, 0, "{command:?}: {done:?}");
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| repeated(&[&["run", "./two.yaml", "--detach"], &["runs"]]));
        scope.spawn(|| repeated(&[&["run", "./two.yaml"], &["store", "verify"]]));
        scope.spawn(|| repeated(&[&["runs"], &["run", "./two.yaml"]]));
        scope.spawn(|| repeated(&[&["run", "./two.yaml", "--detach"], &["stats"]]));
    });
    await_that("each run went on", || {
        (lines(&scratch.path("trace")).len() == 2 * (1 + 4 * ROUNDS)).then_some(())
    });
    await_that("the background owner ends", || {
        (!scratch.data().join("everfold.sock").exists()).then_some(())
    });
    let ended = scratch.run(&["runs", "--status", "succeeded", "--json"]).json();
    assert_eq!(ended["items"].as_array().unwrap().len(), 1 + 4 * ROUNDS);
}

/// The process that owns the folder, and every background owner of it that there is.
fn backgrounds(scratch: &Scratch) -> Vec<i32> {
    let folder = scratch.data();
    let is_one = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&&b"background"[..]) && words.contains(&folder.as_os_str().as_encoded_bytes())
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_one).collect()
}

#[test]
fn row_12_a_background_owner_that_is_asked_to_end_begins_no_other_and_its_run_goes_on_when_asked_for() {
    let scratch = Scratch::new();
    scratch.write(
        "p.yaml",
        "name: p\nsteps:\n  - id: one\n    command: echo one >> trace; while [ ! -e go ]; do sleep 0.02; done\n  - id: two\n    command: echo two >> trace\n",
    );
    assert_eq!(scratch.run(&["run", "./p.yaml", "--detach"]).code, 0);
    await_that("it began", || (lines(&scratch.path("trace")) == ["one"]).then_some(()));
    let owner = await_that("a background owner", || backgrounds(&scratch).first().copied());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(owner).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let mut others = std::collections::BTreeSet::<i32>::new();
    await_that("it ends", || {
        let living = backgrounds(&scratch);
        others.extend(living.iter().copied().filter(|pid| *pid != owner));
        living.is_empty().then_some(())
    });
    assert!(others.is_empty(), "{others:?} took its place");
    scratch.write("go", "");
    assert_eq!(scratch.run(&["resume", "@"]).code, 0);
    assert_eq!(lines(&scratch.path("trace")), ["one", "two"], "the step that lived on was not done again");
}

/// The shell starts the engine with few handles, and may not take that back for what the engine starts.
#[test]
fn row_11_more_processes_than_the_soft_limit_of_open_files_has_room_for_fail_nothing_and_have_that_limit() {
    let scratch = Scratch::new();
    let items: Vec<String> = (0..48).map(|item| item.to_string()).collect();
    scratch.write(
        "wide.yaml",
        &format!(
            "name: wide\nsteps:\n  - id: all\n    foreach: {{ in: '${{[{}]}}', max_in_flight: 48 }}\n    command: |\n      echo x >> began\n      while [ $(wc -l < began) -lt 40 ]; do sleep 0.05; done\n      ulimit -Sn >> limits\n",
            items.join(", ")
        ),
    );
    let everfold = scratch.command(&["run", "./wide.yaml"]);
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "ulimit -Sn 96 && exec \"$0\" \"$@\""])
        .arg(everfold.get_program())
        .args(everfold.get_args())
        .current_dir(scratch.path(""));
    for (name, value) in everfold.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let done = shell.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(lines(&scratch.path("limits")), vec!["96"; 48]);
}

#[test]
fn an_owner_that_does_not_answer_is_named() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.data()).unwrap();
    let lock = std::fs::File::create(scratch.data().join("lock")).unwrap();
    // A process that lives: one that is gone is not named.
    let pid = std::process::id();
    std::fs::write(scratch.data().join("lock"), format!("{pid}\n")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let done = scratch.run(&["runs"]);
    assert_eq!(done.code, 7, "{done:?}");
    let said = format!("error[EF0401]: the store is in use by process {pid}");
    assert!(done.err.contains(&said), "{}", done.err);
}

#[test]
fn the_socket_is_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    scratch.write("asks.yaml", "name: asks\nsteps:\n  - id: ok\n    approval: { title: Right? }\n");
    let _owner = scratch.start(&["run", "./asks.yaml"]);
    scratch.await_owner();
    let mode =
        |name: &str| std::fs::metadata(scratch.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("everfold.sock"), 0o600);
    assert_eq!(mode(""), 0o700);
    let record = std::fs::read_to_string(scratch.data().join("owner.json")).unwrap();
    assert!(record.contains(r#""url":null"#), "{record}");
}

#[test]
fn a_folder_with_a_long_name_has_a_socket_too() {
    let scratch = Scratch::new();
    let long = format!("{}/{}", "d".repeat(90), "e".repeat(90));
    std::fs::create_dir_all(scratch.path(&long)).unwrap();
    scratch.write("asks.yaml", "name: asks\nsteps:\n  - id: ok\n    approval: { title: Right? }\n");
    let waiting = scratch.start(&["--dir", &long, "run", "./asks.yaml"]);
    await_that("the approval is taken", || {
        (scratch.run(&["--dir", &long, "approve", "@"]).code == 0).then_some(())
    });
    assert_eq!(waiting.end().code, 0);
}
