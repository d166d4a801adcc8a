//! Names of issues: Plane's number, or the next one of the scope.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fixture::{PROJECT, Tracker, call};
use crate::fakes::ServiceFault;

async fn named(tracker: &Tracker, run: u128, with: Value) -> Value {
    let step = call(run, "item", Some(&tracker.names), Value::Null);
    tracker.call_as(&step, "plane.sequence", with).await.unwrap()
}

fn orch() -> Value {
    json!({"prefix": "ORCH"})
}

#[tokio::test]
async fn o112_sequence_18_is_padded_to_orch_018_by_one_request() {
    let tracker = Tracker::new().await;
    let name = named(&tracker, 1, orch()).await;
    assert_eq!(name, json!({"name": "ORCH-018", "number": 18, "source": "plane", "reason": null}));
    assert_eq!(tracker.asked(), 1);
    let wide = named(&tracker, 2, json!({"prefix": "ET", "width": 5, "number": "7"})).await;
    assert_eq!((&wide["name"], &wide["number"]), (&json!("ET-00007"), &json!(7)));
    let wide = named(&tracker, 3, json!({"prefix": "ET", "number": 1234})).await;
    assert_eq!((&wide["name"], tracker.asked()), (&json!("ET-1234"), 1), "its number is known");
}

#[tokio::test]
async fn o112_a_number_that_would_lose_digits_is_none() {
    let tracker = Tracker::new().await;
    let most = json!({"prefix": "ET", "number": i64::MAX});
    let name = named(&tracker, 1, most).await;
    assert_eq!((&name["name"], &name["number"]), (&json!(format!("ET-{}", i64::MAX)), &json!(i64::MAX)));
    for number in [json!(i64::MAX as u64 + 1), json!(u64::MAX), json!(1e300)] {
        let step = call(2, "item", Some(&tracker.names), Value::Null);
        let with = json!({"prefix": "ET", "number": number});
        let failure = tracker.call_as(&step, "plane.sequence", with).await.unwrap_err();
        assert!(failure.message.contains("the highest number is 9223372036854775807"), "{failure:?}");
    }
}

#[tokio::test]
async fn o112_where_plane_does_not_answer_the_counter_goes_on_and_the_reason_is_said() {
    let tracker = Tracker::new().await;
    named(&tracker, 1, orch()).await;
    for (run, fault, said) in [
        (2, ServiceFault::Status(500), "500"),
        (3, ServiceFault::Silent, "no answer"),
        (4, ServiceFault::Status(404), "has no issue"),
        (5, ServiceFault::Garbled, "no JSON"),
    ] {
        let asked = tracker.asked();
        tracker.fail("GET", fault);
        let name = named(&tracker, run, orch()).await;
        let number = u64::try_from(17 + run).unwrap();
        assert_eq!((&name["name"], &name["number"]), (&json!(format!("ORCH-0{number}")), &json!(number)));
        assert_eq!(name["source"], "counter");
        assert!(name["reason"].as_str().unwrap().contains(said), "{name}");
        assert_eq!(tracker.asked(), asked + 1, "one request");
    }
    tracker.fail("GET", ServiceFault::Status(500));
    let first = named(&tracker, 9, json!({"prefix": "NEW"})).await;
    assert_eq!((&first["name"], &first["source"]), (&json!("NEW-001"), &json!("counter")));
}

#[tokio::test]
async fn o112_a_step_keeps_its_name_whatever_plane_says_when_it_is_asked_again() {
    let tracker = Tracker::new().await;
    tracker.fail("GET", ServiceFault::Status(503));
    let counted = named(&tracker, 1, orch()).await;
    assert_eq!((&counted["name"], &counted["source"]), (&json!("ORCH-001"), &json!("counter")));
    let by_plane = named(&tracker, 2, orch()).await;
    assert_eq!(by_plane["name"], "ORCH-018");
    let asked = tracker.asked();
    for (run, first) in [(1, &counted), (2, &by_plane)] {
        tracker.fail("GET", ServiceFault::Status(503));
        let again = named(&tracker, run, orch()).await;
        assert_eq!(
            (&again["name"], &again["number"], &again["source"]),
            (&first["name"], &first["number"], &first["source"])
        );
    }
    assert_eq!(tracker.asked(), asked, "Plane is not asked for what is known");
}

#[tokio::test]
async fn o113_a_taken_number_is_counted_up_and_other_projects_do_not_clash() {
    let tracker = Tracker::new().await;
    let et = |number: u64, scope: &str| json!({"prefix": "ET", "number": number, "scope": scope});
    let mut names = Vec::new();
    for (run, scope) in [(1, "enduro"), (2, "enduro"), (3, "enduro"), (4, "orchestrator")] {
        names.push(named(&tracker, run, et(6, scope)).await);
    }
    let shown: Vec<&str> = names.iter().map(|name| name["name"].as_str().unwrap()).collect();
    assert_eq!(shown, ["ET-006", "ET-007", "ET-008", "ET-006"]);
    assert_eq!((&names[1]["source"], &names[1]["reason"]), (&json!("plane"), &json!("ET-006 is taken")));
    assert_eq!(names[1]["number"], 7);
    let used = json!({"prefix": "ET", "number": 40, "scope": "enduro", "used": ["ET-040", "ET-041"]});
    assert_eq!(named(&tracker, 5, used).await["name"], "ET-042");
    // Without a scope the project is one.
    named(&tracker, 6, orch()).await;
    assert!(tracker.names.lock().unwrap().contains_key(&format!("plane:team/{PROJECT}")));
}

#[tokio::test]
async fn twenty_steps_at_once_get_twenty_names() {
    let tracker = Tracker::new().await;
    tracker.plane.fail("GET", ServiceFault::Status(500), 10);
    let all = (1..=20).map(|run| named(&tracker, run, orch()));
    let names: BTreeSet<String> = futures::future::join_all(all)
        .await
        .iter()
        .map(|name| name["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 20, "{names:?}");
}

#[tokio::test]
async fn what_is_no_prefix_and_a_call_without_a_step_are_refused() {
    let tracker = Tracker::new().await;
    for (with, part) in [
        (json!({"prefix": "  "}), "with.prefix"),
        (json!({"prefix": "x".repeat(65)}), "with.prefix"),
        (json!({"prefix": "ET", "scope": "x".repeat(257)}), "with.scope"),
        (json!({"prefix": "ET", "width": 0}), "with/width"),
        (json!({"prefix": "ET", "colour": "red"}), "colour"),
    ] {
        let failed = tracker.call("plane.sequence", with).await.unwrap_err();
        assert!(failed.message.contains(part), "{failed:?}");
    }
    let notice = call(1, "n", None, Value::Null);
    let failed = tracker.call_as(&notice, "plane.sequence", orch()).await.unwrap_err();
    assert!(failed.message.contains("steps of runs"), "{failed:?}");
    assert_eq!(tracker.asked(), 0);
}
