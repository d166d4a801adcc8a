//! Evidence and workspaces: asked for, waited for, reported.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt as _;
use tracing::Instrument as _;

use crate::error::QueryError;
use crate::failures::unknown;
use crate::limits::Class;
use crate::messages::Queued;
use crate::panic::panic_text;
use crate::retry::Patience;
use crate::run::loaded_run::{LoadedRun, Probing, WorkspaceStage};
use crate::runtime::Runtime;
use crate::scheduler::breaker::ServiceOutcome;
use crate::scheduler::places::QueueStanding;
use crate::shard::core::ShardCore;
use crate::shard::job_done::{JobDone, WantedBy};
use crate::work::request;
use crate::work::run_span;
use crate::work::work_done::{MadeWorkspace, ProbeResult, WorkDone};
use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_base::id::{AttemptId, EffectId, InputId, RunId};
use everfold_base::json::{DEPTH_MAX, JsonText, Value};
use everfold_core::artefact::Workspace;
use everfold_core::decide::plan;
use everfold_core::effect::Touched;
use everfold_core::input::{InputKind, SharedFrom};
use everfold_core::state::RunState;
use everfold_language::definition::WorkspaceSpec;
use everfold_language::expr::EvalError;
use everfold_language::words::Save;
use everfold_ports::ProbeFailure;
use everfold_system::clock::Stopwatch;

