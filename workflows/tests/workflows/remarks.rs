//! The remarks of a supervisor in the log of its attempt.

use std::path::Path;

use everfold_workflows::shim::log::{LogReader, LogSource};

/// What the supervisor itself said in a log.
pub fn remarks(folder: &Path) -> Vec<String> {
    let lines = LogReader::from_start(&folder.join("log")).read().unwrap();
    lines.into_iter().filter(|line| line.source == LogSource::Supervisor).map(|line| line.text).collect()
}
