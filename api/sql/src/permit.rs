//! What a query may do, as SQLite asks while it reads the query's text.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::error::NotAllowed;

/// The functions of SQLite that queries have. What is not among them is refused: what opens files or loads code, what
/// draws at random, what tells of SQLite itself, and `json_patch`, whose time grows with the square of its arguments.
pub const FUNCTIONS: &[&str] = &[
    "->",
    "->>",
    "abs",
    "avg",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "cume_dist",
    "date",
    "datetime",
    "dense_rank",
    "first_value",
    "format",
    "glob",
    "group_concat",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_each",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_tree",
    "json_type",
    "json_valid",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "lower",
    "ltrim",
    "max",
    "median",
    "min",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "p50",
    "p95",
    "percent_rank",
    "printf",
    "quantile",
    "quote",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "time",
    "timediff",
    "total",
    "trim",
    "typeof",
    "unicode",
    "unixepoch",
    "unlikely",
    "upper",
];

/// The words that statements begin with which do something else than to read.
const CHANGING_VERBS: [&str; 21] = [
    "ALTER",
    "ANALYZE",
    "ATTACH",
    "BEGIN",
    "COMMIT",
    "CREATE",
    "DELETE",
    "DETACH",
    "DROP",
    "END",
    "GRANT",
    "INSERT",
    "MERGE",
    "PRAGMA",
    "REINDEX",
    "RELEASE",
    "REPLACE",
    "ROLLBACK",
    "SAVEPOINT",
    "UPDATE",
    "VACUUM",
];

/// The word that a query begins with, where it is one that does something else than to read. SQLite's own errors about such a
/// statement speak of the tables that it would need for that.
pub(crate) fn changing_verb(sql: &str) -> Option<&'static str> {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|it: char| it.is_whitespace() || it == ';' || it == '\u{feff}');
        let end = match rest.get(..2) {
            Some("--") => rest.find('\n').map(|at| at + 1),
            Some("/*") => rest.find("*/").map(|at| at + 2),
            _word => break,
        };
        rest = &rest[end?..];
    }
    let word = rest.split(|it: char| !it.is_ascii_alphabetic()).next().unwrap_or_default();
    CHANGING_VERBS.into_iter().find(|verb| verb.eq_ignore_ascii_case(word))
}

/// Tables of SQLite itself that read values of the query alone.
const OWN_TABLES: [&str; 2] = ["json_each", "json_tree"];

/// Refuses what is no reading of the tables, and keeps what was refused first.
#[derive(Clone)]
pub(crate) struct Permit {
    tables: Arc<[String]>,
    functions: Arc<[String]>,
    refused: Arc<Mutex<Option<NotAllowed>>>,
}

impl Permit {
    pub(crate) fn new(tables: Vec<String>, functions: Vec<String>) -> Self {
        Self { tables: tables.into(), functions: functions.into(), refused: Arc::default() }
    }

    /// What was refused.
    pub(crate) fn refused(&self) -> Option<NotAllowed> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_table(&self, name: &str) -> bool {
        let is_it = |known: &str| known.eq_ignore_ascii_case(name);
        self.tables.iter().any(|known| is_it(known)) || OWN_TABLES.into_iter().any(is_it)
    }

    pub(crate) fn judge(&self, context: AuthContext<'_>) -> Authorization {
        let refused = match context.action {
            AuthAction::Select | AuthAction::Recursive => return Authorization::Allow,
            // A table of which no column is read; subqueries come here, too, by the names that the query gives them.
            AuthAction::Read { table_name, column_name: "" }
                if !["sqlite_", "pragma_", "dbstat", "fts"]
                    .iter()
                    .any(|own| table_name.to_ascii_lowercase().starts_with(own)) =>
            {
                return Authorization::Allow;
            }
            AuthAction::Read { table_name, .. } if self.is_table(table_name) => return Authorization::Allow,
            AuthAction::Read { table_name, .. } => NotAllowed::Table(table_name.to_owned()),
            AuthAction::Function { function_name } => {
                let is_it = |known: &str| known.eq_ignore_ascii_case(function_name);
                if FUNCTIONS.iter().any(|known| is_it(known)) || self.functions.iter().any(|own| is_it(own)) {
                    return Authorization::Allow;
                }
                NotAllowed::Function(function_name.to_owned())
            }
            other => NotAllowed::Statement(word(&other).to_owned()),
        };
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(refused);
        Authorization::Deny
    }
}

fn word(action: &AuthAction<'_>) -> &'static str {
    match action {
        AuthAction::Insert { .. } => "INSERT",
        AuthAction::Update { .. } => "UPDATE",
        AuthAction::Delete { .. } => "DELETE",
        AuthAction::Pragma { .. } => "PRAGMA",
        AuthAction::Attach { .. } => "ATTACH",
        AuthAction::Detach { .. } => "DETACH",
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => "a transaction",
        AuthAction::Analyze { .. } => "ANALYZE",
        AuthAction::Reindex { .. } => "REINDEX",
        AuthAction::CreateVtable { .. } => "CREATE VIRTUAL TABLE",
        _others => "a change of tables",
    }
}
