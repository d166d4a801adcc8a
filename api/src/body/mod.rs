//! Bodies of REST requests and answers that more than one part of this crate reads or writes.
//!
//! Law: data and its JSON form only; nothing here asks the node or knows a route.

pub(crate) mod backtest;
pub mod budget;
pub(crate) mod bulk;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod hook;
pub(crate) mod inbox;
pub(crate) mod insights;
pub(crate) mod limits;
pub mod notice;
pub(crate) mod orch;
pub mod pipeline;
pub(crate) mod query;
pub(crate) mod replay;
pub(crate) mod schedule;
pub(crate) mod spend;
pub(crate) mod sse_chunk;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod steering;
pub(crate) mod token;
pub(crate) mod whole_number;
pub(crate) mod why;
pub(crate) mod written_moment;
