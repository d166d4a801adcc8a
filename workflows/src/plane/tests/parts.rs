//! Parts of an issue: each once, whatever becomes of an answer.

use std::time::Duration;

use everfold_base::failure::FailureKind;
use serde_json::{Value, json};

use super::fixture::{Tracker, call};
use crate::fakes::ServiceFault;

#[tokio::test]
async fn ov17_a_part_is_made_once_however_often_its_answer_is_lost() {
    let tracker = Tracker::new().await;
    let part = json!({"name": "Dark pages", "html": "<p>Every page is dark at night.</p>"});
    for fault in
        [ServiceFault::LostAnswer, ServiceFault::Slow(Duration::from_secs(60)), ServiceFault::Garbled]
    {
        tracker.fail("POST", fault);
        let lost = tracker.call("plane.part", part.clone()).await;
        assert!(lost.is_err() || tracker.plane.parts_of(&tracker.issue).len() == 1, "{lost:?}");
        tracker.plane.mend();
    }
    let found = tracker.done("plane.part", part).await;
    assert_eq!((&found["changed"], &found["sequence"]), (&json!(false), &json!(19)), "{found}");
    assert!(found["reason"].as_str().unwrap().contains("before"), "{found}");
    let made = ("Dark pages".to_owned(), "<p>Every page is dark at night.</p>".to_owned());
    assert_eq!(tracker.plane.parts_of(&tracker.issue), [made]);
    assert_eq!(tracker.plane.count("POST", "/issues/"), 1, "it is looked for before it is made");
}

#[tokio::test]
async fn ov17_what_is_there_is_not_made_again_by_another_round_step_or_run() {
    let tracker = Tracker::new().await;
    for (run, step, name, changed) in [
        (1, "issues", "Dark pages", true),
        (1, "issues", "Bright pages", true),
        (1, "other", " dark  PAGES ", false),
        (2, "issues", "Bright pages", false),
        (2, "issues", "Dark pages too", true),
    ] {
        let made =
            tracker.call_as(&call(run, step, None, Value::Null), "plane.part", json!({"name": name})).await;
        assert_eq!(made.unwrap()["changed"], changed, "{name}");
    }
    let names: Vec<String> =
        tracker.plane.parts_of(&tracker.issue).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Dark pages", "Bright pages", "Dark pages too"]);
    // Of another issue it is another part.
    let other = tracker.plane.add_issue(super::fixture::PROJECT, 40, "Light", "", "Todo", "owner");
    let made = tracker.done("plane.part", json!({"name": "Dark pages", "issue": other})).await;
    assert_eq!((&made["changed"], tracker.plane.parts_of(&other).len()), (&json!(true), 1));
}

/// Between the look and the request another one made it.
#[tokio::test]
async fn ov17_a_part_that_plane_has_already_is_taken_by_the_id_of_its_refusal() {
    let tracker = Tracker::new().await;
    let made = tracker.done("plane.part", json!({"name": "Dark pages"})).await;
    tracker.fail("GET", ServiceFault::Status(404));
    let found = tracker.done("plane.part", json!({"name": "Dark pages"})).await;
    assert_eq!((&found["issue"], &found["changed"]), (&made["issue"], &json!(false)));
    assert_eq!(tracker.plane.parts_of(&tracker.issue).len(), 1);
}

#[tokio::test]
async fn a_part_without_a_name_or_of_an_unknown_issue_is_refused() {
    let tracker = Tracker::new().await;
    for (with, said) in [
        (json!({"name": " "}), "`with.name` is empty"),
        (json!({"name": "x".repeat(256)}), "longer than 255"),
        (json!({"name": "x", "html": "x".repeat(100_001)}), "longer than 100000"),
        (json!({"name": "x", "issue": "nobody"}), "Parent is not valid"),
    ] {
        let failed = tracker.call("plane.part", with).await.unwrap_err();
        assert_eq!(failed.kind, FailureKind::Validation);
        assert!(failed.message.contains(said), "{failed:?}");
    }
    assert_eq!(tracker.plane.parts_of(&tracker.issue), []);
}
