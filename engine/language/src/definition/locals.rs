//! Locals: values with names, written out wherever `local.NAME` stands.
//!
//! Law: what the reader gets, and with it the definition and its hash, holds no local. A mistake in a local is reported
//! once, in the local; what uses a broken one is no further problem.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::codes::Code;
use super::files::{FileProblem, LoadedFiles};
use super::local_form::write_expression;
use super::local_writer::LocalWriter;
use super::problem::{Problem, SourceText};
use super::similar::similar;
use super::source_map::{LocalUse, SourceMap};
use super::written_text::WrittenText;
use super::yaml::{COPIED_BYTES_MAX, Kind, NODES_MAX, YamlNode};
use crate::expr::{Expr, FieldUse, TextPart, field_uses, parts};

/// The root by which expressions name locals.
pub(super) const ROOT: &str = "local";
/// Locals lead to others at most so far.
const DEPTH_MAX: usize = 16;

/// The locals of a pipeline, written out.
#[derive(Debug)]
pub(super) struct Locals {
    by_name: BTreeMap<String, Local>,
    /// Those that something names, be it another one.
    used: RefCell<BTreeSet<String>>,
    /// The bytes and values that may still be written out.
    room: Cell<Option<(usize, usize)>>,
}

/// A value with a name.
#[derive(Debug, Clone)]
pub(super) struct Local {
    /// Where its name stands.
    key: Range<usize>,
    /// What it stands for; `None` where that is broken.
    pub(super) value: Option<LocalValue>,
}

/// What a local stands for.
#[derive(Debug, Clone)]
pub(super) struct LocalValue {
    pub(super) node: YamlNode,
    /// As an expression.
    pub(super) expression: WrittenText,
    /// The names that it asks for.
    pub(super) roots: BTreeSet<String>,
}

impl Locals {
    /// A pipeline without locals.
    pub(super) fn none() -> Self {
        Self { by_name: BTreeMap::new(), used: RefCell::default(), room: Cell::new(None) }
    }

    /// Reads the value of `locals`, and writes those out that stand in others.
    pub(super) fn read(
        node: &YamlNode,
        source: &Arc<SourceText>,
        files: &mut LoadedFiles<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let locals = Self { room: Cell::new(Some((COPIED_BYTES_MAX, NODES_MAX))), ..Self::none() };
        let Kind::Map(entries) = &node.kind else {
            if !node.is_bad() && !node.is_null() {
                let message = format!("`locals` is a map, this is {}", node.what());
                let problem = source.problem(Code::Type, node.span.clone(), message);
                problems.push(problem.hint("write NAME: and what it stands for"));
            }
            return locals;
        };
        let mut reading =
            Reading { source, files, problems, entries: BTreeMap::new(), open: Vec::new(), locals };
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if is_name(name) {
                reading.entries.insert(name, (key, value));
            } else {
                let message = format!("“{name}” cannot be the name of a local");
                let problem = source.problem(Code::Value, key.span.clone(), message);
                reading.problems.push(problem.hint("a letter, then letters, digits and `_`"));
            }
        }
        let names: Vec<&str> = reading.entries.keys().copied().collect();
        for name in names {
            reading.resolve(name);
        }
        reading.locals
    }

    /// The locals as the value of `locals`, for pipelines within this one: the files that those name may use them.
    pub(super) fn node(&self, at: Range<usize>) -> YamlNode {
        let text =
            |text: &str| YamlNode::new(at.clone(), Kind::Scalar { text: text.to_owned(), plain: false });
        let sound = self.by_name.iter().filter_map(|(name, local)| Some((name, local.value.as_ref()?)));
        let entries = sound.map(|(name, value)| (text(name), value.node.clone())).collect();
        YamlNode::new(at.clone(), Kind::Map(entries))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The local of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Local> {
        self.by_name.get(name)
    }

    /// Notes that these are used, also where what uses them is refused.
    pub(super) fn note_uses(&self, uses: &[FieldUse]) {
        self.used.borrow_mut().extend(uses.iter().filter_map(|one| one.field.clone()));
    }

    /// What to write in the place of a name that no local has.
    pub(super) fn hint(&self, name: &str) -> String {
        let names = || self.by_name.keys().map(String::as_str);
        match similar(name, names()) {
            Some(near) => format!("did you mean `{ROOT}.{near}`?"),
            None if self.by_name.is_empty() => format!("declare it: locals: {{ {name}: … }}"),
            None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
        }
    }

    /// Takes from what may be written out. `None`: it was too little before; `Some(false)`: it is from now on.
    pub(super) fn reserve(&self, bytes: usize, nodes: usize) -> Option<bool> {
        let (free_bytes, free_nodes) = self.room.get()?;
        let left = free_bytes.checked_sub(bytes).zip(free_nodes.checked_sub(nodes));
        self.room.set(left);
        Some(left.is_some())
    }

    /// Points out locals that nothing names.
    pub(super) fn report_unused(&self, source: &SourceText, problems: &mut Vec<Problem>) {
        let used = self.used.borrow();
        for (name, local) in self.by_name.iter().filter(|(name, _)| !used.contains(*name)) {
            let message = format!("nothing uses the local “{name}”");
            let problem = source.problem(Code::Unused, local.key.clone(), message);
            problems.push(problem.hint(format!("write {ROOT}.{name}, or remove it")));
        }
    }
}

/// Whether a local can have this name: what stands behind the `.` in an expression.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && Expr::parse(&format!("{ROOT}.{name}")).is_ok()
}

/// Locals while they are read.
struct Reading<'a, 'f> {
    source: &'a Arc<SourceText>,
    files: &'a mut LoadedFiles<'f>,
    problems: &'a mut Vec<Problem>,
    entries: BTreeMap<&'a str, (&'a YamlNode, &'a YamlNode)>,
    /// Those that are being written out, outermost first.
    open: Vec<&'a str>,
    locals: Locals,
}

impl<'a> Reading<'a, '_> {
    /// Writes out a local, and before it those that it names.
    fn resolve(&mut self, name: &'a str) {
        let Some(&(key, node)) = self.entries.get(name) else { return };
        if self.locals.by_name.contains_key(name) {
            return;
        }
        self.open.push(name);
        let before = self.problems.len();
        let mut asked = BTreeSet::new();
        let node = self.with_file(node);
        self.asked(&node, &mut asked);
        let mut is_sound = self.problems.len() == before;
        for other in asked {
            let Some((&other, _)) = self.entries.get_key_value(other.as_str()) else { continue };
            if self.open.contains(&other) || self.open.len() == DEPTH_MAX {
                self.report_chain(key, name, other);
                is_sound = false;
            } else {
                self.resolve(other);
            }
        }
        self.open.pop();
        let value = if is_sound { self.written(name, key, node) } else { None };
        self.locals.by_name.insert(name.to_owned(), Local { key: key.span.clone(), value });
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
            let message = format!("more than {DEPTH_MAX} locals stand in a row before “{other}”");
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
