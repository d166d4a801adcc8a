//! Files that a pipeline includes: maps and lists of it that stand beside it.
//!
//! Law: their entries become the pipeline's before anything else is written out or read, and keep the places where they
//! stand. A name means one thing: one that stands twice is refused, whichever files it stands in.

use std::sync::Arc;

use super::codes::Code;
use super::files::{FileProblem, LoadedFiles};
use super::problem::{Problem, SourceText};
use super::similar::similar;
use super::tree_size::size;
use super::yaml::{self, COPIED_BYTES_MAX, Kind, NODES_MAX, YamlNode};

/// The most files that a pipeline includes.
const FILES_MAX: usize = 16;
/// Maps of a pipeline whose entries an included file may have.
const MAPS: [&str; 9] = [
    "config",
    "config_records",
    "labels",
    "locals",
    "on_signal",
    "policies",
    "search",
    "secrets",
    "templates",
];
/// Lists of a pipeline whose items an included file may have.
const LISTS: [&str; 2] = ["notify", "triggers"];

/// Adds what the pipeline's `include` names to its tree; gives the text of which the tree has the places.
pub(super) fn include(
    root: &mut YamlNode,
    source: Arc<SourceText>,
    files: &mut LoadedFiles<'_>,
    problems: &mut Vec<Problem>,
) -> Arc<SourceText> {
    let Some((_, named)) = root.take("include") else { return source };
    let paths = match &named.kind {
        Kind::List(items) => items.as_slice(),
        _one => std::slice::from_ref(&named),
    };
    let mut found: Vec<(Arc<SourceText>, YamlNode)> = Vec::new();
    let mut bytes = source.text().len();
    for (at, path) in paths.iter().enumerate() {
        let mut report = |code, message: String, hint: &str| {
            problems.push(source.problem(code, path.span.clone(), message).hint(hint));
        };
        let Some(name) = path.text().filter(|_| !path.is_null()) else {
            if !path.is_bad() {
                let message = format!("`include` lists paths, this is {}", path.what());
                report(Code::Type, message, "write include: [orch/notices.yaml]");
            }
            continue;
        };
        if at == FILES_MAX {
            report(
                Code::Limit,
                format!("a pipeline includes at most {FILES_MAX} files"),
                "put some of them together",
            );
            break;
        }
        if found.iter().any(|(known, _)| known.name == name) {
            report(Code::DuplicateKey, format!("{name} is included already"), "take one of the two out");
            continue;
        }
        let text = match files.read(name) {
            Ok(Some(text)) => text,
            Ok(None) => {
                report(
                    Code::File,
                    format!("there is no file {name}"),
                    "paths are relative to the pipeline file",
                );
                continue;
            }
            Err(FileProblem { code, message, hint }) => {
                report(code, message, hint);
                continue;
            }
        };
        bytes += text.len();
        if bytes > COPIED_BYTES_MAX {
            report(
                Code::Limit,
                format!("with {name}, the pipeline is too large"),
                "4 MiB are the most, with all files that it includes",
            );
            break;
        }
        let own = SourceText::new(name, &text);
        if let Some(tree) = yaml::read(&own, problems) {
            found.push((own, tree));
        }
    }
    let joined = SourceText::joined(&source, found.iter().map(|(own, _)| own.as_ref()));
    for (own, mut tree) in found {
        shift(&mut tree, joined.start_of(&own.name));
        merge(root, tree, &joined, problems);
    }
    if size(root).nodes > NODES_MAX {
        let message = "with what it includes, the pipeline has too many values";
        let problem = joined.problem(Code::Limit, named.span.clone(), message);
        problems.push(problem.hint("100,000 are the most"));
        root.kind = Kind::Bad;
    }
    joined
}

/// Moves the places of a tree to where its text stands in another.
fn shift(node: &mut YamlNode, by: usize) {
    node.span = node.span.start + by..node.span.end + by;
    match &mut node.kind {
        Kind::List(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
            shift(key, by);
            shift(value, by);
        }),
        Kind::Scalar { .. } | Kind::Bad => {}
    }
}

/// Adds the entries of an included file.
fn merge(root: &mut YamlNode, tree: YamlNode, source: &SourceText, problems: &mut Vec<Problem>) {
    let Kind::Map(parts) = tree.kind else {
        if !matches!(tree.kind, Kind::Bad) {
            let message = format!("an included file is a map, this is {}", tree.what());
            let problem = source.problem(Code::Type, tree.span.start..tree.span.start + 1, message);
            problems.push(
                problem.hint("write templates: and the templates, or another map or list of a pipeline"),
            );
        }
        return;
    };
    for (key, value) in parts {
        let Some(name) = key.text().map(str::to_owned) else { continue };
        if !MAPS.contains(&name.as_str()) && !LISTS.contains(&name.as_str()) {
            problems.push(not_included(&key, &name, source));
            continue;
        }
        if value.is_null() {
            continue;
        }
        let Kind::Map(own) = &mut root.kind else { return };
        let Some((_, present)) =
            own.iter_mut().find(|(own, value)| own.text() == Some(&name) && !value.is_null())
        else {
            own.retain(|(own, _)| own.text() != Some(&name));
            own.push((key, value));
            continue;
        };
        match (&mut present.kind, value.kind) {
            (Kind::Map(present), Kind::Map(added)) => add_entries(present, added, &name, source, problems),
            (Kind::List(present), Kind::List(added)) => present.extend(added),
            (_, Kind::Bad) => {}
            (_, other) => {
                let needed = if LISTS.contains(&name.as_str()) { "a list" } else { "a map" };
                let found = YamlNode::new(value.span, other);
                // Where the pipeline's own is the wrong one, the reader says so.
                if found.what() != needed {
                    let message = format!("`{name}` is {needed}, this is {}", found.what());
                    problems.push(source.problem(Code::Type, key.span, message));
                }
            }
        }
    }
}

fn add_entries(
    present: &mut Vec<(YamlNode, YamlNode)>,
    added: Vec<(YamlNode, YamlNode)>,
    of: &str,
    source: &SourceText,
    problems: &mut Vec<Problem>,
) {
    let known: std::collections::HashMap<String, usize> =
        present.iter().filter_map(|(key, _)| Some((key.text()?.to_owned(), key.span.start))).collect();
    for (key, value) in added {
        let name = key.text().unwrap_or_default();
        match known.get(name) {
            Some(first) => {
                let message = format!("“{name}” of `{of}` stands in {} already", source.place_name(*first));
                let problem = source.problem(Code::DuplicateKey, key.span.clone(), message);
                problems.push(problem.hint("rename one of the two, or take it out"));
            }
            None => present.push((key, value)),
        }
    }
}

fn not_included(key: &YamlNode, name: &str, source: &SourceText) -> Problem {
    let known = || MAPS.into_iter().chain(LISTS);
    let (message, hint) = match similar(name, known()) {
        _ if name == "include" => (
            "an included file includes no others".to_owned(),
            "name them in the pipeline's own `include`".to_owned(),
        ),
        Some(near) => (format!("an included file has no key “{name}”"), format!("did you mean `{near}`?")),
        None => (
            format!("an included file has no key “{name}”"),
            format!("it adds to {}", known().collect::<Vec<_>>().join(", ")),
        ),
    };
    source.problem(Code::UnknownKey, key.span.clone(), message).hint(hint)
}
