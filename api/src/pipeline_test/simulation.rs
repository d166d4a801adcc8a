//! One case, played by the real engine in virtual time.

use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use everfold_engine::definition::Definition;
use everfold_engine::definition::case::PipelineCase;
use everfold_engine::driver::StartError;
use everfold_engine::event::RunEvent;
use everfold_engine::input::StartOptions;
use everfold_engine::json::JsonText;
use everfold_engine::time::Timestamp;

use super::child_pipelines::CasePipeline;
use super::compare_outcome::differences;
use super::coverage::PipelineCoverage;
use super::outcome::{CaseEnd, CaseEvent, CaseOutcome, story};
use super::people::CasePeople;
use super::stage::{CaseStage, FOLDER, Play};
use super::verdict::{CaseDifference, CaseVerdict};
use crate::settings::Settings;
use crate::virtual_time::in_virtual_time;

/// When runs start whose case names no time.
const START: Timestamp = Timestamp(1_767_603_600_000); // 2026-01-05T09:00:00Z, a Monday
/// A case has no limit on this machine but that of its events.
const REAL_TIME: Option<Duration> = None;

/// Plays a case of a pipeline with these settings; without any, no name of a profile or function is refused.
#[must_use]
pub fn simulate(definition: &Definition, settings: Option<&Settings>, case: &PipelineCase) -> CaseVerdict {
    let watch = Stopwatch::start();
    let played = in_virtual_time(async || play(definition, settings, case).await);
    let mut verdict = CaseVerdict {
        name: case.name.clone(),
        line: case.line,
        passed: false,
        fault: None,
        differences: Vec::new(),
        status: None,
        story: Vec::new(),
        virtual_ms: 0,
        took_us: 0,
        coverage: PipelineCoverage::of(definition),
    };
    match played {
        Err(fault) => verdict.fault = Some(fault),
        Ok(played) => {
            let own: Vec<&RunEvent> =
                played.events.iter().filter(|seen| seen.is_root).map(|seen| &seen.event).collect();
            verdict.coverage.note(definition, &own);
            verdict.story = story(&played.events);
            verdict.virtual_ms = played.virtual_ms;
            verdict.status = played.outcome.as_ref().map(CaseOutcome::status);
            verdict.differences = played.differences;
            verdict.fault = played.fault;
        }
    }
    verdict.passed = verdict.fault.is_none() && verdict.differences.is_empty();
    verdict.took_us = u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX);
    verdict
}

struct Played {
    events: Vec<CaseEvent>,
    outcome: Option<CaseOutcome>,
    differences: Vec<CaseDifference>,
    fault: Option<String>,
    virtual_ms: i64,
}

async fn play(
    definition: &Definition,
    settings: Option<&Settings>,
    case: &PipelineCase,
) -> Result<Played, String> {
    let at = case.at.unwrap_or(START);
    let pipeline = CasePipeline::new(definition, &case.stubs, &case.config)?;
    let mut stage = CaseStage::set(Play {
        pipeline,
        stubs: case.stubs.clone(),
        made_up: None,
        settings,
        seed: &case.name,
        at,
        real_time: REAL_TIME,
    });
    let options = StartOptions {
        title: case.title.clone(),
        labels: case.labels.clone(),
        cwd: Some(format!("{FOLDER}/work")),
        ..StartOptions::new(JsonText::new(&case.input))
    };
    let root = match stage.start(options, &case.by).await? {
        Ok(run) => run,
        Err(StartError::Refused(refusal)) => {
            let end = CaseEnd::Refused { code: refusal.code().to_owned(), message: refusal.to_string() };
            let differences = differences(&case.expect, &end);
            return Ok(Played { events: Vec::new(), outcome: None, differences, fault: None, virtual_ms: 0 });
        }
        Err(other) => return Err(format!("the run cannot start: {other}")),
    };
    let mut people = CasePeople::new(case, &stage.world, root, at);
    let events = stage.play(root, &mut people, None, case.until).await?;
    let fault = stage.world.fault();
    let outcome = CaseOutcome::of(&stage.engine, &stage.world, root, &events).await?;
    let mut differences = match fault {
        // What came of a run that was cut off says nothing.
        Some(_) => Vec::new(),
        None => differences(&case.expect, &CaseEnd::Ran(&outcome)),
    };
    if fault.is_none() {
        differences.extend(people.left().into_iter().map(|what| CaseDifference {
            path: what,
            expected: Some(true.into()),
            actual: Some(false.into()),
        }));
    }
    let virtual_ms = events.iter().map(|seen| seen.at_ms).max().unwrap_or(0);
    Ok(Played { events, outcome: Some(outcome), differences, fault, virtual_ms })
}
