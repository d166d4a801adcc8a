//! The files of a log, opened.

use std::fs::File;
use std::path::Path;

use everfold_system::regular;

use crate::private_file::if_there;

/// A log and its index, opened to read.
#[derive(Debug, Default)]
pub struct LogFiles {
    /// The log; `None` where there is none.
    pub log: Option<File>,
    /// Its index; `None` where it is missing or cannot be read, which is no damage of the log.
    pub index: Option<File>,
}

impl LogFiles {
    /// Opens the log at `path` and the index beside it.
    ///
    /// # Errors
    /// The log is there and cannot be opened.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            log: if_there(regular::open(path))?,
            index: regular::open(&path.with_extension("index")).ok(),
        })
    }
}
