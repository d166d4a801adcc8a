//! The attempt log: what a process wrote, with the time of each line.
//!
//! A record is one line, `MILLISECONDS KIND TEXT`:
//!
//! | kind | meaning |
//! |---|---|
//! | `O`, `E` | a line of standard output, of standard error |
//! | `o`, `e` | a piece of one, with more of it to come |
//! | `#` | a remark of the supervisor: not written by the process |
//!
//! Law: the texts of `O o` records, joined, with a line feed after each `O`, are what the process
//! wrote; likewise for standard error. Beyond the limit the middle is left out: the first records, a
//! remark that counts what is missing, and the last ones, which are written when the process ends.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::wall_clock::now_ms;
use crate::regular;

/// The longest piece of a line in one record.
const PIECE_BYTES_MAX: usize = 8 * 1024;
/// The most that is kept in memory for the end of a log that reaches its limit; of a small limit a quarter.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;
/// What a reader takes at once.
const READ_BYTES_MAX: u64 = 1024 * 1024;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The supervisor.
    Supervisor,
}

/// One record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it came, in milliseconds since 1970.
    pub at: i64,
    /// Where it came from.
    pub source: Source,
    /// What it says; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether the line ends here.
    pub complete: bool,
}

/// The remark where a log reaches its limit.
const LIMIT_REACHED: &str = "the limit of this log is reached; of what follows the end is kept, and written here when the process ends";
/// What remarks on missing output say of the bytes that they count.
const LEFT_OUT: &str = "bytes are left out here: the log is over its limit; what follows is its end";
const NOT_WRITTEN: &str = "bytes could not be written to this log";

impl LogLine {
    /// Whether it says that output of the process is missing here.
    #[must_use]
    pub fn tells_loss(&self) -> bool {
        let tells = |text: &&str| self.text.ends_with(*text);
        self.source == Source::Supervisor && [LIMIT_REACHED, LEFT_OUT, NOT_WRITTEN].iter().any(tells)
    }
}

pub(crate) fn create(path: &Path) -> std::io::Result<File> {
    regular::options().create(true).append(true).mode(0o600).open(path)
}

/// Writes a log; a disk without room loses lines, never the process.
pub(crate) struct LogWriter {
    file: File,
    room_bytes: u64,
    /// Where there is no room any more: the newest records.
    tail: Option<Tail>,
    tail_max_bytes: u64,
    torn: bool,
    unreported_bytes: u64,
    pending: [Vec<u8>; 2],
    /// How much output is missing.
    pub(crate) lost_bytes: u64,
}

impl LogWriter {
    pub(crate) fn open(path: &Path, max_bytes: u64) -> std::io::Result<Self> {
        let tail_max_bytes = TAIL_BYTES_MAX.min(max_bytes / 4);
        Ok(Self {
            file: create(path)?,
            room_bytes: max_bytes - tail_max_bytes,
            tail: None,
            tail_max_bytes,
            torn: false,
            unreported_bytes: 0,
            pending: [Vec::new(), Vec::new()],
            lost_bytes: 0,
        })
    }

    /// Takes what came from one of the two pipes.
    pub(crate) fn take(&mut self, source: Source, bytes: &[u8]) {
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
        for source in [Source::Stdout, Source::Stderr] {
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
            let mut tail = Tail::default();
            tail.take(rest, self.tail_max_bytes);
            self.tail = Some(tail);
            return;
        }
        if self.torn || self.unreported_bytes > 0 {
            let remark = format!("{} {NOT_WRITTEN}", self.unreported_bytes);
            if !self.remark(&remark) {
                self.lose(records);
                return;
            }
            self.unreported_bytes = 0;
        }
        self.room_bytes -= records.len() as u64;
        if self.append(records).is_err() {
            self.lose(records);
        }
    }

    fn lose(&mut self, records: &[u8]) {
        self.lost_bytes += records.len() as u64;
        self.unreported_bytes += records.len() as u64;
    }

    fn remark(&mut self, text: &str) -> bool {
        // A record that was cut by a full disk ends here.
        let line = format!("{}{} # {text}\n", if self.torn { "\n" } else { "" }, now_ms());
        let written = self.file.write_all(line.as_bytes()).is_ok();
        self.torn = !written;
        written
    }

