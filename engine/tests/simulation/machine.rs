//! The machine that engines come and go on: processes that outlive them, functions that do not.
//!
//! What a piece of work does follows from its name and the seed alone, so that it is the same however
//! often engines die in between.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use everfold_engine::clock::Clock;
use everfold_engine::definition::{Definition, Keep, OnLost};
use everfold_engine::driver::Blobs;
use everfold_engine::execution::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, BuiltIns, Edge, Executor, Fate,
    NoticeFailure, NoticeRequest, Notifier, ProbeFailure, ProbeRequest, Prober, Released, Service, Survivors,
    Traits, WorkspaceRequest, Workspaces,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{EffectId, RunId};
use everfold_engine::json::{BlobRef, Hash, Value};
use everfold_engine::time::Timestamp;
use everfold_engine::trace::{Usage, Workspace};
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;

use super::ledger::{Ledger, Place};

/// Numbers that follow from a seed and a name.
pub struct Luck(u64);

impl Luck {
    pub fn of(seed: u64, name: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(hash)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub fn is_one_of(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn span(&mut self) -> Duration {
        Duration::from_millis(match self.below(8) {
            0 => 0,
            1..5 => self.below(400),
            5 | 6 => self.below(9_000),
            _ => self.below(300_000),
        })
    }
}

#[derive(Clone)]
enum Process {
    /// Asked for, and nothing began: no room.
    Unbegun,
    Living(watch::Sender<Option<Exit>>, PathBuf),
    /// It went with its machine, and left no record.
    Gone,
}

#[derive(Clone)]
struct Exit {
    end: AttemptEnd,
}

/// The machine.
pub struct Machine {
    pub ledger: Arc<Ledger>,
    pub clock: Clock,
    seed: u64,
    /// From here on everything goes well.
    calm: AtomicBool,
    processes: Mutex<BTreeMap<EffectId, Process>>,
    blobs: Mutex<BTreeMap<(RunId, Hash), Vec<u8>>>,
    prepared: Mutex<BTreeMap<RunId, u32>>,
    /// How often each process was looked at.
    looks: Mutex<BTreeMap<EffectId, u32>>,
    child: Arc<Definition>,
}

impl Machine {
    pub fn new(ledger: Arc<Ledger>, clock: Clock, seed: u64, child: Arc<Definition>) -> Arc<Self> {
        Arc::new(Self {
            ledger,
            clock,
            seed,
            calm: AtomicBool::new(false),
            processes: Mutex::default(),
            blobs: Mutex::default(),
            prepared: Mutex::default(),
            looks: Mutex::default(),
            child,
        })
    }

    pub fn edge(self: &Arc<Self>) -> Edge {
        let mut edge = Edge::default();
        for (kind, paid) in [("command", false), ("agent", true)] {
            edge.executors.insert(kind.into(), Arc::new(Processes(Arc::clone(self), paid)));
        }
        edge.executors.insert("function".into(), Arc::new(Functions(Arc::clone(self))));
        edge.probers.insert("command".into(), Arc::new(Probes(Arc::clone(self))));
        edge.workspaces = Some(Arc::new(Folders(Arc::clone(self))));
        edge.survivors = Some(Arc::new(Left(Arc::clone(self))));
        edge.notifier = Some(Arc::new(Ears(Arc::clone(self))));
        edge.built_ins = Some(Arc::new(Others(Arc::clone(self))));
        edge
    }

    pub fn be_calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    pub fn luck(&self, name: &str) -> Luck {
        Luck::of(self.seed, name)
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<EffectId, Process>> {
        self.processes.lock().unwrap()
    }

    /// What an engine is told that cannot look at a process which lives, or has ended.
    fn cannot_look(&self, id: &EffectId) -> Option<AttemptResult> {
        let look = {
            let mut looks = self.looks.lock().unwrap();
            let look = looks.entry(id.clone()).or_default();
            *look += 1;
            *look
        };
        let mut luck = self.luck(&format!("look {look} {} {}", id.run, id.attempt));
        if self.is_calm() || !luck.is_one_of(12) {
            return None;
        }
        let reason = "exit.json".to_owned();
        Some(match luck.is_one_of(4) {
            true => AttemptResult::Unreadable { reason },
            false => AttemptResult::NoRoom { reason },
        })
    }

    /// Every process goes, with no record.
    pub fn reboot(&self) {
        for (id, process) in self.processes().iter_mut() {
            if let Process::Living(exit, _) = process
                && exit.borrow().is_none()
            {
                self.ledger.left(Place::Supervised, id);
                *process = Process::Gone;
            }
        }
    }

    /// Processes that nobody has ended.
    pub fn living(&self) -> Vec<EffectId> {
        let is_living =
            |process: &Process| matches!(process, Process::Living(exit, _) if exit.borrow().is_none());
        self.processes().iter().filter(|(_, process)| is_living(process)).map(|(id, _)| id.clone()).collect()
    }

    fn exit(&self, id: &EffectId, end: AttemptEnd) {
        let exit = match self.processes().get(id) {
            Some(Process::Living(exit, _)) => exit.clone(),
            _ => return,
        };
        let is_first = exit.send_if_modified(|exit| {
            let is_first = exit.is_none();
            exit.get_or_insert(Exit { end });
            is_first
        });
        if is_first {
            self.ledger.left(Place::Supervised, id);
        }
    }

    /// How a piece of work ends.
    fn end(&self, id: &EffectId, luck: &mut Luck, can_ask: bool) -> AttemptEnd {
        let at = (self.clock)();
        if self.is_calm() {
            return AttemptEnd::new(AttemptResult::Succeeded(json!({"ok": true, "n": 16})), at);
        }
        let result = match luck.below(16) {
            0..9 => AttemptResult::Succeeded(output(luck)),
            9..14 => AttemptResult::Failed(failure(luck)),
            14 => AttemptResult::Lost { reason: "it is gone".into() },
            _ => AttemptResult::Succeeded(json!(null)),
        };
        let mut end = AttemptEnd::new(result, at);
        if can_ask && luck.is_one_of(4) {
            end.ask = Some(ask(luck));
        }
        if luck.is_one_of(3) {
            let usage = Usage {
                cost_micros: luck.below(2_000_000),
                output_tokens: luck.below(9_000),
                ..Usage::default()
            };
            end.usage = vec![usage; 1 + usize::try_from(luck.below(2)).unwrap()];
        }
        if luck.is_one_of(3) {
            end.commit = Some(format!("{:040x}", luck.below(u64::MAX)));
        }
        if luck.is_one_of(6) {
            end.told.labels.insert("by".into(), id.attempt.path.step.as_str().into());
            end.told.note = Some("as it said".into());
        }
        end
    }
}

/// Small, too large for the state, too large for an event.
fn output(luck: &mut Luck) -> Value {
    match luck.below(8) {
        0 => json!("x".repeat(2_000)),
        1 => json!(["y".repeat(40_000), luck.below(9)]),
        2 => json!(null),
        _ => json!({"ok": true, "n": luck.below(100)}),
    }
}

fn failure(luck: &mut Luck) -> Failure {
    let kind = [FailureKind::Exit, FailureKind::Error, FailureKind::Crash, FailureKind::Timeout];
    Failure::new(kind[usize::try_from(luck.below(4)).unwrap()], "as it happens")
}

/// Sometimes one that cannot be asked.
fn ask(luck: &mut Luck) -> Value {
    match luck.below(5) {
        0 => json!({"text": "which one?", "options": ["a", "b"]}),
        1 => json!({"text": "z".repeat(3_000)}),
        2 => json!({"text": "all?", "items": ["one", {"id": "two", "text": "two", "options": [1, 2]}]}),
        3 => json!({"text": "why?"}),
        _ => json!({"options": ["a"]}),
    }
}

/// Lives on without an engine, is begun at most once, leaves a record; whether it costs money.
struct Processes(Arc<Machine>, bool);

impl Processes {
    fn wait(
        &self,
        request: &AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let machine = Arc::clone(&self.0);
        let id = request.id.clone();
        let process = machine.processes().get(&id).cloned();
        let Some(Process::Living(exit, _)) = process else {
            let lost = AttemptResult::Lost { reason: "no record".into() };
            return Box::pin(async move { AttemptEnd::new(lost, (machine.clock)()) });
        };
        if let Some(end) = machine.cannot_look(&id) {
            let at = (machine.clock)();
            return Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                AttemptEnd::new(end, at)
            });
        }
        let mut exit = exit.subscribe();
        Box::pin(async move {
            let mut luck = machine.luck(&format!("said {} {}", id.run, id.attempt));
            tokio::time::sleep(Duration::from_millis(luck.below(3) * 20)).await;
            for _ in 0..luck.below(3) {
                observer.started();
                observer.line("working");
            }
            match exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone()) {
                Some(Exit { end }) => end,
                None => {
                    AttemptEnd::new(AttemptResult::Lost { reason: "no record".into() }, (machine.clock)())
                }
            }
        })
    }
}

