//! What stands in the folder of an attempt: its record, its files, its supervisor's lock.

use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::attach_error::AttachError;
use crate::shim::protocol::{EXIT, ExitRecord, LOCK, PROTOCOL};
use everfold_system::regular;

/// The record, if the folder has come to its end.
pub(crate) fn read_exit(folder: &Path) -> Result<Option<ExitRecord>, AttachError> {
    let path = folder.join(EXIT);
    let text = match regular::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // A folder that the command made, which its supervisor removes.
        Err(_folder) if path.symlink_metadata().is_ok_and(|about| about.is_dir()) => return Ok(None),
        Err(source) => return Err(AttachError::Look { path, source }),
    };
    let bad =
        |error: serde_json::Error| AttachError::Record { path: path.clone(), reason: error.to_string() };
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(bad)?;
    match value["protocol"].as_u64() {
        Some(number) if number > u64::from(PROTOCOL) => Err(AttachError::Newer { path, number }),
        _ => serde_json::from_value(value).map(Some).map_err(bad),
    }
}

/// Whether a file of the folder is there.
pub(super) fn has(folder: &Path, name: &str) -> Result<bool, AttachError> {
    let path = folder.join(name);
    path.try_exists().map_err(|source| AttachError::Look { path, source })
}

/// Whether a supervisor lives.
pub(crate) fn is_held(folder: &Path) -> Result<bool, AttachError> {
    let path = folder.join(LOCK);
    let look = |source| AttachError::Look { path: path.clone(), source };
    let lock = match regular::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(look(source)),
    };
    // A shared lock, released at once: a supervisor that starts at this moment tries again.
    match rustix::io::retry_on_intr(|| flock(&lock, FlockOperation::NonBlockingLockShared)) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(errno) => Err(look(errno.into())),
    }
}
