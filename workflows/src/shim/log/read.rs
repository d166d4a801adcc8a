//! The reader of a log, and its last lines.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::record::{LogLine, LogSource, parse};
use everfold_system::regular;

/// What a reader takes at once.
const READ_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a log, also one that is still being written.
#[derive(Debug)]
pub struct LogReader {
    file: Option<File>,
    path: std::path::PathBuf,
    offset: u64,
}

impl LogReader {
    /// From the beginning of the log at `path`, which may not exist yet.
    #[must_use]
    pub fn from_start(path: &Path) -> Self {
        Self { file: None, path: path.to_owned(), offset: 0 }
    }

    /// From behind a record, as [`LogReader::read_placed`] said where it ends.
    #[must_use]
    pub fn from_place(path: &Path, place: u64) -> Self {
        Self { offset: place, ..Self::from_start(path) }
    }

    /// From the last `lines` lines on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_tail(path: &Path, lines: usize) -> std::io::Result<Self> {
        let mut reader = Self::from_start(path);
        if reader.open()? {
            reader.seek_back(lines)?;
        }
        Ok(reader)
    }

    /// The records that are there and have not been read, at most about 1 MiB of them; empty when
    /// there is nothing new.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> std::io::Result<Vec<LogLine>> {
        Ok(self.read_placed()?.into_iter().map(|(_, line)| line).collect())
    }

    /// What [`LogReader::read`] gives, each with the place behind it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_placed(&mut self) -> std::io::Result<Vec<(u64, LogLine)>> {
        if !self.open()? {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        let Some(file) = self.file.as_mut() else { return Ok(Vec::new()) };
        file.seek(SeekFrom::Start(self.offset))?;
        file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut place = self.offset;
        self.offset += end as u64;
        let records = bytes[..end].split_inclusive(|byte| *byte == b'\n');
        let placed = records.filter_map(|record| {
            place += record.len() as u64;
            Some((place, parse(record.strip_suffix(b"\n").unwrap_or(record))?))
        });
        Ok(placed.collect())
    }

    /// The place behind what was read.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.offset
    }

    /// Leaves out old records where more than `max_bytes` are unread; goes on with the last few.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn skip(&mut self, max_bytes: u64) -> std::io::Result<()> {
        const LINES_KEPT: usize = 10;
        if !self.open()? {
            return Ok(());
        }
        let length =
            self.file.as_ref().map_or(Ok(0), |file| file.metadata().map(|metadata| metadata.len()))?;
        if length.saturating_sub(self.offset) > max_bytes { self.seek_back(LINES_KEPT) } else { Ok(()) }
    }

    fn open(&mut self) -> std::io::Result<bool> {
        if self.file.is_none() {
            self.file = match regular::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
        }
        Ok(true)
    }

    /// Puts the offset before the last `lines` records that end a line.
    fn seek_back(&mut self, lines: usize) -> std::io::Result<()> {
        const BLOCK: u64 = 64 * 1024;
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        let mut start = file.metadata()?.len();
        let mut found = 0;
        let mut block = Vec::new();
        while start > 0 {
            let from = start.saturating_sub(BLOCK);
            block.clear();
            file.seek(SeekFrom::Start(from))?;
            Read::by_ref(file).take(start - from).read_to_end(&mut block)?;
            for (index, byte) in block.iter().enumerate().rev() {
                if *byte == b'\n' {
                    if found == lines {
                        self.offset = from + index as u64 + 1;
                        return Ok(());
                    }
                    found += 1;
                }
            }
            start = from;
        }
        self.offset = 0;
        Ok(())
    }
}

/// The last `lines` lines that the process itself wrote, joined; at most 64 KiB.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    const TEXT_BYTES_MAX: usize = 64 * 1024;
    let Ok(mut reader) = LogReader::from_tail(path, lines) else { return String::new() };
    let mut text = String::new();
    while let Ok(records) = reader.read() {
        if records.is_empty() {
            break;
        }
        for line in records.iter().filter(|line| line.source != LogSource::Supervisor) {
            text.push_str(&line.text);
            text.push_str(if line.complete { "\n" } else { "" });
        }
    }
    let mut from = text.len().saturating_sub(TEXT_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].trim_end().to_owned()
}
