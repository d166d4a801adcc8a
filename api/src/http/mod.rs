//! REST: the one way in. The command line comes through here too, over the folder's socket or within
//! its own process, so that both answer alike.
//!
//! Law: every error is `application/problem+json` with a stable code, wherever it comes from; every
//! write takes `Idempotency-Key` and answers with `Everfold-Position`.
//!
//! A file per group of routes; `routes.rs` lists them all. Statuses stand in [`crate::fault::Code`].

mod access;
mod answer;
mod app;
mod audit;
mod backtest;
#[cfg(test)]
mod backtest_tests;
mod board;
mod control;
mod diff;
mod document;
mod events;
mod export;
mod extract;
mod guard;
mod head;
mod health;
mod hooks;
mod inbox;
mod limits;
mod logs;
mod named;
mod notices;
mod parameters;
mod pipeline_source;
mod pipelines;
mod projections;
mod rerun;
mod room;
mod routes;
mod runs;
mod schedules;
mod session_check;
mod signals;
mod spend;
mod sse;
mod state;
mod store;
mod stream;
mod values;
mod workers;

pub use crate::access::{Caller, RequestSession};
pub(crate) use crate::body::backtest::{BacktestAnswer, Changed};
pub(crate) use crate::body::limits::LimitsAnswer;
pub(crate) use crate::body::notice::TestAnswer;
pub use crate::body::pipeline::{PipelineStep, PipelineView, VersionView};
pub(crate) use crate::body::spend::{BudgetsAnswer, CounterView, SpendAnswer, SpendItem};
pub use answer::{POSITION_HEADER, PROBLEM_TYPE, REPLAYED_HEADER};
pub use app::BODY_BYTES_MAX;
pub use extract::{BodyMax, BodyWithin};
pub use head::{REQUEST_ID, named};
pub use routes::{document, router};
pub(crate) use signals::SignalAnswer;
