//! What the runtime must know to act on an effect.
//!
//! Pure: equal states give equal plans, so an effect that is taken up again after a crash is the
//! same. Values that are not loaded are named ([`EvalError::Needs`]): load them and ask again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

pub use super::multi_probe::KIND as MEMBERS;

use super::acts_as;
use super::scope::RunScope;
use super::seen;
use crate::event::SeenPart;
use crate::state::{Key, Resumption, RunState};
use everfold_base::id::{AttemptId, StepId, Version};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_language::definition::{ExecutorTask, GitWorkspace, OnLost, StepWorkspace, Work, WorkspaceSpec};
use everfold_language::expr::Loaded;
use everfold_language::expr::{EvalError, Hidden, Template};

/// An attempt to make.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptPlan {
    /// The executor.
    pub kind: String,
    /// Its parameters.
    pub spec: Value,
    /// For the process.
    pub env: BTreeMap<String, String>,
    /// What it is given that no state holds.
    pub secrets: SecretPlan,
    /// `{files: {NAME: {path, optional, fresh}}, json: null | "stdout" | "lenient" | {file}, matches: {NAME: REGEX}}`.
    pub outputs: Value,
    /// Whether the step says that repeating does no harm.
    pub idempotent: Option<bool>,
    /// What the step says of its loss.
    pub on_lost: Option<OnLost>,
    /// Whether the step says that it acts outside.
    pub outside: Option<bool>,
    /// The limit of the attempt.
    pub timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Where it runs.
    pub place: WorkPlace,
    /// The commit to which its worktree is brought back first.
    pub reset_to: Option<String>,
    /// The session of an agent that it continues.
    pub session: Option<String>,
    /// It goes on with work that was interrupted.
    pub resumption: Option<Resumption>,
    /// The approvals without which it does not start.
    pub approved: Vec<ApprovedPlan>,
}

/// An approval that work needs, and what it let pass.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovedPlan {
    /// The step that asked for it.
    pub step: StepId,
    /// Why it was not given; `None`: it was.
    pub refused: Option<String>,
    /// The files and the commit that were approved, and texts that may have become files.
    pub parts: Vec<SeenPart>,
    /// Where that step looked.
    pub place: WorkPlace,
}

/// Evidence to collect.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbePlan {
    /// The prober.
    pub kind: String,
    /// Its parameters.
    pub spec: Value,
    /// For the process.
    pub env: BTreeMap<String, String>,
    /// What it is given that no state holds.
    pub secrets: SecretPlan,
    /// Where the judged work ran.
    pub place: WorkPlace,
    /// Since when a file must have changed: `{commit, at}`; null: it need not have.
    pub fresh: Value,
    /// When the gate's time to ask is over.
    pub until: Option<Timestamp>,
}

/// The secrets that work, a probe or a notice is given, by name: their values are in no state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretPlan {
    /// Those that are variables of the process.
    pub vars: Vec<String>,
    /// Texts of the parameters that hold some.
    pub spec: Vec<Hidden>,
    /// Texts of the variables that hold some.
    pub env: Vec<Hidden>,
    /// The role in whose name the work acts, where one of them has a source per role.
    pub role: Option<String>,
}

/// Takes out of a document which of its texts hold secrets.
#[must_use]
pub fn take_hidden(document: &mut Value) -> Vec<Hidden> {
    let noted = document.as_object_mut().and_then(|fields| fields.remove(super::multi_probe::HIDDEN));
    noted.and_then(|noted| serde_json::from_value(noted).ok()).unwrap_or_default()
}

/// Where work runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkPlace {
    /// In the run's workspace.
    Workspace,
    /// In a copy of the run's workspace at this commit, which is thrown away.
    Copy(Option<String>),
    /// Where the run was started, else in a folder of the run's own.
    Outside,
    /// In this folder.
    Dir(String),
}

/// A workspace to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspacePlan {
    /// A worktree of a git repository.
    Git {
        /// The repository's path, as the pipeline has it.
        repository: String,
        /// The branch to start from.
        base: Option<String>,
        /// The commit to start from, where it is not the base's head.
        from: Option<String>,
        /// The run's branch.
        branch: String,
    },
    /// A folder that is there.
    Dir(String),
    /// That of the run that started this one.
    Parent,
}

