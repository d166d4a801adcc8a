//! The law of workers, with a kill of the engine, of the worker and of both at each message between them and the disk: no
//! body of an attempt is done twice, and none of the next attempt before the loss of the former one is recorded.
//!
//! Time is virtual, and every history is a walk through the same messages: requests and answers of the routes, and facts on
//! their way to the disk. What was not durable when the engine was killed is gone, as is what was under way.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::id::{Attempt, AttemptId, EffectId, Round, RunId, StepPath};
use everfold_base::json::Value;
use everfold_ports::{
    AttemptEnd, AttemptHolder, AttemptObserver, AttemptResult, HoldEnd, RecordReceipt, WorkerHold,
    WorkerReservation,
};
use everfold_system::clock;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::attempt::{CarryMode, WorkOffer};
use super::lease_table::LeaseTable;
use super::name::WorkerName;
use super::protocol::{AttemptFacts, Job, LeaseClaim, Reported, WorkerPoll, WorkerRefusal, WorkerReport};

const LEASE: Duration = Duration::from_secs(30);
/// More than a history has.
const MESSAGES_MAX: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KillTarget {
    Engine,
    Worker,
    Both,
}

/// A fact on its way to the disk.
enum LeaseFact {
    Taken(EffectId, AttemptHolder, RecordReceipt),
    Ended(EffectId, Box<AttemptEnd>),
}

/// What is durable of the one step.
#[derive(Default)]
struct DurableStep {
    holds: BTreeMap<EffectId, WorkerHold>,
    /// Of the newest attempt, from 1.
    attempt: u32,
    has_succeeded: bool,
}

/// What outlives engines and workers.
struct KilledWorld {
    layout: Layout,
    durable: Mutex<DurableStep>,
    /// How often the body of each attempt was done.
    bodies: Mutex<BTreeMap<EffectId, usize>>,
    /// Messages so far, and the kills that are to come: at which message, and of what.
    messages: Mutex<(usize, Vec<(usize, KillTarget)>)>,
    kill: mpsc::UnboundedSender<KillTarget>,
    /// The engine that answers now.
    engine: watch::Sender<Option<LeaseTable>>,
    ways: WorkerWays,
}

/// How work comes to workers, and what they are called.
#[derive(Debug, Clone, Copy)]
struct WorkerWays {
    /// A worker that is started again has its name still, and says what it holds.
    keeps_name: bool,
    /// A worker that waits takes an attempt with its schedule.
    reserves: bool,
}

fn effect(attempt: u32) -> EffectId {
    let run: RunId = "0198c1f0-0000-7000-8000-00000000000a".parse().unwrap();
    let path = StepPath::step(&"work".into());
    EffectId { run, attempt: AttemptId { path, round: Round(1), attempt: Attempt(attempt) } }
}

/// Where a message goes.
#[derive(Clone, Copy)]
enum MessageWay {
    /// From the engine to the disk.
    Disk,
    /// Between worker and engine.
    Wire,
}

impl KilledWorld {
    /// A message goes over; whether it arrives. It does not where one of its ends is killed, and then the killed one
    /// does nothing more.
    async fn message(&self, way: MessageWay) -> bool {
        let killed = {
            let mut messages = self.messages.lock().unwrap();
            messages.0 += 1;
            let number = messages.0;
            match messages.1.first() {
                Some((at, killed)) if *at <= number => {
                    let killed = *killed;
                    messages.1.remove(0);
                    Some(killed)
                }
                _not_yet => None,
            }
        };
        let Some(killed) = killed else { return true };
        self.kill.send(killed).unwrap();
        match (way, killed) {
            (MessageWay::Disk, KillTarget::Worker) => true,
            (MessageWay::Wire, KillTarget::Engine) => false,
            (MessageWay::Disk, KillTarget::Engine | KillTarget::Both)
            | (MessageWay::Wire, KillTarget::Worker | KillTarget::Both) => pending().await,
        }
    }

    fn facts(&self, id: &EffectId) -> AttemptFacts {
        let hold = self.durable.lock().unwrap().holds.get(id).cloned();
        let is_in_progress = hold.as_ref().is_none_or(|hold| hold.end.is_none());
        AttemptFacts { hold, is_in_progress, is_behind: false }
    }

