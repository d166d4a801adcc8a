//! From the core's plans to the requests to executors, probers and workspaces.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::work::look::ApprovedWork;
use everfold_base::data_folder::Layout;
use everfold_base::id::{AttemptId, EffectId, RunId};
use everfold_base::json::Value;
use everfold_core::decide::plan;
use everfold_core::decide::plan::{
    ApprovedPlan, AttemptPlan, ProbePlan, SecretPlan, WorkPlace, WorkspacePlan,
};
use everfold_core::state::RunState;
use everfold_language::definition::{Keep, WorkspaceSpec};
use everfold_language::expr::{EvalError, Loaded};
use everfold_language::words::Save;
use everfold_ports::{
    AttemptRequest, AttemptStop, Fresh, GitWorkdir, ProbeRequest, RequestedFile, RequestedJson,
    RequestedOutputs, Secrets, Workdir, WorkerHold, WorkspaceRequest,
};

/// The time limit of one probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The request to an executor, without the input of the work.
pub(crate) fn attempt(
    state: &RunState,
    layout: &Layout,
    id: &EffectId,
    plan: AttemptPlan,
    loaded: &Loaded,
) -> Result<AttemptRequest, EvalError> {
    Ok(AttemptRequest {
        workdir: workdir(state, layout, id, &plan.place, loaded)?,
        folder: layout.attempt(id),
        id: id.clone(),
        secrets: secrets(state, plan.secrets),
        spec: plan.spec,
        env: plan.env,
        idempotent: plan.idempotent,
        on_lost: plan.on_lost,
        timeout: plan.timeout,
        grace: plan.grace,
        input: Value::Null,
        outputs: outputs(&plan.outputs),
        reset_to: plan.reset_to,
        session: plan.session,
        resumption: plan.resumption,
        held: held(state, &id.attempt),
        stop: AttemptStop::default(),
    })
}

/// The worker that holds an attempt, as it was recorded.
pub(crate) fn held(state: &RunState, id: &AttemptId) -> Option<WorkerHold> {
    state.worker_hold(id).filter(|hold| hold.end.is_none()).cloned()
}

/// An approval without which an attempt does not start. Its bytes lie where they were shown; where the attempt works in a
/// copy of the worktree, it is the copy's that count.
pub(crate) fn approved(
    state: &RunState,
    layout: &Layout,
    request: &AttemptRequest,
    approved: ApprovedPlan,
    loaded: &Loaded,
) -> Result<ApprovedWork, EvalError> {
    let ApprovedPlan { step, refused, parts, place } = approved;
    let is_copy = request.workdir.git.as_ref().is_some_and(|git| git.is_copy);
    let workdir = match place {
        WorkPlace::Workspace if is_copy => request.workdir.clone(),
        place => workdir(state, layout, &request.id, &place, loaded)?,
    };
    Ok(ApprovedWork { step, refused, parts, workdir })
}

/// Where what a task shows lies. `None`: the task is not known.
pub(crate) fn seen_workdir(
    state: &RunState,
    layout: &Layout,
    id: &EffectId,
    loaded: &Loaded,
) -> Result<Option<Workdir>, EvalError> {
    let Some(place) = plan::seen_place(state, &id.attempt, loaded)? else { return Ok(None) };
    workdir(state, layout, id, &place, loaded).map(Some)
}

/// The request to an executor to stop an attempt of which only the name is known.
pub(crate) fn stop(layout: &Layout, id: EffectId) -> AttemptRequest {
    AttemptRequest {
        workdir: Workdir { path: layout.scratch(id.run), git: None },
        folder: layout.attempt(&id),
        id,
        spec: Value::Null,
        env: BTreeMap::new(),
        secrets: Secrets::default(),
        idempotent: None,
        on_lost: None,
        timeout: None,
        grace: Duration::ZERO,
        input: Value::Null,
        outputs: RequestedOutputs::default(),
        reset_to: None,
        session: None,
        resumption: None,
        held: None,
        stop: AttemptStop::default(),
    }
}

