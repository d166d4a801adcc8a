//! One record of a log: `MILLISECONDS KIND TEXT`.

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
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
    pub source: LogSource,
    /// What it says; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether the line ends here.
    pub complete: bool,
}

/// The remark where a log reaches its limit.
pub(super) const LIMIT_REACHED: &str = "the limit of this log is reached; of what follows the end is kept, and written here when the process ends";
/// What remarks on missing output say of the bytes that they count.
pub(super) const LEFT_OUT: &str =
    "bytes are left out here: the log is over its limit; what follows is its end";
pub(super) const NOT_WRITTEN: &str = "bytes could not be written to this log";

impl LogLine {
    /// Whether it says that output of the process is missing here.
    #[must_use]
    pub fn tells_loss(&self) -> bool {
        let tells = |text: &&str| self.text.ends_with(*text);
        self.source == LogSource::Supervisor && [LIMIT_REACHED, LEFT_OUT, NOT_WRITTEN].iter().any(tells)
    }
}

/// Appends a record.
pub(super) fn record(records: &mut Vec<u8>, at: i64, source: LogSource, complete: bool, text: &[u8]) {
    let kind = match (source, complete) {
        (LogSource::Stdout, true) => 'O',
        (LogSource::Stdout, false) => 'o',
        (LogSource::Stderr, true) => 'E',
        (LogSource::Stderr, false) => 'e',
        (LogSource::Supervisor, _) => '#',
    };
    records.extend_from_slice(format!("{at} {kind} ").as_bytes());
    records.extend_from_slice(text);
    records.push(b'\n');
}

/// Reads a record; `None` where it is none.
pub(super) fn parse(line: &[u8]) -> Option<LogLine> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let at = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let (source, complete) = match parts.next()? {
        b"O" => (LogSource::Stdout, true),
        b"o" => (LogSource::Stdout, false),
        b"E" => (LogSource::Stderr, true),
        b"e" => (LogSource::Stderr, false),
        b"#" => (LogSource::Supervisor, true),
        _ => return None,
    };
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    Some(LogLine { at, source, text, complete })
}
