//! One query, from its text to its answer.

use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, Error, ErrorCode, OpenFlags, Statement};
use serde_json::Value;

use crate::column::SqlType;
use crate::error::{NotAllowed, SqlError, SqlPlace, UnknownKind};
use crate::functions::{self, SqlFunction};
use crate::limits::{BoundReached, SqlLimits};
use crate::permit::{Permit, changing_verb};
use crate::quantiles;
use crate::table::{SqlTable, TableReads};
use crate::time_order;
use crate::virtual_table::{self, QueryTables};

/// Instructions of SQLite between two looks at the time.
const INSTRUCTIONS: i32 = 1_000;
/// Columns of an answer, of `GROUP BY` and of `ORDER BY`.
const COLUMNS_MAX: i32 = 200;
/// Parts of `UNION`, `EXCEPT`, `INTERSECT`.
const PARTS_MAX: i32 = 50;
/// Instructions of a query.
const PROGRAM_MAX: i32 = 50_000;
/// Characters of a pattern of `LIKE` and `GLOB`.
const PATTERN_MAX: i32 = 200;
/// How errors begin that say that a bound of size is reached.
const TOO_LARGE: [&str; 14] = [
    "at most ",
    "too many FROM clause terms",
    "too many RIGHT JOINs",
    "too many arguments on function",
    "too many columns",
    "too many numbers",
    "too many references",
    "too many terms",
    "parser stack overflow",
    "Expression tree is too large",
    "Expression nested too deep",
    "VIEWs and/or subqueries nested too deep",
    "JSON nested too deep",
    "LIKE or GLOB pattern too complex",
];

/// A query.
pub struct SqlQuery<'a> {
    /// Its text.
    pub sql: &'a str,
    /// What it may read.
    pub tables: Vec<Arc<dyn SqlTable>>,
    /// What it may call, beside [`crate::FUNCTIONS`].
    pub functions: Vec<SqlFunction>,
    /// What it may use up.
    pub limits: SqlLimits,
    /// Whether its time is over, or its answer is not wanted any more; asked often.
    pub is_over: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// What it holds, where it is a column of a table.
    pub of: Option<SqlType>,
}

/// The answer of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlAnswer {
    /// Its columns.
    pub columns: Vec<AnswerColumn>,
    /// Its rows; each has a value for each column.
    pub rows: Vec<Vec<Value>>,
    /// Why it is cut off; none: it is whole.
    pub truncated: Option<BoundReached>,
    /// How the tables were read.
    pub reads: Vec<TableReads>,
}

impl SqlQuery<'_> {
    /// Answers it. It takes the thread that calls it.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn answer(self) -> Result<SqlAnswer, SqlError> {
        let limits = self.limits;
        if self.sql.len() > limits.sql_bytes {
            return Err(SqlError::TooLong { bytes: self.sql.len(), max: limits.sql_bytes });
        }
        if self.sql.contains('\0') {
            return Err(SqlError::NoStatement("the query holds a NUL"));
        }
        let shared = Arc::new(QueryTables::new(Arc::clone(&self.is_over)));
        let names = self.tables.iter().map(|table| table.name().to_owned()).collect();
        let permit = Permit::new(names, self.functions.iter().map(|own| own.name.to_owned()).collect());
        let mut connection = open(&limits)?;
        // The declarations of the tables name it.
        time_order::register(&connection)?;
        for table in self.tables {
            virtual_table::register(&connection, table, Arc::clone(&shared))?;
        }
        functions::register(&connection, self.functions)?;
        quantiles::register(&connection)?;
        let judge = permit.clone();
        connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| judge.judge(context)))?;
        let is_over = Arc::clone(&self.is_over);
        connection.progress_handler(INSTRUCTIONS, Some(move || is_over()))?;
        let reading =
            QueryReading { sql: self.sql, limits, shared: &shared, permit: &permit, is_over: &*self.is_over };
        let mut statement = reading.prepared(&connection)?;
        let read = reading.read(&mut statement);
        drop(statement);
        let mut answer = read?;
        answer.reads = shared.reads();
        Ok(answer)
    }
}

/// A database in memory with nothing in it, which will stay so.
fn open(limits: &SqlLimits) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_in_memory_with_flags(flags)?;
    // Sorting and grouping stay in memory, of which there is a bound that holds for the whole process.
    connection.execute_batch(&format!(
        "PRAGMA temp_store = MEMORY; PRAGMA hard_heap_limit = {}; PRAGMA query_only = ON;",
        limits.memory_bytes
    ))?;
    for (what, is_on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        // A text in double quotes is the name of a column, so that a mistyped one is not taken for a text.
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        connection.set_db_config(what, is_on)?;
    }
    let bytes = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
    for (what, max) in [
        (Limit::SQLITE_LIMIT_LENGTH, bytes(limits.value_bytes)),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, bytes(limits.sql_bytes)),
        (Limit::SQLITE_LIMIT_COLUMN, COLUMNS_MAX),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, bytes(limits.depth)),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, PARTS_MAX),
        (Limit::SQLITE_LIMIT_VDBE_OP, PROGRAM_MAX),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 64),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN_MAX),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(what, max)?;
    }
    Ok(connection)
}

/// A query while it is answered.
struct QueryReading<'a> {
    sql: &'a str,
    limits: SqlLimits,
    shared: &'a QueryTables,
    permit: &'a Permit,
    is_over: &'a dyn Fn() -> bool,
}

