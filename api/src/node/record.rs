//! `owner.json`: who owns the folder. It informs; the lock decides.

use std::fs;
use std::io;
use std::path::Path;

use everfold_engine::regular;
use serde::{Deserialize, Serialize};

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerRecord {
    /// The owner's process.
    pub pid: u32,
    /// Where it serves; null when only on the socket.
    pub url: Option<String>,
    /// Whether it is in the background, and gives the folder to `serve` and `ui`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub background: bool,
}

/// Writes the record of this process.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, url: Option<&str>) -> io::Result<()> {
    put(path, &OwnerRecord { pid: std::process::id(), url: url.map(str::to_owned), background: false })
}

/// Writes the record of this process, which is in the background.
///
/// # Errors
/// The file cannot be written.
pub fn write_background(path: &Path) -> io::Result<()> {
    put(path, &OwnerRecord { pid: std::process::id(), url: None, background: true })
}

fn put(path: &Path, record: &OwnerRecord) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut text = serde_json::to_string(record).map_err(io::Error::other)?;
    text.push('\n');
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

/// Reads the record, if there is one.
#[must_use]
pub fn read(path: &Path) -> Option<OwnerRecord> {
    serde_json::from_slice(&regular::read(path).ok()?).ok()
}
