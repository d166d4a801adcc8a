//! Pipelines that `run` steps name by path.
//!
//! Law: a definition holds the texts of the pipelines that it names by path or has within its steps, and of the files
//! that those name, all by their path from its own folder. So a child is pinned with its parent: it is the
//! file as it was when the parent was read, wherever and whenever it starts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path};

use super::codes::{Code, Severity};
use super::files::FileSource;
use super::inline::{self, InlinePipeline};
use super::model::{Definition, ExecutorTask, Step, Work, WorkspaceSpec};
use super::pipeline_ref::PipelineRef;
use super::problem::{Problem, Problems, SourceText};
use super::yaml::YamlNode;
use everfold_base::json::Value;

/// Pipelines name each other by path at most so deep.
const DEPTH_MAX: usize = 16;

/// A pipeline that another one holds.
pub(super) enum ChildSource<'a> {
    /// The text of a file at a place.
    File(&'a str, &'a str),
    /// Nodes of the file of the one that holds it.
    Inline(YamlNode),
}

/// Reads a pipeline with its warnings: from its source, its files, and the places of those that are being read,
/// outermost first.
type ReadPipeline<'a> =
    dyn Fn(ChildSource<'_>, &dyn FileSource, &[String]) -> Result<(Definition, Vec<Problem>), Problems> + 'a;

/// The pipelines that `run` steps name by path, read, checked and put into the definition's files.
pub(super) fn collect(
    definition: &mut Definition,
    source: &SourceText,
    files: &dyn FileSource,
    open: &[String],
    mut inline: BTreeMap<String, InlinePipeline>,
    read: &ReadPipeline<'_>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut paths: Vec<String> =
        definition.steps.iter().chain(&definition.on_finish).filter_map(child_path).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        let mut report = |message: String, hint: &str| {
            let at = source.text().find(&path).unwrap_or_default();
            let mut problem = source.problem(Code::File, at..at + path.len(), message);
            problem.hint = Some(hint.to_owned());
            problems.push(problem);
        };
        let Some(place) = beside("", &path) else {
            report(
                format!("{path} leaves the pipeline's folder"),
                "files are named relative to the pipeline and lie beside or below it",
            );
            continue;
        };
        let within: Vec<String> = open.iter().cloned().chain([place.clone()]).collect();
        if let Some(pipeline) = inline.remove(&place) {
            let read = |root| read(ChildSource::Inline(root), files, &within);
            problems.extend(collect_inline(definition, source, &path, place, pipeline, open.len(), read));
            continue;
        }
        if open.len() >= DEPTH_MAX && !open.contains(&place) {
            report(
                format!(
                    "pipelines name each other by path more than {DEPTH_MAX} deep, and {path} is one more"
                ),
                "put some of them together: runs start each other no deeper",
            );
            continue;
        }
        if open.contains(&place) {
            report(
                format!("{path} leads back to itself by path"),
                "save the pipeline and name it: a name is looked up when the child starts",
            );
            continue;
        }
        let text = match files.read(&place) {
            Ok(Some(text)) => text,
            Ok(None) => {
                report(format!("there is no file {path}"), "a name without / or .yaml is a saved pipeline");
                continue;
            }
            Err(why) => {
                report(format!("{path} cannot be read: {why}"), "check the file's rights");
                continue;
            }
        };
        let own_files = Below { folder: folder(&place), files };
        match read(ChildSource::File(&text, &place), &own_files, &within) {
            Ok((child, _)) => {
                let at = source.text().find(&path).unwrap_or_default();
                problems.extend(clashes(definition, &path, &child, source, &(at..at + path.len())));
                let folder = folder(&place);
                let named = child.files.into_iter();
                definition
                    .files
                    .extend(named.filter_map(|(name, text)| Some((beside(&folder, &name)?, text))));
                definition.files.insert(place, text);
            }
            Err(found) => {
                problems.extend(found.0.into_iter().filter(|problem| problem.severity == Severity::Error));
            }
        }
    }
    problems
}

/// The pipeline within a step, read, checked and put into the definition's files; gives what is wrong with it.
fn collect_inline(
    definition: &mut Definition,
    source: &SourceText,
    path: &str,
    place: String,
    pipeline: InlinePipeline,
    depth: usize,
    read: impl FnOnce(YamlNode) -> Result<(Definition, Vec<Problem>), Problems>,
) -> Vec<Problem> {
    let InlinePipeline { root, span } = pipeline;
    if depth >= DEPTH_MAX {
        let message = format!("steps stand within steps more than {DEPTH_MAX} deep");
        return vec![source.problem(Code::Limit, span, message).hint("save the inner pipeline and name it")];
    }
    let text = inline::written(&root);
    let mut found = match read(root) {
        Ok((child, mut warnings)) => {
            warnings.extend(clashes(definition, path, &child, source, &span));
            warnings.extend(uncounted(definition, &child, source, span.clone()));
            definition.files.extend(child.files);
            definition.files.insert(place, text);
            warnings
        }
        Err(found) => found.0,
    };
    // What the pipeline gives to those within it is warned of where it stands.
    found.retain(|problem| problem.severity == Severity::Error || source.holds(&span, problem));
    found
}

