//! Attempts that are offered and carried over a lease table, and what their runs record of that.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::failure::Failure;
use everfold_base::id::{Attempt, AttemptId, EffectId, Round, RunId, StepPath};
use everfold_base::json::Value;
use everfold_ports::{
    AttemptEnd, AttemptHolder, AttemptObserver, AttemptResult, HoldEnd, RecordReceipt, WorkerHold,
};
use everfold_system::clock;
use serde_json::json;
use tokio::task::JoinHandle;

use super::attempt::{CarryMode, WorkOffer};
use super::lease_table::LeaseTable;
use super::name::WorkerName;
use super::protocol::{
    AttemptFacts, Heartbeat, HeartbeatReply, Job, LeaseClaim, Reported, WorkerPoll, WorkerRefusal,
    WorkerReport,
};
use crate::redact::{Patterns, RedactSettings};
use crate::secret::Mask;

pub(super) const LONG: Duration = Duration::from_secs(60);
pub(super) const SHORT: Duration = Duration::from_millis(300);

/// What runs record of attempts: it outlives the tables, as the journal outlives engines.
#[derive(Clone, Default)]
pub(super) struct Journal {
    pub(super) holds: Arc<Mutex<HashMap<EffectId, WorkerHold>>>,
    /// What is recorded waits to become durable.
    pub(super) is_slow: Arc<AtomicBool>,
    /// What waits for that.
    pub(super) waiting: Arc<Mutex<Vec<RecordReceipt>>>,
    pub(super) starts: Arc<AtomicUsize>,
}

impl Journal {
    pub(super) fn facts(&self, id: &EffectId) -> AttemptFacts {
        let hold = self.holds.lock().unwrap().get(id).cloned();
        let is_in_progress = hold.as_ref().is_none_or(|hold| hold.end.is_none());
        AttemptFacts { hold, is_in_progress, is_behind: false }
    }

    pub(super) fn taken(&self, id: &EffectId, holder: AttemptHolder, receipt: RecordReceipt) {
        self.starts.fetch_add(1, Ordering::SeqCst);
        let hold = WorkerHold { holder, since: clock::now(), end: None };
        self.holds.lock().unwrap().insert(id.clone(), hold);
        self.inform(receipt);
    }

    pub(super) fn ended(&self, id: &EffectId, end: &mut AttemptEnd) {
        if let Some(hold) = self.holds.lock().unwrap().get_mut(id) {
            hold.end = Some(match (&end.result, end.notes.report) {
                (AttemptResult::Lost { .. }, _) => HoldEnd::Lost,
                (_, Some(report)) => HoldEnd::Reported(report),
                (_, None) => HoldEnd::Unreported,
            });
        }
        if let Some(receipt) = end.receipt.take() {
            self.inform(receipt);
        }
    }

    pub(super) fn inform(&self, receipt: RecordReceipt) {
        match self.is_slow.load(Ordering::SeqCst) {
            true => self.waiting.lock().unwrap().push(receipt),
            false => receipt.recorded(),
        }
    }

    /// All that was recorded is durable, and what comes is at once.
    pub(super) fn flush(&self) {
        self.is_slow.store(false, Ordering::SeqCst);
        self.waiting.lock().unwrap().drain(..).for_each(|receipt| receipt.recorded());
    }
}

/// The observer of an attempt; `masks`: it is given a secret.
pub(super) struct Ear {
    pub(super) id: EffectId,
    pub(super) journal: Journal,
    pub(super) masks: bool,
}

impl AttemptObserver for Ear {
    fn started(&self) {}

    fn taken(&self, holder: AttemptHolder, receipt: RecordReceipt) {
        self.journal.taken(&self.id, holder, receipt);
    }

    fn line(&self, _line: &str) {}

    fn shown<'a>(&self, line: &'a str) -> std::borrow::Cow<'a, str> {
        if self.masks { line.replace("t0ken", "***").into() } else { line.into() }
    }

    fn mask(&self, value: &mut Value) {
        if self.masks {
            Mask::new(["t0ken"]).with_patterns(Patterns::new(&RedactSettings::default())).value(value);
        }
    }
}

pub(super) fn effect(run: u8, item: u32) -> EffectId {
    let run: RunId = format!("0198c1f0-0000-7000-8000-0000000000{run:02x}").parse().unwrap();
    let path = StepPath::item(&"work".into(), item);
    EffectId { run, attempt: AttemptId { path, round: Round(1), attempt: Attempt(1) } }
}

