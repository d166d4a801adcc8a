//! What one query may use up.

/// The bounds of a query. Its time is bounded by the program that asks ([`crate::SqlQuery::is_over`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Rows of the answer; the rest is cut off, and the answer says so.
    pub rows: usize,
    /// Bytes of the answer's values, cut off in the same way.
    pub answer_bytes: usize,
    /// Bytes of the query's text.
    pub sql_bytes: usize,
    /// Bytes of one value, while it is computed and in the answer.
    pub value_bytes: usize,
    /// How deep expressions and subqueries are nested.
    pub depth: usize,
    /// Bytes that SQLite holds for all queries of the process together.
    pub memory_bytes: u64,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            rows: 1_000,
            answer_bytes: 16 * 1024 * 1024,
            sql_bytes: 64 * 1024,
            value_bytes: 1024 * 1024,
            depth: 100,
            memory_bytes: 256 * 1024 * 1024,
        }
    }
}

/// What an answer was cut off by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundReached {
    /// It has as many rows as were asked for, and there are more.
    Rows,
    /// It has as many bytes as an answer may have.
    Bytes,
}
