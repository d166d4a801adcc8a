//! Functions of this module as notices call them.

use std::sync::Arc;

use everfold_base::id::Version;
use everfold_base::json::Value;
use everfold_ports::{NoticeRequest, Notifier};
use serde_json::json;

use super::fixture::{PROJECT, TOKEN, Tracker};
use crate::fakes::ServiceFault;
use crate::function::Functions;
use crate::notify::FunctionNotifier;
use crate::redact::RedactSettings;
use crate::secret::{GuardedNotifier, SecretResolver};

fn request(tracker: &Tracker, function: &str, more: Value) -> NoticeRequest {
    let mut with = json!({
        "url": tracker.plane.url(), "workspace": "team", "token": TOKEN, "project": PROJECT, "issue": tracker.issue,
    });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    NoticeRequest {
        run: "00000000-0000-0000-0000-000000000007".parse().unwrap(),
        version: Version(12),
        notice: "board".to_owned(),
        function: function.to_owned(),
        with,
        secrets: Default::default(),
        sender: Some("stream".to_owned()),
        event: json!({"type": "StepScheduled"}),
        of_run: json!({"pipeline": "orch"}),
        attempt: 1,
    }
}

fn notifier() -> GuardedNotifier {
    let plain = FunctionNotifier::new(Arc::new(Functions::built_in()), None);
    GuardedNotifier(Arc::new(plain), SecretResolver::new(&RedactSettings::default()))
}

#[tokio::test]
async fn a_notice_that_left_something_alone_says_why_and_shows_no_credential() {
    let (tracker, notifier) = (Tracker::new().await, notifier());
    let moved =
        notifier.notify(request(&tracker, "plane.set_state", json!({"state": "review"}))).await.unwrap();
    assert_eq!(moved.reason, None);
    let again =
        notifier.notify(request(&tracker, "plane.set_state", json!({"state": "review"}))).await.unwrap();
    assert_eq!(again.reason.as_deref(), Some("the issue is in “Review” already"));
    let credential = format!("ghp_{}", "A1b2C3d4E5".repeat(4).chars().take(36).collect::<String>());
    let unknown = request(&tracker, "plane.set_state", json!({"state": format!("state {credential}")}));
    let reason = notifier.notify(unknown).await.unwrap().reason.unwrap();
    assert!(reason.contains("no state") && reason.contains("***") && !reason.contains("A1b2"), "{reason}");
}

#[tokio::test]
async fn o171_a_notice_is_one_comment_however_often_it_is_sent() {
    let (tracker, notifier) = (Tracker::new().await, notifier());
    tracker.plane.fail("POST", ServiceFault::LostAnswer, 1);
    let comment = || request(&tracker, "plane.comment", json!({"html": "🔄 Stage: analysis → architecture"}));
    let lost = notifier.notify(comment()).await.unwrap_err();
    assert!(!lost.permanent, "{lost}");
    notifier.notify(comment()).await.unwrap();
    notifier.notify(comment()).await.unwrap();
    assert_eq!(tracker.plane.comments_on(&tracker.issue).len(), 1);
    let next = NoticeRequest { version: Version(13), ..comment() };
    notifier.notify(next).await.unwrap();
    assert_eq!(tracker.plane.comments_on(&tracker.issue).len(), 2, "of another event");
}

#[tokio::test]
async fn what_stays_wrong_is_given_up_and_a_limit_is_waited_for() {
    let (tracker, notifier) = (Tracker::new().await, notifier());
    let comment = || request(&tracker, "plane.comment", json!({"html": "x"}));
    tracker.plane.fail("POST", ServiceFault::Status(404), 1);
    assert!(notifier.notify(comment()).await.unwrap_err().permanent);
    tracker.plane.fail("POST", ServiceFault::Limited(30), 1);
    let limited = notifier.notify(comment()).await.unwrap_err();
    assert_eq!((limited.permanent, limited.after), (false, Some(std::time::Duration::from_secs(30))));
    tracker.plane.fail("POST", ServiceFault::Status(403), 1);
    assert!(!notifier.notify(comment()).await.unwrap_err().permanent, "people put a token right");

    let other = request(&tracker, "plane.set_state", json!({"state": "done", "issue": "another"}));
    let receivers = [comment(), other].map(|request| notifier.receiver(&request.function, &request.with));
    assert_eq!(receivers[0], receivers[1], "it is one Plane that does not answer");
}
