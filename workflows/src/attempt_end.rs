//! What all executors say alike of the end of an attempt.

use everfold_base::time::Timestamp;
use everfold_ports::{AttemptEnd, AttemptResult};

use crate::shim::wall_clock::now_ms;

/// The limit of a result file, and of a JSON file named by `outputs.json`.
pub(crate) const RESULT_BYTES_MAX: u64 = 1024 * 1024;

/// An end with the present time.
pub(crate) fn ended_now(result: AttemptResult) -> AttemptEnd {
    AttemptEnd::new(result, Timestamp(now_ms()))
}
