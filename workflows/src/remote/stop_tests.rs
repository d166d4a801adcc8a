//! Attempts that are to stop: what their workers hear, and when.

use std::time::Duration;

use everfold_base::failure::FailureKind;
use everfold_ports::AttemptResult;
use serde_json::json;

use super::carried_attempts::*;
use super::protocol::Heartbeat;

#[tokio::test]
async fn the_heartbeat_tells_of_a_cancel_and_what_comes_then_does_not_count() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let end = fixture.carry(effect(1, 0));
    let job = fixture.poll("worker:a", 1).await.remove(0);
    let (table, id) = (fixture.table.clone(), job.id.0.clone());
    let cancel = tokio::spawn(async move { table.cancel(id, LONG).await });
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
    fixture.table.cancel(effect(1, 1), LONG).await;
    assert_eq!(failure(waits.await.unwrap()).kind, FailureKind::Cancelled);
    fixture.table.cancel(effect(1, 2), LONG).await;
    assert_eq!(failure(fixture.carry(effect(1, 2)).await.unwrap()).kind, FailureKind::Cancelled);
    assert_eq!(fixture.table.function("deploy", "").waiting, 0);
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
    let cancel = tokio::spawn(async move { table.cancel(effect(1, 0), LONG).await });
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
