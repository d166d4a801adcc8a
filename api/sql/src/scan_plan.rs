//! How a table is to be read for the conditions that SQLite offers: which of them the table takes, and what that costs.
//!
//! Law: a plan takes a condition only where the rows that it leaves are all that the condition is true of.

use crate::column::{ColumnLookup, SqlColumn, SqlComparison};

/// What a lookup by an index leaves of the rows where it is not known how many values a column has: one in so many.
const INDEX_LEAVES: f64 = 20.0;
/// What a bound leaves of them.
const RANGE_LEAVES: f64 = 3.0;
/// What the argument of a table leaves: about so many rows.
const ARGUMENT_LEAVES: f64 = 100.0;
/// What a row costs where SQLite looks at each row of a table: so SQLite reads first what a condition finds.
const EACH_ROW: f64 = 1_000.0;
/// The cost of beginning to read, in rows.
const BEGIN: f64 = 3.0;

/// A condition as SQLite offers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfferedCondition {
    /// The column, by its place.
    pub(crate) column: usize,
    pub(crate) how: SqlComparison,
    /// Whether its value is known when the table is read.
    pub(crate) is_usable: bool,
    /// Whether texts are compared in the order of the column's type: `COLLATE` may ask for another one.
    pub(crate) is_in_own_order: bool,
}

/// How the table is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScanPlan {
    /// The conditions that it takes, by their places among those offered.
    pub(crate) taken: Vec<usize>,
    /// How many rows come of it, about.
    pub(crate) rows: f64,
    /// What it costs, in rows.
    pub(crate) cost: f64,
    /// One row at most comes of it.
    pub(crate) is_unique: bool,
}

/// The plan; none where the argument of the table is not known yet: another order of the tables is needed.
pub(crate) fn scan_plan(columns: &[SqlColumn], rows: u64, offered: &[OfferedCondition]) -> Option<ScanPlan> {
    let mut plan = ScanPlan { taken: Vec::new(), rows: rows.max(1) as f64, cost: 0.0, is_unique: false };
    let mut is_found_any = false;
    for (place, condition) in offered.iter().enumerate() {
        let column = columns.get(condition.column)?;
        if !condition.is_usable {
            if column.lookup == ColumnLookup::Argument && condition.how == SqlComparison::Equal {
                return None;
            }
            continue;
        }
        let is_found = column.lookup.takes(condition.how);
        // A time is handed on in any case: the table refuses texts that are none.
        if !(is_found || column.of == crate::column::SqlType::Time)
            || (column.of.is_text() && !condition.is_in_own_order)
        {
            continue;
        }
        plan.taken.push(place);
        if !is_found || column.values == Some(1) {
            continue;
        }
        is_found_any = true;
        plan.rows = match column.lookup {
            ColumnLookup::Range if condition.how == SqlComparison::Equal => with_one_value(plan.rows, column),
            ColumnLookup::Key => {
                plan.is_unique = true;
                1.0
            }
            ColumnLookup::Index => with_one_value(plan.rows, column),
            ColumnLookup::Range | ColumnLookup::From => (plan.rows / RANGE_LEAVES).max(1.0),
            ColumnLookup::Argument => plan.rows.min(ARGUMENT_LEAVES),
            ColumnLookup::EachRow => plan.rows,
        };
    }
    plan.cost = plan.rows * if is_found_any { 1.0 } else { EACH_ROW } + BEGIN;
    Some(plan)
}

/// How many of the rows have one value of a column, about.
fn with_one_value(rows: f64, column: &SqlColumn) -> f64 {
    let leaves = column.values.map_or(INDEX_LEAVES, |values| values as f64);
    (rows / leaves).max(1.0)
}

/// Whether a table is read once for all values of `IN`. A table that gives its rows in an order keeps it only so; any other
/// one is asked for each value, as for `=`.
pub(crate) fn is_read_once(column: &SqlColumn, is_in_order: bool) -> bool {
    is_in_order || !column.lookup.takes(SqlComparison::Equal)
}

/// The plan's conditions as a text, which SQLite keeps: `3=,5>=`.
pub(crate) fn encode(taken: impl Iterator<Item = (usize, SqlComparison)>) -> String {
    taken.map(|(column, how)| format!("{column}{}", how.sign())).collect::<Vec<_>>().join(",")
}

