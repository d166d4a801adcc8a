//! Steps within a `foreach`: a pipeline of their own that the step runs for each item.
//!
//! Law: the tree that the reader gets holds none. In their place stands a `run` of a pipeline that the definition holds
//! as it holds those that are named by path; it is read from the nodes of the file, so that a problem in it has its place
//! there. The place of such a pipeline depends on the ids of steps alone, and with it the hash of the definition.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::codes::Code;
use super::problem::{Problem, SourceText};
use super::read::WORKS;
use super::tree_size::{TreeSize, size};
use super::yaml::{COPIED_BYTES_MAX, Kind, NODES_MAX, YamlNode, json_as_yaml};

/// Where the places of pipelines within pipelines begin: no file is named so by accident.
const MARK: char = '#';
/// The most values that the pipelines within another take over from it, all together.
const COPIED_NODES_MAX: usize = 4 * NODES_MAX;

/// A pipeline within another.
pub(super) struct InlinePipeline {
    pub(super) root: YamlNode,
    /// Where it stands in the file.
    pub(super) span: Range<usize>,
}

/// Takes the steps within `foreach` out of a pipeline's tree; gives them as pipelines, by their places beside it.
/// `own` is the place of the pipeline itself where another one holds it.
pub(super) fn take_out(
    root: &mut YamlNode,
    own: Option<&str>,
    source: &SourceText,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, InlinePipeline> {
    let mut found = BTreeMap::new();
    let head = PipelineHead::of(root);
    let prefix =
        own.and_then(|own| Path::new(own).file_name()).and_then(|name| name.to_str()).unwrap_or_default();
    for part in ["steps", "on_finish"] {
        let Some(Kind::List(steps)) = root.get_mut(part).map(|list| &mut list.kind) else { continue };
        for step in steps {
            let id = step.get("id").and_then(YamlNode::text).unwrap_or_default().to_owned();
            let Some(pipeline) = from_step(step, &head, &id, prefix, source, problems) else { continue };
            found.insert(place(prefix, &id), pipeline);
        }
    }
    found
}

/// Whether what the pipelines within a pipeline take over from it stays within bounds; reports where it does not.
pub(super) fn has_room(root: &YamlNode, source: &SourceText, problems: &mut Vec<Problem>) -> bool {
    let times = within(root);
    if times == 0 {
        return true;
    }
    let taken_over = PipelineHead::of(root).taken_over;
    let sizes: Vec<TreeSize> = taken_over.iter().map(|(_, value)| size(value)).collect();
    let nodes: usize = sizes.iter().map(|size| size.nodes).sum();
    let bytes: usize = sizes.iter().map(|size| size.bytes).sum();
    let fits =
        times.saturating_mul(bytes) <= COPIED_BYTES_MAX && times.saturating_mul(nodes) <= COPIED_NODES_MAX;
    if let (false, Some((key, _))) = (fits, taken_over.first()) {
        let message = "with its steps within `foreach` written out, the pipeline is too large";
        let hint = "`defaults`, `locals` and `secrets` count once for each of them: 400,000 values and 4 MiB are the most";
        problems.push(source.problem(Code::Limit, key.span.clone(), message).hint(hint));
    }
    fits
}

/// Whether pipelines stand within the steps of another.
pub(super) fn has_any(root: &YamlNode) -> bool {
    within(root) > 0
}

/// How many pipelines stand within the steps of another, at any depth.
fn within(pipeline: &YamlNode) -> usize {
    let lists = ["steps", "on_finish"].into_iter().filter_map(|part| pipeline.get(part));
    let steps = lists.flat_map(|list| match &list.kind {
        Kind::List(steps) => steps.as_slice(),
        _other => &[],
    });
    let inner = steps.filter_map(|step| step.get("foreach")).filter(|foreach| foreach.get("steps").is_some());
    inner.map(|foreach| 1 + within(foreach)).sum()
}

/// The place of the pipeline within a step.
fn place(prefix: &str, id: &str) -> String {
    format!("{prefix}{MARK}{id}")
}

/// Whether a path names a pipeline within another.
#[must_use]
pub fn is_inline(path: &str) -> bool {
    path.contains(MARK)
}

/// What a pipeline gives those within it.
struct PipelineHead {
    name: String,
    has_workspace: bool,
    /// `defaults`, without routes, which name steps, `locals`, and `secrets`.
    taken_over: Vec<(YamlNode, YamlNode)>,
}

impl PipelineHead {
    fn of(root: &YamlNode) -> Self {
        let name = root.get("name").and_then(YamlNode::text).unwrap_or("pipeline").to_owned();
        let has_workspace = root.get("workspace").is_some_and(|workspace| !workspace.is_null());
        let mut taken_over = Vec::new();
        if let Kind::Map(entries) = &root.kind {
            for (key, value) in
                entries.iter().filter(|(key, _)| is_named(key, &["defaults", "locals", "secrets"]))
            {
                let mut value = value.clone();
                if let Kind::Map(inner) = &mut value.kind {
                    inner.retain(|(inner, _)| {
                        !(is_named(key, &["defaults"]) && is_named(inner, &["on_fail"]))
                    });
                }
                taken_over.push((key.clone(), value));
            }
        }
        Self { name, has_workspace, taken_over }
    }
}

fn is_named(key: &YamlNode, names: &[&str]) -> bool {
    key.text().is_some_and(|text| names.contains(&text))
}

/// Puts a `run` in the place of the steps within a step, and gives the pipeline that they are.
fn from_step(
    step: &mut YamlNode,
    head: &PipelineHead,
    id: &str,
    prefix: &str,
    source: &SourceText,
    problems: &mut Vec<Problem>,
) -> Option<InlinePipeline> {
    let own_work = WORKS.iter().copied().find(|work| step.get(work).is_some());
    let foreach = step.get_mut("foreach")?;
    let whole = foreach.span.clone();
    let item = foreach.get("as").and_then(YamlNode::text).unwrap_or("item").to_owned();
    let Kind::Map(entries) = &mut foreach.kind else { return None };
    let mut take = |name: &str| {
        let at = entries.iter().position(|(key, _)| key.text() == Some(name))?;
        Some(entries.remove(at))
    };
    let parts = ["steps", "input", "labels", "output", "workspace", "budget"].map(|name| (name, take(name)));
    let [(_, steps), (_, input), (_, labels), (_, output), (_, workspace), (_, budget)] = &parts;
    let Some((steps_key, steps)) = steps else {
        for (name, part) in &parts {
            if let Some((key, _)) = part {
                let message = format!("`{name}` of `foreach` is for its `steps`, and there are none");
                let hint = "write steps: and the steps of an item, or take it out";
                problems.push(source.problem(Code::Combination, key.span.clone(), message).hint(hint));
            }
        }
        return None;
    };
    if let Some(work) = own_work {
        let message = format!("the steps within `foreach` are the work of the step, and so is `{work}`");
        let hint = format!("make `{work}` the first of the steps, or take one of the two out");
        problems.push(source.problem(Code::TwoWorks, steps_key.span.clone(), message).hint(hint));
        return None;
    }
    let at = steps_key.span.clone();
    let text = |text: String| quoted(&at, text);
    let entry = |name: &str, value: YamlNode| (text(name.to_owned()), value);
    let map = |entries: Vec<(YamlNode, YamlNode)>| YamlNode::new(at.clone(), Kind::Map(entries));

    let input = input.as_ref().map(|(_, input)| input);
    let values = input_values(input, &item, &at, source, problems);
    let required = values.iter().map(|(key, _)| text(key.text().unwrap_or_default().to_owned())).collect();
    let properties = values.iter().map(|(key, _)| (key.clone(), map(Vec::new()))).collect();
    let schema = map(vec![
        entry("type", text("object".to_owned())),
        entry("required", YamlNode::new(at.clone(), Kind::List(required))),
        entry("properties", map(properties)),
    ]);

    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-' || c == '/';
    let name = match id.chars().all(is_part) && !id.is_empty() && head.name.chars().all(is_part) {
        true => format!("{}/{id}", head.name),
        // The reader reports the name or the id.
        false => "steps".to_owned(),
    };
    let mut pipeline = vec![entry("name", text(name)), entry("input", schema)];
    match workspace {
        Some(own) => pipeline.push(own.clone()),
        None if head.has_workspace => pipeline.push(entry("workspace", text("parent".to_owned()))),
        None => {}
    }
    pipeline.extend(head.taken_over.iter().cloned());
    pipeline.push((steps_key.clone(), steps.clone()));
    pipeline.extend(budget.clone());
    pipeline.extend(output.clone());
    let root = YamlNode::new(whole.clone(), Kind::Map(pipeline));

    let mut run =
        vec![entry("pipeline", text(format!("./{}", place(prefix, id)))), entry("input", map(values))];
    run.extend(labels.clone());
    let run = entry("run", map(run));
    if let Kind::Map(keys) = &mut step.kind {
        keys.push(run);
    }
    Some(InlinePipeline { root, span: whole })
}

/// A text that stands at a place.
fn quoted(at: &Range<usize>, text: String) -> YamlNode {
    YamlNode::new(at.clone(), Kind::Scalar { text, plain: false })
}

/// The input of the steps within a step: the item, its index, and what `input` adds.
fn input_values(
    input: Option<&YamlNode>,
    item: &str,
    at: &Range<usize>,
    source: &SourceText,
    problems: &mut Vec<Problem>,
) -> Vec<(YamlNode, YamlNode)> {
    let own = [item, "index"].map(|name| (quoted(at, name.to_owned()), quoted(at, format!("${{{name}}}"))));
    let mut values = own.to_vec();
    let Some(input) = input else { return values };
    let Kind::Map(more) = &input.kind else {
        let message = format!("`input` is a map, this is {}", input.what());
        problems
            .push(source.problem(Code::Type, input.span.clone(), message).hint("write NAME: and its value"));
        // The step is read all the same: it has work, and what is wrong with it is said once.
        return values;
    };
    for (key, value) in more {
        if is_named(key, &[item, "index"]) {
            let message = format!("`{}` of the input is the item's own", key.text().unwrap_or_default());
            let problem = source.problem(Code::DuplicateKey, key.span.clone(), message);
            problems.push(problem.hint("give the value another name"));
        } else {
            values.push((key.clone(), value.clone()));
        }
    }
    values
}

/// The text of a tree, on one line: JSON with sorted keys, but that plain values stand as they were written.
pub(super) fn written(node: &YamlNode) -> String {
    let mut text = String::new();
    write(node, &mut text);
    text
}

fn write(node: &YamlNode, text: &mut String) {
    match &node.kind {
        Kind::Scalar { text: plain, plain: true } if !matches!(node.value(), Value::String(_)) => {
            // Nothing is written as nothing.
            text.push_str(if plain.is_empty() { "~" } else { plain });
        }
        Kind::Scalar { text: quoted, .. } => {
            text.push_str(&json_as_yaml(&Value::from(quoted.as_str()).to_string()));
        }
        Kind::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write(item, text);
            }
            text.push(']');
        }
        Kind::Map(entries) => {
            text.push('{');
            let mut entries: Vec<&(YamlNode, YamlNode)> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.text());
            for (at, (key, value)) in entries.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write(key, text);
                text.push_str(": ");
                write(value, text);
            }
            text.push('}');
        }
        Kind::Bad => text.push('~'),
    }
}
