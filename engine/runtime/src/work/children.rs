//! Child runs: the executor of kind `run`.
//!
//! Law: an attempt starts one child, whose id follows from the attempt; that it exists already means
//! that it was started. The child is an ordinary run with a stream of its own. The attempt ends when
//! the child has ended, whichever engine saw to that; so a crash of the engine shows in nothing, and an end
//! that came while no engine ran is seen at once.
//!
//! Starting and stopping the same child never happen at once, and a start that finds its attempt being
//! stopped does not happen: no unknown child is left behind.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Mutex, MutexGuard};

use crate::error::{PipelineError, QueryError, StartError, SubmitError};
use crate::limits::DEPTH_MAX;
use crate::retry::{FAILED_AGAIN, Patience};
use crate::runtime::Runtime;
use crate::start::ancestors;
use crate::start::ancestors::Starved;
use crate::start::submission::{StartRequest, Submission};
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{EffectId, InputId, RunId, StepPath};
use everfold_base::json::{JsonText, Value, canonical};
use everfold_base::time::Timestamp;
use everfold_core::decide::plan;
use everfold_core::event::{Parent, StopReason};
use everfold_core::input::InputKind;
use everfold_core::state::{RunState, RunStatus, StoredValue};
use everfold_language::definition::{Definition, PipelineRef};
use everfold_language::expr::Loaded;
use everfold_language::words::OnLost;
use everfold_ports::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits, Traits,
};

/// Children that start or stop at once without waiting for each other, about.
const DOORS: usize = 64;
/// The pause before something is asked again that was refused as busy.
const AGAIN: Duration = Duration::from_millis(200);

/// Starts child runs and waits for their ends.
pub(crate) struct ChildRuns(Arc<ChildStarter>);

struct ChildStarter {
    shared: Weak<Runtime>,
    doors: [Mutex<()>; DOORS],
}

impl ChildRuns {
    pub(crate) fn new(shared: Weak<Runtime>) -> Self {
        Self(Arc::new(ChildStarter { shared, doors: std::array::from_fn(|_| Mutex::new(())) }))
    }

    fn go(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let Some(shared) = inner.shared.upgrade() else { return std::future::pending().await };
            match child(&inner, &shared, &request, &*observer).await {
                Ok((output, commit, ended_at)) => {
                    AttemptEnd { commit, ..AttemptEnd::new(AttemptResult::Succeeded(output), ended_at) }
                }
                Err(NoOutput::Failed(failure, commit, ended_at)) => {
                    AttemptEnd { commit, ..AttemptEnd::new(AttemptResult::Failed(failure), ended_at) }
                }
                Err(NoOutput::Unreadable(reason)) => {
                    AttemptEnd::new(AttemptResult::Unreadable { reason }, shared.now())
                }
                // The engine ends; the next one goes on with the attempt.
                Err(NoOutput::Gone) => std::future::pending().await,
            }
        })
    }
}

impl Executor for ChildRuns {
    fn traits(&self, _spec: &Value) -> Traits {
        // The child lives on without this process as a supervised one does, and its id makes its start
        // idempotent.
        Traits {
            supervised: true,
            loss: LossTraits { idempotent: true, on_lost: OnLost::Retry },
            paid: false,
            told: false,
        }
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.go(request, observer)
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.go(request, observer)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            if let Some(shared) = inner.shared.upgrade() {
                cancel(&inner, &shared, &request).await;
            }
        })
    }
}

impl ChildStarter {
    async fn door(&self, child: RunId) -> MutexGuard<'_, ()> {
        let (_, low) = child.0.as_u64_pair();
        let at = usize::try_from(low % DOORS as u64).unwrap_or_default();
        self.doors[at].lock().await
    }
}

/// Why there is no output.
enum NoOutput {
    Failed(Failure, Option<String>, Timestamp),
    /// Its stored output is damaged.
    Unreadable(String),
    /// The engine ends.
    Gone,
}

/// What a step says of its child, rendered.
struct WantedChild {
    pipeline: String,
    input: Value,
    labels: std::collections::BTreeMap<String, String>,
    waits: bool,
    leaves: bool,
}

impl WantedChild {
    fn of(spec: &Value) -> Self {
        let labels = spec["labels"].as_object().into_iter().flatten();
        let text = |value: &Value| value.as_str().map_or_else(|| canonical(value), str::to_owned);
        Self {
            pipeline: spec["pipeline"].as_str().unwrap_or_default().to_owned(),
            input: spec.get("input").cloned().unwrap_or_else(|| serde_json::json!({})),
            labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
            waits: spec["wait"].as_bool().unwrap_or(true),
            leaves: spec["on_parent_cancel"].as_str() == Some("leave"),
        }
    }
}

