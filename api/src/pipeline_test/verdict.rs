//! What came of a case.

use std::time::Duration;

use everfold_engine::json::Value;
use serde::Serialize;

use super::coverage::PipelineCoverage;

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseVerdict {
    /// The case.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// Whether everything came as expected.
    pub passed: bool,
    /// What ended the case before its time: a stub that is missing, a decision that was refused.
    pub fault: Option<String>,
    /// What came otherwise than expected.
    pub differences: Vec<CaseDifference>,
    /// The run's status at the end; none where its start was refused.
    pub status: Option<String>,
    /// What happened, in order.
    pub story: Vec<StoryLine>,
    /// The virtual time that passed, in milliseconds.
    pub virtual_ms: i64,
    /// The time that the case took on this machine, in microseconds.
    pub took_us: u64,
    /// Routes, gates and steps that the case reached.
    #[serde(skip)]
    pub coverage: PipelineCoverage,
}

impl CaseVerdict {
    /// The time that the case took on this machine.
    #[must_use]
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.took_us)
    }
}

/// Something that came otherwise than expected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseDifference {
    /// What: `status`, `steps.build.rounds`, `output.merged`.
    pub path: String,
    /// What was expected; nothing where something came that was not.
    pub expected: Option<Value>,
    /// What came; nothing where something did not.
    pub actual: Option<Value>,
}

/// An event of the case's runs, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoryLine {
    /// Milliseconds after the start.
    pub at_ms: i64,
    /// The step that started the run, where it is a child.
    pub child_of: Option<String>,
    /// The event's type.
    pub event: String,
    /// What it is about.
    pub place: String,
    /// What it says.
    pub detail: String,
}
