//! States: what is remembered of them, and who may move an issue where.

use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::{PROJECT, Tracker};
use crate::fakes::{FakeAnswer, FakeRequest, FakeServer, FakeService, ServiceFault};
use crate::hook::{Headers, HookSettings, ReaderKind, read};

const OTHER: &str = "7a79f0a9-5278-49cd-9007-9a338f238f9c";

fn path(end: &str) -> String {
    format!("{PROJECT}/{end}/")
}

#[tokio::test]
async fn o120_states_that_were_read_are_remembered_and_a_failure_is_not() {
    let tracker = Tracker::new().await;
    tracker.fail("GET", ServiceFault::Status(500));
    let failed = tracker.done("plane.states", json!({})).await;
    assert_eq!((&failed["ok"], &failed["states"]), (&json!(false), &json!({})));
    assert!(failed["reason"].as_str().unwrap().contains("500"), "{failed}");
    for _ in 0..3 {
        let states = tracker.done("plane.states", json!({})).await;
        assert_eq!(states["ok"], true);
        assert_eq!(states["states"]["in_progress"], json!(tracker.plane.state_id(PROJECT, "In Progress")));
        assert_eq!(states["states"]["needs_input"], json!(tracker.plane.state_id(PROJECT, "Needs Input")));
    }
    assert_eq!(tracker.plane.count("GET", &path("states")), 2, "the failed one, and one");

    tracker.plane.add_project_with(PROJECT, "ORCH", &[]);
    let empty = tracker.done("plane.states", json!({"reload": "one"})).await;
    assert_eq!((&empty["ok"], &empty["states"]), (&json!(false), &json!({})), "{empty}");
    tracker.plane.add_project(PROJECT, "ORCH");
    tracker.done("plane.states", json!({})).await;
    assert_eq!(tracker.plane.count("GET", &path("states")), 4, "an empty answer is not remembered");
}

#[tokio::test]
async fn o120_what_is_remembered_is_forgotten_for_one_project_or_for_all() {
    let tracker = Tracker::new().await;
    tracker.plane.add_project(OTHER, "ET");
    let both = async |reload: Value| {
        let mut with = json!({});
        if !reload.is_null() {
            with["reload"] = reload;
        }
        tracker.done("plane.states", with).await;
        tracker.done("plane.states", json!({"project": OTHER})).await;
        [PROJECT, OTHER].map(|project| tracker.plane.count("GET", &format!("{project}/states/")))
    };
    assert_eq!(both(Value::Null).await, [1, 1]);
    assert_eq!(both(Value::Null).await, [1, 1]);
    assert_eq!(both(json!("one")).await, [2, 1]);
    assert_eq!(both(json!("all")).await, [3, 2]);
}

#[tokio::test]
async fn o121_lists_and_pages_are_read_and_without_a_project_nothing_is_asked() {
    let tracker = Tracker::new().await;
    let paged = tracker.done("plane.states", json!({})).await;
    tracker.plane.set_plain_lists(true);
    let plain = tracker.done("plane.states", json!({"reload": "one"})).await;
    assert_eq!(paged, plain);

    let asked = tracker.asked();
    for none in [json!(null), json!(""), json!(" ")] {
        let states = tracker.done("plane.states", json!({"project": none})).await;
        assert_eq!((&states["states"], &states["ok"]), (&json!({}), &json!(false)));
    }
    assert_eq!(tracker.asked(), asked);

    tracker.plane.set_plain_lists(false);
    let many: Vec<String> = (0..150).map(|number| format!("State {number}")).collect();
    let mut many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "started")).collect();
    many.extend([("…", "started"), ("state-7", "backlog")]);
    tracker.plane.add_project_with(PROJECT, "ORCH", &many);
    let states = tracker.done("plane.states", json!({"reload": "one"})).await;
    assert_eq!(states["states"].as_object().unwrap().len(), 150, "of both pages, each name once");
    assert_eq!(states["states"]["state_7"], json!(tracker.plane.state_id(PROJECT, "State 7")));
}

#[tokio::test]
async fn o53_a_state_is_written_once_and_a_repeat_writes_nothing() {
    let tracker = Tracker::new().await;
    let moved = tracker.done("plane.set_state", json!({"state": "architecture"})).await;
    let id = tracker.plane.state_id(PROJECT, "Architecture");
    assert_eq!(moved, json!({"state": "architecture", "state_id": id, "changed": true, "reason": null}));
    assert_eq!(tracker.plane.state_of(&tracker.issue).as_deref(), Some("Architecture"));
    let again = tracker.done("plane.set_state", json!({"state": "Architecture"})).await;
    assert_eq!((&again["changed"], &again["state"]), (&json!(false), &json!("architecture")));
    assert!(again["reason"].as_str().unwrap().contains("“Architecture” already"), "{again}");
    assert_eq!(tracker.plane.count("PATCH", "/"), 1);
    let patch = tracker.plane.requests().into_iter().find(|request| request.method == "PATCH").unwrap();
    assert_eq!(patch.body, json!({"state": id}));
}

