//! L4, L30: starts, retries and restarts that come at the same moment are answered as if they had come one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use everfold_base::id::RunId;
use everfold_base::json::Value;
use everfold_core::decide::Refusal;
use everfold_core::event::{OriginKind, RunEvent};
use everfold_core::slots::SlotState;
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use everfold_runtime::{StartError, Started};
use futures::future::{BoxFuture, join_all};
use serde_json::json;

use crate::fixtures::fork_requests::{again, restart};
use crate::fixtures::slot_setup::{keys, slot, start, until_key, with};
use crate::fixtures::test_engine::{Rig, command, definition, function, request};

/// What is asked for at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RaceRequest {
    Start,
    Retry,
    Restart,
}

/// A step that fails where the input says so, and else takes a while.
fn work(more: &Value) -> Arc<Definition> {
    let fails = json!({"id": "fails", "needs": [], "work": {"task": {"kind": "function",
        "spec": {"name": "${input.fails ? 'fail' : 'ok'}", "with": {}}}}});
    let mut document = json!({"name": "p", "steps": [fails, command("long", &["fails"], 1_000)]});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition(document)
}

/// All requests at once; what each was answered.
async fn at_once(
    rig: &Rig,
    definition: &Arc<Definition>,
    origin: RunId,
    requests: &[RaceRequest],
) -> Vec<Result<Started, StartError>> {
    let goes_on = json!({"fails": false});
    let asked = requests.iter().map(|asked| -> BoxFuture<'_, Result<Started, StartError>> {
        let input = Some(goes_on.clone());
        match asked {
            RaceRequest::Start => Box::pin(rig.engine.start(request(definition, goes_on.clone()))),
            RaceRequest::Retry => Box::pin(
                rig.engine.fork(everfold_runtime::ForkRequest { input, ..again(origin, OriginKind::Retry) }),
            ),
            RaceRequest::Restart => {
                Box::pin(rig.engine.fork(everfold_runtime::ForkRequest { input, ..restart(origin, "fails") }))
            }
        }
    });
    join_all(asked).await
}

/// The runs that a round of requests made.
fn made(answers: &[Result<Started, StartError>]) -> Vec<RunId> {
    answers.iter().flatten().filter(|started| !started.held).map(|started| started.run).collect()
}

async fn cancel_reasons(rig: &Rig, run: RunId) -> Vec<String> {
    let reasons = rig.history(run).await.into_iter().filter_map(|event| match event {
        RunEvent::CancelRequested(event) => event.reason,
        _other => None,
    });
    reasons.collect()
}

const MIXES: [&[RaceRequest]; 4] = [
    &[RaceRequest::Retry, RaceRequest::Retry, RaceRequest::Retry],
    &[RaceRequest::Restart, RaceRequest::Start, RaceRequest::Retry],
    &[RaceRequest::Start, RaceRequest::Retry, RaceRequest::Start, RaceRequest::Restart],
    &[RaceRequest::Retry, RaceRequest::Start],
];

/// Of a retry and a start at once both began, and one of them was cancelled as replaced though its pipeline never replaces.
#[tokio::test(start_paused = true)]
async fn l30_of_retries_restarts_and_starts_of_a_key_at_once_one_begins_and_the_others_find_it() {
    for (on_taken, release) in [("return", "ended"), ("reject", "ended"), ("return", "unsuccessful")] {
        for (nth, requests) in MIXES.iter().enumerate() {
            for delay in [0, 3] {
                let rig = Rig::new();
                let definition =
                    work(&json!({"key": {"value": "task", "on_taken": on_taken, "release": release}}));
                let origin = start(&rig, &definition, json!({"fails": true})).await.run;
                assert_eq!(rig.end(origin).await, RunStatus::Failed);
                until_key(&rig, SlotState::is_free).await;
                rig.store.delay_ms.store(delay, Ordering::SeqCst);
                let answers = at_once(&rig, &definition, origin, requests).await;
                let about = format!("{on_taken}, {release}, mix {nth}, delay {delay}: {answers:?}");
                let made = made(&answers);
                assert_eq!(made.len(), 1, "{about}");
                for (asked, answer) in requests.iter().zip(&answers) {
                    match answer {
                        Ok(started) if started.held => {
                            assert_eq!((*asked, on_taken), (RaceRequest::Start, "return"), "{about}");
                            assert_eq!(started.run, made[0], "{about}");
                        }
                        Ok(_began) => {}
                        Err(StartError::Refused(Refusal::KeyTaken { holder, .. })) => {
                            assert_eq!(*holder, made[0], "{about}");
                        }
                        Err(_other) => panic!("{about}"),
                    }
                }
                assert_eq!(rig.end(made[0]).await, RunStatus::Succeeded, "{about}");
                until_key(&rig, |key| !key.is_busy()).await;
            }
        }
    }
}

