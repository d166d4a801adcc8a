//! What is durable of an attempt that a worker does, in the attempt's own folder: who holds it, and how it
//! ended.
//!
//! Law: the lease is durable before the worker gets it, the end before the report is acknowledged.

use std::io::{self, ErrorKind};
use std::path::Path;

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_ports::{AttemptResult, Usage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::name::WorkerName;
use crate::private_file::{make_private, write_private};
use everfold_system::regular::read_bounded;

/// Who holds the attempt.
const LEASE: &str = "lease.json";
/// How it ended.
const END: &str = "end.json";
/// An output of 1 MiB, escaped at its worst, and what stands around it.
const RECORD_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The worker that holds an attempt: at most one, ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    /// Drawn at random: a report must name it.
    pub(super) lease: String,
    #[serde(flatten)]
    pub(super) worker: WorkerName,
    pub(super) taken_at: Timestamp,
}

/// How an attempt ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RecordedEnd {
    /// The worker that reported it; `None`: no worker did.
    pub(super) by: Option<Reporter>,
    pub(super) result: EndResult,
    #[serde(default)]
    pub(super) usage: Vec<Usage>,
    pub(super) at: Timestamp,
}

/// By what a repeated report is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reporter {
    pub(super) lease: String,
    #[serde(flatten)]
    pub(super) worker: WorkerName,
    /// Of the report.
    pub(super) hash: String,
}

/// What came of an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndResult {
    Succeeded(Value),
    Failed(Failure),
    Lost(String),
}

impl RecordedEnd {
    /// An end that no worker reported.
    pub(super) fn own(result: EndResult, at: Timestamp) -> Self {
        Self { by: None, result, usage: Vec::new(), at }
    }

    /// In a few words, for a worker that reports too late.
    pub(super) fn explained(&self) -> String {
        match &self.result {
            // What its step made of it, its schema or a limit, is not known here.
            EndResult::Succeeded(_) => "its worker has reported an output".to_owned(),
            EndResult::Failed(failure) => format!("it has ended: {}", failure.message),
            EndResult::Lost(reason) => format!("it counts as lost: {reason}"),
        }
    }
}

impl From<EndResult> for AttemptResult {
    fn from(result: EndResult) -> Self {
        match result {
            EndResult::Succeeded(output) => Self::Succeeded(output),
            EndResult::Failed(failure) => Self::Failed(failure),
            EndResult::Lost(reason) => Self::Lost { reason },
        }
    }
}

/// What a folder holds.
pub(super) fn read(folder: &Path) -> io::Result<(Option<Lease>, Option<RecordedEnd>)> {
    Ok((read_one(&folder.join(LEASE))?, read_one(&folder.join(END))?))
}

pub(super) fn write_lease(folder: &Path, lease: &Lease) -> io::Result<()> {
    write(folder, LEASE, lease)
}

/// Takes back a lease that no worker received.
pub(super) fn remove_lease(folder: &Path) -> io::Result<()> {
    std::fs::remove_file(folder.join(LEASE))?;
    synced(folder)
}

pub(super) fn write_end(folder: &Path, end: &RecordedEnd) -> io::Result<()> {
    write(folder, END, end)
}

fn write(folder: &Path, name: &str, record: &impl Serialize) -> io::Result<()> {
    make_private(folder)?;
    write_private(&folder.join(name), &serde_json::to_vec(record)?)?;
    synced(folder)?;
    // The folder itself may be new, and that of its run.
    match folder.parent() {
        Some(parent) => synced(parent),
        None => Ok(()),
    }
}

fn synced(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

fn read_one<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = match read_bounded(path, RECORD_BYTES_MAX) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        read => read?,
    };
    let bytes = bytes.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the record is too large"))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        io::Error::new(ErrorKind::InvalidData, format!("{} is damaged: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::failure::FailureKind;

    #[test]
    fn records_read_back_as_written_and_damage_is_reported() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("attempt");
        assert!(matches!(read(&folder), Ok((None, None))));
        let instance = "host-1".parse().ok();
        let lease = Lease {
            lease: "x".into(),
            worker: WorkerName::new("worker:a", instance),
            taken_at: Timestamp(7),
        };
        write_lease(&folder, &lease).unwrap();
        for result in [
            EndResult::Succeeded(serde_json::json!({ "a": [1, null] })),
            EndResult::Failed(Failure::new(FailureKind::Conflict, "held")),
            EndResult::Lost("gone".into()),
        ] {
            write_end(&folder, &RecordedEnd::own(result.clone(), Timestamp(9))).unwrap();
            let (held, end) = read(&folder).unwrap();
            assert_eq!(held.as_ref(), Some(&lease));
            assert_eq!(format!("{:?}", end.unwrap().result), format!("{result:?}"));
        }
        // As it was written before instances had names.
        let former = br#"{"lease": "x", "worker": "worker:a", "taken_at": "2026-01-05T00:00:00Z"}"#;
        std::fs::write(folder.join(LEASE), former).unwrap();
        let held = read(&folder).unwrap().0.unwrap();
        assert_eq!(held.worker, WorkerName::new("worker:a", None));
        std::fs::write(folder.join(END), b"{").unwrap();
        assert!(read(&folder).unwrap_err().to_string().contains("end.json is damaged"));
    }
}
