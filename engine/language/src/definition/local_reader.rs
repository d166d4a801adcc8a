//! The way from the value of `locals` to locals in which no other stands any more.
//!
//! Law: a mistake in a local is reported once, in the local; what uses a broken one is no further problem.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::codes::Code;
use super::files::{FileProblem, LoadedFiles};
use super::local_form::write_expression;
use super::local_writer::LocalWriter;
use super::locals::{Local, LocalValue, Locals, ROOT};
use super::problem::{Problem, SourceText};
use super::source_map::{LocalUse, SourceMap};
use super::written_text::WrittenText;
use super::yaml::{Kind, YamlNode};
use crate::expr::{Expr, TextPart, field_uses, parts};

/// Locals lead to others at most so far.
const DEPTH_MAX: usize = 16;

/// Reads the value of `locals`, and writes those out that stand in others.
pub(super) fn read_locals(
    node: &YamlNode,
    source: &Arc<SourceText>,
    files: &mut LoadedFiles<'_>,
    problems: &mut Vec<Problem>,
) -> Locals {
    let locals = Locals::unread();
    let Kind::Map(entries) = &node.kind else {
        if !node.is_bad() && !node.is_null() {
            let message = format!("`locals` is a map, this is {}", node.what());
            let problem = source.problem(Code::Type, node.span.clone(), message);
            problems.push(problem.hint("write NAME: and what it stands for"));
        }
        return locals;
    };
    let (by_name, open, depths) = Default::default();
    let mut reader = LocalReader { source, files, problems, entries: by_name, open, depths, locals };
    for (key, value) in entries {
        let Some(name) = key.text() else { continue };
        if is_name(name) {
            reader.entries.insert(name, (key, value));
        } else {
            let message = format!("“{name}” cannot be the name of a local");
            let problem = source.problem(Code::Value, key.span.clone(), message);
            reader.problems.push(problem.hint("a letter, then letters, digits and `_`"));
        }
    }
    let names: Vec<&str> = reader.entries.keys().copied().collect();
    for name in names {
        reader.resolve(name);
    }
    reader.locals
}

/// Whether a local can have this name: what stands behind the `.` in an expression.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && Expr::parse(&format!("{ROOT}.{name}")).is_ok()
}

/// Locals while they are read.
struct LocalReader<'a, 'f> {
    source: &'a Arc<SourceText>,
    files: &'a mut LoadedFiles<'f>,
    problems: &'a mut Vec<Problem>,
    entries: BTreeMap<&'a str, (&'a YamlNode, &'a YamlNode)>,
    /// Those that are being written out, outermost first.
    open: Vec<&'a str>,
    /// How many locals stand in a row from each sound one on, itself included: whichever is written out first.
    depths: BTreeMap<&'a str, usize>,
    locals: Locals,
}

