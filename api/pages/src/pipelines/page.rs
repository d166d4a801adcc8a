//! `/pipelines/{name}`: one pipeline: its plan, how its runs went, its versions and what differs between them.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::Value;

use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::line_diff::{LineDifference, ROWS_MAX};
use crate::pipelines::figures::{
    self, CountedDecision, FailingStep, Figures, GateFigures, PipelineRun, RUNS_MAX, StandingStep,
    failing_steps, standing_steps,
};
use crate::pipelines::graph::PlanGraph;
use crate::pipelines::plan::{self, PlanRow};
use crate::pipelines::schema::{self, InputRow};
use crate::pipelines::steps::StepStats;
use crate::pipelines::view::{PipelineView, RestList, VersionView};
use crate::pipelines::{PipelinesTab, pipeline_path, segment};
use crate::problem::Problem;
use crate::triggers::ScheduleView;

/// The code of a name that no pipeline was saved under.
const NO_PIPELINE: &str = "EF0205";
/// As many of the newest runs are listed.
const RUNS_SHOWN: usize = 8;
/// As many of the newest versions are listed.
const VERSIONS_MAX: usize = 200;
/// As many verdicts of gates, and reworks, are counted.
const DECISIONS_MAX: usize = 500;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PageParams {
    /// The version that is compared.
    from: String,
    /// The version that it is compared with.
    to: String,
    /// `side`: side by side; else unified.
    view: String,
    /// The run that a reader comes from.
    run: String,
}

#[derive(Template)]
#[template(path = "pipelines/page.html")]
struct PipelinePage {
    frame: Frame,
    tab: PipelinesTab,
    pipeline: PipelineView,
    /// The plan as a drawing.
    drawn: Option<PlanGraph>,
    plan: Vec<PlanRow>,
    inputs: Vec<InputRow>,
    schema: String,
    versions: Vec<VersionView>,
    /// How many older versions are not listed.
    unlisted_versions: usize,
    /// Who saved the version that is shown, and when.
    saved: Option<VersionView>,
    /// The newest version, where an older one is shown.
    newest: Option<u32>,
    runs: Vec<PipelineRun>,
    has_older_runs: bool,
    figures: Figures,
    failing: Vec<FailingStep>,
    standing: Vec<StandingStep>,
    gates: Vec<GateFigures>,
    has_older_decisions: bool,
    /// How the steps did in the newest ended runs, or why that cannot be read.
    steps: Result<StepStats, Problem>,
    costs: Vec<SpentByStep>,
    schedules: Vec<ScheduleView>,
    hooks: Vec<HookTrigger>,
}

/// What a step cost, of all runs.
#[derive(Debug, Clone, Deserialize)]
struct SpentByStep {
    group: String,
    cost_usd: String,
    input_tokens: u64,
    output_tokens: u64,
}

impl SpentByStep {
    /// The step; groups are named `PIPELINE/STEP`.
    fn step(&self) -> &str {
        self.group.rsplit_once('/').map_or(&self.group, |(_, step)| step)
    }
}

#[derive(Debug, Default, Deserialize)]
struct StepSpend {
    items: Vec<SpentByStep>,
}

/// A trigger that listens to deliveries.
#[derive(Debug, Clone)]
struct HookTrigger {
    source: String,
    when: Option<String>,
    starts: bool,
    signal: Option<String>,
}

impl HookTrigger {
    fn path(&self) -> String {
        format!("/hooks/{}", segment(&self.source))
    }
}

/// `GET /pipelines/{name}`; with `from` and `to` what differs between two of its versions.
pub(super) async fn page(
    visit: Visit,
    Path(name): Path<String>,
    Query(params): Query<PageParams>,
) -> Result<Response, Problem> {
    match (params.from.parse(), params.to.parse()) {
        (Ok(from), Ok(to)) => compared(&visit, &name, (from, to), &params.view).await,
        _ => match shown(&visit, &name).await {
            Err(problem) if problem.code == NO_PIPELINE => {
                let definition = definition_of_run(&visit, &name, params.run).await;
                definition.map(|path| Redirect::to(&path).into_response()).ok_or(problem)
            }
            page => page,
        },
    }
}

/// The address of the definition that a run brought: of the one that a reader comes from, else of the newest.
async fn definition_of_run(visit: &Visit, pipeline: &str, run: String) -> Option<String> {
    let newest = async || {
        let path = visit.at_moment(&with_query("/runs?limit=1", "pipeline", pipeline));
        let runs = visit.rest.get::<RestList<PipelineRun>>(&path).await.ok()?;
        runs.items.into_iter().next().map(|run| run.short_id)
    };
    let run = if run.is_empty() { newest().await? } else { run };
    let frame = visit.frame(pipeline.to_owned(), NavPlace::Pipelines);
    Some(frame.to(format!("/runs/{}/definition", segment(&run))))
}

