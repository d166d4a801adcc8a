//! The files of an index that no process has open: whether they are those that it was closed with.
//!
//! Law: an index is believed only with the files that it had: a flipped bit may make sled forget what it held, without a
//! word. While the machine runs on, files that the system says nothing has changed are not read again; behind another start of the machine
//! each byte is.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use everfold_base::time::Timestamp;
use everfold_system::clock;
use serde::{Deserialize, Serialize};

/// The system stamps changes by a clock that moves on so often at least, in milliseconds: two changes within one tick may have the
/// same stamp.
const TICK_MS: i64 = 20;

/// What the files of an index were when it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClosedFiles {
    /// The checksum of their names and contents.
    files: u32,
    /// By what the system tells that nothing changed them. Unknown where a former version closed it, or where a change could have
    /// been stamped with the same moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamped: Option<FileStamps>,
}

/// What the system says of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileStamps {
    /// The kernel's boot id: behind another start of the machine the disk may have lost what its cache had.
    boot: String,
    /// The checksum of their names, numbers, sizes and last changes.
    stamps: u32,
}

impl ClosedFiles {
    /// Reads the files of an index that was just closed and made durable.
    pub(crate) fn read(folder: &Path, boot: &str) -> io::Result<Self> {
        let before = stamps(folder)?;
        let files = digest(folder)?;
        let now = stamps(folder)?;
        let (stamps, last_change) = now;
        // Stamps of what was changed while it was read would stand for bytes that were not.
        let is_settled = before == now && clock::now().0.saturating_sub(last_change.0) > TICK_MS;
        let stamped = (is_settled && !boot.is_empty()).then(|| FileStamps { boot: boot.to_owned(), stamps });
        Ok(Self { files, stamped })
    }

    /// Whether the files are the same, as far as the system says so where it may be asked, else byte by byte.
    pub(crate) fn are_unchanged(&self, folder: &Path, boot: &str) -> bool {
        let is_stamped_alike = |stamped: &FileStamps| {
            stamped.boot == boot && stamps(folder).is_ok_and(|(now, _)| now == stamped.stamps)
        };
        self.stamped.as_ref().is_some_and(is_stamped_alike) || self.are_the_same(folder)
    }

    /// Whether the files are the same, byte by byte.
    pub(crate) fn are_the_same(&self, folder: &Path) -> bool {
        digest(folder).is_ok_and(|now| now == self.files)
    }
}

fn digest(folder: &Path) -> io::Result<u32> {
    let (mut hasher, mut buffer) = (crc32fast::Hasher::new(), vec![0; 256 * 1024]);
    walk(folder, &mut |entry| {
        hasher.update(entry.file_name().as_bytes());
        if entry.file_type()?.is_dir() {
            return Ok(());
        }
        let mut file = File::open(entry.path())?;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                read => hasher.update(&buffer[..read]),
            }
        }
    })?;
    Ok(hasher.finalize())
}

/// A checksum of what the system says of the files, and their last change.
fn stamps(folder: &Path) -> io::Result<(u32, Timestamp)> {
    let (mut hasher, mut last_change) = (crc32fast::Hasher::new(), Timestamp(0));
    walk(folder, &mut |entry| {
        // Of what is read: a link's own stamps say nothing of the file that it leads to.
        let metadata = fs::metadata(entry.path())?;
        hasher.update(entry.file_name().as_bytes());
        let (seconds, nanos) = (metadata.ctime(), metadata.ctime_nsec());
        for number in [metadata.ino(), metadata.len(), seconds.cast_unsigned(), nanos.cast_unsigned()] {
            hasher.update(&number.to_le_bytes());
        }
        last_change = last_change.max(Timestamp(seconds * 1_000 + nanos / 1_000_000));
        Ok(())
    })?;
    Ok((hasher.finalize(), last_change))
}

/// Looks at everything below a folder, in the order of the names.
fn walk(folder: &Path, look: &mut impl FnMut(&fs::DirEntry) -> io::Result<()>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        look(&entry)?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), look)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "7f1c";

    /// An index of one file and one folder that was closed long enough ago.
    fn closed() -> (tempfile::TempDir, ClosedFiles) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("blobs")).unwrap();
        fs::write(folder.path().join("blobs/1"), b"large").unwrap();
        fs::write(folder.path().join("db"), vec![7; 100_000]).unwrap();
        let files = settled(folder.path());
        (folder, files)
    }

    /// Looks until the last change is old enough.
    fn settled(folder: &Path) -> ClosedFiles {
        loop {
            let files = ClosedFiles::read(folder, BOOT).unwrap();
            if files.stamped.is_some() {
                return files;
            }
        }
    }

    fn flip(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        bytes[2] ^= 1;
        let file = File::options().write(true).open(path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    }

    #[test]
    fn what_was_just_written_has_no_stamps_since_a_change_could_have_the_same() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("db"), b"x").unwrap();
        let (_, last_change) = stamps(folder.path()).unwrap();
        let files = ClosedFiles::read(folder.path(), BOOT).unwrap();
        let is_settled = clock::now().0 - last_change.0 > TICK_MS;
        assert!(files.stamped.is_none() || is_settled, "{files:?}");
        assert!(files.are_unchanged(folder.path(), BOOT));
    }

    #[test]
    fn a_byte_that_a_process_changed_is_noticed_in_each_file_though_the_time_was_set_back() {
        for name in ["db", "blobs/1"] {
            let (folder, files) = closed();
            assert!(files.are_unchanged(folder.path(), BOOT));
            let path = folder.path().join(name);
            let before = fs::metadata(&path).unwrap().modified().unwrap();
            flip(&path);
            File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
            assert!(!files.are_unchanged(folder.path(), BOOT), "{name}");
        }
    }

    #[test]
    fn a_file_behind_a_link_is_looked_at_itself() {
        let (folder, _) = closed();
        let elsewhere = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("db"), elsewhere.path().join("db"));
        fs::rename(&link, &file).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let files = settled(folder.path());
        assert!(files.are_unchanged(folder.path(), BOOT));
        flip(&file);
        assert!(!files.are_unchanged(folder.path(), BOOT));
    }

    #[test]
    fn files_that_came_or_went_are_noticed() {
        let (folder, files) = closed();
        fs::write(folder.path().join("snap.1"), b"").unwrap();
        assert!(!files.are_unchanged(folder.path(), BOOT));
        let (folder, files) = closed();
        fs::remove_file(folder.path().join("blobs/1")).unwrap();
        assert!(!files.are_unchanged(folder.path(), BOOT));
    }

    #[test]
    fn behind_another_start_of_the_machine_the_bytes_themselves_are_read() {
        let (folder, files) = closed();
        // As a disk that lost them would: the stamps stay as they were.
        let lost = ClosedFiles { files: files.files ^ 1, ..files.clone() };
        assert!(lost.are_unchanged(folder.path(), BOOT), "while the machine runs on they are not read");
        assert!(!lost.are_unchanged(folder.path(), "another"));
        assert!(files.are_unchanged(folder.path(), "another"));
    }

    #[test]
    fn what_a_former_version_wrote_reads_and_is_read_byte_by_byte() {
        let (folder, files) = closed();
        let former: ClosedFiles = serde_json::from_str(&format!(r#"{{"files":{}}}"#, files.files)).unwrap();
        assert!(former.stamped.is_none() && former.are_unchanged(folder.path(), BOOT));
        flip(&folder.path().join("db"));
        assert!(!former.are_unchanged(folder.path(), BOOT));
    }
}