/// The request to a prober.
pub(crate) fn probe(
    state: &RunState,
    layout: &Layout,
    id: &EffectId,
    gate: &str,
    probe_no: u32,
    plan: ProbePlan,
    loaded: &Loaded,
) -> Result<ProbeRequest, EvalError> {
    Ok(ProbeRequest {
        workdir: workdir(state, layout, id, &plan.place, loaded)?,
        folder: layout.probe(id, gate, probe_no),
        id: id.clone(),
        gate: gate.to_owned(),
        probe_no,
        secrets: secrets(state, plan.secrets),
        spec: plan.spec,
        env: plan.env,
        timeout: PROBE_TIMEOUT,
        fresh: fresh(&plan.fresh),
    })
}

/// Why work cannot be done in its worktree, where that is one of another data folder: this one was copied, and the work would
/// be done in the original's; or moved, and git knows the worktree by its former place.
pub(crate) fn foreign_worktree(layout: &Layout, workdir: &Workdir) -> Option<String> {
    let git = workdir.git.as_ref().filter(|git| !git.is_copy)?;
    let (here, worktree) = (layout.worktrees(), workdir.path.as_path());
    let folder = worktree.parent()?;
    if folder == here
        || matches!((folder.canonicalize(), here.canonicalize()), (Ok(one), Ok(other)) if one == other)
    {
        return None;
    }
    let (repository, worktree) = (git.repository.display(), worktree.display());
    Some(match folder.exists() {
        true => format!(
            "its worktree {worktree} belongs to another data folder, of which this one is a copy; a step that is begun anew \
             (`everfold restart --from`) gets a worktree here"
        ),
        false => format!(
            "its worktree was {worktree}, in a data folder that was moved since: put the folder back, or link its former \
             path to it; `git -C '{repository}' worktree list` shows what git knows"
        ),
    })
}

/// Where the secrets of a piece of work come from.
pub(crate) fn secrets(state: &RunState, plan: SecretPlan) -> Secrets {
    let SecretPlan { vars, spec, env, role } = plan;
    if state.definition().secrets.is_empty() {
        return Secrets::default();
    }
    let folder = state.cwd().map(PathBuf::from);
    Secrets {
        sources: Arc::new(state.definition().secrets.clone()),
        vars,
        spec,
        env,
        role,
        folder,
        run: state.run(),
    }
}

/// Since when files must have changed, from the document that the core wrote ([`ProbePlan::fresh`]).
fn fresh(document: &Value) -> Option<Fresh> {
    let at = document.get("at")?.as_str()?.parse().ok()?;
    Some(Fresh { commit: document["commit"].as_str().map(str::to_owned), at })
}

/// The request for a workspace. Paths are relative to the folder where the run was started, or to its own.
/// `None`: it is another run's, and none is made.
pub(crate) fn workspace(
    state: &RunState,
    layout: &Layout,
    run: RunId,
    plan: WorkspacePlan,
) -> Option<WorkspaceRequest> {
    let from = state.cwd().map_or_else(|| layout.scratch(run), PathBuf::from);
    match plan {
        WorkspacePlan::Parent => None,
        WorkspacePlan::Dir(dir) => Some(WorkspaceRequest::Dir(from.join(dir))),
        WorkspacePlan::Git { repository, base, from: commit, branch } => {
            let (keep, keep_branch) = keeps(state);
            let repository = from.join(repository);
            Some(WorkspaceRequest::Git { repository, base, from: commit, branch, keep, keep_branch })
        }
    }
}

/// Whether the run's worktree and its branch stay when it has ended.
pub(crate) fn keeps(state: &RunState) -> (Keep, bool) {
    match &state.definition().workspace {
        Some(WorkspaceSpec::Git(git)) => (git.keep, git.keep_branch.unwrap_or(true)),
        Some(WorkspaceSpec::Dir(_) | WorkspaceSpec::Parent) | None => (Keep::Always, true),
    }
}

/// The folder that must be there before work without one of its own can start.
pub(crate) fn folder_to_make(
    request: &AttemptRequest,
    is_supervised: bool,
    layout: &Layout,
) -> Option<PathBuf> {
    let is_scratch = request.workdir.path == layout.scratch(request.id.run);
    (is_supervised && is_scratch).then(|| request.workdir.path.clone())
}