/// Starts the child where it is not there, and waits for its end.
async fn child(
    inner: &ChildStarter,
    shared: &Arc<Runtime>,
    request: &AttemptRequest,
    observer: &dyn AttemptObserver,
) -> Result<(Value, Option<String>, Timestamp), NoOutput> {
    let id = request.id.run.child(&request.id.attempt);
    let wanted = WantedChild::of(&request.spec);
    let id = begin(inner, shared, request, &wanted, id).await?;
    observer.started();
    let attempt = request.id.attempt.clone();
    let is_stopping = move |state: &RunState| state.stopping(&attempt).is_some();
    // One that is to end with its parent is waited for, however it began.
    if !wanted.waits && !look_until_seen(shared, request.id.run, is_stopping).await.ok_or(NoOutput::Gone)? {
        return Ok((serde_json::json!({ "run": id }), None, shared.now()));
    }
    loop {
        // Asked for before the look, so that no end is missed in between.
        let ended = shared.ends.of(id);
        match shared.with_state(id, ChildEnd::of).await {
            Ok(Some(end)) => return end.into_result(shared, id, &wanted.pipeline).await,
            Ok(None) => {}
            // It needs an operator; it is visible in its own right. It may be over when it is seen to.
            Err(QueryError::SetAside { .. }) => {
                tokio::select! {
                    biased;
                    is_seen = ended.seen() => if !is_seen { return Err(NoOutput::Gone) },
                    () = tokio::time::sleep(FAILED_AGAIN) => {}
                }
                continue;
            }
            Err(QueryError::ShuttingDown) => return Err(NoOutput::Gone),
            Err(
                QueryError::NotFound(_)
                | QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_),
            ) => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        }
        if !ended.seen().await {
            return Err(NoOutput::Gone);
        }
    }
}

/// Starts the child, unless it is there or its attempt is being stopped; gives the run to wait for.
async fn begin(
    inner: &ChildStarter,
    shared: &Arc<Runtime>,
    request: &AttemptRequest,
    wanted: &WantedChild,
    id: RunId,
) -> Result<RunId, NoOutput> {
    let failed = |failure: Failure| NoOutput::Failed(failure, None, shared.now());
    let mut patience = Patience::new(id, "a child run cannot be started");
    loop {
        let door = inner.door(id).await;
        match is_there(shared, id).await? {
            Some(true) => return Ok(id),
            Some(false) => {}
            None => {
                drop(door);
                patience.wait(&"whether it is there cannot be read").await;
                continue;
            }
        }
        let look = ChildInheritance::look(&request.id);
        let about = match shared.with_state(request.id.run, look).await {
            Ok(about) => about,
            Err(QueryError::NotFound(_) | QueryError::ShuttingDown) => return Err(NoOutput::Gone),
            Err(
                error @ (QueryError::SetAside { .. }
                | QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_)),
            ) => {
                drop(door);
                patience.wait(&error).await;
                continue;
            }
        };
        if about.stopping.is_some() {
            return Err(failed(crate::failures::cancelled()));
        }
        if depth(shared, about.parent).await.ok_or(NoOutput::Gone)? >= DEPTH_MAX {
            let message = format!("runs start each other deeper than {DEPTH_MAX}");
            let hint = "a pipeline that starts itself needs a `when` that ends it; a loop is a rework route";
            return Err(failed(Failure::new(FailureKind::Spawn, message).with_hint(hint)));
        }
        let definition = match find(shared, &about.definition, &wanted.pipeline).await {
            Ok(definition) => definition,
            Err(error) if error.is_passing() => {
                drop(door);
                patience.wait(&error).await;
                continue;
            }
            Err(error) => return Err(failed(not_found(&error))),
        };
        let above = Parent { run: request.id.run, id: request.id.attempt.clone() };
        let waiting = match ancestors::waiting(shared, id, Some(above)).await {
            Ok(waiting) => waiting,
            Err(QueryError::ShuttingDown) => return Err(NoOutput::Gone),
            // What they hold might be what the child would wait for.
            Err(error) => {
                drop(door);
                patience.wait(&error).await;
                continue;
            }
        };
        if let Some(starved) = ancestors::starved(shared.scheduler.config(), &definition, &waiting) {
            return Err(failed(held_above(&wanted.pipeline, &starved)));
        }
        let start = StartRequest {
            run: Some(id),
            title: None,
            labels: wanted.labels.clone(),
            cwd: about.cwd,
            parent: Some(Parent { run: request.id.run, id: request.id.attempt.clone() }),
            priority: about.priority,
            ..StartRequest::new(
                definition,
                JsonText::new(&wanted.input),
                Actor::Run(request.id.run.to_string()),
            )
        };
        match Arc::clone(shared).start(start).await {
            // Where its key is held by another run, that one is waited for.
            Ok(started) => return Ok(started.run),
            Err(StartError::Exists(_)) => return Ok(id),
            Err(StartError::Submit(SubmitError::ShuttingDown)) => return Err(NoOutput::Gone),
            Err(StartError::Submit(SubmitError::Full)) => {
                drop(door);
                // Where it takes nothing any more the engine ends.
                shared.until_writable().await.ok_or(NoOutput::Gone)?;
            }
            Err(StartError::Submit(SubmitError::Busy)) => {
                drop(door);
                tokio::time::sleep(AGAIN).await;
            }
            // Whether it began cannot be known now; its id makes a second start none.
            Err(StartError::Submit(error @ (SubmitError::Store(_) | SubmitError::SetAside { .. }))) => {
                drop(door);
                patience.wait(&error).await;
            }
            Err(StartError::Definition(error)) if error.is_passing() => {
                drop(door);
                patience.wait(&error).await;
            }
            Err(error) => return Err(failed(refused(&wanted.pipeline, &error))),
        }
    }
}

