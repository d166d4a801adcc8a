//! Starting a child run, as often as it takes.
//!
//! Law: a permanent error is the failure of the attempt; after a passing one the start is tried again under the child's
//! id, so that a start of unknown outcome is never made twice.

use std::sync::Arc;

use crate::error::{PipelineError, QueryError, StartError, SubmitError};
use crate::failures::cancelled;
use crate::limits::DEPTH_MAX;
use crate::retry::{BUSY_AGAIN, Patience};
use crate::run_locks::RunLocks;
use crate::runtime::Runtime;
use crate::start::ancestors;
use crate::start::ancestors::Starved;
use crate::start::submission::StartRequest;
use crate::work::child_run::end::NoOutput;
use crate::work::child_run::parent::{ParentFacts, depth};
use crate::work::child_run::spec::ChildSpec;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::RunId;
use everfold_base::json::JsonText;
use everfold_core::event::Parent;
use everfold_core::input::StartOptions;
use everfold_language::definition::{Definition, PipelineRef};
use everfold_ports::AttemptRequest;

/// Why a child was not started.
enum NotStarted {
    /// It cannot be started; the attempt ends with this.
    ForGood(NoOutput),
    /// Something cannot be read or written now.
    ForNow(String),
    /// The shard of the child is busy.
    Busy,
    /// The disk is full.
    Full,
}

impl From<NoOutput> for NotStarted {
    fn from(no_output: NoOutput) -> Self {
        Self::ForGood(no_output)
    }
}

/// Starts the child, unless it is there or its attempt is being stopped; gives the run to wait for.
pub(crate) async fn start_child(
    locks: &RunLocks,
    shared: &Arc<Runtime>,
    request: &AttemptRequest,
    spec: &ChildSpec,
    id: RunId,
) -> Result<RunId, NoOutput> {
    let mut patience = Patience::new(id, "a child run cannot be started");
    loop {
        let lock = locks.lock(id).await;
        let tried = try_start(shared, request, spec, id).await;
        drop(lock);
        match tried {
            Ok(run) => return Ok(run),
            Err(NotStarted::ForGood(no_output)) => return Err(no_output),
            Err(NotStarted::ForNow(error)) => patience.wait(&error).await,
            Err(NotStarted::Busy) => tokio::time::sleep(BUSY_AGAIN).await,
            // Where the store takes nothing any more the engine ends.
            Err(NotStarted::Full) => drop(shared.until_writable().await.ok_or(NoOutput::Gone)?),
        }
    }
}

async fn try_start(
    shared: &Arc<Runtime>,
    request: &AttemptRequest,
    spec: &ChildSpec,
    id: RunId,
) -> Result<RunId, NotStarted> {
    match is_there(shared, id).await? {
        Some(true) => return Ok(id),
        Some(false) => {}
        None => return Err(NotStarted::ForNow("whether it is there cannot be read".to_owned())),
    }
    let failed = |failure: Failure| NotStarted::ForGood(NoOutput::Failed(failure, None, shared.now()));
    let parent = match shared.with_state(request.id.run, ParentFacts::look(&request.id)).await {
        Ok(parent) => parent,
        Err(QueryError::NotFound(_) | QueryError::ShuttingDown) => return Err(NoOutput::Gone.into()),
        Err(
            error @ (QueryError::SetAside { .. }
            | QueryError::Store(_)
            | QueryError::Full(_)
            | QueryError::Panicked(_)
            | QueryError::Busy(_)),
        ) => return Err(NotStarted::ForNow(error.to_string())),
    };
    if parent.stopping.is_some() {
        return Err(failed(cancelled()));
    }
    if depth(shared, parent.parent).await.ok_or(NoOutput::Gone)? >= DEPTH_MAX {
        return Err(failed(too_deep()));
    }
    let definition = match find(shared, &parent.definition, &spec.pipeline).await {
        Ok(definition) => definition,
        Err(error) if error.is_passing() => return Err(NotStarted::ForNow(error.to_string())),
        Err(error) => return Err(failed(not_found(&error))),
    };
    let above = Parent { run: request.id.run, id: request.id.attempt.clone() };
    let waiting = match ancestors::waiting(shared, id, Some(above.clone())).await {
        Ok(waiting) => waiting,
        Err(QueryError::ShuttingDown) => return Err(NoOutput::Gone.into()),
        // What they hold might be what the child would wait for.
        Err(error) => return Err(NotStarted::ForNow(error.to_string())),
    };
    if let Some(starved) = ancestors::starved(shared.scheduler.config(), &definition, &waiting) {
        return Err(failed(held_above(&spec.pipeline, &starved)));
    }
    let actor = Actor::Run(request.id.run.to_string());
    let options = StartOptions {
        input: JsonText::new(&spec.input),
        title: None,
        labels: spec.labels.clone(),
        cwd: parent.cwd,
        parent: Some(above),
        top: parent.top,
        // Found by its actor.
        initiator: None,
        priority: parent.priority,
    };
    let start = StartRequest { run: Some(id), ..StartRequest::new(definition, options, actor) };
    match Arc::clone(shared).start(start).await {
        // Where its key is held by another run, that one is waited for.
        Ok(started) => Ok(started.run),
        Err(StartError::Exists(_)) => Ok(id),
        Err(StartError::Submit(SubmitError::ShuttingDown)) => Err(NoOutput::Gone.into()),
        Err(StartError::Submit(SubmitError::Full)) => Err(NotStarted::Full),
        Err(StartError::Submit(SubmitError::Busy)) => Err(NotStarted::Busy),
        // Whether it began cannot be known now; its id makes a second start none.
        Err(StartError::Submit(error @ (SubmitError::Store(_) | SubmitError::SetAside { .. }))) => {
            Err(NotStarted::ForNow(error.to_string()))
        }
        Err(StartError::Definition(error)) if error.is_passing() => {
            Err(NotStarted::ForNow(error.to_string()))
        }
        // It brings none: that it uses its parent's could not be noted.
        Err(StartError::Credentials(error)) => Err(NotStarted::ForNow(error.to_string())),
        Err(error) => Err(failed(refused(&spec.pipeline, &error))),
    }
}

