//! The metrics of `GET /metrics`: of the store, the runs, the requests and the process.
//!
//! Law: names and units follow the conventions of Prometheus (seconds, bytes, `_total`); no label has
//! values without bound. Counting never waits and never fails. Counters begin with the process.

mod events;
mod http;
mod label;
mod process;
mod registry;
mod steps;
mod store;

pub use events::{Meter, follow};
pub use http::count;
pub use registry::{CONTENT_TYPE, Metrics, MetricsSnapshot};
pub use store::StoreMetrics;