    fn record(&self, fact: LeaseFact) {
        let mut durable = self.durable.lock().unwrap();
        match fact {
            LeaseFact::Taken(id, holder, receipt) => {
                durable.holds.insert(id, WorkerHold { holder, since: clock::now(), end: None });
                receipt.recorded();
            }
            LeaseFact::Ended(id, mut end) => {
                assert_eq!(id, effect(durable.attempt), "an end of what is over already");
                match &end.result {
                    AttemptResult::Succeeded(_) => durable.has_succeeded = true,
                    // `on_lost: retry`.
                    AttemptResult::Lost { .. } => durable.attempt += 1,
                    other => panic!("{other:?}"),
                }
                let is_lost = matches!(end.result, AttemptResult::Lost { .. });
                if let Some(hold) = durable.holds.get_mut(&id) {
                    let reported = end.notes.report.map_or(HoldEnd::Unreported, HoldEnd::Reported);
                    hold.end = Some(if is_lost { HoldEnd::Lost } else { reported });
                }
                if let Some(receipt) = end.receipt.take() {
                    receipt.recorded();
                }
            }
        }
    }

    /// Asks whatever engine there is, again and again, until one answers.
    async fn ask<T>(
        &self,
        request: impl AsyncFn(LeaseTable) -> Result<T, WorkerRefusal>,
    ) -> Result<T, WorkerRefusal> {
        let mut engines = self.engine.subscribe();
        loop {
            let table = engines.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            if !self.message(MessageWay::Wire).await {
                engines.changed().await.unwrap();
                continue;
            }
            let answered = tokio::select! {
                answered = request(table) => answered,
                _gone = engines.changed() => continue,
            };
            if !self.message(MessageWay::Wire).await {
                engines.changed().await.unwrap();
                continue;
            }
            match answered {
                Err(WorkerRefusal::NotKept(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
                answer => return answer,
            }
        }
    }
}

/// Puts what an attempt says of its holder on its way to the disk.
struct LeaseRecorder(EffectId, mpsc::UnboundedSender<LeaseFact>);

impl AttemptObserver for LeaseRecorder {
    fn started(&self) {}

    fn taken(&self, holder: AttemptHolder, receipt: RecordReceipt) {
        let _engine_gone = self.1.send(LeaseFact::Taken(self.0.clone(), holder, receipt));
    }

    fn line(&self, _line: &str) {}
}

/// An engine: one attempt after the other, from what is durable, until the step has succeeded.
async fn engine(world: Arc<KilledWorld>) {
    let table = LeaseTable::new(&world.layout, LEASE);
    let (facts, mut under_way) = mpsc::unbounded_channel();
    let disk = {
        let world = Arc::clone(&world);
        async move {
            while let Some(fact) = under_way.recv().await {
                world.message(MessageWay::Disk).await;
                world.record(fact);
            }
        }
    };
    let carrying = async {
        world.message(MessageWay::Disk).await;
        world.engine.send_replace(Some(table.clone()));
        loop {
            let id = {
                let durable = world.durable.lock().unwrap();
                if durable.has_succeeded {
                    return;
                }
                effect(durable.attempt)
            };
            let mut held = world.facts(&id).hold;
            let is_reserved = world.ways.reserves && held.is_none();
            let reservation = if is_reserved { reserved(&table, &id).await } else { None };
            if let Some(reservation) = &reservation {
                let (receipt, recorded) = RecordReceipt::new();
                facts.send(LeaseFact::Taken(id.clone(), reservation.holder.clone(), receipt)).unwrap();
                recorded.await;
                held = world.facts(&id).hold;
            }
            let offer = WorkOffer {
                id: id.clone(),
                nth: table.next_offer(),
                function: "deploy".into(),
                with: json!({}),
                context: Value::Null,
                timeout: None,
                grace: LEASE,
                folder: world.layout.attempt(&id),
                held,
                mode: CarryMode::Start,
                observer: Arc::new(LeaseRecorder(id.clone(), facts.clone())),
            };
            let end = table.carry(offer).await;
            facts.send(LeaseFact::Ended(id.clone(), Box::new(end))).unwrap();
            while !world.durable.lock().unwrap().has_succeeded
                && effect(world.durable.lock().unwrap().attempt) == id
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    tokio::join!(disk, carrying);
}

/// Reserves an attempt, once a worker waits; none does where it works, or is away.
async fn reserved(table: &LeaseTable, id: &EffectId) -> Option<WorkerReservation> {
    let waiting = async {
        while !table.has_waiting() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let _nobody_came = tokio::time::timeout(Duration::from_secs(8), waiting).await;
    table.reserve(id, "deploy")
}

/// A worker: polls, does the body, reports until it is answered.
async fn worker(world: Arc<KilledWorld>, start: usize) {
    let instance = if world.ways.keeps_name { "one".to_owned() } else { format!("one-{start}") };
    let name = WorkerName::new("token", Some(instance.parse().unwrap()));
    loop {
        let polled = world
            .ask(async |table| {
                let holds = world.ways.keeps_name.then(Default::default);
                let wait = Duration::from_secs(5);
                table
                    .poll(&name, WorkerPoll { functions: vec!["deploy".into()], capacity: 1, wait, holds })
                    .await
            })
            .await;
        let jobs: Vec<Job> = polled.unwrap();
        for job in jobs {
            *world.bodies.lock().unwrap().entry(job.id.0.clone()).or_default() += 1;
            let reported = world
                .ask(async |table| {
                    let claim =
                        LeaseClaim { id: job.id.clone(), lease: job.lease.clone(), worker: name.clone() };
                    let result = Reported::Output(json!({ "by": start }));
                    let report = WorkerReport { result, usage: Vec::new(), log: Vec::new() };
                    table.report(claim, report, async { Ok(world.facts(&job.id.0)) }).await
                })
                .await;
            // Refused where the attempt was lost meanwhile: then that is durable, or will be.
            let _whatever = reported;
        }
    }
}

/// Plays a history with these kills; gives how many messages it had.
async fn play(folder: &Path, kills: Vec<(usize, KillTarget)>, ways: WorkerWays) -> usize {
    let context = format!("{kills:?}, {ways:?}");
    let (kill, mut killed) = mpsc::unbounded_channel();
    let world = Arc::new(KilledWorld {
        layout: Layout::new(folder),
        durable: Mutex::new(DurableStep { attempt: 1, ..DurableStep::default() }),
        bodies: Mutex::default(),
        messages: Mutex::new((0, kills)),
        kill,
        engine: watch::Sender::new(None),
        ways,
    });
    let (mut engines, mut workers, mut starts) = (JoinSet::new(), JoinSet::new(), 0);
    loop {
        if engines.is_empty() {
            engines.spawn_local(engine(Arc::clone(&world)));
        }
        if workers.is_empty() {
            starts += 1;
            workers.spawn_local(worker(Arc::clone(&world), starts));
        }
        let ended = async {
            while !world.durable.lock().unwrap().has_succeeded {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let killed = tokio::select! {
            biased;
            killed = killed.recv() => killed.unwrap(),
            () = ended => break,
            Some(ended) = engines.join_next() => panic!("{context}: the engine ended: {ended:?}"),
            Some(ended) = workers.join_next() => panic!("{context}: the worker ended: {ended:?}"),
            () = tokio::time::sleep(Duration::from_secs(3_600)) => panic!("{context}: nothing goes on"),
        };
        if killed != KillTarget::Worker {
            world.engine.send_replace(None);
            engines.shutdown().await;
        }
        if killed != KillTarget::Engine {
            workers.shutdown().await;
        }
    }
    let (bodies, durable) = (world.bodies.lock().unwrap(), world.durable.lock().unwrap());
    for (id, count) in &*bodies {
        assert_eq!(*count, 1, "{context}: the body of {id:?}");
    }
    for former in 1..durable.attempt {
        let end = durable.holds.get(&effect(former)).and_then(|hold| hold.end);
        assert_eq!(end, Some(HoldEnd::Lost), "{context}: attempt {former} has an attempt after it");
    }
    assert!(bodies.contains_key(&effect(durable.attempt)), "{context}: what succeeded was done");
    world.messages.lock().unwrap().0
}

#[tokio::test(start_paused = true)]
async fn no_body_is_done_twice_without_a_recorded_loss_whatever_is_killed_at_whichever_message() {
    tokio::task::LocalSet::new().run_until(every_history()).await;
}

async fn every_history() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = [KillTarget::Engine, KillTarget::Worker, KillTarget::Both];
    let mut histories = 0;
    for (keeps_name, reserves) in [(true, false), (false, false), (true, true), (false, true)] {
        let ways = WorkerWays { keeps_name, reserves };
        let whole = play(folder.path(), Vec::new(), ways).await;
        assert!((6..MESSAGES_MAX).contains(&whole), "{whole} messages");
        for first in kinds {
            for at in 1..=whole {
                play(folder.path(), vec![(at, first)], ways).await;
                for second in kinds {
                    for later in at + 1..=at + whole {
                        play(folder.path(), vec![(at, first), (later, second)], ways).await;
                        histories += 1;
                    }
                }
            }
        }
    }
    assert!(histories > 1_000, "{histories} histories");
}
