//! ORCH's database as it stands: tasks with their jobs and agent runs.
//!
//! Law: additive schema changes do no harm, in both directions: a column that is not there is null, one that is not
//! known is not looked at. Only `tasks` with an id, an issue and a stage must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use everfold_engine::time::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::snapshot::{DatabaseSnapshot, unreadable};
use super::times::moment;
use crate::fault::{Code, Fault};

/// The most tasks, and the most jobs and agent runs, that are read.
const ROWS_MAX: usize = 200_000;
/// The longest text that is taken from a column.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What ORCH knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OrchDatabase {
    /// Its tasks, by id.
    pub(crate) tasks: Vec<OrchTask>,
    /// Agent runs that name no task that is there.
    pub(crate) strays: usize,
}

/// A task.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OrchTask {
    pub(crate) id: i64,
    /// The issue in Plane.
    pub(crate) issue: String,
    pub(crate) item: String,
    pub(crate) repo: String,
    pub(crate) branch: String,
    pub(crate) stage: String,
    pub(crate) title: String,
    pub(crate) review_started_at: Option<Timestamp>,
    pub(crate) review_ended_at: Option<Timestamp>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
    /// In the order in which they began.
    pub(crate) runs: Vec<AgentRun>,
    pub(crate) queued: usize,
    pub(crate) running: usize,
}

/// A run of an agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AgentRun {
    pub(crate) id: i64,
    pub(crate) agent: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) cache_read_tokens: Option<u64>,
    pub(crate) cache_creation_tokens: Option<u64>,
    pub(crate) cost_usd: Option<f64>,
    pub(crate) model: Option<String>,
}

/// Reads the database at `path`.
///
/// # Errors
/// It is no database of ORCH, or cannot be read.
pub(crate) fn read_database(path: &Path) -> Result<OrchDatabase, Fault> {
    let snapshot = DatabaseSnapshot::open(path)?;
    let read = read(&snapshot.connection).map_err(|error| match error {
        DatabaseError::Sqlite(error) => unreadable(path, &error),
        DatabaseError::Schema(what) => {
            Fault::new(Code::OrchDatabase, format!("{} is no database of ORCH: {what}", path.display()))
                .hint("name ORCH's database: the file of ORCH_DB_PATH")
        }
        DatabaseError::TooMany(table) => Fault::new(
            Code::OrchDatabase,
            format!("{}: {table} has over {ROWS_MAX} rows, which are the most that are read", path.display()),
        ),
    })?;
    snapshot.check()?;
    Ok(read)
}

