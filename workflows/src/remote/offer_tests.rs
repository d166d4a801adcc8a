//! Offers that the table takes back, and attempts that it offers to no worker.

use std::sync::Arc;

use everfold_base::failure::FailureKind;
use everfold_ports::{AttemptObserver, AttemptResult, AttemptStop};

use super::attempt::{CarryMode, WorkOffer};
use super::carried_attempts::*;

#[tokio::test]
async fn what_is_reattached_and_no_worker_holds_is_lost_and_offered_to_nobody() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let offer = fixture.offer(effect(1, 0), None);
    let end = fixture.carry_offer(WorkOffer { mode: CarryMode::Reattach, ..offer });
    let polled = fixture.table.poll(&named("worker:a"), poll(1, SHORT)).await.unwrap();
    assert!(polled.is_empty(), "{polled:?}");
    assert!(matches!(end.await.unwrap().result, AttemptResult::Lost { .. }));
}

#[tokio::test]
async fn an_attempt_that_is_taken_back_and_offered_again_is_given_once_however_late_the_former_offer_goes() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let offered = || fixture.table.function("deploy", "").waiting;
    let carried = || {
        let (table, offer) = (fixture.table.clone(), fixture.offer(effect(1, 0), None));
        Box::pin(async move { table.carry(offer).await })
    };
    for goes_before in [true, false] {
        let mut former = carried();
        assert!(futures::poll!(&mut former).is_pending());
        assert_eq!(offered(), 1);
        let mut next = carried();
        if goes_before {
            drop(former);
            assert_eq!(offered(), 0);
            assert!(futures::poll!(&mut next).is_pending());
        } else {
            assert!(futures::poll!(&mut next).is_pending());
            drop(former);
        }
        assert_eq!(offered(), 1);
        drop(next);
        assert_eq!(offered(), 0);
    }
    let (mut former, mut next) = (carried(), carried());
    assert!(futures::poll!(&mut former).is_pending() && futures::poll!(&mut next).is_pending());
    drop(former);
    let _carried = tokio::spawn(next);
    assert_eq!(fixture.poll("worker:a", 5).await.len(), 1);
}

#[tokio::test]
async fn offers_of_a_run_are_given_in_the_order_in_which_they_were_made_whichever_task_came_first() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let offers: Vec<WorkOffer> = (0..20).map(|item| fixture.offer(effect(1, item), None)).collect();
    let mut carried = Vec::new();
    for offer in offers.into_iter().rev() {
        carried.push(fixture.carry_offer(offer));
        tokio::task::yield_now().await;
    }
    while fixture.table.function("deploy", "").waiting < 20 {
        tokio::task::yield_now().await;
    }
    let given = fixture.poll("worker:a", 20).await;
    let items: Vec<Option<u32>> = given.iter().map(|job| job.id.0.attempt.path.item).collect();
    assert_eq!(items, (0..20).map(Some).collect::<Vec<_>>());
    carried.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Records nothing.
struct DeafObserver;

impl AttemptObserver for DeafObserver {
    fn started(&self) {}

    fn line(&self, _line: &str) {}
}

#[tokio::test]
async fn a_poll_whose_take_a_pause_overtook_waits_on_and_is_refused_nothing() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let (table, offer) = (fixture.table.clone(), fixture.offer(effect(1, 0), None));
    let offer = WorkOffer { observer: Arc::new(DeafObserver), ..offer };
    let mut carried = Box::pin(async move { table.carry(offer).await });
    assert!(futures::poll!(&mut carried).is_pending());
    let worker = named("worker:a");
    let (polled, ()) = tokio::join!(fixture.table.poll(&worker, poll(1, SHORT)), async {
        while fixture.table.function("deploy", "").waiting > 0 {
            tokio::task::yield_now().await;
        }
        drop(carried);
    });
    assert!(polled.unwrap().is_empty());
}

#[tokio::test]
async fn a_cancel_that_overtakes_a_take_waits_for_no_poll() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let offer = WorkOffer { observer: Arc::new(DeafObserver), ..fixture.offer(effect(1, 0), None) };
    let end = fixture.carry_offer(offer);
    let worker = named("worker:a");
    let (polled, ()) = tokio::join!(fixture.table.poll(&worker, poll(1, SHORT)), async {
        while fixture.table.function("deploy", "").waiting == 0 {
            tokio::task::yield_now().await;
        }
        while fixture.table.function("deploy", "").waiting > 0 {
            tokio::task::yield_now().await;
        }
        fixture.table.cancel(effect(1, 0), AttemptStop::Cancel, LONG).await;
    });
    assert!(polled.unwrap().is_empty(), "it is refused nothing");
    assert_eq!(failure(end.await.unwrap()).kind, FailureKind::Cancelled);
}
