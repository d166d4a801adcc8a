//! L30, D11: retries of ended runs, restarts, forks.

use std::time::Duration;

use everfold_base::envelope::{StreamId, StreamKind, flag};
use everfold_base::id::{RunId, Version};
use everfold_base::json::Hash;
use everfold_core::decide::Refusal;
use everfold_core::event::{CancelRequested, OriginKind, RunEvent, VoteCast};
use everfold_core::input::InputKind;
use everfold_core::state::{RunStatus, StepStatus};
use everfold_runtime::{CutCopy, ForkRequest, StartError, Started, SubmitError};
use everfold_store::{Dedup, DedupKeep, EventStore as _};
use serde_json::{Value, json};

use crate::fixtures::fork_requests::{again, restart};
use crate::fixtures::test_engine::{Rig, command, definition, function, request};

async fn step(rig: &Rig, run: RunId, step: &str) -> StepStatus {
    let step = step.into();
    rig.engine.with_state(run, move |state| state.step_status(&step).unwrap()).await.unwrap()
}

/// How often the work of a step was begun in a run.
fn begun(rig: &Rig, run: RunId, step: &str) -> usize {
    let begun = rig.machine.begun.lock().unwrap();
    begun
        .iter()
        .filter(|(id, _)| id.run == run && id.attempt.path.step.as_str() == step)
        .map(|(_, n)| n)
        .sum()
}

/// Three steps; the second fails while `input.broken` is true.
fn fragile() -> std::sync::Arc<everfold_language::definition::Definition> {
    let name = "${input.broken ? 'fail' : 'ok'}";
    let middle = json!({"id": "b", "needs": ["a"], "work": {"task": {"kind": "function", "spec": {"name": name, "with": {}}}}});
    definition(json!({
        "name": "p", "output": "${input}",
        "steps": [function("a", &[], "big", json!({"bytes": 100_000})), middle, command("c", &["b"], 20)],
        "on_finish": [function("tidy", &[], "ok", json!({}))],
    }))
}

async fn failed(rig: &Rig) -> RunId {
    let run = rig.engine.start(request(&fragile(), json!({"broken": true}))).await.unwrap().run;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    run
}

