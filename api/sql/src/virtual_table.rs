//! Tables as SQLite's virtual tables.
//!
//! Law: a panic of a table's code stays here: it must not pass through SQLite. What failed is kept as the program gave it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::ffi::{sqlite3_vtab, sqlite3_vtab_cursor};
use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexFlags, IndexInfo, Module, VTab, VTabConfig, VTabConnection,
    VTabCursor,
};
use rusqlite::{Connection, Error, Result};

use crate::column::{SqlColumn, SqlComparison, SqlType};
use crate::error::SqlError;
use crate::scan_plan::{OfferedCondition, decode, encode, is_read_once, scan_plan};
use crate::table::{
    ScanCondition, ScannedRows, SourceError, SqlCell, SqlRows, SqlTable, SqlValue, TableReads, TableScan,
};
use crate::time_order::canonical;

/// A table, and the columns by which its rows were found.
type ReadBy = (String, Vec<String>);

/// What the tables of one query have in common.
pub(crate) struct QueryTables {
    /// Whether the query is to end.
    is_over: Arc<dyn Fn() -> bool + Send + Sync>,
    failure: Mutex<Option<SqlError>>,
    /// How often it was read so, and how many rows.
    reads: Mutex<BTreeMap<ReadBy, (u64, u64)>>,
}

impl QueryTables {
    pub(crate) fn new(is_over: Arc<dyn Fn() -> bool + Send + Sync>) -> Self {
        Self { is_over, failure: Mutex::default(), reads: Mutex::default() }
    }

    /// The error that SQLite's own stands for, if a table's code gave one.
    pub(crate) fn failure(&self) -> Option<SqlError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How the tables were read.
    pub(crate) fn reads(&self) -> Vec<TableReads> {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |((table, by), (scans, rows)): (&ReadBy, &(u64, u64))| TableReads {
            table: table.clone(),
            by: by.clone(),
            scans: *scans,
            rows: *rows,
        };
        reads.iter().map(one).collect()
    }

    /// Keeps an error, and gives SQLite one in its place.
    fn failed(&self, error: SqlError) -> Error {
        let text = error.to_string();
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        Error::ModuleError(text)
    }

    fn count(&self, table: &str, by: &[String], scans: u64, rows: u64) {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = reads.entry((table.to_owned(), by.to_vec())).or_default();
        *sums = (sums.0 + scans, sums.1 + rows);
    }
}

/// A table with what the query's tables have in common.
#[derive(Clone)]
pub(crate) struct TableSource {
    table: Arc<dyn SqlTable>,
    shared: Arc<QueryTables>,
}

impl TableSource {
    /// Runs a part of the table's code.
    fn guarded<T>(&self, part: impl FnOnce() -> std::result::Result<T, SourceError>) -> Result<T> {
        let went = catch_unwind(AssertUnwindSafe(part)).unwrap_or_else(|_panic| {
            Err(SourceError::from(format!("the table `{}` ended in a panic", self.table.name())))
        });
        went.map_err(|source| {
            let table = self.table.name().to_owned();
            self.shared.failed(SqlError::Table { table, source })
        })
    }

    fn column(&self, place: c_int) -> Option<&SqlColumn> {
        self.table.columns().get(usize::try_from(place).ok()?)
    }

