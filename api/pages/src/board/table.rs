//! `/runs`: the runs of a filter as a table, with chosen columns, in pages.

use std::fmt;

use askama::Template;
use axum::extract::RawQuery;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::completions::completions;
use super::filter::RunFilter;
use super::query::BoardQuery;
use super::refused::{RefusedPart, UsedFilter};
use super::row::{RunList, RunRow};
use super::steps::pipelines;
use crate::frame::{Frame, NavPlace, Visit};
use crate::html::Html;
use crate::problem::Problem;

/// The columns that there are, with their heads; the first nine are shown unless the address says others.
pub(crate) const COLUMNS: [(&str, &str); 19] = [
    ("run", "Run"),
    ("status", "Status"),
    ("title", "Title"),
    ("pipeline", "Pipeline"),
    ("step", "Step"),
    ("waits", "Waits for"),
    ("started", "Started"),
    ("took", "Took"),
    ("cost", "Cost"),
    ("note", "Note"),
    ("ended", "Ended"),
    ("steps", "Steps done"),
    ("moved", "In this state"),
    ("by", "Started by"),
    ("labels", "Labels"),
    ("tokens", "Tokens"),
    ("number", "Number"),
    ("parent", "Parent"),
    ("version", "Version"),
];
const SHOWN: usize = 9;
/// Runs of a page.
const ROWS: usize = 100;
/// The columns that sort: their orders in routes, and whether the first click brings the largest first.
const ORDERS: [(&str, &str, bool); 12] = [
    ("status", "status", false),
    ("title", "title", false),
    ("pipeline", "pipeline", false),
    ("started", "started", true),
    ("took", "elapsed", true),
    ("cost", "cost", true),
    ("ended", "ended", true),
    ("steps", "step_counts.succeeded", true),
    ("moved", "moved_at", true),
    ("by", "started_by", false),
    ("number", "number", true),
    ("version", "version", true),
];

/// What the address asks of the table, beside filter and moment.
#[derive(Debug, Clone)]
pub(crate) struct TableQuery {
    pub(crate) base: BoardQuery,
    pub(crate) sort: SortOrder,
    /// Names of columns, in their order.
    pub(crate) columns: Vec<&'static str>,
    is_default: bool,
    cursor: Option<String>,
}

/// An order of the table by one of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortOrder {
    column: &'static str,
    /// Its name in routes.
    field: &'static str,
    is_descending: bool,
}

impl SortOrder {
    const NEWEST: Self = Self { column: "started", field: "started", is_descending: true };

    /// The order that an address asks for.
    fn read(text: &str) -> Option<Self> {
        let is_descending = text.starts_with('-');
        let name = text.trim_start_matches('-');
        let (column, field, _) = ORDERS.into_iter().find(|(_, field, _)| *field == name)?;
        Some(Self { column, field, is_descending })
    }

    /// The order that a click on a column's head leads to.
    fn after_click(self, column: &str) -> Option<Self> {
        let (column, field, largest_first) = ORDERS.into_iter().find(|(name, _, _)| *name == column)?;
        let is_descending = if self.column == column { !self.is_descending } else { largest_first };
        Some(Self { column, field, is_descending })
    }
}

impl fmt::Display for SortOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_descending { "-" } else { "" }, self.field)
    }
}

impl TableQuery {
    pub(crate) fn of(raw: Option<&str>) -> Self {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(raw.unwrap_or_default().as_bytes())
            .into_owned()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let get =
            |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let asked: Vec<&str> = pairs
            .iter()
            .filter(|(name, _)| name == "columns")
            .flat_map(|(_, value)| value.split(','))
            .collect();
        let columns: Vec<&'static str> =
            COLUMNS.iter().map(|(name, _)| *name).filter(|name| asked.contains(name)).collect();
        let is_default = columns.is_empty();
        let columns =
            if is_default { COLUMNS.iter().take(SHOWN).map(|(name, _)| *name).collect() } else { columns };
        let sort = get("sort").and_then(SortOrder::read).unwrap_or(SortOrder::NEWEST);
        Self {
            base: BoardQuery::of(raw),
            sort,
            columns,
            is_default,
            cursor: get("cursor").map(str::to_owned),
        }
    }

