//! A small table whose rows are known, and queries over it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use everfold_sql::{
    ColumnLookup, ScannedRows, SourceError, SqlAnswer, SqlCell, SqlColumn, SqlComparison, SqlError,
    SqlFunction, SqlLimits, SqlQuery, SqlRows, SqlTable, SqlType, SqlValue, TableScan,
};
use serde_json::Value;

/// A row of the table `things`.
#[derive(Debug, Clone)]
pub struct Thing {
    pub id: String,
    pub color: Option<String>,
    pub size: i64,
    pub made_at: String,
}

/// The newest come first: by `nr`, a column of its own.
pub struct Things {
    pub columns: Vec<SqlColumn>,
    pub rows: Arc<Vec<Thing>>,
    pub asked: Arc<Mutex<Vec<TableScan>>>,
    pub descends_by: Option<usize>,
}

pub fn column(name: &'static str, of: SqlType, lookup: ColumnLookup) -> SqlColumn {
    SqlColumn { name: name.into(), of, lookup, values: None, names_row: name == "id", about: "".into() }
}

pub fn things(count: usize) -> Vec<Thing> {
    let colors = [Some("red"), Some("blue"), None];
    (0..count)
        .map(|nr| Thing {
            id: format!("t{nr}"),
            color: colors[nr % 3].map(str::to_owned),
            size: (nr as i64 * 7) % 11 - 5,
            made_at: format!("2026-11-{:02}T00:00:00.000Z", nr % 28 + 1),
        })
        .collect()
}

impl Things {
    pub fn new(rows: Vec<Thing>) -> Self {
        let columns = vec![
            column("id", SqlType::Text, ColumnLookup::Key),
            column("color", SqlType::Text, ColumnLookup::Index),
            column("size", SqlType::Integer, ColumnLookup::EachRow),
            column("made_at", SqlType::Time, ColumnLookup::Range),
            column("nr", SqlType::Integer, ColumnLookup::EachRow),
            column("tags", SqlType::Json, ColumnLookup::EachRow),
            column("is_big", SqlType::Boolean, ColumnLookup::EachRow),
        ];
        Self { columns, rows: Arc::new(rows), asked: Arc::default(), descends_by: Some(4) }
    }
}

pub struct ThingRows {
    pub rows: Arc<Vec<Thing>>,
    pub numbers: std::vec::IntoIter<usize>,
    pub at: usize,
}

impl SqlTable for Things {
    fn name(&self) -> &str {
        "things"
    }

    fn columns(&self) -> &[SqlColumn] {
        &self.columns
    }

    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    fn descends_by(&self) -> Option<usize> {
        self.descends_by
    }

    fn scan(&self, scan: &TableScan) -> Result<ScannedRows, SourceError> {
        self.asked.lock().unwrap().push(scan.clone());
        let fits = |nr: &usize| {
            let row = &self.rows[*nr];
            scan.conditions.iter().all(|condition| {
                let is_one = |text: &str| condition.values.iter().any(|value| value.as_text() == Some(text));
                match (condition.column, condition.how) {
                    (0, SqlComparison::Equal) => is_one(&row.id),
                    (1, SqlComparison::Equal) => row.color.as_deref().is_some_and(is_one),
                    (3, SqlComparison::Greater | SqlComparison::GreaterOrEqual) => {
                        condition.values[0].as_text().is_none_or(|text| row.made_at.as_str() >= text)
                    }
                    _others => true,
                }
            })
        };
        let numbers: Vec<usize> = (0..self.rows.len()).rev().filter(fits).collect();
        let rows = Box::new(ThingRows { rows: Arc::clone(&self.rows), numbers: numbers.into_iter(), at: 0 });
        let is_lower = |how| matches!(how, SqlComparison::Greater | SqlComparison::GreaterOrEqual);
        let found_by =
            scan.conditions.iter().filter(|condition| condition.column != 3 || is_lower(condition.how));
        Ok(ScannedRows { rows, by: found_by.map(|condition| condition.column).collect() })
    }
}

impl SqlRows for ThingRows {
    fn advance(&mut self) -> Result<bool, SourceError> {
        let next = self.numbers.next();
        self.at = next.unwrap_or(self.at);
        Ok(next.is_some())
    }

    fn cell(&self, column: usize) -> Result<SqlCell<'_>, SourceError> {
        let row = &self.rows[self.at];
        Ok(match column {
            0 => SqlCell::Text(row.id.as_str().into()),
            1 => row.color.as_deref().map_or(SqlCell::Null, |color| SqlCell::Text(color.into())),
            2 => SqlCell::Integer(row.size),
            3 => SqlCell::Text(row.made_at.as_str().into()),
            4 => SqlCell::Integer(self.at as i64),
            5 => SqlCell::Text(format!("[{}, \"x\"]", self.at).into()),
            6 => SqlCell::Integer(i64::from(row.size > 0)),
            _others => panic!("there is no such column"),
        })
    }
}

pub fn query(sql: &str, tables: Vec<Arc<dyn SqlTable>>, looks_max: usize) -> Result<SqlAnswer, SqlError> {
    let looks = AtomicUsize::new(0);
    let is_over = move || looks.fetch_add(1, Ordering::Relaxed) >= looks_max;
    let shout = SqlFunction {
        name: "shout",
        arguments: 1,
        call: Arc::new(|given| match given {
            [""] => Err("shout() takes a text with letters".to_owned()),
            given => Ok(SqlValue::Text(given[0].to_uppercase())),
        }),
    };
    let limits = SqlLimits { rows: 10_000, ..SqlLimits::default() };
    SqlQuery { sql, tables, functions: vec![shout], limits, is_over: Arc::new(is_over) }.answer()
}

/// Looks at the time that are allowed in these tests, in place of a clock: some hundred million instructions.
pub const LOOKS: usize = 200_000;

pub fn ask(sql: &str) -> Result<SqlAnswer, SqlError> {
    query(sql, vec![Arc::new(Things::new(things(100)))], LOOKS)
}

pub fn rows(sql: &str) -> Vec<Vec<Value>> {
    ask(sql).unwrap_or_else(|error| panic!("{sql}: {error}")).rows
}

pub fn fails(sql: &str) -> SqlError {
    match ask(sql) {
        Ok(answer) => panic!("{sql} has an answer: {:?}", answer.rows),
        Err(error) => error,
    }
}