/// What is committed after an attempt, and its author.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavePlan {
    /// The message; `None`: the engine's own.
    pub message: Option<String>,
    /// The author; `None`: the settings'.
    pub author: Option<String>,
}

/// The plan of an attempt that is listed as an effect, or is to be stopped. `None`: it is not known,
/// or a rework has superseded it ([`executor`]).
///
/// # Errors
/// [`EvalError::Needs`] where values must be loaded first.
pub fn attempt(state: &RunState, id: &AttemptId, loaded: &Loaded) -> Result<Option<AttemptPlan>, EvalError> {
    let Some(key) = state.current(id) else { return Ok(None) };
    let Some(unit) = state.unit_at(key) else { return Ok(None) };
    let mut document = unit.task.value(loaded)?;
    let mut spec = document["spec"].take();
    let approved = seen::approved_parts(document["approved"].take()).into_iter().map(|part| {
        let place = match state.graph.find(&part.step) {
            Some(at) => looked_in(state, Key::step(at), loaded)?,
            None => WorkPlace::Workspace,
        };
        Ok(ApprovedPlan { step: part.step, refused: part.refused, parts: part.parts, place })
    });
    let approved = approved.collect::<Result<_, EvalError>>()?;
    Ok(Some(AttemptPlan {
        approved,
        secrets: secrets(state, key, &mut spec, &mut document),
        kind: unit.kind.clone(),
        env: texts(&document["env"]),
        outputs: document["outputs"].take(),
        idempotent: state.graph.step(key.step).idempotent,
        on_lost: state.graph.step(key.step).on_lost,
        outside: state.graph.step(key.step).outside,
        timeout: unit.timeout_ms.map(Duration::from_millis),
        grace: Duration::from_millis(unit.grace_ms),
        place: match unit.kind.as_str() {
            ExecutorTask::LOOK => looked_in(state, key, loaded)?,
            _other => place(state, key, loaded)?,
        },
        reset_to: state.reset_of(id).cloned(),
        session: state.interrupted_session(id).or_else(|| state.session(&id.path)).cloned(),
        resumption: state.resumption(id, loaded)?,
        spec,
    }))
}

fn secrets(state: &RunState, key: Key, spec: &mut Value, document: &mut Value) -> SecretPlan {
    SecretPlan {
        vars: state.graph.step(key.step).secrets.clone(),
        spec: take_hidden(spec),
        env: take_hidden(document),
        role: document[acts_as::ROLE].as_str().map(ToOwned::to_owned),
    }
}

/// The place of an attempt in the scheduler's queue: its resources and priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePosition<'a> {
    /// The resources that it holds while it runs.
    pub resources: &'a [String],
    /// How urgent it is: its run's priority and its step's.
    pub priority: i32,
}

/// An attempt's [`QueuePosition`]. `None`: it is not known, or a rework has superseded it.
///
/// # Errors
/// [`EvalError`]: values must be loaded first, or `priority` of the step is no number.
pub fn standing<'a>(
    state: &'a RunState,
    id: &AttemptId,
    loaded: &Loaded,
) -> Result<Option<QueuePosition<'a>>, EvalError> {
    let Some(key) = state.current(id) else { return Ok(None) };
    let step = state.graph.step(key.step);
    let own = match &step.priority {
        Some(priority) => priority.resolve(&RunScope::of(state, loaded, key))?,
        None => 0,
    };
    Ok(Some(QueuePosition { resources: &step.resources, priority: state.priority().saturating_add(own) }))
}

/// The executor of an attempt, whether or not a rework has superseded it. `None`: it has none.
#[must_use]
pub fn executor<'a>(state: &'a RunState, id: &AttemptId) -> Option<&'a str> {
    match &state.graph.step(state.key(&id.path)?.step).work {
        Some(Work::Task(task)) => Some(&task.kind),
        // All that they ever start is a look at what is approved.
        Some(Work::Approval(_)) | None => Some(ExecutorTask::LOOK),
        Some(Work::Question(_) | Work::Wait(_)) => None,
    }
}

