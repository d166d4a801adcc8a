//! Receivers of notices that do not answer: tried by one notice at a time, and no burden to the others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::id::{RunId, Version};
use everfold_core::event::RunEvent;
use everfold_core::notifications::{NoticeId, UndeliveredNotice};
use everfold_language::definition::Definition;
use everfold_runtime::{EngineConfig, Which};
use serde_json::json;

use crate::fixtures::test_engine::{Rig, chain, definition, function};

/// A run of one step that notifies a receiver of its end.
fn telling(to: &str) -> Arc<Definition> {
    let end = json!({
        "id": "end", "events": ["RunSucceeded"], "function": "f", "with": {"to": to, "text": "${run.id} ended"},
    });
    definition(json!({"name": "p", "notify": [end], "steps": [function("a", &[], "ok", json!({}))]}))
}

/// An engine that keeps few runs in memory.
async fn small(change: impl FnOnce(&mut EngineConfig)) -> Rig {
    let rig = Rig::with(|config| {
        config.shards = 1;
        config.ended_states = 4;
        change(config);
    });
    rig.recover().await;
    rig
}

fn set(rig: &Rig, to: &str, is_down: bool) {
    let mut down = rig.machine.ears.down.lock().unwrap();
    match is_down {
        true => down.insert(to.to_owned()),
        false => down.remove(to),
    };
}

fn tries_at(rig: &Rig, to: &str) -> usize {
    let heard = rig.machine.ears.heard.lock().unwrap();
    heard.iter().filter(|request| request.with["to"] == to).count()
}

/// Starts so many, and waits until they have ended.
async fn ended(rig: &Rig, definition: &Arc<Definition>, count: usize) -> Vec<RunId> {
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(rig.start(definition).await);
    }
    for run in &runs {
        rig.end(*run).await;
    }
    runs
}

fn sent(event: &RunEvent) -> bool {
    matches!(event, RunEvent::NoticeSent(_))
}

#[tokio::test(start_paused = true)]
async fn row_76_ended_runs_whose_notices_fail_are_loaded_for_their_tries_and_for_nothing_else() {
    const RUNS: usize = 200;
    let rig = small(|_| {}).await;
    set(&rig, "d", true);
    ended(&rig, &telling("d"), RUNS).await;
    let read = || rig.store.reads.load(Ordering::SeqCst);
    let (reads, tries) = (read(), tries_at(&rig, "d"));
    assert!(tries < 20, "{tries} tries of {RUNS} notices at one dead receiver");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let (reads, tries) = (read() - reads, tries_at(&rig, "d") - tries);
    assert!((5..40).contains(&tries), "{tries} tries in ten minutes, and not one for each notice");
    // For each try the run and the event of the notice are read.
    assert!(reads <= 4 * tries, "{reads} reads for {tries} tries");
    let before = (read(), rig.store.appends(), tries_at(&rig, "d"));
    let quiet = chain(1);
    for _ in 0..RUNS {
        rig.start(&quiet).await;
    }
    let (reads, tries) = (read() - before.0, tries_at(&rig, "d") - before.2);
    assert!(tries <= 1, "{tries} tries beside {RUNS} starts");
    assert!(reads <= 4 * tries, "{reads} reads beside {RUNS} starts");
    assert!(rig.store.appends() - before.1 <= 2 * RUNS, "and failed tries append nothing");
}

#[tokio::test(start_paused = true)]
async fn row_76_notices_that_wait_for_a_receiver_go_when_it_is_back_without_a_pause_of_their_own() {
    let rig = small(|_| {}).await;
    set(&rig, "d", true);
    let runs = ended(&rig, &telling("d"), 60).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let tries = tries_at(&rig, "d");
    set(&rig, "d", false);
    for run in &runs {
        rig.until(*run, sent).await;
    }
    assert_eq!(tries_at(&rig, "d") - tries, runs.len(), "each goes once");
    for run in &runs {
        assert_eq!(rig.names(*run).await.last(), Some(&"NoticeSent"));
        assert!(rig.engine.notice_stands(*run).is_empty());
    }
    rig.assert_replays(runs[40]).await;
}

#[tokio::test(start_paused = true)]
async fn row_76_receivers_that_never_answer_hold_up_no_other() {
    let rig = small(|config| config.notices_max = 4).await;
    let hanging: Vec<String> = (0..10).map(|at| format!("h{at}")).collect();
    rig.machine.ears.hanging.lock().unwrap().extend(hanging.iter().cloned());
    let first = rig.start(&telling("good")).await;
    rig.until(first, sent).await;
    for to in &hanging {
        ended(&rig, &telling(to), 5).await;
    }
    for _ in 0..20 {
        let run = rig.start(&telling("good")).await;
        rig.until(run, sent).await;
    }
    let stuck: usize = hanging.iter().map(|to| tries_at(&rig, to)).sum();
    assert!(stuck <= 2, "{stuck} notices that hang, of 4 places");
}

