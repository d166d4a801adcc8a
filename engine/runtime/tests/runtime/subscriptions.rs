//! Subscriptions: notices of every run from their position on, each at its own pace; failed notices are kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_core::event::RunEvent;
use everfold_core::notifications::{Notices, UndeliveredNotice};
use everfold_core::state::RunStatus;
use everfold_language::definition::SecretSource;
use everfold_language::expr::{Expr, Template};
use everfold_ports::NoticeRequest;
use everfold_runtime::{NoticeSubscription, SubscriptionStand};
use serde_json::json;

use crate::fixtures::test_engine::{Rig, chain, definition, function};

fn subscription(name: &str, events: &[&str]) -> NoticeSubscription {
    NoticeSubscription {
        name: name.to_owned(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        pipelines: Vec::new(),
        labels: BTreeMap::new(),
        when: None,
        function: "f".to_owned(),
        with: Template::parse(&json!({"text": "${run.pipeline} ${event.type}", "url": "x/${secrets.CHAT}"}))
            .unwrap(),
        secrets: Arc::new([("CHAT".to_owned(), SecretSource::Env("CHAT".into()))].into()),
        folder: "/data".into(),
    }
}

fn heard(rig: &Rig) -> Vec<NoticeRequest> {
    rig.machine.ears.heard.lock().unwrap().clone()
}

/// Waits in virtual time for what is to be seen.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..200_000 {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("it is not to be seen");
}

async fn heard_count(rig: &Rig, count: usize) -> Vec<NoticeRequest> {
    until(async || Some(heard(rig)).filter(|heard| heard.len() >= count)).await
}

async fn notices_when(rig: &Rig, wanted: impl Fn(&Notices) -> bool) -> Arc<Notices> {
    until(async || rig.engine.notices().await.ok().filter(|notices| wanted(notices))).await
}

async fn stand_when(rig: &Rig, name: &str, wanted: impl Fn(&SubscriptionStand) -> bool) -> SubscriptionStand {
    until(async || rig.engine.subscriptions().get(name).cloned().filter(&wanted)).await
}

#[tokio::test(start_paused = true)]
async fn l32_a_subscription_is_told_of_all_runs_that_fit_it_in_the_order_of_the_log() {
    let rig = Rig::new();
    let before = rig.start(&chain(1)).await;
    rig.end(before).await;
    let mut fitting = subscription("ops", &["RunStarted", "RunSucceeded"]);
    fitting.pipelines = vec!["te*".to_owned()];
    fitting.when = Some(Expr::parse("run.pipeline == 'test' && actor != 'user:bob'").unwrap());
    let mut other = subscription("other", &["*"]);
    other.pipelines = vec!["delivery".to_owned()];
    rig.engine.tell(vec![fitting, other]).await;
    stand_when(&rig, "ops", |stand| stand.position.0 > 0).await;
    let runs = [rig.start(&chain(1)).await, rig.start(&chain(2)).await];
    for run in runs {
        rig.end(run).await;
    }
    let heard = heard_count(&rig, 4).await;
    assert!(heard.iter().all(|request| request.run != before), "a new one gets what happens from then on");
    for run in runs {
        let requests: Vec<_> = heard.iter().filter(|request| request.run == run).collect();
        assert_eq!(
            (&requests[0].event["type"], &requests[1].event["type"]),
            (&json!("RunStarted"), &json!("RunSucceeded"))
        );
        assert_eq!(requests[0].with, json!({"text": "test RunStarted", "url": "x/***"}));
        assert_eq!(requests[0].secrets.names().into_iter().collect::<Vec<_>>(), ["CHAT"]);
        assert_eq!(requests[0].dedup(), format!("{run}/1/subscription:ops"));
        rig.assert_replays(run).await;
    }
    let notices =
        notices_when(&rig, |notices| notices.standing("ops").is_some_and(|ops| ops.delivered == 4)).await;
    assert_eq!(notices.standing("other").map(|other| other.delivered), Some(0));
}

