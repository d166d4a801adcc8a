//! Comments: each once, in the name of its role; and those of people.

use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::{ROLE_TOKEN, TOKEN, Tracker, call};
use crate::fakes::ServiceFault;

#[tokio::test]
async fn o171_a_comment_is_written_once_however_often_its_answer_is_lost() {
    let tracker = Tracker::new().await;
    let html = json!({"html": "🔎 Reviewer — Завершил ревью изменений.<br>Verdict: APPROVED"});
    for fault in
        [ServiceFault::LostAnswer, ServiceFault::Slow(Duration::from_secs(60)), ServiceFault::Status(502)]
    {
        tracker.fail("POST", fault);
        let lost = tracker.call("plane.comment", html.clone()).await;
        assert!(lost.is_err() || tracker.plane.comments_on(&tracker.issue).len() == 1, "{lost:?}");
    }
    let found = tracker.done("plane.comment", html.clone()).await;
    assert_eq!(found["changed"], false);
    assert!(found["reason"].as_str().unwrap().contains("before"), "{found}");
    let comments = tracker.plane.comments_on(&tracker.issue);
    assert_eq!(comments, [("orch".to_owned(), html["html"].as_str().unwrap().to_owned())]);
    let posted = tracker.plane.requests().into_iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(posted.body["external_source"], "everfold");
    let key = call(1, "step", None, Value::Null).idempotency_key().to_owned();
    assert_eq!(posted.body["external_id"], json!(key));

    let other = call(1, "other", None, Value::Null);
    let made = tracker.call_as(&other, "plane.comment", html).await.unwrap();
    assert_eq!(
        (&made["changed"], &made["reason"]),
        (&json!(true), &Value::Null),
        "another step's is another"
    );
    assert_eq!(tracker.plane.comments_on(&tracker.issue).len(), 2);
}

#[tokio::test]
async fn o79_one_key_is_one_comment_of_the_run_whoever_writes_it() {
    let tracker = Tracker::new().await;
    let with = json!({"html": "⚠️ QG failed at review: check — x", "key": "qg/review"});
    let mut ids = Vec::new();
    for (run, step, changed) in [(1, "a", true), (1, "b", false), (2, "a", true)] {
        let made = tracker
            .call_as(&call(run, step, None, Value::Null), "plane.comment", with.clone())
            .await
            .unwrap();
        assert_eq!(made["changed"], changed, "{run} {step}");
        ids.push(made["comment"].as_str().unwrap().to_owned());
    }
    assert!(ids[0] == ids[1] && ids[0] != ids[2], "{ids:?}");
    let long = json!({"html": "x", "key": "k".repeat(900)});
    assert_eq!(tracker.done("plane.comment", long.clone()).await["changed"], true);
    assert_eq!(tracker.done("plane.comment", long).await["changed"], false, "a long key is a key, too");
}

#[tokio::test]
async fn o178_the_token_of_the_role_writes_and_any_other_word_stands_for_the_shared_one() {
    let tracker = Tracker::new().await;
    let tokens = json!({"reviewer": ROLE_TOKEN, "tester": "", "deployer": null, "analyst": "  "});
    for (author, sender, by) in [
        (json!("reviewer"), Value::Null, "reviewer"),
        (json!(null), json!("reviewer"), "reviewer"),
        (json!("tester"), json!("reviewer"), "orch"),
        (json!("deployer"), Value::Null, "orch"),
        (json!("analyst"), Value::Null, "orch"),
        (json!("architect"), Value::Null, "orch"),
        (json!(""), Value::Null, "orch"),
        (json!(null), Value::Null, "orch"),
    ] {
        let key = format!("{author}/{sender}");
        let with = json!({"html": "x", "author": author, "tokens": tokens, "key": key});
        let notice = call(1, "n", None, json!({"as": sender}));
        tracker.call_as(&notice, "plane.comment", with).await.unwrap();
        let comments = tracker.plane.comments_on(&tracker.issue);
        assert_eq!(comments.last().unwrap().0, by, "{key}");
    }
    // A pipeline may choose the token by itself; what reads and moves has the shared one.
    let own = json!({"html": "x", "token": ROLE_TOKEN, "key": "own"});
    tracker.done("plane.comment", own).await;
    assert_eq!(tracker.plane.comments_on(&tracker.issue).last().unwrap().0, "reviewer");
    tracker.done("plane.set_state", json!({"state": "review"})).await;
    tracker.done("plane.comments", json!({})).await;
    for request in tracker.plane.requests() {
        assert!(request.method == "POST" || request.user.as_deref() == Some("orch"), "{request:?}");
    }
}

