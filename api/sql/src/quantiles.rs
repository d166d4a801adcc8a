//! Quantiles as aggregate functions: `median(x)`, `p50(x)`, `p95(x)`, `quantile(x, 0.99)`.
//!
//! Law: a quantile is a value that is there: the smallest that is not less than that share of all (nearest rank). Null is
//! left out, and of nothing the answer is null. What is kept is bounded.

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

/// Numbers of a group that are kept: 8 MB.
const NUMBERS_MAX: usize = 1_000_000;

const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8
    .union(FunctionFlags::SQLITE_DETERMINISTIC)
    .union(FunctionFlags::SQLITE_INNOCUOUS);

/// Registers them.
pub(crate) fn register(connection: &Connection) -> Result<()> {
    for (name, share) in [("median", 0.5), ("p50", 0.5), ("p95", 0.95)] {
        connection.create_aggregate_function(name, 1, FLAGS, Quantile { name, share: Some(share) })?;
    }
    connection.create_aggregate_function("quantile", 2, FLAGS, Quantile { name: "quantile", share: None })
}

/// One of the functions.
struct Quantile {
    name: &'static str,
    /// None: it is the second argument.
    share: Option<f64>,
}

/// The numbers of a group.
#[derive(Default)]
struct GroupNumbers {
    numbers: Vec<f64>,
    share: f64,
    /// All of them were whole, and so is the answer.
    are_whole: bool,
}

impl Quantile {
    fn error(&self, what: &str) -> Error {
        Error::UserFunctionError(format!("{}() {what}", self.name).into())
    }
}

impl Aggregate<GroupNumbers, rusqlite::types::Value> for Quantile {
    fn init(&self, _context: &mut Context<'_>) -> Result<GroupNumbers> {
        Ok(GroupNumbers { are_whole: true, ..GroupNumbers::default() })
    }

    fn step(&self, context: &mut Context<'_>, group: &mut GroupNumbers) -> Result<()> {
        group.share = match self.share {
            Some(share) => share,
            None => match context.get_raw(1) {
                ValueRef::Real(share) if (0.0..=1.0).contains(&share) => share,
                ValueRef::Integer(share @ 0..=1) => share as f64,
                _others => return Err(self.error("takes a share from 0 to 1 as its second argument")),
            },
        };
        let number = match context.get_raw(0) {
            ValueRef::Null => return Ok(()),
            ValueRef::Integer(number) => number as f64,
            ValueRef::Real(number) => {
                group.are_whole = false;
                number
            }
            ValueRef::Text(_) | ValueRef::Blob(_) => return Err(self.error("takes numbers")),
        };
        if group.numbers.len() >= NUMBERS_MAX {
            return Err(self.error("takes at most 1000000 numbers of a group: ask for fewer rows"));
        }
        group.numbers.push(number);
        Ok(())
    }

    fn finalize(
        &self,
        _context: &mut Context<'_>,
        group: Option<GroupNumbers>,
    ) -> Result<rusqlite::types::Value> {
        use rusqlite::types::Value;
        let Some(mut group) = group.filter(|group| !group.numbers.is_empty()) else { return Ok(Value::Null) };
        let rank = (group.share * group.numbers.len() as f64).ceil() as usize;
        let at = rank.clamp(1, group.numbers.len()) - 1;
        let (_, number, _) = group.numbers.select_nth_unstable_by(at, f64::total_cmp);
        Ok(if group.are_whole { Value::Integer(*number as i64) } else { Value::Real(*number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(sql: &str) -> Result<rusqlite::types::Value> {
        let connection = Connection::open_in_memory()?;
        register(&connection)?;
        connection.query_row(sql, [], |row| row.get(0))
    }

    #[test]
    fn a_quantile_is_a_value_that_is_there_and_null_is_left_out() {
        use rusqlite::types::Value;
        let of = |call: &str, values: &str| {
            ask(&format!("select {call} from (select column1 as x from (values {values}))")).unwrap()
        };
        assert_eq!(of("p50(x)", "(5), (1), (null), (3)"), Value::Integer(3));
        assert_eq!(of("median(x)", "(1.5), (2)"), Value::Real(1.5));
        assert_eq!(of("p95(x)", "(1), (2), (3), (4)"), Value::Integer(4));
        assert_eq!(of("quantile(x, 0)", "(2), (1)"), Value::Integer(1));
        assert_eq!(of("quantile(x, 1.0)", "(2), (1)"), Value::Integer(2));
        assert_eq!(of("p50(x)", "(null)"), Value::Null);
        assert_eq!(ask("select p50(1) where false").unwrap(), Value::Null);
    }

    #[test]
    fn what_is_no_number_and_no_share_is_refused_by_name() {
        let refused = |call: &str| ask(&format!("select {call}")).unwrap_err().to_string();
        assert!(refused("p95('a')").contains("p95() takes numbers"), "{}", refused("p95('a')"));
        assert!(refused("quantile(1, 2)").contains("a share from 0 to 1"));
        assert!(refused("quantile(1, null)").contains("a share from 0 to 1"));
    }
}
