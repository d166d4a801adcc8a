//! The lease table: leases, reports, crashes of the engine, fairness.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{Attempt, AttemptId, EffectId, Round, RunId, StepPath};
use everfold_base::json::Value;
use everfold_ports::{AttemptEnd, AttemptObserver, AttemptResult};
use serde_json::json;
use tokio::task::JoinHandle;

use super::attempt::WorkOffer;
use super::lease_table::LeaseTable;
use super::name::WorkerName;
use super::protocol::{Heartbeat, Job, LeaseClaim, Reported, WorkerPoll, WorkerRefusal, WorkerReport};
use crate::redact::{Patterns, RedactSettings};
use crate::secret::Mask;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

#[derive(Default)]
struct Ear(AtomicUsize);

impl AttemptObserver for Ear {
    fn started(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn line(&self, _line: &str) {}
}

fn effect(run: u8, item: u32) -> EffectId {
    let run: RunId = format!("0198c1f0-0000-7000-8000-0000000000{run:02x}").parse().unwrap();
    let path = StepPath::item(&"work".into(), item);
    EffectId { run, attempt: AttemptId { path, round: Round(1), attempt: Attempt(1) } }
}

fn offer(layout: &Layout, id: EffectId, timeout: Option<Duration>) -> WorkOffer {
    WorkOffer {
        function: "deploy".into(),
        with: json!({ "item": id.attempt.path.item }),
        context: Value::Null,
        timeout,
        grace: SHORT,
        folder: layout.attempt(&id),
        observer: Arc::new(Ear::default()),
        id,
    }
}

struct LeaseTableFixture {
    layout: Layout,
    table: LeaseTable,
}

impl LeaseTableFixture {
    fn new(folder: &Path, lease: Duration) -> Self {
        let layout = Layout::new(folder);
        Self { table: LeaseTable::new(&layout, lease), layout }
    }

    fn carry(&self, id: EffectId) -> JoinHandle<AttemptEnd> {
        self.carry_within(id, None)
    }

    fn carry_within(&self, id: EffectId, timeout: Option<Duration>) -> JoinHandle<AttemptEnd> {
        let (table, offer) = (self.table.clone(), offer(&self.layout, id, timeout));
        tokio::spawn(async move { table.carry(offer).await })
    }

    async fn poll(&self, worker: &str, capacity: usize) -> Vec<Job> {
        self.table.poll(&named(worker), poll(capacity, LONG)).await.unwrap()
    }

