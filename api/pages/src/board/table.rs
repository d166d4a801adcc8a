//! `/runs`: the runs of a filter as a table, with chosen columns, in pages.

use std::fmt;

use askama::Template;
use axum::extract::RawQuery;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::completions::completions;
use super::filter::RunFilter;
use super::query::BoardQuery;
use super::refused::{RefusedPart, UsedFilter, is_refusal, reason};
use super::row::{RunList, RunRow, UndecidedRuns};
use super::steps::pipelines;
use crate::frame::{Frame, NavPlace, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;
use crate::visible::visible;

/// The columns that there are, with their heads; the first nine are shown unless the address says others.
pub(crate) const COLUMNS: [(&str, &str); 20] = [
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
    ("search", "Search attributes"),
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

/// An order of the table: by one of its columns, or by another field that routes sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SortOrder {
    /// The column that shows the field, where one does.
    column: Option<&'static str>,
    /// Its name in routes.
    field: String,
    is_descending: bool,
}

impl SortOrder {
    fn newest() -> Self {
        Self { column: Some("started"), field: "started".to_owned(), is_descending: true }
    }

    /// The order that an address asks for; whether there is such an order routes know.
    fn read(text: &str) -> Self {
        let (is_descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let column = ORDERS.into_iter().find(|(_, field, _)| *field == name).map(|(column, _, _)| column);
        Self { column, field: name.to_owned(), is_descending }
    }

    /// The order that a click on a column's head leads to.
    fn after_click(&self, column: &str) -> Option<Self> {
        let (column, field, largest_first) = ORDERS.into_iter().find(|(name, _, _)| *name == column)?;
        let is_descending = if self.column == Some(column) { !self.is_descending } else { largest_first };
        Some(Self { column: Some(column), field: field.to_owned(), is_descending })
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
        let sort = get("sort").map_or_else(SortOrder::newest, SortOrder::read);
        Self {
            base: BoardQuery::of(raw),
            sort,
            columns,
            is_default,
            cursor: get("cursor").map(str::to_owned),
        }
    }

    /// An address of the table or its export with another filter and order, from the first page on.
    fn address_of(&self, path: &str, filter: &RunFilter, sort: &SortOrder, cursor: &str) -> String {
        let columns = if self.is_default { String::new() } else { self.columns.join(",") };
        let sort = if *sort == SortOrder::newest() { String::new() } else { sort.to_string() };
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
        self.address_of("/runs", filter, &self.sort, "")
    }

    /// The export of the same runs.
    pub(crate) fn export(&self) -> String {
        self.address_of("/runs.csv", &self.base.filter, &self.sort, "")
    }

    /// The table by a column: in its other order where it is sorted by it; nothing where the column does not sort.
    pub(crate) fn sorted_by(&self, column: &str) -> Option<String> {
        let sort = self.sort.after_click(column)?;
        Some(self.address_of("/runs", &self.base.filter, &sort, ""))
    }

    /// Whether only runs that ended are listed, as by that they are sorted.
    pub(crate) fn lists_ended(&self) -> bool {
        self.sort.field == "ended"
    }

    /// The direction in which a column is sorted, as `aria-sort` has it.
    pub(crate) fn direction(&self, column: &str) -> Option<&'static str> {
        (self.sort.column == Some(column)).then_some(if self.sort.is_descending {
            "descending"
        } else {
            "ascending"
        })
    }

    /// What the table is sorted by: the head of a column, or the name of a field.
    pub(crate) fn sorted_head(&self) -> String {
        self.sort
            .column
            .map_or_else(|| visible(&self.sort.field).into_owned(), |column| Self::head(column).to_owned())
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
    /// Whether runs may fit that were not looked at yet.
    goes_on: bool,
    /// Runs that are left out because the expression cannot be decided of them.
    undecided: Option<UndecidedRuns>,
    completions: Vec<String>,
    /// The end of what still goes on: now, or the shown moment.
    now: String,
    /// The part of the filter that cannot be used.
    refused: Option<RefusedPart>,
    /// Why the order of the address is none.
    sort_refused: Option<String>,
}

pub(crate) async fn table(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let mut query = TableQuery::of(raw.as_deref());
    let frame = visit.frame("Runs", NavPlace::Board);
    if let Some(filter) = query.base.typed() {
        return Ok(Redirect::to(&frame.to(query.address(&filter))).into_response());
    }
    let (listed, pipelines) = tokio::join!(TableRuns::load(&visit, &query), pipelines(&visit));
    let TableRuns { list, used, sort, sort_refused } = listed?;
    query.sort = sort;
    query.cursor = query.cursor.filter(|_| sort_refused.is_none());
    query.base.filter = used.kept.clone();
    let refused = used.refused();
    let (sorted_newest, goes_on, undecided) = (list.sorted_newest(), list.goes_on(), list.undecided());
    let next =
        list.next_cursor.map(|cursor| query.address_of("/runs", &query.base.filter, &query.sort, &cursor));
    let completions = completions(&pipelines, list.items.iter());
    let now = visit.then.clone().unwrap_or_else(|| jiff::Timestamp::now().to_string());
    let rows = list.items;
    let page = TablePage {
        frame,
        query,
        rows,
        next,
        sorted_newest,
        goes_on,
        undecided,
        completions,
        now,
        refused,
        sort_refused,
    };
    Ok(Html(page).into_response())
}

/// The runs of a page, with filter and order as far as they can be used.
struct TableRuns {
    list: RunList,
    used: UsedFilter,
    sort: SortOrder,
    /// Why the order that was asked for is none.
    sort_refused: Option<String>,
}

impl TableRuns {
    async fn load(visit: &Visit, query: &TableQuery) -> Result<Self, Problem> {
        let used = UsedFilter::of(visit, &query.base.filter);
        let problem = match get(visit, query, &used).await {
            Ok(list) => return Ok(Self { list, used, sort: query.sort.clone(), sort_refused: None }),
            Err(problem) => problem,
        };
        let Some(why) = refused_order(visit, &query.sort).await else {
            let used = used.judged(visit, problem).await?;
            let list = get(visit, query, &used).await?;
            return Ok(Self { list, used, sort: query.sort.clone(), sort_refused: None });
        };
        // A cursor counts in the order that it came with.
        let newest = TableQuery { sort: SortOrder::newest(), cursor: None, ..query.clone() };
        let (list, used) = match get(visit, &newest, &used).await {
            Ok(list) => (list, used),
            Err(problem) => {
                let used = used.judged(visit, problem).await?;
                (get(visit, &newest, &used).await?, used)
            }
        };
        Ok(Self { list, used, sort: newest.sort, sort_refused: Some(why) })
    }
}

async fn get(visit: &Visit, query: &TableQuery, used: &UsedFilter) -> Result<RunList, Problem> {
    visit.rest.get(&visit.at_moment(&query.path(&used.asked, ROWS, query.cursor.as_deref()))).await
}

/// Why routes have no such order; nothing where they have it.
async fn refused_order(visit: &Visit, sort: &SortOrder) -> Option<String> {
    if sort.column.is_some() {
        return None;
    }
    let alone = with_query("/runs?limit=1", "sort", &sort.to_string());
    let refusal = visit.rest.get::<serde_json::Value>(&alone).await.err().filter(is_refusal)?;
    Some(reason(refusal))
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
        let query = TableQuery::of(Some("sort=-labels.team"));
        assert_eq!((query.direction("labels"), query.sorted_head().as_str()), (None, "labels.team"));
        assert_eq!(query.export(), "/runs.csv?sort=-labels.team");
        assert_eq!(query.sorted_by("cost").as_deref(), Some("/runs?sort=-cost"));
    }

    #[test]
    fn each_order_is_of_a_column_and_reads_back() {
        for (column, field, _) in ORDERS {
            assert!(COLUMNS.iter().any(|(name, _)| *name == column), "{column}");
            for text in [field.to_owned(), format!("-{field}")] {
                let order = SortOrder::read(&text);
                assert_eq!((order.column, order.to_string()), (Some(column), text));
            }
        }
    }
}
