//! The seal of a log: what is recorded of it when it is closed, and where a log differs from what was sealed.
//!
//! Law: the seal's hash is that of the file's bytes (`b3sum log` prints the same), so it alone says whether a log is the one
//! that was written. The index beside the log holds the first 8 bytes of the hash of each line: it proves nothing, and says
//! in which line a log differs. Both are made in one pass, in bounded memory.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use everfold_base::json::Hash;
use everfold_ports::LogSeal;
use everfold_system::regular;

use super::files::LogFiles;
use crate::shim::in_the_way::remove_folder;

/// Bytes of the index for each line.
const DIGEST_BYTES: usize = 8;
/// What is read at once.
const PIECE_BYTES: usize = 64 * 1024;

type Digest = [u8; DIGEST_BYTES];

/// A log compared with its seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogCheck {
    /// It is what was sealed.
    Same,
    /// It is not there.
    Missing,
    /// It was changed.
    Changed(LogChange),
}

/// Where a log differs from what was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChange {
    /// In a line, and in so many of those behind it, those among them that are not there any more.
    Line {
        /// Its number, from 1.
        line: u64,
        /// Its bytes in the file as it is now.
        bytes: Range<u64>,
        /// How many lines behind it differ too.
        further: u64,
    },
    /// Nothing is left where lines stood: no bytes, or zero bytes alone. All other lines are as they were.
    Emptied {
        /// The number of the first of them, from 1.
        line: u64,
        /// How many.
        lines: u64,
        /// What stands there in the file as it is now.
        bytes: Range<u64>,
    },
    /// Lines were taken out, and all that stand behind them are as they were.
    Removed {
        /// The number that the first of them had, from 1.
        line: u64,
        /// How many.
        lines: u64,
    },
    /// Lines were put in between, and all that stand behind them are as they were.
    Added {
        /// The number of the first of them, from 1.
        line: u64,
        /// How many.
        lines: u64,
    },
    /// It ends too early.
    Cut {
        /// The last line that is there.
        line: u64,
        /// The lines that are missing.
        missing: u64,
    },
    /// Something was added behind its end.
    Longer {
        /// Bytes that were added.
        bytes: u64,
    },
    /// It differs, and its index is missing or damaged.
    Somewhere,
}

/// Seals a log that no process writes to any more: puts it on the disk, writes its index, and gives what is to be recorded.
/// `None`: there is no log.
///
/// # Errors
/// The log cannot be read, or cannot be put on the disk. An index that cannot be written is left out.
pub(crate) fn seal(log: &Path, lost_bytes: u64) -> std::io::Result<Option<LogSeal>> {
    let mut file = match regular::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    file.sync_data()?;
    let index = index_of(log);
    let _stays = remove_folder(&index);
    let mut writer = regular::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&index)
        .ok()
        .map(BufWriter::new);
    let walked = walk(&mut file, |line| {
        if writer.as_mut().is_some_and(|writer| writer.write_all(&line.digest).is_err()) {
            writer = None;
        }
    })?;
    let is_written = writer.is_some_and(|mut writer| writer.flush().is_ok());
    if !is_written {
        let _gone = std::fs::remove_file(&index);
    }
    Ok(Some(LogSeal { hash: walked.hash, lines: walked.lines, bytes: walked.bytes, lost_bytes }))
}