/// Whether the child was started; then its shard drives it. `None`: that cannot be known now. One that cannot be read
/// is quarantined whether it is there or not.
async fn is_there(shared: &Runtime, id: RunId) -> Result<Option<bool>, NoOutput> {
    if !shared.drive(id, true).await.map_err(|_ending| NoOutput::Gone)? {
        return Ok(Some(false));
    }
    match shared.store.head(&StreamId::run(id)).await {
        Ok(Some(_)) => Ok(Some(true)),
        Ok(None) | Err(_) => Ok(None),
    }
}

/// The pipeline that a step names: by path one that was read with the parent, else by name.
async fn find(shared: &Runtime, parent: &Definition, named: &str) -> Result<Arc<Definition>, PipelineError> {
    if PipelineRef::is_path(named) {
        shared.children.get(parent, named)
    } else {
        shared.pipeline(&named.parse::<PipelineRef>()?).await
    }
}

fn not_found(error: &PipelineError) -> Failure {
    let hint = match error {
        PipelineError::NotFound(_) | PipelineError::Name(_) => {
            "`everfold pipeline list` shows the names; `everfold pipeline save FILE` adds one"
        }
        PipelineError::NoFile { .. } => {
            "a path must stand in the pipeline as it is, without ${…}, so that it is read with it"
        }
        _unreadable => "the message names what cannot be read",
    };
    Failure::new(FailureKind::Spawn, format!("the child run cannot start: {error}")).with_hint(hint)
}

/// A step of the child would wait for ever.
fn held_above(pipeline: &str, Starved { step, name, holder }: &Starved) -> Failure {
    let message = format!(
        "the child run of “{pipeline}” cannot start: its step {step} needs the resource “{name}”, which run {holder} holds until the child has ended"
    );
    let hint = "leave the resource to the steps of the child, or give it one more slot in the settings";
    Failure { code: Some("RESOURCE_HELD".to_owned()), ..Failure::new(FailureKind::Validation, message) }
        .with_hint(hint)
}

fn refused(pipeline: &str, error: &StartError) -> Failure {
    let (kind, code) = match error {
        StartError::Refused(refusal) => (FailureKind::Validation, Some(refusal.code().to_ascii_uppercase())),
        StartError::UnknownResource { .. } => (FailureKind::Validation, Some("NO_RESOURCE".to_owned())),
        StartError::UnknownWork(_) => (FailureKind::Validation, Some("UNKNOWN_WORK".to_owned())),
        _not_taken => (FailureKind::Spawn, None),
    };
    let failure = Failure::new(kind, format!("the child run of “{pipeline}” cannot start: {error}"));
    Failure { code, ..failure }
}

fn too_deep() -> Failure {
    let message = format!("runs start each other deeper than {DEPTH_MAX}");
    let hint = "a pipeline that starts itself needs a `when` that ends it; a loop is a rework route";
    Failure::new(FailureKind::Spawn, message).with_hint(hint)
}
