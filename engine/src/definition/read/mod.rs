//! From the tree of a file to the model.
//!
//! Law: every problem is pushed, none ends the reading. What could not be read is left out of the
//! model, which is given away only when no error was found. What needs the whole pipeline (names,
//! order) is remembered and checked afterwards.

mod agent;
mod attempt;
mod control;
mod foreach;
mod gate;
mod http;
mod outputs;
mod path;
mod people;
mod probe;
mod route;
mod scalar;
mod step;
mod top;
mod trigger;
mod wait;
mod work;
mod workspace;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub(super) use route::{ReworkUse, SignalUse};
pub(super) use step::Draft;
pub(super) use top::Pipeline;

/// The keys of each construct with their place in the JSON Schema.
#[cfg(test)]
pub(crate) fn shapes() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("", top::SHAPE.keys),
        ("/properties/defaults", step::DEFAULTS.keys),
        ("/$defs/key/oneOf/1", control::KEY.keys),
        ("/$defs/concurrency", control::CONCURRENCY.keys),
        ("/$defs/budget", control::BUDGET.keys),
        ("/$defs/secret", control::SECRET.keys),
        ("/$defs/trigger", trigger::TRIGGER.keys),
        ("/$defs/schedule", trigger::SCHEDULE.keys),
        ("/$defs/notice", trigger::NOTICE.keys),
        ("/$defs/git", workspace::GIT.keys),
        ("/$defs/step", step::SHAPE.keys),
        ("/$defs/api", attempt::API.keys),
        ("/$defs/retry", attempt::RETRY.keys),
        ("/$defs/ask", people::ASK.keys),
        ("/$defs/foreach", foreach::FOREACH.keys),
        ("/$defs/gate", gate::SHAPE.keys),
        ("/$defs/member", gate::MEMBER.keys),
        ("/$defs/probes/file/oneOf/1", probe::FILE.keys),
        ("/$defs/probes/frontmatter", probe::FRONTMATTER.keys),
        ("/$defs/probes/tests/oneOf/2", probe::TESTS.keys),
        ("/$defs/probes/diff", probe::DIFF.keys),
        ("/$defs/probes/ci", probe::CI.keys),
        ("/$defs/probes/mergeable", probe::MERGEABLE.keys),
        ("/$defs/probes/runs", probe::RUNS.keys),
        ("/$defs/probes/config/oneOf/1", probe::CONFIG.keys),
        ("/$defs/probes/at_least", gate::AT_LEAST.keys),
        ("/$defs/poll", gate::POLL.keys),
        ("/$defs/routeMap", route::SHAPE.keys),
        ("/$defs/http/oneOf/1", http::SHAPE.keys),
        ("/$defs/run/oneOf/1", work::RUN.keys),
        ("/$defs/approval", people::APPROVAL.keys),
        ("/$defs/question", people::QUESTION.keys),
        ("/$defs/agent/oneOf/1", agent::SHAPE.keys),
        ("/$defs/wait", wait::WAIT.keys),
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
}

/// Where an expression stands: which names it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The paths of settings documents: nothing but the input is there.
    Config,
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
    /// Which signals a wait takes.
    Match,
    /// Whether an answer will do.
    Answer,
    /// A gate's own expressions; without a step, of an admission.
    Gate,
    /// A gate's policy over the evidence of a probe.
    Policy(&'static str),
    /// A route's.
    Route,
    /// A route's of `on_signal`; without a step, of the run.
    Signal,
    /// A trigger's: no run is there yet.
    Trigger,
    /// A notice's.
    Notice,
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
    /// It stands where secrets may.
    pub(super) secrets: bool,
    /// It is looked at only where this holds: the `when` of what it belongs to, beside that of its step.
    pub(super) guard: Option<Expr>,
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
    pub(super) signals: Vec<SignalUse>,
    /// Names of secrets that steps ask for, with their places.
    pub(super) secrets: Vec<(String, Range<usize>)>,
    /// What is being read may hold secrets.
    secret_place: bool,
    /// What is being read is looked at only where this holds.
    guard: Option<Expr>,
    /// The step that is being read.
    pub(super) step: Option<usize>,
    /// It belongs to `on_finish`.
    pub(super) finishing: bool,
    /// Ids of steps that could not be read.
    pub(super) broken: Vec<String>,
    /// Steps of whose gates one could not be read.
    pub(super) unread_gates: Vec<Option<usize>>,
    /// The run gets a worktree, whose folder has a name that no file can know.
    has_worktree: bool,
    /// What is being read looks into it.
    in_worktree: bool,
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
            signals: Vec::new(),
            secrets: Vec::new(),
            secret_place: false,
            guard: None,
            step: None,
            finishing: false,
            broken: Vec::new(),
            unread_gates: Vec::new(),
            has_worktree: false,
            in_worktree: false,
        }
    }

    /// Reads something that may hold secrets.
    pub(super) fn with_secrets<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.secret_place, true);
        let found = read(self);
        self.secret_place = before;
        found
    }

    /// Reads what is looked at only where a condition holds.
    pub(super) fn where_holds<T>(&mut self, guard: Option<&Expr>, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.guard, guard.cloned());
        let found = read(self);
        self.guard = before;
        found
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
            let known = shape.keys.iter().copied();
            let hint = match similar(name, known) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => format!("its keys are: {}", shape.keys.join(", ")),
            };
            self.report(Code::UnknownKey, key.span.clone(), format!("{} has no key “{name}”", shape.what))
                .hint = Some(hint);
        }
        Some(Keys { node })
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
            let hint = example_of(needed);
            self.report(Code::Type, span, format!("{what} is {needed}, this is {}", node.what())).hint =
                hint.map(str::to_owned);
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
fn shell_like(text: &str) -> bool {
    let text = text.trim_start_matches("${");
    if text.starts_with(['#', '!', '@', '*']) {
        return true;
    }
    let name = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    name > 0 && text[name..].starts_with([':', '%', '#', '/', '^', ',', '-', '+', '='])
}