/// Compares a log with its seal.
///
/// # Errors
/// The log cannot be read.
pub fn check(files: LogFiles, seal: &LogSeal) -> std::io::Result<LogCheck> {
    let LogFiles { log, index } = files;
    let Some(mut file) = log else {
        return Ok(if seal.bytes == 0 { LogCheck::Same } else { LogCheck::Missing });
    };
    let mut index_file = of_lines(index, seal.lines);
    let mut index = index_file.as_mut().map(BufReader::new);
    let mut differs: Option<(u64, WalkedLine, u64)> = None;
    let mut number = 0;
    let walked = walk(&mut file, |line| {
        number += 1;
        if number > seal.lines {
            return;
        }
        let mut sealed = Digest::default();
        let Some(reader) = index.as_mut() else { return };
        if reader.read_exact(&mut sealed).is_err() {
            index = None;
        } else if sealed != line.digest {
            match &mut differs {
                Some((_, _, further)) => *further += 1,
                None => differs = Some((number, line, 0)),
            }
        }
    })?;
    if walked.hash == seal.hash {
        return Ok(LogCheck::Same);
    }
    let is_indexed = index.is_some();
    if let Some((line, ..)) = &differs
        && let Some(index) = &mut index_file
        && let Some(change) = moved(&mut file, index, seal, *line, walked.lines)?
    {
        return Ok(LogCheck::Changed(change));
    }
    Ok(LogCheck::Changed(match differs {
        _ if !is_indexed => LogChange::Somewhere,
        Some((number, line, 0))
            if line.is_blank && (number == walked.lines || walked.lines == seal.lines) =>
        {
            // What stands behind the last line that there is was there, too.
            let lines = if number == walked.lines { seal.lines + 1 - number } else { 1 };
            LogChange::Emptied { line: number, lines, bytes: line.bytes }
        }
        // What is left of the line at which the log was cut off differs as well. It is without its end, and behind lines that
        // are as they were: other bytes in the place of the log are no rest of it.
        Some((number, line, 0))
            if number == walked.lines
                && number > 1
                && !line.is_ended
                && walked.bytes < seal.bytes
                && walked.lines < seal.lines =>
        {
            LogChange::Cut { line: number - 1, missing: seal.lines + 1 - number }
        }
        // Lines that are not there any more differ, too.
        Some((number, line, further)) => {
            let gone = seal.lines.saturating_sub(walked.lines);
            LogChange::Line { line: number, bytes: line.bytes, further: further + gone }
        }
        None if walked.lines < seal.lines => {
            LogChange::Cut { line: walked.lines, missing: seal.lines - walked.lines }
        }
        None if walked.bytes > seal.bytes => LogChange::Longer { bytes: walked.bytes - seal.bytes },
        None => LogChange::Somewhere,
    }))
}

/// Whether a log whose number of lines changed differs by lines that were taken out, or put in between, at a line alone.
fn moved(
    file: &mut File,
    index: &mut File,
    seal: &LogSeal,
    line: u64,
    lines: u64,
) -> std::io::Result<Option<LogChange>> {
    let (removed, added) = (seal.lines.saturating_sub(lines), lines.saturating_sub(seal.lines));
    if removed == added {
        return Ok(None);
    }
    let mut index = BufReader::new(index);
    file.seek(SeekFrom::Start(0))?;
    index.seek(SeekFrom::Start((line - 1 + removed) * DIGEST_BYTES as u64))?;
    let (mut number, mut is_same) = (0, true);
    walk(file, |read| {
        number += 1;
        if is_same && number >= line + added {
            let mut sealed = Digest::default();
            is_same = index.read_exact(&mut sealed).is_ok() && sealed == read.digest;
        }
    })?;
    let change = match removed {
        0 => LogChange::Added { line, lines: added },
        removed => LogChange::Removed { line, lines: removed },
    };
    Ok(is_same.then_some(change))
}

/// The index of a log.
fn index_of(log: &Path) -> PathBuf {
    log.with_extension("index")
}

/// How long the index of a log of so many lines is.
pub(crate) fn index_bytes(lines: u64) -> u64 {
    lines.saturating_mul(DIGEST_BYTES as u64)
}

/// The index, where it is of as many lines as were sealed.
fn of_lines(index: Option<File>, lines: u64) -> Option<File> {
    let length = index.as_ref()?.metadata().ok()?.len();
    index.filter(|_| length == index_bytes(lines))
}

struct Walked {
    hash: Hash,
    lines: u64,
    bytes: u64,
}

/// A line of a log.
struct WalkedLine {
    /// Its bytes, the line feed among them.
    bytes: Range<u64>,
    digest: Digest,
    /// Whether it ends with a line feed.
    is_ended: bool,
    /// Whether nothing is in it but zero bytes and the line feed.
    is_blank: bool,
}

