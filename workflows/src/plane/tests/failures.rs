//! How what Plane refuses, and what does not arrive, is told.

use std::time::{Duration, Instant};

use everfold_base::failure::FailureKind;
use serde_json::{Value, json};

use super::fixture::{TOKEN, Tracker, call};
use crate::fakes::ServiceFault;

#[tokio::test]
async fn each_failure_has_its_kind_and_code_and_none_shows_the_token() {
    let tracker = Tracker::new().await;
    for (fault, kind, code) in [
        (ServiceFault::Status(500), FailureKind::Error, "PROVIDER_BROKEN"),
        (ServiceFault::Status(502), FailureKind::Error, "PROVIDER_BROKEN"),
        (ServiceFault::Status(401), FailureKind::Error, "UNAUTHORISED"),
        (ServiceFault::Status(403), FailureKind::Error, "UNAUTHORISED"),
        (ServiceFault::Status(404), FailureKind::Validation, "NOT_FOUND"),
        (ServiceFault::Page(404), FailureKind::Error, "PROVIDER_FOREIGN"),
        (ServiceFault::Page(410), FailureKind::Error, "PROVIDER_FOREIGN"),
        (ServiceFault::Status(400), FailureKind::Validation, "REFUSED"),
        (ServiceFault::Status(301), FailureKind::Error, "PROVIDER_FOREIGN"),
        (ServiceFault::Limited(17), FailureKind::Error, "RATE_LIMITED"),
        (ServiceFault::Garbled, FailureKind::Error, "PROVIDER_FOREIGN"),
        (ServiceFault::Silent, FailureKind::Error, "NO_ANSWER"),
        (ServiceFault::Slow(Duration::from_secs(60)), FailureKind::Error, "NO_ANSWER"),
        (ServiceFault::LostAnswer, FailureKind::Error, "NO_ANSWER"),
    ] {
        for (function, method, with) in [
            ("plane.comment", "POST", json!({"html": "x", "key": format!("{fault:?}")})),
            ("plane.set_state", "GET", json!({"state": "review"})),
        ] {
            tracker.fail(method, fault);
            let failed = tracker.call(function, with).await.unwrap_err();
            tracker.plane.mend();
            assert_eq!((failed.kind, failed.code.as_deref()), (kind, Some(code)), "{function} {fault:?}");
            assert!(failed.hint.is_some(), "{failed:?}");
            assert!(!format!("{failed:?}").contains(TOKEN), "{failed:?}");
        }
    }
}

#[tokio::test]
async fn a_service_that_never_answers_is_waited_for_ten_seconds() {
    let tracker = Tracker::as_it_is_served().await;
    tracker.fail("POST", ServiceFault::Silent);
    let began = Instant::now();
    let failed = tracker.call("plane.comment", json!({"html": "x", "key": "k"})).await.unwrap_err();
    assert!(failed.message.contains("no answer within 10s"), "{failed:?}");
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_pause_that_plane_asks_for_is_kept_for_the_next_try() {
    let tracker = Tracker::new().await;
    let reset = u64::try_from(jiff::Timestamp::now().as_second()).unwrap() + 30;
    for (fault, between) in [
        (ServiceFault::Limited(17), 17..=17),
        (ServiceFault::LimitedUntil(reset), 20..=30),
        (ServiceFault::LimitedUntil(1), 0..=0),
    ] {
        tracker.fail("POST", fault);
        let step = call(1, "step", None, Value::Null);
        tracker.call_as(&step, "plane.comment", json!({"html": "x"})).await.unwrap_err();
        let later = step.asked_later().expect("it asked for a pause").as_secs();
        assert!(between.contains(&later), "{later} {between:?}");
    }
}

#[tokio::test]
async fn what_plane_says_of_a_refusal_is_said_in_one_line() {
    let tracker = Tracker::new().await;
    let wrong =
        tracker.call("plane.comment", json!({"html": "x", "token": "plane_api_wrong"})).await.unwrap_err();
    assert_eq!(wrong.message, "Plane does not take the token (403): Given API token is not valid");
    let missing = json!({"issue": "no-such-issue", "html": "x"});
    let missing = tracker.call("plane.comment", missing).await.unwrap_err();
    assert_eq!(missing.message, "Plane has no issue no-such-issue");
    let escaped = json!({"issue": "../../states", "html": "x"});
    tracker.call("plane.comment", escaped).await.unwrap_err();
    let last = tracker.plane.requests().pop().unwrap();
    assert!(last.path.contains("issues/..%2F..%2Fstates/"), "an id stays one part of the path: {last:?}");
}

#[tokio::test]
async fn an_address_that_is_none_and_one_where_nobody_listens_give_different_reasons() {
    let tracker = Tracker::new().await;
    for (url, kind, code) in [
        ("ftp://plane.example.org", FailureKind::Validation, "BAD_ADDRESS"),
        ("http://127.0.0.1:1", FailureKind::Error, "UNREACHABLE"),
    ] {
        let failed = tracker.call("plane.set_state", json!({"url": url, "state": "done"})).await.unwrap_err();
        assert_eq!((failed.kind, failed.code.as_deref()), (kind, Some(code)), "{failed:?}");
    }
    let unknown = tracker.call("plane.comment", json!({"html": "x", "tokn": "y"})).await.unwrap_err();
    assert!(unknown.kind == FailureKind::Validation && unknown.message.contains("tokn"), "{unknown:?}");
}
