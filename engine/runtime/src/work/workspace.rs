//! The workspace of a run: made, or taken over from the run that started it.
//!
//! Law: a workspace that waits for room on the disk is asked for again; any other result is an input of the run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt as _;
use tracing::Instrument as _;

use crate::error::QueryError;
use crate::messages::Queued;
use crate::panic::panic_text;
use crate::redaction::redact_input;
use crate::retry::Patience;
use crate::run::loaded_run::{LoadedRun, WorkspaceStage};
use crate::runtime::Runtime;
use crate::shard::core::ShardCore;
use crate::shard::job_done::WantedBy;
use crate::work::request;
use crate::work::request::saved_as;
use crate::work::run_span;
use crate::work::work_done::{MadeWorkspace, WorkDone};
use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_base::id::{InputId, RunId};
use everfold_core::artefact::Workspace;
use everfold_core::decide::plan;
use everfold_core::effect::Touched;
use everfold_core::event::WorkspaceShared;
use everfold_core::input::InputKind;
use everfold_core::state::RunState;
use everfold_language::definition::WorkspaceSpec;
use everfold_language::expr::EvalError;
use everfold_language::words::Save;

impl ShardCore {
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
            self.spawn_work(run, async move {
                let found = AssertUnwindSafe(parents(&shared, parent)).catch_unwind().await;
                let result = found.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
                WorkDone::Workspace { run, result: Box::new(result.map(MadeWorkspace::Shared)) }
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
        self.spawn_work(
            run,
            async move {
                let prepared = AssertUnwindSafe(async move { workspaces.prepare(run, request).await });
                let result =
                    prepared.catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
                WorkDone::Workspace { run, result: Box::new(result.map(MadeWorkspace::Own)) }
            }
            .instrument(span),
        );
    }

    /// The workspace is made, or cannot be.
    pub(crate) fn prepared(&mut self, loaded: &mut LoadedRun, result: Result<MadeWorkspace, Failure>) {
        if let Err(failure) = &result
            && failure.code.as_deref() == Some(NO_ROOM_CODE)
        {
            tracing::warn!(run = %loaded.run, reason = failure.message, "a workspace waits for room on the disk");
            loaded.prepared();
            return self.list_later(loaded);
        }
        // The state lists it until its end is decided: the stage keeps it from being made once more.
        loaded.workspace.stage = WorkspaceStage::Preparing;
        let about = InputId::derive(&format!("{}/workspace/{}", loaded.run, loaded.version));
        let mut kind = match result {
            Ok(MadeWorkspace::Own(workspace)) => InputKind::WorkspacePrepared(Ok(workspace)),
            Ok(MadeWorkspace::Shared(shared)) => InputKind::WorkspaceShared(shared),
            Err(failure) => InputKind::WorkspacePrepared(Err(failure)),
        };
        if let Some(redactor) = &self.shared.edge.redactor {
            redact_input(&**redactor, &mut kind);
        }
        loaded.push(Queued::own(about, kind));
        self.mark(loaded);
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    Failure::new(FailureKind::Spawn, format!("the workspace {}", panic_text(panic)))
}

/// The workspace of the run that started this one, as it is now.
async fn parents(shared: &Runtime, parent: Option<RunId>) -> Result<WorkspaceShared, Failure> {
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
                // A computed author is the parent's own: the values that it is computed from are not known here.
                let author = git.author.as_ref().filter(|author| author.is_constant());
                (
                    saved_as(state, git.save),
                    author.and_then(|author| author.source().as_str().map(str::to_owned)),
                )
            }
            (_, Some(shared)) => (saved_as(state, shared.save), shared.author.clone()),
            _ => (Save::None, None),
        };
        let workspace = Workspace { commit, ..workspace };
        Some(WorkspaceShared { workspace, owner, save, author })
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
                | QueryError::Panicked(_)
                | QueryError::Busy(_)),
            ) => {
                patience.wait(&error).await;
                continue;
            }
        };
    }
}
