//! The expressions, reworks and signals of a pipeline: collected while the file is read, checked when all of it is
//! known.

use std::ops::Range;

use super::super::source_map::SourceMap;
use crate::definition::{RouteTo, SearchType};
use crate::expr::Expr;

/// The place of an expression, which decides what names it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::definition) enum ExprPlace {
    /// The paths of settings documents: only the input is known.
    Config,
    /// Rendered when the run starts.
    Start,
    /// Rendered when the workspace is made.
    Workspace,
    /// Rendered for each commit of the files that a step left uncommitted.
    Commit,
    /// A condition or a setting of a step.
    Step,
    /// The output of a step that has none of its own: its `when` may be false there.
    Else,
    /// Inside the work of a step.
    Work,
    /// The condition on the signals that a wait takes.
    Match,
    /// The condition on the answers to a question.
    Answer,
    /// A gate's own expressions; without a step, of an admission.
    Gate,
    /// A gate's policy over the evidence of a probe.
    Policy(&'static str),
    /// A route's.
    Route,
    /// A route's of `on_signal`; without a step, of the run.
    Signal,
    /// A trigger's: no run exists yet.
    Trigger,
    /// A notice's.
    Notice,
    /// The run's result.
    Output,
}

/// An expression of the file, to be checked when all steps are known.
pub(in crate::definition) struct ExprUse {
    pub(in crate::definition) expr: Expr,
    pub(in crate::definition) source_map: SourceMap,
    pub(in crate::definition) place: ExprPlace,
    /// The step, as an index into the drafts.
    pub(in crate::definition) step: Option<usize>,
    pub(in crate::definition) wants: Wants,
    /// Whether it stands in a shell string, where `${HOME}` is a likely mistake.
    pub(in crate::definition) shell: bool,
    /// Whether its place may hold secrets.
    pub(in crate::definition) secrets: bool,
    /// The condition under which it is evaluated: the `when` of its construct, beside that of its step.
    pub(in crate::definition) guard: Option<Expr>,
    /// The role in whose name its construct acts.
    pub(in crate::definition) role: KnownRole,
}

/// What the file says of the role in whose name something acts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::definition) enum KnownRole {
    /// There is none.
    #[default]
    None,
    /// It is computed when the work starts.
    Computed,
    /// It stands there.
    Named(String),
}

/// A secret that a process gets as a variable, to be checked when all of the file is known.
pub(in crate::definition) struct SecretUse {
    pub(in crate::definition) name: String,
    pub(in crate::definition) span: Range<usize>,
    /// The role in whose name the process acts.
    pub(in crate::definition) role: KnownRole,
}

/// What type an expression must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::definition) enum Wants {
    Any,
    Bool,
    List,
    /// The value of a search attribute, of this type where it names one.
    Attribute(Option<SearchType>),
}

/// A rework of the file, to be checked when all steps are known.
#[derive(Clone)]
pub(in crate::definition) struct ReworkUse {
    /// The step whose route it is, as an index into the drafts.
    pub(in crate::definition) step: Option<usize>,
    pub(in crate::definition) target: String,
    pub(in crate::definition) span: Range<usize>,
    /// `max: unlimited` stands there.
    pub(in crate::definition) unlimited: Option<Range<usize>>,
    /// The key `then` of a rework that is unlimited: only the rounds of its target can be used up.
    pub(in crate::definition) then: Option<Range<usize>>,
    /// The new round waits for a person.
    pub(in crate::definition) hold: bool,
    /// It stands in the pipeline's own `on_signal`.
    pub(in crate::definition) of_run: bool,
}

/// A route of `on_signal`, to be checked when its step is known.
pub(in crate::definition) struct SignalUse {
    /// The step, as an index into the drafts; `None`: the route is the run's.
    pub(in crate::definition) step: Option<usize>,
    pub(in crate::definition) to: RouteTo,
    pub(in crate::definition) span: Range<usize>,
}