enum DatabaseError {
    Sqlite(rusqlite::Error),
    Schema(String),
    TooMany(&'static str),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn read(connection: &Connection) -> Result<OrchDatabase, DatabaseError> {
    let mut tasks = BTreeMap::new();
    let table = Table::of(connection, "tasks", &["id", "stage"])?;
    let Some(table) = table else { return Err(DatabaseError::Schema("it has no table `tasks`".into())) };
    if !table.has("plane_id") && !table.has("plane_issue_id") {
        return Err(DatabaseError::Schema("`tasks` has no column `plane_id`".into()));
    }
    table.each(connection, |row| {
        let task = task(row);
        tasks.insert(task.id, task);
    })?;
    let mut strays = 0;
    if let Some(table) = Table::of(connection, "agent_runs", &["id", "task_id", "agent"])? {
        table.each(connection, |row| match tasks.get_mut(&integer(row, "task_id").unwrap_or(-1)) {
            Some(task) => task.runs.push(agent_run(row)),
            None => strays += 1,
        })?;
    }
    if let Some(table) = Table::of(connection, "jobs", &["id", "task_id", "status"])? {
        table.each(connection, |row| {
            if let Some(task) = tasks.get_mut(&integer(row, "task_id").unwrap_or(-1)) {
                match text(row, "status").as_str() {
                    "queued" => task.queued += 1,
                    "running" => task.running += 1,
                    _ended => {}
                }
            }
        })?;
    }
    let mut tasks: Vec<OrchTask> = tasks.into_values().collect();
    for task in &mut tasks {
        task.runs.sort_by_key(|run| (run.started_at, run.id));
    }
    Ok(OrchDatabase { tasks, strays })
}

fn task(row: &Row<'_>) -> OrchTask {
    let or = |first: &str, second: &str| match text(row, first) {
        empty if empty.is_empty() => text(row, second),
        found => found,
    };
    OrchTask {
        id: integer(row, "id").unwrap_or(0),
        issue: or("plane_id", "plane_issue_id"),
        item: text(row, "work_item_id"),
        repo: text(row, "repo"),
        branch: text(row, "branch"),
        stage: text(row, "stage"),
        title: text(row, "title"),
        review_started_at: time(row, "brd_review_started_at"),
        review_ended_at: time(row, "brd_review_ended_at"),
        created_at: time(row, "created_at"),
        updated_at: time(row, "updated_at"),
        ..OrchTask::default()
    }
}

fn agent_run(row: &Row<'_>) -> AgentRun {
    let count = |name: &str| integer(row, name).and_then(|number| u64::try_from(number).ok());
    let cost = match value(row, "cost_usd") {
        ValueRef::Real(cost) => Some(cost),
        ValueRef::Integer(cost) => Some(cost as f64),
        _other => None,
    };
    AgentRun {
        id: integer(row, "id").unwrap_or(0),
        agent: text(row, "agent"),
        started_at: time(row, "started_at"),
        finished_at: time(row, "finished_at"),
        exit_code: integer(row, "exit_code"),
        input_tokens: count("input_tokens"),
        output_tokens: count("output_tokens"),
        cache_read_tokens: count("cache_read_tokens"),
        cache_creation_tokens: count("cache_creation_tokens"),
        cost_usd: cost.filter(|cost| cost.is_finite() && *cost >= 0.0),
        model: Some(text(row, "model")).filter(|model| !model.is_empty()),
    }
}

/// A table that is there, with the columns that it has.
struct Table {
    name: &'static str,
    columns: BTreeSet<String>,
}

impl Table {
    fn of(
        connection: &Connection,
        name: &'static str,
        needed: &[&str],
    ) -> Result<Option<Self>, DatabaseError> {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let columns = statement.query_map([name], |row| row.get::<_, String>(0))?;
        let columns = columns.collect::<Result<BTreeSet<String>, _>>()?;
        if columns.is_empty() {
            return Ok(None);
        }
        match needed.iter().find(|column| !columns.contains(**column)) {
            Some(column) => Err(DatabaseError::Schema(format!("`{name}` has no column `{column}`"))),
            None => Ok(Some(Self { name, columns })),
        }
    }

    fn has(&self, column: &str) -> bool {
        self.columns.contains(column)
    }

    fn each(&self, connection: &Connection, mut take: impl FnMut(&Row<'_>)) -> Result<(), DatabaseError> {
        let mut statement = connection.prepare(&format!("SELECT * FROM {} ORDER BY id", self.name))?;
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            if count > ROWS_MAX {
                return Err(DatabaseError::TooMany(self.name));
            }
            take(row);
        }
        Ok(())
    }
}

fn value<'a>(row: &'a Row<'_>, column: &str) -> ValueRef<'a> {
    row.get_ref(column).unwrap_or(ValueRef::Null)
}

fn integer(row: &Row<'_>, column: &str) -> Option<i64> {
    match value(row, column) {
        ValueRef::Integer(number) => Some(number),
        ValueRef::Real(number) => Some(number as i64),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

fn text(row: &Row<'_>, column: &str) -> String {
    match value(row, column) {
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(&text[..text.len().min(TEXT_BYTES_MAX)]);
            text.trim().trim_end_matches('\u{fffd}').to_owned()
        }
        ValueRef::Integer(number) => number.to_string(),
        _none => String::new(),
    }
}

fn time(row: &Row<'_>, column: &str) -> Option<Timestamp> {
    moment(value(row, column))
}
