//! The world outside of a case's engine: which stub answers what, and what was asked.
//!
//! Law: a question that no stub answers is a fault of the case, and is never answered; in a dry run it has an answer that
//! is made up, and noted as such.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_engine::artefact::Artefact;
use everfold_engine::clock::Clock;
use everfold_engine::definition::case::{
    CaseStubs, ProbeStub, ProbeStubs, StepStub, StepStubs, StubResult, StubTurns,
};
use everfold_engine::envelope::StreamId;
use everfold_engine::event::{self, RunEvent, RunStarted, ScheduledWork};
use everfold_engine::execution::{LookSpec, NoticeRequest, SeenKind, SeenPart};
use everfold_engine::id::{AttemptId, EffectId, Position, RunId, StepId, StepPath, Version};
use everfold_engine::json::{Hash, Value};
use everfold_engine::store::{EventStore as _, MemoryStore};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::memory_blobs::MemoryBlobs;

/// What answers for a run.
#[derive(Clone)]
pub(super) enum RunStubs {
    /// Its own stubs: the case's run, or a child that really runs.
    Own(Arc<CaseStubs>),
    /// It stands for a child as a whole, and gives this.
    Whole(Arc<StepStub>),
}

/// What work gives that has no stub: by the definition of its run, and by step.
#[derive(Default)]
pub(super) struct MadeUp(pub(super) BTreeMap<Hash, BTreeMap<StepId, Value>>);

/// The world outside of a case's engine.
pub(super) struct CaseWorld {
    pub(super) clock: Clock,
    pub(super) store: Arc<MemoryStore>,
    pub(super) blobs: Arc<MemoryBlobs>,
    root: Arc<CaseStubs>,
    made_up: Option<MadeUp>,
    /// The attempts whose output was made up.
    made: Mutex<BTreeSet<(RunId, AttemptId)>>,
    runs: Mutex<BTreeMap<RunId, RunStubs>>,
    /// How often each thing was asked for.
    turns: Mutex<BTreeMap<(RunId, String), usize>>,
    notices: Mutex<Vec<NoticeRequest>>,
    fault: Mutex<Option<String>>,
    faulty: Notify,
    stops: Mutex<BTreeMap<EffectId, Arc<Notify>>>,
    workspaces: Mutex<BTreeMap<RunId, StubWorkspace>>,
    /// The parameters of the newest work of each step.
    work: Mutex<BTreeMap<(RunId, StepId), Value>>,
}