/// Gives each line; what stands behind the last line feed is a line too.
fn walk(file: &mut File, mut line: impl FnMut(WalkedLine)) -> std::io::Result<Walked> {
    let (mut whole, mut of_line) = (blake3::Hasher::new(), blake3::Hasher::new());
    let (mut lines, mut from, mut at, mut is_blank) = (0, 0, 0, true);
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        whole.update(&buffer[..count]);
        for piece in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
            of_line.update(piece);
            at += piece.len() as u64;
            is_blank &= piece.iter().all(|byte| matches!(byte, 0 | b'\n'));
            if piece.ends_with(b"\n") {
                lines += 1;
                line(WalkedLine { bytes: from..at, digest: digest(&of_line), is_ended: true, is_blank });
                of_line.reset();
                (from, is_blank) = (at, true);
            }
        }
    }
    if from < at {
        lines += 1;
        line(WalkedLine { bytes: from..at, digest: digest(&of_line), is_ended: false, is_blank });
    }
    Ok(Walked { hash: Hash(*whole.finalize().as_bytes()), lines, bytes: at })
}

fn digest(hasher: &blake3::Hasher) -> Digest {
    let mut digest = Digest::default();
    hasher.finalize_xof().fill(&mut digest);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "1000 O one\n1001 E two\n1002 O three\n1003 # four\n";

    fn sealed() -> (tempfile::TempDir, PathBuf, LogSeal) {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        std::fs::write(&log, TEXT).unwrap();
        let seal = seal(&log, 7).unwrap().unwrap();
        (home, log, seal)
    }

    fn check(log: &Path, seal: &LogSeal) -> std::io::Result<LogCheck> {
        super::check(LogFiles::at(log)?, seal)
    }

    fn changed(log: &Path, seal: &LogSeal, text: &[u8]) -> LogChange {
        std::fs::write(log, text).unwrap();
        match check(log, seal).unwrap() {
            LogCheck::Changed(change) => change,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_seal_holds_the_hash_of_the_file_its_lines_and_what_is_missing() {
        let (_home, log, seal) = sealed();
        assert_eq!((seal.lines, seal.bytes, seal.lost_bytes), (4, TEXT.len() as u64, 7));
        assert_eq!(seal.hash, Hash::of(TEXT.as_bytes()));
        assert_eq!(check(&log, &seal).unwrap(), LogCheck::Same);
        std::fs::remove_file(&log).unwrap();
        assert_eq!(check(&log, &seal).unwrap(), LogCheck::Missing);
        assert_eq!(super::seal(&log, 0).unwrap(), None);
    }

    #[test]
    fn any_flipped_byte_is_found_and_its_line_is_named() {
        let (_home, log, seal) = sealed();
        for at in 0..TEXT.len() {
            let mut bytes = TEXT.as_bytes().to_vec();
            bytes[at] ^= 1;
            let line = TEXT[..at].matches('\n').count() as u64 + 1;
            let LogChange::Line { line: named, bytes, .. } = changed(&log, &seal, &bytes) else {
                panic!("byte {at}")
            };
            assert_eq!(named, line, "byte {at}");
            assert!(bytes.contains(&(at as u64)), "byte {at}: {bytes:?}");
        }
    }

    #[test]
    fn a_log_that_was_cut_or_goes_on_says_so_and_one_without_its_index_only_that_it_differs() {
        let (_home, log, seal) = sealed();
        let cut = changed(&log, &seal, &TEXT.as_bytes()[..22]);
        assert_eq!(cut, LogChange::Cut { line: 2, missing: 2 });
        let cut = changed(&log, &seal, &TEXT.as_bytes()[..30]);
        assert_eq!(cut, LogChange::Cut { line: 2, missing: 2 });
        let longer = changed(&log, &seal, format!("{TEXT}1004 O five\n").as_bytes());
        assert_eq!(longer, LogChange::Longer { bytes: 12 });
        std::fs::write(index_of(&log), "no index").unwrap();
        assert_eq!(changed(&log, &seal, b"x\n"), LogChange::Somewhere);
        // A damaged index alone is no damage of the log.
        std::fs::write(&log, TEXT).unwrap();
        assert_eq!(check(&log, &seal).unwrap(), LogCheck::Same);
    }

    /// All lines behind them were called changed.
    #[test]
    fn lines_that_were_taken_out_put_in_or_emptied_are_told_from_changed_ones() {
        let (_home, log, seal) = sealed();
        let without = |gone: &[usize]| {
            let lines = TEXT.split_inclusive('\n').enumerate();
            lines.filter(|(at, _)| !gone.contains(&(at + 1))).map(|(_, line)| line).collect::<String>()
        };
        for (gone, change) in [
            (&[1][..], LogChange::Removed { line: 1, lines: 1 }),
            (&[2, 3], LogChange::Removed { line: 2, lines: 2 }),
            (&[4], LogChange::Cut { line: 3, missing: 1 }),
            (&[1, 2, 3, 4], LogChange::Cut { line: 0, missing: 4 }),
            // In two places: what can be said is where it begins.
            (&[1, 3], LogChange::Line { line: 1, bytes: 0..11, further: 3 }),
        ] {
            assert_eq!(changed(&log, &seal, without(gone).as_bytes()), change, "{gone:?}");
        }
        let added = TEXT.replace("1002", "1001 O new\n1002");
        assert_eq!(changed(&log, &seal, added.as_bytes()), LogChange::Added { line: 3, lines: 1 });
        let emptied = TEXT.replace("1001 E two", "");
        let change = LogChange::Emptied { line: 2, lines: 1, bytes: 11..12 };
        assert_eq!(changed(&log, &seal, emptied.as_bytes()), change);
    }

    /// What stood there was called emptied.
    #[test]
    fn other_bytes_over_a_part_of_a_log_are_told_from_a_part_that_was_emptied() {
        let (_home, log, seal) = sealed();
        let over = |range: Range<usize>, byte: u8| {
            let mut bytes = TEXT.as_bytes().to_vec();
            bytes[range].fill(byte);
            bytes
        };
        for (text, change) in [
            // Without a line feed two lines are one.
            (over(13..30, 0xa7), LogChange::Line { line: 2, bytes: 11..35, further: 2 }),
            // With line feeds there are more of them.
            (over(13..30, b'\n'), LogChange::Line { line: 2, bytes: 11..14, further: 2 }),
            (over(0..47, 0xa7), LogChange::Line { line: 1, bytes: 0..47, further: 3 }),
            // Fewer bytes in the place of all of it.
            (vec![0xa7; 20], LogChange::Line { line: 1, bytes: 0..20, further: 3 }),
            (b"x\n".to_vec(), LogChange::Line { line: 1, bytes: 0..2, further: 3 }),
            (b"1000 O one\nx\n".to_vec(), LogChange::Line { line: 2, bytes: 11..13, further: 2 }),
            (over(0..47, 0), LogChange::Emptied { line: 1, lines: 4, bytes: 0..47 }),
            (over(11..21, 0), LogChange::Emptied { line: 2, lines: 1, bytes: 11..22 }),
            (over(34..47, 0), LogChange::Line { line: 3, bytes: 22..47, further: 1 }),
            (over(35..47, 0), LogChange::Emptied { line: 4, lines: 1, bytes: 35..47 }),
            (Vec::new(), LogChange::Cut { line: 0, missing: 4 }),
        ] {
            assert_eq!(changed(&log, &seal, &text), change, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_line_is_as_long_as_it_is_and_the_last_one_needs_no_end() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        let text = format!("{}\n{}", "x".repeat(200_000), "y".repeat(70_000));
        std::fs::write(&log, &text).unwrap();
        let seal = seal(&log, 0).unwrap().unwrap();
        assert_eq!((seal.lines, seal.hash), (2, Hash::of(text.as_bytes())));
        let change = changed(&log, &seal, text.replace('y', "z").as_bytes());
        assert_eq!(change, LogChange::Line { line: 2, bytes: 200_001..270_001, further: 0 });
    }
}
