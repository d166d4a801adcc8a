//! What a supervisor is handed beside its request, on its standard input: the values of secrets.
//!
//! Law (L34): they are never on a disk, but for an input file of the work itself that names some: that
//! one holds them while the work runs, and is masked when it has ended. Whatever the work leaves in its
//! folder is masked before the last record is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::ShimError;
use super::protocol::{
    EXIT_RESERVE, LOCK, LOG, LOG_INDEX, REQUEST, SHIM, STARTED, STDOUT, STDOUT_TAIL, WAKE,
};
use crate::redact::{Patterns, RedactSettings};
use crate::secret::Mask;
use crate::workspace_path::{ResolvedPath, resolve};
use everfold_system::regular;

/// The limit of a handover.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The limit of a declared file; a larger one is not kept anyway.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024 + 1;

/// What the supervisor is handed.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Handover {
    /// Variables of the process that hold secrets.
    pub(crate) env: BTreeMap<String, String>,
    /// The values that are masked in all that it says.
    pub(crate) values: Vec<String>,
    /// Files of the attempt's folder that hold secrets while the process runs.
    pub(crate) files: BTreeMap<String, String>,
}

impl Handover {
    /// Reads it to its end; one that breaks off is an error.
    pub(crate) fn read() -> Result<Self, ShimError> {
        let mut text = Vec::new();
        std::io::stdin()
            .lock()
            .take(BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|source| ShimError::Io { what: "read the secrets", source })?;
        serde_json::from_slice(&text).map_err(|_| ShimError::NoSecrets)
    }

    /// What masks the values, and what the request says of forms.
    pub(crate) fn mask(&self, redact: Option<&RedactSettings>) -> Mask {
        Mask::new(self.values.iter().map(String::as_str)).with_patterns(redact.and_then(Patterns::new))
    }

