//! Exit codes: what a script can rely on.

use rustix::process::Signal;

use super::fixtures::{Scratch, lines};

const ASKS: &str = "name: asks\nsteps:\n  - id: ok\n    approval: { title: Is it right? }\n";

#[test]
fn a_run_that_succeeds_gives_0_and_its_output() {
    let scratch = Scratch::new();
    scratch.write(
        "ok.yaml",
        "name: ok\nsteps:\n  - id: say\n    command: echo hello\noutput: ${steps.say.output.stdout}\n",
    );
    let done = scratch.run(&["run", "./ok.yaml", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!((&done.json()["status"], &done.json()["output"]), (&"succeeded".into(), &"hello\n".into()));
}

#[test]
fn a_run_that_fails_gives_1_and_says_where_and_what_next() {
    let scratch = Scratch::new();
    scratch.write("bad.yaml", "name: bad\nsteps:\n  - id: broken\n    command: echo oops >&2; exit 3\n");
    let done = scratch.run(&["run", "./bad.yaml"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.out.contains("broken: exit 3\n  | oops"), "{}", done.out);
    let short = scratch.short("@");
    assert!(done.out.contains(&format!("everfold logs {short} broken")), "{}", done.out);
    assert_eq!(scratch.run(&["logs", &short, "broken"]).out, "oops\n");
    assert_eq!(scratch.run(&["resume"]).code, 1, "an ended run answers with its code at once");
}

#[test]
fn what_could_not_be_started_has_no_log_and_the_printed_command_is_another() {
    let scratch = Scratch::new();
    scratch.write(
        "away.yaml",
        "name: away\nworkspace: { git: /no/such/repository }\nsteps:\n  - id: build\n    command: 'true'\n",
    );
    let done = scratch.run(&["run", "./away.yaml"]);
    assert_eq!(done.code, 1, "{done:?}");
    let short = scratch.short("@");
    assert!(done.out.contains("/no/such/repository") && !done.out.contains("everfold logs"), "{}", done.out);
    assert!(done.out.contains(&format!("everfold events {short}")), "{}", done.out);
    assert_eq!(scratch.run(&["events", &short]).code, 0);
}

#[test]
fn a_data_folder_in_a_repository_is_none_of_gits_business() {
    for verb in [&["init"][..], &["run", "./ok.yaml"]] {
        let scratch = Scratch::new();
        scratch.write("ok.yaml", "name: ok\nsteps:\n  - id: say\n    command: echo hello\n");
        assert_eq!(scratch.run(verb).code, 0);
        assert_eq!(std::fs::read_to_string(scratch.data().join(".gitignore")).unwrap(), "*\n");
        assert_eq!(scratch.run(&["store", "verify"]).code, 0, "nothing is wrong with it");
        assert_eq!(scratch.run(&["runs"]).code, 0, "it is not taken for a foreign one");
    }
}

#[test]
fn people_awaited_give_6_with_no_wait_and_the_printed_command_goes_on() {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    let done = scratch.run(&["run", "./asks.yaml", "--no-wait"]);
    assert_eq!(done.code, 6, "{done:?}");
    let approve = done.out.lines().find_map(|line| line.trim().strip_prefix("everfold approve ")).unwrap();
    let task = approve.split_whitespace().next().unwrap();
    assert_eq!(scratch.run(&["approve", task]).code, 0);
    assert_eq!(scratch.run(&["resume"]).code, 0);
    assert_eq!(scratch.run(&["approve", task]).code, 0, "the same again is no event");
    assert_eq!(scratch.run(&["reject", task, "-m", "too late"]).code, 4);
}

#[test]
fn l20_a_rejection_fails_the_run() {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    scratch.run(&["run", "./asks.yaml", "--no-wait"]);
    assert_eq!(scratch.run(&["reject", "@", "-m", "not yet"]).code, 0);
    let view = scratch.await_status("@", "failed");
    assert_eq!(view["failure"]["kind"], "rejected");
    assert_eq!(scratch.run(&["resume"]).code, 1);
}

#[test]
fn l23_a_blocked_run_is_unblocked_by_the_printed_command() {
    let scratch = Scratch::new();
    scratch.write(
        "blocks.yaml",
        "name: blocks\nsteps:\n  - id: needs-file\n    command: test -e there\n    on_fail: block\n",
    );
    let done = scratch.run(&["run", "./blocks.yaml", "--no-wait"]);
    assert_eq!(done.code, 6, "{done:?}");
    scratch.write("there", "");
    let line = done.out.lines().find_map(|line| line.trim().strip_prefix("everfold unblock ")).unwrap();
    let words: Vec<&str> =
        std::iter::once("unblock").chain(line.split_whitespace().take_while(|word| *word != "#")).collect();
    assert_eq!(scratch.run(&words).code, 0, "{words:?}");
    assert_eq!(scratch.run(&["resume"]).code, 0);
    assert_eq!(scratch.run(&words).code, 4);
}

#[test]
fn a_cancelled_run_gives_5() {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    scratch.run(&["run", "./asks.yaml", "--no-wait"]);
    assert_eq!(scratch.run(&["cancel", "@", "-m", "no need"]).code, 0);
    scratch.await_status("@", "cancelled");
    assert_eq!(scratch.run(&["resume"]).code, 5);
    assert_eq!(scratch.run(&["cancel", "@"]).code, 4);
}

#[test]
fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let scratch = Scratch::new();
    scratch.write(
        "two.yaml",
        "name: two\nsteps:\n  - id: ok\n    approval: { title: Right? }\n  - id: after\n    command: echo ran >> trace\n",
    );
    scratch.run(&["run", "./two.yaml", "--no-wait"]);
    assert_eq!(scratch.run(&["pause", "@"]).code, 0);
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "paused");
    assert!(lines(&scratch.path("trace")).is_empty());
    assert_eq!(scratch.run(&["resume"]).code, 0);
    assert_eq!(lines(&scratch.path("trace")), ["ran"]);
}

#[test]
fn p5_ctrl_c_once_leaves_the_run_resumable_and_says_how() {
    let scratch = Scratch::new();
    scratch.write(
        "slow.yaml",
        "name: slow\nsteps:\n  - id: long\n    command: echo begun >> trace; sleep 4; echo ended >> trace\n",
    );
    let mut running = scratch.start(&["run", "./slow.yaml"]);
    super::fixtures::await_that("the work began", || {
        (lines(&scratch.path("trace")) == ["begun"]).then_some(())
    });
    running.signal(Signal::INT);
    let done = running.end();
    assert_eq!(done.code, 130, "{done:?}");
    let short = scratch.short("@");
    assert!(done.err.contains(&format!("everfold resume {short}")), "{}", done.err);
    assert_eq!(scratch.run(&["resume", &short]).code, 0);
    assert_eq!(
        lines(&scratch.path("trace")),
        ["begun", "ended"],
        "the process lived on and was not run again"
    );
}

#[test]
fn p5_ctrl_c_twice_cancels() {
    let scratch = Scratch::new();
    scratch
        .write("slow.yaml", "name: slow\nsteps:\n  - id: long\n    command: echo begun >> trace; sleep 60\n");
    let mut running = scratch.start(&["run", "./slow.yaml"]);
    super::fixtures::await_that("the work began", || {
        (lines(&scratch.path("trace")) == ["begun"]).then_some(())
    });
    running.signal(Signal::INT);
    // Signals of one kind merge while none was taken: the second one waits for the first one's answer.
    std::thread::sleep(std::time::Duration::from_millis(500));
    running.signal(Signal::INT);
    assert_eq!(running.end().code, 5);
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "cancelled");
}

