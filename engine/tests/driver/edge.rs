//! Work that happens in memory: functions inside the engine, and "processes" that outlive it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_engine::clock::Clock;
use everfold_engine::definition::{Keep, OnLost};
use everfold_engine::driver::Blobs;
use everfold_engine::execution::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Edge, Executor, Fate, ProbeFailure,
    ProbeRequest, Prober, Released, Service, Survivors, Traits, WorkspaceRequest, Workspaces,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{EffectId, RunId};
use everfold_engine::json::{BlobRef, Hash, Value};
use everfold_engine::time::Timestamp;
use everfold_engine::trace::{Usage, Workspace};
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;

/// The machine that engines come and go on.
pub struct Machine {
    pub clock: Clock,
    /// How often each piece of work was begun and ended, by effect.
    pub begun: Mutex<HashMap<EffectId, usize>>,
    pub ended: Mutex<HashMap<EffectId, usize>>,
    in_progress: Mutex<(usize, usize)>,
    /// Effects in the order in which they began.
    pub order: Mutex<Vec<EffectId>>,
    processes: Mutex<HashMap<EffectId, watch::Sender<Option<Exit>>>>,
    pub cancels: Mutex<Vec<EffectId>>,
    blobs: Mutex<HashMap<(RunId, Hash), Vec<u8>>>,
    /// Runs whose blobs are not what was written.
    pub damaged: Mutex<HashSet<RunId>>,
    pub probes: Mutex<BTreeMap<String, usize>>,
    pub released: Mutex<Vec<(RunId, bool)>>,
    pub swept: Mutex<Vec<BTreeMap<RunId, Fate>>>,
    /// The runs of which a workspace lies there.
    pub folders: Mutex<HashSet<RunId>>,
    /// How long it takes to make one.
    pub makes_for: Mutex<Duration>,
    /// Looks on when work begins.
    pub witness: Mutex<Option<Witness>>,
    /// How often in a row engines aborted with whatever is outstanding in hand.
    pub aborts: AtomicU32,
    /// Processes find no room on the disk.
    pub is_full: AtomicBool,
    /// How often that was said.
    pub held_back: AtomicUsize,
    /// Folders, `RUN/NAME`, in which a former engine left something at work.
    pub left: Mutex<Vec<String>>,
    /// The names of those that were ended because nobody wants them.
    pub swept_away: watch::Sender<Vec<String>>,
    /// What `call` calls does not answer.
    pub is_down: AtomicBool,
    /// Who is told of things.
    pub ears: Arc<crate::notices::Ears>,
}

struct Aborts(Arc<Machine>);

impl everfold_engine::execution::Witness for Aborts {
    fn ends_with(&self, _folder: &std::path::Path) -> u32 {
        self.0.aborts.load(Ordering::SeqCst)
    }
}

pub type Witness = Box<dyn Fn(&EffectId) + Send>;

#[derive(Clone)]
struct Exit {
    result: AttemptResult,
    at: Timestamp,
}

impl Machine {
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            begun: Mutex::default(),
            ended: Mutex::default(),
            in_progress: Mutex::default(),
            order: Mutex::default(),
            processes: Mutex::default(),
            cancels: Mutex::default(),
            blobs: Mutex::default(),
            damaged: Mutex::default(),
            probes: Mutex::default(),
            released: Mutex::default(),
            swept: Mutex::default(),
            folders: Mutex::default(),
            makes_for: Mutex::default(),
            witness: Mutex::default(),
            aborts: AtomicU32::default(),
            is_full: AtomicBool::default(),
            held_back: AtomicUsize::default(),
            left: Mutex::default(),
            swept_away: watch::Sender::default(),
            is_down: AtomicBool::default(),
            ears: Arc::default(),
        })
    }

    pub fn edge(self: &Arc<Self>) -> Edge {
        let mut edge = Edge::default();
        edge.executors.insert("function".into(), Arc::new(Functions(Arc::clone(self))));
        edge.executors.insert("command".into(), Arc::new(Processes(Arc::clone(self))));
        edge.probers.insert("command".into(), Arc::new(Probes(Arc::clone(self))));
        edge.workspaces = Some(Arc::new(Folders(Arc::clone(self))));
        edge.survivors = Some(Arc::new(Left(Arc::clone(self))));
        edge.notifier = Some(self.ears.clone());
        edge.witness = Some(Arc::new(Aborts(Arc::clone(self))));
        edge
    }

    pub fn begun(&self) -> usize {
        self.begun.lock().unwrap().values().sum()
    }

    /// The most pieces of work that were in progress at once.
    pub fn peak(&self) -> usize {
        self.in_progress.lock().unwrap().1
    }

    /// A process vanishes as in a reboot, with no record.
    pub fn reboot(&self) {
        self.processes.lock().unwrap().clear();
    }

    fn begin(&self, id: &EffectId) {
        *self.begun.lock().unwrap().entry(id.clone()).or_default() += 1;
        self.order.lock().unwrap().push(id.clone());
        if let Some(witness) = &*self.witness.lock().unwrap() {
            witness(id);
        }
        let mut in_progress = self.in_progress.lock().unwrap();
        in_progress.0 += 1;
        in_progress.1 = in_progress.1.max(in_progress.0);
    }

    fn end(&self, id: &EffectId) {
        *self.ended.lock().unwrap().entry(id.clone()).or_default() += 1;
        self.in_progress.lock().unwrap().0 -= 1;
    }
}