impl QueryReading<'_> {
    /// The one statement of the query.
    fn prepared<'c>(&self, connection: &'c Connection) -> Result<Statement<'c>, SqlError> {
        let mut batch = Batch::new(connection, self.sql);
        let statement = batch.next().map_err(|error| self.error(error))?;
        let statement = statement.ok_or(SqlError::NoStatement("the query is empty"))?;
        // What stands behind it is read, and never run.
        let text = statement.expanded_sql().unwrap_or_default();
        match batch.next() {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => {
                let begin = self.sql.find(text.as_str()).map_or(0, |at| at + text.len());
                let blank =
                    self.sql[begin..].len() - self.sql[begin..].trim_start_matches([';', ' ', '\n']).len();
                return Err(SqlError::Several { place: SqlPlace::of(self.sql, begin + blank) });
            }
        }
        if !statement.readonly() || statement.column_count() == 0 {
            let verb = changing_verb(self.sql).unwrap_or("this statement");
            return Err(SqlError::NotAllowed(NotAllowed::Statement(verb.to_owned())));
        }
        Ok(statement)
    }

    fn read(&self, statement: &mut Statement<'_>) -> Result<SqlAnswer, SqlError> {
        let columns: Vec<AnswerColumn> = statement
            .columns()
            .map(|column| AnswerColumn {
                name: column.name().to_owned(),
                of: column.decl_type().and_then(SqlType::of_declared),
            })
            .collect();
        let (mut found, mut bytes, mut truncated) = (Vec::new(), 0, None);
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| self.error(error))? {
            if found.len() >= self.limits.rows {
                truncated = Some(BoundReached::Rows);
                break;
            }
            let mut values = Vec::with_capacity(columns.len());
            for (place, column) in columns.iter().enumerate() {
                let value = row.get_ref(place).map_err(|error| self.error(error))?;
                let (value, size) = answered(value, column.of);
                bytes += size;
                values.push(value);
            }
            if bytes > self.limits.answer_bytes {
                truncated = Some(BoundReached::Bytes);
                break;
            }
            found.push(values);
        }
        drop(rows);
        Ok(SqlAnswer { columns, rows: found, truncated, reads: Vec::new() })
    }

    /// What SQLite's error means.
    fn error(&self, error: Error) -> SqlError {
        if let Some(failure) = self.shared.failure() {
            return failure;
        }
        if let Some(verb) = changing_verb(self.sql) {
            return SqlError::NotAllowed(NotAllowed::Statement(verb.to_owned()));
        }
        if let Some(refused) = self.permit.refused() {
            return SqlError::NotAllowed(refused);
        }
        let (code, message, offset) = match &error {
            Error::SqlInputError { error, msg, offset, .. } => {
                (error.code, msg.clone(), usize::try_from(*offset).ok())
            }
            Error::SqliteFailure(error, message) => {
                (error.code, message.clone().unwrap_or_else(|| error.to_string()), None)
            }
            _others => return SqlError::Internal(error),
        };
        let place = offset.map(|offset| SqlPlace::of(self.sql, offset));
        match code {
            ErrorCode::OperationInterrupted => SqlError::OverTime,
            ErrorCode::OutOfMemory => SqlError::OverMemory { max: self.limits.memory_bytes },
            ErrorCode::TooBig => SqlError::ValueTooLong { max: self.limits.value_bytes },
            _others if (self.is_over)() => SqlError::OverTime,
            _others if message.contains("string or blob too big") => {
                SqlError::ValueTooLong { max: self.limits.value_bytes }
            }
            _others => spoken(message, place),
        }
    }
}

/// An error of SQLite's by its words.
fn spoken(message: String, place: Option<SqlPlace>) -> SqlError {
    if message.contains("may not be modified") {
        return SqlError::NotAllowed(NotAllowed::Statement("this statement".to_owned()));
    }
    let unknown = [
        ("no such table: ", UnknownKind::Table),
        ("no such column: ", UnknownKind::Column),
        ("no such function: ", UnknownKind::Function),
    ];
    for (words, kind) in unknown {
        if let Some(name) = message.strip_prefix(words) {
            // SQLite explains itself behind the name.
            let name = name.split(" - ").next().unwrap_or(name).trim_matches('"').to_owned();
            return SqlError::Unknown { kind, name, place };
        }
    }
    if is_too_large(&message) {
        return SqlError::TooLarge(message);
    }
    SqlError::Invalid { message, place }
}

/// Whether SQLite's words, or those of quantiles, say that a bound of size is reached. What other functions say has their names
/// in front, and may have words of the query in it.
fn is_too_large(message: &str) -> bool {
    TOO_LARGE.iter().any(|beginning| message.starts_with(beginning))
}

/// A value of the answer, and how many bytes it has.
fn answered(value: ValueRef<'_>, of: Option<SqlType>) -> (Value, usize) {
    match value {
        ValueRef::Null => (Value::Null, 4),
        ValueRef::Integer(number) if of == Some(SqlType::Boolean) => (Value::Bool(number != 0), 5),
        ValueRef::Integer(number) => (Value::from(number), 8),
        // JSON has no numbers for these.
        ValueRef::Real(number) if number.is_infinite() => {
            let text = if number > 0.0 { "Infinity" } else { "-Infinity" };
            (Value::from(text), text.len() + 2)
        }
        ValueRef::Real(number) => (Value::from(number), 8),
        ValueRef::Text(text) => {
            let size = text.len() + 2;
            let json = (of == Some(SqlType::Json)).then(|| serde_json::from_slice(text).ok()).flatten();
            (json.unwrap_or_else(|| Value::String(String::from_utf8_lossy(text).into_owned())), size)
        }
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            (Value::String(hex), bytes.len() * 2 + 2)
        }
    }
}
