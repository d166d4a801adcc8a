//! Workers that take attempts with their schedule.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use everfold_base::failure::FailureKind;
use everfold_base::id::EffectId;
use everfold_ports::{AttemptEnd, AttemptStop, Executor as _, RecordReceipt, WorkerReservation};
use serde_json::json;
use tokio::task::JoinHandle;

use super::carried_attempts::{LONG, LeaseTableFixture, effect, failure, named, output, poll};
use super::protocol::{Job, WorkerPoll, WorkerRefusal};
use crate::function::{Function, FunctionExecutor, Functions};

/// A worker waits for up to so much work.
async fn waits(
    fixture: &LeaseTableFixture,
    worker: &'static str,
    capacity: usize,
) -> JoinHandle<Result<Vec<Job>, WorkerRefusal>> {
    let table = fixture.table.clone();
    let says = WorkerPoll { holds: Some(Default::default()), ..poll(capacity, LONG) };
    let polling = tokio::spawn(async move { table.poll(&named(worker), says).await });
    while !fixture.table.has_waiting() {
        tokio::task::yield_now().await;
    }
    polling
}

/// The run of an attempt records that the worker takes it, and enters it then.
fn recorded(
    fixture: &LeaseTableFixture,
    id: EffectId,
    reservation: &WorkerReservation,
) -> JoinHandle<AttemptEnd> {
    fixture.journal.taken(&id, reservation.holder.clone(), RecordReceipt::new().0);
    fixture.carry(id)
}

fn reserve(fixture: &LeaseTableFixture, id: &EffectId) -> WorkerReservation {
    fixture.table.reserve(id, "deploy").expect("a worker waits")
}

async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// What the engine calls itself was planned twice while some worker waited for other work.
#[tokio::test]
async fn a_worker_that_waits_is_awaited_by_the_steps_of_workers_alone() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let mut functions = Functions::built_in();
    functions.register(Function::remote("deploy")).unwrap();
    let executor = FunctionExecutor::with_workers(Arc::new(functions), fixture.table.clone());
    let has_waiting = |name: &str| executor.has_waiting_workers(Some(&json!({ "name": name })));
    assert!(!executor.has_waiting_workers(None) && !has_waiting("deploy"));
    let polling = waits(&fixture, "worker:a", 1).await;
    assert!(executor.has_waiting_workers(None) && has_waiting("deploy"));
    assert!(!has_waiting("notify.log") && !has_waiting("${input.name}"));
    polling.abort();
}

#[tokio::test]
async fn a_worker_gets_what_is_reserved_for_it_when_that_is_entered_and_holds_it_by_its_recorded_lease() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    assert!(fixture.table.reserve(&effect(1, 0), "deploy").is_none(), "no worker waits");
    let polling = waits(&fixture, "worker:a", 5).await;
    assert!(fixture.table.reserve(&effect(1, 0), "another").is_none(), "none that does it");
    let (first, second) = (reserve(&fixture, &effect(1, 0)), reserve(&fixture, &effect(1, 1)));
    let third = reserve(&fixture, &effect(1, 2));
    let end = recorded(&fixture, effect(1, 0), &first);
    let other = recorded(&fixture, effect(1, 2), &third);
    settled().await;
    assert!(!polling.is_finished(), "one is on its way still");
    // Its append came to nothing.
    drop(second);
    let jobs = polling.await.unwrap().unwrap();
    assert_eq!(jobs.len(), 2);
    for (job, end) in jobs.iter().zip([end, other]) {
        assert!(!end.is_finished());
        assert_eq!(
            fixture.report(job, "worker:b", json!(1)).await,
            Err(WorkerRefusal::Foreign(named("worker:a")))
        );
        assert_eq!(fixture.report(job, "worker:a", json!(1)).await, Ok(false));
        assert_eq!(output(end.await.unwrap()), json!(1));
    }
    assert_eq!(fixture.journal.starts.load(Ordering::SeqCst), 2, "nothing more was recorded");
}