/// Whether the child was started; then it is gone on with. `None`: that cannot be known now. One that cannot
/// be read is quarantined whether it is there or not.
async fn is_there(shared: &Runtime, id: RunId) -> Result<Option<bool>, NoOutput> {
    if !shared.drive(id, true).await.map_err(|_ending| NoOutput::Gone)? {
        return Ok(Some(false));
    }
    match shared.store.head(&StreamId::run(id)).await {
        Ok(Some(_)) => Ok(Some(true)),
        Ok(None) | Err(_) => Ok(None),
    }
}

/// What a look at a run finds, however often it has to look; `None` where the engine ends, or there is no
/// such run.
async fn look_until_seen<R: Send + 'static>(
    shared: &Runtime,
    run: RunId,
    look: impl Fn(&RunState) -> R + Clone + Send + 'static,
) -> Option<R> {
    let mut patience = Patience::new(run, "a run that a step waits for, or its parent, cannot be looked at");
    loop {
        match shared.with_state(run, look.clone()).await {
            Ok(seen) => return Some(seen),
            Err(QueryError::NotFound(_) | QueryError::ShuttingDown) => return None,
            Err(
                error @ (QueryError::SetAside { .. }
                | QueryError::Store(_)
                | QueryError::Full(_)
                | QueryError::Panicked(_)),
            ) => {
                patience.wait(&error).await;
            }
        }
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
    Failure { code: Some("resource_held".to_owned()), ..Failure::new(FailureKind::Validation, message) }
        .with_hint(hint)
}

fn refused(pipeline: &str, error: &StartError) -> Failure {
    let (kind, code) = match error {
        StartError::Refused(refusal) => (FailureKind::Validation, Some(refusal.code().to_owned())),
        StartError::UnknownResource { .. } => (FailureKind::Validation, Some("no_resource".to_owned())),
        StartError::UnknownWork(_) => (FailureKind::Validation, Some("unknown_work".to_owned())),
        _not_taken => (FailureKind::Spawn, None),
    };
    let failure = Failure::new(kind, format!("the child run of “{pipeline}” cannot start: {error}"));
    Failure { code, ..failure }
}

/// What a child takes over from its parent.
struct ChildInheritance {
    definition: Arc<Definition>,
    cwd: Option<String>,
    priority: i32,
    stopping: Option<StopReason>,
    parent: Option<RunId>,
}

impl ChildInheritance {
    /// A look at the parent, for the attempt that is to be the child.
    fn look(id: &EffectId) -> impl Fn(&RunState) -> Self + Clone + Send + use<> {
        let attempt = id.attempt.clone();
        move |state: &RunState| Self {
            definition: Arc::clone(state.definition()),
            cwd: state.cwd().map(str::to_owned),
            // That of its step, too, as far as that is known without reading a large value.
            priority: match plan::standing(state, &attempt, &Loaded::default()) {
                Ok(Some(standing)) => standing.priority,
                Ok(None) | Err(_) => state.priority(),
            },
            stopping: state.stopping(&attempt),
            parent: state.parent().map(|parent| parent.run),
        }
    }
}

/// How many runs lie above one that has this parent, itself included; counted up to the limit. `None`
/// where the engine ends.
async fn depth(shared: &Runtime, mut parent: Option<RunId>) -> Option<u32> {
    let mut depth = 1;
    while let Some(run) = parent.filter(|_| depth < DEPTH_MAX) {
        depth += 1;
        parent = match shared.with_state(run, |state| state.parent().map(|parent| parent.run)).await {
            Ok(parent) => parent,
            Err(QueryError::ShuttingDown) => return None,
            // One that cannot be read ends the count: what is above it is not known.
            Err(_unreadable) => None,
        };
    }
    Some(depth)
}

/// How a child ended.
struct ChildEnd {
    status: RunStatus,
    output: StoredValue,
    failure: Option<(Failure, Option<StepPath>)>,
    /// The head of the worktree that it shared with its parent.
    commit: Option<String>,
    at: Timestamp,
}

impl ChildEnd {
    fn of(state: &RunState) -> Option<Self> {
        Some(Self {
            status: state.status(),
            output: state.output().clone(),
            failure: state.failure().map(|(failure, path)| (failure.clone(), path.cloned())),
            commit: state.shared_workspace().and_then(|_| state.commit()).map(str::to_owned),
            at: state.ended_at()?,
        })
    }

    async fn into_result(
        self,
        shared: &Runtime,
        id: RunId,
        named: &str,
    ) -> Result<(Value, Option<String>, Timestamp), NoOutput> {
        let Self { status, output, failure, commit, at } = self;
        let short = id.short();
        if status == RunStatus::Succeeded {
            let mut patience = Patience::new(id, "the output of a child run cannot be read");
            loop {
                match shared.kept(id, output.clone()).await {
                    Ok(output) => return Ok((output, commit, at)),
                    // What it is will be known: to fail the step now would be for ever.
                    Err(error) if error.is_passing() => patience.wait(&error).await,
                    Err(error) => {
                        let reason = format!("the output of a child run cannot be read: {error}");
                        return Err(NoOutput::Unreadable(reason));
                    }
                }
            }
        }
        let advice = format!("look at the child: everfold show {short}");
        let failure = match failure {
            Some((cause, path)) => {
                let place = path.map(|path| format!("{path}: ")).unwrap_or_default();
                let detail = match &cause.detail {
                    None => format!("{place}{}: {}", cause.kind, cause.message),
                    Some(more) => format!("{place}{}: {}\n{more}", cause.kind, cause.message),
                };
                let message = format!("child run {short} ({named}) failed: {place}{}", cause.message);
                Failure { message, detail: Some(detail), hint: Some(advice), ..cause }
            }
            None => {
                Failure::new(FailureKind::Cancelled, format!("child run {short} ({named}) was cancelled"))
                    .with_hint(advice)
            }
        };
        Err(NoOutput::Failed(failure, commit, at))
    }
}

/// Cancels the child and waits for its end, unless it is to be left.
async fn cancel(inner: &ChildStarter, shared: &Arc<Runtime>, request: &AttemptRequest) {
    let id = request.id.run.child(&request.id.attempt);
    let look = ChildInheritance::look(&request.id);
    let Some(about) = look_until_seen(shared, request.id.run, look).await else { return };
    let ends_with_run =
        matches!(about.stopping, Some(StopReason::Cancel | StopReason::RunEnded | StopReason::Parent) | None);
    if ends_with_run && WantedChild::of(&request.spec).leaves {
        return;
    }
    let ended = shared.ends.of(id);
    let why = about.stopping.unwrap_or(StopReason::Cancel);
    let submission = Submission {
        run: id,
        kind: InputKind::Cancel { reason: Some(reason(why).to_owned()) },
        actor: Actor::Run(request.id.run.to_string()),
        id: Some(InputId::derive(&format!("{id}/parent/cancel"))),
        dedup: None,
    };
    let mut patience = Patience::new(id, "a child run cannot be cancelled");
    loop {
        // A start that is on its way comes first, so that there is something to cancel.
        let door = inner.door(id).await;
        let cancelled = shared.submit(submission.clone()).await;
        drop(door);
        match cancelled {
            Ok(_) => break,
            Err(SubmitError::Busy) => tokio::time::sleep(AGAIN).await,
            Err(error @ (SubmitError::Full | SubmitError::Store(_) | SubmitError::SetAside { .. })) => {
                patience.wait(&error).await;
            }
            // It never began, or it is over: nothing more can be done.
            Err(_over_or_never_begun) => return,
        }
    }
    if look_until_seen(shared, id, RunState::is_ended).await == Some(false) {
        let _seen_or_gone = ended.seen().await;
    }
}

fn reason(why: StopReason) -> &'static str {
    match why {
        StopReason::Rework => "the step that started it is reworked",
        StopReason::Cancel | StopReason::Parent => "the run that started it was cancelled",
        StopReason::RunEnded => "the run that started it has ended",
        StopReason::Deadline => "the deadline of the step that started it passed",
        StopReason::Timeout => "the time limit of the step that started it passed",
        StopReason::Person => "the step that started it was cancelled",
        StopReason::Budget => "a budget of the run that started it is used up",
        StopReason::Signal => "a signal interrupted the step that started it",
    }
}
