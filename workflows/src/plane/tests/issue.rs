//! Issues: what a delivery says of them, and what Plane says.

use everfold_core::decide::ADMIT;
use serde_json::{Value, json};

use super::fixture::{PROJECT, Tracker, call};
use crate::fakes::ServiceFault;

const LONG: &str = "A description of twenty characters and more";

#[tokio::test]
async fn o109_a_delivery_without_a_description_is_completed_by_one_request() {
    let tracker = Tracker::new().await;
    let issue = tracker.done("plane.issue", json!({"name": "Dark mode", "description": null})).await;
    assert_eq!(issue["name"], "Dark mode");
    assert_eq!(issue["description"], "The pages need a dark theme for the night.");
    assert_eq!(
        (&issue["sequence"], &issue["fetched"], &issue["reason"]),
        (&json!(18), &json!(true), &Value::Null)
    );
    assert_eq!(issue["state"], json!(tracker.plane.state_id(PROJECT, "Todo")));
    assert_eq!(issue["url"], Value::Null, "nobody else reaches it");
    assert_eq!(tracker.asked(), 1);

    let web = json!({"web_url": "https://plane.example.org/", "name": "Dark mode", "description": LONG});
    let known = tracker.done("plane.issue", web).await;
    let address = format!("https://plane.example.org/team/projects/{PROJECT}/issues/{}/", tracker.issue);
    assert_eq!((&known["fetched"], &known["url"]), (&json!(false), &json!(address)));
    assert_eq!((&known["description"], tracker.asked()), (&json!(LONG), 1), "nothing is missing");
    tracker.plane.set_expanded(true);
    let expanded = tracker.done("plane.issue", json!({})).await;
    assert_eq!((&expanded["state"], &expanded["description"]), (&issue["state"], &issue["description"]));
}

#[tokio::test]
async fn control_characters_of_an_issue_are_left_out() {
    let tracker = Tracker::new().await;
    let with = json!({"name": "Dark\u{0} mode", "description": format!("{LONG}\u{0}\nand more\u{7}")});
    let issue = tracker.done("plane.issue", with).await;
    assert_eq!(issue["name"], "Dark mode");
    assert_eq!(issue["description"], format!("{LONG}\nand more"));
}

/// The gate at the start asked once, and the step behind it once more.
#[tokio::test]
async fn o109_what_the_admission_of_a_run_has_read_serves_its_first_step_and_no_other() {
    let tracker = Tracker::new().await;
    tracker.plane.add_label(&tracker.issue, "Bug");
    let wanted = json!({"name": "Dark mode", "labels": true});
    let read = async |run: u128, step: &str, with: &Value| {
        let call = call(run, step, None, Value::Null);
        tracker.call_as(&call, "plane.issue", with.clone()).await.unwrap()
    };
    let admitted = read(1, ADMIT, &wanted).await;
    assert_eq!((&admitted["labels"], tracker.asked()), (&json!(["Bug"]), 1));
    assert_eq!((read(1, "issue", &wanted).await, tracker.asked()), (admitted.clone(), 1));
    read(1, "issue", &wanted).await;
    assert_eq!(tracker.asked(), 2, "a later round asks anew");
    read(1, ADMIT, &wanted).await;
    for (run, with) in [(2, &wanted), (1, &json!({"name": "Dark mode"}))] {
        let before = tracker.asked();
        read(run, "issue", with).await;
        assert_eq!(tracker.asked(), before + 1, "of another run, or without its labels: {with}");
    }
    // What the admission could not read is asked for.
    tracker.fail("GET", ServiceFault::Status(500));
    let (failed, before) = (read(3, ADMIT, &wanted).await, tracker.asked());
    assert_eq!((&failed["fetched"], tracker.asked()), (&json!(false), before));
    assert_eq!(read(3, "issue", &wanted).await["fetched"], true);
}

