//! The reader of a pipeline file: the problems found so far, the position in the file, and access to maps and lists.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::super::codes::Code;
use super::super::files::FileSource;
use super::super::local_writer::LocalWriter;
use super::super::locals::Locals;
use super::super::problem::{Problem, SourceText};
use super::super::similar::similar;
use super::super::source_map::SourceMap;
use super::super::written_text::WrittenText;
use super::super::yaml::{COPIED_BYTES_MAX, Kind, YamlNode};
use super::uses::{ExprUse, KnownRole, ReworkUse, SecretUse, SignalUse};
use super::{other_words, renamed, short_form};
use crate::expr::{Expr, ExprError};

/// Which part of the file is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// The keys of the pipeline itself.
    Pipeline,
    /// `steps`.
    Steps,
    /// `on_finish`.
    OnFinish,
}

impl Section {
    /// The key that holds the part, as messages name it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Pipeline => "a pipeline",
            Self::Steps => "`steps`",
            Self::OnFinish => "`on_finish`",
        }
    }
}

/// The folder in which written paths begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartFolder {
    /// One whose name the file may know: the caller's, or one that the step names.
    Named,
    /// A worktree, made for the run under a name that no file can know.
    Worktree,
}

/// What a map may hold.
pub(crate) struct Shape {
    /// The construct, in words: `a step`.
    pub(crate) what: &'static str,
    pub(crate) keys: &'static [&'static str],
}

pub(in crate::definition) struct PipelineReader<'a> {
    pub(in crate::definition) source: Arc<SourceText>,
    pub(in crate::definition) problems: Vec<Problem>,
    pub(in crate::definition) files: &'a dyn FileSource,
    /// What stands in files that the pipeline names may use them; the pipeline itself has none any more.
    locals: &'a Locals,
    /// Texts of the files that were named, by path.
    pub(in crate::definition) loaded: BTreeMap<String, String>,
    pub(in crate::definition) uses: Vec<ExprUse>,
    pub(in crate::definition) reworks: Vec<ReworkUse>,
    pub(in crate::definition) signals: Vec<SignalUse>,
    /// Secrets that steps ask for by name.
    pub(in crate::definition) secrets: Vec<SecretUse>,
    /// Settings documents whose files lie at a relative path, with their places.
    pub(super) relative_settings: Vec<(String, Range<usize>)>,
    /// Roles that stand in an `as`, with their places.
    pub(in crate::definition) roles: Vec<(String, Range<usize>)>,
    /// The role in whose name the construct that is being read acts.
    pub(super) role: KnownRole,
    /// Whether the value that is being read may hold secrets.
    pub(super) allows_secrets: bool,
    /// The condition under which the value that is being read is evaluated.
    pub(super) guard: Option<Expr>,
    pub(super) section: Section,
    /// A route of the pipeline is read for one of the steps that it names.
    pub(super) is_sharing: bool,
    /// The step that is being read.
    pub(in crate::definition) step: Option<usize>,
    /// Ids of steps that could not be read.
    pub(in crate::definition) broken: Vec<String>,
    /// Unknown keys that most likely stand for another: the map, that key, the word that was written.
    meant: BTreeMap<(usize, usize, &'static str), String>,
    /// Steps with a gate that could not be read.
    pub(in crate::definition) unread_gates: Vec<Option<usize>>,
    /// The folder of the run.
    pub(super) run_folder: StartFolder,
    /// The folder of the step that is being read.
    pub(super) step_folder: StartFolder,
    /// The bytes that steps may still take over; `None`: it was reported that there are too many.
    room_for_copies: Option<usize>,
}

/// The entries of a map whose keys were checked against a shape.
#[derive(Clone, Copy)]
pub(in crate::definition) struct Keys<'n> {
    pub(in crate::definition) node: &'n YamlNode,
}

impl<'n> Keys<'n> {
    /// The value of a key; an explicit `null` counts as absent.
    pub(in crate::definition) fn get(self, key: &str) -> Option<&'n YamlNode> {
        self.node.get(key).filter(|value| !value.is_null())
    }

    /// The value of a key, `null` included.
    pub(in crate::definition) fn entry(self, key: &str) -> Option<&'n YamlNode> {
        self.node.get(key)
    }

    /// The place of a key itself.
    pub(in crate::definition) fn key_span(self, key: &str) -> Range<usize> {
        let Kind::Map(entries) = &self.node.kind else { return self.node.span.clone() };
        entries
            .iter()
            .find(|(name, _)| name.text() == Some(key))
            .map_or_else(|| self.node.span.clone(), |(name, _)| name.span.clone())
    }
}