#[tokio::test]
async fn o53_a_state_whose_answer_was_lost_is_found_and_not_written_again() {
    let tracker = Tracker::new().await;
    for fault in [ServiceFault::LostAnswer, ServiceFault::Slow(Duration::from_secs(60))] {
        tracker.fail("PATCH", fault);
        let state = if tracker.plane.count("PATCH", "/") == 0 { "review" } else { "testing" };
        let lost = tracker.call("plane.set_state", json!({"state": state})).await.unwrap_err();
        assert_eq!(lost.code.as_deref(), Some("NO_ANSWER"), "{lost:?}");
        let writes = tracker.plane.count("PATCH", "/");
        let found = tracker.done("plane.set_state", json!({"state": state})).await;
        assert_eq!((&found["changed"], &found["state"]), (&json!(false), &json!(state)));
        assert_eq!(tracker.plane.count("PATCH", "/"), writes);
    }
}

/// An engine that was killed had sent *Architecture*; its successor sets *Blocked*, and the old request lands behind it.
#[tokio::test]
async fn a_state_that_a_former_engine_had_sent_and_that_lands_late_is_set_right_once() {
    let force = json!({"state": "blocked", "force": true});
    for (late, by, with, stays) in [
        ("Architecture", "orch", force.clone(), "Blocked"),
        ("Architecture", "owner", force.clone(), "Architecture"),
        ("In Progress", "owner", force, "In Progress"),
        ("Blocked", "orch", json!({"state": "review"}), "Blocked"),
        ("Development", "orch", json!({"state": "review"}), "Review"),
    ] {
        let tracker = Tracker::settling(Duration::from_millis(600)).await;
        tracker.done("plane.set_state", json!({"state": "testing"})).await;
        let set = tracker.done("plane.set_state", with).await;
        assert_eq!(set["changed"], true);
        tracker.plane.move_issue(&tracker.issue, late, by);
        let issue = format!("{}/", tracker.issue);
        let gets = tracker.plane.count("GET", &issue);
        let writes = tracker.plane.count("PATCH", "/");
        let looked = async || {
            while tracker.plane.count("GET", &issue) == gets
                || stays != late && tracker.plane.count("PATCH", "/") == writes
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looked()).await.expect("it is looked at again");
        tracker.done("plane.comments", json!({})).await;
        assert_eq!(tracker.plane.state_of(&tracker.issue).as_deref(), Some(stays), "{late} by {by}");
        assert_eq!(tracker.plane.count("GET", &issue), gets + 1, "one look");
    }
}

/// The engine moves the issue on, and Plane's answer is lost.
#[tokio::test]
async fn a_state_that_this_engine_sets_while_an_issue_is_looked_at_again_stays() {
    let tracker = Tracker::settling(Duration::from_millis(600)).await;
    tracker.done("plane.set_state", json!({"state": "testing"})).await;
    tracker.fail("PATCH", ServiceFault::LostAnswer);
    tracker.call("plane.set_state", json!({"state": "done"})).await.unwrap_err();
    tokio::time::timeout(Duration::from_secs(20), tracker.looked_again()).await.expect("the look is over");
    assert_eq!(tracker.plane.state_of(&tracker.issue).as_deref(), Some("Done"));
    assert_eq!(tracker.plane.count("PATCH", "/"), 2);
}

#[tokio::test]
async fn o124_what_people_lift_is_not_overridden_unless_that_is_forced() {
    let tracker = Tracker::new().await;
    for held in ["Needs Input", "In Review", "Blocked"] {
        tracker.plane.move_issue(&tracker.issue, held, "owner");
        let left = tracker.done("plane.set_state", json!({"state": "development"})).await;
        let state = json!(crate::plane::state_key::state_key(held));
        assert_eq!((&left["changed"], &left["state"]), (&json!(false), &state));
        assert!(left["reason"].as_str().unwrap().contains(held), "{left}");
        assert_eq!(tracker.plane.state_of(&tracker.issue).as_deref(), Some(held));
    }
    assert_eq!(tracker.plane.count("PATCH", "/"), 0);
    // Each of the three has its own setter: one gives way to another.
    for (state, force, now) in [
        ("needs_input", false, "Needs Input"),
        ("in_review", false, "In Review"),
        ("testing", true, "Testing"),
        ("blocked", false, "Blocked"),
        ("In Progress", true, "In Progress"),
    ] {
        let moved = tracker.done("plane.set_state", json!({"state": state, "force": force})).await;
        assert_eq!(moved["changed"], true, "{state}");
        assert_eq!(tracker.plane.state_of(&tracker.issue).as_deref(), Some(now));
    }
}