/// The plan of a probe that is listed as an effect. `None`: it is not known.
///
/// # Errors
/// [`EvalError::Needs`] where values must be loaded first.
pub fn probe(
    state: &RunState,
    id: &AttemptId,
    gate: &str,
    loaded: &Loaded,
) -> Result<Option<ProbePlan>, EvalError> {
    let Some(key) = state.current(id) else { return Ok(None) };
    if super::gate::current(state, key.step).is_none_or(|current| current.id != gate) {
        return Ok(None);
    }
    let judging = &state.facts.steps[key.step].judging;
    let mut document = judging.task.value(loaded)?;
    let mut spec = document["spec"].take();
    Ok(Some(ProbePlan {
        kind: judging.kind.clone(),
        secrets: secrets(state, key, &mut spec, &mut document),
        spec,
        env: texts(&document["env"]),
        place: place(state, key, loaded)?,
        fresh: document["fresh"].take(),
        until: super::gate_poll::ends_at(state, loaded, key.step)?,
    }))
}

/// The plan of the run's workspace. `None`: the pipeline has none.
///
/// # Errors
/// [`EvalError`]: values must be loaded first, or an expression failed.
pub fn workspace(state: &RunState, loaded: &Loaded) -> Result<Option<WorkspacePlan>, EvalError> {
    let scope = RunScope::run(state, loaded);
    let text =
        |template: &Option<Template>| template.as_ref().map(|text| text.render_text(&scope)).transpose();
    Ok(match &state.definition().workspace {
        None => None,
        Some(WorkspaceSpec::Parent) => Some(WorkspacePlan::Parent),
        Some(WorkspaceSpec::Dir(dir)) => Some(WorkspacePlan::Dir(dir.render_text(&scope)?)),
        Some(WorkspaceSpec::Git(git)) => {
            let short = state.run().map(|run| run.short()).unwrap_or_default();
            let forked = state.facts.started.as_ref().and_then(|started| started.forked.as_ref());
            let mut branch = text(&git.branch)?.unwrap_or_else(|| format!("everfold/{short}"));
            let is_taken = forked.is_some_and(|forked| match &forked.branch {
                Some(origin) => origin
                    .strip_prefix(branch.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
                // Its history ends before its origin had one; by now it has.
                None => !branch.contains(&short),
            });
            if is_taken {
                // Its origin's branch stays the origin's, and that of its origin's origin theirs.
                branch = format!("{branch}-{short}");
            }
            Some(WorkspacePlan::Git {
                repository: git.git.render_text(&scope)?,
                base: text(&git.base)?.filter(|base| !base.is_empty()),
                from: forked.and_then(|forked| forked.commit.clone()),
                branch,
            })
        }
    })
}

/// A notice that stands first in its channel.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticePlan {
    /// The version of the event that it reports.
    pub version: Version,
    /// The notice.
    pub notice: String,
    /// The function that delivers it.
    pub function: String,
    /// Its parameters.
    pub with: Value,
    /// Which texts of the parameters hold secrets.
    pub hidden: Vec<Hidden>,
    /// In whose name.
    pub sender: Option<String>,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// The run, as expressions see it at this moment.
    pub of_run: Value,
}

/// The run as expressions see it, and who cancelled it.
#[must_use]
pub fn of_run(state: &RunState, loaded: &Loaded) -> Value {
    use everfold_language::expr::Scope as _;
    let scope = RunScope::run(state, loaded);
    // The names are there, and need no value that is kept elsewhere.
    let named = |path: &[&str]| scope.get(path).ok().flatten().unwrap_or_default();
    let mut run = named(&["run"]);
    run["cancelled"] = named(&["run", "cancelled"]);
    run
}

/// The plan of the notice that is listed for a channel. `None`: there is none.
///
/// # Errors
/// [`EvalError::Needs`] where values must be loaded first.
pub fn notice(state: &RunState, channel: &str, loaded: &Loaded) -> Result<Option<NoticePlan>, EvalError> {
    let Some(first) = state.first_notice(channel) else { return Ok(None) };
    let mut said = first.with.value(loaded)?;
    Ok(Some(NoticePlan {
        version: first.version,
        notice: first.notice.clone(),
        function: first.function.clone(),
        hidden: take_hidden(&mut said),
        with: said["with"].take(),
        sender: said["as"].as_str().map(ToOwned::to_owned),
        queued_at: first.at,
        of_run: of_run(state, loaded),
    }))
}