impl<'a> PipelineReader<'a> {
    pub(in crate::definition) fn new(
        source: &Arc<SourceText>,
        files: &'a dyn FileSource,
        locals: &'a Locals,
    ) -> Self {
        Self {
            source: Arc::clone(source),
            problems: Vec::new(),
            files,
            locals,
            loaded: BTreeMap::new(),
            uses: Vec::new(),
            reworks: Vec::new(),
            signals: Vec::new(),
            secrets: Vec::new(),
            relative_settings: Vec::new(),
            roles: Vec::new(),
            role: KnownRole::None,
            allows_secrets: false,
            guard: None,
            section: Section::Pipeline,
            is_sharing: false,
            step: None,
            broken: Vec::new(),
            meant: BTreeMap::new(),
            unread_gates: Vec::new(),
            run_folder: StartFolder::Named,
            step_folder: StartFolder::Named,
            room_for_copies: Some(COPIED_BYTES_MAX),
        }
    }

    /// Whether a step may take over so many bytes that stand elsewhere; reports once, at the step, that it may not.
    pub(super) fn may_copy(&mut self, step: &Range<usize>, bytes: usize) -> bool {
        let Some(room) = self.room_for_copies else { return false };
        self.room_for_copies = room.checked_sub(bytes);
        if self.room_for_copies.is_none() {
            let first = self.first_line(step.clone());
            let message = "with what its steps take over written out, the pipeline is too large";
            self.report(Code::Limit, first, message).hint = Some(
                "`defaults`, `stage` and shared routes count once for each step: 4 MiB together are the most"
                    .to_owned(),
            );
        }
        self.room_for_copies.is_some()
    }

    /// Whether the pipeline has locals.
    pub(super) fn has_locals(&self) -> bool {
        !self.locals.is_empty()
    }

    /// Writes out the locals of a file's text; `None` where one is broken.
    pub(super) fn with_locals(&mut self, text: &str, map: SourceMap) -> Option<WrittenText> {
        let (locals, source) = (self.locals, Arc::clone(&self.source));
        let mut writer = LocalWriter { locals, source: &source, problems: &mut self.problems };
        writer.file(WrittenText { text: text.to_owned(), map })
    }

    /// Writes out the locals in a value of a file.
    pub(super) fn write_locals(&mut self, node: &mut YamlNode) {
        let (locals, source) = (self.locals, Arc::clone(&self.source));
        LocalWriter { locals, source: &source, problems: &mut self.problems }.data(node);
    }

    /// Reads something that may hold secrets.
    pub(in crate::definition) fn with_secrets<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.allows_secrets, true);
        let found = read(self);
        self.allows_secrets = before;
        found
    }

    /// Reads what is looked at only where a condition holds.
    pub(in crate::definition) fn where_holds<T>(
        &mut self,
        guard: Option<&Expr>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = std::mem::replace(&mut self.guard, guard.cloned());
        let found = read(self);
        self.guard = before;
        found
    }

    /// Reports a problem at a place of the pipeline file.
    pub(in crate::definition) fn report(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Problem {
        let problem = self.source.problem(code, span, message);
        self.problems.push(problem);
        self.problems.last_mut().expect("a problem was just pushed")
    }

    /// Opens a map: reports a node that is no map, and every key that the shape does not have.
    pub(in crate::definition) fn keys<'n>(&mut self, node: &'n YamlNode, shape: &Shape) -> Option<Keys<'n>> {
        let Kind::Map(entries) = &node.kind else {
            if !node.is_bad() {
                self.report(
                    Code::Type,
                    node.span.clone(),
                    format!("{} is a map, this is {}", shape.what, node.what()),
                )
                .hint = Some(
                    short_form::written(shape.what, node, &self.source.text)
                        .unwrap_or_else(|| format!("its keys are: {}", shape.keys.join(", "))),
                );
            }
            return None;
        };
        for (key, _) in entries {
            let Some(name) = key.text() else { continue };
            if shape.keys.contains(&name) {
                continue;
            }
            let (meant, hint) = likely_key(shape, name);
            self.meant.extend(meant.map(|meant| ((node.span.start, node.span.end, meant), name.to_owned())));
            self.report(Code::UnknownKey, key.span.clone(), format!("{} has no key “{name}”", shape.what))
                .hint = Some(hint);
        }
        Some(Keys { node })
    }

    /// The value of an unknown key of a map that most likely stands for this one.
    pub(super) fn meant<'n>(&self, node: &'n YamlNode, key: &str) -> Option<&'n YamlNode> {
        node.get(self.meant.get(&(node.span.start, node.span.end, key))?)
    }

    /// Whether an unknown key of a map, which was reported, most likely stands for one of these. They are not missing, too.
    pub(super) fn is_meant(&self, node: &YamlNode, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.meant(node, key).is_some())
    }

    /// Reports a key that must be there, unless an unknown one stands for it.
    pub(in crate::definition) fn missing(&mut self, node: &YamlNode, what: &str, key: &str, example: &str) {
        if self.is_meant(node, &[key]) {
            return;
        }
        let first = self.first_line(node.span.clone());
        self.report(Code::MissingKey, first, format!("{what} needs `{key}`")).hint =
            Some(format!("write {example}"));
    }

    pub(in crate::definition) fn wrong_type(&mut self, node: &YamlNode, what: &str, needed: &str) {
        if !node.is_bad() {
            let span = self.first_line(node.span.clone());
            let hint = example_of(needed);
            self.report(Code::Type, span, format!("{what} is {needed}, this is {}", node.what())).hint =
                hint.map(str::to_owned);
        }
    }

    pub(in crate::definition) fn first_line(&self, span: Range<usize>) -> Range<usize> {
        let text = &self.source.text[span.clone()];
        span.start..span.start + text.lines().next().map_or(0, str::len)
    }

    /// The items of a list.
    pub(in crate::definition) fn list<'n>(&mut self, node: &'n YamlNode, what: &str) -> &'n [YamlNode] {
        match &node.kind {
            Kind::List(items) => items,
            _ => {
                self.wrong_type(node, what, "a list");
                let hint = match &node.kind {
                    Kind::Scalar { text, .. } if !node.is_null() => Some(format!("write [{text}]")),
                    Kind::Map(entries) => entries.first().and_then(|(key, value)| item_of(key, value)),
                    _ => None,
                };
                if let (Some(hint), Some(last)) = (hint, self.problems.last_mut()) {
                    last.hint = Some(hint);
                }
                &[]
            }
        }
    }

    /// Reports an expression that does not compile.
    /// `shell`: the text looks like the shell's own `${…}`.
    pub(in crate::definition) fn bad_expression(
        &mut self,
        error: &ExprError,
        source_map: &SourceMap,
        shell: bool,
    ) {
        let hint = if shell {
            Some("for the shell's own `${…}` write `$${…}`".to_owned())
        } else {
            error.hint.clone()
        };
        let problem =
            source_map.problem_at(Code::Expression, error.offset, error.message.clone()).hinted(hint);
        self.problems.push(problem);
    }
}

