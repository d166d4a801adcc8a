//! `/`: what stands where, and the parts of it that scripts ask for.

use askama::Template;
use axum::extract::RawQuery;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::columns::{self, Column, ColumnsAsked, Rounds};
use super::completions::completions;
use super::counts::Counts;
use super::filter::RunFilter;
use super::query::BoardQuery;
use super::refused::{RefusedPart, UsedFilter};
use super::steps::{PipelineSteps, pipelines};
use super::time_bar::{Marks, TimeBar};
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;

/// The end of the year 9999: times behind it are none of a log.
const LAST_MS: i64 = 253_402_300_799_000;

/// What the board shows of a moment: the part of the page that the slider changes.
#[derive(Debug, Clone)]
struct Shown {
    counts: Counts,
    columns: Vec<Column>,
    pipelines: Vec<PipelineSteps>,
    /// Used up today; only now.
    today: Option<String>,
    filter: RunFilter,
    /// The time of the shown moment where it is a former one: ages are of then.
    then: Option<String>,
}

impl Shown {
    async fn load(visit: &Visit, query: &BoardQuery, used: &UsedFilter) -> Result<Self, Problem> {
        let asked = ColumnsAsked { filter: &used.asked, by: query.by, cards: query.cards };
        let counts = visit.at_moment("/stats");
        let counts = visit.rest.get::<Counts>(&counts);
        let rounds = Rounds::load(visit);
        let (counts, rounds, today, pipelines) = tokio::join!(counts, rounds, today(visit), pipelines(visit));
        let then = visit.then.clone();
        let columns = columns::load(visit, &asked, &pipelines, &rounds).await?;
        Ok(Self { counts: counts?, columns, pipelines, today, filter: used.kept.clone(), then })
    }

    /// The same with the filter as far as it can be used.
    async fn of_filter(visit: &Visit, query: &BoardQuery) -> Result<(Self, UsedFilter), Problem> {
        let used = UsedFilter::of(visit, &query.filter);
        match Self::load(visit, query, &used).await {
            Ok(shown) => Ok((shown, used)),
            Err(problem) => {
                let used = used.judged(visit, problem).await?;
                Ok((Self::load(visit, query, &used).await?, used))
            }
        }
    }

    /// Whether not every run is shown.
    fn is_filtered(&self) -> bool {
        !self.filter.is_empty()
    }

    /// Whether no run is shown.
    fn is_without_runs(&self) -> bool {
        self.columns.iter().all(|column| column.count == 0)
    }

    /// How many runs there are in all.
    fn total(&self) -> String {
        crate::words::count(self.counts.total)
    }

    /// How many runs fit the filter.
    fn fitting(&self) -> String {
        let count: u64 = self.columns.iter().map(|column| column.count).sum();
        let is_more = self.columns.iter().any(|column| column.is_more);
        format!("{}{}", crate::words::count(count), if is_more { "+" } else { "" })
    }
}

/// What was used up today, in UTC as all days of the spend; nothing where the board shows the past.
async fn today(visit: &Visit) -> Option<String> {
    #[derive(Deserialize)]
    struct Spend {
        total: Total,
    }
    #[derive(Deserialize)]
    struct Total {
        cost_usd: String,
    }
    if visit.at.is_some() {
        return None;
    }
    let day = Timestamp::now().strftime("%Y-%m-%d");
    let spend: Spend = visit.rest.get(&format!("/spend?by=day&since={day}")).await.ok()?;
    Some(spend.total.cost_usd).filter(|cost| cost.parse::<f64>().is_ok_and(|cost| cost > 0.0))
}

#[derive(Template)]
#[template(path = "board/board.html")]
struct BoardPage {
    frame: Frame,
    query: BoardQuery,
    shown: Shown,
    bar: TimeBar,
    completions: Vec<String>,
    /// The part of the filter that cannot be used.
    refused: Option<RefusedPart>,
}

#[derive(Template)]
#[template(path = "board/columns.html")]
struct ColumnsPart {
    frame: Frame,
    shown: Shown,
}

#[derive(Template)]
#[template(path = "board/marks.html")]
struct MarksPart {
    marks: Marks,
}