fn end(result: AttemptResult, at: Timestamp) -> AttemptEnd {
    AttemptEnd::new(result, at)
}

/// Work that is over when nothing of it is left.
struct Guard(Arc<Machine>, EffectId);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end(&self.1);
    }
}

/// `{name, with}`: `ok`, `slow` (for `with.ms`), `busy` (asks to be left alone for `with.ms`), `hang`, `guarded` (hangs, too), `fail`, `panic`,
/// `big` (after `with.ms`), `paid`, `deep` (`with.levels` lists within each other), `wild` (of which the executor cannot say
/// what it calls upon, once it has begun); idempotent unless
/// `with.once`.
struct Functions(Arc<Machine>);

impl Functions {
    fn is_once(spec: &Value) -> bool {
        spec["with"]["once"].as_bool().unwrap_or(false)
    }
}

impl Executor for Functions {
    fn traits(&self, spec: &Value) -> Traits {
        let idempotent = !Self::is_once(spec);
        let on_lost = if idempotent { OnLost::Retry } else { OnLost::Block };
        let paid = spec["name"] == "paid";
        Traits { supervised: false, idempotent, on_lost, paid, told: true }
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        assert!(spec["name"] != "wild" || self.0.begun() == 0, "a bug in an executor");
        spec["name"].as_str().map(|name| Service::new("function", name)).into_iter().collect()
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            machine.begin(&request.id);
            observer.line("working");
            let ms = request.spec["with"]["ms"].as_u64().unwrap_or(0);
            let (mut usage, mut again_after) = (Vec::new(), None);
            let result = match request.spec["name"].as_str().unwrap_or_default() {
                "slow" => {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    AttemptResult::Succeeded(json!({"ms": ms}))
                }
                "hang" => std::future::pending().await,
                "guarded" => {
                    let _ends_when_dropped = Guard(Arc::clone(&machine), request.id.clone());
                    std::future::pending().await
                }
                "call" => {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    match machine.is_down.load(Ordering::SeqCst) {
                        true => AttemptResult::Failed(Failure::new(FailureKind::Timeout, "no answer")),
                        false => AttemptResult::Succeeded(json!({"ok": true})),
                    }
                }
                "busy" if machine.is_down.load(Ordering::SeqCst) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    again_after = Some(Duration::from_millis(ms));
                    AttemptResult::Failed(Failure::new(FailureKind::Error, "too many requests"))
                }
                "wild" => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    again_after = Some(Duration::from_secs(1));
                    AttemptResult::Failed(Failure::new(FailureKind::Error, "as asked"))
                }
                "deep" => {
                    let levels = request.spec["with"]["levels"].as_u64().unwrap_or(0);
                    AttemptResult::Succeeded((0..levels).fold(json!(1), |inner, _| json!([inner])))
                }
                "fail" => AttemptResult::Failed(Failure::new(FailureKind::Error, "as asked")),
                "panic" => panic!("a bug in a function"),
                "big" => {
                    if ms > 0 {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                    }
                    AttemptResult::Succeeded(json!({"text": "x".repeat(100_000)}))
                }
                "length" => {
                    let text = request.input["needs"]["big"]["text"].as_str().unwrap_or_default();
                    AttemptResult::Succeeded(json!(text.len()))
                }
                "paid" if request.spec["with"]["cents"].is_u64() => {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    let cost_micros = request.spec["with"]["cents"].as_u64().unwrap_or(0) * 10_000;
                    usage = vec![Usage { cost_micros, ..Usage::default() }];
                    AttemptResult::Succeeded(json!(null))
                }
                "paid" => {
                    let of = |model: &str, cost_micros| Usage {
                        model: Some(model.to_owned()),
                        cost_micros,
                        ..Usage::default()
                    };
                    // What is said twice of one model is told once.
                    usage = vec![of("large", 1), of("small", 4), of("large", 2)];
                    AttemptResult::Succeeded(json!(null))
                }
                _ => AttemptResult::Succeeded(json!({"ok": true})),
            };
            machine.end(&request.id);
            AttemptEnd { usage, again_after, ..end(result, (machine.clock)()) }
        })
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        if Self::is_once(&request.spec) {
            let at = (self.0.clock)();
            return Box::pin(
                async move { end(AttemptResult::Lost { reason: "the engine ended".into() }, at) },
            );
        }
        self.start(request, observer)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        self.0.cancels.lock().unwrap().push(request.id);
        Box::pin(async {})
    }
}

