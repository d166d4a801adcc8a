//! The lease table: leases, reports, crashes of the engine, fairness.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everfold_base::json::Value;
use everfold_ports::AttemptResult;
use serde_json::json;
use tokio::task::JoinHandle;

use super::attempt::WorkOffer;
use super::name::WorkerName;
use super::protocol::{AttemptFacts, Heartbeat, Job, WorkerRefusal};

use super::carried_attempts::*;

#[tokio::test]
async fn a_report_counts_once_and_only_from_the_worker_that_holds_the_attempt() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let end = fixture.carry(effect(1, 0));
    let jobs = fixture.poll("worker:a", 5).await;
    assert_eq!((jobs.len(), &jobs[0].with), (1, &json!({ "item": 0 })));
    let job = &jobs[0];
    let foreign = fixture.report(job, "worker:b", json!(1)).await.unwrap_err();
    assert_eq!(foreign, WorkerRefusal::Foreign(named("worker:a")));
    let other_lease = Job { lease: "guessed".into(), ..job.clone() };
    assert!(matches!(
        fixture.report(&other_lease, "worker:a", json!(1)).await,
        Err(WorkerRefusal::OtherLease(_))
    ));
    let elsewhere = Job { id: super::AttemptName(effect(9, 9)), ..job.clone() };
    assert_eq!(fixture.report(&elsewhere, "worker:a", json!(1)).await, Err(WorkerRefusal::Unknown));
    assert_eq!(fixture.report(job, "worker:a", json!({ "x": 1 })).await, Ok(false));
    assert_eq!(output(end.await.unwrap()), json!({ "x": 1 }));
    assert_eq!(fixture.report(job, "worker:a", json!({ "x": 1 })).await, Ok(true), "reported again");
    let other = fixture.report(job, "worker:a", json!({ "x": 2 })).await.unwrap_err();
    assert!(matches!(&other, WorkerRefusal::Over(why) if why.contains("another report")), "{other}");
    assert!(fixture.table.workers().await[0].holds.is_empty());
}

#[tokio::test]
async fn the_log_of_a_workers_attempt_is_sealed_when_it_has_ended() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let end = fixture.carry(effect(1, 0));
    let job = fixture.poll("worker:a", 1).await.remove(0);
    let log = vec!["one".to_owned(), "two".to_owned()];
    assert_eq!(fixture.report_with(&job, "worker:a", said(json!(1), log)).await, Ok(false));
    let sealed = end.await.unwrap().notes.log.expect("it left a log");
    let file = fixture.layout.attempt(&job.id.0).join("log");
    assert_eq!((sealed.lines, sealed.lost_bytes), (2, 0));
    assert_eq!(sealed.hash, everfold_base::json::Hash::of(&std::fs::read(file).unwrap()));
    // One that says nothing leaves no log, and no folder.
    let end = fixture.carry(effect(1, 1));
    let silent = fixture.poll("worker:a", 1).await.remove(0);
    assert_eq!(fixture.report(&silent, "worker:a", json!(1)).await, Ok(false));
    assert_eq!(end.await.unwrap().notes.log, None);
    assert!(!fixture.layout.attempt(&silent.id.0).exists());
    // What it says to the next engine is sealed with what it said to the former one.
    let end = fixture.carry(effect(1, 2));
    let job = fixture.poll("worker:a", 1).await.remove(0);
    let beat = Heartbeat { log: vec!["one".to_owned()], progress: None };
    fixture.beat(&job, "worker:a", beat).await.unwrap();
    end.abort();
    let next = fixture.next();
    let end = next.carry(effect(1, 2));
    while next.table.workers().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(next.report_with(&job, "worker:a", said(json!(1), Vec::new())).await, Ok(false));
    assert_eq!(end.await.unwrap().notes.log.map(|log| log.lines), Some(1));
}

