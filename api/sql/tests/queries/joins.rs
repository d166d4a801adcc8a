//! Joins of a table that others are keyed by: they begin where it has a condition, and go on by key.

use std::sync::Arc;

use everfold_sql::{
    ColumnLookup, ScannedRows, SourceError, SqlCell, SqlColumn, SqlRows, SqlTable, SqlType, SqlValue,
    TableReads, TableScan,
};

use crate::things::{LOOKS, column, query};

type Row = Vec<SqlCell<'static>>;

/// A table with few rows that says it had many.
struct Listed {
    name: &'static str,
    columns: Vec<SqlColumn>,
    said: u64,
    rows: Arc<Vec<Row>>,
}

struct ListedRows {
    rows: Vec<Row>,
    /// The row after the current one.
    next: usize,
}

impl SqlTable for Listed {
    fn name(&self) -> &str {
        self.name
    }

    fn columns(&self) -> &[SqlColumn] {
        &self.columns
    }

    fn rows(&self) -> u64 {
        self.said
    }

    fn scan(&self, scan: &TableScan) -> Result<ScannedRows, SourceError> {
        let fits = |row: &&Row| {
            scan.conditions.iter().all(|condition| {
                let is_one = |value: &SqlValue| match (&row[condition.column], value) {
                    (SqlCell::Text(text), SqlValue::Text(asked)) => text == asked,
                    (SqlCell::Integer(number), SqlValue::Integer(asked)) => number == asked,
                    _others => false,
                };
                self.columns[condition.column].of == SqlType::Time || condition.values.iter().any(is_one)
            })
        };
        let rows = self.rows.iter().filter(fits).cloned().collect();
        let by = scan.conditions.iter().map(|condition| condition.column).collect();
        Ok(ScannedRows { rows: Box::new(ListedRows { rows, next: 0 }), by })
    }
}

impl SqlRows for ListedRows {
    fn advance(&mut self) -> Result<bool, SourceError> {
        self.next += 1;
        Ok(self.next <= self.rows.len())
    }

    fn cell(&self, column: usize) -> Result<SqlCell<'_>, SourceError> {
        Ok(self.rows[self.next - 1][column].clone())
    }
}

const RUNS: u64 = 100_000;

fn text(text: impl Into<String>) -> SqlCell<'static> {
    SqlCell::Text(text.into().into())
}

/// 40 runs, of which `r7` and `r17` are of the pipeline `ok`; each began with the one before.
fn runs() -> Arc<dyn SqlTable> {
    let columns = vec![
        column("id", SqlType::Text, ColumnLookup::Key),
        column("pipeline", SqlType::Text, ColumnLookup::Index),
        column("number", SqlType::Integer, ColumnLookup::Index),
        column("started_at", SqlType::Time, ColumnLookup::From),
        SqlColumn { values: Some(RUNS / 3), ..column("parent_run", SqlType::Text, ColumnLookup::Index) },
        column("title", SqlType::Text, ColumnLookup::EachRow),
    ];
    let row = |n: i64| {
        vec![
            text(format!("r{n}")),
            text(if n == 7 || n == 17 { "ok" } else { "other" }),
            SqlCell::Integer(n),
            text("2026-11-20T00:00:00.000Z"),
            text(format!("r{}", n - 1)),
            text(format!("run {n}")),
        ]
    };
    Arc::new(Listed { name: "runs", columns, said: RUNS, rows: Arc::new((0..40).map(row).collect()) })
}

/// Three rows of each run; the table says that it had so many.
fn keyed(name: &'static str, said: u64) -> Arc<dyn SqlTable> {
    let columns = vec![
        SqlColumn {
            values: Some(RUNS),
            names_row: true,
            ..column("run", SqlType::Text, ColumnLookup::Index)
        },
        SqlColumn { names_row: true, ..column("nr", SqlType::Integer, ColumnLookup::EachRow) },
        column("key", SqlType::Text, ColumnLookup::Index),
    ];
    let row = |n: i64| {
        vec![
            text(format!("r{}", n / 3)),
            SqlCell::Integer(n % 3),
            text(if n == 21 { "rare" } else { "frequent" }),
        ]
    };
    Arc::new(Listed { name, columns, said, rows: Arc::new((0..120).map(row).collect()) })
}

