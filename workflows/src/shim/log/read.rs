//! The reader of a log, and its last lines.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::record::{LogLine, LogSource, parse};
use everfold_system::regular;

/// What a reader takes at once.
const READ_BYTES_MAX: u64 = 128 * 1024;

/// Reads a log, also one that is still being written.
#[derive(Debug)]
pub struct LogReader {
    file: Option<File>,
    path: std::path::PathBuf,
    offset: u64,
    /// The lines before the offset, where they were counted.
    lines: Option<u64>,
}

impl LogReader {
    /// From the beginning of the log at `path`, which may not exist yet.
    #[must_use]
    pub fn from_start(path: &Path) -> Self {
        Self { file: None, path: path.to_owned(), offset: 0, lines: Some(0) }
    }

    /// From the beginning of a log that was opened.
    #[must_use]
    pub fn of_file(path: &Path, file: File) -> Self {
        Self { file: Some(file), ..Self::from_start(path) }
    }

    /// Goes behind the line of this number, as [`LogReader::read_numbered`] counts them; to the end where there are
    /// fewer.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn go_behind(&mut self, line: u64) -> std::io::Result<()> {
        if self.open()?
            && let Some(file) = self.file.as_mut()
        {
            let (offset, lines) = behind(file, line, u64::MAX)?;
            (self.offset, self.lines) = (offset, Some(lines));
        }
        Ok(())
    }

    /// Goes before the last `lines` lines.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn go_to_tail(&mut self, lines: usize) -> std::io::Result<()> {
        if self.open()? { self.seek_back(lines) } else { Ok(()) }
    }

    /// From the last `lines` lines on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_tail(path: &Path, lines: usize) -> std::io::Result<Self> {
        let mut reader = Self::from_start(path);
        reader.go_to_tail(lines)?;
        Ok(reader)
    }

    /// The records that are there and have not been read, at most about 128 KiB of them; empty when
    /// there is nothing new.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> std::io::Result<Vec<LogLine>> {
        Ok(self.read_records()?.into_iter().map(|(_, line)| line).collect())
    }

    /// What [`LogReader::read`] gives, each with the number of its line in the file, from 1. A line that is no record
    /// (one that a full disk cut off) has a number and is left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_numbered(&mut self) -> std::io::Result<Vec<(u64, LogLine)>> {
        let before = self.line()?;
        let records = self.read_records()?;
        Ok(records.into_iter().map(|(nth, line)| (before + nth, line)).collect())
    }

    /// The number of the last line that was read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn line(&mut self) -> std::io::Result<u64> {
        if let Some(lines) = self.lines {
            return Ok(lines);
        }
        let lines = match self.file.as_mut() {
            Some(file) => behind(file, u64::MAX, self.offset)?.1,
            None => 0,
        };
        self.lines = Some(lines);
        Ok(lines)
    }

    /// Records, each with its number among the lines that this call read.
    fn read_records(&mut self) -> std::io::Result<Vec<(u64, LogLine)>> {
        if !self.open()? {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        let Some(file) = self.file.as_mut() else { return Ok(Vec::new()) };
        file.seek(SeekFrom::Start(self.offset))?;
        file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.offset += end as u64;
        let mut nth = 0;
        let mut records = Vec::new();
        for record in bytes[..end].split_inclusive(|byte| *byte == b'\n') {
            nth += 1;
            let line = parse(record.strip_suffix(b"\n").unwrap_or(record));
            records.extend(line.map(|line| (nth, line)));
        }
        self.lines = self.lines.map(|lines| lines + nth);
        Ok(records)
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
        self.lines = None;
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
        (self.offset, self.lines) = (0, Some(0));
        Ok(())
    }
}

/// The place behind the line of this number and no further than `bytes`, with the lines before it.
fn behind(file: &mut File, line: u64, bytes: u64) -> std::io::Result<(u64, u64)> {
    const BLOCK: u64 = 64 * 1024;
    let (mut at, mut place, mut lines) = (0, 0, 0);
    let mut block = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    while lines < line && at < bytes {
        block.clear();
        let count = Read::by_ref(file).take(BLOCK.min(bytes - at)).read_to_end(&mut block)?;
        if count == 0 {
            break;
        }
        for (index, _) in block.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            if lines < line {
                (lines, place) = (lines + 1, at + index as u64 + 1);
            }
        }
        at += count as u64;
    }
    Ok((place, lines))
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