async fn shown(visit: &Visit, name: &str) -> Result<Response, Problem> {
    let pipeline = PipelineView::load(visit, name).await?;
    let plain = &pipeline.name;
    let runs = visit.at_moment(&with_query(&format!("/runs?limit={RUNS_MAX}"), "pipeline", plain));
    let spend = visit.at_moment(&with_query("/spend?by=step", "pipeline", plain));
    let decisions = format!("/audit/decisions?kind=gate,rework&limit={DECISIONS_MAX}");
    let decisions = visit.at_moment(&with_query(&decisions, "pipeline", plain));
    let versions = format!("/pipelines/{}/versions", segment(plain));
    let (versions, runs, spend, decisions, schedules, steps, drawn) = futures::join!(
        visit.rest.get::<RestList<VersionView>>(&versions),
        visit.rest.get::<RestList<PipelineRun>>(&runs),
        visit.rest.get::<StepSpend>(&spend),
        visit.rest.get::<RestList<CountedDecision>>(&decisions),
        visit.rest.get::<RestList<ScheduleView>>("/schedules"),
        StepStats::load(visit, plain),
        PlanGraph::load(visit, name),
    );
    let (mut versions, mut runs) = (versions?.items, runs?);
    let saved = versions.iter().find(|version| Some(version.n) == pipeline.version).cloned();
    let all_versions = versions.len();
    versions.truncate(VERSIONS_MAX);
    let (spend, decisions) = (spend.unwrap_or_default(), decisions.unwrap_or_default());
    let mut schedules = schedules.unwrap_or_default().items;
    schedules.retain(|schedule| schedule.pipeline == *plain);
    let newest = versions.first().map(|version| version.n);
    let page = PipelinePage {
        frame: visit.frame(format!("{} {}", pipeline.name, pipeline.version_word()), NavPlace::Pipelines),
        tab: PipelinesTab::Pipelines,
        drawn,
        plan: plan::rows(&pipeline),
        inputs: schema::rows(&pipeline.input),
        schema: serde_json::to_string_pretty(&pipeline.input).unwrap_or_default(),
        saved,
        unlisted_versions: all_versions - versions.len(),
        newest: newest.filter(|newest| pipeline.version.is_some_and(|shown| shown < *newest)),
        figures: Figures::of(&runs.items).up_to(visit.shown_millis()),
        failing: failing_steps(&runs.items),
        standing: standing_steps(&runs.items),
        has_older_runs: runs.next_cursor.is_some(),
        gates: figures::gates(&decisions.items),
        has_older_decisions: decisions.next_cursor.is_some(),
        steps,
        costs: spend.items,
        hooks: hooks(&pipeline.document),
        runs: {
            runs.items.truncate(RUNS_SHOWN);
            runs.items
        },
        versions,
        schedules,
        pipeline,
    };
    Ok(Html(page).into_response())
}

/// The triggers of a document that listen to deliveries.
fn hooks(document: &Value) -> Vec<HookTrigger> {
    let triggers = document.get("triggers").and_then(Value::as_array).into_iter().flatten();
    let hook = |trigger: &Value| {
        let text = |name: &str| trigger.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(HookTrigger {
            source: trigger.get("on")?.get("hook")?.as_str()?.to_owned(),
            when: text("when"),
            starts: trigger.get("start").is_some_and(|start| !start.is_null()),
            signal: text("signal"),
        })
    };
    triggers.filter_map(hook).collect()
}

#[derive(Template)]
#[template(path = "pipelines/compare.html")]
struct ComparePage {
    frame: Frame,
    tab: PipelinesTab,
    name: String,
    from: u32,
    to: u32,
    is_side: bool,
    difference: LineDifference,
    /// The hashes of both; equal ones mean that nothing differs but what readers see.
    hashes: (String, String),
    versions: Vec<VersionView>,
}

impl ComparePage {
    fn path(&self) -> String {
        pipeline_path(&self.name, "")
    }

    fn path_as(&self, view: &str) -> String {
        format!("{}?from={}&to={}&view={view}", self.path(), self.from, self.to)
    }

    /// The page of one of the versions.
    fn version_path(&self, version: &u32) -> String {
        pipeline_path(&format!("{}@{version}", self.name), "")
    }

    fn path_swapped(&self) -> String {
        let view = if self.is_side { "side" } else { "unified" };
        format!("{}?from={}&to={}&view={view}", self.path(), self.to, self.from)
    }
}

/// The newest versions, and those that are compared.
fn listed(versions: Vec<VersionView>, of: (u32, u32)) -> Vec<VersionView> {
    let all = versions.into_iter().enumerate();
    all.filter(|(nth, version)| *nth < VERSIONS_MAX || version.n == of.0 || version.n == of.1)
        .map(|(_, version)| version)
        .collect()
}

async fn compared(visit: &Visit, name: &str, of: (u32, u32), view: &str) -> Result<Response, Problem> {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let (former, latter) = (format!("{name}@{}", of.0), format!("{name}@{}", of.1));
    let versions = format!("/pipelines/{}/versions", segment(name));
    let (former, latter, versions) = futures::join!(
        PipelineView::load(visit, &former),
        PipelineView::load(visit, &latter),
        visit.rest.get::<RestList<VersionView>>(&versions),
    );
    let (former, latter) = (former?, latter?);
    let mut frame = visit.frame(format!("{name} @{} to @{}", of.0, of.1), NavPlace::Pipelines);
    // Versions never change.
    frame.live = false;
    let page = ComparePage {
        frame,
        tab: PipelinesTab::Pipelines,
        name: name.to_owned(),
        from: of.0,
        to: of.1,
        is_side: view == "side",
        difference: LineDifference::of(&former.definition(), &latter.definition(), ROWS_MAX),
        hashes: (former.short_hash().to_owned(), latter.short_hash().to_owned()),
        versions: listed(versions.unwrap_or_default().items, of),
    };
    Ok(Html(page).into_response())
}
