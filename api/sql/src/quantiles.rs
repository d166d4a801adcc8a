//! Quantiles as aggregate functions: `median(x)`, `p50(x)`, `p95(x)`, `quantile(x, 0.99)`.
//!
//! Law: a quantile is a value that is there: the smallest that is not less than that share of all (nearest rank). Null is
//! left out, and of nothing the answer is null. What is kept is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

/// Numbers that all groups under way of one query keep together: 8 MB.
const NUMBERS_MAX: usize = 1_000_000;

const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8
    .union(FunctionFlags::SQLITE_DETERMINISTIC)
    .union(FunctionFlags::SQLITE_INNOCUOUS);

/// Registers them.
pub(crate) fn register(connection: &Connection) -> Result<()> {
    let kept = Arc::new(AtomicUsize::new(0));
    for (name, share) in [("median", 0.5), ("p50", 0.5), ("p95", 0.95)] {
        let quantile = Quantile { name, kept: Arc::clone(&kept), share: Some(share) };
        connection.create_aggregate_function(name, 1, FLAGS, quantile)?;
    }
    let quantile = Quantile { name: "quantile", kept, share: None };
    connection.create_aggregate_function("quantile", 2, FLAGS, quantile)
}

/// Whole numbers beyond it are no exact floating-point numbers.
const EXACT_MAX: u64 = 1 << 53;

/// One of the functions.
struct Quantile {
    name: &'static str,
    /// How many numbers are kept for the query at the moment.
    kept: Arc<AtomicUsize>,
    /// None: it is the second argument.
    share: Option<f64>,
}

/// The numbers of a group.
struct GroupNumbers {
    numbers: Vec<f64>,
    share: f64,
    /// All of them were whole, and so is the answer.
    are_whole: bool,
    kept: Arc<AtomicUsize>,
}

impl Drop for GroupNumbers {
    fn drop(&mut self) {
        self.kept.fetch_sub(self.numbers.len(), Ordering::Relaxed);
    }
}

impl Quantile {
    fn error(&self, what: &str) -> Error {
        Error::UserFunctionError(format!("{}() {what}", self.name).into())
    }
}

impl Aggregate<GroupNumbers, rusqlite::types::Value> for Quantile {
    fn init(&self, _context: &mut Context<'_>) -> Result<GroupNumbers> {
        Ok(GroupNumbers { numbers: Vec::new(), share: 0.0, are_whole: true, kept: Arc::clone(&self.kept) })
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
            ValueRef::Integer(number) => {
                group.are_whole &= number.unsigned_abs() <= EXACT_MAX;
                number as f64
            }
            ValueRef::Real(number) => {
                group.are_whole = false;
                number
            }
            ValueRef::Text(_) | ValueRef::Blob(_) => return Err(self.error("takes numbers")),
        };
        if self.kept.load(Ordering::Relaxed) >= NUMBERS_MAX {
            let what = format!("too many numbers: {}() and its like keep {NUMBERS_MAX} at once", self.name);
            return Err(Error::UserFunctionError(what.into()));
        }
        self.kept.fetch_add(1, Ordering::Relaxed);
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
    fn all_groups_of_a_query_keep_a_bounded_number_together() {
        let counted = |calls: &str, rows: u32| {
            ask(&format!(
                "with recursive c(x) as (select 1 union all select x + 1 from c limit {rows}) select {calls} from c"
            ))
        };
        assert_eq!(counted("p50(x)", 600_000).unwrap(), rusqlite::types::Value::Integer(300_000));
        let refused = counted("p50(x) + p95(x)", 600_000).unwrap_err().to_string();
        assert!(refused.contains("keep 1000000 at once"), "{refused}");
        // What a group kept is free for the next one.
        let groups = "with recursive c(x) as (select 1 union all select x + 1 from c limit 900000)
            select count(*) from (select x % 3 as k, p50(x) + p95(x) from c group by k)";
        assert_eq!(ask(groups).unwrap(), rusqlite::types::Value::Integer(3));
    }

    #[test]
    fn what_is_no_number_and_no_share_is_refused_by_name() {
        let refused = |call: &str| ask(&format!("select {call}")).unwrap_err().to_string();
        assert!(refused("p95('a')").contains("p95() takes numbers"), "{}", refused("p95('a')"));
        assert!(refused("quantile(1, 2)").contains("a share from 0 to 1"));
        assert!(refused("quantile(1, null)").contains("a share from 0 to 1"));
    }
}