#[tokio::test]
async fn what_was_reserved_for_a_poll_that_went_is_another_workers() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    for came in [false, true] {
        let polling = waits(&fixture, "worker:a", 5).await;
        let id = effect(1, u32::from(came));
        let (reservation, late) = (reserve(&fixture, &id), reserve(&fixture, &effect(2, 0)));
        if !came {
            polling.abort();
            while fixture.table.has_waiting() {
                tokio::task::yield_now().await;
            }
        }
        let end = recorded(&fixture, id, &reservation);
        settled().await;
        if came {
            polling.abort();
        }
        drop(late);
        let job = fixture.poll("worker:b", 1).await.remove(0);
        assert_eq!(fixture.report(&job, "worker:b", json!(came)).await, Ok(false));
        assert_eq!(output(end.await.unwrap()), json!(came));
    }
    assert_eq!(fixture.journal.starts.load(Ordering::SeqCst), 4, "each was recorded for both");
}

#[tokio::test]
async fn a_reserved_attempt_that_is_cancelled_before_it_is_entered_reaches_no_worker() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let polling = waits(&fixture, "worker:a", 1).await;
    let reservation = reserve(&fixture, &effect(1, 0));
    fixture.table.cancel(effect(1, 0), AttemptStop::Cancel, LONG).await;
    let end = recorded(&fixture, effect(1, 0), &reservation).await.unwrap();
    assert_eq!(failure(end).kind, FailureKind::Cancelled);
    // What is offered meanwhile waits no longer than until the reservation is let go.
    let other = fixture.carry(effect(2, 0));
    settled().await;
    assert!(!polling.is_finished());
    drop(reservation);
    let jobs = polling.await.unwrap().unwrap();
    assert_eq!(jobs[0].id.0, effect(2, 0));
    assert_eq!(fixture.report(&jobs[0], "worker:a", json!(2)).await, Ok(false));
    assert_eq!(output(other.await.unwrap()), json!(2));
}

#[tokio::test(start_paused = true)]
async fn a_poll_whose_time_is_over_takes_what_has_come_and_leaves_what_comes_later_to_others() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), 3 * LONG);
    let polling = waits(&fixture, "worker:a", 5).await;
    let (first, stuck) = (reserve(&fixture, &effect(1, 0)), reserve(&fixture, &effect(1, 1)));
    let _first = recorded(&fixture, effect(1, 0), &first);
    let jobs = polling.await.unwrap().unwrap();
    assert_eq!(jobs.iter().map(|job| job.id.0.clone()).collect::<Vec<_>>(), [effect(1, 0)]);
    let _second = recorded(&fixture, effect(1, 1), &stuck);
    assert_eq!(fixture.poll("worker:b", 5).await[0].id.0, effect(1, 1));
}

#[tokio::test]
async fn what_is_scheduled_while_a_poll_hands_out_what_it_took_comes_with_that_and_goes_with_it() {
    for is_heard in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let fixture = LeaseTableFixture::new(place.path(), LONG);
        fixture.journal.is_slow.store(true, Ordering::SeqCst);
        let _offered = fixture.carry(effect(1, 0));
        settled().await;
        let table = fixture.table.clone();
        let polling = tokio::spawn(async move { table.poll(&named("worker:a"), poll(3, LONG)).await });
        while fixture.journal.starts.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let reservation = reserve(&fixture, &effect(1, 1));
        let _scheduled = recorded(&fixture, effect(1, 1), &reservation);
        settled().await;
        assert!(!polling.is_finished(), "the lease of the first is not durable");
        if !is_heard {
            polling.abort();
        }
        fixture.journal.flush();
        let (worker, jobs) = match is_heard {
            true => ("worker:a", polling.await.unwrap().unwrap()),
            false => {
                settled().await;
                let mut jobs = fixture.poll("worker:b", 1).await;
                jobs.extend(fixture.poll("worker:b", 1).await);
                ("worker:b", jobs)
            }
        };
        assert_eq!(jobs.len(), 2, "{is_heard}");
        for job in &jobs {
            assert_eq!(fixture.report(job, worker, json!(1)).await, Ok(false));
        }
    }
}
