//! All cases of a pipeline.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

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

/// The verdicts of all cases, in their order.
fn play_all(
    definition: &Definition,
    settings: Option<&Settings>,
    cases: &[&PipelineCase],
) -> Vec<CaseVerdict> {
    let (next, played) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(cases.len())));
    let play = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(at) else { return };
            let verdict = simulate(definition, settings, case);
            played.lock().unwrap_or_else(PoisonError::into_inner).push((at, verdict));
        }
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _other in 1..processors.min(cases.len()) {
            // Where the system has no thread to give, this one plays the cases alone.
            let _none_to_be_had = thread::Builder::new().spawn_scoped(scope, play);
        }
        play();
    });
    let mut played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
    played.sort_unstable_by_key(|(at, _)| *at);
    played.into_iter().map(|(_, verdict)| verdict).collect()
}

/// Plays cases of a pipeline, with the settings that a folder without a settings file has.
#[must_use]
pub fn test_pipeline<'c>(
    definition: &Definition,
    cases: impl IntoIterator<Item = &'c PipelineCase>,
) -> SuiteReport {
    test_pipeline_with(definition, Some(&Settings::default()), cases)
}

/// Plays cases of a pipeline, as many at once as there are processors. Agent profiles, the functions of workers and what
/// is masked are those of the settings; without settings (they are a server's) no name of a profile or function is refused.
#[must_use]
pub fn test_pipeline_with<'c>(
    definition: &Definition,
    settings: Option<&Settings>,
    cases: impl IntoIterator<Item = &'c PipelineCase>,
) -> SuiteReport {
    let cases = play_all(definition, settings, &cases.into_iter().collect::<Vec<_>>());
    let mut coverage = PipelineCoverage::of(definition);
    cases.iter().for_each(|case| coverage.add(&case.coverage));
    let passed = cases.iter().filter(|case| case.passed).count();
    SuiteReport { pipeline: definition.name.clone(), passed, failed: cases.len() - passed, cases, coverage }
}