#[tokio::test]
async fn o124_what_people_lift_is_known_by_its_name_also_where_two_states_share_it() {
    let tracker = Tracker::new().await;
    let states = [("Todo", "unstarted"), ("Blocked", "started"), ("BLOCKED", "started")];
    tracker.plane.add_project_with(PROJECT, "ORCH", &states);
    tracker.plane.move_issue(&tracker.issue, "BLOCKED", "owner");
    let left = tracker.done("plane.set_state", json!({"state": "todo"})).await;
    assert_eq!((&left["changed"], &left["state"]), (&json!(false), &json!("blocked")), "{left}");
}

#[tokio::test]
async fn o124_o123_d14_a_state_that_the_project_lacks_is_skipped_and_nothing_stands_in_for_it() {
    let tracker = Tracker::new().await;
    tracker.plane.add_project_with(OTHER, "ET", &[("Todo", "unstarted"), ("Done", "completed")]);
    let issue = tracker.plane.add_issue(OTHER, 2, "Track the runs", "", "Todo", "owner");
    // The states of the other project are remembered.
    tracker.done("plane.states", json!({})).await;
    for unknown in ["in_progress", "deploy staging", "nonsense"] {
        let with = json!({"project": OTHER, "issue": issue, "state": unknown});
        let skipped = tracker.done("plane.set_state", with).await;
        let reason = format!("the project has no state “{unknown}”");
        assert_eq!(skipped, json!({"state": null, "state_id": null, "changed": false, "reason": reason}));
    }
    assert_eq!(tracker.plane.count("PATCH", "/"), 0);
    assert_eq!(tracker.plane.state_of(&issue).as_deref(), Some("Todo"));
    let moved =
        tracker.done("plane.set_state", json!({"project": OTHER, "issue": issue, "state": "done"})).await;
    assert_eq!(moved["changed"], true, "what it has is written");
}

#[tokio::test]
async fn states_that_were_added_or_made_anew_since_they_were_read_are_found() {
    let tracker = Tracker::new().await;
    tracker.plane.add_project_with(PROJECT, "ORCH", &[("Todo", "unstarted"), ("Review", "started")]);
    tracker.plane.move_issue(&tracker.issue, "Todo", "owner");
    assert_eq!(tracker.done("plane.set_state", json!({"state": "testing"})).await["changed"], false);
    tracker.plane.add_project_with(
        PROJECT,
        "ORCH",
        &[("Todo", "unstarted"), ("Review", "started"), ("Testing", "started")],
    );
    tracker.plane.move_issue(&tracker.issue, "Todo", "owner");
    assert_eq!(tracker.done("plane.set_state", json!({"state": "testing"})).await["changed"], true);

    tracker.plane.move_issue(&tracker.issue, "Todo", "owner");
    tracker.plane.renew_state(PROJECT, "Testing");
    let moved = tracker.done("plane.set_state", json!({"state": "testing"})).await;
    assert_eq!(moved["state_id"], json!(tracker.plane.state_id(PROJECT, "Testing")));
    assert_eq!(tracker.plane.state_of(&tracker.issue).as_deref(), Some("Testing"));
}

#[tokio::test]
async fn o92_our_own_write_comes_back_under_the_name_of_our_user() {
    let tracker = Tracker::new().await;
    let hook = FakeServer::serve(Receiver).await.unwrap();
    tracker.plane.set_hook(&format!("{}/hooks/plane", hook.url()), "sesame");
    tracker.done("plane.set_state", json!({"state": "in_progress"})).await;
    tracker.plane.move_issue(&tracker.issue, "Approved", "owner");
    while hook.asked().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (delivery, (sender, state)) in
        hook.asked().into_iter().zip([("orch", "In Progress"), ("owner", "Approved")])
    {
        let headers: Headers = delivery.headers.clone();
        let settings = HookSettings { reader: ReaderKind::Plane, ..HookSettings::default() };
        let raw = delivery.body.to_string();
        let found = read(&settings, &headers, raw.as_bytes(), None).unwrap();
        assert_eq!(found.sender.as_deref(), Some(sender));
        let about = found.about.value();
        assert_eq!((&about["state"], &about["issue"]), (&json!(state), &json!(tracker.issue)));
        assert_eq!(about["state_id"], json!(tracker.plane.state_id(PROJECT, state)));
        assert_eq!((&about["project"], &about["title"]), (&json!(PROJECT), &json!("Dark mode")));
        assert_eq!(about["description"], "The pages need a dark theme for the night.");
    }
}

/// Takes every delivery.
struct Receiver;

impl FakeService for Receiver {
    fn answer(&mut self, _request: &FakeRequest) -> FakeAnswer {
        FakeAnswer::new(202, Value::Null)
    }

    fn fault(&self, status: u16, _retry_after: Option<u64>) -> FakeAnswer {
        FakeAnswer::new(status, Value::Null)
    }
}
