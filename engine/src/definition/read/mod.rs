//! From the tree of a file to the model.
//!
//! Law: every problem is pushed, none ends the reading. What could not be read is left out of the
//! model, which is given away only when no error was found. What needs the whole pipeline (names,
//! order) is remembered and checked afterwards.

mod agent;
mod foreach;
mod gate;
mod outputs;
mod route;
mod scalar;
mod step;
mod top;
mod work;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub(super) use route::ReworkUse;
pub(super) use step::Draft;

/// The keys of each construct with their place in the JSON Schema.
#[cfg(test)]
pub(super) fn shapes() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("", top::SHAPE.keys),
        ("/properties/defaults", step::DEFAULTS.keys),
        ("/$defs/step", step::SHAPE.keys),
        ("/$defs/retry", step::RETRY.keys),
        ("/$defs/foreach", foreach::FOREACH.keys),
        ("/$defs/gate", gate::SHAPE.keys),
        ("/$defs/gate/properties/file", gate::FILE.keys),
        ("/$defs/gate/properties/frontmatter", gate::FRONTMATTER.keys),
        ("/$defs/gate/properties/diff", gate::DIFF.keys),
        ("/$defs/poll", gate::POLL.keys),
        ("/$defs/routeMap", route::SHAPE.keys),
        ("/$defs/approval", work::APPROVAL.keys),
        ("/$defs/agent/oneOf/1", agent::SHAPE.keys),
        ("/$defs/step/properties/wait", work::WAIT.keys),
    ]
}

use super::codes::Code;
use super::files::FileSource;
use super::problem::{Problem, Source};
use super::similar::similar;
use super::yaml::{Kind, Node};
use crate::expr::{Expr, ExprError};

/// What a map may hold.
pub(super) struct Shape {
    /// The construct, in words: `a step`.
    pub(super) what: &'static str,
    pub(super) keys: &'static [&'static str],
    /// Keys of the language that do not work yet.
    pub(super) later: &'static [&'static str],
}

/// Where an expression stands: which names it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Rendered when the run starts.
    Start,
    /// Rendered when the workspace is made.
    Workspace,
    /// Rendered for each commit of a step's leftovers.
    Commit,
    /// A condition or a setting of a step.
    Step,
    /// Inside the work of a step.
    Work,
    /// A gate's own expressions.
    Gate,
    /// A gate's policy over the evidence of a probe.
    Policy(&'static str),
    /// A route's.
    Route,
    /// The run's result.
    Output,
}

/// An expression of the file, to be checked when all steps are known.
pub(super) struct Use {
    pub(super) expr: Expr,
    pub(super) origin: Origin,
    pub(super) place: Place,
    /// The step, as an index into the drafts.
    pub(super) step: Option<usize>,
    pub(super) wants: Wants,
    /// It stands in a shell string, where `${HOME}` is a likely mistake.
    pub(super) shell: bool,
}

/// What type an expression must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Any,
    Bool,
    List,
}

/// Where the bytes of an expression stand in a file.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) source: Arc<Source>,
    /// The place in the file of each byte of the expression, and of its end.
    pub(super) places: Vec<usize>,
}

impl Origin {
    pub(super) fn at(&self, offset: usize) -> usize {
        self.places.get(offset).or(self.places.last()).copied().unwrap_or(0)
    }

    /// The places of a part.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        let end = (range.end + 1).min(self.places.len());
        Self { source: Arc::clone(&self.source), places: self.places[range.start.min(end)..end].to_vec() }
    }
}

pub(super) struct Reader<'a> {
    pub(super) source: Arc<Source>,
    pub(super) problems: Vec<Problem>,
    pub(super) files: &'a dyn FileSource,
    /// Texts of the files that were named, by path.
    pub(super) loaded: BTreeMap<String, String>,
    pub(super) uses: Vec<Use>,
    pub(super) reworks: Vec<ReworkUse>,
    /// The step that is being read.
    pub(super) step: Option<usize>,
    /// It belongs to `on_finish`.
    pub(super) finishing: bool,
    /// Ids of steps that could not be read.
    pub(super) broken: Vec<String>,
}

/// The entries of a map whose keys were checked against a shape.
#[derive(Clone, Copy)]
pub(super) struct Keys<'n> {
    pub(super) node: &'n Node,
}

