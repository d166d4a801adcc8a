//! `mark.json`: what may be trusted of the read models' folder.
//!
//! Law: what another epoch wrote is never trusted; what was not closed in order is trusted only while
//! the machine has not been restarted.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's name.
const FILE_NAME: &str = "mark.json";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StorageManifest {
    /// The store's epoch: a copy of a store folds its own read models.
    pub(crate) epoch: String,
    /// The kernel's name for the boot that wrote it.
    pub(crate) boot: String,
    /// The models and their positions at an orderly end.
    pub(crate) closed: Option<BTreeMap<String, u64>>,
}

impl StorageManifest {
    /// Whether the models may continue from the folder's data.
    pub(crate) fn is_trusted(&self, epoch: &str, boot: &str) -> bool {
        self.epoch == epoch && (self.closed.is_some() || (!boot.is_empty() && self.boot == boot))
    }
}

/// Reads the file; a file that cannot be read counts as missing.
pub(crate) fn read(folder: &Path) -> Option<StorageManifest> {
    serde_json::from_slice(&fs::read(folder.join(FILE_NAME)).ok()?).ok()
}

/// Replaces the file.
pub(crate) fn write(folder: &Path, manifest: &StorageManifest) -> io::Result<()> {
    let beside = folder.join("mark.json.new");
    fs::write(&beside, serde_json::to_vec(manifest).map_err(io::Error::other)?)?;
    fs::File::open(&beside)?.sync_data()?;
    fs::rename(&beside, folder.join(FILE_NAME))?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_only_a_clean_close_or_the_same_boot_is_believed() {
        let manifest = |closed: Option<BTreeMap<String, u64>>| StorageManifest {
            epoch: "e".into(),
            boot: "b".into(),
            closed,
        };
        assert!(manifest(None).is_trusted("e", "b"));
        assert!(!manifest(None).is_trusted("e", "another boot"));
        assert!(manifest(Some(BTreeMap::new())).is_trusted("e", "another boot"));
        assert!(!manifest(Some(BTreeMap::new())).is_trusted("another epoch", "b"));
    }
}