/// What the steps that start a child by this path and the steps of the child do to each other: a resource that is held above
/// while it is needed below, and steps below that several items start at the same time, all in the one worktree of the pipeline.
fn clashes(
    definition: &Definition,
    path: &str,
    child: &Definition,
    source: &SourceText,
    span: &Range<usize>,
) -> Vec<Problem> {
    let steps = definition.steps.iter().chain(&definition.on_finish);
    let above: Vec<&Step> = steps.filter(|step| child_path(step).as_deref() == Some(path)).collect();
    let below = || child.steps.iter().chain(&child.on_finish);
    let held = || {
        let holder = above.iter().find(|step| !step.resources.is_empty())?;
        let mut needed = below().flat_map(|step| step.resources.iter().map(move |name| (step, name)));
        let (step, name) = needed.find(|(_, name)| holder.resources.contains(name))?;
        let message =
            format!("{} holds the resource {name} while {} below it needs it, too", holder.id, step.id);
        let hint = format!("take it out of `resources` of {}", holder.id);
        Some(source.problem(Code::HeldResource, span.clone(), message).hint(hint))
    };
    let has_worktree = matches!(definition.workspace, Some(WorkspaceSpec::Git(_) | WorkspaceSpec::Parent));
    let is_shared = has_worktree && child.workspace == Some(WorkspaceSpec::Parent);
    let shared = || {
        let above = above.iter().find(|step| is_shared && step.has_items_at_once())?;
        let step = below().find(|step| step.changes_worktree())?;
        let message = format!("“{}” of items of “{}” may run in one worktree at once", step.id, above.id);
        let hint = "add max_in_flight: 1, or give the items a workspace of their own: `workspace: {git: …}`";
        Some(source.problem(Code::Shared, span.clone(), message).hint(hint))
    };
    held().into_iter().chain(shared()).collect()
}

/// Agents within the steps of a pipeline with budgets, where no budget of these steps counts what they cost.
fn uncounted(
    definition: &Definition,
    child: &Definition,
    source: &SourceText,
    span: Range<usize>,
) -> Option<Problem> {
    if definition.budgets.is_empty() || !child.budgets.is_empty() {
        return None;
    }
    let is_agent =
        |step: &&Step| matches!(&step.work, Some(Work::Task(task)) if task.kind == ExecutorTask::AGENT);
    let agent = child.steps.iter().chain(&child.on_finish).find(is_agent)?;
    let message = format!("no budget counts what {} costs: each item is a run of its own", agent.id);
    let hint =
        "give `foreach` a `budget`; with the `scope` that a budget of the pipeline has, both count together";
    Some(source.problem(Code::Uncounted, span, message).hint(hint))
}

/// The path by which a step names its child, where it does and that is written out.
pub(super) fn child_path(step: &Step) -> Option<String> {
    let Some(Work::Task(task)) = &step.work else { return None };
    if task.kind != ExecutorTask::RUN {
        return None;
    }
    let named = task.spec.source().get("pipeline").and_then(Value::as_str)?;
    (PipelineRef::is_path(named) && !named.contains("${")).then(|| named.to_owned())
}

/// The texts that the pipeline at a path may be made of, as its parent holds them: its own, those of the pipelines within
/// its steps, and files. The pipelines within other steps of the parent are none of them.
pub fn texts_of_child<'a>(
    parent: &'a Definition,
    path: &str,
) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let place = beside("", path);
    let files = parent.files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    files.filter(move |(name, _)| {
        let within = place.as_ref().and_then(|place| name.strip_prefix(place.as_str()));
        within.is_some_and(|rest| rest.is_empty() || inline::is_inline(rest)) || !inline::is_inline(name)
    })
}

/// Files as a pipeline in a folder below names them.
pub(super) struct Below<'a, F: ?Sized> {
    pub(super) folder: String,
    pub(super) files: &'a F,
}

impl<F: FileSource + ?Sized> FileSource for Below<'_, F> {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        match beside(&self.folder, path) {
            Some(place) => self.files.read(&place),
            None => Ok(None),
        }
    }
}

/// The folder of a place, as a place.
pub(super) fn folder(place: &str) -> String {
    Path::new(place).parent().and_then(Path::to_str).unwrap_or_default().to_owned()
}

/// A path from a folder on, without `.` and `..`; `None` where it leaves the top folder.
pub(super) fn beside(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(folder).components().chain(Path::new(path).components()) {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_relative_to_the_top_folder_and_never_above_it() {
        for (folder, path, place) in [
            ("", "./deploy.yaml", Some("deploy.yaml")),
            ("sub", "prompts/x.md", Some("sub/prompts/x.md")),
            ("sub", "../x.yaml", Some("x.yaml")),
            ("", "../x.yaml", None),
            ("sub", "/x.yaml", None),
        ] {
            assert_eq!(beside(folder, path).as_deref(), place, "{folder} {path}");
        }
    }
}