#[tokio::test]
async fn o174_where_the_text_could_not_be_made_the_short_one_is_written() {
    let tracker = Tracker::new().await;
    for (number, html) in
        [json!(null), json!(""), json!(" \n"), json!("x".repeat(100_001))].iter().enumerate()
    {
        let with = json!({"html": html, "short": "🔎 Reviewer готов", "key": number.to_string()});
        let made = tracker.done("plane.comment", with).await;
        assert_eq!(made["changed"], true);
        assert!(made["reason"].as_str().unwrap().contains("short text"), "{made}");
        assert_eq!(tracker.plane.comments_on(&tracker.issue)[number].1, "🔎 Reviewer готов");
    }
    let nothing = tracker.call("plane.comment", json!({"html": null})).await.unwrap_err();
    assert!(nothing.message.contains("with.html") && nothing.hint().contains("short"), "{nothing:?}");
}

#[tokio::test]
async fn o117_the_newest_comment_of_a_person_is_given_without_tags_and_cut() {
    let tracker = Tracker::new().await;
    let of = async |with: Value| tracker.done("plane.comments", with).await;
    let none = of(json!({})).await;
    assert_eq!(
        none,
        json!({"newest": null, "comments": [], "text": "", "reason": null, "until": null, "cause": null})
    );

    tracker.plane.say(&tracker.issue, "<p>First</p>", "owner");
    tracker.plane.say(&tracker.issue, "<p>The <b>header</b> is&nbsp;wrong</p><p>again</p>", "owner");
    tracker.plane.say(&tracker.issue, "<p>built</p>", "ci-bot");
    tracker.plane.say(&tracker.issue, "<p></p>", "owner");
    tracker.done("plane.comment", json!({"html": "🔄 Stage: review → development"})).await;
    let all = of(json!({})).await;
    assert_eq!(all["newest"]["text"], "built", "our own is left out");
    let newest = of(json!({"bots": ["ci-bot"]})).await;
    assert_eq!(
        (&newest["newest"]["text"], &newest["newest"]["author"]),
        (&json!("The header is wrong again"), &json!("owner"))
    );
    let texts: Vec<&str> =
        newest["comments"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["The header is wrong again", "First"]);
    assert_eq!(newest["text"], "First\n\nThe header is wrong again", "for who works on, in order");
    tracker.plane.set_plain_lists(true);
    assert_eq!(of(json!({"bots": ["ci-bot"]})).await, newest, "a list is read as pages are");

    tracker.plane.say(&tracker.issue, &format!("<p>{}</p>", "ж".repeat(900)), "owner");
    let long = of(json!({})).await;
    assert_eq!(long["newest"]["text"].as_str().unwrap().chars().count(), 300);
    assert!(long["text"].as_str().unwrap().ends_with(&"ж".repeat(900)), "whole: {long}");
    let at = long["newest"]["at"].as_str().unwrap();
    assert_eq!(of(json!({"since": at})).await["newest"], long["newest"]);
    assert_eq!(of(json!({"since": "2999-01-01T00:00:00Z"})).await["newest"], Value::Null);
    let wrong = tracker.call("plane.comments", json!({"since": "yesterday"})).await.unwrap_err();
    assert!(wrong.message.contains("with.since"), "{wrong:?}");
}

#[tokio::test]
async fn what_was_said_elsewhere_counts_as_the_newest_comment() {
    let tracker = Tracker::new().await;
    tracker.plane.say(&tracker.issue, "<p>In Plane</p>", "owner");
    let said = tracker.done("plane.comments", json!({"said": " PURPLE-77 <b>\n"})).await;
    assert_eq!(said["newest"], json!({"text": "PURPLE-77 <b>", "author": null, "at": null}));
    assert_eq!(said["comments"].as_array().unwrap().len(), 1, "those of Plane: {said}");
    for nothing in [json!(null), json!(""), json!(" ")] {
        let newest = tracker.done("plane.comments", json!({"said": nothing})).await;
        assert_eq!(newest["newest"]["text"], "In Plane");
    }
    let long = tracker.done("plane.comments", json!({"said": "ж".repeat(11_000)})).await;
    assert_eq!(long["newest"]["text"].as_str().unwrap().chars().count(), 10_000);
    assert_eq!(long["text"], long["newest"]["text"], "the newest go first where not all have room");
}