/// Both know each other's leases: they read one queue of their own.
#[tokio::test]
async fn row_59_two_processes_of_one_token_are_two_workers_and_neither_ends_what_the_other_holds() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let (one, other, unnamed) = ("token:ci#host-1", "token:ci#host-2", "token:ci");
    let ends = [fixture.carry(effect(1, 0)), fixture.carry(effect(1, 1)), fixture.carry(effect(1, 2))];
    let jobs = [
        fixture.poll(one, 1).await.remove(0),
        fixture.poll(other, 1).await.remove(0),
        fixture.poll(unnamed, 1).await.remove(0),
    ];
    let holds: Vec<(WorkerName, usize)> =
        fixture.table.workers().await.iter().map(|it| (it.worker(), it.holds.len())).collect();
    assert_eq!(holds, [(named(unnamed), 1), (named(one), 1), (named(other), 1)]);
    for (job, holder) in jobs.iter().zip([one, other, unnamed]) {
        for another in [one, other, unnamed].into_iter().filter(|it| *it != holder) {
            let refused = WorkerRefusal::OtherInstance(named(holder));
            assert_eq!(fixture.report(job, another, json!(another)).await, Err(refused.clone()));
            let beat = fixture.beat(job, another, Heartbeat::default()).await;
            assert_eq!(beat, Err(refused));
        }
        let recorded = fixture.journal.facts(&job.id.0).hold.unwrap().holder;
        let instance = holder.split_once('#').map(|(_, instance)| instance);
        assert_eq!((recorded.worker.as_str(), recorded.instance.as_deref()), ("token:ci", instance));
        assert!(!format!("{recorded:?}").contains(&job.lease), "the lease is the worker's alone");
    }
    // The next engine tells them apart, too, before anything of the run is taken up.
    let next = fixture.next();
    assert_eq!(next.report(&jobs[0], other, json!(1)).await, Err(WorkerRefusal::OtherInstance(named(one))));
    for ((job, holder), end) in jobs.iter().zip([one, other, unnamed]).zip(ends) {
        assert_eq!(fixture.report(job, holder, json!(holder)).await, Ok(false));
        assert_eq!(output(end.await.unwrap()), json!(holder));
    }
}

/// A process names itself anew each time that it starts, so that names come without an end.
#[tokio::test]
async fn row_59_processes_that_are_gone_take_a_bounded_room() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    for number in 0..1_200 {
        let worker = named(&format!("token:ci#p{number}"));
        assert!(fixture.table.poll(&worker, poll(1, Duration::ZERO)).await.unwrap().is_empty());
    }
    assert!(fixture.table.workers().await.len() <= 1_000);
    assert!(fixture.table.workers().await.iter().any(|it| it.worker() == named("token:ci#p1199")));
}

