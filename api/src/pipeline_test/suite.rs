//! All cases of a pipeline.

use everfold_engine::definition::case::PipelineCase;
use everfold_engine::definition::{Definition, Problems, cases_of};
use serde::Serialize;

use super::child_pipelines::built_in;
use super::coverage::PipelineCoverage;
use super::simulation::simulate;
use super::verdict::CaseVerdict;
use crate::settings::Settings;

/// What came of the cases of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuiteReport {
    /// The pipeline.
    pub pipeline: String,
    /// How many passed.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// Each, in the order of the file.
    pub cases: Vec<CaseVerdict>,
    /// What all of them together reached.
    pub coverage: PipelineCoverage,
}

/// Reads and checks the cases of a pipeline; `name` is their file's name in messages.
///
/// # Errors
/// Every problem at once, with its place.
pub fn read_cases(text: &str, name: &str, definition: &Definition) -> Result<Vec<PipelineCase>, Problems> {
    cases_of(text, name, definition, &built_in)
}

/// Plays cases of a pipeline, one after the other, with the settings that a folder without a settings file has.
#[must_use]
pub fn test_pipeline<'c>(
    definition: &Definition,
    cases: impl IntoIterator<Item = &'c PipelineCase>,
) -> SuiteReport {
    test_pipeline_with(definition, Some(&Settings::default()), cases)
}

/// Plays cases of a pipeline, one after the other. Agent profiles, the functions of workers and what is masked are those
/// of the settings; without settings (they are a server's) no name of a profile or function is refused.
#[must_use]
pub fn test_pipeline_with<'c>(
    definition: &Definition,
    settings: Option<&Settings>,
    cases: impl IntoIterator<Item = &'c PipelineCase>,
) -> SuiteReport {
    let cases = cases.into_iter().map(|case| simulate(definition, settings, case));
    let cases: Vec<CaseVerdict> = cases.collect();
    let mut coverage = PipelineCoverage::of(definition);
    cases.iter().for_each(|case| coverage.add(&case.coverage));
    let passed = cases.iter().filter(|case| case.passed).count();
    SuiteReport { pipeline: definition.name.clone(), passed, failed: cases.len() - passed, cases, coverage }
}