/// Reads the text back.
pub(crate) fn decode(text: &str) -> Vec<(usize, SqlComparison)> {
    let one = |part: &str| {
        let digits = part.find(|sign: char| !sign.is_ascii_digit())?;
        let how = SqlComparison::ALL.into_iter().find(|how| how.sign() == &part[digits..])?;
        Some((part[..digits].parse().ok()?, how))
    };
    text.split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::SqlType;

    fn column(of: SqlType, lookup: ColumnLookup) -> SqlColumn {
        SqlColumn { name: "c".into(), of, lookup, values: None, names_row: false, about: "".into() }
    }

    fn offered(column: usize, how: SqlComparison) -> OfferedCondition {
        OfferedCondition { column, how, is_usable: true, is_in_own_order: true }
    }

    #[test]
    fn a_key_costs_less_than_an_index_and_that_less_than_each_row() {
        let columns = [
            column(SqlType::Text, ColumnLookup::Key),
            column(SqlType::Text, ColumnLookup::Index),
            column(SqlType::Text, ColumnLookup::EachRow),
        ];
        let cost = |place| scan_plan(&columns, 10_000, &[offered(place, SqlComparison::Equal)]).unwrap().cost;
        assert!(cost(0) < cost(1) && cost(1) < cost(2));
        assert!(scan_plan(&columns, 10_000, &[offered(0, SqlComparison::Equal)]).unwrap().is_unique);
    }

    #[test]
    fn an_index_leaves_fewer_rows_where_a_column_has_more_values() {
        let run = SqlColumn { values: Some(5_000), ..column(SqlType::Text, ColumnLookup::Index) };
        let columns = [run, column(SqlType::Text, ColumnLookup::Index)];
        let rows = |place| scan_plan(&columns, 10_000, &[offered(place, SqlComparison::Equal)]).unwrap().rows;
        assert_eq!((rows(0), rows(1)), (2.0, 500.0));
    }

    #[test]
    fn what_is_found_beside_another_column_alone_costs_as_much_as_each_row() {
        let beside = SqlColumn { values: Some(1), ..column(SqlType::Integer, ColumnLookup::Range) };
        let columns = [beside, column(SqlType::Text, ColumnLookup::Index)];
        let plan = |offered: &[OfferedCondition]| scan_plan(&columns, 10_000, offered).unwrap();
        let (beside, other) = (offered(0, SqlComparison::Equal), offered(1, SqlComparison::Equal));
        assert_eq!(plan(&[beside]).taken, [0]);
        assert_eq!(plan(&[beside]).cost, plan(&[]).cost);
        assert_eq!(plan(&[beside, other]).cost, plan(&[other]).cost);
    }

    #[test]
    fn what_an_index_would_answer_otherwise_is_left_to_sqlite() {
        let columns = [column(SqlType::Text, ColumnLookup::Index)];
        let taken = |condition| scan_plan(&columns, 10, &[condition]).unwrap().taken;
        assert_eq!(taken(offered(0, SqlComparison::Equal)), [0]);
        assert!(taken(offered(0, SqlComparison::Greater)).is_empty());
        let nocase = OfferedCondition { is_in_own_order: false, ..offered(0, SqlComparison::Equal) };
        assert!(taken(nocase).is_empty(), "another collation finds more");
        let unknown = OfferedCondition { is_usable: false, ..offered(0, SqlComparison::Equal) };
        assert!(taken(unknown).is_empty());
    }

    #[test]
    fn an_argument_that_is_not_known_yet_asks_for_another_order_of_the_tables() {
        let columns = [column(SqlType::Text, ColumnLookup::Argument)];
        let unknown = OfferedCondition { is_usable: false, ..offered(0, SqlComparison::Equal) };
        assert_eq!(scan_plan(&columns, 10, &[unknown]), None);
    }

    #[test]
    fn conditions_are_read_back_as_they_were_written() {
        let all: Vec<(usize, SqlComparison)> = SqlComparison::ALL.into_iter().enumerate().collect();
        assert_eq!(decode(&encode(all.iter().copied())), all);
        assert!(decode("").is_empty());
    }
}
