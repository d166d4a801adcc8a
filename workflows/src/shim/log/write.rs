//! The writer of a log, which keeps its limit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::record::{LEFT_OUT, LIMIT_REACHED, LogSource, NOT_WRITTEN, record};
use crate::shim::in_the_way::remove_folder;
use crate::shim::wall_clock::now_ms;
use everfold_system::regular;

/// The longest piece of a line in one record.
pub(super) const PIECE_BYTES_MAX: usize = 8 * 1024;
/// The most that is kept in memory for the end of a log that reaches its limit; of a small limit a quarter.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// Opens a file to append to it, and makes it. A folder that a command made in its place goes.
pub(crate) fn create(path: &Path) -> std::io::Result<File> {
    remove_folder(path)?;
    regular::options().create(true).append(true).mode(0o600).open(path)
}

/// Writes a log, and makes it for the first line; a disk without room loses lines, never the process.
pub(crate) struct LogWriter {
    path: PathBuf,
    file: Option<File>,
    room_bytes: u64,
    /// Where there is no room any more: the newest records.
    tail: Option<RecordTail>,
    tail_max_bytes: u64,
    torn: bool,
    unreported_bytes: u64,
    pending: [Vec<u8>; 2],
    /// How much output is missing.
    pub(crate) lost_bytes: u64,
}

impl LogWriter {
    /// Opens a log; what an earlier turn or another engine wrote to it counts. Of each such part the end is kept, until
    /// the log has twice its limit.
    pub(crate) fn open(path: &Path, max_bytes: u64) -> std::io::Result<Self> {
        let (file, there) = match regular::options().append(true).open(path) {
            Ok(file) => {
                let there = file.metadata()?.len();
                (Some(file), there)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => (None, 0),
            Err(error) => return Err(error),
        };
        let room_bytes = max_bytes - TAIL_BYTES_MAX.min(max_bytes / 4);
        let tail_max_bytes = (max_bytes - room_bytes).min((max_bytes * 2).saturating_sub(there));
        Ok(Self {
            path: path.to_owned(),
            file,
            room_bytes: room_bytes.saturating_sub(there),
            tail: None,
            tail_max_bytes,
            torn: false,
            unreported_bytes: 0,
            pending: [Vec::new(), Vec::new()],
            lost_bytes: 0,
        })
    }

    /// Takes what came from one of the two pipes.
    pub(crate) fn take(&mut self, source: LogSource, bytes: &[u8]) {
        let (mut records, at) = (Vec::with_capacity(bytes.len() + 64), now_ms());
        let pending = &mut self.pending[slot(source)];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, complete) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            pending.extend_from_slice(text);
            while pending.len() > PIECE_BYTES_MAX {
                let rest = pending.split_off(PIECE_BYTES_MAX);
                record(&mut records, at, source, false, pending);
                *pending = rest;
            }
            if complete {
                record(&mut records, at, source, true, pending);
                pending.clear();
            }
        }
        self.write(&records);
    }

    /// Whether an unfinished line waits.
    pub(crate) fn has_pending(&self) -> bool {
        self.pending.iter().any(|pending| !pending.is_empty())
    }

    /// Writes unfinished lines as pieces: a prompt, a progress bar, the last line of all.
    pub(crate) fn flush(&mut self) {
        for source in [LogSource::Stdout, LogSource::Stderr] {
            let pending = std::mem::take(&mut self.pending[slot(source)]);
            if !pending.is_empty() {
                let mut records = Vec::new();
                record(&mut records, now_ms(), source, false, &pending);
                self.write(&records);
            }
        }
    }

    /// Writes what is left: unfinished lines, and the end of a log that reached its limit.
    pub(crate) fn finish(&mut self) {
        self.flush();
        let Some(tail) = self.tail.take() else { return };
        self.lost_bytes += tail.dropped_bytes;
        if tail.dropped_bytes > 0 {
            self.remark(&format!("{} {LEFT_OUT}", tail.dropped_bytes));
        }
        let kept = Vec::from(tail.records);
        if self.append(&kept).is_err() {
            self.lost_bytes += kept.len() as u64;
        }
    }

    fn write(&mut self, records: &[u8]) {
        if let Some(tail) = &mut self.tail {
            return tail.take(records, self.tail_max_bytes);
        }
        if records.len() as u64 > self.room_bytes {
            let room = usize::try_from(self.room_bytes).unwrap_or(usize::MAX).min(records.len());
            let last = records[..room].iter().rposition(|byte| *byte == b'\n');
            let (first, rest) = records.split_at(last.map_or(0, |last| last + 1));
            if !first.is_empty() {
                self.write(first);
            }
            self.remark(LIMIT_REACHED);
            let mut tail = RecordTail::default();
            tail.take(rest, self.tail_max_bytes);
            self.tail = Some(tail);
            return;
        }
        if !self.report_lost() {
            self.lose(records);
            return;
        }
        self.room_bytes -= records.len() as u64;
        if self.append(records).is_err() {
            self.lose(records);
        }
    }

    /// Says in the log what could not be written to it; whether nothing is unsaid then.
    pub(crate) fn report_lost(&mut self) -> bool {
        if self.torn || self.unreported_bytes > 0 {
            let remark = format!("{} {NOT_WRITTEN}", self.unreported_bytes);
            if !self.remark(&remark) {
                return false;
            }
            self.unreported_bytes = 0;
        }
        true
    }

    fn lose(&mut self, records: &[u8]) {
        self.lost_bytes += records.len() as u64;
        self.unreported_bytes += records.len() as u64;
    }

    fn remark(&mut self, text: &str) -> bool {
        // A record that was cut by a full disk ends here.
        let line = format!("{}{} # {text}\n", if self.torn { "\n" } else { "" }, now_ms());
        let written = self.put(line.as_bytes()).is_ok();
        self.torn = !written;
        written
    }

    fn append(&mut self, records: &[u8]) -> std::io::Result<()> {
        let result = self.put(records);
        self.torn = result.is_err();
        result
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => create(&self.path)?,
        };
        self.file.insert(file).write_all(bytes)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The newest records, whole ones.
#[derive(Default)]
struct RecordTail {
    records: VecDeque<u8>,
    dropped_bytes: u64,
}

impl RecordTail {
    fn take(&mut self, records: &[u8], max_bytes: u64) {
        self.records.extend(records);
        let over = self.records.len().saturating_sub(usize::try_from(max_bytes).unwrap_or(usize::MAX));
        if over > 0 {
            let rest = self.records.range(over - 1..).position(|byte| *byte == b'\n');
            let end = rest.map_or(self.records.len(), |at| over + at);
            self.records.drain(..end);
            self.dropped_bytes += end as u64;
        }
    }
}

fn slot(source: LogSource) -> usize {
    usize::from(source == LogSource::Stderr)
}