    /// An address of the table or its export with another filter and order, from the first page on.
    fn address_of(&self, path: &str, filter: &RunFilter, sort: SortOrder, cursor: &str) -> String {
        let columns = if self.is_default { String::new() } else { self.columns.join(",") };
        let sort = if sort == SortOrder::NEWEST { String::new() } else { sort.to_string() };
        filter.address(path, &[("sort", &sort), ("columns", &columns), ("cursor", cursor)])
    }

    /// Whether this is the first page.
    pub(crate) fn is_first(&self) -> bool {
        self.cursor.is_none()
    }

    /// What the address holds beside filter and moment, for the fields of a form.
    pub(crate) fn kept(&self) -> Vec<(&'static str, String)> {
        let columns = if self.is_default { String::new() } else { self.columns.join(",") };
        vec![("sort", self.sort.to_string()), ("columns", columns)]
    }

    /// The parts of the filter, each with the table without it.
    pub(crate) fn chips(&self) -> Vec<(String, String)> {
        self.base.filter.chips().into_iter().map(|chip| (chip.text, self.address(&chip.without))).collect()
    }

    /// The table without a filter.
    pub(crate) fn cleared(&self) -> String {
        self.address(&RunFilter::default())
    }

    /// The first page of the table with another filter.
    pub(crate) fn address(&self, filter: &RunFilter) -> String {
        self.address_of("/runs", filter, self.sort, "")
    }

    /// The export of the same runs.
    pub(crate) fn export(&self) -> String {
        self.address_of("/runs.csv", &self.base.filter, self.sort, "")
    }

    /// The table by a column: in its other order where it is sorted by it; nothing where the column does not sort.
    pub(crate) fn sorted_by(&self, column: &str) -> Option<String> {
        let sort = self.sort.after_click(column)?;
        Some(self.address_of("/runs", &self.base.filter, sort, ""))
    }

    /// Whether only runs that ended are listed, as by that they are sorted.
    pub(crate) fn lists_ended(&self) -> bool {
        self.sort.field == "ended"
    }

    /// The direction in which a column is sorted, as `aria-sort` has it.
    pub(crate) fn direction(&self, column: &str) -> Option<&'static str> {
        (self.sort.column == column).then_some(if self.sort.is_descending {
            "descending"
        } else {
            "ascending"
        })
    }

    /// The head of the column that the table is sorted by.
    pub(crate) fn sorted_head(&self) -> &'static str {
        Self::head(self.sort.column)
    }

    /// The direction as a sign.
    pub(crate) fn arrow(&self) -> &'static str {
        if self.sort.is_descending { "↓" } else { "↑" }
    }

    /// Whether a column is shown.
    pub(crate) fn shows(&self, column: &str) -> bool {
        self.columns.contains(&column)
    }

    /// The head of a column.
    pub(crate) fn head(column: &str) -> &'static str {
        COLUMNS.iter().find(|(name, _)| *name == column).map_or("", |(_, head)| head)
    }

    /// What routes are asked for a page.
    pub(crate) fn path(&self, filter: &RunFilter, limit: usize, cursor: Option<&str>) -> String {
        filter.address(
            "/runs",
            &[
                ("sort", &self.sort.to_string()),
                ("limit", &limit.to_string()),
                ("cursor", cursor.unwrap_or_default()),
            ],
        )
    }
}

/// Whether a column holds numbers, which stand at its right.
pub(crate) fn is_number(column: &str) -> bool {
    matches!(column, "took" | "cost" | "steps" | "tokens" | "number" | "version")
}