#[tokio::test(start_paused = true)]
async fn l30_a_retry_of_an_ended_run_is_a_new_run_that_keeps_what_succeeded() {
    let rig = Rig::new();
    let origin = failed(&rig).await;
    let before = rig.envelopes(origin).await;
    let retried = rig.engine.fork(again(origin, OriginKind::Retry)).await.unwrap().run;
    assert_eq!(rig.end(retried).await, RunStatus::Failed, "nothing has changed");
    assert_eq!((begun(&rig, retried, "a"), begun(&rig, retried, "b")), (0, 1));
    assert_eq!(begun(&rig, retried, "tidy"), 1, "it has an end of its own");
    assert_eq!(rig.envelopes(origin).await, before, "an ended run never changes");
    let fixed = ForkRequest { input: Some(json!({"broken": false})), ..restart(origin, "b") };
    let fixed = rig.engine.fork(fixed).await.unwrap().run;
    assert_eq!(rig.end(fixed).await, RunStatus::Succeeded);
    assert_eq!(rig.output(fixed).await, json!({"broken": false}));
    assert_eq!((begun(&rig, fixed, "a"), begun(&rig, fixed, "b"), begun(&rig, fixed, "c")), (0, 1, 1));
    let (origin_of, rounds) = rig
        .engine
        .with_state(fixed, |state| (state.origin().cloned(), state.step(&"b".into()).unwrap().1.rounds_run))
        .await
        .unwrap();
    let origin_of = origin_of.unwrap();
    assert_eq!((origin_of.run, origin_of.how), (origin, OriginKind::Restart));
    assert_eq!(rounds, 1, "counters begin anew");
    for run in [retried, fixed] {
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn d11_copied_events_keep_their_bytes_and_say_that_they_are_copies() {
    let rig = Rig::new();
    let origin = failed(&rig).await;
    let run = rig.engine.fork(restart(origin, "b")).await.unwrap().run;
    rig.end(run).await;
    let (old, new) = (rig.envelopes(origin).await, rig.envelopes(run).await);
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(new.payload, old.payload);
        assert_eq!(new.header.flags, flag::COPIED);
        let same = |header: &everfold_base::envelope::EventHeader| {
            (
                header.version,
                header.kind,
                header.schema,
                header.recorded_at,
                header.cause,
                header.actor.clone(),
            )
        };
        assert_eq!(same(&new.header), same(&old.header));
    }
    let own = &new[old.len()..];
    assert!(own.iter().all(|event| event.header.flags == 0));
    assert_eq!(rig.history(run).await[old.len()].name(), "RunForked");
    let mut previous = Hash::ZERO;
    for event in &new {
        assert!(event.is_linked(&previous));
        previous = event.hash;
    }
}

#[tokio::test(start_paused = true)]
async fn l30_a_restart_cancels_a_live_origin_and_begins_after_its_end() {
    let rig = Rig::new();
    let steps = json!([function("a", &[], "ok", json!({})), command("b", &["a"], 600_000)]);
    let document =
        json!({"name": "p", "key": {"value": "task"}, "concurrency": [{"key": "repo"}], "steps": steps});
    let origin = rig.start(&definition(document)).await;
    rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let run = rig.engine.fork(restart(origin, "a")).await.unwrap().run;
    assert_eq!(rig.end(origin).await, RunStatus::Cancelled);
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(id) if id.id.path.step.as_str() == "b"))
        .await;
    let reason = rig.history(origin).await.into_iter().find_map(|event| match event {
        RunEvent::CancelRequested(event) => event.reason,
        _other => None,
    });
    assert_eq!(reason.as_deref(), Some("replaced"));
    let admitted = rig.history(run).await.iter().rposition(|event| matches!(event, RunEvent::RunAdmitted(_)));
    let (end, begin) = (rig.envelopes(origin).await, rig.envelopes(run).await);
    assert!(end.last().unwrap().position < begin[admitted.unwrap()].position);
    assert_eq!(begun(&rig, run, "a"), 1);
}