impl Executor for Processes {
    fn traits(&self, _spec: &Value) -> Traits {
        Traits { supervised: true, idempotent: false, on_lost: OnLost::Block, paid: self.1, told: true }
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let machine = &self.0;
        let id = request.id.clone();
        let mut luck = machine.luck(&format!("process {} {}", id.run, id.attempt));
        let known = machine.processes().get(&id).cloned();
        if matches!(known, None | Some(Process::Unbegun)) {
            if known.is_none() && luck.is_one_of(24) && !machine.is_calm() {
                machine.processes().insert(id, Process::Unbegun);
                let full = AttemptResult::NoRoom { reason: "input.json".into() };
                let at = (machine.clock)();
                return Box::pin(async move { AttemptEnd::new(full, at) });
            }
            let living = Process::Living(watch::Sender::new(None), request.folder.clone());
            machine.processes().insert(id.clone(), living);
            machine.ledger.began(Place::Supervised, &id, true);
            let span = if machine.is_calm() { Duration::from_millis(5) } else { luck.span() };
            let span = request.timeout.map_or(span, |limit| span.min(limit));
            let machine = Arc::clone(machine);
            // It is nobody's child: engines come and go.
            tokio::spawn(async move {
                tokio::time::sleep(span).await;
                let end = machine.end(&id, &mut luck, true);
                machine.exit(&id, end);
            });
        }
        self.wait(&request, observer)
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.wait(&request, observer)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        let machine = Arc::clone(&self.0);
        // At once: whoever gets its place may begin before this is polled.
        machine.ledger.asked_to_end(&request.id);
        Box::pin(async move {
            let id = request.id;
            let mut luck = machine.luck(&format!("stop {} {}", id.run, id.attempt));
            if !machine.is_calm() {
                tokio::time::sleep(Duration::from_millis(luck.below(3) * 700)).await;
            }
            let killed = AttemptResult::Failed(Failure::new(FailureKind::Cancelled, "killed"));
            machine.exit(&id, AttemptEnd::new(killed, (machine.clock)()));
        })
    }
}

