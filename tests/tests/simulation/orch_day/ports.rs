//! The ports of the engine on a day of ORCH.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use everfold_engine::artefact::{Artefact, Usage, Workspace};
use everfold_engine::data_folder::Layout;
use everfold_engine::definition::{Keep, OnLost};
use everfold_engine::driver::{Blobs, QueryError};
use everfold_engine::execution::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Directory, DirectoryError, Edge, Executor,
    Fate, FoundRun, FoundRuns, Inspector, LookRequest, LossTraits, NoticeFailure, NoticeReceipt,
    NoticeRequest, Notifier, ProbeFailure, ProbeRequest, Prober, Released, RunQuery, SeenKind, SeenPart,
    Service, Traits, WorkspaceRequest, Workspaces,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{EffectId, RunId};
use everfold_engine::json::{Hash, Value};
use everfold_engine::time::Timestamp;
use everfold_workflows::fakes::ServiceFault;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use super::evidence;
use super::plan::{Ending, Finding};
use super::town::Town;

pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// All ports of the engine.
pub fn edge(town: &Arc<Town>, now: &Now, layout: &Layout) -> Edge {
    let mut edge = Edge::default();
    for (kind, is_agent) in [("command", false), ("agent", true)] {
        edge.executors
            .insert(kind.into(), Arc::new(Workers { town: town.clone(), now: now.clone(), is_agent }));
    }
    for kind in ["function", "http"] {
        let (town, real, now) = (town.clone(), town.real.executors[kind].clone(), now.clone());
        edge.executors.insert(kind.into(), Arc::new(Calls { town, real, now }));
    }
    for (kind, real) in &town.real.probers {
        let (town, real, kind) = (town.clone(), real.clone(), kind.clone());
        edge.probers.insert(kind.clone(), Arc::new(Looks { town, real, kind }));
    }
    edge.workspaces = Some(Arc::new(Worktrees(layout.clone())));
    edge.inspector = Some(Arc::new(Pages));
    edge.directory = Some(Arc::new(Runs(town.clone())));
    edge.notifier =
        Some(Arc::new(Messages { town: town.clone(), real: town.real.notifier.clone().unwrap() }));
    edge.redactor.clone_from(&town.real.redactor);
    edge
}

fn commit_of(id: &EffectId) -> String {
    Hash::of(id.to_string().as_bytes()).to_string()[..40].to_owned()
}

/// Agents, and commands of the pipeline's own.
struct Workers {
    town: Arc<Town>,
    now: Now,
    is_agent: bool,
}

impl Workers {
    async fn agent(town: &Town, request: &AttemptRequest, now: &Now) -> AttemptEnd {
        let id = &request.id;
        let Some((number, round)) = town.agent_round(id) else {
            town.violated(format!("{id} was never to begin"));
            return AttemptEnd::new(
                AttemptResult::Failed(Failure::new(FailureKind::Error, "not planned")),
                now(),
            );
        };
        let at = usize::try_from(id.attempt.attempt.0).unwrap() - 1;
        let Some(planned) = round.tries.get(at).copied() else {
            town.violated(format!("task {number}: {id} is one attempt too many"));
            return AttemptEnd::new(
                AttemptResult::Failed(Failure::new(FailureKind::Error, "not planned")),
                now(),
            );
        };
        town.begins(number, id);
        let limit = request.timeout.unwrap();
        let takes = if planned.ends == Ending::TooLong { limit } else { planned.takes };
        tokio::time::sleep(takes).await;
        town.ended(number);
        let failed = |kind, code: Option<&str>, exit: Option<i32>| {
            let mut failure = Failure::new(kind, "as it happens");
            (failure.code, failure.exit_code) = (code.map(str::to_owned), exit);
            AttemptResult::Failed(failure)
        };
        let mut end = AttemptEnd::new(AttemptResult::Succeeded(Value::Null), now());
        end.result = match planned.ends {
            Ending::Well => AttemptResult::Succeeded(Value::Null),
            Ending::Fails(code) => failed(FailureKind::Exit, None, Some(code)),
            Ending::Limited => failed(FailureKind::Exit, Some("RATE_LIMITED"), Some(1)),
            Ending::TooLong => failed(FailureKind::Timeout, None, Some(124)),
            Ending::Lost => AttemptResult::Lost { reason: "no record".into() },
        };
        end.commit = Some(commit_of(id));
        if planned.ends == Ending::Well {
            let used = round.usage;
            end.usage = vec![Usage {
                model: Some("vendor/claude-opus-4-8".into()),
                input_tokens: used.input,
                cached_tokens: used.cached,
                output_tokens: used.output,
                cost_micros: used.micros,
                session: None,
            }];
            if round.finding == Finding::Conflict {
                let path = request.outputs.files["conflict"].path.clone();
                let blob = Blobs::put(&*town.blobs, id.run, evidence::CONFLICT.as_bytes()).unwrap();
                end.artefacts = vec![Artefact { name: "conflict".into(), path, blob }];
            }
        }
        end
    }
}

