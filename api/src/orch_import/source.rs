//! ORCH's database as it stands: tasks with their jobs and agent runs.
//!
//! Laws:
//! - Additive schema changes do no harm, in both directions: a column that is not there is null, one that is not known is
//!   not looked at. Only `tasks` with an id, an issue and a stage must be there, as tables: a view is a program, which may
//!   never end.
//! - A row without a number of its own is left, and a number that cannot be is not taken over; both are said.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use everfold_engine::text::one_line;
use everfold_engine::time::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::snapshot::{DatabaseSnapshot, unreadable};
use super::times::moment;
use crate::fault::{Code, Fault};

/// The most tasks, and the most jobs and agent runs, that are read.
const ROWS_MAX: usize = 200_000;
/// The most a run of an agent is believed to have cost, in USD.
const COST_MAX: f64 = 1_000_000.0;
/// The most tokens that a run of an agent is believed to have read or written.
const TOKENS_MAX: u64 = 1_000_000_000_000;
/// What a warning shows of a text.
const SHOWN_CHARS: usize = 40;
/// Warnings that are shown one by one.
const WARNINGS_MAX: usize = 20;
/// What stands before the description in what a job was told.
const DESCRIPTION: &str = "Description:";
/// The longest text that is taken from a column.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What ORCH knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OrchDatabase {
    /// Its tasks, by id.
    pub(crate) tasks: Vec<OrchTask>,
    /// Agent runs that name no task that is there.
    pub(crate) strays: usize,
    /// What was not taken over as it is written.
    pub(crate) warnings: Vec<String>,
}

/// What was not taken over, the first of it one by one.
#[derive(Default)]
struct RowWarnings {
    shown: Vec<String>,
    more: usize,
}

impl RowWarnings {
    fn add(&mut self, warning: String) {
        if self.shown.len() < WARNINGS_MAX {
            self.shown.push(warning);
        } else {
            self.more += 1;
        }
    }

    fn all(mut self) -> Vec<String> {
        if self.more > 0 {
            self.shown.push(format!("and {} more of this kind", self.more));
        }
        self.shown
    }
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
    /// What the jobs said of its issue; the longest text counts.
    pub(crate) description: String,
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
    let mut warnings = RowWarnings::default();
    table.each(connection, |row| match integer(row, "id") {
        Some(id) => match tasks.entry(id) {
            Entry::Vacant(place) => drop(place.insert(task(id, row))),
            Entry::Occupied(_) => warnings.add(format!("a second task with the id {id} is left")),
        },
        None => warnings.add(format!("a task whose id is no whole number is left: {}", shown(row, "id"))),
    })?;
    let mut strays = 0;
    if let Some(table) = Table::of(connection, "agent_runs", &["id", "task_id", "agent"])? {
        table.each(connection, |row| {
            match integer(row, "task_id").and_then(|task| tasks.get_mut(&task)) {
                Some(task) => task.runs.push(agent_run(row, &mut warnings)),
                None => strays += 1,
            }
        })?;
    }
    if let Some(table) = Table::of(connection, "jobs", &["id", "task_id", "status"])? {
        table.each(connection, |row| {
            if let Some(task) = integer(row, "task_id").and_then(|task| tasks.get_mut(&task)) {
                let content = text(row, "task_content");
                let description = description(&content);
                if description.len() > task.description.len() {
                    description.clone_into(&mut task.description);
                }
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
    Ok(OrchDatabase { tasks, strays, warnings: warnings.all() })
}

fn task(id: i64, row: &Row<'_>) -> OrchTask {
    let or = |first: &str, second: &str| match text(row, first) {
        empty if empty.is_empty() => text(row, second),
        found => found,
    };
    OrchTask {
        id,
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

/// The description of the issue in what a job was told: it comes last there.
fn description(content: &str) -> &str {
    let at_start = content.strip_prefix(DESCRIPTION);
    let on_a_line = || content.split_once(&format!("\n{DESCRIPTION}")).map(|(_before, rest)| rest);
    at_start.or_else(on_a_line).unwrap_or_default().trim()
}

fn agent_run(row: &Row<'_>, warnings: &mut RowWarnings) -> AgentRun {
    let id = integer(row, "id").unwrap_or(0);
    let mut not_taken = |name: &str| {
        let number = shown(row, name);
        warnings.add(format!("agent run {id}: `{name}` is {number}, which is not taken over"));
    };
    let mut count = |name: &str| {
        let number = integer(row, name);
        let possible = number.and_then(|number| u64::try_from(number).ok()).filter(|it| *it <= TOKENS_MAX);
        if possible.is_none() && !matches!(value(row, name), ValueRef::Null) {
            not_taken(name);
        }
        possible
    };
    let input_tokens = count("input_tokens");
    let output_tokens = count("output_tokens");
    let cache_read_tokens = count("cache_read_tokens");
    let cache_creation_tokens = count("cache_creation_tokens");
    let cost_usd = match value(row, "cost_usd") {
        ValueRef::Real(cost) => Some(cost),
        ValueRef::Integer(cost) => Some(cost as f64),
        _other => None,
    };
    let possible = cost_usd.filter(|cost| (0.0..=COST_MAX).contains(cost));
    if cost_usd.is_some() && possible.is_none() {
        not_taken("cost_usd");
    }
    AgentRun {
        id,
        agent: text(row, "agent"),
        started_at: time(row, "started_at"),
        finished_at: time(row, "finished_at"),
        exit_code: integer(row, "exit_code"),
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_creation_tokens,
        cost_usd: possible,
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
        let kind = "SELECT type FROM sqlite_schema WHERE lower(name) = ?1 AND type IN ('table', 'view')";
        let kind: String = connection.query_row(kind, [name], |row| row.get(0))?;
        if kind != "table" {
            return Err(DatabaseError::Schema(format!("`{name}` is a {kind}, not a table")));
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
        // Whole, and exact.
        ValueRef::Real(number) => (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// A value as a warning shows it.
fn shown(row: &Row<'_>, column: &str) -> String {
    match value(row, column) {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => format!("{number:e}"),
        ValueRef::Text(text) => {
            let text: String = String::from_utf8_lossy(text).chars().take(SHOWN_CHARS).collect();
            format!("“{}”", one_line(&text))
        }
        ValueRef::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
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
