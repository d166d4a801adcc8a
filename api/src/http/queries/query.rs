//! `POST /query`: one SELECT over the tables, at any moment.
//!
//! Law: a query has a thread of its own and a turn: only so many are answered at once, of a caller and of all, and each
//! has so much time. A query whose caller has gone away ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use everfold_engine::clock::Stopwatch;
use everfold_engine::definition::similar;
use everfold_sql::{
    BoundReached, FUNCTIONS, NotAllowed, SqlError, SqlLimits, SqlQuery, TableReads, UnknownKind,
};
use serde_json::json;

use crate::access::Caller;
use crate::body::query::{
    QueryAnswer, QueryBody, QueryColumn, QueryReads, QueryTable, QueryTableColumn, QueryTablesAnswer,
};
use crate::caller_turns::{CallerTurn, CallerTurns, TurnBounds};
use crate::fault::{Code, Fault};
use crate::http::answer::read;
use crate::http::app::App;
use crate::http::extract::JsonBody;
use crate::http::filter::moment_of;
use crate::http::parameters::moment;
use crate::http::sql::{QueryMoment, TABLES, TableText, functions, tables};

/// Rows of an answer without `limit`, and the largest `limit`.
const ROWS: usize = 1_000;
const ROWS_MAX: usize = 100_000;
/// How long a query may take.
pub(super) const WITHIN: Duration = Duration::from_secs(10);
/// Queries that are answered at once, and those of one caller that wait for that.
const QUERIES: TurnBounds = TurnBounds { all: 4, own: 2, asked: 100 };

/// The turns of a node's queries; in the extensions of requests.
#[derive(Debug, Clone)]
pub(in crate::http) struct QueryTurns(Arc<CallerTurns>);

impl Default for QueryTurns {
    fn default() -> Self {
        Self(Arc::new(CallerTurns::new(QUERIES)))
    }
}

impl QueryTurns {
    /// Waits for a turn of the caller.
    pub(super) async fn turn(&self, caller: &Caller) -> Result<CallerTurn<'_>, Fault> {
        let turn = self.0.turn(&caller.actor.to_string()).await;
        turn.ok_or_else(|| {
            let what = format!("{} queries of this caller wait to be answered already", QUERIES.asked);
            Fault::new(Code::Busy, what).hint("ask for fewer at once").retry_after(Duration::from_secs(1))
        })
    }
}

/// Says to a query that its answer is not wanted any more.
struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `POST /query`: answers one SELECT over the tables, as of now or of any moment. Nothing is written.
///
/// `GET /query` lists the tables with their columns. An answer has at most `limit` rows and says what cut it off;
/// `reads` says how many rows were read of which table, and by which columns they were found.
#[utoipa::path(
    post,
    path = "/query",
    tag = "queries",
    request_body = QueryBody,
    responses((status = 200, description = "The rows, and how they were found.", body = QueryAnswer))
)]
pub(crate) async fn query(
    State(app): State<App>,
    Extension(turns): Extension<QueryTurns>,
    caller: Caller,
    body: JsonBody<QueryBody>,
) -> Result<Response, Fault> {
    let QueryBody { sql, at, limit } = body.value;
    let rows = within("limit", limit, (ROWS, ROWS_MAX))?;
    let _turn = turns.turn(&caller).await?;
    let shared = query_moment(&app, at.as_deref()).await?;
    Ok(read(shared.position, answered(&shared, sql, rows, WITHIN).await?))
}

/// A number that a caller may give: from 1 on, up to a bound.
pub(super) fn within(
    name: &str,
    asked: Option<usize>,
    (default, max): (usize, usize),
) -> Result<usize, Fault> {
    match asked.unwrap_or(default) {
        count if (1..=max).contains(&count) => Ok(count),
        _others => Err(Fault::new(Code::Invalid, format!("{name} is a number from 1 to {max}"))),
    }
}