impl Executor for Workers {
    fn traits(&self, _spec: &Value) -> Traits {
        let paid = self.is_agent;
        let loss = LossTraits { idempotent: false, on_lost: OnLost::Block };
        Traits { supervised: true, loss, paid, reads_input: false }
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let (town, now, is_agent) = (self.town.clone(), self.now.clone(), self.is_agent);
        async move {
            observer.started();
            if is_agent {
                return Self::agent(&town, &request, &now).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut end = AttemptEnd::new(AttemptResult::Succeeded(Value::Null), now());
            end.commit = Some(commit_of(&request.id));
            end
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.start(request, observer)
    }

    fn cancel(&self, _request: AttemptRequest) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// Functions: those of Plane are the real ones, those of git do as the plan says.
struct Calls {
    town: Arc<Town>,
    real: Arc<dyn Executor>,
    now: Now,
}

impl Executor for Calls {
    fn traits(&self, spec: &Value) -> Traits {
        self.real.traits(spec)
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        self.real.services(spec)
    }

    fn unknown(&self, spec: &Value) -> Option<Failure> {
        self.real.unknown(spec)
    }

    fn is_outage(&self, failure: &Failure) -> bool {
        self.real.is_outage(failure)
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let (town, real, now) = (self.town.clone(), self.real.clone(), self.now.clone());
        async move {
            let (id, name) =
                (request.id.clone(), request.spec["name"].as_str().unwrap_or_default().to_owned());
            let (step, round) = (id.attempt.path.step.to_string(), id.attempt.round.0);
            if let Some(issue) = request.spec["with"]["issue"].as_str() {
                town.note_run(id.run, issue);
            }
            let ended = |result| AttemptEnd::new(result, now());
            let Some((number, task)) = town.task_of(id.run) else {
                return ended(AttemptResult::Failed(Failure::new(FailureKind::Error, "of no task")));
            };
            match name.as_str() {
                "git.free_branch" => {
                    ended(AttemptResult::Succeeded(json!({ "branch": request.spec["with"]["name"] })))
                }
                "git.open_pr" if step == "pr" && task.closed.contains(&round) => {
                    ended(AttemptResult::Failed(Failure::new(FailureKind::Error, "Gitea answered 500")))
                }
                "git.open_pr" => {
                    let pull = town.seen().open_pull_request(number);
                    ended(AttemptResult::Succeeded(json!({ "number": pull })))
                }
                "git.merge_pr" => {
                    let pull = town.seen().merge_pull_request(number);
                    ended(AttemptResult::Succeeded(json!({ "number": pull, "state": "merged" })))
                }
                _of_plane => {
                    let is_unread = task.unread.iter().any(|(of, at)| *of == step && *at == round);
                    let fault = match step.as_str() {
                        "issue" => town.plane_fault(&format!("{number} issue {round}"), 1, "GET"),
                        _ => is_unread.then_some(("GET", ServiceFault::Status(500))),
                    };
                    town.asked(fault, None, real.start(request, observer)).await
                }
            }
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.start(request, observer)
    }

    fn cancel(&self, _request: AttemptRequest) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

/// Evidence: that of a start is read from Plane, the rest is as the plan says.
struct Looks {
    town: Arc<Town>,
    real: Arc<dyn Prober>,
    kind: String,
}

impl Prober for Looks {
    fn services(&self, spec: &Value) -> Vec<Service> {
        self.real.services(spec)
    }

    fn unknown(&self, spec: &Value) -> Option<Failure> {
        self.real.unknown(spec)
    }

    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let (town, real, kind) = (self.town.clone(), self.real.clone(), self.kind.clone());
        async move {
            if request.spec["name"] == "plane.issue" {
                town.note_run(request.id.run, request.spec["with"]["issue"].as_str().unwrap_or_default());
                let is_hidden = town.task_of(request.id.run).is_some_and(|(number, _)| town.hides(number));
                let fault = is_hidden.then_some(("GET", ServiceFault::Status(502)));
                return town.asked(fault, None, real.probe(request)).await;
            }
            evidence::of(&town, &kind, &request)
        }
        .boxed()
    }
}

/// Notices, by the real functions, to services that fail.
struct Messages {
    town: Arc<Town>,
    real: Arc<dyn Notifier>,
}

impl Notifier for Messages {
    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<NoticeReceipt, NoticeFailure>> {
        let (town, real) = (self.town.clone(), self.real.clone());
        async move {
            let (attempt, run) = (request.attempt, request.run);
            let number = town.task_of(run).map(|(number, _)| number);
            let about = format!("{number:?} {} {}", request.version, request.notice);
            let state =
                (request.notice == "state").then(|| request.with["state"].as_str().unwrap().to_owned());
            let issue = request.with["issue"].as_str().map(str::to_owned);
            if town.is_unheard(&about, attempt) {
                tokio::time::sleep(Duration::from_secs(10)).await;
                return Err(NoticeFailure::passing("no answer within 10 s"));
            }
            let mut luck = town.luck(&format!("{about} {attempt}"));
            let (plane, telegram) = match request.function.as_str() {
                "plane.comment" => (town.plane_fault(&about, attempt, "POST"), None),
                "plane.set_state" => {
                    (town.plane_fault(&about, attempt, if luck.is_one_of(2) { "GET" } else { "PATCH" }), None)
                }
                "telegram.ping" if luck.is_one_of(7) => {
                    let text = request.with["text"].as_str().unwrap_or_default().to_owned();
                    town.seen().rung_again.extend(number.map(|number| (number, text)));
                    (None, Some(ServiceFault::LostAnswer))
                }
                "telegram.live" if luck.is_one_of(7) && town.seen().live.contains(&run) => (
                    None,
                    Some(if luck.is_one_of(2) {
                        ServiceFault::LostAnswer
                    } else {
                        ServiceFault::Status(502)
                    }),
                ),
                _limited if luck.is_one_of(7) => (None, Some(ServiceFault::Limited(1 + luck.below(40)))),
                _well => (None, None),
            };
            let is_live = request.function == "telegram.live";
            let done = town.asked(plane, telegram, real.notify(request)).await;
            let mut left = done.iter().filter_map(|receipt| receipt.reason.as_ref());
            if let Some(left) = left.find(|left| left.contains("not overridden")) {
                town.violated(format!("{issue:?} is to stand in {state:?}, but {left}"));
            }
            if is_live && done.is_ok() {
                town.seen().live.insert(run);
            }
            if let (Some(state), Some(issue), Ok(_)) = (state, issue, &done) {
                let number = town.issues.iter().position(|known| *known == issue).unwrap();
                town.given(number, &state, about);
            }
            done
        }
        .boxed()
    }

    fn receiver(&self, function: &str, with: &Value) -> Value {
        self.real.receiver(function, with)
    }
}

/// Runs by their labels, asked of the engine itself.
struct Runs(Arc<Town>);

impl Directory for Runs {
    fn runs(&self, query: RunQuery) -> BoxFuture<'static, Result<FoundRuns, DirectoryError>> {
        let town = self.0.clone();
        async move {
            let engine = town.engine.get().expect("it asks only when it is open");
            let known: Vec<RunId> = town.seen().runs.keys().copied().collect();
            let mut found = FoundRuns::default();
            for run in known {
                let shown = engine.with_state(run, move |state| FoundRun {
                    run,
                    pipeline: state.definition().name.clone(),
                    title: None,
                    labels: state.labels().clone(),
                    status: state.status(),
                    started_at: state.started().map_or(Timestamp(0), |(_, at)| at),
                });
                let shown = match shown.await {
                    // A start that waits has an id, and no run.
                    Err(QueryError::NotFound(_)) => continue,
                    shown => shown.map_err(|error| DirectoryError(error.to_string()))?,
                };
                found.runs.extend(Some(shown).filter(|shown| query.fits(shown)));
            }
            found.total = found.runs.len() as u64;
            Ok(found)
        }
        .boxed()
    }
}

/// Worktrees that are never made.
struct Worktrees(Layout);

impl Workspaces for Worktrees {
    fn prepare(
        &self,
        run: RunId,
        request: WorkspaceRequest,
    ) -> BoxFuture<'static, Result<Workspace, Failure>> {
        let made = match request {
            WorkspaceRequest::Git { repository, branch, .. } => Ok(Workspace {
                path: self.0.worktrees().join(run.to_string()).to_string_lossy().into_owned(),
                repository: Some(repository.to_string_lossy().into_owned()),
                branch: Some(branch),
                base: Some("main".into()),
                commit: Some("0".repeat(40)),
            }),
            WorkspaceRequest::Dir(path) => Err(Failure::new(FailureKind::Spawn, path.display().to_string())),
        };
        std::future::ready(made).boxed()
    }

    fn release(
        &self,
        _run: RunId,
        _workspace: Workspace,
        _keep: Keep,
        _keep_branch: bool,
        _succeeded: bool,
    ) -> BoxFuture<'static, Released> {
        std::future::ready(Released::Removed).boxed()
    }

    fn left(&self) -> BoxFuture<'static, HashSet<RunId>> {
        std::future::ready(HashSet::new()).boxed()
    }

    fn sweep(&self, _fates: BTreeMap<RunId, Fate>) -> BoxFuture<'static, BTreeMap<RunId, String>> {
        std::future::ready(BTreeMap::new()).boxed()
    }
}

/// What an approval shows.
struct Pages;

impl Inspector for Pages {
    fn look(&self, request: LookRequest) -> BoxFuture<'static, Result<Vec<SeenPart>, Failure>> {
        let part = |path: &String| SeenPart {
            kind: SeenKind::File,
            what: path.clone(),
            hash: Some(Hash::of(path.as_bytes()).to_string()),
        };
        std::future::ready(Ok(request.spec.files.keys().map(part).collect())).boxed()
    }
}
