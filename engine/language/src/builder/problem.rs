//! What is wrong with a pipeline that was built, with its place as a path of ids.

use std::fmt;

use crate::definition::{Problem, Severity, place_of};

/// The name of the text that a builder writes; no file.
pub(super) const NAME: &str = "pipeline";

/// One problem of a pipeline that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildProblem {
    /// Where it is, by ids: `steps.build.gates.tests.on_fail.rework`. In a file that the pipeline names,
    /// `FILE:LINE:COLUMN`.
    pub place: String,
    /// The code, the message, the hint; its line is one of [`super::Pipeline::source`].
    pub problem: Problem,
}

impl fmt::Display for BuildProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}[{}]: {}\n --> {}", self.problem.code, self.problem.message, self.place)?;
        if let Some(hint) = &self.problem.hint {
            write!(f, "\n  = hint: {hint}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a pipeline that was built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BuildError {
    /// Each problem, in the order of the pipeline.
    pub problems: Vec<BuildProblem>,
}

impl BuildError {
    pub(super) fn new(problems: Vec<Problem>, source: &str) -> Self {
        let placed = |problem: Problem| {
            let place = if problem.file == NAME {
                place_of(source, problem.span.clone())
            } else {
                format!("{}:{}:{}", problem.file, problem.line, problem.column)
            };
            BuildProblem { place, problem }
        };
        Self { problems: problems.into_iter().map(placed).collect() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