impl ShardCore {
    /// The state lists a probe.
    pub(crate) fn probe_listed(
        &mut self,
        loaded: &mut LoadedRun,
        id: AttemptId,
        gate: String,
        probe_no: u32,
        part: &Touched,
    ) {
        if loaded.probes.contains_key(&(id.clone(), gate.clone(), probe_no)) {
            return;
        }
        let effect = EffectId { run: loaded.run, attempt: id.clone() };
        let refused = |message: String| ProbeFailure::permanent(message);
        let Some(state) = &loaded.state else { return };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| {
                let Some(plan) = plan::probe(state, &id, &gate, &loaded.values.of_plans)? else {
                    return Ok(None);
                };
                let kind = plan.kind.clone();
                let standing = plan::standing(state, &id, &loaded.values.of_plans)?;
                let priority = standing.map_or(0, |standing| standing.priority);
                request::probe(
                    state,
                    &self.shared.layout,
                    &effect,
                    &gate,
                    probe_no,
                    plan,
                    &loaded.values.of_plans,
                )
                .map(|request| Some((kind, request, priority)))
            }));
            match planned {
                Ok(Err(EvalError::Needs(values))) => {
                    let missing = self.shared.values.at_hand(values, &mut loaded.values.of_plans);
                    if !missing.is_empty() {
                        return self.fetch(loaded, missing, WantedBy::Part(part.clone()));
                    }
                }
                other => break other,
            }
        };
        let (prober, request, priority) = match planned {
            Err(panic) => return self.quarantine(loaded, panic_text(panic.as_ref())),
            Ok(Ok(None)) => return,
            Ok(Err(error)) => {
                return self.probed(loaded, id, gate, probe_no, Err(refused(error.to_string())), 0);
            }
            Ok(Ok(Some((kind, request, priority)))) => match self.shared.edge.probers.get(&kind) {
                Some(prober) => (Arc::clone(prober), request, priority),
                None => {
                    let failure = unknown(&kind, "probe", self.shared.edge.probers.keys());
                    let message = format!("{}; {}", failure.message, failure.hint());
                    return self.probed(loaded, id, gate, probe_no, Err(refused(message)), 0);
                }
            },
        };
        let stop = Some((Arc::clone(&prober), request.clone()));
        loaded.probes.insert((id.clone(), gate.clone(), probe_no), Probing { stop });
        let (run, line) = (loaded.run, Arc::clone(&self.shared.scheduler));
        let services = catch_unwind(AssertUnwindSafe(|| prober.services(&request.spec))).unwrap_or_default();
        let needs = line.needs(Class::Probe, &[], &services);
        let said_to = Arc::clone(&line);
        let turn =
            line.probe(effect, gate.clone(), needs, QueueStanding { priority, group: self.group(loaded) });
        let span = run_span::of_probe(run, &id, &gate);
        self.works.spawn(
            async move {
                let mut grant = turn.await;
                grant.begin();
                let watch = Stopwatch::start();
                let probe = AssertUnwindSafe(async move { prober.probe(request).await });
                let result: ProbeResult = match probe.catch_unwind().await {
                    Ok(result) => result.and_then(|evidence| kept(&evidence)),
                    Err(panic) => {
                        let message = format!("the probe {}", panic_text(panic.as_ref()));
                        Err(ProbeFailure::passing(message))
                    }
                };
                if let Err(ProbeFailure { message, again_after: Some(span), .. }) = &result {
                    said_to.leave_alone(&services, *span, message);
                }
                grant.end(outcome(&result));
                let took_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
                WorkDone::Probe { run, id, gate, probe_no, result, took_ms }
            }
            .instrument(span),
        );
    }

    /// Ends the probes of a part whose answers are not needed any more: the run was cancelled, a
    /// rework went on from the step.
    pub(crate) fn stop_probes(&mut self, loaded: &mut LoadedRun, part: &Touched) {
        let (Some(state), Touched::Path(path)) = (&loaded.state, part) else { return };
        for ((id, gate, probe_no), probing) in
            loaded.probes.iter_mut().filter(|((id, ..), _)| id.path == *path)
        {
            if state.is_probing(id, gate, *probe_no) {
                continue;
            }
            let Some((prober, request)) = probing.stop.take() else { continue };
            // Asked here and now: the engine may end before anything of it is polled.
            let Ok(stopped) = catch_unwind(AssertUnwindSafe(|| prober.cancel(request))) else { continue };
            self.jobs.push(Box::pin(async move {
                let _done_or_panicked = AssertUnwindSafe(stopped).catch_unwind().await;
                JobDone::Kept
            }));
        }
    }

    /// A probe ended.
    pub(crate) fn probed(
        &mut self,
        loaded: &mut LoadedRun,
        id: AttemptId,
        gate: String,
        probe_no: u32,
        result: ProbeResult,
        took_ms: u64,
    ) {
        // Until its end is decided, the state goes on listing it.
        loaded.probes.insert((id.clone(), gate.clone(), probe_no), Probing { stop: None });
        let about = InputId::derive(&format!("{}/{id}/probe/{gate}/{probe_no}", loaded.run));
        loaded.push(Queued::own(
            about,
            match result {
                Ok(evidence) => InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms },
                Err(ProbeFailure { message, permanent, .. }) => {
                    InputKind::ProbeFailed { id, gate, probe_no, message, permanent, took_ms, broken: false }
                }
            },
        ));
        self.mark(loaded);
    }

    /// The state lists the workspace.
    pub(crate) fn workspace_listed(&mut self, loaded: &mut LoadedRun, part: &Touched) {
        if loaded.workspace.stage == WorkspaceStage::Preparing {
            return;
        }
        let Some(state) = &loaded.state else { return };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| plan::workspace(state, &loaded.values.of_plans)));
            match planned {
                Ok(Err(EvalError::Needs(values))) => {
                    let missing = self.shared.values.at_hand(values, &mut loaded.values.of_plans);
                    if !missing.is_empty() {
                        return self.fetch(loaded, missing, WantedBy::Part(part.clone()));
                    }
                }
                other => break other,
            }
        };
        let plan = match planned {
            Err(panic) => return self.quarantine(loaded, panic_text(panic.as_ref())),
            Ok(Ok(None)) => return,
            Ok(Ok(Some(plan))) => plan,
            Ok(Err(error)) => {
                let failure = Failure::new(FailureKind::Validation, error.to_string());
                return self.prepared(loaded, Err(failure));
            }
        };
        let Some(request) = request::workspace(state, &self.shared.layout, loaded.run, plan) else {
            let parent = state.parent().map(|parent| parent.run);
            loaded.workspace.stage = WorkspaceStage::Preparing;
            let (run, shared) = (loaded.run, Arc::clone(&self.shared));
            self.works.spawn(async move {
                let result = parents(&shared, parent).await.map(MadeWorkspace::Shared);
                WorkDone::Workspace { run, result: Box::new(result) }
            });
            return;
        };
        let Some(workspaces) = &self.shared.edge.workspaces else {
            let failure = Failure::new(FailureKind::Spawn, "no workspace can be made here").with_hint(
                "run the pipeline with an everfold that makes workspaces, or take `workspace` out",
            );
            return self.prepared(loaded, Err(failure));
        };
        loaded.workspace.stage = WorkspaceStage::Preparing;
        let (run, workspaces) = (loaded.run, Arc::clone(workspaces));
        let span = run_span::of_run(run);
        self.works.spawn(
            async move {
                let prepared = AssertUnwindSafe(async move { workspaces.prepare(run, request).await });
                let result = prepared.catch_unwind().await.unwrap_or_else(|panic| {
                    Err(Failure::new(
                        FailureKind::Spawn,
                        format!("the workspace {}", panic_text(panic.as_ref())),
                    ))
                });
                WorkDone::Workspace { run, result: Box::new(result.map(MadeWorkspace::Own)) }
            }
            .instrument(span),
        );
    }

    /// The workspace is there, or cannot be had.
    pub(crate) fn prepared(&mut self, loaded: &mut LoadedRun, result: Result<MadeWorkspace, Failure>) {
        if let Err(failure) = &result
            && failure.code.as_deref() == Some(NO_ROOM_CODE)
        {
            tracing::warn!(run = %loaded.run, reason = failure.message, "a workspace waits for room on the disk");
            loaded.prepared();
            return self.list_later(loaded);
        }
        // Until its end is decided, the state goes on listing it.
        loaded.workspace.stage = WorkspaceStage::Preparing;
        let about = InputId::derive(&format!("{}/workspace/{}", loaded.run, loaded.version));
        let kind = match result {
            Ok(MadeWorkspace::Own(workspace)) => InputKind::WorkspacePrepared(Ok(workspace)),
            Ok(MadeWorkspace::Shared(shared)) => InputKind::WorkspaceShared(shared),
            Err(failure) => InputKind::WorkspacePrepared(Err(failure)),
        };
        loaded.push(Queued::own(about, kind));
        self.mark(loaded);
    }
}

