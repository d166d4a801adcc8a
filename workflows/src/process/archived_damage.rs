//! Compares the archives of all runs with their checksums.
//!
//! Law: one archive and one entry at a time; nothing is unpacked to anywhere.

use std::io::Error;
use std::path::Path;

use super::archive::{ARCHIVE, ArchivedRun};
use super::retention::runs_with_attempts;

/// Gives each damaged place of the archives to `fault`, with the archive and the entry. Left out are entries that are `named`
/// already, by the paths that they had as files. An archive that is removed meanwhile is none.
pub fn check_archives(all_attempts: &Path, named: &dyn Fn(&Path) -> bool, fault: &mut dyn FnMut(Error)) {
    let runs = match runs_with_attempts(all_attempts) {
        Ok(runs) => runs,
        Err(error) => {
            let what = format!("{} cannot be read: {error}", all_attempts.display());
            return fault(Error::new(error.kind(), what));
        }
    };
    for run in runs {
        let of_run = all_attempts.join(run.to_string());
        match ArchivedRun::open(&of_run.with_extension(ARCHIVE)) {
            Ok(Some(mut archive)) => archive.damage(&|entry| named(&of_run.join(entry)), fault),
            Ok(None) => {}
            Err(error) => fault(error),
        }
    }
}
