//! Notices: sent in order, sent again, sent after a crash, given up in the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::json::Value;
use everfold_core::event::{NoteAdded, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use serde_json::json;

use crate::fixtures::notice_receivers::CREDENTIAL;
use crate::fixtures::test_engine::{Rig, definition, function, is_end};

fn telling(notify: Value) -> Arc<Definition> {
    let steps = json!([function("a", &[], "ok", json!({})), function("b", &["a"], "ok", json!({}))]);
    definition(json!({"name": "p", "notify": notify, "steps": steps}))
}

fn notice(id: &str, events: &[&str], channel: &str) -> Value {
    json!({"id": id, "events": events, "function": "f", "channel": channel, "with": {"n": "${event.version}"}})
}

fn is_delivery(event: &RunEvent) -> bool {
    matches!(event, RunEvent::NoticeSent(_) | RunEvent::NoticeFailed(_))
}

#[tokio::test(start_paused = true)]
async fn l32_notices_are_sent_in_the_order_of_their_channel_also_after_the_end() {
    let rig = Rig::new();
    let definition =
        telling(json!([notice("steps", &["StepSucceeded"], "c"), notice("end", &["RunSucceeded"], "c")]));
    let run = rig.start(&definition).await;
    rig.until(run, |event| matches!(event, RunEvent::NoticeSent(sent) if sent.notice == "end")).await;
    let ids = rig.machine.ears.ids();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids[0].ends_with("/steps") && ids[1].ends_with("/steps") && ids[2].ends_with("/end"), "{ids:?}");
    let last = rig.machine.ears.heard.lock().unwrap().last().cloned().unwrap();
    assert_eq!(last.event["type"], "RunSucceeded");
    assert_eq!((&last.with["n"], &last.of_run["status"]), (&last.event["version"], &json!("succeeded")));
    assert_eq!(rig.status(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn why_a_function_left_something_alone_is_masked_before_it_is_cut_and_recorded() {
    let rig = Rig::new();
    let say = |id: &str, reason: &str| {
        let with = json!({"n": 1, "left alone": reason});
        json!({"id": id, "events": ["RunSucceeded"], "function": "f", "channel": id, "with": with})
    };
    // Half of the credential would stand before the cut.
    let long = format!("{}{CREDENTIAL} is not taken, and so on", "x".repeat(491));
    let run = rig
        .start(&telling(json!([say("short", " it is done "), say("long", &long), say("none", " ")])))
        .await;
    for name in ["short", "long", "none"] {
        rig.until(run, |event| matches!(event, RunEvent::NoticeSent(sent) if sent.notice == name)).await;
    }
    let mut reasons = std::collections::BTreeMap::new();
    for event in rig.history(run).await {
        if let RunEvent::NoticeSent(sent) = event {
            reasons.insert(sent.notice, sent.reason);
        }
    }
    assert_eq!((reasons["short"].as_deref(), &reasons["none"]), (Some("it is done"), &None));
    let long = reasons["long"].as_deref().expect("a reason");
    assert!(long.chars().count() == 500 && long.ends_with('…'), "{long}");
    assert!(long.contains("x*** is") && !long.contains("hunt"), "{long}");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l32_a_notice_that_fails_goes_again_under_its_id_and_those_behind_it_wait() {
    let rig = Rig::new();
    rig.machine.ears.failing.store(3, Ordering::SeqCst);
    let run = rig.start(&telling(json!([notice("steps", &["StepSucceeded"], "c")]))).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded, "the run does not wait for it");
    rig.until(run, |event| matches!(event, RunEvent::NoticeSent(sent) if sent.tries == 1)).await;
    let ids = rig.machine.ears.ids();
    assert_eq!(ids.len(), 5);
    assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0], "{ids:?}");
    let tries: Vec<u32> =
        rig.machine.ears.heard.lock().unwrap().iter().map(|request| request.attempt).collect();
    assert_eq!(tries, [1, 2, 3, 4, 1]);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l32_a_notice_is_given_up_after_a_day_and_at_once_where_trying_again_cannot_help() {
    let rig = Rig::new();
    rig.machine.ears.failing.store(usize::MAX, Ordering::SeqCst);
    let mut notices = json!([notice("end", &["RunSucceeded"], "c"), notice("lost", &["RunStarted"], "d")]);
    notices[1]["function"] = json!("gone");
    let before = (rig.config.clock)();
    let run = rig.start(&telling(notices)).await;
    rig.until(run, |event| matches!(event, RunEvent::NoticeFailed(failed) if failed.notice == "end")).await;
    let took = (rig.config.clock)().since(before);
    assert!(took >= Duration::from_secs(24 * 3600) && took < Duration::from_secs(25 * 3600), "{took:?}");
    let failed: Vec<_> = rig.history(run).await.into_iter().filter(is_delivery).collect();
    let RunEvent::NoticeFailed(lost) = &failed[0] else { panic!("{failed:?}") };
    assert_eq!((lost.tries, lost.message.as_str()), (1, "there is no function gone"));
    let RunEvent::NoticeFailed(end) = &failed[1] else { panic!("{failed:?}") };
    assert!(end.tries > 100 && end.message.contains("given up after 24 h"), "{end:?}");
    assert_eq!(rig.status(run).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn l32_what_is_outstanding_at_a_crash_is_sent_afterwards_under_the_same_id() {
    let mut rig = Rig::new();
    rig.machine.ears.is_mute.store(true, Ordering::SeqCst);
    let run = rig.start(&telling(json!([notice("end", &["RunSucceeded"], "c")]))).await;
    rig.end(run).await;
    while rig.machine.ears.ids().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rig.crash().await;
    rig.machine.ears.is_mute.store(false, Ordering::SeqCst);
    assert_eq!(rig.recover().await, 1, "a run that has ended is taken up for its notice");
    rig.until(run, is_delivery).await;
    let ids = rig.machine.ears.ids();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    rig.crash().await;
    assert_eq!(rig.recover().await, 0, "and not once more");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l32_a_run_that_left_memory_between_two_tries_is_taken_up_for_the_next() {
    let rig = Rig::with(|config| {
        config.states = 1;
        config.shards = 1;
    });
    rig.recover().await;
    rig.machine.ears.failing.store(1, Ordering::SeqCst);
    let run = rig.start(&telling(json!([notice("end", &["RunSucceeded"], "c")]))).await;
    rig.end(run).await;
    let quiet = telling(json!([]));
    for _ in 0..3 {
        let other = rig.start(&quiet).await;
        rig.until(other, is_end).await;
    }
    rig.until(run, |event| matches!(event, RunEvent::NoticeSent(_))).await;
}

#[tokio::test(start_paused = true)]
async fn l32_a_newer_notice_goes_when_the_try_of_the_one_that_it_replaced_has_ended() {
    let rig = Rig::new();
    rig.machine.ears.failing.store(1, Ordering::SeqCst);
    let mut newest = notice("last", &["NoteAdded"], "c");
    newest["collapse"] = json!(true);
    let steps = json!([{"id": "pause", "work": {"wait": {"for": "1h"}}}]);
    let run = rig.start(&definition(json!({"name": "p", "notify": [newest], "steps": steps}))).await;
    for text in ["one", "two"] {
        rig.submit(run, InputKind::Note(NoteAdded { text: text.into() })).await.unwrap();
    }
    rig.until(run, |event| matches!(event, RunEvent::NoticeSent(_))).await;
    let names = rig.names(run).await;
    let count = |of: &str| names.iter().filter(|name| **name == of).count();
    assert_eq!(
        (count("NoticeQueued"), count("NoticeSent"), count("NoticeFailed")),
        (2, 1, 0),
        "it was overtaken, which is no failure: {names:?}"
    );
    rig.assert_replays(run).await;
}

/// The delivery of a notice is no event where a newer one had replaced it meanwhile; the newer one waited for the next
/// start.
#[tokio::test(start_paused = true)]
async fn l32_a_newer_notice_goes_when_the_one_that_it_replaced_was_told_after_all() {
    let rig = Rig::new();
    rig.machine.ears.delay_ms.store(100, Ordering::SeqCst);
    let mut newest = notice("last", &["NoteAdded"], "c");
    newest["collapse"] = json!(true);
    let steps = json!([{"id": "pause", "work": {"wait": {"for": "1h"}}}]);
    let run = rig.start(&definition(json!({"name": "p", "notify": [newest], "steps": steps}))).await;
    for text in ["one", "two"] {
        rig.submit(run, InputKind::Note(NoteAdded { text: text.into() })).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let names = rig.names(run).await;
    assert_eq!(rig.machine.ears.heard.lock().unwrap().len(), 2, "{names:?}");
    assert_eq!(names.last(), Some(&"NoticeSent"), "{names:?}");
    rig.assert_replays(run).await;
}

/// The store could not say what is due when a notice was to be tried again. The run had left memory, and
/// it was never tried again.
#[tokio::test(start_paused = true)]
async fn l32_a_notice_that_pauses_is_told_though_the_store_cannot_say_what_is_due() {
    let rig = Rig::with(|config| config.states = 0);
    rig.recover().await;
    rig.machine.ears.failing.store(1, Ordering::SeqCst);
    let notify = json!([notice("n", &["RunStarted"], "c")]);
    let steps = json!([{"id": "w", "work": {"wait": {"for": "3h"}}}]);
    let run = rig.start(&definition(json!({"name": "p", "notify": notify, "steps": steps}))).await;
    while rig.machine.ears.heard.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.store.looks_to_fail.store(usize::MAX, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(3_600), rig.until(run, is_delivery))
        .await
        .expect("it is delivered");
}

#[tokio::test(start_paused = true)]
async fn a_notice_whose_receiver_hangs_holds_up_an_ending_engine_for_less_than_three_seconds() {
    let rig = Rig::new();
    rig.machine.ears.is_mute.store(true, Ordering::SeqCst);
    let run = rig.start(&telling(json!([notice("end", &["RunSucceeded"], "c")]))).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    while rig.machine.ears.ids().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(3), rig.engine.shutdown(Duration::from_secs(8)));
    assert!(ended.await.expect("it gives up on the receiver"), "in good order");
}