/// A description over the limit of evidence had its task refused for ever.
#[tokio::test]
async fn a_long_description_is_cut_for_the_admission_and_whole_for_the_step() {
    let tracker = Tracker::new().await;
    let long = format!("{} the end", "Ночная \"тема\"\n".repeat(4_000));
    let with = json!({"name": "Dark mode", "description": long});
    let admitted =
        tracker.call_as(&call(1, ADMIT, None, Value::Null), "plane.issue", with.clone()).await.unwrap();
    assert!(admitted.to_string().len() < 30 * 1024, "{}", admitted.to_string().len());
    let shown = admitted["description"].as_str().unwrap();
    let chars = long.chars().count();
    assert!(
        shown.ends_with(&format!("[cut here for the gate: the issue has {chars} characters]")),
        "{shown}"
    );
    let step = tracker.call_as(&call(1, "issue", None, Value::Null), "plane.issue", with).await.unwrap();
    assert_eq!(step["description"], json!(long));
}

/// The start is tried again by itself: not before Plane allows it.
#[tokio::test]
async fn the_admission_leaves_plane_alone_for_as_long_as_it_asks_and_says_that_it_passes() {
    let tracker = Tracker::new().await;
    let ask = async |run: u128| {
        tracker.call_as(&call(run, ADMIT, None, Value::Null), "plane.issue", json!({})).await.unwrap()
    };
    for (fault, passes) in [
        (ServiceFault::Status(500), true),
        (ServiceFault::Silent, true),
        (ServiceFault::Status(401), false),
        (ServiceFault::Status(404), false),
        (ServiceFault::Limited(60), true),
    ] {
        tracker.fail("GET", fault);
        assert_eq!(ask(1).await["passing"], json!(passes), "{fault:?}");
        tracker.plane.mend();
    }
    let (again, asked) = (ask(2).await, tracker.asked());
    assert!(again["reason"].as_str().unwrap().contains("Plane limits requests; again in"), "{again}");
    assert_eq!((&again["passing"], tracker.asked()), (&json!(true), asked), "no request is sent");
    let step = tracker.done("plane.issue", json!({})).await;
    assert_eq!(step["fetched"], true, "steps are held back by the scheduler");
}

#[tokio::test]
async fn labels_that_are_wanted_are_asked_for_by_one_request_and_come_by_name() {
    let tracker = Tracker::new().await;
    tracker.plane.add_label(&tracker.issue, "Bug");
    let whole = |labels: bool| json!({"name": "Dark mode", "description": LONG, "labels": labels});
    let unasked = tracker.done("plane.issue", whole(false)).await;
    assert_eq!((&unasked["labels"], &unasked["fetched"], tracker.asked()), (&json!([]), &json!(false), 0));
    let issue = tracker.done("plane.issue", whole(true)).await;
    assert_eq!((&issue["labels"], &issue["fetched"]), (&json!(["Bug"]), &json!(true)));
    assert_eq!((&issue["description"], tracker.asked()), (&json!(LONG), 1), "the longer one is kept");
    let incomplete = tracker.done("plane.issue", json!({"name": null, "labels": true})).await;
    assert_eq!((&incomplete["name"], &incomplete["labels"]), (&json!("Dark mode"), &json!(["Bug"])));
    assert_eq!(tracker.asked(), 2, "what is missing comes with the labels");
    for fault in [ServiceFault::Status(500), ServiceFault::Silent, ServiceFault::Garbled] {
        tracker.fail("GET", fault);
        let before = tracker.asked();
        let issue = tracker.done("plane.issue", whole(true)).await;
        assert_eq!((&issue["name"], &issue["labels"]), (&json!("Dark mode"), &json!([])), "{fault:?}");
        assert!(issue["reason"].is_string() && tracker.asked() == before + 1, "{fault:?}: {issue}");
    }
}