/// What a probe found, as it is kept.
fn kept(evidence: &Value) -> ProbeResult {
    let text = JsonText::new(evidence);
    match text.depth() {
        0..=DEPTH_MAX => Ok(text),
        deep => Err(ProbeFailure::permanent(format!(
            "the evidence is nested {deep} levels deep; {DEPTH_MAX} are the most"
        ))),
    }
}

/// What the end of a probe says of what it called upon.
fn outcome(result: &ProbeResult) -> ServiceOutcome {
    match result {
        Err(failure) if failure.is_outage => ServiceOutcome::Outage(failure.message.clone()),
        Err(failure) if !failure.permanent => ServiceOutcome::Unknown,
        Ok(_) | Err(_) => ServiceOutcome::Answered,
    }
}

/// The workspace of the run that started this one, as it is now.
async fn parents(shared: &Runtime, parent: Option<RunId>) -> Result<SharedFrom, Failure> {
    let none = |message: &str, hint: &str| Err(Failure::new(FailureKind::Spawn, message).with_hint(hint));
    let Some(owner) = parent else {
        let hint = "start it from a `run` step, or give the pipeline a workspace of its own";
        return none("the pipeline works in its parent's workspace, and no run started this one", hint);
    };
    let look = move |state: &RunState| {
        let workspace = state.workspace().cloned()?;
        let commit = state.commit().map(str::to_owned).or(workspace.commit);
        let (save, author) = match (&state.definition().workspace, state.shared_workspace()) {
            (Some(WorkspaceSpec::Git(git)), _) => {
                // One that is computed is the parent's own: what it is computed from is not known here.
                let author = git.author.as_ref().filter(|author| author.is_constant());
                (git.save, author.and_then(|author| author.source().as_str().map(str::to_owned)))
            }
            (_, Some(shared)) => (shared.save, shared.author.clone()),
            _ => (Save::None, None),
        };
        let workspace = Workspace { commit, ..workspace };
        Some(SharedFrom { workspace, owner, save, author })
    };
    let mut patience = Patience::new(owner, "a run cannot be looked at in whose workspace another one works");
    loop {
        return match shared.with_state(owner, look).await {
            Ok(Some(from)) => Ok(from),
            Ok(None) => {
                let hint = "give the parent a `workspace`; a `run` step with `workspace: none` shares none";
                none("the run that started this one has no workspace", hint)
            }
            // The next engine asks again.
            Err(QueryError::ShuttingDown) => std::future::pending().await,
            Err(error @ QueryError::NotFound(_)) => {
                none(&format!("the workspace of the parent is not known: {error}"), "look at the parent")
            }
            Err(
                error @ (QueryError::SetAside { .. }
                | QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_)),
            ) => {
                patience.wait(&error).await;
                continue;
            }
        };
    }
}