impl<'a> LocalReader<'a, '_> {
    /// Writes out a local, and before it those that it names.
    fn resolve(&mut self, name: &'a str) {
        let Some(&(key, node)) = self.entries.get(name) else { return };
        if self.locals.get(name).is_some() {
            return;
        }
        self.open.push(name);
        let before = self.problems.len();
        let mut asked = BTreeSet::new();
        let node = self.with_file(node);
        self.asked(&node, &mut asked);
        let mut is_sound = self.problems.len() == before;
        let mut depth = 1;
        for other in asked {
            let Some((&other, _)) = self.entries.get_key_value(other.as_str()) else { continue };
            if self.open.contains(&other) || self.open.len() == DEPTH_MAX {
                self.report_chain(key, name, other);
                is_sound = false;
            } else {
                self.resolve(other);
                depth = depth.max(1 + self.depths.get(other).copied().unwrap_or_default());
                if depth > DEPTH_MAX && is_sound {
                    self.report_chain(key, name, other);
                    is_sound = false;
                }
            }
        }
        if is_sound {
            self.depths.insert(name, depth);
        }
        self.open.pop();
        let value = if is_sound { self.written(name, key, node) } else { None };
        self.locals.insert(name, Local { key: key.span.clone(), value });
    }

    /// The value, or the text of the file that `{file: PATH}` names; broken where that cannot be had.
    fn with_file(&mut self, node: &YamlNode) -> YamlNode {
        let Some(file) = node.get("file").filter(|_| matches!(&node.kind, Kind::Map(one) if one.len() == 1))
        else {
            return node.clone();
        };
        match self.text_of(file) {
            Some(text) => text,
            None => YamlNode::new(node.span.clone(), Kind::Bad),
        }
    }

    fn text_of(&mut self, file: &YamlNode) -> Option<YamlNode> {
        let mut report = |code, message: String, hint: &str| {
            self.problems.push(self.source.problem(code, file.span.clone(), message).hint(hint));
            None
        };
        let Some(path) = file.text().filter(|path| !file.is_null() && !path.contains("${")) else {
            let message = format!("`file` of a local is a path, this is {}", file.what());
            return report(Code::Type, message, "write { file: texts/comment.html }");
        };
        let content = match self.files.read(path) {
            Ok(Some(content)) => content,
            Ok(None) => {
                let hint = "paths are relative to the pipeline file";
                return report(Code::File, format!("there is no file {path}"), hint);
            }
            Err(FileProblem { code, message, hint }) => return report(code, message, hint),
        };
        // The end of the last line is none of the text's.
        let text = content.strip_suffix('\n').unwrap_or(&content);
        let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
        if self.locals.reserve(text.len(), 1) != Some(true) {
            let message = format!("with {path}, the files of the locals are too large");
            return report(Code::Limit, message, "100,000 values and 4 MiB of text are the most");
        }
        let map = SourceMap::new(SourceText::new(path, &content), (0..=text.len()).collect());
        let mut node = YamlNode::new(file.span.clone(), Kind::Scalar { text, plain: false });
        node.written = Some(Arc::new(map));
        Some(node)
    }

    fn report_chain(&mut self, key: &YamlNode, name: &str, other: &str) {
        let (message, hint) = if self.open.contains(&other) {
            (format!("the local “{name}” leads back to itself"), "take one of the names out of this circle")
        } else {
            let message = format!("more than {DEPTH_MAX} locals stand in a row, from “{name}” by “{other}”");
            (message, "put some of them together")
        };
        self.problems.push(self.source.problem(Code::Template, key.span.clone(), message).hint(hint));
    }

    /// The locals that a value names; reports texts of it that cannot be read.
    fn asked(&mut self, node: &YamlNode, asked: &mut BTreeSet<String>) {
        match &node.kind {
            Kind::Scalar { text, .. } if text.contains("${") => match parts(text) {
                Ok(parts) => {
                    for part in parts {
                        if let TextPart::Expr { expr, .. } = part {
                            asked.extend(
                                field_uses(expr.source(), ROOT).into_iter().filter_map(|it| it.field),
                            );
                        }
                    }
                }
                Err(error) => {
                    let map = node.source_map(self.source);
                    let problem = map.problem_at(Code::Expression, error.offset, error.message);
                    self.problems.push(problem.hinted(error.hint));
                }
            },
            Kind::Scalar { .. } | Kind::Bad => {}
            Kind::List(items) => items.iter().for_each(|item| self.asked(item, asked)),
            Kind::Map(entries) => entries.iter().for_each(|(_, value)| self.asked(value, asked)),
        }
    }

    /// A value with the locals that it names written out.
    fn written(&mut self, name: &str, key: &YamlNode, mut node: YamlNode) -> Option<LocalValue> {
        let mut writer = LocalWriter { locals: &self.locals, source: self.source, problems: self.problems };
        if !writer.data(&mut node) {
            return None;
        }
        let source = Arc::clone(self.source);
        let own = LocalUse { name: name.to_owned(), source, span: key.span.clone() };
        pin(&mut node, self.source);
        let mut expression = WrittenText::empty();
        let is_sound = write_expression(&node, self.source, &own, &mut expression);
        let mut roots = BTreeSet::new();
        find_roots(&node, &mut roots);
        is_sound.then_some(LocalValue { node, expression, roots })
    }
}

/// Gives every text the places of its file, wherever it will stand.
fn pin(node: &mut YamlNode, source: &Arc<SourceText>) {
    match &mut node.kind {
        Kind::Scalar { .. } => node.written = Some(Arc::new(node.source_map(source))),
        Kind::List(items) => items.iter_mut().for_each(|item| pin(item, source)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(_, value)| pin(value, source)),
        Kind::Bad => {}
    }
}

/// The names that a value asks for.
fn find_roots(node: &YamlNode, roots: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Scalar { text, .. } => {
            for part in parts(text).unwrap_or_default() {
                if let TextPart::Expr { expr, .. } = part {
                    roots.extend(expr.chains().iter().map(|chain| chain.path[0].clone()));
                }
            }
        }
        Kind::List(items) => items.iter().for_each(|item| find_roots(item, roots)),
        Kind::Map(entries) => entries.iter().for_each(|(_, value)| find_roots(value, roots)),
        Kind::Bad => {}
    }
}