#[test]
fn a_process_that_kills_itself_behind_an_event_is_gone_on_with() {
    let scratch = Scratch::new();
    scratch.write("two.yaml", "name: two\nsteps:\n  - id: a\n    command: echo a >> trace\n  - id: b\n    command: echo b >> trace\n");
    let done = scratch.run(&["run", "./two.yaml", "--crash-after", "StepSucceeded"]);
    assert_eq!(done.code, -1, "{done:?}");
    assert_eq!(scratch.run(&["resume", "@"]).code, 0);
    assert_eq!(lines(&scratch.path("trace")), ["a", "b"]);
    assert_eq!(scratch.run(&["replay", "@"]).code, 0);
    assert_eq!(scratch.run(&["store", "verify"]).code, 0);
}

/// A caller that keeps an answer in a file must learn that it is not whole; a reader that has gone away needs no error.
#[test]
fn an_answer_that_standard_output_does_not_take_is_no_success() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", "name: p\nsteps: [{ id: a, command: echo hello }]\n");
    assert_eq!(scratch.run(&["run", "./p.yaml"]).code, 0);
    let verbs = [
        &["events", "@", "--json"][..],
        &["show", "@"],
        &["logs", "@", "a"],
        &["pipeline", "schema"],
        &["--help"],
        &["version"],
    ];
    for verb in verbs {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = scratch.command(verb).stdout(full).stderr(std::process::Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && said.contains("standard output"), "{verb:?}: {said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done =
            scratch.command(verb).stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{verb:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}