/// What the stubs of a run have left in its workspace.
#[derive(Default)]
struct StubWorkspace {
    files: BTreeMap<String, Hash>,
    commit: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CaseWorld {
    pub(super) fn new(clock: Clock, root: CaseStubs, made_up: Option<MadeUp>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::new(MemoryStore::new(clock.clone())),
            clock,
            blobs: Arc::default(),
            root: Arc::new(root),
            made_up,
            made: Mutex::default(),
            runs: Mutex::default(),
            turns: Mutex::default(),
            notices: Mutex::default(),
            fault: Mutex::default(),
            faulty: Notify::new(),
            stops: Mutex::default(),
            workspaces: Mutex::default(),
            work: Mutex::default(),
        })
    }

    /// Ends the case; the first fault counts.
    pub(super) fn fail(&self, fault: String) {
        lock(&self.fault).get_or_insert(fault);
        self.faulty.notify_one();
    }

    /// What ended the case.
    pub(super) fn fault(&self) -> Option<String> {
        lock(&self.fault).clone()
    }

    /// Resolves when something ended the case.
    pub(super) async fn failed(&self) {
        while self.fault().is_none() {
            self.faulty.notified().await;
        }
    }

    /// An attempt left these files, and a commit where it works in a worktree.
    pub(super) fn note_left(&self, run: RunId, files: &[Artefact], commit: Option<&String>) {
        let mut workspaces = lock(&self.workspaces);
        let workspace = workspaces.entry(run).or_default();
        workspace.files.extend(files.iter().map(|file| (file.path.clone(), file.blob.hash)));
        workspace.commit = commit.cloned().or(workspace.commit.take());
    }

    /// The commit that a run's work left last.
    pub(super) fn commit_of(&self, run: RunId) -> Option<String> {
        lock(&self.workspaces).get(&run)?.commit.clone()
    }

    /// What an approval shows of a workspace: files as stubs left them. One that is wanted by name and that no stub left
    /// is empty.
    pub(super) fn look(&self, run: RunId, spec: &LookSpec) -> Vec<SeenPart> {
        let workspaces = lock(&self.workspaces);
        let workspace = workspaces.get(&run);
        let hash = |path: &String| workspace.and_then(|workspace| workspace.files.get(path));
        let file = |(path, is_wanted): (&String, &bool)| {
            let hash = hash(path).copied().or_else(|| is_wanted.then(|| Hash::of(b"")))?;
            let (kind, what) = (SeenKind::File, path.clone());
            Some(SeenPart { kind, what, hash: Some(hash.to_string()) })
        };
        let mut found: Vec<SeenPart> = spec.files.iter().filter_map(file).collect();
        if spec.commit {
            let hash = workspace.and_then(|workspace| workspace.commit.clone());
            found.push(SeenPart { kind: SeenKind::Commit, what: "commit".to_owned(), hash });
        }
        found
    }

    /// An attempt begins with these parameters.
    pub(super) fn note_work(&self, id: &EffectId, spec: &Value) {
        lock(&self.work).insert((id.run, id.attempt.path.step.clone()), spec.clone());
    }

    /// The parameters of the newest attempt of a step.
    pub(super) fn work_of(&self, run: RunId, step: &StepId) -> Option<Value> {
        lock(&self.work).get(&(run, step.clone())).cloned()
    }

    pub(super) fn note_notice(&self, request: NoticeRequest) {
        lock(&self.notices).push(request);
    }

    pub(super) fn notices(&self) -> Vec<NoticeRequest> {
        lock(&self.notices).clone()
    }

    /// How often attempts of a step were made, over all rounds and items.
    pub(super) fn attempts(&self, run: RunId, step: &str) -> usize {
        let turns = lock(&self.turns);
        let of_step =
            |name: &str| name == step || name.strip_prefix(step).is_some_and(|rest| rest.starts_with('.'));
        turns.iter().filter(|((of, name), _)| *of == run && of_step(name)).map(|(_, count)| count).sum()
    }

    /// Resolves when the attempt is to end; made once for each attempt.
    pub(super) fn stop_of(&self, id: &EffectId) -> Arc<Notify> {
        Arc::clone(lock(&self.stops).entry(id.clone()).or_default())
    }

    /// Whether what has no stub is made up.
    pub(super) fn makes_up(&self) -> bool {
        self.made_up.is_some()
    }

    /// Whether the output of an attempt was made up.
    pub(super) fn is_made_up(&self, run: RunId, id: &AttemptId) -> bool {
        lock(&self.made).contains(&(run, id.clone()))
    }

    /// An end that is made up: the work succeeds.
    async fn make_up(&self, id: &EffectId) -> StepStub {
        let definition = self.started(id.run).await.map(|started| started.definition);
        let known = self.made_up.as_ref().zip(definition).and_then(|(MadeUp(all), hash)| all.get(&hash));
        let output = known.and_then(|steps| steps.get(&id.attempt.path.step)).cloned().unwrap_or_default();
        lock(&self.made).insert((id.run, id.attempt.clone()));
        StepStub {
            result: StubResult::Output(output),
            takes: Duration::ZERO,
            usage: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    fn turn(&self, run: RunId, what: String) -> usize {
        let mut turns = lock(&self.turns);
        let turn = turns.entry((run, what)).or_default();
        *turn += 1;
        *turn - 1
    }

    /// What answers for a run; `None` after a fault.
    pub(super) fn stubs_of(&self, run: RunId) -> BoxFuture<'_, Option<RunStubs>> {
        async move {
            if let Some(known) = lock(&self.runs).get(&run) {
                return Some(known.clone());
            }
            let stubs = match self.parent_of(run).await {
                None => RunStubs::Own(Arc::clone(&self.root)),
                Some((parent, id)) => match self.stubs_of(parent).await? {
                    RunStubs::Whole(stub) => RunStubs::Whole(stub),
                    RunStubs::Own(stubs) => match self.next_stub(parent, &stubs, &id.path) {
                        Ok(StepStub { result: StubResult::Run(child), .. }) => {
                            RunStubs::Own(Arc::new(*child))
                        }
                        Ok(stub) => RunStubs::Whole(Arc::new(stub)),
                        Err(_) if self.makes_up() => RunStubs::Own(Arc::default()),
                        Err(fault) => {
                            self.fail(fault);
                            return None;
                        }
                    },
                },
            };
            Some(lock(&self.runs).entry(run).or_insert(stubs).clone())
        }
        .boxed()
    }

    /// The stubs of the case's run and of each child that really ran, as far as they were asked.
    pub(super) fn own_stubs(&self) -> Vec<(RunId, Arc<CaseStubs>)> {
        let own = |(run, stubs): (&RunId, &RunStubs)| match stubs {
            RunStubs::Own(stubs) => Some((*run, Arc::clone(stubs))),
            RunStubs::Whole(_) => None,
        };
        lock(&self.runs).iter().filter_map(own).collect()
    }

    /// What one attempt gives; `None` after a fault.
    pub(super) async fn stub_of(&self, id: &EffectId) -> Option<StepStub> {
        match self.stubs_of(id.run).await? {
            RunStubs::Whole(stub) => Some((*stub).clone()),
            RunStubs::Own(stubs) => match self.next_stub(id.run, &stubs, &id.attempt.path) {
                Ok(stub) => Some(stub),
                Err(_) if self.makes_up() => Some(self.make_up(id).await),
                Err(fault) => {
                    self.fail(fault);
                    None
                }
            },
        }
    }

    fn next_stub(&self, run: RunId, stubs: &CaseStubs, path: &StepPath) -> Result<StepStub, String> {
        let turn = self.turn(run, path.to_string());
        match stubs.steps.get(&path.step) {
            None => {
                let step = &path.step;
                Err(format!("the step {step} has no stub: add `{step}: {{ output: … }}` under `steps`"))
            }
            Some(StepStubs::Attempts(turns)) => at_turn(turns, turn, &format!("the step {path}")),
            Some(StepStubs::Items(items)) => {
                let item = path.item.map_or(0, |item| item as usize);
                match items.get(item) {
                    Some(turns) => at_turn(turns, turn, &format!("the step {path}")),
                    None => Err(format!(
                        "item {item} of {} has no stub: `items` lists {}",
                        path.step,
                        items.len()
                    )),
                }
            }
        }
    }

    /// What one probe finds; `place` is that of a member, empty for a single probe. `None` after a fault.
    pub(super) async fn probe_stub(
        &self,
        id: &EffectId,
        is_admission: bool,
        gate: &str,
        place: &[usize],
    ) -> Option<ProbeStub> {
        let RunStubs::Own(stubs) = self.stubs_of(id.run).await? else { return None };
        let step = &id.attempt.path.step;
        let (of_gate, missing) = match is_admission {
            true => (stubs.admit.get(gate), format!("`{gate}: pass` under `admit`")),
            false => {
                let gates = stubs.gates.get(step);
                (
                    gates.and_then(|gates| gates.get(gate)),
                    format!("`{step}: {{ {gate}: pass }}` under `gates`"),
                )
            }
        };
        let what = if is_admission {
            format!("the gate {gate} of `admit`")
        } else {
            format!("the gate {gate} of {step}")
        };
        let turn = self.turn(id.run, format!("{step}/{gate}/{place:?}"));
        let found = match of_gate {
            None => Err(format!("{what} has no stub: add {missing}")),
            Some(ProbeStubs::Probes(turns)) => at_turn(turns, turn, &what),
            Some(ProbeStubs::Members(members)) => match members.get(place) {
                Some(turns) => at_turn(turns, turn, &what),
                None => Err(format!("a probe of {what} has no stub: add each by its name below `{gate}`")),
            },
        };
        match found {
            Err(_) if self.makes_up() => Some(ProbeStub::Pass),
            found => found.map_err(|fault| self.fail(fault)).ok(),
        }
    }

    /// The start of a run; `None`: it is not recorded yet.
    async fn started(&self, run: RunId) -> Option<RunStarted> {
        let own = self.store.read(&StreamId::run(run), Version::FIRST, 1).await.ok()?;
        let first = own.first()?;
        match event::decode(first.header.kind, first.header.schema, &first.payload) {
            Ok(RunEvent::RunStarted(started)) => Some(started),
            _other => None,
        }
    }

    /// The attempt that starts a run, found by what was scheduled: the run itself may not be recorded yet.
    async fn parent_of(&self, run: RunId) -> Option<(RunId, AttemptId)> {
        if let Some(started) = self.started(run).await {
            return started.parent.map(|parent| (parent.run, parent.id));
        }
        let log = self.store.read_all(Position::FIRST, usize::MAX).await.ok()?;
        log.iter().find_map(|envelope| {
            let (header, parent) = (&envelope.header, envelope.header.stream.as_run()?);
            let id = match event::decode(header.kind, header.schema, &envelope.payload).ok()? {
                RunEvent::StepScheduled(event) if matches!(event.work, ScheduledWork::Task(_)) => event.id,
                RunEvent::RetryScheduled(event) => event.id,
                _other => return None,
            };
            (parent.child(&id) == run).then_some((parent, id))
        })
    }
}

fn at_turn<T: Clone>(turns: &StubTurns<T>, turn: usize, what: &str) -> Result<T, String> {
    turns.at(turn).cloned().ok_or_else(|| {
        let (asked, given) = (turn + 1, turn);
        format!(
            "{what} is asked {asked} times, and its stub lists {given}: add one, or write one that is no list"
        )
    })
}