/// Ends with its engine; some may be sent again.
struct Functions(Arc<Machine>);

/// A function at work; gone when it ends, however that comes.
struct AtWork(Arc<Machine>, EffectId);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.ledger.left(Place::InProcess, &self.1);
    }
}

impl Executor for Functions {
    fn traits(&self, spec: &Value) -> Traits {
        let idempotent = self.0.luck(&spec["name"].to_string()).is_one_of(2);
        let on_lost = if idempotent { OnLost::Retry } else { OnLost::Block };
        Traits { supervised: false, idempotent, on_lost, paid: false, told: true }
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        spec["name"].as_str().map(|name| Service::new("function", name)).into_iter().collect()
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let machine = Arc::clone(&self.0);
        let once = !request.idempotent.unwrap_or(self.traits(&request.spec).idempotent);
        Box::pin(async move {
            let id = request.id;
            machine.ledger.began(Place::InProcess, &id, once);
            let _at_work = AtWork(Arc::clone(&machine), id.clone());
            let mut luck = machine.luck(&format!("function {} {}", id.run, id.attempt));
            observer.line("working");
            if !machine.is_calm() {
                match luck.below(12) {
                    0 => tokio::time::sleep(Duration::from_secs(3_600)).await,
                    1 => panic!("a bug in a function"),
                    2..6 => tokio::time::sleep(luck.span()).await,
                    _at_once => {}
                }
            }
            machine.end(&id, &mut luck, false)
        })
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        if request.idempotent.unwrap_or(self.traits(&request.spec).idempotent) {
            return self.start(request, observer);
        }
        let at = (self.0.clock)();
        Box::pin(
            async move { AttemptEnd::new(AttemptResult::Lost { reason: "the engine ended".into() }, at) },
        )
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        self.0.ledger.asked_to_end(&request.id);
        Box::pin(async {})
    }
}

struct Probes(Arc<Machine>);

impl Prober for Probes {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            let name = format!("probe {}", request.folder.display());
            let _asked = machine.ledger.probing(&request);
            let mut luck = machine.luck(&name);
            let evidence = |exit: u64, size: u64| json!({"argv": ["check"], "exit": exit, "output": "x".repeat(usize::try_from(size).unwrap())});
            if machine.is_calm() {
                return Ok(evidence(0, 180));
            }
            if luck.is_one_of(2) {
                tokio::time::sleep(luck.span() / 4).await;
            }
            match luck.below(10) {
                0 | 1 => {
                    Err(ProbeFailure { permanent: luck.is_one_of(3), ..ProbeFailure::passing("unreadable") })
                }
                2 => panic!("a bug in a probe"),
                3..6 => Ok(evidence(1, luck.below(3_000))),
                _ => Ok(evidence(0, luck.below(3_000))),
            }
        })
    }
}

struct Folders(Arc<Machine>);

