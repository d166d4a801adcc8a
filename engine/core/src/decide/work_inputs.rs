//! What work is given, as one hash: by it a run finds work of its origin that was given the same.
//!
//! Law: what names the run itself, or the run that it goes on from, counts as equal: ids, short ids, branches; a worktree's
//! path has the id.

use serde_json::{Value as Json, json};

use super::plan;
use crate::state::{Key, RunState};
use everfold_base::id::{AttemptId, StepPath};
use everfold_base::json::{Hash, JsonText, Value};
use everfold_language::definition::{
    ExecutorTask, PipelineRef, Save, StepWorkspace, Work, WorkspaceSpec, texts_of_child,
};
use everfold_language::expr::{EvalError, Loaded};

/// What work finds around it that its parameters do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surroundings {
    /// It looks at nothing.
    Nothing,
    /// The files of this commit.
    Commit(Option<String>),
    /// Files that no commit holds.
    Files,
}

/// The hash of what an attempt is given: its parameters, and the input of the work where `reads_input` says of its kind and
/// its parameters that it reads that. `None`: the attempt is not known.
///
/// # Errors
/// [`EvalError::Needs`] where values must be loaded first.
pub fn of_attempt(
    state: &RunState,
    id: &AttemptId,
    reads_input: &dyn Fn(&str, &Value) -> bool,
    loaded: &Loaded,
) -> Result<Option<Hash>, EvalError> {
    let Some(unit) = state.current(id).and_then(|key| state.unit_at(key)) else { return Ok(None) };
    let document = unit.task.value(loaded)?;
    let mut input = match reads_input(&unit.kind, &document["spec"]) {
        true => plan::work_context(state, id, &document["spec"], loaded)?,
        false => Value::Null,
    };
    if let Json::Object(fields) = &mut input {
        for own in ["run", "round", "attempt"] {
            fields.remove(own);
        }
    }
    let session = state.session(&id.path);
    let pinned = pinned(state, &unit.kind, &document["spec"]);
    let given = json!({
        "kind": unit.kind, "task": document, "input": input, "session": session, "pinned": pinned,
    });
    Ok(Some(hash(state, &given)))
}

/// The hash of the texts of a child that is pinned with its parent: what it does is not said by its name.
fn pinned(state: &RunState, kind: &str, spec: &Value) -> Value {
    let named = spec["pipeline"].as_str().filter(|named| PipelineRef::is_path(named));
    let Some(path) = named.filter(|_| kind == ExecutorTask::RUN) else { return Value::Null };
    let texts: Vec<_> = texts_of_child(state.definition(), path).collect();
    Hash::of(JsonText::new(&json!(texts)).as_str().as_bytes()).to_string().into()
}

/// The hash of what a probe is given. `None`: the gate is not the one that is judged.
///
/// # Errors
/// [`EvalError::Needs`] where values must be loaded first.
pub fn of_probe(
    state: &RunState,
    id: &AttemptId,
    gate: &str,
    loaded: &Loaded,
) -> Result<Option<Hash>, EvalError> {
    let Some(key) = state.current(id) else { return Ok(None) };
    if super::gate::current(state, key.step).is_none_or(|current| current.id != gate) {
        return Ok(None);
    }
    let judging = &state.facts.steps[key.step].judging;
    let mut document = judging.task.value(loaded)?;
    if let Json::Object(fresh) = &mut document["fresh"] {
        // When the round began is no part of what it is about.
        fresh.remove("at");
    }
    Ok(Some(hash(state, &json!({"kind": judging.kind, "task": document}))))
}

/// What the work of a step or item finds around it, as it was scheduled.
#[must_use]
pub fn surroundings(state: &RunState, path: &StepPath) -> Surroundings {
    match state.key(path) {
        Some(key) if leaves_files(state, key) || kind_of(state, key).is_none() => {
            around(state, key, scheduled_head(state, state.scheduled_head(path)))
        }
        Some(_) | None => Surroundings::Nothing,
    }
}

/// What a probe of a step finds around it.
#[must_use]
pub fn surroundings_of_probe(state: &RunState, path: &StepPath) -> Surroundings {
    state.key(path).map_or(Surroundings::Nothing, |key| around(state, key, judged_head(state, path)))
}

fn around(state: &RunState, key: Key, head: Option<String>) -> Surroundings {
    let is_saved = match (&state.definition().workspace, state.shared_workspace()) {
        (Some(WorkspaceSpec::Git(git)), _) => git.save != Save::None,
        (_, Some(shared)) => shared.save != Save::None,
        (Some(_) | None, None) => false,
    };
    match &state.graph.step(key.step).workspace {
        StepWorkspace::Own if state.definition().workspace.is_some() => Surroundings::Commit(head),
        StepWorkspace::Run if is_saved => Surroundings::Commit(head),
        StepWorkspace::Run | StepWorkspace::Own | StepWorkspace::None | StepWorkspace::Dir(_) => {
            Surroundings::Files
        }
    }
}

/// The head of the worktree when work was scheduled: what was recorded of it then, else where the worktree began.
#[must_use]
pub fn scheduled_head(state: &RunState, then: Option<&str>) -> Option<String> {
    let begun = || state.workspace().and_then(|workspace| workspace.commit.clone());
    then.map(str::to_owned).or_else(begun)
}

/// The head of the worktree that the work of a step left, for its gates.
#[must_use]
pub fn judged_head(state: &RunState, path: &StepPath) -> Option<String> {
    let left = state.key(path).and_then(|key| state.facts.steps[key.step].commit.as_deref());
    scheduled_head(state, left.or(state.commit()))
}

/// Whether work that this run made itself may have left other files than the origin's.
#[must_use]
pub fn has_own_files(state: &RunState) -> bool {
    state.made_here().filter_map(|path| state.key(path)).any(|key| leaves_files(state, key))
}

/// Whether the work of a step works on files: requests and runs do not, and functions only where there is a workspace.
fn leaves_files(state: &RunState, key: Key) -> bool {
    match kind_of(state, key) {
        Some(ExecutorTask::COMMAND | ExecutorTask::AGENT) => true,
        Some(ExecutorTask::FUNCTION) => state.definition().workspace.is_some(),
        Some(_) | None => false,
    }
}

fn kind_of(state: &RunState, key: Key) -> Option<&str> {
    match &state.graph.step(key.step).work {
        Some(Work::Task(task)) => Some(&task.kind),
        Some(Work::Approval(_) | Work::Question(_) | Work::Wait(_)) | None => None,
    }
}

fn hash(state: &RunState, given: &Value) -> Hash {
    let mut text = JsonText::new(given).as_str().to_owned();
    let forked = state.facts.started.as_ref().and_then(|started| started.forked.as_ref());
    let branches = [
        state.workspace().and_then(|it| it.branch.as_ref()),
        forked.and_then(|forked| forked.branch.as_ref()),
    ];
    // What was rendered before the fork names its origin. No text of JSON holds the characters that stand for the names.
    let runs = [state.run(), forked.map(|forked| forked.origin.run), state.root()];
    let named = branches.into_iter().flatten().map(|branch| (branch.clone(), "\u{1}"));
    let named = named.chain(runs.into_iter().flatten().map(|run| (run.to_string(), "\u{2}")));
    let named = named.chain(runs.into_iter().flatten().map(|run| (run.short(), "\u{3}")));
    for (name, stands_for) in named.filter(|(name, _)| !name.is_empty()) {
        if text.contains(&name) {
            text = text.replace(&name, stands_for);
        }
    }
    Hash::of(text.as_bytes())
}