/// How many rows of each table were read, and by what: `runs by pipeline: 2`.
fn reads(sql: &str, said: u64, expected_rows: usize) -> Vec<String> {
    let tables = vec![runs(), keyed("parts", said), keyed("pieces", 2_000_000)];
    let answer = query(sql, tables, LOOKS).unwrap();
    assert_eq!(answer.rows.len(), expected_rows, "{sql}");
    let read = |read: &TableReads| format!("{} by {}: {}", read.table, read.by.join(" "), read.rows);
    answer.reads.iter().map(read).collect()
}

/// What the tables of the API say of themselves.
const SAID: [u64; 7] = [1_000, 100_000, 300_000, 500_000, 1_000_000, 2_000_000, 10_000_000];

#[test]
fn a_join_begins_where_the_runs_have_a_condition_and_goes_on_by_run() {
    for said in SAID {
        for (condition, by, runs) in [
            ("r.pipeline = 'ok'", "pipeline", 2),
            ("r.pipeline in ('ok', 'none')", "pipeline", 2),
            ("r.pipeline = 'ok' and r.started_at > '2026'", "pipeline started_at", 2),
            ("r.number = 5", "number", 1),
            ("r.number in (5, 6, 7)", "number", 3),
            ("r.pipeline = 'ok' and r.number = 7", "number pipeline", 1),
            ("r.started_at > '2026'", "started_at", 40),
            ("r.parent_run = 'r6'", "parent_run", 1),
        ] {
            for from in ["runs r join parts p on p.run = r.id", "parts p join runs r on r.id = p.run"] {
                let sql = format!("select p.nr, r.title from {from} where {condition}");
                let expected = [format!("parts by run: {}", runs * 3), format!("runs by {by}: {runs}")];
                assert_eq!(reads(&sql, said, runs * 3), expected, "{sql} of {said}");
            }
        }
    }
}

#[test]
fn a_join_of_three_tables_reads_what_is_of_the_runs_that_are_asked_for() {
    for said in SAID {
        for from in [
            "runs r join parts p on p.run = r.id join pieces o on o.run = r.id",
            "pieces o join parts p on p.run = o.run join runs r on r.id = p.run",
            "parts p, pieces o, runs r on p.run = r.id and o.run = p.run",
        ] {
            let sql =
                format!("select p.nr, o.nr, r.title from {from} where r.pipeline = 'ok' and o.nr = p.nr");
            let expected = ["parts by run: 6", "pieces by run: 18", "runs by pipeline: 2"];
            let found = reads(&sql, said, 6);
            let other = ["parts by run: 18", "pieces by run: 6", "runs by pipeline: 2"];
            assert!(found == expected || found == other, "{sql} of {said}: {found:?}");
        }
    }
}

#[test]
fn runs_are_joined_with_the_runs_that_they_started_by_the_index_of_those() {
    for from in ["runs r join runs c on c.parent_run = r.id", "runs c join runs r on r.id = c.parent_run"] {
        let sql = format!("select c.title from {from} where r.pipeline = 'ok'");
        assert_eq!(reads(&sql, 1, 2), ["runs by parent_run: 2", "runs by pipeline: 2"], "{sql}");
        let sql = format!("select r.title from {from} where c.pipeline = 'ok'");
        assert_eq!(reads(&sql, 1, 2), ["runs by id: 2", "runs by pipeline: 2"], "{sql}");
    }
}

#[test]
fn a_join_without_a_condition_on_the_runs_begins_where_the_other_table_has_one() {
    for said in SAID {
        let sql = "select r.title from runs r join parts p on p.run = r.id where p.key = 'rare'";
        assert_eq!(reads(sql, said, 1), ["parts by key: 1", "runs by id: 1"], "{said}");
        let sql = "select r.title from parts p join runs r on r.id = p.run where r.id = 'r6'";
        let found = reads(sql, said, 3);
        let is_of_run =
            found == ["parts by run: 3", "runs by id: 1"] || found == ["parts by run: 3", "runs by id: 3"];
        assert!(is_of_run, "{said}: {found:?}");
    }
}

#[test]
fn one_of_several_keys_is_no_unique_row() {
    let sql = "select p.nr from parts p left join things t on t.id in ('t1', 't2') where p.run = 'r3'";
    let things = Arc::new(crate::things::Things::new(crate::things::things(5)));
    let answer = query(sql, vec![keyed("parts", 100), things], LOOKS).unwrap();
    assert_eq!(answer.rows.len(), 6);
}