#[tokio::test(start_paused = true)]
async fn l32_a_subscription_that_fails_for_long_holds_up_nobody_and_becomes_a_letter_that_is_sent_again() {
    let rig = Rig::new();
    let mut gone = subscription("gone", &["RunSucceeded"]);
    gone.function = "gone".to_owned();
    rig.engine.tell(vec![gone, subscription("ops", &["RunSucceeded"])]).await;
    stand_when(&rig, "ops", |stand| stand.position.0 > 0 || stand.telling.is_none()).await;
    notices_when(&rig, |notices| notices.standing("gone").is_some() && notices.standing("ops").is_some())
        .await;
    let run = rig.start(&chain(1)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let notices = notices_when(&rig, |notices| {
        notices.undelivered().count() == 1 && notices.standing("ops").is_some_and(|ops| ops.delivered == 1)
    })
    .await;
    let letter = UndeliveredNotice::clone(notices.undelivered().next().unwrap());
    assert_eq!((letter.id.subscription(), letter.tries), (Some("gone"), 1));
    assert_eq!(letter.message, "there is no function gone");

    // For a whole day the receiver does not answer.
    rig.machine.ears.failing.store(usize::MAX, Ordering::SeqCst);
    let second = rig.start(&chain(1)).await;
    rig.end(second).await;
    let failing = stand_when(&rig, "ops", |stand| stand.tries > 5).await;
    assert_eq!(failing.failing.as_deref(), Some("nobody there"));
    assert!(failing.next.is_some() && failing.telling.is_some());
    let notices = notices_when(&rig, |notices| notices.undelivered().count() == 3).await;
    let late = notices.undelivered().find(|letter| letter.id.subscription() == Some("ops")).unwrap();
    assert!(late.message.ends_with("given up after 24 h") && late.tries > 100, "{late:?}");

    // Sent again, it fails again: how, and how often in all, is known while it is tried.
    let ada = || Actor::User("ada".into());
    let before = heard(&rig).len();
    assert!(rig.engine.resends().is_empty());
    assert!(rig.engine.retry_notice(late, ada(), None).await.unwrap().change.changed);
    heard_count(&rig, before + 3).await;
    let stand = rig.engine.resends().remove(&late.id).unwrap();
    assert!(stand.tries >= late.tries + 2 && stand.message == "nobody there", "{stand:?}");

    let before = heard(&rig).len();
    rig.machine.ears.failing.store(0, Ordering::SeqCst);
    assert!(!rig.engine.retry_notice(late, ada(), None).await.unwrap().change.changed);
    let notices = notices_when(&rig, |notices| notices.find(&late.id).is_none()).await;
    assert_eq!(heard(&rig)[before].dedup(), format!("{second}/{}/subscription:ops", late.id.version));
    assert!(rig.engine.drop_notice(&letter.id, ada(), None).await.unwrap().changed);
    assert!(!rig.engine.drop_notice(&letter.id, ada(), None).await.unwrap().changed);
    assert_eq!(notices.undelivered().count(), 2);
    assert_eq!(rig.engine.notices().await.unwrap().undelivered().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn l32_a_crash_loses_nothing_and_repeats_only_what_was_being_told_under_the_same_id() {
    let mut rig = Rig::new();
    rig.engine.tell(vec![subscription("ops", &["RunSucceeded"])]).await;
    notices_when(&rig, |notices| notices.standing("ops").is_some()).await;
    let first = rig.start(&chain(1)).await;
    rig.end(first).await;
    notices_when(&rig, |notices| notices.standing("ops").is_some_and(|ops| ops.delivered == 1)).await;
    rig.machine.ears.is_mute.store(true, Ordering::SeqCst);
    let second = rig.start(&chain(1)).await;
    rig.end(second).await;
    heard_count(&rig, 2).await;
    rig.crash().await;
    rig.machine.ears.is_mute.store(false, Ordering::SeqCst);
    let third = rig.start(&chain(1)).await;
    rig.end(third).await;
    assert_eq!(heard(&rig).len(), 2, "no worker runs yet");
    rig.engine.tell(vec![subscription("ops", &["RunSucceeded"])]).await;
    notices_when(&rig, |notices| notices.standing("ops").is_some_and(|ops| ops.delivered == 3)).await;
    let runs: Vec<_> = heard(&rig).iter().map(|request| request.run).collect();
    assert_eq!(runs, [first, second, second, third]);
    let ids: Vec<_> = heard(&rig).iter().map(NoticeRequest::dedup).collect();
    assert_eq!(ids[1], ids[2]);
    // In good order it ends where it is, and finds nothing to tell afterwards.
    rig.engine.settle_notices(Duration::from_secs(3)).await;
    let reached = rig.engine.notices().await.unwrap().standing("ops").unwrap().position;
    rig.crash().await;
    rig.engine.tell(vec![subscription("ops", &["*"])]).await;
    stand_when(&rig, "ops", |stand| stand.position >= reached).await;
    assert_eq!(heard(&rig).len(), 4, "a wider filter does not reach back");
}

#[tokio::test(start_paused = true)]
async fn l32_what_a_run_gave_up_is_sent_again_as_it_was_recorded_and_the_run_stays_as_it_is() {
    let rig = Rig::new();
    let notice = json!({"id": "end", "events": ["RunSucceeded"], "function": "gone", "with": {"n": "${event.version}"}});
    let steps = json!([function("a", &[], "ok", json!({}))]);
    let run = rig.start(&definition(json!({"name": "p", "notify": [notice], "steps": steps}))).await;
    rig.until(run, |event| matches!(event, RunEvent::NoticeFailed(_))).await;
    let length = rig.history(run).await.len();
    let first = heard(&rig)[0].clone();
    let letter = UndeliveredNotice {
        id: format_id(&first),
        event: "RunSucceeded".into(),
        tries: 1,
        message: "there is no function gone".into(),
        at: (rig.config.clock)(),
        again: None,
    };
    rig.engine.retry_notice(&letter, Actor::User("ada".into()), None).await.unwrap();
    let notices =
        notices_when(&rig, |notices| notices.find(&letter.id).is_some_and(|letter| letter.again.is_none()))
            .await;
    assert_eq!(notices.find(&letter.id).unwrap().tries, 2, "it failed again, and is a letter still");
    let again = heard(&rig)[1].clone();
    assert_eq!(
        (again.dedup(), &again.with, &again.event["type"]),
        (first.dedup(), &first.with, &first.event["type"])
    );
    assert_eq!(again.of_run["status"], "succeeded");
    assert_eq!(rig.history(run).await.len(), length, "an ended run never changes");
}

fn format_id(request: &NoticeRequest) -> everfold_core::notifications::NoticeId {
    everfold_core::notifications::NoticeId {
        run: request.run,
        version: request.version,
        notice: request.notice.clone(),
    }
}

/// It was given up for good, as if its run could never be read.
#[tokio::test(start_paused = true)]
async fn l32_what_a_run_gave_up_is_sent_again_whatever_of_the_run_cannot_be_read_at_once() {
    for skipped in 0..4 {
        let rig = Rig::new();
        let notice = json!({"id": "end", "events": ["RunSucceeded"], "function": "ears", "with": {}});
        let steps = json!([function("a", &[], "ok", json!({}))]);
        let document = json!({"name": "p", "notify": [notice], "steps": steps});
        let run = rig.start(&definition(document)).await;
        rig.until(run, |event| matches!(event, RunEvent::NoticeSent(_))).await;
        let letter = UndeliveredNotice {
            id: format_id(&heard(&rig)[0]),
            event: "RunSucceeded".into(),
            tries: 1,
            message: "nobody there".into(),
            at: (rig.config.clock)(),
            again: None,
        };
        rig.store.fail_one_read_of(&format!("run/{run}"), skipped);
        rig.engine.retry_notice(&letter, Actor::User("ada".into()), None).await.unwrap();
        let is_settled = |notices: &Notices| notices.undelivered().all(|letter| letter.again.is_none());
        let notices = notices_when(&rig, is_settled).await;
        assert_eq!(notices.undelivered().count(), 0, "{skipped}: {:?}", notices.undelivered().next());
        assert_eq!(heard(&rig).len(), 2, "{skipped}");
    }
}

#[tokio::test(start_paused = true)]
async fn l32_a_test_is_sent_once_and_says_why_it_did_not_arrive() {
    let rig = Rig::new();
    let ops = subscription("ops", &["RunSucceeded"]);
    rig.engine.test_subscription(&ops).await.unwrap();
    assert_eq!(heard(&rig)[0].event["type"], "SubscriptionTested");
    rig.machine.ears.failing.store(1, Ordering::SeqCst);
    assert_eq!(rig.engine.test_subscription(&ops).await.unwrap_err().message, "nobody there");
    let mut needy = ops;
    needy.with = Template::parse(&json!({"text": "${event.failure.message}"})).unwrap();
    let refused = rig.engine.test_subscription(&needy).await.unwrap_err();
    assert!(refused.permanent && refused.message.contains("event.failure"), "{refused}");
    assert_eq!(rig.store.appends(), 0, "nothing is recorded");
}

/// It waited for the next start, or for another request to resend.
#[tokio::test(start_paused = true)]
async fn l32_a_letter_that_is_to_be_sent_again_is_though_the_notices_cannot_be_read_at_once() {
    let mut rig = Rig::new();
    let mut ops = subscription("ops", &["RunSucceeded"]);
    ops.function = "gone".to_owned();
    rig.engine.tell(vec![ops]).await;
    notices_when(&rig, |notices| notices.standing("ops").is_some()).await;
    let run = rig.start(&chain(1)).await;
    rig.end(run).await;
    let notices = notices_when(&rig, |notices| notices.undelivered().count() == 1).await;
    let letter = UndeliveredNotice::clone(notices.undelivered().next().unwrap());
    rig.machine.ears.is_mute.store(true, Ordering::SeqCst);
    rig.engine.retry_notice(&letter, Actor::User("ada".into()), None).await.unwrap();
    rig.crash().await;
    rig.machine.ears.is_mute.store(false, Ordering::SeqCst);
    let before = heard(&rig).len();
    rig.store.fail_reads_of("engine/notices", 2);
    rig.engine.tell(Vec::new()).await;
    until(async || (rig.store.unread_left() == 0).then_some(())).await;
    let is_settled = |notices: &Notices| notices.undelivered().all(|letter| letter.again.is_none());
    notices_when(&rig, is_settled).await;
    assert!(heard(&rig).len() >= before);
}
