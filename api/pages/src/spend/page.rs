//! The page.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::budgets::{self, SharedBudget};
use super::chart::DayChart;
use super::choice::{SpendChoice, SpendParams};
use super::group::SpendGroup;
use super::limited::{self, LimitedRuns};
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;

/// The groups that a table lists; the rest is one row.
const ROWS_MAX: usize = 40;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct SpendGroups {
    items: Vec<SpendGroup>,
    total: SpendGroup,
}

/// A row of the table.
#[derive(Debug, Clone)]
struct GroupRow {
    name: String,
    /// The page of the group.
    link: Option<String>,
    facts: SpendGroup,
    /// Its part of the whole, in tenths of a percent.
    share: u64,
}

impl GroupRow {
    /// The width of its bar, in percent.
    fn width(&self) -> u64 {
        self.share.div_ceil(10).min(100)
    }

    fn percent(&self) -> String {
        match self.share {
            0 => "0 %".to_owned(),
            1..10 => "< 1 %".to_owned(),
            share => format!("{} %", (share + 5) / 10),
        }
    }
}

#[derive(Template)]
#[template(path = "spend/spend.html")]
struct SpendPage {
    frame: Frame,
    choice: SpendChoice,
    chart: DayChart,
    total: SpendGroup,
    rows: Vec<GroupRow>,
    /// Groups that are not listed.
    unlisted: usize,
    budgets: Vec<SharedBudget>,
    /// The runs that their own pipelines limit, or why they cannot be listed.
    limited: Result<LimitedRuns, Problem>,
    /// Why the label cannot be used.
    refused: Option<String>,
}

impl SpendPage {
    fn tokens(&self) -> String {
        crate::words::count(self.total.input_tokens + self.total.output_tokens)
    }

    fn is_empty(&self) -> bool {
        self.total.reports == 0
    }
}

/// `GET /spend`.
pub(super) async fn spend(visit: Visit, Query(params): Query<SpendParams>) -> Result<Response, Problem> {
    let mut choice = SpendChoice::of(&params);
    let (of_days, of_groups) = (choice.route(&visit, "day"), choice.route(&visit, &choice.by));
    let (days, groups, budgets, limited) = futures::join!(
        visit.rest.get::<SpendGroups>(&of_days),
        visit.rest.get::<SpendGroups>(&of_groups),
        budgets::all(&visit),
        limited::load(&visit),
    );
    let mut refused = None;
    let groups = match groups {
        Err(problem) if problem.status == 422 && choice.is_label() => {
            // The label is no name: the rest of the page does not depend on it.
            refused = Some(problem.hint.unwrap_or(problem.detail));
            choice.leave_label();
            visit.rest.get(&choice.route(&visit, &choice.by)).await?
        }
        groups => groups?,
    };
    let days = days?;
    let shown = visit.shown_millis();
    let chart = DayChart::of(&days.items, choice.since(shown).as_deref(), choice.measure, shown);
    let (rows, unlisted) = rows(groups.items, &choice, &visit);
    let frame = visit.frame("Spend", NavPlace::Spend);
    let budgets = budgets?;
    let total = days.total;
    let page = SpendPage { frame, choice, chart, total, rows, unlisted, budgets, limited, refused };
    Ok(Html(page).into_response())
}

/// The rows of the table, the largest first, and how many groups are not among them.
fn rows(mut groups: Vec<SpendGroup>, choice: &SpendChoice, visit: &Visit) -> (Vec<GroupRow>, usize) {
    let measure = choice.measure;
    groups.sort_by(|one, other| {
        measure.of(other).cmp(&measure.of(one)).then_with(|| one.name.cmp(&other.name))
    });
    let whole = groups.iter().map(|group| measure.of(group)).sum::<u64>().max(1);
    let unlisted = groups.len().saturating_sub(ROWS_MAX);
    groups.truncate(ROWS_MAX);
    let frame = visit.frame("", NavPlace::Spend);
    let rows = groups.into_iter().map(|facts| {
        let link = match choice.by.as_str() {
            "run" => Some(frame.to(format!("/runs/{}", crate::words::encoded(&facts.group)))),
            "pipeline" => Some(frame.to(format!("/pipelines/{}", crate::words::encoded(&facts.group)))),
            _ => None,
        };
        let name = match facts.name.as_str() {
            "" if choice.is_label() => format!("(without {})", choice.by_word()),
            "" => "(none)".to_owned(),
            name => name.to_owned(),
        };
        GroupRow { name, link, share: measure.of(&facts).saturating_mul(1_000) / whole, facts }
    });
    (rows.collect(), unlisted)
}