pub(super) struct LeaseTableFixture {
    pub(super) layout: Layout,
    pub(super) table: LeaseTable,
    pub(super) journal: Journal,
}

impl LeaseTableFixture {
    pub(super) fn new(folder: &Path, lease: Duration) -> Self {
        let layout = Layout::new(folder);
        Self { table: LeaseTable::new(&layout, lease), layout, journal: Journal::default() }
    }

    /// The next engine of the same folder.
    pub(super) fn next(&self) -> Self {
        let table = LeaseTable::new(&self.layout, self.table.lease());
        Self { table, layout: self.layout.clone(), journal: self.journal.clone() }
    }

    pub(super) fn offer(&self, id: EffectId, timeout: Option<Duration>) -> WorkOffer {
        WorkOffer {
            nth: self.table.next_offer(),
            function: "deploy".into(),
            with: json!({ "item": id.attempt.path.item }),
            context: Value::Null,
            timeout,
            grace: SHORT,
            folder: self.layout.attempt(&id),
            held: self.journal.facts(&id).hold,
            mode: CarryMode::Start,
            observer: Arc::new(Ear { id: id.clone(), journal: self.journal.clone(), masks: false }),
            id,
        }
    }

    pub(super) fn carry(&self, id: EffectId) -> JoinHandle<AttemptEnd> {
        self.carry_within(id, None)
    }

    pub(super) fn carry_within(&self, id: EffectId, timeout: Option<Duration>) -> JoinHandle<AttemptEnd> {
        self.carry_offer(self.offer(id, timeout))
    }

    pub(super) fn carry_offer(&self, offer: WorkOffer) -> JoinHandle<AttemptEnd> {
        let (table, journal, id) = (self.table.clone(), self.journal.clone(), offer.id.clone());
        tokio::spawn(async move {
            let mut end = table.carry(offer).await;
            journal.ended(&id, &mut end);
            end
        })
    }

    pub(super) async fn poll(&self, worker: &str, capacity: usize) -> Vec<Job> {
        self.table.poll(&named(worker), poll(capacity, LONG)).await.unwrap()
    }

    pub(super) async fn report(&self, job: &Job, worker: &str, output: Value) -> Result<bool, WorkerRefusal> {
        self.report_with(job, worker, said(output, Vec::new())).await
    }

    pub(super) async fn report_with(
        &self,
        job: &Job,
        worker: &str,
        report: WorkerReport,
    ) -> Result<bool, WorkerRefusal> {
        let facts = async { Ok(self.journal.facts(&job.id.0)) };
        self.table.report(claim(job, worker), report, facts).await
    }

    pub(super) async fn beat(
        &self,
        job: &Job,
        worker: &str,
        beat: Heartbeat,
    ) -> Result<HeartbeatReply, WorkerRefusal> {
        let facts = async { Ok(self.journal.facts(&job.id.0)) };
        self.table.heartbeat(claim(job, worker), beat, facts).await
    }
}

pub(super) fn said(output: Value, log: Vec<String>) -> WorkerReport {
    WorkerReport { result: Reported::Output(output), usage: Vec::new(), log }
}

pub(super) fn poll(capacity: usize, wait: Duration) -> WorkerPoll {
    WorkerPoll { functions: vec!["deploy".into()], capacity, wait, holds: None }
}

/// A poll that waits for nothing, of a worker that says what it holds.
pub(super) fn holding(jobs: &[&Job]) -> WorkerPoll {
    let holds = jobs.iter().map(|job| job.id.0.clone()).collect();
    WorkerPoll { holds: Some(holds), ..poll(1, Duration::ZERO) }
}

/// `ACTOR` or `ACTOR#INSTANCE`.
pub(super) fn named(worker: &str) -> WorkerName {
    match worker.split_once('#') {
        Some((actor, instance)) => WorkerName::new(actor, Some(instance.parse().unwrap())),
        None => WorkerName::new(worker, None),
    }
}

pub(super) fn claim(job: &Job, worker: &str) -> LeaseClaim {
    LeaseClaim { id: job.id.clone(), lease: job.lease.clone(), worker: named(worker) }
}

pub(super) fn output(end: AttemptEnd) -> Value {
    match end.result {
        AttemptResult::Succeeded(output) => output,
        other => panic!("{other:?}"),
    }
}

pub(super) fn failure(end: AttemptEnd) -> Failure {
    match end.result {
        AttemptResult::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}