#[tokio::test(start_paused = true)]
async fn row_76_a_notice_whose_receiver_is_away_for_a_day_is_given_up_and_says_why() {
    let rig = small(|_| {}).await;
    set(&rig, "d", true);
    let runs = ended(&rig, &telling("d"), 40).await;
    for run in &runs {
        rig.until(*run, |event| matches!(event, RunEvent::NoticeFailed(_))).await;
    }
    let tries = tries_at(&rig, "d");
    assert!(tries < 2_000, "{tries} tries in a day, of 40 notices");
    for run in &runs {
        let Some(RunEvent::NoticeFailed(failed)) = rig.history(*run).await.pop() else { panic!("{run}") };
        assert!(failed.tries > 0, "{failed:?}");
        assert!(failed.message.contains("d is not there; given up after 24 h"), "{failed:?}");
    }
    rig.assert_replays(runs[39]).await;
}

#[tokio::test(start_paused = true)]
async fn row_76_a_notice_keeps_its_tries_and_its_pause_where_its_run_leaves_memory() {
    let rig = small(|config| config.ended_states = 0).await;
    rig.machine.ears.failing.store(6, Ordering::SeqCst);
    let run = ended(&rig, &telling("x"), 1).await[0];
    // Others are woken meanwhile: the notice is not tried for that.
    let timed = definition(json!({
        "name": "t", "steps": [{"id": "w", "work": {"wait": {"for": "1s"}}}],
    }));
    for _ in 0..30 {
        let other = rig.start(&timed).await;
        rig.end(other).await;
    }
    rig.until(run, sent).await;
    let heard = rig.machine.ears.heard.lock().unwrap();
    let tries: Vec<u32> = heard.iter().map(|request| request.attempt).collect();
    assert_eq!(tries, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test(start_paused = true)]
async fn row_76_an_ended_run_says_what_its_notices_still_have_to_tell_and_why_they_do_not() {
    let rig = small(|_| {}).await;
    set(&rig, "d", true);
    let runs = ended(&rig, &telling("d"), 20).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (mut own, mut waiting) = (0, 0);
    for run in &runs {
        let listed = |state: &everfold_core::state::RunState| {
            let outstanding = state.outstanding_notices();
            outstanding.map(|(channel, one)| (channel.to_owned(), one.notice.clone())).collect::<Vec<_>>()
        };
        let listed = rig.engine.with_state(*run, listed).await.unwrap();
        assert_eq!(listed, [("notice/end".to_owned(), "end".to_owned())]);
        let stands = rig.engine.notice_stands(*run);
        let [stand] = stands.as_slice() else { panic!("{stands:?}") };
        assert_eq!(stand.notice, "end");
        assert_eq!(stand.failing.as_deref(), Some("d is not there"), "{stand:?}");
        assert!(stand.next.is_some(), "{stand:?}");
        own += u32::from(stand.tries > 0);
        waiting += u32::from(stand.waits);
    }
    assert!(own > 0 && waiting > 10, "{own} were tried, {waiting} wait for the receiver");
}

/// Eight letters that failed were paused in the place of all others, for a day.
#[tokio::test(start_paused = true)]
async fn row_76_letters_whose_receiver_is_away_keep_back_no_other() {
    let rig = small(|_| {}).await;
    set(&rig, "d", true);
    let mut runs = ended(&rig, &telling("d"), 10).await;
    runs.extend(ended(&rig, &telling("good"), 1).await);
    rig.until(runs[10], sent).await;
    let mut ids = Vec::new();
    for run in &runs {
        let history = rig.history(*run).await;
        let end = history.iter().position(crate::fixtures::test_engine::is_end).unwrap() as u64 + 1;
        let id = NoticeId { run: *run, version: Version(end), notice: "end".into() };
        let (event, message, at) = ("RunSucceeded".into(), "d is not there".into(), (rig.config.clock)());
        let letter = UndeliveredNotice { id: id.clone(), event, tries: 1, message, at, again: None };
        rig.engine.retry_notice(&letter, Actor::User("ada".into()), None).await.unwrap();
        ids.push(id);
    }
    let delivered = async {
        while !rig.engine.notices().await.unwrap().is_settled(&ids[10]) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3_600), delivered)
        .await
        .expect("it is delivered before the day is over");
    let notices = rig.engine.notices().await.unwrap();
    assert!(ids[..10].iter().all(|id| notices.find(id).is_some_and(|letter| letter.again.is_some())));
}

#[tokio::test(start_paused = true)]
async fn row_76_who_goes_on_with_an_ended_run_has_its_notices_tried_without_a_pause() {
    let rig = small(|config| config.ended_states = 0).await;
    set(&rig, "d", true);
    let run = ended(&rig, &telling("d"), 1).await[0];
    while tries_at(&rig, "d") < 9 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    set(&rig, "d", false);
    let stand = rig.engine.notice_stands(run).remove(0);
    assert!(stand.next.unwrap().since((rig.config.clock)()) > Duration::from_secs(60), "{stand:?}");
    rig.engine.recover(Which::Only(run)).await.unwrap();
    let delivered = tokio::time::timeout(Duration::from_secs(3), rig.until(run, sent)).await;
    delivered.expect("it is not left to its pause");
    assert_eq!(tries_at(&rig, "d"), 10);
}
