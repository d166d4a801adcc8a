//! A dry run: what a start would do, played in virtual time with answers that are made up.
//!
//! Law: it starts nothing, asks no service, writes nothing and sends nothing; only the settings documents that the
//! pipeline names are read. What is made up is marked, and what is assumed is listed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use everfold_engine::definition::Definition;
use everfold_engine::definition::case::{CaseExpectation, CaseStubs, PipelineCase};
use everfold_engine::driver::StartError;
use everfold_engine::event::RunEvent;
use everfold_engine::input::StartOptions;
use everfold_engine::json::Value;
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use serde::Serialize;

use super::coverage::PipelineCoverage;
use super::dry_pipeline::DryPipeline;
use super::dry_run_lines::{DryRunLine, DryRunStory};
use super::outcome::{CaseEvent, CaseOutcome};
use super::people::CasePeople;
use super::stage::{CaseStage, Play};
use super::volunteers::Volunteers;
use super::world::CaseWorld;
use crate::fault::Fault;
use crate::node::refuse_in_definition;
use crate::settings::Settings;
use crate::virtual_time::in_virtual_time;

/// The longest time that playing may take on this machine.
const REAL_TIME: Duration = Duration::from_secs(10);
/// Ids in a dry run follow from this.
const SEED: &str = "dry run";

/// What is played.
#[derive(Debug)]
pub struct DryRunRequest<'a> {
    /// The pipeline.
    pub definition: &'a Definition,
    /// The settings; without any, no name of a profile or function is refused.
    pub settings: Option<&'a Settings>,
    /// Its stubs and decisions stand in the place of what is made up.
    pub case: Option<&'a PipelineCase>,
    /// What the start says.
    pub options: StartOptions,
    /// The user who starts it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The text of the pipeline and of its files, by name: none may hold a credential.
    pub texts: Vec<(String, String)>,
}

/// Why there is no dry run.
#[derive(Debug)]
pub enum NoDryRun {
    /// The start itself would be refused.
    Refused(StartError),
    /// A text of the pipeline holds a credential: the file, the pattern and the line.
    Credential(String, String, usize),
    /// What is read of the pipeline holds a credential that no text shows.
    Holds(Fault),
    /// It cannot be played.
    Unplayed(String),
}

/// What a start would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRunReport {
    /// The pipeline.
    pub pipeline: String,
    /// What the run is doing at the end.
    pub status: RunStatus,
    /// What would happen, in order.
    pub lines: Vec<DryRunLine>,
    /// What the run would give.
    pub output: Value,
    /// The virtual time that passed, in milliseconds.
    pub virtual_ms: i64,
    /// Routes that were not taken: each with where it leads.
    pub not_taken: Vec<NotTaken>,
    /// Steps that did not begin.
    pub not_begun: Vec<String>,
    /// What cannot be known before.
    pub unknown: Vec<String>,
    /// Why it was stopped before its end.
    pub stopped: Option<String>,
}

/// A route that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotTaken {
    /// The route, as `STEP/PLACE/INDEX`.
    pub route: String,
    /// Where it leads.
    pub to: String,
}

/// Plays a start.
///
/// # Errors
/// [`NoDryRun`]
pub fn dry_run(request: DryRunRequest<'_>) -> Result<DryRunReport, NoDryRun> {
    match in_virtual_time(async || Ok(play(request).await)) {
        Ok(played) => played,
        Err(why) => Err(NoDryRun::Unplayed(why)),
    }
}

async fn play(request: DryRunRequest<'_>) -> Result<DryRunReport, NoDryRun> {
    let DryRunRequest { definition, settings, case, options, by, at, texts } = request;
    let nothing = without_stubs(&by);
    let case = case.unwrap_or(&nothing);
    let dry = DryPipeline::new(definition, &case.stubs, &case.config).map_err(NoDryRun::Unplayed)?;
    let DryPipeline { pipeline, made_up, passing, named, answers, mut unknown } = dry;
    let mut stage = CaseStage::set(Play {
        pipeline,
        stubs: case.stubs.clone(),
        made_up: Some(made_up),
        settings,
        seed: SEED,
        at,
        real_time: Some(REAL_TIME),
    });
    for (name, text) in &texts {
        if let Some((pattern, line)) = stage.engine.credential_in(text) {
            return Err(NoDryRun::Credential(name.clone(), pattern, line));
        }
    }
    if let Some((name, _)) = texts.first() {
        let find = |text: &str| stage.engine.credential_in(text);
        refuse_in_definition(&find, name, definition).map_err(NoDryRun::Holds)?;
    }
    let root = stage.start(options, &by).await.map_err(NoDryRun::Unplayed)?.map_err(NoDryRun::Refused)?;
    let mut people = CasePeople::new(case, &stage.world, root, at);
    let mut volunteers = Volunteers::new(answers);
    let played = stage.play(root, &mut people, Some(&mut volunteers), case.until).await;
    let events = played.map_err(NoDryRun::Unplayed)?;
    let stopped = stage.world.fault();
    unknown.extend(volunteers.refused());
    unknown.extend(people.left().into_iter().map(|left| format!("the case {}: {left}", case.name)));
    let outcome = CaseOutcome::of(&stage.engine, &stage.world, root, &events).await;
    let outcome = outcome.map_err(NoDryRun::Unplayed)?;
    if outcome.state.status() == RunStatus::Failed && events.iter().any(|seen| is_made_up(seen, &stage.world))
    {
        unknown
            .push("whether it fails: it may fail on values that are made up; --case gives others".to_owned());
    }
    let own: Vec<&RunEvent> = events.iter().filter(|seen| seen.is_root).map(|seen| &seen.event).collect();
    let mut coverage = PipelineCoverage::of(definition);
    coverage.note(definition, &own);
    let standby: BTreeSet<&str> =
        definition.steps.iter().filter(|step| step.standby).map(|step| step.id.as_str()).collect();
    let not_begun = coverage.unreached().into_iter().filter(|step| !standby.contains(step));
    let not_begun = not_begun.map(str::to_owned).collect();
    let not_taken = coverage.routes.into_iter().filter(|route| route.taken == 0);
    Ok(DryRunReport {
        pipeline: definition.name.clone(),
        status: outcome.state.status(),
        lines: DryRunStory::new(&stage.world, at, &passing, &named, volunteers.said()).lines(&events),
        output: outcome.output,
        virtual_ms: events.iter().map(|seen| seen.at_ms).max().unwrap_or(0),
        not_taken: not_taken.map(|route| NotTaken { route: route.route, to: route.to }).collect(),
        not_begun,
        unknown,
        stopped,
    })
}

fn is_made_up(seen: &CaseEvent, world: &CaseWorld) -> bool {
    matches!(&seen.event, RunEvent::AttemptSucceeded(event) if world.is_made_up(seen.run, &event.id))
}

/// A case in which everything is made up.
fn without_stubs(by: &str) -> PipelineCase {
    PipelineCase {
        name: SEED.to_owned(),
        line: 1,
        input: Value::Null,
        title: None,
        labels: BTreeMap::new(),
        by: by.to_owned(),
        at: None,
        config: BTreeMap::new(),
        until: None,
        stubs: CaseStubs::default(),
        signals: Vec::new(),
        expect: CaseExpectation::default(),
    }
}