    async fn report(&self, job: &Job, worker: &str, output: Value) -> Result<bool, WorkerRefusal> {
        let report = WorkerReport { result: Reported::Output(output), usage: Vec::new(), log: Vec::new() };
        self.table.report(claim(job, worker), report, async { Ok(true) }).await
    }
}

fn poll(capacity: usize, wait: Duration) -> WorkerPoll {
    WorkerPoll { functions: vec!["deploy".into()], capacity, wait }
}

/// `ACTOR` or `ACTOR#INSTANCE`.
fn named(worker: &str) -> WorkerName {
    match worker.split_once('#') {
        Some((actor, instance)) => WorkerName::new(actor, Some(instance.parse().unwrap())),
        None => WorkerName::new(worker, None),
    }
}

fn claim(job: &Job, worker: &str) -> LeaseClaim {
    LeaseClaim { id: job.id.clone(), lease: job.lease.clone(), worker: named(worker) }
}

fn output(end: AttemptEnd) -> Value {
    match end.result {
        AttemptResult::Succeeded(output) => output,
        other => panic!("{other:?}"),
    }
}

fn failure(end: AttemptEnd) -> Failure {
    match end.result {
        AttemptResult::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

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
    let report = WorkerReport { result: Reported::Output(json!(1)), usage: Vec::new(), log };
    let told = fixture.table.report(claim(&job, "worker:a"), report, async { Ok(true) }).await;
    assert_eq!(told, Ok(false));
    let sealed = end.await.unwrap().notes.log.expect("it left a log");
    let file = fixture.layout.attempt(&job.id.0).join("log");
    assert_eq!((sealed.lines, sealed.lost_bytes), (2, 0));
    assert_eq!(sealed.hash, everfold_base::json::Hash::of(&std::fs::read(file).unwrap()));
    // The next engine says the same of what was reported before.
    let next = LeaseTableFixture::new(place.path(), LONG);
    assert_eq!(next.carry(effect(1, 0)).await.unwrap().notes.log, Some(sealed));
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
            let beat =
                fixture.table.heartbeat(claim(job, another), Heartbeat::default(), async { Ok(true) }).await;
            assert_eq!(beat, Err(refused));
        }
        let folder = fixture.layout.attempt(&job.id.0);
        let lease: Value =
            serde_json::from_slice(&std::fs::read(folder.join("lease.json")).unwrap()).unwrap();
        let instance = holder.split_once('#').map(|(_, instance)| instance);
        assert_eq!((lease["worker"].as_str(), lease["instance"].as_str()), (Some("token:ci"), instance));
    }
    // The next engine tells them apart, too, before anything of the run is taken up.
    let next = LeaseTableFixture::new(place.path(), LONG);
    assert_eq!(next.report(&jobs[0], other, json!(1)).await, Err(WorkerRefusal::OtherInstance(named(one))));
    for ((job, holder), end) in jobs.iter().zip([one, other, unnamed]).zip(ends) {
        assert_eq!(fixture.report(job, holder, json!(holder)).await, Ok(false));
        assert_eq!(output(end.await.unwrap()), json!(holder));
        let end = std::fs::read_to_string(fixture.layout.attempt(&job.id.0).join("end.json")).unwrap();
        let instance = holder.split_once('#').map(|(_, instance)| instance);
        assert!(instance.is_none_or(|instance| end.contains(instance)), "{end}");
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
        let reply =
            fixture.table.heartbeat(claim(&job, "worker:a"), Heartbeat::default(), async { Ok(true) }).await;
        assert!(reply.unwrap().lease_until > span, "the heartbeat extends it");
    }
    match end.await.unwrap().result {
        AttemptResult::Lost { reason } => assert!(reason.contains("worker:a was not heard of"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let late = fixture.report(&job, "worker:a", json!(1)).await.unwrap_err();
    assert!(matches!(&late, WorkerRefusal::Over(why) if why.contains("lost")), "{late}");
    let late =
        fixture.table.heartbeat(claim(&job, "worker:a"), Heartbeat::default(), async { Ok(true) }).await;
    assert!(matches!(late, Err(WorkerRefusal::Over(_))));
}

#[tokio::test]
async fn a_crash_of_the_engine_loses_neither_lease_nor_result() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    for id in [effect(1, 0), effect(1, 1), effect(1, 2)] {
        drop(fixture.carry(id));
    }
    let jobs = [fixture.poll("worker:a", 1).await, fixture.poll("worker:a", 1).await].concat();
    // The second is reported after the poll ended; the third was given to no worker.
    assert_eq!(fixture.report(&jobs[1], "worker:a", json!("kept")).await, Ok(false));

    let next = LeaseTableFixture::new(place.path(), LONG);
    // Before its run is recovered: the heartbeat is taken, and the result of a run that lives is taken.
    let reply =
        next.table.heartbeat(claim(&jobs[0], "worker:a"), Heartbeat::default(), async { Ok(true) }).await;
    assert!(!reply.unwrap().cancel);
    let report = || WorkerReport { result: Reported::Output(json!(0)), usage: Vec::new(), log: Vec::new() };
    let dead = next.table.report(claim(&jobs[0], "worker:a"), report(), async { Ok(false) }).await;
    assert!(matches!(dead, Err(WorkerRefusal::Over(_))));
    let (held, kept) = (next.carry(jobs[0].id.0.clone()), next.carry(jobs[1].id.0.clone()));
    assert_eq!(output(kept.await.unwrap()), json!("kept"));
    let again = next.carry(effect(1, 2));
    assert_eq!(next.poll("worker:b", 5).await[0].id.0, effect(1, 2), "what no worker holds is offered again");
    assert_eq!(next.report(&jobs[0], "worker:a", json!("late but good")).await, Ok(false));
    assert_eq!(output(held.await.unwrap()), json!("late but good"));
    again.abort();
}

/// An observer of an attempt that is given a secret.
struct MaskingEar;

impl AttemptObserver for MaskingEar {
    fn started(&self) {}

    fn line(&self, _line: &str) {}

    fn shown<'a>(&self, line: &'a str) -> std::borrow::Cow<'a, str> {
        line.replace("t0ken", "***").into()
    }

    fn mask(&self, value: &mut Value) {
        Mask::new(["t0ken"]).with_patterns(Patterns::new(&RedactSettings::default())).value(value);
    }
}