/// `{argv: ["sleep", MS]}`: lives on without the engine, started at most once, its exit recorded.
struct Processes(Arc<Machine>);

impl Processes {
    fn wait(
        &self,
        request: &AttemptRequest,
        observer: &Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let machine = Arc::clone(&self.0);
        let exit = machine.processes.lock().unwrap().get(&request.id).map(watch::Sender::subscribe);
        let Some(mut exit) = exit else {
            let at = (machine.clock)();
            return Box::pin(async move { end(AttemptResult::Lost { reason: "no record".into() }, at) });
        };
        observer.started();
        Box::pin(async move {
            let ended = exit.wait_for(Option::is_some).await.map(|exit| exit.clone());
            match ended.ok().flatten() {
                Some(Exit { result, at }) => end(result, at),
                None => end(AttemptResult::Lost { reason: "no record".into() }, (machine.clock)()),
            }
        })
    }
}

impl Executor for Processes {
    fn traits(&self, _spec: &Value) -> Traits {
        Traits { supervised: true, idempotent: false, on_lost: OnLost::Block, paid: false, told: true }
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let ms: u64 = request.spec["argv"][1].as_str().and_then(|ms| ms.parse().ok()).unwrap_or(0);
        let is_new = {
            let mut processes = self.0.processes.lock().unwrap();
            let is_new = !processes.contains_key(&request.id);
            processes.entry(request.id.clone()).or_insert_with(|| watch::Sender::new(None));
            is_new
        };
        if is_new && self.0.is_full.load(Ordering::SeqCst) {
            self.0.processes.lock().unwrap().remove(&request.id);
            self.0.held_back.fetch_add(1, Ordering::SeqCst);
            let at = (self.0.clock)();
            return Box::pin(async move { end(AttemptResult::NoRoom { reason: "input.json".into() }, at) });
        }
        if is_new {
            self.0.begin(&request.id);
            let (machine, id) = (Arc::clone(&self.0), request.id.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                let at = (machine.clock)();
                let result = AttemptResult::Succeeded(json!({"exit_code": 0}));
                let process = machine.processes.lock().unwrap().get(&id).cloned();
                let is_first = process.is_some_and(|process| {
                    process.send_if_modified(|exit| {
                        let is_first = exit.is_none();
                        exit.get_or_insert(Exit { result, at });
                        is_first
                    })
                });
                if is_first {
                    machine.end(&id);
                }
            });
        }
        self.wait(&request, &observer)
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.wait(&request, &observer)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            machine.cancels.lock().unwrap().push(request.id.clone());
            let process = machine.processes.lock().unwrap().get(&request.id).cloned();
            let at = (machine.clock)();
            let killed = AttemptResult::Failed(Failure::new(FailureKind::Cancelled, "killed"));
            let is_first = process.is_some_and(|process| {
                process.send_if_modified(|exit| {
                    let is_first = exit.is_none();
                    exit.get_or_insert(Exit { result: killed, at });
                    is_first
                })
            });
            if is_first {
                machine.end(&request.id);
            }
        })
    }
}