impl Workspaces for Folders {
    fn prepare(
        &self,
        run: RunId,
        _request: WorkspaceRequest,
    ) -> BoxFuture<'static, Result<Workspace, Failure>> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            let times = {
                let mut prepared = machine.prepared.lock().unwrap();
                let times = prepared.entry(run).or_default();
                *times += 1;
                *times
            };
            let mut luck = machine.luck(&format!("workspace {run} {times}"));
            if !machine.is_calm() {
                tokio::time::sleep(Duration::from_millis(luck.below(2_000))).await;
                if luck.is_one_of(5) {
                    return Err(Failure::new(FailureKind::Spawn, "no repository"));
                }
            }
            let path = format!("/worktrees/{run}");
            Ok(Workspace {
                path,
                repository: None,
                branch: Some("b".into()),
                base: None,
                commit: Some("c0".into()),
            })
        })
    }

    fn release(
        &self,
        _run: RunId,
        _workspace: Workspace,
        _keep: Keep,
        _keep_branch: bool,
        _succeeded: bool,
    ) -> BoxFuture<'static, Released> {
        Box::pin(async { Released::Kept })
    }

    fn left(&self) -> BoxFuture<'static, HashSet<RunId>> {
        Box::pin(async { HashSet::new() })
    }

    fn sweep(&self, fates: BTreeMap<RunId, Fate>) -> BoxFuture<'static, BTreeMap<RunId, String>> {
        drop(fates);
        Box::pin(async { BTreeMap::new() })
    }
}

struct Left(Arc<Machine>);

impl Survivors for Left {
    fn living(&self, _attempts: PathBuf) -> BoxFuture<'static, Vec<PathBuf>> {
        let processes = self.0.processes();
        let living = processes.values().filter_map(|process| match process {
            Process::Living(exit, folder) if exit.borrow().is_none() => Some(folder.clone()),
            _over => None,
        });
        let living = living.collect();
        Box::pin(async move { living })
    }

    fn end(&self, folder: PathBuf) -> BoxFuture<'static, ()> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            let found = machine.processes().iter().find_map(|(id, process)| match process {
                Process::Living(_, kept) if *kept == folder => Some(id.clone()),
                _other => None,
            });
            if let Some(id) = found {
                let killed = AttemptResult::Failed(Failure::new(FailureKind::Cancelled, "unwanted"));
                machine.exit(&id, AttemptEnd::new(killed, (machine.clock)()));
            }
        })
    }
}

struct Ears(Arc<Machine>);

impl Notifier for Ears {
    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<(), NoticeFailure>> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            machine.ledger.telling(&request, (machine.clock)());
            let mut luck = machine.luck(&format!("notice {} {}", request.dedup(), request.attempt));
            if machine.is_calm() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(luck.below(50))).await;
            match luck.below(6) {
                0 => Err(NoticeFailure::permanent("there is no such function")),
                1 | 2 => Err(NoticeFailure::passing("nobody there")),
                _ => Ok(()),
            }
        })
    }
}

struct Others(Arc<Machine>);

impl BuiltIns for Others {
    fn find(&self, name: &str) -> Option<Arc<Definition>> {
        (name == "other").then(|| Arc::clone(&self.0.child))
    }
}

impl Blobs for Machine {
    fn put(&self, run: RunId, bytes: &[u8]) -> io::Result<BlobRef> {
        let blob = BlobRef { hash: Hash::of(bytes), size_bytes: bytes.len() as u64 };
        self.blobs.lock().unwrap().insert((run, blob.hash), bytes.to_vec());
        Ok(blob)
    }

    fn get(&self, run: RunId, blob: &BlobRef) -> io::Result<Vec<u8>> {
        let blobs = self.blobs.lock().unwrap();
        blobs.get(&(run, blob.hash)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The calendar of a paused runtime; in every other plan it jumps, both ways, for a while or for good.
pub fn virtual_clock(luck: u64) -> Clock {
    const STEPS_MS: [i64; 6] = [3_600_000, -3_600_000, 86_400_000, -90_000, 30_000, -500];
    let mut luck = Luck::of(luck, "clock");
    let mut jumps = Vec::new();
    if luck.is_one_of(2) {
        for _ in 0..1 + luck.below(4) {
            let at = Duration::from_millis(luck.below(900_000));
            let step = STEPS_MS[usize::try_from(luck.below(6)).expect("an index")];
            let lasts =
                if luck.is_one_of(3) { Duration::MAX } else { Duration::from_millis(luck.below(60_000)) };
            jumps.push((at, at.saturating_add(lasts), step));
        }
    }
    let start = tokio::time::Instant::now();
    Arc::new(move || {
        let passed = start.elapsed();
        let wrong = jumps.iter().filter(|(from, until, _)| (*from..*until).contains(&passed));
        let wrong: i64 = wrong.map(|(_, _, step)| step).sum();
        Timestamp(Timestamp(1_790_000_000_000).plus(passed).0 + wrong)
    })
}