/// The key that an unknown one most likely stands for, if there is one, and what is said of it.
fn likely_key(shape: &Shape, name: &str) -> (Option<&'static str>, String) {
    if let Some(instead) = renamed::key(shape.what, name) {
        return (None, instead.to_owned());
    }
    if let Some((key, instead)) = other_words::key(shape.what, name) {
        return (Some(key), instead.to_owned());
    }
    match (similar(name, shape.keys.iter().copied()), shape.keys) {
        (Some(similar), _) => (Some(similar), format!("did you mean `{similar}`?")),
        (None, [only]) => (Some(only), format!("its only key is `{only}`")),
        (None, keys) => (None, format!("its keys are: {}", keys.join(", "))),
    }
}

/// How the first entry of a map is written that stands where a list does.
fn item_of(key: &YamlNode, value: &YamlNode) -> Option<String> {
    let key = key.text()?;
    Some(match &value.kind {
        // What is named by its key elsewhere has an id here.
        Kind::Map(_) => format!("write it as a list, one item after the other: - id: {key}"),
        _ => format!("write it as a list, one item after the other: - {key}: …"),
    })
}

/// How a value of a type is written.
fn example_of(needed: &str) -> Option<&'static str> {
    let known = [
        ("a map", "write NAME: VALUE, one a line, indented below the key"),
        ("a list", "write [ONE, TWO], or one `- ITEM` a line"),
        ("true or false", "write true or false, without quotes"),
        ("a whole number", "write it in digits, without quotes: 3"),
        ("a text", "write it behind the key; one with `: ` or a special character first stands in quotes"),
        ("a word", "write it behind the key, without quotes"),
        ("a JSON Schema", "write type: object, and its properties below it"),
        ("a shell string", "write command: make test, or command: [make, test]"),
        ("one route", "write it without the `-` of a list; `then` of the route goes on"),
    ];
    known.iter().find(|(type_name, _)| needed.starts_with(type_name)).map(|(_, example)| *example)
}

/// Whether a text after `${` looks like a parameter expansion: `VAR:-x}`, `#VAR}`, `VAR%.*}`.
pub(super) fn shell_like(text: &str) -> bool {
    let text = text.trim_start_matches("${");
    if text.starts_with(['#', '!', '@', '*']) {
        return true;
    }
    let name = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    name > 0 && text[name..].starts_with([':', '%', '#', '/', '^', ',', '-', '+', '='])
}