#[tokio::test]
async fn what_a_worker_says_before_its_attempt_is_taken_up_again_is_masked_and_complete() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    drop(fixture.carry(effect(1, 0)));
    let job = fixture.poll("worker:a", 1).await.remove(0);

    let next = LeaseTableFixture::new(place.path(), LONG);
    let report = || WorkerReport {
        result: Reported::Output(json!({"says": "a t0ken", "auth": {"token": [5], "count": 5}})),
        usage: Vec::new(),
        log: vec!["uses t0ken".to_owned()],
    };
    let beat = || Heartbeat { log: vec!["knows t0ken".to_owned()], progress: None };
    let folder = next.layout.attempt(&job.id.0);
    let early = next.table.report(claim(&job, "worker:a"), report(), async { Ok(true) }).await;
    assert!(matches!(early, Err(WorkerRefusal::NotKept(_))), "{early:?}");
    let early = next.table.heartbeat(claim(&job, "worker:a"), beat(), async { Ok(true) }).await;
    assert!(matches!(early, Err(WorkerRefusal::NotKept(_))), "{early:?}");
    assert!(!folder.join("end.json").exists());

    let (table, offer) = (next.table.clone(), offer(&next.layout, job.id.0.clone(), None));
    let end =
        tokio::spawn(async move { table.carry(WorkOffer { observer: Arc::new(MaskingEar), ..offer }).await });
    // Both say it again.
    while next.table.heartbeat(claim(&job, "worker:a"), beat(), async { Ok(true) }).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(next.table.report(claim(&job, "worker:a"), report(), async { Ok(true) }).await, Ok(false));
    assert_eq!(output(end.await.unwrap()), json!({"says": "a ***", "auth": {"token": ["***"], "count": 5}}));
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("knows ***") && log.contains("uses ***"), "{log}");
    for file in ["log", "end.json"] {
        assert!(!std::fs::read_to_string(folder.join(file)).unwrap().contains("t0ken"), "{file}");
    }
}

#[tokio::test]
async fn a_lease_begins_anew_with_the_engine_and_then_it_ends() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), SHORT);
    let first = fixture.carry(effect(1, 0));
    drop(fixture.poll("worker:a", 1).await);
    first.abort();
    let next = LeaseTableFixture::new(place.path(), SHORT);
    assert!(matches!(next.carry(effect(1, 0)).await.unwrap().result, AttemptResult::Lost { .. }));
}

#[tokio::test]
async fn the_heartbeat_tells_of_a_cancel_and_what_comes_then_does_not_count() {
    let place = tempfile::tempdir().unwrap();
    let fixture = LeaseTableFixture::new(place.path(), LONG);
    let end = fixture.carry(effect(1, 0));
    let job = fixture.poll("worker:a", 1).await.remove(0);
    let (table, id, folder) = (fixture.table.clone(), job.id.0.clone(), fixture.layout.attempt(&job.id.0));
    let cancel = tokio::spawn(async move { table.cancel(id, folder, LONG).await });
    let reply = loop {
        let beat = Heartbeat { log: vec!["cleaning up".into()], progress: None };
        let reply = fixture.table.heartbeat(claim(&job, "worker:a"), beat, async { Ok(true) }).await.unwrap();
        if reply.cancel {
            break reply;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(reply.reason.as_deref(), Some("cancelled"));
    assert_eq!(fixture.report(&job, "worker:a", json!("done all the same")).await, Ok(false));
    assert_eq!(failure(end.await.unwrap()).kind, FailureKind::Cancelled);
    cancel.await.unwrap();

    // One that no worker holds, and one that a former engine lent.
    let waits = fixture.carry(effect(1, 1));
    while fixture.table.function("deploy", "").waiting == 0 {
        tokio::task::yield_now().await;
    }
    fixture.table.cancel(effect(1, 1), fixture.layout.attempt(&effect(1, 1)), LONG).await;
    assert_eq!(failure(waits.await.unwrap()).kind, FailureKind::Cancelled);
    fixture.table.cancel(effect(1, 2), fixture.layout.attempt(&effect(1, 2)), LONG).await;
    assert_eq!(failure(fixture.carry(effect(1, 2)).await.unwrap()).kind, FailureKind::Cancelled);
    assert_eq!(fixture.table.function("deploy", "").waiting, 0);
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
    // It goes while the lease is being written.
    let mut gone = Box::pin(async move { table.poll(&named("worker:gone"), poll(1, LONG)).await });
    while fixture.table.function("deploy", "").waiting == 0 {
        tokio::task::yield_now().await;
    }
    assert!(futures::poll!(&mut gone).is_pending());
    drop(gone);
    let job = fixture.poll("worker:a", 1).await.remove(0);
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