#[derive(Template)]
#[template(path = "board/table.html")]
struct TablePage {
    frame: Frame,
    query: TableQuery,
    rows: Vec<RunRow>,
    next: Option<String>,
    /// How many runs are sorted, where there may be more that fit.
    sorted_newest: Option<u64>,
    completions: Vec<String>,
    /// The end of what still goes on: now, or the shown moment.
    now: String,
    /// The part of the filter that cannot be used.
    refused: Option<RefusedPart>,
}

pub(crate) async fn table(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let mut query = TableQuery::of(raw.as_deref());
    let frame = visit.frame("Runs", NavPlace::Board);
    if let Some(filter) = query.base.typed() {
        return Ok(Redirect::to(&frame.to(query.address(&filter))).into_response());
    }
    let (list, pipelines) = tokio::join!(listed(&visit, &query), pipelines(&visit));
    let (list, used) = list?;
    query.base.filter = used.kept.clone();
    let refused = used.refused();
    let sorted_newest = list.sorted_newest();
    let next =
        list.next_cursor.map(|cursor| query.address_of("/runs", &query.base.filter, query.sort, &cursor));
    let completions = completions(&pipelines, list.items.iter());
    let now = visit.then.clone().unwrap_or_else(|| jiff::Timestamp::now().to_string());
    Ok(Html(TablePage { frame, query, rows: list.items, next, sorted_newest, completions, now, refused })
        .into_response())
}

/// The runs of a page, with the filter as far as it can be used.
async fn listed(visit: &Visit, query: &TableQuery) -> Result<(RunList, UsedFilter), Problem> {
    let path = |used: &UsedFilter| visit.at_moment(&query.path(&used.asked, ROWS, query.cursor.as_deref()));
    let used = UsedFilter::of(visit, &query.base.filter);
    match visit.rest.get(&path(&used)).await {
        Ok(list) => Ok((list, used)),
        Err(problem) => {
            let used = used.judged(visit, problem).await?;
            Ok((visit.rest.get(&path(&used)).await?, used))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_columns_come_in_their_own_order_whichever_way_they_are_asked() {
        for raw in ["columns=cost,run", "columns=cost&columns=run", "columns=cost,run,nonsense"] {
            assert_eq!(TableQuery::of(Some(raw)).columns, ["run", "cost"], "{raw}");
        }
        assert_eq!(TableQuery::of(None).columns.len(), SHOWN);
    }

    #[test]
    fn a_head_sorts_what_is_counted_down_first_and_names_up_first_and_then_the_other_way() {
        let query = TableQuery::of(Some("status=failed"));
        assert_eq!(query.sorted_by("started").as_deref(), Some("/runs?status=failed&sort=started"));
        assert_eq!(query.sorted_by("ended").as_deref(), Some("/runs?status=failed&sort=-ended"));
        assert_eq!(query.sorted_by("cost").as_deref(), Some("/runs?status=failed&sort=-cost"));
        assert_eq!(query.sorted_by("title").as_deref(), Some("/runs?status=failed&sort=title"));
        assert_eq!((query.sorted_by("waits"), query.direction("started")), (None, Some("descending")));
        let query = TableQuery::of(Some("sort=-elapsed&columns=run,took"));
        assert_eq!(query.sorted_by("took").as_deref(), Some("/runs?sort=elapsed&columns=run%2Ctook"));
        assert_eq!((query.direction("took"), query.direction("started")), (Some("descending"), None));
        assert_eq!(TableQuery::of(Some("sort=sideways")).direction("started"), Some("descending"));
    }

    #[test]
    fn each_order_is_of_a_column_and_reads_back() {
        for (column, field, _) in ORDERS {
            assert!(COLUMNS.iter().any(|(name, _)| *name == column), "{column}");
            for text in [field.to_owned(), format!("-{field}")] {
                assert_eq!(SortOrder::read(&text).map(|order| order.to_string()), Some(text));
            }
        }
    }
}
