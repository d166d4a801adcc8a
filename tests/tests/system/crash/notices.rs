//! Notices under the real program: killed when one is queued, and while one is being sent.

use serde_json::{Value, json};

use super::fixtures::{Lab, UNTIL_GO, await_that, only};

const ONE: &str = "name: p\nsteps:\n  - { id: build, command: \"true\" }\n";

/// A subscription whose program leaves the notice's id behind, and does `more`.
fn subscription(more: &str) -> String {
    format!(
        "[[subscriptions]]\nname = \"ops\"\nevents = \"RunSucceeded\"\nfunction = \"notify.command\"\n\
         to = [\"sh\", \"-c\", '''echo \"$EVERFOLD_NOTICE\" >> \"$TRACE\"; {more}''']\n"
    )
}

#[test]
fn l32_a_kill_between_an_event_and_its_notice_sends_it_afterwards_under_the_same_id() {
    let lab = Lab::with(&format!(
        r#"
name: p
notify:
  - id: end
    events: [RunSucceeded]
    function: notify.command
    with:
      argv: [sh, -c, 'echo "$EVERFOLD_NOTICE" >> "$TRACE"; {UNTIL_GO}']
steps:
  - id: build
    command: "true"
"#
    ));
    lab.run(&["run", "./p.yaml", "--crash-after", "RunSucceeded"]).was_killed();
    assert!(lab.trace().is_empty(), "nothing goes out before it is durable");
    // The second engine dies while it sends.
    let engine = lab.start(&["resume", "@"]);
    await_that("the notice", || (lab.trace().len() == 1).then_some(()));
    engine.kill().was_killed();
    lab.go();
    lab.run(&["resume", "@"]).ended_with(0);
    let trace = lab.trace();
    assert_eq!(trace.len(), 2, "at least once: {trace:?}");
    assert_eq!(trace[0], trace[1], "the receiver can tell that it is the same one");
    let events = lab.events("@");
    let sent = only(&events, "NoticeSent");
    assert_eq!((sent.field("notice"), sent.field("tries")), (&json!("end"), &Value::from(1)));
    assert!(trace[0].ends_with(&format!("/{}/end", sent.field("version"))), "{trace:?}");
    lab.run(&["resume", "@"]).ended_with(0);
    assert_eq!(lab.trace().len(), 2, "what was sent is not sent again");
    lab.assert_left_in_order();
}

#[test]
fn l32_a_kill_during_the_delivery_to_a_subscription_repeats_that_notice_and_loses_none() {
    let lab = Lab::with(ONE);
    lab.settings(&subscription(UNTIL_GO));
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let engine = lab.start(&serve);
    lab.await_owner();
    for _ in 0..2 {
        lab.run(&["run", "./p.yaml"]).ended_with(0);
    }
    await_that("the first notice", || (lab.trace().len() == 1).then_some(()));
    engine.kill().was_killed();
    // What happens while no engine runs is sent later.
    let engine = lab.start(&serve);
    await_that("the same notice", || (lab.trace().len() == 2).then_some(()));
    lab.go();
    let trace = await_that("the second run's notice", || Some(lab.trace()).filter(|trace| trace.len() == 3));
    assert_eq!(trace[0], trace[1], "the receiver can tell that it is the same one");
    assert_ne!(trace[1], trace[2]);
    assert!(trace.iter().all(|id| id.ends_with("/subscription:ops")), "{trace:?}");
    let undelivered =
        || lab.run(&["notices", "--json"]).ended_with(0).json()["items"].as_array().unwrap().len();
    assert_eq!(undelivered(), 0);
    engine.kill().was_killed();
    let engine = lab.start(&serve);
    lab.await_owner();
    lab.run(&["run", "./p.yaml"]).ended_with(0);
    await_that("the third run's notice", || (lab.trace().len() >= 4).then_some(()));
    assert_eq!(lab.trace().len(), 4, "a delivered notice is not sent again");
    engine.kill().was_killed();
    lab.assert_left_in_order();
}

#[test]
fn l32_a_foreground_run_tells_and_what_nobody_got_is_sent_again_by_hand() {
    let lab = Lab::with(ONE);
    lab.settings(&subscription("true").replace("to = [", "to = [1, "));
    lab.run(&["run", "./p.yaml"]).ended_with(0);
    assert!(lab.trace().is_empty());
    let shown = lab.run(&["notices"]);
    shown.ended_with(0);
    assert!(shown.out.contains("subscription:ops") && shown.out.contains("argv"), "{}", shown.out);
    let id = lab.run(&["notices", "--json"]).json()["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(shown.out.contains(&format!("everfold notices retry {id}")), "{}", shown.out);
    // The settings are put right.
    lab.settings(&subscription("true"));
    lab.run(&["notices", "test", "ops"]).ended_with(0);
    assert_eq!(lab.trace().len(), 1);
    lab.run(&["notices", "retry", &id]).ended_with(0);
    assert_eq!(lab.trace().len(), 2);
    assert_eq!(lab.run(&["notices", "--json"]).json()["items"], json!([]));
    lab.run(&["notices", "retry", &id]).ended_with(3);
    lab.run(&["run", "./p.yaml"]).ended_with(0);
    assert_eq!(lab.trace().len(), 3);
    lab.assert_left_in_order();
}
