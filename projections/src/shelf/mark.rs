//! `mark.json`: what may be believed of the read models' folder.
//!
//! Law: what another epoch wrote is never believed; what was not closed in order is believed only while
//! the machine has not been started anew.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's name.
const FILE_NAME: &str = "mark.json";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The store's epoch: a copy of a store folds its own read models.
    pub(crate) epoch: String,
    /// The kernel's name for the boot that wrote it.
    pub(crate) boot: String,
    /// The models and their positions at an orderly end.
    pub(crate) closed: Option<BTreeMap<String, u64>>,
}

impl Mark {
    /// Whether the folder's data may be gone on with.
    pub(crate) fn is_believed(&self, epoch: &str, boot: &str) -> bool {
        self.epoch == epoch && (self.closed.is_some() || (!boot.is_empty() && self.boot == boot))
    }
}

/// Reads the file; whatever cannot be read is as good as none.
pub(crate) fn read(folder: &Path) -> Option<Mark> {
    serde_json::from_slice(&fs::read(folder.join(FILE_NAME)).ok()?).ok()
}

/// Replaces the file.
pub(crate) fn write(folder: &Path, mark: &Mark) -> io::Result<()> {
    let beside = folder.join("mark.json.new");
    fs::write(&beside, serde_json::to_vec(mark).map_err(io::Error::other)?)?;
    fs::File::open(&beside)?.sync_data()?;
    fs::rename(&beside, folder.join(FILE_NAME))?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_only_a_clean_close_or_the_same_boot_is_believed() {
        let mark =
            |closed: Option<BTreeMap<String, u64>>| Mark { epoch: "e".into(), boot: "b".into(), closed };
        assert!(mark(None).is_believed("e", "b"));
        assert!(!mark(None).is_believed("e", "another boot"));
        assert!(mark(Some(BTreeMap::new())).is_believed("e", "another boot"));
        assert!(!mark(Some(BTreeMap::new())).is_believed("another epoch", "b"));
    }
}