#[tokio::test(start_paused = true)]
async fn l30_who_retries_does_not_take_the_key_from_somebody_else() {
    let rig = Rig::new();
    let failing = function("a", &[], "fail", json!({}));
    let document = |on_taken: &str| json!({"name": "p", "key": {"value": "task", "on_taken": on_taken}, "steps": [failing]});
    let origin = rig.start(&definition(document("reject"))).await;
    assert_eq!(rig.end(origin).await, RunStatus::Failed);
    let other = json!({"name": "p", "key": {"value": "task"}, "steps": [command("a", &[], 600_000)]});
    let holder = loop {
        let started: Started =
            rig.engine.start(request(&definition(other.clone()), json!({}))).await.unwrap();
        if !started.held {
            break started.run;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    match rig.engine.fork(again(origin, OriginKind::Retry)).await {
        Err(StartError::Refused(Refusal::KeyTaken { holder: known, .. })) => assert_eq!(known, holder),
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.status(holder).await, RunStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn row_45_a_retry_is_refused_where_another_run_has_the_key_also_where_a_start_would_be_answered_with_it()
 {
    let rig = Rig::new();
    let keyed = |step: Value| definition(json!({"name": "p", "key": {"value": "task"}, "steps": [step]}));
    let origin = rig.start(&keyed(function("a", &[], "fail", json!({})))).await;
    assert_eq!(rig.end(origin).await, RunStatus::Failed);
    let busy = keyed(command("a", &[], 600_000));
    let holder = loop {
        let started = rig.engine.start(request(&busy, json!({}))).await.unwrap();
        if !started.held {
            break started.run;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    for request in [again(origin, OriginKind::Retry), restart(origin, "a")] {
        match rig.engine.fork(request).await {
            Err(StartError::Refused(Refusal::KeyTaken { holder: known, .. })) => assert_eq!(known, holder),
            other => panic!("nothing was retried, and the answer says {other:?}"),
        }
    }
    assert_eq!(rig.status(holder).await, RunStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn d11_a_fork_goes_on_beside_its_origin_with_what_was_in_flight_as_next_attempts() {
    let rig = Rig::new();
    let mut steps = vec![command("a", &[], 300), command("b", &["a"], 20)];
    steps.push(json!({"id": "ask", "needs": ["a"], "work": {"approval": {"title": "go on?"}}}));
    let origin = rig.start(&definition(json!({"name": "p", "steps": steps}))).await;
    rig.until(origin, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let at = rig.engine.with_state(origin, |state| state.version()).await.unwrap();
    let fork = ForkRequest { at: Some(at), ..again(origin, OriginKind::Fork) };
    let run = rig.engine.fork(fork).await.unwrap().run;
    rig.until(run, |event| matches!(event, RunEvent::ApprovalRequested(_))).await;
    assert_eq!(step(&rig, run, "a").await, StepStatus::Succeeded);
    let attempt = rig.engine.with_state(run, |state| state.step(&"a".into()).unwrap().1.unit.attempt.get());
    assert_eq!(attempt.await.unwrap(), 2);
    rig.until(origin, |event| matches!(event, RunEvent::ApprovalRequested(_))).await;
    for run in [origin, run] {
        let id = "ask/1/1".parse().unwrap();
        let vote = everfold_language::definition::Vote::Approve;
        let (comment, roles) = (None, Vec::new());
        let kind = InputKind::Vote(VoteCast {
            id,
            vote,
            comment,
            roles,
            comments: Vec::new(),
            edited: None,
            seen: None,
        });
        rig.submit(run, kind).await.unwrap();
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    // The question was open when it was read; at the end there is nothing left to fork.
    let last = rig.envelopes(origin).await.last().unwrap().header.version;
    let at_the_end = ForkRequest { at: Some(last), ..again(origin, OriginKind::Fork) };
    assert!(matches!(
        rig.engine.fork(at_the_end).await,
        Err(StartError::Refused(Refusal::Ended(RunStatus::Succeeded)))
    ));
}

#[tokio::test(start_paused = true)]
async fn d11_every_moment_of_a_run_can_be_gone_on_from() {
    let rig = Rig::new();
    let items = json!({"id": "c", "needs": ["b"], "foreach": {"items": "${[1, 2, 3]}", "max_in_flight": 2},
        "work": {"task": {"kind": "command", "spec": {"argv": ["sleep", "20"]}}}});
    let gated = json!({"id": "d", "needs": ["c"], "work": {"task": {"kind": "function", "spec": {"name": "ok", "with": {}}}},
        "gates": [{"id": "g", "probe": {"task": {"kind": "command", "spec": {"argv": ["probe", "2"]}}}}]});
    let wait = json!({"id": "w", "needs": ["a"], "work": {"wait": {"for": "50ms"}}});
    let steps = json!([
        function("a", &[], "big", json!({"bytes": 50_000})),
        command("b", &["a"], 30),
        items,
        gated,
        wait
    ]);
    let definition =
        definition(json!({"name": "p", "steps": steps, "concurrency": [{"key": "repo", "limit": 100}]}));
    let origin = rig.start(&definition).await;
    assert_eq!(rig.end(origin).await, RunStatus::Succeeded);
    let last = rig.envelopes(origin).await.last().unwrap().header.version;
    for at in 1..last.0 {
        let fork = ForkRequest { at: Some(Version(at)), ..again(origin, OriginKind::Fork) };
        let run = rig.engine.fork(fork).await.unwrap_or_else(|error| panic!("at {at}: {error}")).run;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "at {at}");
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l30_what_is_refused_stores_nothing() {
    let rig = Rig::new();
    let origin = failed(&rig).await;
    let before = rig.store.inner.last_position();
    let unknown = rig.engine.fork(restart(origin, "nowhere")).await;
    assert!(matches!(unknown, Err(StartError::Refused(Refusal::UnknownStep(_)))), "{unknown:?}");
    let tidy = rig.engine.fork(restart(origin, "tidy")).await;
    assert!(matches!(tidy, Err(StartError::Refused(Refusal::FinishStep(_)))), "{tidy:?}");
    // It could not pause before what has begun; a step that begins anew has not.
    let begun = ForkRequest { until_step: Some("a".into()), ..restart(origin, "b") };
    let begun = rig.engine.fork(begun).await;
    assert!(matches!(begun, Err(StartError::Refused(Refusal::BegunBefore(_)))), "{begun:?}");
    let too_late = ForkRequest { at: Some(Version(999)), ..again(origin, OriginKind::Fork) };
    assert!(rig.engine.fork(too_late).await.is_err());
    let unknown = again(RunId(uuid::Uuid::from_u128(1)), OriginKind::Retry);
    assert!(matches!(rig.engine.fork(unknown).await, Err(StartError::Submit(SubmitError::NotFound(_)))));
    assert_eq!(rig.store.inner.last_position(), before);
}

#[tokio::test(start_paused = true)]
async fn d11_a_copy_that_was_cut_short_is_no_run_until_the_request_is_repeated() {
    let mut rig = Rig::new();
    let origin = failed(&rig).await;
    let key = Hash::of(b"once");
    let dedup = Some(Dedup { key, body: Hash::ZERO, keep: DedupKeep::Week });
    let asked = ForkRequest { dedup, ..restart(origin, "b") };
    let run = RunId(uuid::Uuid::new_v5(&origin.0, key.to_string().as_bytes()));
    // The first half of a copy, as a crash leaves it.
    let half = rig.envelopes(origin).await.into_iter().take(2);
    let (mut previous, mut events) = (Hash::ZERO, Vec::new());
    for envelope in half {
        let header = everfold_base::envelope::EventHeader {
            stream: StreamId::run(run),
            flags: flag::COPIED,
            ..envelope.header
        };
        let event = everfold_base::envelope::NewEvent::link(header, envelope.payload, &previous);
        previous = event.hash;
        events.push(event);
    }
    let append = everfold_store::Append {
        stream: StreamId::run(run),
        expected: Version::ZERO,
        previous: Hash::ZERO,
        events,
        dedup: None,
        fence: None,
        note: everfold_store::StreamNote { open: false, busy: true, wake_at: None },
    };
    rig.store.inner.append(append).await.unwrap();
    rig.crash().await;
    rig.recover().await;
    let named = CutCopy { run, events: Version(2) };
    assert_eq!(rig.engine.cut_copies().await.unwrap(), [named]);
    assert!(rig.engine.with_state(run, |_| ()).await.is_err(), "it is no run");
    assert!(matches!(
        rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await,
        Err(SubmitError::NotFound(_))
    ));
    let started = rig.engine.fork(asked.clone()).await.unwrap();
    assert_eq!((started.run, started.repeated), (run, false));
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let repeated = rig.engine.fork(asked).await.unwrap();
    assert_eq!((repeated.run, repeated.repeated), (run, true));
    assert_eq!(rig.engine.cut_copies().await.unwrap(), [], "it is a run now, and it has ended");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn d11_a_copy_that_goes_further_than_a_later_request_is_not_gone_on_with() {
    let rig = Rig::new();
    let origin = failed(&rig).await;
    let key = Hash::of(b"once");
    let longer = RunId(uuid::Uuid::new_v5(&origin.0, key.to_string().as_bytes()));
    let (mut previous, mut events) = (Hash::ZERO, Vec::new());
    for envelope in rig.envelopes(origin).await.into_iter().take(4) {
        let header = everfold_base::envelope::EventHeader {
            stream: StreamId::run(longer),
            flags: flag::COPIED,
            ..envelope.header
        };
        let event = everfold_base::envelope::NewEvent::link(header, envelope.payload, &previous);
        previous = event.hash;
        events.push(event);
    }
    let append = everfold_store::Append {
        stream: StreamId::run(longer),
        expected: Version::ZERO,
        previous: Hash::ZERO,
        events,
        dedup: None,
        fence: None,
        note: everfold_store::StreamNote { open: false, busy: true, wake_at: None },
    };
    rig.store.inner.append(append).await.unwrap();
    let dedup = Some(Dedup { key, body: Hash::of(b"another"), keep: DedupKeep::Week });
    let asked = ForkRequest { dedup, at: Some(Version(2)), ..again(origin, OriginKind::Fork) };
    let started = rig.engine.fork(asked).await.unwrap();
    assert_ne!(started.run, longer);
    let events = rig.envelopes(started.run).await;
    let copied = events.iter().filter(|event| event.header.flags & flag::COPIED != 0).count();
    assert_eq!(copied, 2, "what was asked for");
    rig.end(started.run).await;
    rig.assert_replays(started.run).await;
}

#[tokio::test(start_paused = true)]
async fn d11_requests_with_one_key_at_the_same_time_make_one_run_of_the_history_that_its_request_names() {
    let rig = Rig::new();
    let origin = failed(&rig).await;
    let last = rig.envelopes(origin).await.last().unwrap().header.version;
    rig.store.delay_ms.store(5, std::sync::atomic::Ordering::SeqCst);
    for bodies in [1, 2] {
        let key = Hash::of(&[bodies]);
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..16_u8 {
            let body = n % bodies;
            let dedup = Some(Dedup { key, body: Hash::of(&[body]), keep: DedupKeep::Week });
            let at = Some(if body == 0 { Version(last.0 - 1) } else { Version(3) });
            let request = ForkRequest { dedup, at, ..again(origin, OriginKind::Fork) };
            let engine = rig.engine.clone();
            asked.spawn(async move { (at, engine.fork(request).await) });
        }
        let answers = asked.join_all().await;
        let made: Vec<(Option<Version>, &Started)> =
            answers.iter().filter_map(|(at, answer)| Some((*at, answer.as_ref().ok()?))).collect();
        let first: Vec<_> = made.iter().filter(|(_, started)| !started.repeated).collect();
        assert_eq!(first.len(), 1, "{answers:?}");
        let (at, started) = *first[0];
        let events = rig.envelopes(started.run).await;
        let forked = events.iter().find(|event| event.header.flags & flag::COPIED == 0).unwrap();
        assert_eq!(Some(forked.header.version), at.map(Version::next), "RunForked is right behind the copy");
        assert!(made.iter().all(|(_, other)| other.run == started.run));
        assert_eq!(made.len(), 16 / usize::from(bodies));
        let refused = answers.iter().filter_map(|(_, answer)| answer.as_ref().err());
        for error in refused {
            assert!(matches!(error, StartError::Submit(SubmitError::KeyReused)), "{error}");
        }
        rig.end(started.run).await;
        rig.assert_replays(started.run).await;
    }
    assert_eq!(rig.engine.cut_copies().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn d11_a_request_that_comes_again_after_its_caller_went_away_makes_no_second_run() {
    for went_away in 0..60 {
        let rig = Rig::new();
        let origin = failed(&rig).await;
        rig.store.delay_ms.store(5, std::sync::atomic::Ordering::SeqCst);
        rig.store.read_delay_ms.store(1, std::sync::atomic::Ordering::SeqCst);
        let dedup = Some(Dedup { key: Hash::of(b"once"), body: Hash::ZERO, keep: DedupKeep::Week });
        let asked = ForkRequest { dedup, ..again(origin, OriginKind::Retry) };
        let (engine, first) = (rig.engine.clone(), asked.clone());
        let caller = tokio::spawn(async move { drop(engine.fork(first).await) });
        tokio::time::sleep(Duration::from_millis(went_away)).await;
        caller.abort();
        let started = rig.engine.fork(asked).await.unwrap();
        let runs = rig.store.inner.streams(StreamKind::Run, None, 10).await.unwrap();
        assert_eq!(runs.len(), 2, "the caller went away after {went_away} ms: {runs:?}");
        assert!(runs.iter().any(|(stream, _)| *stream == StreamId::run(started.run)), "{went_away} ms");
        assert_eq!(rig.engine.cut_copies().await.unwrap(), [], "{went_away} ms");
        rig.end(started.run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l30_whenever_the_engine_dies_a_restart_takes_the_place_of_its_origin_once() {
    for seed in 0..30_u64 {
        let mut rig = Rig::new();
        rig.store.delay_ms.store(seed % 4, std::sync::atomic::Ordering::SeqCst);
        let document = json!({"name": "p", "key": {"value": "task"}, "steps": [command("a", &[], 60)]});
        let origin = rig.start(&definition(document)).await;
        tokio::time::sleep(Duration::from_millis(seed % 7)).await;
        let dedup = Some(Dedup { key: Hash::of(b"once"), body: Hash::ZERO, keep: DedupKeep::Week });
        let asked = ForkRequest { dedup, ..restart(origin, "a") };
        let engine = rig.engine.clone();
        let first = asked.clone();
        let asking = tokio::spawn(async move { drop(engine.fork(first).await) });
        tokio::time::sleep(Duration::from_millis((seed * 3) % 17)).await;
        asking.abort();
        let _aborted = asking.await;
        for _ in 0..2 {
            rig.crash().await;
            rig.recover().await;
            tokio::time::sleep(Duration::from_millis((seed * 5) % 11)).await;
        }
        let run = rig.engine.fork(asked).await.unwrap().run;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "seed {seed}");
        assert!(rig.status(origin).await.is_ended(), "seed {seed}");
        assert_eq!(begun(&rig, run, "a"), 1, "seed {seed}");
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l30_what_goes_on_from_a_history_passes_admit_and_takes_a_slot() {
    let rig = Rig::new();
    let admit =
        json!({"gates": [{"id": "wanted", "probe": {"expression": "input.ok"}, "code": "NOT_WANTED"}]});
    let document = json!({"name": "p", "admit": admit, "steps": [command("a", &[], 50)],
        "concurrency": [{"key": "repo", "limit": 1, "on_limit": "reject"}]});
    let origin = rig.engine.start(request(&definition(document), json!({"ok": true}))).await.unwrap().run;
    rig.end(origin).await;
    let before = rig.store.inner.last_position();
    for how in [restart(origin, "a"), ForkRequest { at: Some(Version(2)), ..again(origin, OriginKind::Fork) }]
    {
        let unwanted = ForkRequest { input: Some(json!({"ok": false})), ..how };
        let refused = rig.engine.fork(unwanted).await;
        let Err(StartError::Refused(Refusal::NotAdmitted { code, .. })) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(code.as_deref(), Some("NOT_WANTED"));
    }
    assert_eq!(rig.store.inner.last_position(), before, "a refusal stores nothing");
    let first = rig.engine.fork(restart(origin, "a")).await.unwrap().run;
    let second = rig.engine.fork(restart(origin, "a")).await;
    assert!(matches!(second, Err(StartError::Refused(Refusal::NoSlot { .. }))), "{second:?}");
    assert_eq!(rig.end(first).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn l30_copied_facts_cause_no_notice() {
    let rig = Rig::new();
    let document = json!({"name": "p", "steps": [command("a", &[], 5), command("b", &["a"], 5)],
        "notify": [{"id": "told", "events": ["StepSucceeded"], "function": "tell"}]});
    let origin = rig.start(&definition(document)).await;
    rig.end(origin).await;
    let run = rig.engine.fork(restart(origin, "b")).await.unwrap().run;
    rig.end(run).await;
    let own = rig.envelopes(run).await;
    let queued: Vec<u64> = own
        .iter()
        .filter(|envelope| envelope.header.flags & flag::COPIED == 0)
        .filter_map(|envelope| {
            let header = &envelope.header;
            match everfold_core::event::decode(header.kind, header.schema, &envelope.payload).unwrap() {
                RunEvent::NoticeQueued(queued) => Some(queued.version.0),
                _other => None,
            }
        })
        .collect();
    let forked = own.iter().position(|envelope| envelope.header.flags & flag::COPIED == 0).unwrap() as u64;
    assert!(queued.len() == 1 && queued[0] > forked, "only of what it did itself: {queued:?}");
}

#[tokio::test(start_paused = true)]
async fn l25_a_fork_names_the_runs_that_its_origin_started() {
    let rig = Rig::new();
    let saved = definition(json!({"name": "kid", "steps": [function("a", &[], "ok", json!({}))]}));
    rig.engine.save_pipeline(&saved, None, everfold_base::actor::Actor::User("ada".into())).await.unwrap();
    let kid = json!({"id": "kid", "work": {"task": {"kind": "run", "spec": {"pipeline": "kid"}}}});
    let definition = definition(json!({"name": "p", "steps": [kid, command("b", &["kid"], 20)]}));
    let origin = rig.start(&definition).await;
    rig.end(origin).await;
    let child_of = async |run: RunId| {
        let look = |state: &everfold_core::state::RunState| {
            let (step, facts) = state.step(&"kid".into()).unwrap();
            state.started_by(step, facts).unwrap()
        };
        rig.engine.with_state(run, look).await.unwrap()
    };
    let own = child_of(origin).await;
    assert_eq!(rig.status(own).await, RunStatus::Succeeded);
    let names = rig.names(origin).await;
    let finished = names.iter().position(|name| *name == "ChildFinished").unwrap();
    let request = |how, at: Option<usize>| ForkRequest {
        at: at.map(|at| Version(at as u64 + 1)),
        from_step: (how == OriginKind::Restart).then(|| "kid".into()),
        ..again(origin, how)
    };
    let fork = rig.engine.fork(request(OriginKind::Fork, Some(finished))).await.unwrap().run;
    rig.end(fork).await;
    assert_eq!(child_of(fork).await, own, "the fork started none");
    let anew = rig.engine.fork(request(OriginKind::Fork, Some(finished - 1))).await.unwrap().run;
    rig.end(anew).await;
    let restarted = rig.engine.fork(request(OriginKind::Restart, None)).await.unwrap().run;
    rig.end(restarted).await;
    for run in [anew, restarted] {
        assert_ne!(child_of(run).await, own);
        assert_eq!(rig.status(child_of(run).await).await, RunStatus::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn d11_a_fork_of_the_first_event_is_found_by_what_its_origin_was_found_by() {
    let rig = Rig::new();
    let search = json!({"amount": {"type": "number", "value": 300}});
    let definition = definition(json!({"name": "p", "search": search, "steps": [command("a", &[], 20)]}));
    let origin = rig.start(&definition).await;
    rig.end(origin).await;
    let found_by =
        async |run: RunId| rig.engine.with_state(run, |state| state.search().clone()).await.unwrap();
    let own = found_by(origin).await;
    assert_eq!(own.len(), 1);
    for at in 1..=3 {
        let fork = ForkRequest { at: Some(Version(at)), ..again(origin, OriginKind::Fork) };
        let fork = rig.engine.fork(fork).await.unwrap().run;
        rig.end(fork).await;
        assert_eq!(found_by(fork).await, own, "at {at}");
        rig.assert_replays(fork).await;
    }
}
