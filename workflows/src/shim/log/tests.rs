//! A log as it is written and read back.

use std::io::Write;

use super::read::{LogReader, tail};
use super::record::LogSource;
use super::write::{LogWriter, PIECE_BYTES_MAX, create};

fn written(max_bytes: u64, pieces: &[(LogSource, &str)]) -> (tempfile::TempDir, std::path::PathBuf) {
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
    let pieces: Vec<(LogSource, &str)> = text
        .as_bytes()
        .chunks(7)
        .map(|piece| (LogSource::Stdout, std::str::from_utf8(piece).unwrap()))
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
    let pieces: Vec<(LogSource, &str)> =
        lines.iter().map(|line| (LogSource::Stderr, line.as_str())).collect();
    let (_folder, path) = written(2_000, &pieces);
    let length = std::fs::metadata(&path).unwrap().len();
    assert!((1_800..2_300).contains(&length), "{length}");
    let lines = LogReader::from_start(&path).read().unwrap();
    let remarks: Vec<usize> =
        (0..lines.len()).filter(|at| lines[*at].source == LogSource::Supervisor).collect();
    let [limit, left_out] = remarks[..] else { panic!("{lines:?}") };
    assert_eq!(left_out, limit + 1);
    assert!(lines[limit].text.contains("limit") && lines[left_out].text.contains("bytes are left out here"));
    assert!(lines[0].text.starts_with("000") && lines.last().unwrap().text.starts_with("099"));
    let number = |at: usize| lines[at].text[..3].parse::<u64>().unwrap();
    assert!(number(limit - 1) > 15 && number(left_out + 1) > 85, "{lines:?}");
    // What is left out is what is missing.
    let record = lines[0].at.to_string().len() as u64 + 3 + 43 + 1;
    let missing = number(left_out + 1) - number(limit - 1) - 1;
    assert!(lines[left_out].text.starts_with(&format!("{} bytes", missing * record)), "{lines:?}");
    assert!(tail(&path, 1).starts_with("099"));
}

/// Turns of an attempt, and engines of a worker's attempt, write one log.
#[test]
fn a_log_that_is_opened_again_goes_on_under_the_same_limit() {
    let (_folder, path) = written(4_000, &[(LogSource::Stdout, "first\n")]);
    for part in 0..40 {
        let mut log = LogWriter::open(&path, 4_000).unwrap();
        for line in 0..100 {
            log.take(LogSource::Stdout, format!("{part:02} {line:02} {}\n", "x".repeat(40)).as_bytes());
        }
        log.finish();
        if part < 3 {
            assert!(tail(&path, 1).starts_with(&format!("{part:02} 99")), "the end of each part is kept");
        }
    }
    let text = std::fs::read_to_string(&path).unwrap();
    // Beyond twice the limit only the remarks on what is missing come.
    let output: usize = text.lines().filter(|line| !line.contains(" # ")).map(|line| line.len() + 1).sum();
    assert!((4_000..=8_000).contains(&output), "{output}");
    assert!(text.contains("first"));
}

#[test]
fn what_comes_at_once_is_cut_where_the_limit_is() {
    let text: String = (0..1_000).map(|n| format!("{n:03}\n")).collect();
    let (_folder, path) = written(4_000, &[(LogSource::Stdout, &text)]);
    let lines = LogReader::from_start(&path).read().unwrap();
    let limit = lines.iter().position(|line| line.source == LogSource::Supervisor).unwrap();
    assert!(limit > 100, "{limit} records of about 20 bytes fit into three quarters of the limit");
    assert_eq!((lines[0].text.as_str(), lines.last().unwrap().text.as_str()), ("000", "999"));
}

#[test]
fn a_log_that_passes_its_limit_by_little_is_whole() {
    let text: String = (0..9).map(|n| format!("{n}{}\n", "z".repeat(180))).collect();
    let pieces: Vec<(LogSource, &str)> =
        text.split_inclusive('\n').map(|line| (LogSource::Stdout, line)).collect();
    let (_folder, path) = written(2_000, &pieces);
    let lines = LogReader::from_start(&path).read().unwrap();
    let joined: String =
        lines.iter().filter(|it| it.source == LogSource::Stdout).map(|it| it.text.clone() + "\n").collect();
    assert_eq!(joined, text);
    assert!(!lines.iter().any(|line| line.text.contains("left out")));
}

#[test]
fn the_tail_has_the_last_lines_only() {
    let text: String = (0..5_000).map(|n| format!("line {n}\n")).collect();
    let (_folder, path) = written(1 << 20, &[(LogSource::Stdout, &text)]);
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