/// How leftovers of an attempt are committed.
///
/// # Errors
/// [`EvalError`]: values must be loaded first, or an expression failed.
pub fn save(
    state: &RunState,
    id: &AttemptId,
    git: &GitWorkspace,
    loaded: &Loaded,
) -> Result<SavePlan, EvalError> {
    let scope = match state.key(&id.path) {
        Some(key) => RunScope::of(state, loaded, key),
        None => RunScope::run(state, loaded),
    };
    let text =
        |template: &Option<Template>| template.as_ref().map(|text| text.render_text(&scope)).transpose();
    Ok(SavePlan { message: text(&git.message)?, author: text(&git.author)? })
}

/// Where an attempt works. `None`: it is not known, or a rework has superseded it.
///
/// # Errors
/// [`EvalError`]: values must be loaded first, or an expression failed.
pub fn place_of(state: &RunState, id: &AttemptId, loaded: &Loaded) -> Result<Option<WorkPlace>, EvalError> {
    state.current(id).map(|key| place(state, key, loaded)).transpose()
}

fn place(state: &RunState, key: Key, loaded: &Loaded) -> Result<WorkPlace, EvalError> {
    Ok(match &state.graph.step(key.step).workspace {
        StepWorkspace::Run if state.definition().workspace.is_some() => WorkPlace::Workspace,
        StepWorkspace::Own if state.definition().workspace.is_some() => {
            let begun = || state.workspace().and_then(|workspace| workspace.commit.clone());
            WorkPlace::Copy(state.commit().map(str::to_owned).or_else(begun))
        }
        StepWorkspace::Run | StepWorkspace::None | StepWorkspace::Own => WorkPlace::Outside,
        StepWorkspace::Dir(dir) => WorkPlace::Dir(dir.render_text(&RunScope::of(state, loaded, key))?),
    })
}

/// Where what an approval shows lies.
///
/// # Errors
/// [`EvalError`]: values must be loaded first, or an expression failed.
pub fn seen_place(state: &RunState, id: &AttemptId, loaded: &Loaded) -> Result<Option<WorkPlace>, EvalError> {
    state.current(id).map(|key| looked_in(state, key, loaded)).transpose()
}

/// As [`place`]; a copy that is thrown away is shown to no person.
fn looked_in(state: &RunState, key: Key, loaded: &Loaded) -> Result<WorkPlace, EvalError> {
    Ok(match place(state, key, loaded)? {
        WorkPlace::Copy(_) => WorkPlace::Workspace,
        place => place,
    })
}

/// The document that the work of an attempt gets: `{input, config, run, step, round, attempt, with, needs, rework,
/// answers, previous}`, and the item of a `foreach`. Null where the attempt is not known.
///
/// # Errors
/// [`EvalError::Needs`] where values must be loaded first.
pub fn work_context(
    state: &RunState,
    id: &AttemptId,
    spec: &Value,
    loaded: &Loaded,
) -> Result<Value, EvalError> {
    use everfold_language::expr::Scope as _;
    let Some(key) = state.current(id) else { return Ok(Value::Null) };
    let scope = RunScope::of(state, loaded, key);
    let get = |name: &str| scope.get(&[name]).map(Option::unwrap_or_default);
    let step = state.graph.step(key.step);
    let mut needs = serde_json::Map::new();
    let mut missing = Vec::new();
    for need in &step.needs {
        match scope.get(&["steps", need.as_str(), "output"]) {
            Ok(output) => drop(needs.insert(need.to_string(), output.unwrap_or_default())),
            Err(EvalError::Needs(values)) => missing.extend(values),
            Err(failed) => return Err(failed),
        }
    }
    if !missing.is_empty() {
        return Err(EvalError::Needs(missing));
    }
    let mut context = json!({
        "input": get("input")?,
        "config": get("config")?,
        "run": get("run")?,
        "step": step.id,
        "round": state.facts.steps[key.step].round,
        "attempt": get("attempt")?,
        "with": spec.get("with").cloned().unwrap_or_default(),
        "needs": needs,
        "rework": get("rework")?,
        "answers": get("answers")?,
        "previous": scope.last(&state.facts.steps[key.step])?,
    });
    if matches!(&step.work, Some(Work::Task(_))) && key.item.is_some() {
        context["item"] = get("item")?;
        context["index"] = get("index")?;
    }
    if let Some(Resumption { prompt }) = state.resumption(id, loaded)? {
        context["resumed"] = json!({"prompt": prompt});
    }
    Ok(context)
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let fields = map.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