#[tokio::test]
async fn o117_a_comment_counts_once_and_the_newest_words_by_time_win() {
    let tracker = Tracker::new().await;
    let of = async |with: Value| tracker.done("plane.comments", with).await;
    tracker.plane.say(&tracker.issue, "<p>PLANE-A</p>", "owner");
    let first = of(json!({"after": null, "former": null})).await;
    assert_eq!((&first["newest"]["text"], first["until"].is_string()), (&json!("PLANE-A"), true));
    let after = first["until"].clone();
    assert_eq!(of(json!({"after": after})).await["newest"], Value::Null, "it was taken before");

    // Said in Plane, then said here: the older one of Plane does not come back. The fake tells milliseconds apart.
    tokio::time::sleep(Duration::from_millis(2)).await;
    tracker.plane.say(&tracker.issue, "<p>PLANE-B</p>", "owner");
    let here = of(json!({"after": after, "said": "HERE-B"})).await;
    assert_eq!(here["newest"]["text"], "HERE-B");
    assert_eq!(here["text"], "PLANE-B\n\nHERE-B", "what was said meanwhile is not lost");
    let after = here["until"].clone();
    assert_eq!(of(json!({"after": after})).await["newest"], Value::Null);
    // Work that failed is done again: what was said for it counts again, and what is newer goes before.
    let again = json!({"after": after, "again": true, "former": here, "cause": "retried"});
    let again_given = of(again.clone()).await;
    assert_eq!(
        (&again_given["newest"]["text"], &again_given["cause"]),
        (&json!("HERE-B"), &json!("retried"))
    );
    assert_eq!(again_given["text"], here["text"]);
    assert_eq!(of(json!({"after": after, "former": here})).await["newest"], Value::Null);
    tokio::time::sleep(Duration::from_millis(2)).await;
    tracker.plane.say(&tracker.issue, "<p>PLANE-C</p>", "owner");
    assert_eq!(of(again).await["newest"]["text"], "PLANE-C");
    // What is known is not forgotten where Plane cannot be asked.
    tracker.fail("GET", ServiceFault::Status(500));
    assert_eq!(of(json!({"after": after})).await["until"], here["until"]);
}

#[tokio::test]
async fn o117_where_comments_cannot_be_read_there_are_none_and_the_reason_is_said() {
    let tracker = Tracker::new().await;
    tracker.plane.say(&tracker.issue, "<p>Wrong</p>", "owner");
    for fault in
        [ServiceFault::Status(500), ServiceFault::Status(404), ServiceFault::Garbled, ServiceFault::Silent]
    {
        tracker.fail("GET", fault);
        let none = tracker.done("plane.comments", json!({})).await;
        assert_eq!((&none["newest"], &none["comments"]), (&Value::Null, &json!([])), "{fault:?}");
        assert!(none["reason"].is_string() && !none.to_string().contains(TOKEN), "{fault:?}: {none}");
    }
    assert_eq!(tracker.done("plane.comments", json!({})).await["newest"]["text"], "Wrong");
}

#[tokio::test]
async fn comments_that_may_be_read_later_are_asked_for_again_before_there_are_none() {
    let tracker = Tracker::new().await;
    tracker.plane.say(&tracker.issue, "<p>Wrong</p>", "owner");
    for (fault, code) in [
        (ServiceFault::Status(500), "PROVIDER_BROKEN"),
        (ServiceFault::Limited(17), "RATE_LIMITED"),
        (ServiceFault::Silent, "NO_ANSWER"),
    ] {
        tracker.fail("GET", fault);
        let failure = tracker.call("plane.comments", json!({"tries": 2})).await.unwrap_err();
        assert_eq!(failure.code.as_deref(), Some(code), "{failure:?}");
    }
    tracker.fail("GET", ServiceFault::Status(404));
    let none = tracker.done("plane.comments", json!({"tries": 2})).await;
    assert!(none["newest"].is_null() && none["reason"].is_string(), "a person has to mend that: {none}");
    assert_eq!(tracker.done("plane.comments", json!({"tries": 2})).await["newest"]["text"], "Wrong");
}

#[tokio::test]
async fn many_comments_are_read_page_by_page_and_fifty_are_given() {
    let tracker = Tracker::new().await;
    for number in 0..130 {
        let by = if number < 120 { "ci-bot" } else { "owner" };
        tracker.plane.say(&tracker.issue, &format!("<p>{number}</p>"), by);
    }
    let all = tracker.done("plane.comments", json!({})).await;
    assert_eq!(all["comments"].as_array().unwrap().len(), 50);
    let people = tracker.done("plane.comments", json!({"bots": ["ci-bot"]})).await;
    assert_eq!(people["comments"].as_array().unwrap().len(), 10);
    assert_eq!(tracker.plane.count("GET", "/comments/"), 4);
}
