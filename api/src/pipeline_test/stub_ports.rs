//! Stubs in the place of workspaces and of the notifier, and the pipelines that steps of a case run.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use everfold_engine::artefact::Workspace;
use everfold_engine::data_folder::Layout;
use everfold_engine::definition::{Definition, ExecutorTask, Keep};
use everfold_engine::execution::{
    BuiltIns, Edge, Fate, Inspector, LookRequest, NoticeFailure, NoticeReceipt, NoticeRequest, Notifier,
    Released, SeenPart, WorkspaceRequest, Workspaces,
};
use everfold_engine::failure::Failure;
use everfold_engine::id::RunId;
use everfold_engine::json::{Hash, Value};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::probes::StubProber;
use super::work::StubExecutor;
use super::world::CaseWorld;

/// The branch that a stubbed worktree starts from where the pipeline names none.
const BASE: &str = "main";

/// All ports of a case's engine; what is known of work beforehand is asked of `real`. Names that `real` does not know are
/// refused where it `knows_names`.
pub(super) fn edge(
    world: &Arc<CaseWorld>,
    real: &Edge,
    knows_names: bool,
    layout: &Layout,
    pipelines: BTreeMap<String, Arc<Definition>>,
) -> Edge {
    let mut edge = Edge::default();
    for (kind, real) in &real.executors {
        let stub = StubExecutor { world: Arc::clone(world), real: Arc::clone(real), knows_names };
        edge.executors.insert(kind.clone(), Arc::new(stub));
    }
    // The engine itself sends signals: in a case the step's stub says what became of one.
    if let Some(real) = real.executors.get(ExecutorTask::FUNCTION) {
        let stub = StubExecutor { world: Arc::clone(world), real: Arc::clone(real), knows_names: false };
        edge.executors.insert(ExecutorTask::SIGNAL.to_owned(), Arc::new(stub));
    }
    for (kind, real) in &real.probers {
        let (world, real) = (Arc::clone(world), Arc::clone(real));
        let stub = StubProber { world, real, knows_names, kind: kind.clone(), layout: layout.clone() };
        edge.probers.insert(kind.clone(), Arc::new(stub));
    }
    edge.workspaces = Some(Arc::new(StubWorkspaces { layout: layout.clone() }));
    edge.inspector = Some(Arc::new(StubInspector(Arc::clone(world))));
    edge.notifier = Some(Arc::new(StubNotifier { world: Arc::clone(world), real: real.notifier.clone() }));
    edge.built_ins = Some(Arc::new(CasePipelines(pipelines)));
    // What is masked in production is masked in a case.
    edge.redactor = real.redactor.clone();
    edge
}

struct StubWorkspaces {
    layout: Layout,
}

impl Workspaces for StubWorkspaces {
    fn prepare(
        &self,
        run: RunId,
        request: WorkspaceRequest,
    ) -> BoxFuture<'static, Result<Workspace, Failure>> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let workspace = match request {
            WorkspaceRequest::Dir(path) => {
                Workspace { path: text(path), repository: None, branch: None, base: None, commit: None }
            }
            WorkspaceRequest::Git { repository, base, from, branch, .. } => Workspace {
                path: text(self.layout.worktrees().join(run.to_string())),
                repository: Some(text(repository)),
                branch: Some(branch),
                base: Some(base.filter(|base| !base.is_empty()).unwrap_or_else(|| BASE.to_owned())),
                commit: Some(from.unwrap_or_else(|| Hash::of(BASE.as_bytes()).to_string()[..40].to_owned())),
            },
        };
        std::future::ready(Ok(workspace)).boxed()
    }

    fn release(
        &self,
        _run: RunId,
        _workspace: Workspace,
        keep: Keep,
        _keep_branch: bool,
        succeeded: bool,
    ) -> BoxFuture<'static, Released> {
        let stays = keep == Keep::Always || (keep == Keep::Failed && !succeeded);
        std::future::ready(if stays { Released::Kept } else { Released::Removed }).boxed()
    }

    fn copy(
        &self,
        _run: RunId,
        _workspace: Workspace,
        _commit: String,
        _path: PathBuf,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        std::future::ready(Ok(())).boxed()
    }

    fn left(&self) -> BoxFuture<'static, HashSet<RunId>> {
        std::future::ready(HashSet::new()).boxed()
    }

    fn sweep(&self, _fates: BTreeMap<RunId, Fate>) -> BoxFuture<'static, BTreeMap<RunId, String>> {
        std::future::ready(BTreeMap::new()).boxed()
    }
}

struct StubInspector(Arc<CaseWorld>);

impl Inspector for StubInspector {
    fn look(&self, request: LookRequest) -> BoxFuture<'static, Result<Vec<SeenPart>, Failure>> {
        std::future::ready(Ok(self.0.look(request.run, &request.spec))).boxed()
    }
}

struct StubNotifier {
    world: Arc<CaseWorld>,
    real: Option<Arc<dyn Notifier>>,
}

impl Notifier for StubNotifier {
    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<NoticeReceipt, NoticeFailure>> {
        self.world.note_notice(request);
        std::future::ready(Ok(NoticeReceipt::default())).boxed()
    }

    fn receiver(&self, function: &str, with: &Value) -> Value {
        self.real.as_ref().map_or_else(|| with.clone(), |real| real.receiver(function, with))
    }
}

/// The pipelines that steps of a case run.
struct CasePipelines(BTreeMap<String, Arc<Definition>>);

impl BuiltIns for CasePipelines {
    fn find(&self, name: &str) -> Option<Arc<Definition>> {
        self.0.get(name).cloned()
    }
}