/// The moment that all tables of a query are read as of: now, or the one that is asked for.
pub(super) async fn query_moment(app: &App, at: Option<&str>) -> Result<Arc<QueryMoment>, Fault> {
    let as_of = moment(app, at).await?;
    let now = moment_of(app, at, as_of).await?;
    Ok(QueryMoment::new(app, as_of, now))
}

/// Answers one SELECT with so many rows at most, within so much time, on a thread of its own.
pub(super) async fn answered(
    moment: &Arc<QueryMoment>,
    sql: String,
    rows: usize,
    within: Duration,
) -> Result<QueryAnswer, Fault> {
    let (shared, position, now) = (Arc::clone(moment), moment.position, moment.now);
    let limits = SqlLimits { rows, ..SqlLimits::default() };
    let (is_unwanted, watch) = (Arc::new(AtomicBool::new(false)), Stopwatch::start());
    let _end = EndOnDrop(Arc::clone(&is_unwanted));
    let answered = tokio::task::spawn_blocking(move || {
        let is_over = move || is_unwanted.load(Ordering::Relaxed) || watch.elapsed() > within;
        let (tables, functions) = (tables(&shared), functions(shared.now));
        SqlQuery { sql: &sql, tables, functions, limits, is_over: Arc::new(is_over) }.answer()
    });
    let answer = answered.await.map_err(|_| Fault::new(Code::Internal, "a query ended in a panic"))?;
    let answer = answer.map_err(fault)?;
    Ok(QueryAnswer {
        columns: answer.columns.iter().map(column).collect(),
        truncated: answer.truncated.map(cut_by),
        position,
        now,
        reads: answer.reads.iter().map(reads).collect(),
        rows: answer.rows,
    })
}

fn column(column: &everfold_sql::AnswerColumn) -> QueryColumn {
    QueryColumn { name: column.name.clone(), r#type: column.of.map(|of| of.word().to_owned()) }
}

fn cut_by(bound: BoundReached) -> String {
    match bound {
        BoundReached::Rows => "rows".to_owned(),
        BoundReached::Bytes => "bytes".to_owned(),
    }
}

fn reads(reads: &TableReads) -> QueryReads {
    let TableReads { table, by, scans, rows } = reads.clone();
    QueryReads { table, by, scans, rows }
}

/// `GET /query`: the tables with their columns, and the functions of queries.
#[utoipa::path(
    get,
    path = "/query",
    tag = "queries",
    responses((status = 200, description = "The tables.", body = QueryTablesAnswer))
)]
pub(crate) async fn schema() -> Json<QueryTablesAnswer> {
    let of_table = |table: &TableText| QueryTable {
        name: table.name.to_owned(),
        about: table.about.to_owned(),
        route: table.route.to_owned(),
        columns: table
            .columns
            .iter()
            .map(|column| QueryTableColumn {
                name: column.name.to_owned(),
                r#type: column.of.word().to_owned(),
                found_by: column.found_word().map(str::to_owned),
                about: column.about.to_owned(),
            })
            .collect(),
    };
    let functions = FUNCTIONS.iter().chain(&OWN_FUNCTIONS).map(|name| (*name).to_owned()).collect();
    Json(QueryTablesAnswer { tables: TABLES.iter().map(of_table).collect(), functions })
}

/// The functions that are not SQLite's.
const OWN_FUNCTIONS: [&str; 3] = ["ago", "moment", "now"];

