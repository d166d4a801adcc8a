//! What a pipeline uses, remembered while it is read and checked when all of it is known: expressions, reworks,
//! signals.

use std::ops::Range;
use std::sync::Arc;

use super::super::problem::Source;
use crate::definition::RouteTo;
use crate::expr::Expr;

/// Where an expression stands: which names it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::definition) enum Place {
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
pub(in crate::definition) struct Use {
    pub(in crate::definition) expr: Expr,
    pub(in crate::definition) origin: Origin,
    pub(in crate::definition) place: Place,
    /// The step, as an index into the drafts.
    pub(in crate::definition) step: Option<usize>,
    pub(in crate::definition) wants: Wants,
    /// It stands in a shell string, where `${HOME}` is a likely mistake.
    pub(in crate::definition) shell: bool,
    /// It stands where secrets may.
    pub(in crate::definition) secrets: bool,
    /// It is looked at only where this holds: the `when` of what it belongs to, beside that of its step.
    pub(in crate::definition) guard: Option<Expr>,
}

/// What type an expression must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::definition) enum Wants {
    Any,
    Bool,
    List,
}

/// Where the bytes of an expression stand in a file.
#[derive(Clone)]
pub(in crate::definition) struct Origin {
    pub(in crate::definition) source: Arc<Source>,
    /// The place in the file of each byte of the expression, and of its end.
    pub(in crate::definition) places: Vec<usize>,
}

impl Origin {
    pub(in crate::definition) fn at(&self, offset: usize) -> usize {
        self.places.get(offset).or(self.places.last()).copied().unwrap_or(0)
    }

    /// The places of a part.
    pub(in crate::definition) fn slice(&self, range: Range<usize>) -> Self {
        let end = (range.end + 1).min(self.places.len());
        Self { source: Arc::clone(&self.source), places: self.places[range.start.min(end)..end].to_vec() }
    }
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