/// Exit 0 from the `argv[1]`th probe on; `busy` asks to be left alone for `argv[2]` before that.
struct Probes(Arc<Machine>);

impl Prober for Probes {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let argv = request.spec["argv"].clone();
        let text = |at: usize| argv[at].as_str().unwrap_or_default().to_owned();
        let number = |at: usize| text(at).parse::<u64>().ok();
        let mut probes = self.0.probes.lock().unwrap();
        let count = probes.entry(format!("{}/{}/{}", request.id.attempt, request.gate, text(0))).or_default();
        *count += 1;
        let is_fine = *count as u64 >= number(1).unwrap_or(1);
        let pause = Duration::from_millis(number(2).unwrap_or(0));
        if text(0) == "busy" {
            if is_fine {
                return Box::pin(std::future::ready(Ok(json!({"argv": argv, "exit": 0, "output": ""}))));
            }
            let busy = ProbeFailure::passing("too many requests");
            let busy = ProbeFailure { is_outage: true, again_after: Some(pause), ..busy };
            return Box::pin(std::future::ready(Err(busy)));
        }
        Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if is_fine {
                Ok(json!({"argv": argv, "exit": 0, "output": "", "source": {"argv": argv, "exit": 0}}))
            } else {
                Err(ProbeFailure::passing("the network is down"))
            }
        })
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        spec["argv"][0].as_str().map(|name| Service::new("provider", name)).into_iter().collect()
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
            let makes_for = *machine.makes_for.lock().unwrap();
            tokio::time::sleep(makes_for).await;
            machine.folders.lock().unwrap().insert(run);
            let path = format!("/worktrees/{run}");
            Ok(Workspace { path, repository: None, branch: None, base: None, commit: Some("c0".into()) })
        })
    }

    fn release(
        &self,
        run: RunId,
        _workspace: Workspace,
        _keep: Keep,
        _keep_branch: bool,
        succeeded: bool,
    ) -> BoxFuture<'static, Released> {
        self.0.released.lock().unwrap().push((run, succeeded));
        self.0.folders.lock().unwrap().remove(&run);
        Box::pin(async { Released::Removed })
    }

    fn left(&self) -> BoxFuture<'static, HashSet<RunId>> {
        let left = self.0.folders.lock().unwrap().clone();
        Box::pin(async { left })
    }

    fn sweep(&self, fates: BTreeMap<RunId, Fate>) -> BoxFuture<'static, BTreeMap<RunId, String>> {
        let gone = fates.keys().map(|run| (*run, format!("/worktrees/{run}"))).collect();
        self.0.folders.lock().unwrap().retain(|run| !fates.contains_key(run));
        self.0.swept.lock().unwrap().push(fates);
        Box::pin(async { gone })
    }
}

impl Blobs for Machine {
    fn put(&self, run: RunId, bytes: &[u8]) -> io::Result<BlobRef> {
        let blob = BlobRef { hash: Hash::of(bytes), size_bytes: bytes.len() as u64 };
        self.blobs.lock().unwrap().insert((run, blob.hash), bytes.to_vec());
        Ok(blob)
    }

    fn get(&self, run: RunId, blob: &BlobRef) -> io::Result<Vec<u8>> {
        if self.damaged.lock().unwrap().contains(&run) {
            let message = format!("the blob {} of run {run} is damaged", blob.hash);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let blobs = self.blobs.lock().unwrap();
        blobs.get(&(run, blob.hash)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Says that what a test left is at work.
struct Left(Arc<Machine>);

impl Survivors for Left {
    fn living(&self, attempts: PathBuf) -> BoxFuture<'static, Vec<PathBuf>> {
        let living = self.0.left.lock().unwrap().iter().map(|name| attempts.join(name)).collect();
        Box::pin(std::future::ready(living))
    }

    fn end(&self, folder: PathBuf) -> BoxFuture<'static, ()> {
        let ended = folder.file_name().unwrap().to_str().unwrap().to_owned();
        self.0.swept_away.send_modify(|names| names.push(ended));
        Box::pin(std::future::ready(()))
    }
}
