//! The newest lines of an attempt that goes on, for the panel of its step.

use askama::Template;

use super::address::address;
use super::log_lines::{LogLine, LogRecord, asked, read};
use crate::frame::Visit;
use crate::words::encoded;

/// Lines that a panel shows.
const TAIL_LINES: usize = 12;
/// The most of an answer that is read.
const TAIL_BYTES_MAX: usize = 1024 * 1024;

/// The newest lines, and where those come from that follow.
#[derive(Debug, Clone, Template)]
#[template(path = "run/tail.html")]
pub(crate) struct LogTail {
    lines: Vec<LogLine>,
    /// The attempt, as part of an element's name.
    key: String,
    /// The stream of further lines.
    stream: String,
}

impl LogTail {
    /// The newest lines of an attempt, `2.1` of a step or item; none where they cannot be read.
    pub(crate) async fn load(visit: &Visit, run: &str, step: &str, instance: &str) -> Option<Self> {
        let (round, attempt) = instance.split_once('.')?;
        let path = format!(
            "/runs/{}/attempts/{}/{round}/{attempt}/log?format=json&tail={TAIL_LINES}",
            encoded(run),
            encoded(step)
        );
        let records = match asked(visit, &path, None).await {
            Ok(answer) => axum::body::to_bytes(answer.into_body(), TAIL_BYTES_MAX).await.ok()?,
            // It wrote nothing yet.
            Err(_refused) => axum::body::Bytes::new(),
        };
        let records: Vec<LogRecord> = records.split(|byte| *byte == b'\n').filter_map(read).collect();
        let pairs = [("step", step), ("round", round), ("attempt", attempt)];
        let mut terminal = super::ansi::Terminal::default();
        Some(Self {
            lines: records.into_iter().map(|record| LogLine::new(record, &mut terminal)).collect(),
            key: format!("{step}-{instance}"),
            stream: address(&format!("/runs/{run}/log/stream"), &pairs),
        })
    }

    /// The number of the newest line.
    fn last(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.record.line)
    }
}
