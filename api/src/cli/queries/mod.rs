//! Verbs that ask the tables of SQL.

pub(super) mod insights;
pub(super) mod sql;