#[tokio::test]
async fn o110_an_empty_answer_a_missing_name_and_a_failure_leave_what_was_known() {
    let tracker = Tracker::new().await;
    let empty = tracker.plane.add_issue(PROJECT, 19, "", "", "Todo", "owner");
    for name in [json!(null), json!(""), json!("Untitled"), json!("ab")] {
        let issue = tracker.done("plane.issue", json!({"issue": empty, "name": name})).await;
        assert_eq!((&issue["name"], &issue["description"]), (&json!("untitled"), &json!("")));
        assert_eq!((&issue["fetched"], &issue["sequence"]), (&json!(true), &json!(19)));
    }
    for fault in
        [ServiceFault::Status(500), ServiceFault::Silent, ServiceFault::Garbled, ServiceFault::Limited(9)]
    {
        tracker.fail("GET", fault);
        let asked = tracker.asked();
        let issue = tracker.done("plane.issue", json!({"name": "Dark mode", "description": "short"})).await;
        assert_eq!((&issue["name"], &issue["description"]), (&json!("Dark mode"), &json!("short")));
        assert_eq!((&issue["fetched"], tracker.asked()), (&json!(false), asked + 1), "{fault:?}");
        assert!(issue["reason"].is_string(), "{fault:?}: {issue}");
    }
}

#[tokio::test]
async fn o111_the_longer_text_is_kept_and_html_is_read_as_text() {
    let tracker = Tracker::new().await;
    let html = "<h1>Why</h1><p>It   is&nbsp;<b>dar</b>k</p>\n<ul><li>now</li></ul>";
    let issue = tracker.plane.add_issue(PROJECT, 20, "Night &amp; day", html, "Todo", "owner");
    let of = async |name: Value, description: Value| {
        tracker.done("plane.issue", json!({"issue": issue, "name": name, "description": description})).await
    };
    let found = of(json!(null), json!("too short")).await;
    assert_eq!(found["description"], "Why It is dark now");
    assert_eq!(found["name"], "Night &amp; day", "a name is no HTML");
    // The payload is longer than the fetched text, and too short to stand alone for want of a name.
    let kept = of(json!(""), json!(LONG)).await;
    assert_eq!((&kept["description"], &kept["fetched"]), (&json!(LONG), &json!(true)));
    let given = of(json!("Night"), json!(format!("<p>{LONG}</p>"))).await;
    assert_eq!((&given["description"], &given["fetched"]), (&json!(LONG), &json!(false)));
}

#[tokio::test]
async fn o116_an_issue_is_found_by_its_number_whatever_stands_before_it() {
    let tracker = Tracker::new().await;
    tracker.plane.add_project("other", "ET");
    tracker.plane.add_issue("other", 18, "Another project's", "", "Todo", "owner");
    tracker.plane.add_issue(PROJECT, 19, "Not the 18 that is meant", "", "Todo", "owner");
    for name in ["ORCH-018", "ET-18"] {
        let found =
            tracker.done("plane.issue", json!({"issue": name, "web_url": "https://p.example.org"})).await;
        assert_eq!((&found["id"], &found["name"]), (&json!(tracker.issue), &json!("Dark mode")));
        assert!(found["url"].as_str().unwrap().ends_with(&format!("/issues/{}/", tracker.issue)), "{found}");
    }
    let missing = tracker.done("plane.issue", json!({"issue": "ORCH-404", "name": "Known"})).await;
    assert_eq!(
        (&missing["id"], &missing["url"], &missing["name"]),
        (&Value::Null, &Value::Null, &json!("Known"))
    );
    assert_eq!(missing["reason"], "Plane has no issue ORCH-404");
}

#[tokio::test]
async fn an_issue_that_may_be_read_later_is_asked_for_again_before_what_is_known_is_given() {
    let tracker = Tracker::new().await;
    let with = json!({"name": "Dark mode", "description": "A page that is dark at night", "labels": true, "tries": 2});
    tracker.fail("GET", ServiceFault::Status(502));
    let failure = tracker.call("plane.issue", with.clone()).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("PROVIDER_BROKEN"));
    tracker.fail("GET", ServiceFault::Status(404));
    let known = tracker.done("plane.issue", with.clone()).await;
    assert_eq!(
        (&known["name"], &known["fetched"]),
        (&json!("Dark mode"), &json!(false)),
        "a person has to mend that"
    );
    assert_eq!(tracker.done("plane.issue", with).await["fetched"], json!(true));
}
