//! The way from a file to a checked definition, and from a stored document back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::children::{self, Below, ChildSource};
use super::codes::{Code, Severity};
use super::files::{FileSource, LoadedFiles, NoFiles};
use super::local_reader::read_locals;
use super::local_writer::LocalWriter;
use super::locals::Locals;
use super::model::{Definition, Schedule};
use super::problem::{Problem, Problems, SourceText};
use super::read::PipelineReader;
use super::yaml::{Kind, YamlNode};
use super::{check, include, inline, templates, yaml};

/// A definition that may run, with what is only pointed out.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedPipeline {
    /// The definition.
    pub definition: Definition,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<Problem>,
}

/// Reads and checks a pipeline file (YAML or JSON). `name` is the file's name in messages.
///
/// # Errors
/// Every problem at once, in the order of the file; warnings are among them.
pub fn parse(source: &str, name: &str, files: &dyn FileSource) -> Result<CheckedPipeline, Problems> {
    parse_within(source, name, files, &[])
}

/// Reads and checks a pipeline that others hold; `open` are the places of those, outermost first.
fn parse_within(
    source: &str,
    name: &str,
    files: &dyn FileSource,
    open: &[String],
) -> Result<CheckedPipeline, Problems> {
    let mut source = SourceText::new(name, source);
    let mut problems = Vec::new();
    let mut root = yaml::read(&source, &mut problems);
    let mut loaded = LoadedFiles { files, texts: BTreeMap::new() };
    if let Some(root) = &mut root {
        source = include::include(root, source, &mut loaded, &mut problems);
    }
    let locals = match &mut root {
        Some(root) => write_out(root, &source, &mut loaded, &mut problems),
        None => Locals::none(),
    };
    root = root.filter(|root| inline::has_room(root, &source, &mut problems));
    let mut checked = from_tree(root, &source, problems, &locals, files, open)?;
    checked.definition.files.extend(loaded.texts);
    Ok(checked)
}

/// Puts what names stand for in their place: templates and policies, then locals, which those may use.
fn write_out(
    root: &mut YamlNode,
    source: &Arc<SourceText>,
    files: &mut LoadedFiles<'_>,
    problems: &mut Vec<Problem>,
) -> Locals {
    let locals = root.take("locals");
    templates::write_out(root, source, problems);
    let Some((key, locals)) = locals else { return Locals::none() };
    let locals = read_locals(&locals, source, files, problems);
    LocalWriter { locals: &locals, source, problems }.pipeline(root);
    if inline::has_any(root)
        && let Kind::Map(entries) = &mut root.kind
    {
        let node = locals.node(key.span.clone());
        entries.push((key, node));
    }
    locals
}

/// Checks a pipeline of which the tree was read, with these problems so far.
fn from_tree(
    mut root: Option<YamlNode>,
    source: &Arc<SourceText>,
    mut problems: Vec<Problem>,
    locals: &Locals,
    files: &dyn FileSource,
    open: &[String],
) -> Result<CheckedPipeline, Problems> {
    let own = open.last().map(String::as_str);
    let inline = root.as_mut().map(|root| inline::take_out(root, own, source, &mut problems));
    let mut reader = PipelineReader::new(source, files, locals);
    reader.problems = problems;
    let pipeline = root.as_ref().and_then(|root| reader.pipeline(root));
    let mut definition = None;
    if let Some(mut pipeline) = pipeline {
        let upstream =
            check::graph(&mut reader, &mut pipeline.drafts, pipeline.definition.workspace.as_ref());
        check::signals(&mut reader, &pipeline.drafts);
        check::names(&mut reader, &pipeline, upstream.as_ref());
        let (finish, steps): (Vec<_>, Vec<_>) = pipeline.drafts.into_iter().partition(|draft| draft.finish);
        definition = Some(Definition {
            steps: steps.into_iter().map(|draft| draft.step).collect(),
            on_finish: finish.into_iter().map(|draft| draft.step).collect(),
            files: std::mem::take(&mut reader.loaded),
            ..pipeline.definition
        });
    }
    let mut problems = Problems(reader.problems);
    if let Some(definition) = &mut definition {
        let inline = inline.unwrap_or_default();
        problems.0.extend(children::collect(
            definition,
            source,
            files,
            open,
            inline,
            &|child, files, open| {
                let child = match child {
                    ChildSource::File(text, place) => parse_within(text, place, files, open),
                    ChildSource::Inline(root) => {
                        from_tree(Some(root), source, Vec::new(), locals, files, open)
                    }
                };
                child.map(|child| (child.definition, child.warnings))
            },
        ));
    }
    if !own.is_some_and(inline::is_inline) {
        locals.report_unused(source, &mut problems.0);
    }
    problems.sort(&source.name);
    let errors = problems.0.iter().any(|problem| problem.severity == Severity::Error);
    match definition {
        Some(definition) if !errors => Ok(CheckedPipeline { definition, warnings: problems.0 }),
        _ => {
            if !errors {
                // Each refusal pushes its problem; a file without any would be a fault here, and still gets a reason.
                problems.0.push(source.problem(Code::Syntax, 0..0, "this is no pipeline"));
            }
            Err(problems)
        }
    }
}

