//! The answers to inputs, and when they are given.

use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::id::{InputId, RunId, Version};
use everfold_base::json::Hash;
use everfold_core::decide::Refusal;
use everfold_core::event::{CancelRequested, NoteAdded, RunPaused, RunResumed};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_runtime::{Accepted, StartError, Submission, SubmitError};
use everfold_store::{Dedup, DedupKeep};
use futures::FutureExt as _;
use futures::future::join_all;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, chain, definition, function, pipeline, request};

fn note(text: &str) -> InputKind {
    InputKind::Note(NoteAdded { text: text.into() })
}

fn key(name: &str, body: &str) -> Dedup {
    Dedup { key: Hash::of(name.as_bytes()), body: Hash::of(body.as_bytes()), keep: DedupKeep::Week }
}

#[tokio::test(start_paused = true)]
async fn d2_inputs_that_queue_behind_an_append_become_one_batch() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![function("hang", &[], "hang", json!({}))])).await;
    let before = rig.store.appends();
    rig.store.delay_ms.store(5, Ordering::SeqCst);
    let answers = join_all((0..100).map(|at| rig.submit(run, note(&at.to_string())))).await;
    let mut versions: Vec<u64> = answers.into_iter().map(|answer| answer.unwrap().version.0).collect();
    versions.sort_unstable();
    let first = versions[0];
    assert_eq!(versions, (first..first + 100).collect::<Vec<_>>());
    assert!(rig.store.appends() - before <= 2, "one for the first, one for all that waited behind it");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn d2_refusals_and_duplicates_wait_until_what_they_rest_on_is_durable() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![function("hang", &[], "hang", json!({}))])).await;
    rig.store.delay_ms.store(1_000, Ordering::SeqCst);
    let pause = rig.submit(run, InputKind::Pause(RunPaused { reason: None, interrupt: false }));
    let resume = rig.submit(run, InputKind::Resume(RunResumed { reason: None, prompt: None }));
    let again = rig.submit(run, InputKind::Resume(RunResumed { reason: None, prompt: None }));
    let answers = tokio::time::timeout(
        Duration::from_millis(900),
        join_all([pause.boxed(), resume.boxed(), again.boxed()]),
    );
    assert!(answers.await.is_err(), "no input is answered before the append ends");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_typed_and_record_nothing() {
    let rig = Rig::new();
    let run = rig.start(&chain(1)).await;
    rig.end(run).await;
    let appends = rig.store.appends();
    let refused = rig.submit(run, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await;
    assert!(
        matches!(refused, Err(SubmitError::Refused(Refusal::Ended(RunStatus::Succeeded)))),
        "{refused:?}"
    );
    assert_eq!(rig.store.appends(), appends);
    let unknown = RunId(uuid::Uuid::from_u128(1));
    assert_eq!(rig.submit(unknown, note("?")).await, Err(SubmitError::NotFound(unknown)));
    assert!(rig.engine.with_state(unknown, |_| ()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_input_that_does_not_fit_leaves_no_run_behind() {
    let rig = Rig::new();
    let document = json!({"name": "p", "input": {"type": "object", "required": ["task"]},
        "steps": [function("a", &[], "ok", json!({}))]});
    let run = RunId(uuid::Uuid::from_u128(7));
    let mut wanted = request(&definition(document), json!({}));
    wanted.run = Some(run);
    let refused = rig.engine.start(wanted).await;
    assert!(matches!(refused, Err(StartError::Refused(Refusal::InvalidInput(_)))), "{refused:?}");
    assert!(rig.history(run).await.is_empty());
    assert!(rig.engine.with_state(run, |_| ()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn s10_a_repeated_start_gets_the_first_answer_and_another_body_is_refused() {
    let mut rig = Rig::new();
    let mut wanted = request(&chain(2), json!({}));
    wanted.dedup = Some(Dedup { keep: DedupKeep::Stream, ..key("start", "body") });
    let first = rig.engine.start(wanted.clone()).await.unwrap();
    for _ in 0..2 {
        let again = rig.engine.start(wanted.clone()).await.unwrap();
        assert!(again.repeated);
        assert_eq!((again.run, again.version, again.position), (first.run, first.version, first.position));
        rig.crash().await;
    }
    wanted.dedup = Some(key("start", "another body"));
    let refused = rig.engine.start(wanted).await;
    assert!(matches!(refused, Err(StartError::Submit(SubmitError::KeyReused))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_with_a_derived_id_happens_once() {
    let mut rig = Rig::new();
    let mut wanted = request(&chain(2), json!({}));
    wanted.run = Some(RunId(uuid::Uuid::from_u128(7)));
    let first = rig.engine.start(wanted.clone()).await.unwrap();
    let again = rig.engine.start(wanted.clone()).await.unwrap();
    assert!(again.repeated && again.run == first.run && again.version == first.version);
    rig.crash().await;
    assert!(rig.engine.start(wanted.clone()).await.unwrap().repeated);
    let mut other = wanted.clone();
    other.dedup = Some(key("somebody else", "body"));
    let refused = rig.engine.start(other).await;
    assert!(matches!(refused, Err(StartError::Exists(run)) if run == first.run), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn s10_a_repeated_submission_changes_nothing_and_takes_no_other_with_it() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![function("hang", &[], "hang", json!({}))])).await;
    let submission = Submission {
        run,
        kind: note("once"),
        actor: Actor::User("ada".into()),
        id: None,
        dedup: Some(key("note", "once")),
    };
    let first = rig.engine.submit(submission.clone()).await.unwrap();
    // The store knows the key even where the core does not know the id.
    let other_id = Submission { id: Some(InputId::derive("another")), ..submission.clone() };
    let (again, beside, same) = tokio::join!(
        rig.engine.submit(other_id),
        rig.submit(run, note("beside")),
        rig.engine.submit(submission)
    );
    assert_eq!(again.unwrap().version, first.version);
    assert!(beside.unwrap().changed);
    assert_eq!(same.unwrap(), Accepted { repeated: true, ..first });
    let notes = rig.names(run).await.into_iter().filter(|name| *name == "NoteAdded").count();
    assert_eq!(notes, 2);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn s10_a_repeated_submission_to_a_run_that_has_moved_on_gets_the_first_answer() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![function("hang", &[], "hang", json!({}))])).await;
    let cancel = Submission {
        run,
        kind: InputKind::Cancel(CancelRequested { reason: None }),
        actor: Actor::User("ada".into()),
        id: None,
        dedup: Some(key("cancel", "once")),
    };
    let first = rig.engine.submit(cancel.clone()).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    // Now the run would refuse it; under another key it does.
    let again = rig.engine.submit(cancel.clone()).await.unwrap();
    assert_eq!((first.repeated, again), (false, Accepted { repeated: true, ..first }));
    let other = Submission { dedup: Some(key("another cancel", "once")), ..cancel.clone() };
    assert!(matches!(rig.engine.submit(other).await, Err(SubmitError::Refused(_))));
    let other = Submission { dedup: Some(key("cancel", "another body")), ..cancel };
    assert!(matches!(rig.engine.submit(other).await, Err(SubmitError::KeyReused)));
}

#[tokio::test(start_paused = true)]
async fn h3_recorded_times_never_go_back_within_a_run() {
    let rig = Rig::with(|config| {
        let real = config.clock.clone();
        let readings = std::sync::atomic::AtomicI64::new(0);
        // A clock that is set back by ten seconds again and again.
        config.clock = std::sync::Arc::new(move || {
            let back = 10_000 * (readings.fetch_add(1, Ordering::SeqCst) % 3);
            everfold_base::time::Timestamp(real().0 - back)
        });
    });
    let run = rig.start(&chain(10)).await;
    rig.end(run).await;
    let times: Vec<_> = rig.envelopes(run).await.iter().map(|envelope| envelope.header.recorded_at).collect();
    assert!(times.is_sorted(), "{times:?}");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn h5_events_of_one_input_share_their_cause() {
    let rig = Rig::new();
    let run = rig.start(&chain(3)).await;
    rig.end(run).await;
    let envelopes = rig.envelopes(run).await;
    for pair in envelopes.windows(2) {
        let (one, next) = (&pair[0].header, &pair[1].header);
        assert!(next.cause.because == one.cause.because || next.cause.because == one.version);
        assert!(next.cause.because < next.version);
    }
}

#[tokio::test(start_paused = true)]
async fn any_moment_of_a_run_can_be_looked_at() {
    let rig = Rig::new();
    let run = rig.start(&chain(3)).await;
    rig.end(run).await;
    let last = rig.engine.state(run).await.unwrap();
    assert_eq!(rig.engine.state_at(run, last.version()).await.unwrap(), last);
    let early = rig.engine.state_at(run, Version(2)).await.unwrap();
    assert_eq!((early.version(), early.status()), (Version(2), RunStatus::Running));
    assert!(rig.engine.state_at(run, last.version().next()).await.is_err());
    let hash = last.definition_hash().unwrap();
    assert_eq!(rig.engine.definition(hash).await.unwrap().hash(), hash);
}