/// A start that replaces runs is made in any case; a retry or restart never cancels a run that is not its origin.
#[tokio::test(start_paused = true)]
async fn l30_with_replace_only_starts_replace_and_the_last_of_all_runs_is_left() {
    for (nth, requests) in MIXES.iter().enumerate() {
        for delay in [0, 3] {
            let rig = Rig::new();
            let definition = work(&json!({"key": {"value": "task", "on_taken": "replace"}}));
            let origin = start(&rig, &definition, json!({"fails": true})).await.run;
            assert_eq!(rig.end(origin).await, RunStatus::Failed);
            until_key(&rig, SlotState::is_free).await;
            rig.store.delay_ms.store(delay, Ordering::SeqCst);
            let answers = at_once(&rig, &definition, origin, requests).await;
            let about = format!("mix {nth}, delay {delay}: {answers:?}");
            let (mut succeeded, mut replaced) = (0, 0);
            for (asked, answer) in requests.iter().zip(&answers) {
                match answer {
                    Ok(started) => match rig.end(started.run).await {
                        RunStatus::Succeeded => succeeded += 1,
                        RunStatus::Cancelled => {
                            assert_eq!(cancel_reasons(&rig, started.run).await, ["replaced"], "{about}");
                            replaced += 1;
                        }
                        other => panic!("{other}: {about}"),
                    },
                    Err(StartError::Refused(Refusal::KeyTaken { .. })) => {
                        assert_ne!(*asked, RaceRequest::Start, "{about}");
                    }
                    Err(_other) => panic!("{about}"),
                }
            }
            let starts = requests.iter().filter(|asked| **asked == RaceRequest::Start).count();
            assert_eq!(succeeded, 1, "{about}");
            assert!(replaced <= starts, "{about}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l30_a_retry_or_restart_is_refused_where_another_run_has_the_key_also_with_replace() {
    let rig = Rig::new();
    let definition = work(&json!({"key": {"value": "task", "on_taken": "replace"}}));
    let origin = start(&rig, &definition, json!({"fails": true})).await.run;
    assert_eq!(rig.end(origin).await, RunStatus::Failed);
    until_key(&rig, SlotState::is_free).await;
    let holder = start(&rig, &definition, json!({"fails": false})).await.run;
    for request in [again(origin, OriginKind::Retry), restart(origin, "fails")] {
        match rig.engine.fork(request).await {
            Err(StartError::Refused(Refusal::KeyTaken { holder: known, .. })) => assert_eq!(known, holder),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rig.end(holder).await, RunStatus::Succeeded);
}

/// Each restart of a run in progress was answered with a new run, and all but one of them were cancelled.
#[tokio::test(start_paused = true)]
async fn l30_a_run_in_progress_is_restarted_once_and_its_key_is_the_new_runs_from_then_on() {
    for on_taken in ["return", "reject", "replace"] {
        for delay in [0, 3] {
            let rig = Rig::new();
            let mut document = json!({"name": "p", "key": {"value": "task", "on_taken": on_taken},
                "steps": [command("long", &[], 60_000)],
                "on_finish": [command("tidy", &[], 5_000)]});
            document.as_object_mut().unwrap().extend(slot(1, "reject").as_object().unwrap().clone());
            let definition = definition(document);
            let origin = start(&rig, &definition, json!({})).await.run;
            rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
            rig.store.delay_ms.store(delay, Ordering::SeqCst);
            let asked = (0..3).map(|_| rig.engine.fork(restart(origin, "long")));
            let answers = join_all(asked).await;
            let made = made(&answers);
            assert_eq!(made.len(), 1, "{on_taken}: {answers:?}");
            let is_refused = |answer: &Result<Started, StartError>| matches!(answer, Err(StartError::Refused(Refusal::KeyTaken { holder, .. })) if *holder == made[0]);
            assert_eq!(
                answers.iter().filter(|answer| is_refused(answer)).count(),
                2,
                "{on_taken}: {answers:?}"
            );
            assert!(!rig.status(origin).await.is_ended(), "its `on_finish` takes a while");
            if on_taken == "return" {
                let started = start(&rig, &definition, json!({})).await;
                assert_eq!((started.run, started.held), (made[0], true), "the key has its next holder");
            }
            assert_eq!(rig.end(origin).await, RunStatus::Cancelled);
            assert_eq!(rig.end(made[0]).await, RunStatus::Succeeded);
            until_key(&rig, |key| key.is_free()).await;
            rig.assert_replays(made[0]).await;
        }
    }
}

/// A run that takes over a key which its origin would keep beyond its success waited for ever.
#[tokio::test(start_paused = true)]
async fn l30_a_restart_begins_also_where_its_origin_succeeds_meanwhile_and_would_keep_the_key() {
    let rig = Rig::new();
    let definition = definition(json!({"name": "p", "key": {"value": "task", "release": "unsuccessful"},
        "steps": [function("a", &[], "ok", json!({}))], "on_finish": [command("tidy", &[], 5_000)]}));
    let origin = start(&rig, &definition, json!({})).await.run;
    rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let again = rig.engine.fork(restart(origin, "a")).await.unwrap().run;
    assert!(rig.end(origin).await.is_ended());
    assert_eq!(rig.end(again).await, RunStatus::Succeeded);
    let held = start(&rig, &definition, json!({})).await;
    assert_eq!((held.run, held.held), (again, true));
}

/// A retry and a restart at once both began, though only one slot was free and the pipeline never waits for one.
#[tokio::test(start_paused = true)]
async fn d9_of_retries_restarts_and_starts_at_once_as_many_begin_as_there_are_slots() {
    for (limit, requests) in [(1, MIXES[1]), (1, MIXES[2]), (2, MIXES[2]), (2, MIXES[0])] {
        for delay in [0, 3] {
            let rig = Rig::new();
            let definition = work(&slot(limit, "reject"));
            let origin = start(&rig, &definition, json!({"fails": true})).await.run;
            assert_eq!(rig.end(origin).await, RunStatus::Failed);
            until_key(&rig, SlotState::is_free).await;
            rig.store.delay_ms.store(delay, Ordering::SeqCst);
            let answers = at_once(&rig, &definition, origin, requests).await;
            let made = made(&answers);
            assert_eq!(made.len(), limit as usize, "limit {limit}, delay {delay}: {answers:?}");
            let refused = answers
                .iter()
                .filter(|answer| matches!(answer, Err(StartError::Refused(Refusal::NoSlot { .. }))));
            assert_eq!(refused.count(), requests.len() - made.len(), "{answers:?}");
            for run in made {
                assert_eq!(rig.end(run).await, RunStatus::Succeeded);
            }
        }
    }
}

/// The slot of a run that is being restarted is the new run's: a start that comes before its end finds none, and so does a
/// second restart.
#[tokio::test(start_paused = true)]
async fn d9_the_slot_of_a_run_in_progress_goes_to_its_restart() {
    for limit in [1_u32, 2] {
        let rig = Rig::new();
        let mut document = json!({"name": "p", "steps": [command("long", &[], 60_000)],
            "on_finish": [command("tidy", &[], 5_000)]});
        document.as_object_mut().unwrap().extend(slot(limit, "reject").as_object().unwrap().clone());
        let definition = definition(document);
        let origin = start(&rig, &definition, json!({})).await.run;
        rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
        let asked = (0..3).map(|_| rig.engine.fork(restart(origin, "long")));
        let answers = join_all(asked).await;
        let made = made(&answers);
        assert_eq!(made.len(), limit as usize, "{answers:?}");
        let short = with(10, slot(limit, "reject"));
        for _ in 0..2 {
            let refused = rig.engine.start(request(&short, json!({}))).await;
            assert!(matches!(refused, Err(StartError::Refused(Refusal::NoSlot { .. }))), "{refused:?}");
            assert_eq!(rig.end(origin).await, RunStatus::Cancelled);
        }
        for run in made {
            assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        }
        until_key(&rig, SlotState::is_free).await;
        assert!(!keys(&rig).await.is_empty());
    }
}

/// Its key was reserved for it, so it passed for one whose gates had been judged with its start.
#[tokio::test(start_paused = true)]
async fn l5_the_gates_of_a_retry_with_a_key_are_judged_when_it_has_the_key() {
    let rig = Rig::new();
    let probe = json!({"task": {"kind": "command", "spec": {"argv": ["fine"]}}});
    let admit = json!({"gates": [{"id": "ready", "probe": probe}]});
    let definition = work(&json!({"key": {"value": "k"}, "admit": admit}));
    let origin = start(&rig, &definition, json!({"fails": true})).await.run;
    assert_eq!(rig.end(origin).await, RunStatus::Failed);
    let [answer] = at_once(&rig, &definition, origin, &[RaceRequest::Retry]).await.try_into().unwrap();
    let retry = answer.unwrap().run;
    assert_eq!(rig.end(retry).await, RunStatus::Succeeded);
    rig.assert_replays(retry).await;
}
