//! Notices under the real program: killed when one is queued, and while one is being sent.

use serde_json::{Value, json};

use super::support::{Lab, UNTIL_GO, await_that, only};

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
