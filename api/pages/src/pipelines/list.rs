//! `/pipelines`: all pipelines, each with how its last runs went.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;

use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::pipelines::PipelinesTab;
use crate::pipelines::figures::{DAY_MS, DAYS, Figures, PipelineRun, RUNS_MAX};
use crate::pipelines::view::{PipelineView, RestList};
use crate::problem::Problem;
use crate::triggers::ScheduleView;

#[derive(Template)]
#[template(path = "pipelines/list.html")]
struct ListPage {
    frame: Frame,
    tab: PipelinesTab,
    rows: Vec<PipelineRow>,
    /// Whether older runs of these days were left out.
    is_bounded: bool,
}

/// A pipeline with what answers whether it is well.
struct PipelineRow {
    pipeline: PipelineView,
    figures: Figures,
    last: Option<PipelineRun>,
    /// When the next of its schedules is due.
    next_at: Option<String>,
    cost: Option<String>,
}

/// The costs of pipelines, as `GET /spend` groups them.
#[derive(Debug, Default, Deserialize)]
struct PipelineSpend {
    items: Vec<SpendItem>,
}

#[derive(Debug, Deserialize)]
struct SpendItem {
    group: String,
    cost_usd: String,
}

pub(super) async fn page(visit: Visit) -> Result<Response, Problem> {
    let since = first_day(visit.shown_millis());
    let runs = with_query(&format!("/runs?limit={RUNS_MAX}"), "started_after", &since.to_string());
    let runs = visit.at_moment(&runs);
    let spend = visit.at_moment(&format!("/spend?by=pipeline&since={}", since.strftime("%Y-%m-%d")));
    let (pipelines, runs, spend, schedules) = futures::join!(
        visit.rest.get::<RestList<PipelineView>>("/pipelines"),
        visit.rest.get::<RestList<PipelineRun>>(&runs),
        visit.rest.get::<PipelineSpend>(&spend),
        visit.rest.get::<RestList<ScheduleView>>("/schedules"),
    );
    let (pipelines, runs) = (pipelines?, runs?);
    // What only adds to the page may be missing.
    let (spend, schedules) = (spend.unwrap_or_default(), schedules.unwrap_or_default());
    let mut by_pipeline: BTreeMap<String, Vec<PipelineRun>> = BTreeMap::new();
    for run in runs.items {
        by_pipeline.entry(run.pipeline.clone()).or_default().push(run);
    }
    let rows = pipelines.items.into_iter().map(|pipeline| {
        let runs = by_pipeline.remove(&pipeline.name).unwrap_or_default();
        let due = schedules.items.iter().filter(|schedule| schedule.pipeline == pipeline.name);
        let cost = spend.items.iter().find(|item| item.group == pipeline.name);
        PipelineRow {
            figures: Figures::of(&runs).up_to(visit.shown_millis()),
            next_at: due.filter_map(|schedule| schedule.next_at.clone()).min(),
            cost: cost.map(|item| item.cost_usd.clone()),
            last: runs.into_iter().next(),
            pipeline,
        }
    });
    let page = ListPage {
        frame: visit.frame("Pipelines", NavPlace::Pipelines),
        tab: PipelinesTab::Pipelines,
        rows: rows.collect(),
        is_bounded: runs.next_cursor.is_some(),
    };
    Ok(Html(page).into_response())
}

/// The start of the first day that a bar shows, in UTC.
fn first_day(shown_millis: i64) -> Timestamp {
    let day = shown_millis.div_euclid(DAY_MS) - (DAYS - 1);
    Timestamp::from_millisecond(day * DAY_MS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_back_from_the_shown_moment() {
        let shown: Timestamp = "2026-03-14T15:00:00Z".parse().expect("the test writes a time");
        assert_eq!(first_day(shown.as_millisecond()).to_string(), "2026-03-01T00:00:00Z");
    }
}