    /// The declaration that SQLite reads. SQLite tells rows apart by the columns that name them, where it joins what
    /// several conditions find.
    fn declaration(&self) -> String {
        let column = |column: &SqlColumn| {
            let hidden = if column.lookup == crate::column::ColumnLookup::Argument { " HIDDEN" } else { "" };
            let never_null = if column.names_row { " NOT NULL" } else { "" };
            let (kind, order) = (column.of.declared(), column.of.order());
            // SQLite takes `HIDDEN` for a part of the type.
            format!("{} {kind}{hidden} COLLATE {order}{never_null}", quoted(&column.name))
        };
        let columns: Vec<String> = self.table.columns().iter().map(column).collect();
        let named = self.table.columns().iter().filter(|column| column.names_row);
        let names: Vec<String> = named.map(|column| quoted(&column.name)).collect();
        let (name, columns, names) = (quoted(self.table.name()), columns.join(", "), names.join(", "));
        format!("CREATE TABLE {name}({columns}, PRIMARY KEY({names})) WITHOUT ROWID")
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Registers a table under its name.
pub(crate) fn register(
    connection: &Connection,
    table: Arc<dyn SqlTable>,
    shared: Arc<QueryTables>,
) -> Result<()> {
    const MODULE: Module<'static, VirtualTable> = Module::eponymous_only_module();
    let name = table.name().to_owned();
    connection.create_module(name.as_str(), &MODULE, Some(TableSource { table, shared }))
}

#[repr(C)]
struct VirtualTable {
    /// SQLite's part; it must be the first one.
    base: sqlite3_vtab,
    source: TableSource,
}

#[expect(unsafe_code, reason = "the trait is the only way to offer SQLite a table")]
// SAFETY: `VirtualTable` is `repr(C)`, and its first field is `sqlite3_vtab`; that is all that the trait asks for.
unsafe impl VTab<'_> for VirtualTable {
    type Aux = TableSource;
    type Cursor = TableCursor;

    fn connect(
        db: &mut VTabConnection,
        aux: Option<&TableSource>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let source = aux.ok_or_else(|| Error::ModuleError("a table without rows".to_owned()))?.clone();
        db.config(VTabConfig::DirectOnly)?;
        let declaration = CString::new(source.declaration())?;
        Ok((Cow::Owned(declaration), Self { base: sqlite3_vtab::default(), source }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let (mut places, mut offered) = (Vec::new(), Vec::new());
        for (place, constraint) in info.constraints().enumerate() {
            let Some(how) = comparison(&constraint.operator()) else { continue };
            let Ok(column) = usize::try_from(constraint.column()) else { continue };
            let order = info.collation(place).unwrap_or_default();
            let own = self.source.table.columns().get(column).map_or("BINARY", |column| column.of.order());
            let is_in_own_order = order.eq_ignore_ascii_case(own);
            places.push(place);
            offered.push(OfferedCondition {
                column,
                how,
                is_usable: constraint.is_usable(),
                is_in_own_order,
            });
        }
        let table = &self.source.table;
        let Some(plan) = scan_plan(table.columns(), table.rows(), &offered) else { return Ok(false) };
        let mut is_unique = plan.is_unique;
        for (nth, taken) in plan.taken.iter().enumerate() {
            let (place, condition) = (places[*taken], offered[*taken]);
            let is_together = is_read_once(&table.columns()[condition.column], table.descends_by().is_some());
            if is_together && condition.how == SqlComparison::Equal && info.is_in_constraint(place)? {
                info.set_in_constraint(place, true)?;
                // SQLite leaves out a left join with a row that is unique: several keys have several rows.
                is_unique = false;
            }
            info.constraint_usage(place).set_argv_index(c_int::try_from(nth + 1).unwrap_or(c_int::MAX));
        }
        let taken = plan.taken.iter().map(|taken| (offered[*taken].column, offered[*taken].how));
        info.set_idx_str(&encode(taken));
        info.set_estimated_cost(plan.cost);
        info.set_estimated_rows(plan.rows as i64);
        if is_unique {
            info.set_idx_flags(IndexFlags::SQLITE_INDEX_SCAN_UNIQUE);
        }
        let mut orders = info.order_bys();
        let descends = match (orders.next(), orders.next(), table.descends_by()) {
            (Some(order), None, Some(column)) => {
                order.is_order_by_desc() && usize::try_from(order.column()) == Ok(column)
            }
            _others => false,
        };
        info.set_order_by_consumed(descends);
        Ok(true)
    }

    fn open(&mut self) -> Result<TableCursor> {
        Ok(TableCursor {
            base: sqlite3_vtab_cursor::default(),
            source: self.source.clone(),
            rows: None,
            by: Vec::new(),
            read: 0,
            arguments: BTreeMap::new(),
        })
    }
}

fn comparison(operator: &IndexConstraintOp) -> Option<SqlComparison> {
    Some(match operator {
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => SqlComparison::Equal,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => SqlComparison::Greater,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => SqlComparison::GreaterOrEqual,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => SqlComparison::Less,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => SqlComparison::LessOrEqual,
        _others => return None,
    })
}

/// A reading of a table.
#[repr(C)]
struct TableCursor {
    /// SQLite's part; it must be the first one.
    base: sqlite3_vtab_cursor,
    source: TableSource,
    /// None: before the first row, or behind the last one.
    rows: Option<Box<dyn SqlRows>>,
    /// The columns by which rows are found.
    by: Vec<String>,
    /// Rows that were read and are not counted yet.
    read: u64,
    /// What was given for the table's arguments, by column.
    arguments: BTreeMap<usize, SqlValue>,
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq)]
enum GivenValue {
    Value(SqlValue),
    /// No row has it.
    Never,
    /// SQLite converts it when it compares.
    Other,
}

impl GivenValue {
    fn value(self) -> Option<SqlValue> {
        match self {
            Self::Value(value) => Some(value),
            Self::Never | Self::Other => None,
        }
    }
}

impl TableCursor {
    /// What a column is compared with, as the table takes it.
    fn given(&self, column: &SqlColumn, value: ValueRef<'_>) -> Result<GivenValue> {
        Ok(match (value, column.of) {
            // Nothing is equal to null, or has an order with it.
            (ValueRef::Null, _) => GivenValue::Never,
            (ValueRef::Text(text), SqlType::Time) => {
                let text = String::from_utf8_lossy(text);
                let time = canonical(&text).ok_or_else(|| self.no_time(&text, column))?;
                GivenValue::Value(SqlValue::Text(time.into_owned()))
            }
            (ValueRef::Integer(number), SqlType::Time) => {
                return Err(self.no_time(&number.to_string(), column));
            }
            (ValueRef::Text(text), of) if of.is_text() => {
                GivenValue::Value(SqlValue::Text(String::from_utf8_lossy(text).into_owned()))
            }
            (ValueRef::Integer(number), SqlType::Integer) => GivenValue::Value(SqlValue::Integer(number)),
            _others => GivenValue::Other,
        })
    }

    fn no_time(&self, text: &str, column: &SqlColumn) -> Error {
        let text = text.chars().take(40).collect();
        self.source.shared.failed(SqlError::NoTime { text, column: column.name.to_string() })
    }

    fn count(&mut self, scans: u64) {
        let rows = std::mem::take(&mut self.read);
        if (scans, rows) == (0, 0) {
            return;
        }
        self.source.shared.count(self.source.table.name(), &self.by, scans, rows);
    }

    /// How the table is read for these arguments; none: no row can fit.
    fn asked(&mut self, plan: &str, args: &Filters<'_>) -> Result<Option<TableScan>> {
        let mut scan = TableScan::default();
        for (place, (at, how)) in decode(plan).into_iter().enumerate() {
            let Some(column) = self.source.table.columns().get(at).cloned() else { continue };
            let one = args.iter().nth(place).unwrap_or(ValueRef::Null);
            let mut given = vec![self.given(&column, one)?];
            // SQLite hands on the values of IN as one opaque value, which is null for any other use, and each of them only
            // until it is asked for the next.
            if how == SqlComparison::Equal && one == ValueRef::Null {
                let mut values = args.in_values(place)?;
                while let Ok(Some(value)) = values.next() {
                    given.push(self.given(&column, value)?);
                }
            }
            if given.contains(&GivenValue::Other) {
                continue;
            }
            let values: Vec<SqlValue> = given.into_iter().filter_map(GivenValue::value).collect();
            if values.is_empty() {
                return Ok(None);
            }
            if column.lookup == crate::column::ColumnLookup::Argument {
                self.arguments.insert(at, values[0].clone());
            }
            scan.conditions.push(ScanCondition { column: at, how, values });
        }
        Ok(Some(scan))
    }

    /// Begins to read the rows that were found.
    fn begin(&mut self, found: ScannedRows) {
        let columns = self.source.table.columns();
        let name = |place: usize| columns.get(place).map(|column| column.name.to_string());
        let mut by: Vec<String> = found.by.into_iter().filter_map(name).collect();
        by.sort_unstable();
        by.dedup();
        (self.by, self.rows) = (by, Some(found.rows));
        self.count(1);
    }
}

#[expect(unsafe_code, reason = "the trait is the only way to read a table row by row")]
// SAFETY: `TableCursor` is `repr(C)`, and its first field is `sqlite3_vtab_cursor`; that is all that the trait asks for.
unsafe impl VTabCursor for TableCursor {
    fn filter(&mut self, _number: c_int, plan: Option<&str>, args: &Filters<'_>) -> Result<()> {
        self.rows = None;
        self.arguments.clear();
        self.count(0);
        let Some(scan) = self.asked(plan.unwrap_or_default(), args)? else { return Ok(()) };
        let table = Arc::clone(&self.source.table);
        let found = self.source.guarded(|| table.scan(&scan))?;
        self.begin(found);
        self.next()
    }

    fn next(&mut self) -> Result<()> {
        // SQLite looks at the time between its own instructions, of which a row takes few.
        if (self.source.shared.is_over)() {
            return Err(self.source.shared.failed(SqlError::OverTime));
        }
        let Some(rows) = &mut self.rows else { return Ok(()) };
        if self.source.guarded(|| rows.advance())? {
            self.read += 1;
        } else {
            self.rows = None;
            self.count(0);
        }
        Ok(())
    }

    fn eof(&self) -> bool {
        self.rows.is_none()
    }

    fn column(&self, context: &mut Context, place: c_int) -> Result<()> {
        let at = usize::try_from(place).unwrap_or(usize::MAX);
        if let Some(given) = self.arguments.get(&at) {
            return match given {
                SqlValue::Text(text) => context.set_result(text.as_str()),
                SqlValue::Integer(number) => context.set_result(*number),
            };
        }
        let (Some(rows), Some(_)) = (&self.rows, self.source.column(place)) else { return Ok(()) };
        match self.source.guarded(|| rows.cell(at))? {
            SqlCell::Null => Ok(()),
            SqlCell::Integer(number) => context.set_result(number),
            SqlCell::Real(number) => context.set_result(number),
            SqlCell::Text(text) => context.set_result(&*text),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Err(Error::ModuleError("rows are named by their columns".to_owned()))
    }
}

impl Drop for TableCursor {
    fn drop(&mut self) {
        self.count(0);
    }
}