fn fault(error: SqlError) -> Fault {
    let place = match &error {
        SqlError::Invalid { place, .. } | SqlError::Unknown { place, .. } => *place,
        SqlError::Several { place } => Some(*place),
        _others => None,
    };
    let message = error.to_string();
    let errors = place.map(|place| json!({ "line": place.line, "column": place.column, "message": message }));
    let code = match &error {
        SqlError::OverTime
        | SqlError::OverMemory { .. }
        | SqlError::ValueTooLong { .. }
        | SqlError::TooLong { .. }
        | SqlError::TooLarge(_) => Code::QueryTooLarge,
        SqlError::Internal(_) => Code::Internal,
        _others => Code::BadQuery,
    };
    let hint = hint(&error);
    match error {
        SqlError::Table { source, table } => match source.downcast::<Fault>() {
            Ok(fault) => *fault,
            Err(source) => Fault::new(Code::Internal, format!("the table `{table}`: {source}")),
        },
        _others => {
            Fault::new(code, format!("sql: {message}")).errors(errors.into_iter().collect()).hinted(hint)
        }
    }
}

/// What to do about an error.
fn hint(error: &SqlError) -> Option<String> {
    let names = || TABLES.iter().map(|table| table.name);
    Some(match error {
        SqlError::Unknown { kind: UnknownKind::Table, name, .. } | SqlError::NotAllowed(NotAllowed::Table(name)) => {
            with_near(similar(name, names()), format!("the tables are {}", names().collect::<Vec<_>>().join(", ")))
        }
        SqlError::Unknown { kind: UnknownKind::Column, name, .. } => of_column(name),
        SqlError::Unknown { kind: UnknownKind::Function, name, .. }
        | SqlError::NotAllowed(NotAllowed::Function(name)) => {
            let all = || FUNCTIONS.iter().chain(&OWN_FUNCTIONS).copied();
            let by_clock = name.to_ascii_lowercase().starts_with("current_");
            let near = if by_clock { Some("now") } else { similar(name, all()) };
            with_near(near, "`everfold sql --schema` lists the functions".to_owned())
        }
        SqlError::NotAllowed(NotAllowed::Statement(_)) => {
            "write one SELECT (`with … select …` is one). Runs are changed by verbs and by their routes, as `everfold cancel RUN`"
                .to_owned()
        }
        SqlError::NoStatement(_) => "write one SELECT, as `select status, count(*) from runs group by status`".to_owned(),
        SqlError::Several { .. } => "ask them one by one".to_owned(),
        SqlError::NoTime { .. } => {
            "write the date, as '2026-11-20', or more of it, as '2026-11-20T09:00'; `ago('7d')` is a time before now"
                .to_owned()
        }
        SqlError::OverTime => format!(
            "a query has {} s. Ask by columns that rows are found by (`everfold sql --schema`), for fewer runs \
             (`started_at > ago('7d')`), and name runs where a table is folded run by run",
            WITHIN.as_secs()
        ),
        SqlError::OverMemory { .. } | SqlError::ValueTooLong { .. } => {
            "ask for fewer rows or shorter values: sorting, grouping and joining hold them".to_owned()
        }
        SqlError::TooLong { .. } | SqlError::TooLarge(_) => "ask for less at once, in several queries".to_owned(),
        SqlError::Invalid { .. } | SqlError::Table { .. } | SqlError::Internal(_) => return None,
    })
}

fn with_near(near: Option<&str>, all: String) -> String {
    near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default() + &all
}

/// The column that a mistyped one most likely stands for, or a field of lists that has another name here.
fn of_column(name: &str) -> String {
    let (table, column) = name.rsplit_once('.').map_or((None, name), |(table, column)| (Some(table), column));
    let near = TABLES.iter().find_map(|known| {
        let names = known.columns.iter().map(|column| column.name);
        let is_it = table.is_none_or(|table| table == known.name);
        let flat = name.replace('.', "_");
        let exact = known.columns.iter().find(|known| known.name == flat).map(|column| column.name);
        exact.or_else(|| if is_it { similar(column, names) } else { None }).map(|near| (known.name, near))
    });
    let near = near.map(|(table, near)| format!("did you mean `{near}` of `{table}`? ")).unwrap_or_default();
    let text = "A text stands in single quotes";
    format!("{near}`everfold sql --schema TABLE` lists the columns. {text}")
}