    /// Writes the files that the process reads.
    pub(crate) fn write_files(&self, folder: &Path) -> std::io::Result<()> {
        for (name, text) in &self.files {
            std::fs::remove_file(folder.join(name)).or_else(allow_missing)?;
            private(&folder.join(name))?.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

fn allow_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn private(path: &Path) -> std::io::Result<File> {
    regular::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The masked copy of a declared file in which a secret was found.
pub(crate) fn copy_of(folder: &Path, path: &str) -> PathBuf {
    folder.join(format!("masked-{}", &blake3::hash(path.as_bytes()).to_hex()[..16]))
}

/// Masks what the process left: everything in the attempt's folder in place, the declared files as
/// copies. Gives the declared files that could not be copied.
pub(crate) fn mask_all(folder: &Path, cwd: &Path, declared: &[String], mask: &Mask) -> Vec<String> {
    if mask.is_empty() {
        return Vec::new();
    }
    mask_folder(folder, mask, &mask.without_patterns());
    let fails = |path: &&String| mask_copy(folder, cwd, path, mask).is_err();
    declared.iter().filter(fails).cloned().collect()
}

/// Masks the files of the folder and of all folders below it. What cannot be read is removed. What the engine wrote for
/// itself is masked by `values` alone: it was made of what is masked by its form already.
fn mask_folder(folder: &Path, mask: &Mask, values: &Mask) {
    const ENGINES: [&str; 4] = [REQUEST, SHIM, "before.json", "next.json"];
    const OURS: [&str; 8] = [LOCK, STARTED, WAKE, EXIT_RESERVE, LOG, LOG_INDEX, STDOUT, STDOUT_TAIL];
    // A list instead of recursion: the work chooses how deep its folders are.
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let is_own = next == folder;
        let entries = match std::fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) => {
                // A name that is too long for the system can be removed with the folder above it alone.
                let is_too_long = error.kind() == ErrorKind::InvalidFilename;
                let unread = if is_too_long { next.parent() } else { Some(next.as_path()) };
                let _gone = unread.filter(|unread| *unread != folder).map(std::fs::remove_dir_all);
                continue;
            }
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let is_engines = is_own && ENGINES.iter().any(|name| entry.file_name() == *name);
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && !(is_own && OURS.iter().any(|name| entry.file_name() == *name))
                && mask_in_place(&entry.path(), if is_engines { values } else { mask }).is_err()
            {
                // A file that cannot be masked is removed.
                let _gone = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// What is masked is shorter, so what is written never overtakes what is read.
fn mask_in_place(path: &Path, mask: &Mask) -> std::io::Result<()> {
    if mask.is_empty() || !holds_some(&mut regular::open(path)?, mask)? {
        return Ok(());
    }
    let mut file = regular::options().read(true).write(true).open(path)?;
    let (mut read_to, mut written_to) = (0, 0);
    let mut stream = mask.stream();
    let mut piece = vec![0; 64 * 1024];
    loop {
        file.seek(SeekFrom::Start(read_to))?;
        let count = file.read(&mut piece)?;
        read_to += count as u64;
        let shown = if count == 0 { stream.finish() } else { stream.take(&piece[..count]) };
        file.seek(SeekFrom::Start(written_to))?;
        file.write_all(&shown)?;
        written_to += shown.len() as u64;
        if count == 0 {
            break;
        }
    }
    file.set_len(written_to)
}

fn holds_some(file: &mut File, mask: &Mask) -> std::io::Result<bool> {
    let mut stream = mask.stream();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut piece)?;
        let _shown = if count == 0 { stream.finish() } else { stream.take(&piece[..count]) };
        if count == 0 || stream.is_changed() {
            return Ok(stream.is_changed());
        }
    }
}

fn mask_copy(folder: &Path, cwd: &Path, path: &str, mask: &Mask) -> std::io::Result<()> {
    let copy = copy_of(folder, path);
    // One of a former turn says nothing of the file as it is now.
    match std::fs::remove_file(&copy) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _gone => {}
    }
    let ResolvedPath::Inside(found) = resolve(cwd, path) else { return Ok(()) };
    let about = std::fs::metadata(&found)?;
    if !about.is_file() || about.len() > FILE_BYTES_MAX {
        return Ok(());
    }
    if !holds_some(&mut regular::open(&found)?, mask)? {
        return Ok(());
    }
    let mut stream = mask.stream();
    let (mut from, mut to) = (regular::open(&found)?, private(&copy)?);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match from.read(&mut piece)? {
            0 => break to.write_all(&stream.finish())?,
            count => to.write_all(&stream.take(&piece[..count]))?,
        }
    }
    to.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l34_what_is_left_is_masked_in_place_whatever_its_length() {
        let home = tempfile::tempdir().unwrap();
        let mask = Mask::new(["t0ken-value"]);
        let text = "x".repeat(65_530) + "t0ken-value and t0ken-value\n";
        std::fs::create_dir(home.path().join("deep")).unwrap();
        for name in ["output.json", "deep/er"] {
            std::fs::write(home.path().join(name), text.repeat(3)).unwrap();
        }
        std::fs::write(home.path().join("plain"), "t0ken-valu").unwrap();
        std::fs::write(home.path().join("report"), "a t0ken-value").unwrap();
        let declared = ["report", "plain", "../out", "none"].map(str::to_owned);
        let folder = home.path().join("deep");
        assert!(mask_all(&folder, home.path(), &declared, &mask).is_empty());
        let masked = std::fs::read_to_string(home.path().join("deep/er")).unwrap();
        assert_eq!(masked, text.replace("t0ken-value", "***").repeat(3));
        assert_eq!(std::fs::read_to_string(copy_of(&folder, "report")).unwrap(), "a ***");
        assert!(!copy_of(&folder, "plain").exists());
        assert!(
            std::fs::read_to_string(home.path().join("report")).unwrap().contains("t0ken"),
            "it is the work's own"
        );
    }

    #[test]
    fn files_are_masked_however_deep_they_lie_and_whatever_they_are_called() {
        let home = tempfile::tempdir().unwrap();
        let deep = home.path().join(vec!["d"; 40].join("/"));
        std::fs::create_dir_all(&deep).unwrap();
        // Only the attempt's own log is the supervisor's.
        let files = [deep.join("file"), home.path().join("d").join(LOG)];
        for file in &files {
            std::fs::write(file, "a t0ken-value").unwrap();
        }
        assert!(mask_all(home.path(), home.path(), &[], &Mask::new(["t0ken-value"])).is_empty());
        for file in &files {
            assert_eq!(std::fs::read_to_string(file).unwrap(), "a ***", "{}", file.display());
        }
    }

    #[test]
    fn a_masked_copy_of_a_former_turn_is_not_taken_for_the_file_as_it_is_now() {
        let home = tempfile::tempdir().unwrap();
        let (folder, file) = (home.path().join("attempt"), home.path().join("report"));
        std::fs::create_dir(&folder).unwrap();
        let (mask, declared) = (Mask::new(["t0ken-value"]), ["report".to_owned()]);
        std::fs::write(&file, "a t0ken-value").unwrap();
        assert!(mask_all(&folder, home.path(), &declared, &mask).is_empty());
        assert_eq!(std::fs::read_to_string(copy_of(&folder, "report")).unwrap(), "a ***");
        std::fs::write(&file, "none any more").unwrap();
        assert!(mask_all(&folder, home.path(), &declared, &mask).is_empty());
        assert!(!copy_of(&folder, "report").exists());
    }
}