/// Why a child that is named by path cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChildError {
    /// The parent does not hold it.
    #[error("{0} is not among the files that the pipeline was read with")]
    NoFile(String),
    /// It is no pipeline.
    #[error("{0}")]
    Bad(Problems),
}

/// The pipeline that a parent names by path, or has within its steps.
///
/// # Errors
/// [`ChildError`]: the parent does not hold such a file, or it is no pipeline.
pub fn child(parent: &Definition, path: &str) -> Result<CheckedPipeline, ChildError> {
    let missing = || ChildError::NoFile(path.to_owned());
    let place = children::beside("", path).ok_or_else(missing)?;
    let text = parent.files.get(&place).ok_or_else(missing)?;
    let files = Below { folder: children::folder(&place), files: &parent.files };
    let open = [place.clone()];
    parse_within(text, &place, &files, &open).map_err(ChildError::Bad)
}

/// Why a stored document is no definition.
#[derive(Debug, thiserror::Error)]
#[error("the stored definition cannot be read: {0}")]
pub struct StoredDefinitionError(#[from] serde_json::Error);

impl Definition {
    /// Reads a canonical document back and compiles its expressions; the document was checked
    /// before it was stored.
    ///
    /// # Errors
    /// [`StoredDefinitionError`] for a text that [`Definition::document`] did not write.
    pub fn from_document(text: &str) -> Result<Self, StoredDefinitionError> {
        Ok(serde_json::from_str(text)?)
    }
}

/// Reads and checks a schedule as the language writes it: a map, a cron pattern, or a duration.
///
/// # Errors
/// Every problem at once.
pub fn schedule_of(value: &serde_json::Value) -> Result<Schedule, Problems> {
    let (source, locals) = (SourceText::new("schedule", &value.to_string()), Locals::none());
    let mut reader = PipelineReader::new(&source, &NoFiles, &locals);
    let root = yaml::read(&source, &mut reader.problems);
    let schedule = root.as_ref().and_then(|root| reader.schedule(root));
    match schedule {
        Some(schedule) if reader.problems.is_empty() => Ok(schedule),
        _bad => {
            if reader.problems.is_empty() {
                reader.problems.push(source.problem(Code::Type, 0..0, "this is no schedule"));
            }
            Err(Problems(reader.problems))
        }
    }
}

/// The plain value of a YAML (or JSON) text, as YAML 1.2 reads it; `None` where it is none.
#[must_use]
pub fn value_of(text: &str) -> Option<serde_json::Value> {
    let mut problems = Vec::new();
    let root = yaml::read(&SourceText::new("", text), &mut problems);
    root.filter(|_| problems.is_empty()).map(|root| root.value())
}

/// The plain value of a YAML (or JSON) document.
///
/// # Errors
/// Why it is none, with the places.
pub fn document_of(text: &str, name: &str) -> Result<serde_json::Value, Problems> {
    let mut problems = Vec::new();
    let root = yaml::read(&SourceText::new(name, text), &mut problems);
    match root {
        Some(root) if problems.is_empty() => Ok(root.value()),
        None if problems.is_empty() => Ok(serde_json::Value::Null),
        _broken => Err(Problems(problems)),
    }
}

/// The map that a settings document holds, YAML or JSON; where it holds nothing, an empty one.
///
/// # Errors
/// What is wrong with it, and where.
pub fn settings_of(text: &str, name: &str) -> Result<serde_json::Value, String> {
    match document_of(text, name) {
        Ok(settings @ serde_json::Value::Object(_)) => Ok(settings),
        Ok(serde_json::Value::Null) => Ok(serde_json::Value::Object(serde_json::Map::new())),
        Ok(_other) => Err(format!("{name} holds no map")),
        Err(problems) => {
            let first = problems.0.first();
            let place = first.map(|first| format!(":{}:{}: {}", first.line, first.column, first.message));
            Err(format!("{name}{}", place.unwrap_or_default()))
        }
    }
}
