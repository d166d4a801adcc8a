//! Notices that runs gave up and that are sent again: in the order of their channel, and none over a newer one.

use std::sync::atomic::Ordering;

use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_core::event::{NoteAdded, NoticeFailed, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::notifications::{NoticeId, UndeliveredNotice};
use everfold_runtime::NoticeRetry;
use serde_json::{Value, json};

use crate::fixtures::test_engine::{Rig, definition};

/// A run that tells of each note, after the receiver was away for so long that those notes were given up.
async fn given_up(rig: &Rig, notice: Value, notes: &[&str]) -> (RunId, Vec<NoticeFailed>) {
    rig.machine.ears.down.lock().unwrap().insert("them".to_owned());
    let mut notice = notice;
    notice["events"] = json!(["NoteAdded"]);
    notice["function"] = json!("f");
    notice["with"] = json!({"to": "them", "text": "${event.text}"});
    let steps = json!([{"id": "pause", "work": {"wait": {"for": "9000h"}}}]);
    let run = rig.start(&definition(json!({"name": "p", "notify": [notice], "steps": steps}))).await;
    for text in notes {
        rig.submit(run, InputKind::Note(NoteAdded { text: (*text).into() })).await.unwrap();
    }
    let failed = |event: &RunEvent| match event {
        RunEvent::NoticeFailed(failed) => Some(failed.clone()),
        _other => None,
    };
    let mut seen = Vec::new();
    while seen.len() < notes.len() {
        tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
        seen = rig.history(run).await.iter().filter_map(failed).collect();
    }
    rig.machine.ears.down.lock().unwrap().clear();
    rig.machine.ears.heard.lock().unwrap().clear();
    (run, seen)
}

async fn again(rig: &Rig, run: RunId, failed: &NoticeFailed) -> NoticeRetry {
    let NoticeFailed { version, notice, tries, message } = failed.clone();
    let id = NoticeId { run, version, notice };
    let at = (rig.config.clock)();
    let undelivered = UndeliveredNotice { id, event: "NoteAdded".into(), tries, message, at, again: None };
    rig.engine.retry_notice(&undelivered, Actor::User("ada".into()), None).await.unwrap()
}

async fn said(rig: &Rig) -> Vec<String> {
    while rig.engine.notices().await.unwrap().undelivered().next().is_some() {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let heard = rig.machine.ears.heard.lock().unwrap();
    heard.iter().map(|request| request.with["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn l32_notices_of_one_channel_are_sent_again_one_after_the_other_in_their_order() {
    let rig = Rig::new();
    let (run, failed) = given_up(&rig, json!({"id": "n", "channel": "c"}), &["one", "two", "three"]).await;
    rig.machine.ears.failing.store(1, Ordering::SeqCst);
    for one in &failed {
        assert_eq!(again(&rig, run, one).await.superseded_by, None);
    }
    assert_eq!(
        said(&rig).await,
        ["one", "one", "two", "three"],
        "the others wait while the first is tried again"
    );
}

/// States that were lost were sent over newer ones, and stood there.
#[tokio::test(start_paused = true)]
async fn l32_a_notice_that_a_newer_one_of_its_channel_made_moot_is_dropped_and_not_sent_again() {
    for key in ["supersedes", "collapse"] {
        let rig = Rig::new();
        let notice = json!({"id": "state", "channel": "${run.pipeline}", key: true});
        let (run, failed) = given_up(&rig, notice, &["one"]).await;
        rig.submit(run, InputKind::Note(NoteAdded { text: "two".into() })).await.unwrap();
        rig.until(run, |event| matches!(event, RunEvent::NoticeSent(_))).await;
        let newer = again(&rig, run, &failed[0]).await.superseded_by;
        assert!(newer.is_some_and(|newer| newer > failed[0].version), "{key}: {newer:?}");
        assert_eq!(said(&rig).await, ["two"], "{key}");
    }
}
