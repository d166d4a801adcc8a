//! Verbs that ask the tables of SQL, or the tree of runs.

pub(super) mod insights;
pub(super) mod lineage;
pub(super) mod sql;
