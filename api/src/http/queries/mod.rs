//! Questions over the tables of SQL: a SELECT of the caller, and insights, whose SELECTs are known; and the tree of runs.
//!
//! Law: one way to an answer: whatever is asked of the tables goes by [`query`], with its turns and its bounds.

mod insight_queries;
mod insights;
mod lineage;
mod query;

pub(super) use insight_queries::INSIGHTS;
pub(super) use insights::{__path_insights, insights};
pub(super) use lineage::{__path_lineage, lineage};
pub(super) use query::{__path_query, __path_schema, QueryTurns, query, schema};