#[tokio::test]
async fn a_worker_that_is_not_heard_of_loses_the_attempt_and_comes_too_late() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), SHORT);
    let end = fixture.carry(effect(1, 0));
    let job = fixture.poll("worker:a", 1).await.remove(0);
    let span = job.lease_until;
    for _ in 0..3 {
        tokio::time::sleep(SHORT / 2).await;
        let reply = fixture.beat(&job, "worker:a", Heartbeat::default()).await;
        assert!(reply.unwrap().lease_until > span, "the heartbeat extends it");
    }
    match end.await.unwrap().result {
        AttemptResult::Lost { reason } => assert!(reason.contains("worker:a was not heard of"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let late = fixture.report(&job, "worker:a", json!(1)).await.unwrap_err();
    assert!(matches!(&late, WorkerRefusal::Over(why) if why.contains("lost")), "{late}");
    let late = fixture.beat(&job, "worker:a", Heartbeat::default()).await;
    assert!(matches!(late, Err(WorkerRefusal::Over(_))));
}

#[tokio::test]
async fn a_crash_of_the_engine_loses_neither_lease_nor_result() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let carried = [effect(1, 0), effect(1, 1), effect(1, 2)].map(|id| fixture.carry(id));
    let jobs = [fixture.poll("worker:a", 1).await, fixture.poll("worker:a", 1).await].concat();
    // The second is reported; the third was given to no worker.
    assert_eq!(fixture.report(&jobs[1], "worker:a", json!("kept")).await, Ok(false));
    carried.iter().for_each(JoinHandle::abort);

    let next = fixture.next();
    // Before its run is recovered: the heartbeat is taken, and what was reported is known.
    assert!(!next.beat(&jobs[0], "worker:a", Heartbeat::default()).await.unwrap().cancel);
    assert_eq!(next.report(&jobs[1], "worker:a", json!("kept")).await, Ok(true));
    let other = next.report(&jobs[1], "worker:a", json!("other")).await.unwrap_err();
    assert!(matches!(&other, WorkerRefusal::Over(why) if why.contains("another report")), "{other}");
    let foreign = next.report(&jobs[1], "worker:b", json!("kept")).await.unwrap_err();
    assert_eq!(foreign, WorkerRefusal::Foreign(named("worker:a")));
    let dead = async { Ok(AttemptFacts { is_in_progress: false, ..next.journal.facts(&jobs[0].id.0) }) };
    let dead = next.table.report(claim(&jobs[0], "worker:a"), said(json!(0), Vec::new()), dead).await;
    assert!(matches!(dead, Err(WorkerRefusal::Over(_))));
    let unknown = async { Err("it is being loaded".to_owned()) };
    let unknown = next.table.report(claim(&jobs[0], "worker:a"), said(json!(0), Vec::new()), unknown).await;
    assert!(matches!(unknown, Err(WorkerRefusal::NotKept(_))));
    let held = next.carry(jobs[0].id.0.clone());
    let again = next.carry(effect(1, 2));
    assert_eq!(next.poll("worker:b", 5).await[0].id.0, effect(1, 2), "what no worker holds is offered again");
    assert_eq!(next.report(&jobs[0], "worker:a", json!("late but good")).await, Ok(false));
    assert_eq!(output(held.await.unwrap()), json!("late but good"));
    again.abort();
}

#[tokio::test]
async fn a_lease_and_an_answer_wait_until_the_run_has_them_durably() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let ends = [fixture.carry(effect(1, 0)), fixture.carry(effect(1, 1))];
    while fixture.table.function("deploy", "").waiting < 2 {
        tokio::task::yield_now().await;
    }
    fixture.journal.is_slow.store(true, Ordering::SeqCst);
    let mut polled = Box::pin(fixture.poll("worker:a", 2));
    while fixture.journal.starts.load(Ordering::SeqCst) < 2 {
        assert!(futures::poll!(&mut polled).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(futures::poll!(&mut polled).is_pending(), "both wait side by side, and neither is given yet");
    fixture.journal.flush();
    let jobs = polled.await;
    assert_eq!(jobs.len(), 2);

    fixture.journal.is_slow.store(true, Ordering::SeqCst);
    let mut reported = Box::pin(fixture.report(&jobs[0], "worker:a", json!(1)));
    let mut again = Box::pin(fixture.report(&jobs[0], "worker:a", json!(1)));
    while fixture.journal.waiting.lock().unwrap().is_empty() {
        assert!(futures::poll!(&mut reported).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(futures::poll!(&mut reported).is_pending(), "the end is on its way, and not durable");
    // Said once more meanwhile: by then the attempt has left the table, and its run has not recorded it.
    fixture.journal.holds.lock().unwrap().get_mut(&jobs[0].id.0).unwrap().end = None;
    assert!(matches!(futures::poll!(&mut again), std::task::Poll::Ready(Err(WorkerRefusal::NotKept(_)))));
    fixture.journal.flush();
    assert_eq!(reported.await, Ok(false));

    // The engine ends before it is durable: the worker says it again.
    fixture.journal.is_slow.store(true, Ordering::SeqCst);
    let mut lost = Box::pin(fixture.report(&jobs[1], "worker:a", json!(2)));
    while fixture.journal.waiting.lock().unwrap().is_empty() {
        assert!(futures::poll!(&mut lost).is_pending());
        tokio::task::yield_now().await;
    }
    fixture.journal.waiting.lock().unwrap().clear();
    assert!(matches!(lost.await, Err(WorkerRefusal::NotKept(_))));
    for end in ends {
        end.await.unwrap();
    }
}

#[tokio::test]
async fn what_a_former_version_kept_in_files_is_gone_on_with() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let kept = |item: u32, lease: Option<&str>, end: Option<Value>| {
        let folder = fixture.layout.attempt(&effect(1, item));
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(lease) = lease {
            let lease = json!({"lease": lease, "worker": "worker:a", "taken_at": "2026-01-05T00:00:00Z"});
            std::fs::write(folder.join("lease.json"), lease.to_string()).unwrap();
        }
        if let Some(end) = end {
            std::fs::write(folder.join("end.json"), end.to_string()).unwrap();
        }
    };
    let report = said(json!("kept"), Vec::new());
    let hash = everfold_base::json::Hash::of(&serde_json::to_vec(&report).unwrap()).to_string();
    let by = json!({"lease": "one", "worker": "worker:a", "hash": hash});
    let end = json!({"by": by, "result": {"succeeded": "kept"}, "usage": [], "at": "2026-01-05T00:00:01Z"});
    kept(0, Some("zero"), None);
    kept(1, Some("one"), Some(end));
    kept(2, None, None);
    let job = |item: u32, lease: &str| {
        Job {
        id: super::AttemptName(effect(1, item)),
        lease: lease.to_owned(),
        ..serde_json::from_value(json!({
            "id": format!("{}:work:1:1", effect(1, item).run), "lease": "", "lease_until": "2026-01-05T00:00:00Z",
            "lease_seconds": 1.0, "function": "deploy", "with": null, "run": "", "step": "", "round": 1, "attempt": 1,
            "idempotency_key": "", "timeout_seconds": null,
        }))
        .unwrap()
    }
    };
    // Before anything of the run is taken up.
    assert_eq!(fixture.report(&job(1, "one"), "worker:a", json!("kept")).await, Ok(true));
    let other = fixture.report(&job(1, "one"), "worker:a", json!("other")).await;
    assert!(matches!(other, Err(WorkerRefusal::Over(_))));
    let early = fixture.report(&job(0, "zero"), "worker:a", json!(0)).await;
    assert!(matches!(early, Err(WorkerRefusal::NotKept(_))));
    let guessed = fixture.report(&job(0, "guessed"), "worker:a", json!(0)).await;
    assert!(matches!(guessed, Err(WorkerRefusal::OtherLease(_))));
    assert_eq!(fixture.report(&job(2, "none"), "worker:a", json!(0)).await, Err(WorkerRefusal::Unknown));

    assert_eq!(output(fixture.carry(effect(1, 1)).await.unwrap()), json!("kept"));
    let held = fixture.carry(effect(1, 0));
    let offered = fixture.carry(effect(1, 2));
    assert_eq!(fixture.poll("worker:b", 5).await[0].id.0, effect(1, 2), "no worker held it");
    while fixture.report(&job(0, "zero"), "worker:a", json!("late")).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(output(held.await.unwrap()), json!("late"));
    assert_eq!(fixture.next().report(&job(0, "zero"), "worker:a", json!("late")).await, Ok(true));
    offered.abort();
}

#[tokio::test]
async fn what_a_worker_says_before_its_attempt_is_taken_up_again_is_masked_and_complete() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let carried = fixture.carry(effect(1, 0));
    let job = fixture.poll("worker:a", 1).await.remove(0);
    carried.abort();

    let next = fixture.next();
    let report = || {
        let output = json!({"says": "a t0ken", "auth": {"token": [5], "count": 5}});
        said(output, vec!["uses t0ken".to_owned()])
    };
    let beat = || Heartbeat { log: vec!["knows t0ken".to_owned()], progress: None };
    let folder = next.layout.attempt(&job.id.0);
    let early = next.report_with(&job, "worker:a", report()).await;
    assert!(matches!(early, Err(WorkerRefusal::NotKept(_))), "{early:?}");
    let early = next.beat(&job, "worker:a", beat()).await;
    assert!(matches!(early, Err(WorkerRefusal::NotKept(_))), "{early:?}");
    assert!(!folder.exists());

    let offer = next.offer(job.id.0.clone(), None);
    let ear = Ear { id: job.id.0.clone(), journal: next.journal.clone(), masks: true };
    let end = next.carry_offer(WorkOffer { observer: Arc::new(ear), ..offer });
    // Both say it again.
    while next.beat(&job, "worker:a", beat()).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(next.report_with(&job, "worker:a", report()).await, Ok(false));
    assert_eq!(output(end.await.unwrap()), json!({"says": "a ***", "auth": {"token": ["***"], "count": 5}}));
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("knows ***") && log.contains("uses ***") && !log.contains("t0ken"), "{log}");
}

#[tokio::test]
async fn a_lease_begins_anew_with_the_engine_and_then_it_ends() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), SHORT);
    let first = fixture.carry(effect(1, 0));
    drop(fixture.poll("worker:a", 1).await);
    first.abort();
    let next = fixture.next();
    assert!(matches!(next.carry(effect(1, 0)).await.unwrap().result, AttemptResult::Lost { .. }));
}