    fn append(&mut self, records: &[u8]) -> std::io::Result<()> {
        let result = self.file.write_all(records);
        self.torn = result.is_err();
        result
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The newest records, whole ones.
#[derive(Default)]
struct Tail {
    records: VecDeque<u8>,
    dropped_bytes: u64,
}

impl Tail {
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

fn slot(source: Source) -> usize {
    usize::from(source == Source::Stderr)
}

fn record(records: &mut Vec<u8>, at: i64, source: Source, complete: bool, text: &[u8]) {
    let kind = match (source, complete) {
        (Source::Stdout, true) => 'O',
        (Source::Stdout, false) => 'o',
        (Source::Stderr, true) => 'E',
        (Source::Stderr, false) => 'e',
        (Source::Supervisor, _) => '#',
    };
    records.extend_from_slice(format!("{at} {kind} ").as_bytes());
    records.extend_from_slice(text);
    records.push(b'\n');
}

fn parse(line: &[u8]) -> Option<LogLine> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let at = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let (source, complete) = match parts.next()? {
        b"O" => (Source::Stdout, true),
        b"o" => (Source::Stdout, false),
        b"E" => (Source::Stderr, true),
        b"e" => (Source::Stderr, false),
        b"#" => (Source::Supervisor, true),
        _ => return None,
    };
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    Some(LogLine { at, source, text, complete })
}

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
        for line in records.iter().filter(|line| line.source != Source::Supervisor) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(max_bytes: u64, pieces: &[(Source, &str)]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogWriter::open(&path, max_bytes).unwrap();
        for (source, text) in pieces {
            log.take(*source, text.as_bytes());
        }
        log.finish();
        (folder, path)
    }

    #[test]
    fn what_a_process_wrote_is_read_back_without_the_times() {
        let long = "x".repeat(20_000);
        let text = format!("first\nsec\r\n\n{long}\nno end");
        let pieces: Vec<(Source, &str)> = text
            .as_bytes()
            .chunks(7)
            .map(|piece| (Source::Stdout, std::str::from_utf8(piece).unwrap()))
            .collect();
        let (_folder, path) = written(1 << 20, &pieces);
        let lines = LogReader::from_start(&path).read().unwrap();
        let joined: String = lines
            .iter()
            .map(|line| if line.complete { format!("{}\n", line.text) } else { line.text.clone() })
            .collect();
        assert_eq!(joined, text);
        assert!(lines.iter().all(|line| line.at > 0 && line.text.len() <= PIECE_BYTES_MAX));
    }

    #[test]
    fn a_log_over_its_limit_keeps_its_beginning_and_its_end_and_counts_what_is_left_out() {
        let lines: Vec<String> = (0..100).map(|n| format!("{n:03}{}\n", "y".repeat(40))).collect();
        let pieces: Vec<(Source, &str)> = lines.iter().map(|line| (Source::Stderr, line.as_str())).collect();
        let (_folder, path) = written(2_000, &pieces);
        let length = std::fs::metadata(&path).unwrap().len();
        assert!((1_800..2_300).contains(&length), "{length}");
        let lines = LogReader::from_start(&path).read().unwrap();
        let remarks: Vec<usize> =
            (0..lines.len()).filter(|at| lines[*at].source == Source::Supervisor).collect();
        let [limit, left_out] = remarks[..] else { panic!("{lines:?}") };
        assert_eq!(left_out, limit + 1);
        assert!(
            lines[limit].text.contains("limit") && lines[left_out].text.contains("bytes are left out here")
        );
        assert!(lines[0].text.starts_with("000") && lines.last().unwrap().text.starts_with("099"));
        let number = |at: usize| lines[at].text[..3].parse::<u64>().unwrap();
        assert!(number(limit - 1) > 15 && number(left_out + 1) > 85, "{lines:?}");
        // What is left out is what is missing.
        let record = lines[0].at.to_string().len() as u64 + 3 + 43 + 1;
        let missing = number(left_out + 1) - number(limit - 1) - 1;
        assert!(lines[left_out].text.starts_with(&format!("{} bytes", missing * record)), "{lines:?}");
        assert!(tail(&path, 1).starts_with("099"));
    }

    #[test]
    fn what_comes_at_once_is_cut_where_the_limit_is() {
        let text: String = (0..1_000).map(|n| format!("{n:03}\n")).collect();
        let (_folder, path) = written(4_000, &[(Source::Stdout, &text)]);
        let lines = LogReader::from_start(&path).read().unwrap();
        let limit = lines.iter().position(|line| line.source == Source::Supervisor).unwrap();
        assert!(limit > 100, "{limit} records of about 20 bytes fit into three quarters of the limit");
        assert_eq!((lines[0].text.as_str(), lines.last().unwrap().text.as_str()), ("000", "999"));
    }

    #[test]
    fn a_log_that_passes_its_limit_by_little_is_whole() {
        let text: String = (0..9).map(|n| format!("{n}{}\n", "z".repeat(180))).collect();
        let pieces: Vec<(Source, &str)> =
            text.split_inclusive('\n').map(|line| (Source::Stdout, line)).collect();
        let (_folder, path) = written(2_000, &pieces);
        let lines = LogReader::from_start(&path).read().unwrap();
        let joined: String =
            lines.iter().filter(|it| it.source == Source::Stdout).map(|it| it.text.clone() + "\n").collect();
        assert_eq!(joined, text);
        assert!(!lines.iter().any(|line| line.text.contains("left out")));
    }

    #[test]
    fn the_tail_has_the_last_lines_only() {
        let text: String = (0..5_000).map(|n| format!("line {n}\n")).collect();
        let (_folder, path) = written(1 << 20, &[(Source::Stdout, &text)]);
        assert_eq!(tail(&path, 2), "line 4998\nline 4999");
        assert_eq!(LogReader::from_tail(&path, 10_000).unwrap().read().unwrap().len(), 5_000);
        let mut reader = LogReader::from_start(&path);
        reader.skip(1_000_000).unwrap();
        assert_eq!(reader.read().unwrap().len(), 5_000);
        let mut reader = LogReader::from_start(&path);
        reader.skip(1_000).unwrap();
        assert_eq!(reader.read().unwrap().len(), 10);
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_waits_for_whole_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut reader = LogReader::from_start(&path);
        assert!(reader.read().unwrap().is_empty());
        let mut file = create(&path).unwrap();
        file.write_all(b"1 O one\n2 O tw").unwrap();
        assert_eq!(reader.read().unwrap().len(), 1);
        file.write_all(b"o\n").unwrap();
        assert_eq!(reader.read().unwrap()[0].text, "two");
    }
}
