//! What a process uses up while it works.
//!
//! Law: the output is read from its beginning, so that an engine that takes the attempt up again reports no less than
//! the one before. Reports only grow: the end of the attempt adds to them, and corrects their cost where the program says its own.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use everfold_ports::{AttemptObserver, Usage};

use super::plan::Meter;
use super::usage;
use crate::shim::protocol::STDOUT;
use everfold_system::regular;

/// Bytes that are read in one look.
const LOOK_BYTES_MAX: u64 = 1024 * 1024;
/// The longest line that is looked at.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The least pause between two reports, and the part (1/20) by which the sum must have grown: a long attempt makes
/// some hundred events, not thousands.
const EVERY: Duration = Duration::from_secs(2);
const PART: u64 = 20;

/// Follows standard output and tells what it says of its use.
pub(super) struct Metered {
    meter: Box<dyn Meter>,
    model: Option<String>,
    before: Vec<Usage>,
    path: PathBuf,
    offset: u64,
    line: Vec<u8>,
    is_skipping: bool,
    is_changed: bool,
    reported: Option<(Instant, u64)>,
}

impl Metered {
    pub(super) fn new(
        folder: &Path,
        meter: Box<dyn Meter>,
        model: Option<String>,
        before: Vec<Usage>,
    ) -> Self {
        let (path, line) = (folder.join(STDOUT), Vec::new());
        Self {
            meter,
            model,
            before,
            path,
            offset: 0,
            line,
            is_skipping: false,
            is_changed: false,
            reported: None,
        }
    }

    /// Reads what is new, and tells of it where it is enough.
    pub(super) fn look(&mut self, observer: &dyn AttemptObserver) {
        // What cannot be read now is read at the end.
        if self.read().is_err() || !self.is_changed {
            return;
        }
        let used = self.used();
        let sum = used.iter().fold(0_u64, |sum, used| {
            [used.input_tokens, used.cached_tokens, used.output_tokens]
                .into_iter()
                .fold(sum, u64::saturating_add)
        });
        let is_due = match self.reported {
            None => sum > 0,
            Some((at, reported)) => at.elapsed() >= EVERY && sum > reported.saturating_add(reported / PART),
        };
        if is_due {
            self.reported = Some((Instant::now(), sum));
            self.is_changed = false;
            observer.used(&used);
        }
    }

    fn used(&self) -> Vec<Usage> {
        let mut used = self.meter.used();
        for usage in used.iter_mut().filter(|usage| usage.model.is_none()) {
            usage.model.clone_from(&self.model);
        }
        usage::sum(self.before.iter().cloned().chain(used))
    }

    fn read(&mut self) -> std::io::Result<()> {
        let mut file = match regular::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut piece = Vec::new();
        file.take(LOOK_BYTES_MAX).read_to_end(&mut piece)?;
        self.offset += piece.len() as u64;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = part.ends_with(b"\n");
            self.is_skipping |= self.line.len() + part.len() > LINE_BYTES_MAX;
            if !self.is_skipping {
                self.line.extend_from_slice(part);
            }
            if is_whole {
                if !self.is_skipping {
                    self.is_changed |= self.meter.line(&String::from_utf8_lossy(&self.line));
                }
                self.line.clear();
                self.is_skipping = false;
            }
        }
        Ok(())
    }
}
