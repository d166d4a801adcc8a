//! Attempts that are to stop: what their workers hear, and when.

use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_ports::{AttemptResult, AttemptStop};
use serde_json::json;

use super::carried_attempts::*;
use super::protocol::{Heartbeat, Reported, WorkerReport};

#[tokio::test]
async fn the_heartbeat_tells_of_a_cancel_and_what_comes_then_does_not_count() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let end = fixture.carry(effect(1, 0));
    let job = fixture.poll("worker:a", 1).await.remove(0);
    let (table, id) = (fixture.table.clone(), job.id.0.clone());
    let cancel = tokio::spawn(async move { table.cancel(id, AttemptStop::Cancel, LONG).await });
    let reply = loop {
        let beat = Heartbeat { log: vec!["cleaning up".into()], progress: None };
        let reply = fixture.beat(&job, "worker:a", beat).await.unwrap();
        if reply.cancel {
            break reply;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(reply.reason.as_deref(), Some("cancelled"));
    assert_eq!(fixture.report(&job, "worker:a", json!("done all the same")).await, Ok(false));
    assert_eq!(failure(end.await.unwrap()).kind, FailureKind::Cancelled);
    cancel.await.unwrap();

    // One that no worker holds, and one that is entered only after its cancel.
    let waits = fixture.carry(effect(1, 1));
    while fixture.table.function("deploy", "").waiting == 0 {
        tokio::task::yield_now().await;
    }
    fixture.table.cancel(effect(1, 1), AttemptStop::Cancel, LONG).await;
    assert_eq!(failure(waits.await.unwrap()).kind, FailureKind::Cancelled);
    fixture.table.cancel(effect(1, 2), AttemptStop::Cancel, LONG).await;
    assert_eq!(failure(fixture.carry(effect(1, 2)).await.unwrap()).kind, FailureKind::Cancelled);
    assert_eq!(fixture.table.function("deploy", "").waiting, 0);
}

#[tokio::test]
async fn work_that_no_worker_took_within_its_time_limit_says_so() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let waits = fixture.carry_within(effect(1, 0), Some(SHORT));
    while fixture.table.function("deploy", "").waiting == 0 {
        tokio::task::yield_now().await;
    }
    fixture.table.cancel(effect(1, 0), AttemptStop::TimeLimit, LONG).await;
    let untaken = failure(waits.await.unwrap());
    assert!(untaken.is_no_worker(), "{untaken:?}");
    assert_eq!(untaken.message, "the time limit of 300ms passed, and no worker took it");
    assert_eq!(fixture.table.function("deploy", "").waiting, 0);
    // Behind a kill of the engine: its stop is recorded, and comes before the attempt is entered.
    fixture.table.cancel(effect(1, 1), AttemptStop::TimeLimit, LONG).await;
    let untaken = failure(fixture.carry_within(effect(1, 1), Some(SHORT)).await.unwrap());
    assert!(untaken.is_no_worker(), "{untaken:?}");
}

/// Whoever waits for a stop is woken by it, by a time limit, and by the end of the attempt.
#[tokio::test]
async fn what_waits_for_a_stop_is_woken_by_each_way_to_one() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let ends = [0, 1, 2].map(|item| match item {
        1 => fixture.carry_within(effect(1, item), Some(SHORT)),
        _other => fixture.carry(effect(1, item)),
    });
    let mut jobs = Vec::new();
    while jobs.len() < 3 {
        jobs.extend(fixture.poll("worker:a", 3).await);
    }
    let waiting = [0, 1, 2].map(|item| {
        let table = fixture.table.clone();
        tokio::spawn(async move { table.stop_requested(&effect(1, item), Duration::MAX).await })
    });
    assert!(!fixture.table.stop_requested(&effect(1, 0), SHORT).await);
    assert!(!waiting[0].is_finished(), "it waits no longer than it was asked to, and nobody stops it");
    let table = fixture.table.clone();
    let cancel = tokio::spawn(async move { table.cancel(effect(1, 0), AttemptStop::Cancel, LONG).await });
    let ended = jobs.iter().find(|job| job.id.0 == effect(1, 2)).unwrap();
    assert_eq!(fixture.report(ended, "worker:a", json!(1)).await, Ok(false));
    for woken in waiting {
        assert!(woken.await.unwrap(), "it is to stop, or over");
    }
    let cancelled = jobs.iter().find(|job| job.id.0 == effect(1, 0)).unwrap();
    assert!(fixture.beat(cancelled, "worker:a", Heartbeat::default()).await.unwrap().cancel);
    assert_eq!(fixture.report(cancelled, "worker:a", json!(1)).await, Ok(false));
    cancel.await.unwrap();
    let results = futures::future::join_all(ends).await.into_iter().map(|end| end.unwrap().result);
    let kinds: Vec<_> = results
        .map(|result| match result {
            AttemptResult::Failed(failure) => Some(failure.kind),
            _other => None,
        })
        .collect();
    assert_eq!(kinds, [Some(FailureKind::Cancelled), Some(FailureKind::Timeout), None]);
    // What is not in the table is not waited for.
    assert!(!fixture.table.stop_requested(&effect(9, 9), Duration::MAX).await);
}

