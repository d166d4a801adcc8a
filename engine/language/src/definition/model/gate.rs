//! Judgements after the work.

use serde::{Deserialize, Serialize};

use super::route::Routes;
use super::setting::{Setting, Span};
use super::work::ExecutorTask;
use crate::expr::{Expr, Template};

/// A judgement after the work: a probe collects evidence, a policy judges it, a route follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name, unique in the step.
    pub id: String,
    /// Whether it applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// The reason given where it does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Template>,
    /// What collects the evidence.
    pub probe: Probe,
    /// Judges the evidence; `None`: the probe kind's own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Expr>,
    /// How often and how long it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    /// Signals that make it ask at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wake: Vec<Wake>,
    /// A file unchanged since the round's first commit fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// A code of its own for failures and warnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What follows a failure; empty: the step's `on_fail`.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_fail: Routes,
    /// The role in whose name it asks, which chooses among the sources of a secret; `None`: that of its step.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "as")]
    pub acts_as: Option<Template>,
}

/// A signal that makes a gate ask at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wake {
    /// Each signal of that name.
    Each(String),
    /// Those of a name that fit.
    Fitting {
        /// The name.
        signal: String,
        /// Whether one fits; sees what a route of `on_signal` sees.
        when: Expr,
    },
}

impl Wake {
    /// The signal's name.
    pub fn signal(&self) -> &str {
        match self {
            Self::Each(signal) | Self::Fitting { signal, .. } => signal,
        }
    }

    /// Which signals of that name count; `None`: all.
    pub fn when(&self) -> Option<&Expr> {
        match self {
            Self::Each(_) => None,
            Self::Fitting { when, .. } => Some(when),
        }
    }
}

/// What collects the evidence of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// No IO: the value of an expression is the evidence.
    Expression(Expr),
    /// Something that a prober does; the core renders `spec` and hands it on.
    ///
    /// Shapes of `spec` by `kind`:
    /// - `command`: as [`ExecutorTask`]'s.
    /// - `file`: `{exists | all | glob, min?, in?, json?, yaml?, matches?}`.
    /// - `frontmatter`: `{file, fields, pass, fail, match, from}`.
    /// - `diff`: `{min_files?, max_files?, max_lines?, allow?, deny?}`.
    /// - `tests`: `{files}`, glob patterns of JUnit reports.
    /// - `http`: as [`ExecutorTask`]'s.
    /// - `ci`: `{provider, repository?, sha | pr, none}`.
    /// - `mergeable`: `{provider, repository?, pr}`.
    /// - `runs`: `{labels, status}`.
    /// - `config`: `{path}`.
    /// - `function`: `{name, with}`.
    Task(ExecutorTask),
    /// Every member passes: a failure counts before what is pending, that before a pass.
    All(Vec<Member>),
    /// One member passes: a pass counts before what is pending, that before a failure.
    Any(Vec<Member>),
    /// The member fails.
    Not(Box<Member>),
    /// So many members pass.
    AtLeast {
        /// How many.
        n: Setting<u32>,
        /// Of these.
        of: Vec<Member>,
    },
}

/// A probe among others that one gate judges together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in evidence and reasons; `None`: the kind of its probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether it applies; else it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// The reason given where it does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Template>,
    /// What collects the evidence.
    pub probe: Probe,
    /// Judges the evidence; `None`: the probe kind's own policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Expr>,
}

/// How often a gate asks again while its verdict is pending or its evidence cannot be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// The pause after each answer.
    pub every: Setting<Span>,
    /// Most probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Setting<u32>>,
    /// Most probes in a row that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unread: Option<Setting<u32>>,
    /// The longest time after the first probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting<Span>>,
    /// What follows when it is over; empty: block.
    #[serde(default, skip_serializing_if = "Routes::is_empty")]
    pub on_timeout: Routes,
}

/// Whether a task is a `diff` that compares with what the step changed since its gates last passed. Of a step that is called
/// so, as former releases read it, the commit stands beside.
#[must_use]
pub fn is_since_passed(task: &ExecutorTask) -> bool {
    let spec = task.spec.source();
    task.kind == "diff" && spec["since"] == "passed" && spec["base"].is_null()
}

impl Probe {
    /// Whether it, or a member of it, compares with what the step changed since its gates last passed.
    fn compares_with_passed(&self) -> bool {
        let any = |members: &[Member]| members.iter().any(|member| member.probe.compares_with_passed());
        match self {
            Self::Task(task) => is_since_passed(task),
            Self::All(members) | Self::Any(members) | Self::AtLeast { of: members, .. } => any(members),
            Self::Not(member) => member.probe.compares_with_passed(),
            Self::Expression(_) => false,
        }
    }
}

impl Gate {
    pub(super) fn compares_with_passed(&self) -> bool {
        self.probe.compares_with_passed()
    }
}
