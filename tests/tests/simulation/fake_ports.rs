//! What the engine of a simulation is given: the fake machine behind each of its ports.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::artefact::Workspace;
use everfold_engine::definition::{Definition, Keep};
use everfold_engine::execution::{
    AttemptEnd, AttemptResult, BuiltIns, Edge, Fate, Inspector, LookRequest, NoticeFailure, NoticeReceipt,
    NoticeRequest, Notifier, ProbeFailure, ProbeRequest, Prober, Released, SeenKind, SeenPart, Survivors,
    WorkspaceRequest, Workspaces,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::RunId;
use everfold_engine::json::Value;
use futures::future::BoxFuture;
use serde_json::json;

use super::fake_executors::{Functions, Processes};
use super::fake_machine::{FakeMachine, Process};

/// All ports of the engine, served by one machine.
pub fn edge(machine: &Arc<FakeMachine>) -> Edge {
    let mut edge = Edge::default();
    for (kind, paid) in [("command", false), ("agent", true)] {
        edge.executors.insert(kind.into(), Arc::new(Processes(Arc::clone(machine), paid)));
    }
    edge.executors.insert("function".into(), Arc::new(Functions(Arc::clone(machine))));
    edge.probers.insert("command".into(), Arc::new(Probes(Arc::clone(machine))));
    edge.workspaces = Some(Arc::new(Folders(Arc::clone(machine))));
    edge.inspector = Some(Arc::new(Eyes(Arc::clone(machine))));
    edge.survivors = Some(Arc::new(Left(Arc::clone(machine))));
    edge.notifier = Some(Arc::new(Ears(Arc::clone(machine))));
    edge.built_ins = Some(Arc::new(Others(Arc::clone(machine))));
    edge
}

struct Probes(Arc<FakeMachine>);

impl Prober for Probes {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            let name = format!("probe {}", request.folder.display());
            let _asked = machine.side_effects.probing(&request);
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

struct Eyes(Arc<FakeMachine>);

impl Inspector for Eyes {
    fn look(&self, request: LookRequest) -> BoxFuture<'static, Result<Vec<SeenPart>, Failure>> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            let mut luck = machine.luck(&format!("look {}", request.workdir.path.display()));
            if !machine.is_calm() {
                tokio::time::sleep(Duration::from_millis(luck.below(500))).await;
                match luck.below(12) {
                    0 => return Err(Failure::new(FailureKind::Spawn, "unreadable")),
                    1 => panic!("a bug in a look"),
                    _ => {}
                }
            }
            let files = request.spec.files.keys().map(|path| (SeenKind::File, path.clone()));
            let commit = request.spec.commit.then(|| (SeenKind::Commit, "commit".to_owned()));
            let part = |(kind, what)| SeenPart { kind, what, hash: Some("aa".to_owned()) };
            Ok(files.chain(commit).map(part).collect())
        })
    }
}

struct Folders(Arc<FakeMachine>);

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

/// What a process says that was ended because no run wanted it.
pub const UNWANTED: &str = "unwanted";

struct Left(Arc<FakeMachine>);

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
                let killed = AttemptResult::Failed(Failure::new(FailureKind::Cancelled, UNWANTED));
                machine.exit(&id, AttemptEnd::new(killed, (machine.clock)()));
            }
        })
    }
}

struct Ears(Arc<FakeMachine>);

impl Notifier for Ears {
    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<NoticeReceipt, NoticeFailure>> {
        let machine = Arc::clone(&self.0);
        Box::pin(async move {
            machine.side_effects.telling(&request, (machine.clock)());
            let mut luck = machine.luck(&format!("notice {} {}", request.dedup(), request.attempt));
            if machine.is_calm() {
                return Ok(NoticeReceipt::default());
            }
            tokio::time::sleep(Duration::from_millis(luck.below(50))).await;
            match luck.below(6) {
                0 => Err(NoticeFailure::permanent("there is no such function")),
                1 | 2 => Err(NoticeFailure::passing("nobody there")),
                _ => Ok(NoticeReceipt::default()),
            }
        })
    }
}

struct Others(Arc<FakeMachine>);

impl BuiltIns for Others {
    fn find(&self, name: &str) -> Option<Arc<Definition>> {
        (name == "other").then(|| Arc::clone(&self.0.child))
    }
}