impl<'n> Keys<'n> {
    /// The value of a key; an explicit `null` counts as absent.
    pub(super) fn get(self, key: &str) -> Option<&'n Node> {
        self.node.get(key).filter(|value| !value.is_null())
    }

    /// The value of a key, `null` included.
    pub(super) fn entry(self, key: &str) -> Option<&'n Node> {
        self.node.get(key)
    }

    /// The place of a key itself.
    pub(super) fn key_span(self, key: &str) -> Range<usize> {
        let Kind::Map(entries) = &self.node.kind else { return self.node.span.clone() };
        entries
            .iter()
            .find(|(name, _)| name.text() == Some(key))
            .map_or_else(|| self.node.span.clone(), |(name, _)| name.span.clone())
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &Arc<Source>, files: &'a dyn FileSource) -> Self {
        Self {
            source: Arc::clone(source),
            problems: Vec::new(),
            files,
            loaded: BTreeMap::new(),
            uses: Vec::new(),
            reworks: Vec::new(),
            step: None,
            finishing: false,
            broken: Vec::new(),
        }
    }

    /// Reports a problem at a place of the pipeline file.
    pub(super) fn report(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Problem {
        let problem = self.source.problem(code, span, message);
        self.problems.push(problem);
        self.problems.last_mut().expect("a problem was just pushed")
    }

    /// Opens a map: reports what is no map, and every key that the shape does not have.
    pub(super) fn keys<'n>(&mut self, node: &'n Node, shape: &Shape) -> Option<Keys<'n>> {
        let Kind::Map(entries) = &node.kind else {
            if !node.is_bad() {
                self.report(
                    Code::Type,
                    node.span.clone(),
                    format!("{} is a map, this is {}", shape.what, node.what()),
                )
                .hint = Some(format!("its keys are: {}", shape.keys.join(", ")));
            }
            return None;
        };
        for (key, _) in entries {
            let Some(name) = key.text() else { continue };
            if shape.keys.contains(&name) {
                continue;
            }
            if shape.later.contains(&name) {
                self.not_yet(key.span.clone(), &format!("`{name}` of {}", shape.what));
                continue;
            }
            let known = shape.keys.iter().chain(shape.later).copied();
            let hint = match similar(name, known) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => format!("its keys are: {}", shape.keys.join(", ")),
            };
            self.report(Code::UnknownKey, key.span.clone(), format!("{} has no key “{name}”", shape.what))
                .hint = Some(hint);
        }
        Some(Keys { node })
    }

    /// Reports a construct that this version does not have.
    pub(super) fn not_yet(&mut self, span: Range<usize>, what: &str) {
        self.report(Code::NotYet, span, format!("{what} does not work yet")).hint = Some(
            "it belongs to the language, but this version does not do it; it is never ignored".to_owned(),
        );
    }

    /// Reports a key that must be there.
    pub(super) fn missing(&mut self, span: Range<usize>, what: &str, key: &str, example: &str) {
        let first = self.first_line(span);
        self.report(Code::MissingKey, first, format!("{what} needs `{key}`")).hint =
            Some(format!("write {example}"));
    }

    pub(super) fn wrong_type(&mut self, node: &Node, what: &str, needed: &str) {
        if !node.is_bad() {
            let span = self.first_line(node.span.clone());
            self.report(Code::Type, span, format!("{what} is {needed}, this is {}", node.what()));
        }
    }

    pub(super) fn first_line(&self, span: Range<usize>) -> Range<usize> {
        let text = &self.source.text[span.clone()];
        span.start..span.start + text.lines().next().map_or(0, str::len)
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) => items,
            _ => {
                self.wrong_type(node, what, "a list");
                if let (Some(text), Some(last), false) =
                    (node.text(), self.problems.last_mut(), node.is_null())
                {
                    last.hint = Some(format!("write [{text}]"));
                }
                &[]
            }
        }
    }

    /// Reports an expression that does not compile.
    /// `shell`: the text looks like the shell's own `${…}`.
    pub(super) fn bad_expression(&mut self, error: &ExprError, origin: &Origin, shell: bool) {
        let at = origin.at(error.offset);
        let end = if error.offset + 1 < origin.places.len() { at + 1 } else { at };
        let hint = if shell {
            Some("for the shell's own `${…}` write `$${…}`".to_owned())
        } else {
            error.hint.clone()
        };
        let problem = origin.source.problem(Code::Expression, at..end, error.message.clone()).hinted(hint);
        self.problems.push(problem);
    }
}

/// Whether a text after `${` looks like a parameter expansion: `VAR:-x}`, `#VAR}`, `VAR%.*}`.
fn shell_like(text: &str) -> bool {
    let text = text.trim_start_matches("${");
    if text.starts_with(['#', '!', '@', '*']) {
        return true;
    }
    let name = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    name > 0 && text[name..].starts_with([':', '%', '#', '/', '^', ',', '-', '+', '='])
}