/// The worker's lease ended while its heartbeat waited, or the heartbeat told the worker to stop what the next engine takes up.
#[tokio::test]
async fn who_waits_for_a_stop_waits_no_longer_than_the_lease_and_is_not_stopped_by_an_engine_that_lets_go() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), Duration::from_secs(2));
    let end = fixture.carry(effect(1, 0));
    let job = fixture.poll("worker:a", 1).await.remove(0);
    for _ in 0..3 {
        assert!(!fixture.table.stop_requested(&effect(1, 0), Duration::MAX).await);
        assert!(!fixture.beat(&job, "worker:a", Heartbeat::default()).await.unwrap().cancel);
    }
    let table = fixture.table.clone();
    let waiting = tokio::spawn(async move { table.stop_requested(&effect(1, 0), Duration::MAX).await });
    tokio::task::yield_now().await;
    end.abort();
    assert!(!waiting.await.unwrap(), "it goes on with the next engine");
}

#[tokio::test]
async fn a_time_limit_counts_from_the_lease_and_leaves_the_grace() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let end = fixture.carry_within(effect(1, 0), Some(SHORT));
    tokio::time::sleep(SHORT * 2).await;
    let job = fixture.poll("worker:a", 1).await.remove(0);
    assert_eq!(job.timeout_seconds, Some(SHORT.as_secs_f64()));
    let failure = failure(end.await.unwrap());
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Timeout, "the time limit of 300ms passed")
    );
}

/// What a worker had finished was done again behind the resume, and so was what nobody knew of.
#[tokio::test]
async fn behind_an_interrupt_a_result_counts_and_silence_is_a_loss() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let ends = [0, 1, 2].map(|item| fixture.carry(effect(1, item)));
    let mut jobs = Vec::new();
    while jobs.len() < 3 {
        jobs.extend(fixture.poll("worker:a", 3).await);
    }
    jobs.sort_by_key(|job| job.id.0.clone());
    let stops = [0, 1, 2].map(|item| {
        let table = fixture.table.clone();
        tokio::spawn(async move { table.cancel(effect(1, item), AttemptStop::Interrupt, SHORT).await })
    });
    while !fixture.beat(&jobs[0], "worker:a", Heartbeat::default()).await.unwrap().cancel {
        tokio::task::yield_now().await;
    }
    let reply = fixture.beat(&jobs[0], "worker:a", Heartbeat::default()).await.unwrap();
    assert_eq!(reply.reason.as_deref(), Some("interrupted"));
    assert_eq!(fixture.report(&jobs[0], "worker:a", json!("paid")).await, Ok(false));
    let failed = Reported::Failure(Failure::new(FailureKind::Error, "stopped half-way"));
    let failed = WorkerReport { result: failed, ..said(json!(null), Vec::new()) };
    assert_eq!(fixture.report_with(&jobs[1], "worker:a", failed).await, Ok(false));
    for stop in stops {
        stop.await.unwrap();
    }
    let mut results = Vec::new();
    for end in ends {
        results.push(end.await.unwrap().result);
    }
    assert!(
        matches!(&results[0], AttemptResult::Succeeded(output) if *output == json!("paid")),
        "{results:?}"
    );
    assert!(
        matches!(&results[1], AttemptResult::Failed(failure) if failure.kind == FailureKind::Cancelled),
        "{results:?}"
    );
    assert!(
        matches!(&results[2], AttemptResult::Lost { reason } if reason.contains("it is not known what it did")),
        "{results:?}"
    );
}

/// A frozen machine cost the work of each worker, though all of them had been heard of in time.
#[tokio::test(start_paused = true)]
async fn an_engine_that_stood_still_ends_nothing_before_it_has_read_what_came_meanwhile() {
    let place = tempfile::tempdir().unwrap();
    let span = Duration::from_secs(30);
    let fixture = LeaseTableFixture::new(place.path(), span);
    let ends = [fixture.carry(effect(1, 0)), fixture.carry_within(effect(1, 1), Some(span * 2))];
    let mut jobs = Vec::new();
    while jobs.len() < 2 {
        jobs.extend(fixture.poll("worker:a", 2).await);
    }
    tokio::time::advance(span * 10).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    for job in &jobs {
        let reply = fixture.beat(job, "worker:a", Heartbeat::default()).await.unwrap();
        assert_eq!((reply.cancel, reply.reason), (false, None));
        assert_eq!(fixture.report(job, "worker:a", json!("done in time")).await, Ok(false));
    }
    for end in ends {
        assert!(matches!(end.await.unwrap().result, AttemptResult::Succeeded(_)));
    }
    // One that is not heard of afterwards is lost a lease later.
    let end = fixture.carry(effect(1, 2));
    fixture.poll("worker:a", 1).await;
    tokio::time::advance(span * 10).await;
    assert!(matches!(end.await.unwrap().result, AttemptResult::Lost { .. }));
}