pub(crate) async fn board(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let mut query = BoardQuery::of(raw.as_deref());
    let frame = visit.frame("Board", NavPlace::Board);
    if let Some(filter) = query.typed() {
        return Ok(Redirect::to(&frame.to(query.address(&filter))).into_response());
    }
    if query.part.as_deref() == Some("marks") {
        let within = |ms: Option<i64>| ms.unwrap_or_default().clamp(0, LAST_MS);
        let (from, to) = (within(query.from), within(query.to));
        let mut used = UsedFilter::of(&visit, &query.filter);
        let marks = match Marks::load(&visit, &used.asked, from, to).await {
            Err(problem) => {
                used = used.judged(&visit, problem).await?;
                Marks::load(&visit, &used.asked, from, to).await?
            }
            Ok(marks) => marks,
        };
        return Ok(Html(MarksPart { marks }).into_response());
    }
    if query.part.as_deref() == Some("columns") {
        let (shown, _) = Shown::of_filter(&visit, &query).await?;
        return Ok(Html(ColumnsPart { frame, shown }).into_response());
    }
    let shown = Shown::of_filter(&visit, &query);
    let ((shown, used), bar) = tokio::try_join!(shown, TimeBar::load(&visit, query.span.as_deref()))?;
    query.filter = used.kept.clone();
    let refused = used.refused();
    let runs = shown.columns.iter().flat_map(|column| &column.cards).map(|card| &card.run);
    let completions = completions(&shown.pipelines, runs);
    Ok(Html(BoardPage { frame, query, shown, bar, completions, refused }).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::board::columns::Card;
    use crate::board::row::RunRow;
    use crate::board::steps_bar::StepsBar;

    /// A page of a viewer.
    fn frame(at: Option<&str>) -> Frame {
        let who = serde_json::from_value(json!({ "actor": "user:x", "role": "viewer" })).expect("who");
        let at = at.map(str::to_owned);
        Frame {
            title: "Board".into(),
            place: NavPlace::Board,
            who,
            then: at.clone().filter(|at| crate::words::millis(at).is_some()),
            at,
            here: "/".into(),
            waiting: 0,
            follows: None,
            live: false,
        }
    }

    fn shown(columns: Vec<Column>, total: u64) -> Shown {
        Shown {
            counts: Counts { total, ..Counts::default() },
            columns,
            pipelines: Vec::new(),
            today: None,
            filter: RunFilter::default(),
            then: None,
        }
    }

    fn column(run: RunRow) -> Column {
        let card = Card { run, lead: None, round: None, bar: StepsBar::default() };
        let name = "failed".to_owned();
        Column { name, is_step: false, count: 1, is_more: false, cards: vec![card], table: None }
    }

    #[test]
    fn texts_of_users_stay_texts_on_the_board() {
        let hostile = "<script>alert(1)</script>\u{202e}\u{1b}[31m";
        let run = RunRow {
            short_id: "0d0fb453".into(),
            title: Some(hostile.into()),
            pipeline: hostile.into(),
            status: "failed".into(),
            note: Some(hostile.into()),
            ..RunRow::default()
        };
        let part = ColumnsPart { frame: frame(None), shown: shown(vec![column(run)], 1) };
        let text = part.render().expect("a part");
        assert!(
            !text.contains("<script") && !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{text}"
        );
        assert!(text.contains("id=\"run-0d0fb453\""), "{text}");
    }

    #[test]
    fn links_of_a_former_moment_stay_there() {
        let run = RunRow { short_id: "0d0fb453".into(), status: "failed".into(), ..RunRow::default() };
        let frame = frame(Some("2026-11-22T15:00:00Z"));
        let text = ColumnsPart { frame, shown: shown(vec![column(run)], 1) }.render().expect("a part");
        assert!(text.contains("/runs/0d0fb453?at=2026-11-22T15%3A00%3A00Z"), "{text}");
    }

    #[test]
    fn an_empty_board_says_how_a_run_is_started_and_shows_no_button_that_is_refused() {
        let part = ColumnsPart { frame: frame(None), shown: shown(Vec::new(), 0) };
        let text = part.render().expect("a part");
        assert!(text.contains("everfold run PIPELINE") && !text.contains("/start"), "{text}");
    }
}
