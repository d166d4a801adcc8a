//! Evidence and workspaces: asked for, waited for, reported.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt as _;
use tracing::Instrument as _;

use super::World;
use super::attempt::unknown;
use super::cell::{Cell, Probing};
use super::outcome::{Done, WantedBy};
use super::span;
use super::work::{Made, Probed, WorkDone};
use crate::clock::Stopwatch;
use crate::decide::plan;
use crate::definition::{Save, WorkspaceSpec};
use crate::driver::QueryError;
use crate::driver::limits::Class;
use crate::driver::line::{Outcome, Standing};
use crate::driver::load::panic_text;
use crate::driver::message::Queued;
use crate::driver::patience::Patience;
use crate::driver::request;
use crate::driver::shared::Shared;
use crate::effect::Touched;
use crate::execution::ProbeFailure;
use crate::expr::EvalError;
use crate::failure::{Failure, FailureKind, NO_ROOM_CODE};
use crate::id::{AttemptId, EffectId, InputId, RunId};
use crate::input::InputKind;
use crate::input::SharedFrom;
use crate::json::{DEPTH_MAX, JsonText, Value};
use crate::state::RunState;
use crate::trace::Workspace;

impl World {
    /// The state lists a probe.
    pub(super) fn probe_listed(
        &mut self,
        cell: &mut Cell,
        id: AttemptId,
        gate: String,
        probe_no: u32,
        part: &Touched,
    ) {
        if cell.probes.contains_key(&(id.clone(), gate.clone(), probe_no)) {
            return;
        }
        let effect = EffectId { run: cell.run, attempt: id.clone() };
        let refused = |message: String| ProbeFailure::permanent(message);
        let Some(state) = &cell.state else { return };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| {
                let Some(plan) = plan::probe(state, &id, &gate, &cell.loaded)? else { return Ok(None) };
                let kind = plan.kind.clone();
                let standing = plan::standing(state, &id, &cell.loaded)?;
                let priority = standing.map_or(0, |standing| standing.priority);
                request::probe(state, &self.shared.layout, &effect, &gate, probe_no, plan, &cell.loaded)
                    .map(|request| Some((kind, request, priority)))
            }));
            match planned {
                Ok(Err(EvalError::Needs(values))) => {
                    let missing = self.shared.values.at_hand(values, &mut cell.loaded);
                    if !missing.is_empty() {
                        return self.fetch(cell, missing, WantedBy::Part(part.clone()));
                    }
                }
                other => break other,
            }
        };
        let (prober, request, priority) = match planned {
            Err(panic) => return self.set_aside(cell, panic_text(panic.as_ref())),
            Ok(Ok(None)) => return,
            Ok(Err(error)) => {
                return self.probed(cell, id, gate, probe_no, Err(refused(error.to_string())), 0);
            }
            Ok(Ok(Some((kind, request, priority)))) => match self.shared.edge.probers.get(&kind) {
                Some(prober) => (Arc::clone(prober), request, priority),
                None => {
                    let failure = unknown(&kind, "probe", self.shared.edge.probers.keys());
                    let message = format!("{}; {}", failure.message, failure.hint());
                    return self.probed(cell, id, gate, probe_no, Err(refused(message)), 0);
                }
            },
        };
        let stop = Some((Arc::clone(&prober), request.clone()));
        cell.probes.insert((id.clone(), gate.clone(), probe_no), Probing { stop });
        let (run, line) = (cell.run, Arc::clone(&self.shared.line));
        let services = catch_unwind(AssertUnwindSafe(|| prober.services(&request.spec))).unwrap_or_default();
        let needs = line.needs(Class::Probe, &[], &services);
        let said_to = Arc::clone(&line);
        let turn = line.probe(effect, gate.clone(), needs, Standing { priority, group: self.group(cell) });
        let span = span::of_probe(run, &id, &gate);
        self.works.spawn(
            async move {
                let mut grant = turn.await;
                grant.begin();
                let watch = Stopwatch::start();
                let probe = AssertUnwindSafe(async move { prober.probe(request).await });
                let result: Probed = match probe.catch_unwind().await {
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

    /// Ends the probes of a part whose answers nobody waits for any more: the run was cancelled, a
    /// rework went on from the step.
    pub(super) fn stop_probes(&mut self, cell: &mut Cell, part: &Touched) {
        let (Some(state), Touched::Path(path)) = (&cell.state, part) else { return };
        for ((id, gate, probe_no), probing) in cell.probes.iter_mut().filter(|((id, ..), _)| id.path == *path)
        {
            if state.is_probing(id, gate, *probe_no) {
                continue;
            }
            let Some((prober, request)) = probing.stop.take() else { continue };
            // Asked here and now: the engine may end before anything of it is polled.
            let Ok(stopped) = catch_unwind(AssertUnwindSafe(|| prober.cancel(request))) else { continue };
            self.jobs.push(Box::pin(async move {
                let _done_or_panicked = AssertUnwindSafe(stopped).catch_unwind().await;
                Done::Kept
            }));
        }
    }

    /// A probe ended.
    pub(super) fn probed(
        &mut self,
        cell: &mut Cell,
        id: AttemptId,
        gate: String,
        probe_no: u32,
        result: Probed,
        took_ms: u64,
    ) {
        // Until its end is decided, the state goes on listing it.
        cell.probes.insert((id.clone(), gate.clone(), probe_no), Probing { stop: None });
        let about = InputId::derive(&format!("{}/{id}/probe/{gate}/{probe_no}", cell.run));
        cell.push(Queued::own(
            about,
            match result {
                Ok(evidence) => InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms },
                Err(ProbeFailure { message, permanent, .. }) => {
                    InputKind::ProbeFailed { id, gate, probe_no, message, permanent, took_ms, broken: false }
                }
            },
        ));
        self.mark(cell);
    }

    /// The state lists the workspace.
    pub(super) fn workspace_listed(&mut self, cell: &mut Cell, part: &Touched) {
        if cell.preparing {
            return;
        }
        let Some(state) = &cell.state else { return };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| plan::workspace(state, &cell.loaded)));
            match planned {
                Ok(Err(EvalError::Needs(values))) => {
                    let missing = self.shared.values.at_hand(values, &mut cell.loaded);
                    if !missing.is_empty() {
                        return self.fetch(cell, missing, WantedBy::Part(part.clone()));
                    }
                }
                other => break other,
            }
        };
        let plan = match planned {
            Err(panic) => return self.set_aside(cell, panic_text(panic.as_ref())),
            Ok(Ok(None)) => return,
            Ok(Ok(Some(plan))) => plan,
            Ok(Err(error)) => {
                let failure = Failure::new(FailureKind::Validation, error.to_string());
                return self.prepared(cell, Err(failure));
            }
        };
        let Some(request) = request::workspace(state, &self.shared.layout, cell.run, plan) else {
            let parent = state.parent().map(|parent| parent.run);
            cell.preparing = true;
            let (run, shared) = (cell.run, Arc::clone(&self.shared));
            self.works.spawn(async move {
                let result = parents(&shared, parent).await.map(Made::Shared);
                WorkDone::Workspace { run, result: Box::new(result) }
            });
            return;
        };
        let Some(workspaces) = &self.shared.edge.workspaces else {
            let failure = Failure::new(FailureKind::Spawn, "no workspace can be made here").with_hint(
                "run the pipeline with an everfold that makes workspaces, or take `workspace` out",
            );
            return self.prepared(cell, Err(failure));
        };
        cell.preparing = true;
        let (run, workspaces) = (cell.run, Arc::clone(workspaces));
        let span = span::of_run(run);
        self.works.spawn(
            async move {
                let prepared = AssertUnwindSafe(async move { workspaces.prepare(run, request).await });
                let result = prepared.catch_unwind().await.unwrap_or_else(|panic| {
                    Err(Failure::new(
                        FailureKind::Spawn,
                        format!("the workspace {}", panic_text(panic.as_ref())),
                    ))
                });
                WorkDone::Workspace { run, result: Box::new(result.map(Made::Own)) }
            }
            .instrument(span),
        );
    }

    /// The workspace is there, or cannot be had.
    pub(super) fn prepared(&mut self, cell: &mut Cell, result: Result<Made, Failure>) {
        if let Err(failure) = &result
            && failure.code.as_deref() == Some(NO_ROOM_CODE)
        {
            tracing::warn!(run = %cell.run, reason = failure.message, "a workspace waits for room on the disk");
            cell.preparing = false;
            return self.list_later(cell);
        }
        // Until its end is decided, the state goes on listing it.
        cell.preparing = true;
        let about = InputId::derive(&format!("{}/workspace/{}", cell.run, cell.version));
        let kind = match result {
            Ok(Made::Own(workspace)) => InputKind::WorkspacePrepared(Ok(workspace)),
            Ok(Made::Shared(shared)) => InputKind::WorkspaceShared(shared),
            Err(failure) => InputKind::WorkspacePrepared(Err(failure)),
        };
        cell.push(Queued::own(about, kind));
        self.mark(cell);
    }
}

/// What a probe found, as it is kept.
fn kept(evidence: &Value) -> Probed {
    let text = JsonText::new(evidence);
    match text.depth() {
        0..=DEPTH_MAX => Ok(text),
        deep => Err(ProbeFailure::permanent(format!(
            "the evidence is nested {deep} levels deep; {DEPTH_MAX} are the most"
        ))),
    }
}

/// What the end of a probe says of what it called upon.
fn outcome(result: &Probed) -> Outcome {
    match result {
        Err(failure) if failure.is_outage => Outcome::Outage(failure.message.clone()),
        Err(failure) if !failure.permanent => Outcome::Unknown,
        Ok(_) | Err(_) => Outcome::Answered,
    }
}

/// The workspace of the run that started this one, as it is now.
async fn parents(shared: &Shared, parent: Option<RunId>) -> Result<SharedFrom, Failure> {
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