#[tokio::test]
async fn work_that_no_worker_received_is_offered_again() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    for _ in 0..20 {
        let mut waits = Box::pin(fixture.poll("worker:gone", 1));
        assert!(futures::poll!(&mut waits).is_pending());
        drop(waits);
    }
    let end = fixture.carry(effect(1, 0));
    let table = fixture.table.clone();
    // It goes while the lease is on its way into the journal.
    fixture.journal.is_slow.store(true, Ordering::SeqCst);
    let mut gone = Box::pin(async move { table.poll(&named("worker:gone"), poll(1, LONG)).await });
    while fixture.table.function("deploy", "").waiting == 0 {
        tokio::task::yield_now().await;
    }
    while fixture.journal.waiting.lock().unwrap().is_empty() {
        assert!(futures::poll!(&mut gone).is_pending());
        tokio::task::yield_now().await;
    }
    drop(gone);
    fixture.journal.flush();
    let job = fixture.poll("worker:a", 1).await.remove(0);
    assert_eq!(fixture.journal.facts(&job.id.0).hold.unwrap().holder.worker, "worker:a");
    fixture.report(&job, "worker:a", Value::Null).await.unwrap();
    assert_eq!(output(end.await.unwrap()), Value::Null);
}

#[tokio::test]
async fn a_thousand_attempts_of_ten_runs_are_shared_out_evenly_among_three_workers() {
    let place = tempfile::tempdir().unwrap();
    let fixture = Arc::new(LeaseTableFixture::new(place.path(), LONG));
    let mut ends = Vec::new();
    for run in 0..10 {
        ends.extend((0..100).map(|item| fixture.carry(effect(run, item))));
    }
    while fixture.table.function("deploy", "").waiting < 1_000 {
        tokio::task::yield_now().await;
    }
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let workers = (0..3).map(|worker| {
        let (fixture, order) = (Arc::clone(&fixture), Arc::clone(&order));
        tokio::spawn(async move {
            let name = format!("worker:{worker}");
            loop {
                let jobs =
                    fixture.table.poll(&named(&name), poll(1, Duration::from_millis(50))).await.unwrap();
                let Some(job) = jobs.first() else { return };
                order.lock().unwrap().push(job.run.clone());
                fixture.report(job, &name, json!(job.step)).await.unwrap();
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    for end in ends {
        output(end.await.unwrap());
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), 1_000, "each once");
    let mut of_run: BTreeMap<String, usize> = BTreeMap::new();
    for (at, run) in order.iter().enumerate() {
        *of_run.entry(run.clone()).or_default() += 1;
        let (fewest, most) = (of_run.values().min().unwrap(), of_run.values().max().unwrap());
        let all_began = of_run.len() == 10 || at < 15;
        assert!(all_began && (of_run.len() < 10 || most - fewest <= 3), "{at}: {of_run:?}");
    }
}

#[tokio::test]
async fn polls_that_wait_do_nothing_until_there_is_work() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let mut waiting: Vec<_> = (0..1_000)
        .map(|at| {
            let table = fixture.table.clone();
            tokio_test_task(
                async move { table.poll(&named(&format!("worker:{}", at % 7)), poll(1, LONG)).await },
            )
        })
        .collect();
    waiting.iter_mut().for_each(|(task, _)| assert!(poll_once(task, &waiting_waker()).is_pending()));
    // Counted wakes: an offer wakes exactly one of them.
    let wakes: Vec<Arc<Wakes>> = waiting.iter().map(|(_, wakes)| Arc::clone(wakes)).collect();
    for ((task, _), wakes) in waiting.iter_mut().zip(&wakes) {
        assert!(poll_once(task, &std::task::Waker::from(Arc::clone(wakes))).is_pending());
    }
    let end = fixture.carry(effect(1, 0));
    while fixture.table.function("deploy", "").waiting == 0 {
        tokio::task::yield_now().await;
    }
    let woken: Vec<usize> = (0..wakes.len()).filter(|at| wakes[*at].0.load(Ordering::SeqCst) > 0).collect();
    assert_eq!(woken, [0], "the one that waited longest, alone");
    end.abort();
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Task = futures::future::BoxFuture<'static, Result<Vec<Job>, WorkerRefusal>>;

fn tokio_test_task(
    task: impl Future<Output = Result<Vec<Job>, WorkerRefusal>> + Send + 'static,
) -> (Task, Arc<Wakes>) {
    (Box::pin(task), Arc::default())
}

fn waiting_waker() -> std::task::Waker {
    std::task::Waker::noop().clone()
}

fn poll_once(task: &mut Task, waker: &std::task::Waker) -> std::task::Poll<Result<Vec<Job>, WorkerRefusal>> {
    task.as_mut().poll(&mut std::task::Context::from_waker(waker))
}

#[tokio::test]
async fn what_a_restarted_worker_does_not_name_is_lost_at_once_and_what_others_hold_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let place = LeaseTableFixture::new(folder.path(), LONG);
    let carried: Vec<_> = (0..3).map(|item| place.carry(effect(1, item))).collect();
    let mut ends = carried.into_iter();
    let mine = place.poll("token#a", 2).await;
    let other = place.poll("token#b", 1).await;
    assert_eq!((mine.len(), other.len()), (2, 1));
    // A poll that does not say it changes nothing, nor does one that names all.
    for poll in [poll(1, Duration::ZERO), holding(&[&mine[0], &mine[1]])] {
        assert!(place.table.poll(&named("token#a"), poll).await.unwrap().is_empty());
    }
    // The process has begun anew, and kept one by some means of its own.
    assert!(place.table.poll(&named("token#a"), holding(&[&mine[1]])).await.unwrap().is_empty());
    let lost = ends.next().unwrap().await.unwrap();
    let AttemptResult::Lost { reason } = lost.result else { panic!("{lost:?}") };
    assert!(reason.contains("does not hold it"), "{reason}");
    let late = place.report(&mine[0], "token#a", json!("late")).await;
    assert!(matches!(late, Err(WorkerRefusal::Over(_))), "{late:?}");
    assert!(!place.report(&mine[1], "token#a", json!("kept")).await.unwrap());
    assert!(!place.report(&other[0], "token#b", json!("other")).await.unwrap());
    assert_eq!(output(ends.next().unwrap().await.unwrap()), "kept");
    assert_eq!(output(ends.next().unwrap().await.unwrap()), "other");
}

/// The engine and the worker went down together: the worker is back before its attempts are taken up, or after.
#[tokio::test]
async fn what_a_restarted_worker_does_not_name_is_lost_after_a_restart_of_the_engine_too() {
    let folder = tempfile::tempdir().unwrap();
    for is_before in [true, false] {
        let place = LeaseTableFixture::new(folder.path(), LONG);
        let (lost, kept) = (effect(u8::from(is_before), 0), effect(u8::from(is_before), 1));
        let carried = [lost.clone(), kept.clone()].map(|id| place.carry(id));
        let mut jobs = place.poll("token#a", 2).await;
        jobs.sort_by_key(|job| job.id.0.clone());
        carried.iter().for_each(JoinHandle::abort);
        let place = place.next();
        let polled = async || place.table.poll(&named("token#a"), holding(&[&jobs[1]])).await.unwrap();
        if is_before {
            assert!(polled().await.is_empty());
        }
        let again = [lost, kept].map(|id| place.carry(id));
        let [lost, kept] = again;
        if !is_before {
            // Both are in the table when their worker is heard of.
            for job in &jobs {
                while place.beat(job, "token#a", Heartbeat::default()).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
            assert!(polled().await.is_empty());
        }
        let lost = lost.await.unwrap();
        assert!(matches!(lost.result, AttemptResult::Lost { .. }), "{is_before}: {lost:?}");
        assert!(!place.report(&jobs[1], "token#a", json!("kept")).await.unwrap());
        assert_eq!(output(kept.await.unwrap()), "kept");
    }
}
