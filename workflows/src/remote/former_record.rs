//! The records that former versions wrote into the folder of an attempt that a worker did: who held it, and how it ended.
//!
//! They are read, so that an engine of this version goes on with what a worker held when the former one ended, and
//! recognises its report. None is written: both are facts of the run ([`super`]). To be removed with the next data folder
//! that this version cannot open.

use std::io::{self, ErrorKind};
use std::path::Path;

use everfold_base::failure::Failure;
use everfold_base::json::{Hash, Value};
use everfold_base::time::Timestamp;
use everfold_ports::Usage;
use everfold_system::regular::read_bounded;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::end::{End, EndResult};
use super::lease::Lease;
use super::name::WorkerName;
use super::protocol::WorkerReport;

/// Who holds the attempt.
const LEASE: &str = "lease.json";
/// How it ended.
const END: &str = "end.json";
/// An output of 1 MiB, escaped at its worst, and what stands around it.
const RECORD_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct FormerRecord {
    pub(super) lease: Option<Lease>,
    pub(super) end: Option<FormerEnd>,
}

/// How an attempt ended.
#[derive(Debug, Deserialize)]
pub(super) struct FormerEnd {
    by: Option<Reporter>,
    result: FormerResult,
    #[serde(default)]
    usage: Vec<Usage>,
    at: Timestamp,
}

#[derive(Deserialize)]
struct FormerLease {
    lease: String,
    #[serde(flatten)]
    worker: WorkerName,
    taken_at: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Reporter {
    /// Of the report, without its lease.
    hash: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormerResult {
    Succeeded(Value),
    Failed(Failure),
    Lost(String),
}

impl FormerEnd {
    /// Whether a report is the one that ended it.
    pub(super) fn is_by(&self, report: &WorkerReport) -> bool {
        let said = Hash::of(&serde_json::to_vec(report).unwrap_or_default()).to_string();
        self.by.as_ref().is_some_and(|by| by.hash == said)
    }
}

impl From<FormerEnd> for End {
    fn from(former: FormerEnd) -> Self {
        let result = match former.result {
            FormerResult::Succeeded(output) => EndResult::Succeeded(output),
            FormerResult::Failed(failure) => EndResult::Failed(failure),
            FormerResult::Lost(reason) => EndResult::Lost(reason),
        };
        Self { usage: former.usage, ..Self::own(result, former.at) }
    }
}

/// What a folder holds; nothing, where there is none.
pub(super) fn read(folder: &Path) -> io::Result<FormerRecord> {
    let lease: Option<FormerLease> = read_one(&folder.join(LEASE))?;
    let lease =
        lease.map(|it| Lease { hash: Lease::hash_of(&it.lease), worker: it.worker, taken_at: it.taken_at });
    Ok(FormerRecord { lease, end: read_one(&folder.join(END))? })
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

    #[test]
    fn records_of_former_versions_are_read_and_damage_is_reported() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        let none = read(&folder.join("none")).unwrap();
        assert!(none.lease.is_none() && none.end.is_none());
        // As it was written before instances had names, and since.
        for (more, instance) in [("", None), (r#", "instance": "host-1""#, "host-1".parse().ok())] {
            let text = format!(
                r#"{{"lease": "x", "worker": "worker:a"{more}, "taken_at": "2026-01-05T00:00:00Z"}}"#
            );
            std::fs::write(folder.join(LEASE), text).unwrap();
            let lease = read(folder).unwrap().lease.unwrap();
            assert_eq!(lease.worker, WorkerName::new("worker:a", instance));
            assert_eq!(lease.hash, Lease::hash_of("x"));
        }
        for (result, wanted) in [
            (r#"{"succeeded": {"a": [1, null]}}"#, "Succeeded"),
            (r#"{"failed": {"kind": "conflict", "message": "held"}}"#, "Failed"),
            (r#"{"lost": "gone"}"#, "Lost"),
        ] {
            let text =
                format!(r#"{{"by": null, "result": {result}, "usage": [], "at": "2026-01-05T00:00:00Z"}}"#);
            std::fs::write(folder.join(END), text).unwrap();
            let end = End::from(read(folder).unwrap().end.unwrap());
            assert!(format!("{:?}", end.result).starts_with(wanted), "{:?}", end.result);
        }
        std::fs::write(folder.join(END), b"{").unwrap();
        assert!(read(folder).unwrap_err().to_string().contains("end.json is damaged"));
    }
}