fn workdir(
    state: &RunState,
    layout: &Layout,
    id: &EffectId,
    place: &WorkPlace,
    loaded: &Loaded,
) -> Result<Workdir, EvalError> {
    let outside = || state.cwd().map_or_else(|| layout.scratch(id.run), PathBuf::from);
    let Some(workspace) = state.workspace() else {
        return Ok(match place {
            WorkPlace::Dir(dir) => Workdir { path: outside().join(dir), git: None },
            WorkPlace::Workspace | WorkPlace::Copy(_) | WorkPlace::Outside => {
                Workdir { path: outside(), git: None }
            }
        });
    };
    let path = match place {
        WorkPlace::Dir(dir) => return Ok(Workdir { path: outside().join(dir), git: None }),
        WorkPlace::Outside => return Ok(Workdir { path: outside(), git: None }),
        WorkPlace::Workspace => PathBuf::from(&workspace.path),
        WorkPlace::Copy(_) => layout.copy(id),
    };
    let Some(repository) = workspace.repository.as_ref().map(PathBuf::from) else {
        return Ok(Workdir { path, git: None });
    };
    let unsaved = GitWorkdir {
        save: Save::None,
        message: None,
        author: None,
        base_commit: workspace.commit.clone().unwrap_or_default(),
        is_copy: false,
        repository,
        branch: workspace.branch.clone(),
    };
    let git = match (&state.definition().workspace, state.shared_workspace()) {
        _ if matches!(place, WorkPlace::Copy(_)) => GitWorkdir { is_copy: true, branch: None, ..unsaved },
        (Some(WorkspaceSpec::Git(git)), _) => {
            let save = plan::save(state, &id.attempt, git, loaded)?;
            GitWorkdir {
                save: saved_as(state, git.save),
                message: save.message,
                author: save.author,
                ..unsaved
            }
        }
        // As the owner of the worktree defines it.
        (_, Some(shared)) => {
            GitWorkdir { save: saved_as(state, shared.save), author: shared.author.clone(), ..unsaved }
        }
        _ => unsaved,
    };
    Ok(Workdir { path, git: Some(git) })
}

/// What happens to uncommitted changes: a run that may not act outside pushes nothing.
pub(crate) fn saved_as(state: &RunState, save: Save) -> Save {
    match state.effect_limits() {
        Some(limits) if limits.held && save == Save::Push => Save::Commit,
        _own => save,
    }
}

/// Reads the outputs that a step declares; the core wrote them ([`AttemptPlan::outputs`]).
fn outputs(declared: &Value) -> RequestedOutputs {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let flag = |value: &Value| value.as_bool().unwrap_or(false);
    let fields = |value: &Value| -> BTreeMap<String, Value> {
        value.as_object().map(|fields| fields.clone().into_iter().collect()).unwrap_or_default()
    };
    let file = |file: &Value| RequestedFile {
        path: text(&file["path"]),
        optional: flag(&file["optional"]),
        fresh: flag(&file["fresh"]),
    };
    RequestedOutputs {
        files: fields(&declared["files"])
            .iter()
            .map(|(name, declared)| (name.clone(), file(declared)))
            .collect(),
        json: match &declared["json"] {
            Value::String(word) if word == "stdout" => Some(RequestedJson::Stdout),
            Value::String(word) if word == "lenient" => Some(RequestedJson::Lenient),
            Value::Object(place) => place.get("file").map(|file| RequestedJson::File(text(file))),
            _ => None,
        },
        matches: fields(&declared["matches"])
            .iter()
            .map(|(name, regex)| (name.clone(), text(regex)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn declared_outputs_are_read_as_the_core_writes_them() {
        let read = outputs(&json!({
            "files": {"report": {"path": "docs/r.md", "optional": true, "fresh": false}},
            "json": {"file": "out.json"},
            "matches": {"id": "id=(\\d+)"},
        }));
        assert_eq!(read.files["report"].path, "docs/r.md");
        assert!(read.files["report"].optional && !read.files["report"].fresh);
        assert!(matches!(read.json, Some(RequestedJson::File(file)) if file == "out.json"));
        assert_eq!(read.matches["id"], "id=(\\d+)");
        assert!(matches!(outputs(&json!({"json": "stdout"})).json, Some(RequestedJson::Stdout)));
        assert!(outputs(&json!({"files": {}, "json": null, "matches": {}})).json.is_none());
    }
}
