//! REST: the only way to a node. The command line uses the same routes, over the folder's socket or within its own
//! process, so that both give the same answers.
//!
//! Law: every error is `application/problem+json` with a stable code, wherever it comes from. Every write that records
//! something answers with `Everfold-Position`, and takes `Idempotency-Key` unless it is recognised by what it holds.
//!
//! One file per group of routes. To begin with: `routes.rs` lists all routes and the layers around them; `extract.rs`
//! reads requests, `answer.rs` builds answers, `layers.rs` and `role_check.rs` stand in front of every handler,
//! `document/` makes the OpenAPI document. The statuses of errors are in [`crate::fault::Code`].

mod accepted;
mod access;
mod answer;
mod app;
mod artefacts;
mod attempts;
mod audit;
mod backtest;
#[cfg(test)]
mod backtest_tests;
mod bisect;
mod board;
mod budgets;
mod bulk;
mod byte_reservation;
mod chunk_queue;
mod control;
mod credentials;
mod diff;
mod document;
mod events;
mod export;
mod extract;
mod filter;
mod graphs;
mod health;
mod hooks;
mod inbox;
mod layers;
mod limited_runs;
mod limits;
mod list_fields;
mod list_scan;
mod live;
mod logs;
mod mcp;
mod moments;
mod notices;
mod orch;
mod parameters;
mod pipeline_source;
mod pipeline_stats;
mod pipelines;
mod projections;
mod queries;
mod read_turns;
mod relative_names;
mod rerun;
mod role_check;
mod routes;
mod runs;
mod schedules;
mod session_check;
mod signals;
mod spend;
mod spend_groups;
mod sql;
mod sse;
mod state;
mod stats;
mod store;
mod stream;
mod stream_account;
mod values;
mod why;
mod worker_reports;
mod workers;

pub use crate::access::{Caller, RequestSession};
pub(crate) use crate::body::backtest::{BacktestAnswer, Changed};
pub use crate::body::budget::SharedBudgetView;
pub(crate) use crate::body::limits::LimitsAnswer;
pub use crate::body::pipeline::{PipelineStep, PipelineView, VersionView};
pub(crate) use crate::body::spend::{BudgetsAnswer, CounterView, SpendAnswer, SpendItem};
pub use answer::{POSITION_HEADER, PROBLEM_TYPE, REPLAYED_HEADER};
pub use app::BODY_BYTES_MAX;
pub(crate) use control::UNBLOCK_WORDS;
pub use extract::{BodyMax, BodyWithin};
pub use layers::{REQUEST_ID, with_request_id};
pub(crate) use mcp::PATH as MCP_PATH;
pub use routes::{document, router};
pub(crate) use signals::SignalAnswer;
pub(crate) use values::has_offset_of_a_day;
