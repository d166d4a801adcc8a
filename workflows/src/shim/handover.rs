//! What a supervisor is handed beside its request, on its standard input: the values of secrets.
//!
//! Law (L34): they are never on a disk, but for an input file of the work itself that names some: that
//! one holds them while the work runs, and is masked when it has ended. Whatever the work leaves in its
//! folder is masked before the last record is written, or removed: what is too large, and what a cancel or the time
//! limit leaves no time for. Only a file that has no other name is changed in place. Of a declared file a masked copy is
//! what is kept: the file itself may be another one by the time the engine comes to it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::folder::ShimError;
use super::protocol::{
    CANCEL, EXIT, EXIT_RESERVE, FORMER_SHIM, INPUT, LOCK, LOG, LOG_INDEX, OUTPUT, PROGRESS, REQUEST,
    SHIM_ERRORS, STARTED, STDOUT, STDOUT_TAIL, TURNS, WAKE,
};
use crate::redact::{Patterns, RedactSettings};
use crate::secret::Mask;
use crate::workspace_path::{ResolvedPath, resolve};
use everfold_system::os_error::is_shortage;
use everfold_system::regular;

/// The limit of a handover.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The limit of a declared file; a larger one is not kept anyway.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024 + 1;

/// The limit of a file in an attempt's folder: a larger one, as a file with holes may be, is removed unread.
const LEFT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// By how much what is masked may be longer than the file at any place; a file with more is removed.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many files that were removed are named, and how much of each name.
const NAMED_MAX: usize = 4;
const NAME_CHARS_MAX: usize = 120;

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

/// What the engine and the supervisor wrote for themselves into an attempt's folder, and never remove.
const OURS: [&str; 9] = [LOCK, STARTED, CANCEL, WAKE, EXIT_RESERVE, LOG, LOG_INDEX, STDOUT, STDOUT_TAIL];
/// What the engine wrote for itself, and what may go where it cannot be masked.
const ENGINES: [&str; 4] = [REQUEST, FORMER_SHIM, "before.json", "next.json"];

/// What else the engine finds by its name: no secret has made that.
const FOUND_BY_NAME: [&str; 6] = [EXIT, SHIM_ERRORS, TURNS, INPUT, OUTPUT, PROGRESS];

/// Removes what the work put into the folder since it was started, unmasked: values of secrets are known to the
/// supervisor alone that was handed them, and that one is gone. What it masked while it wrote stays, and so does what
/// former turns left. Gives the paths that the system does not let go.
///
/// # Errors
/// The system has too little at this moment to look at the folder, or to remove from it.
pub(crate) fn remove_left(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    const RECORDS: [&str; 3] = [EXIT, CANCEL, SHIM_ERRORS];
    // No process can choose this time.
    let changed = |path: &Path| Some(path.symlink_metadata().ok()?).map(|it| (it.ctime(), it.ctime_nsec()));
    let begun = changed(&folder.join(STARTED));
    let mut stays = Vec::new();
    // A list instead of recursion: the work chooses how deep its folders are.
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match std::fs::read_dir(&next) {
            Err(error) if next == folder || is_shortage(&error) => return Err(error),
            Err(_) => {
                stays.push(next);
                continue;
            }
            Ok(entries) => entries,
        };
        for entry in entries {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let is_kept = || OURS.iter().chain(&ENGINES).chain(&RECORDS).any(|kept| name == *kept);
            // A folder under such a name is the work's.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if next == folder && !is_folder && is_kept() {
                continue;
            }
            // What cannot be asked counts as changed.
            let is_older = changed(&path).zip(begun).is_some_and(|(changed, begun)| changed < begun);
            let is_of_turns = path.strip_prefix(folder).is_ok_and(|path| path.starts_with(TURNS));
            if (is_older || is_of_turns) && is_folder {
                folders.push(path);
                continue;
            }
            if is_older {
                continue;
            }
            let removed = std::fs::remove_file(&path).or_else(|_folder| std::fs::remove_dir_all(&path));
            match removed.or_else(allow_missing) {
                Err(error) if is_shortage(&error) => return Err(error),
                Err(_) => stays.push(path),
                Ok(()) => {}
            }
        }
    }
    Ok(stays)
}

/// The masked copy of a declared file.
pub(crate) fn copy_of(folder: &Path, path: &str) -> PathBuf {
    folder.join(format!("masked-{}", &blake3::hash(path.as_bytes()).to_hex()[..16]))
}

/// What came of masking.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MaskingEnd {
    /// Declared files that could not be copied.
    pub(crate) unmasked: Vec<String>,
    /// Files of the folder that were too large and are gone: the first of them.
    pub(crate) removed: Vec<String>,
    /// There was no time for all: what was left is gone.
    pub(crate) is_cut: bool,
}

/// Masks what the process left: everything in the attempt's folder, the declared files as copies; until `is_over` says
/// that there is no more time for it.
pub(crate) fn mask_all(
    folder: &Path,
    cwd: &Path,
    declared: &[String],
    mask: &Mask,
    is_over: &dyn Fn() -> bool,
) -> MaskingEnd {
    let mut masked = MaskingEnd::default();
    if mask.is_empty() {
        return masked;
    }
    mask_folder(folder, mask, is_over, &mut masked);
    let fails = |path: &&String| masked.is_cut || mask_copy(folder, cwd, path, mask, is_over).is_err();
    masked.unmasked = declared.iter().filter(fails).cloned().collect();
    masked.is_cut |= is_over();
    masked
}

/// Masks the files of the folder and of all folders below it. What cannot be read is removed. What the engine and the
/// supervisor wrote for themselves is masked by values alone: it was made of what is masked by its form already, and
/// holds a value only where the work wrote into it. The supervisor's own files are never removed.
fn mask_folder(folder: &Path, mask: &Mask, is_over: &dyn Fn() -> bool, masked: &mut MaskingEnd) {
    let (values, of_names) = (mask.plain(), mask.of_names());
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
            let is_one_of = |names: &[&str]| is_own && names.iter().any(|name| entry.file_name() == *name);
            let (is_ours, is_engines) = (is_one_of(&OURS), is_one_of(&ENGINES));
            let path = match is_ours || is_engines || is_one_of(&FOUND_BY_NAME) {
                true => entry.path(),
                false => match masked_name(entry.path(), &of_names) {
                    Some(path) => path,
                    None => continue,
                },
            };
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            if !kind.is_file() {
                continue;
            }
            let done = match is_ours || is_engines {
                true => mask_file(&path, &values, &|| false),
                false => mask_file(&path, mask, is_over),
            };
            let Err(error) = done else { continue };
            if is_ours {
                continue;
            }
            // A file that cannot be masked is removed.
            let _gone = std::fs::remove_file(&path);
            masked.is_cut |= error.kind() == ErrorKind::TimedOut;
            if error.kind() == ErrorKind::FileTooLarge && masked.removed.len() < NAMED_MAX {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy();
                let mut name: String = name.chars().take(NAME_CHARS_MAX).collect();
                mask.text(&mut name);
                masked.removed.push(name);
            }
        }
    }
}

/// Renames what has a name that holds a secret or looks like one; gives its path, and `None` where it is removed, since
/// something else has the masked name.
fn masked_name(path: PathBuf, of_names: &Mask) -> Option<PathBuf> {
    let Some(name) = path.file_name() else { return Some(path) };
    let Some(masked) = of_names.bytes(name.as_encoded_bytes()) else { return Some(path) };
    let masked = path.with_file_name(OsStr::from_bytes(&masked));
    let is_free = std::fs::symlink_metadata(&masked).is_err();
    if is_free && std::fs::rename(&path, &masked).is_ok() {
        return Some(masked);
    }
    let _gone = std::fs::remove_file(&path).or_else(|_folder| std::fs::remove_dir_all(&path));
    None
}

/// Masks a file of the folder: in place, or, where it has other names too, as a copy that takes this name.
fn mask_file(path: &Path, mask: &Mask, is_over: &dyn Fn() -> bool) -> std::io::Result<()> {
    if mask.is_empty() {
        return Ok(());
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let mut file = regular::open_with(regular::options().read(true).custom_flags(flags), path)?;
    if !holds_some(&mut file, mask, is_over)? {
        return Ok(());
    }
    if file.metadata()?.nlink() > 1 {
        return replace(file, path, mask, is_over);
    }
    let writing = regular::open_with(regular::options().read(true).write(true).custom_flags(flags), path)?;
    mask_in_place(writing, mask, is_over)
}

/// What is masked waits until as much was read: numbers of JSON become longer.
fn mask_in_place(mut file: File, mask: &Mask, is_over: &dyn Fn() -> bool) -> std::io::Result<()> {
    let (mut read_to, mut written_to) = (0, 0);
    let mut stream = mask.stream();
    let (mut piece, mut waiting) = (vec![0; 64 * 1024], Vec::new());
    loop {
        file.seek(SeekFrom::Start(read_to))?;
        let count = read_piece(&mut file, &mut piece, &mut read_to, is_over)?;
        waiting.extend(if count == 0 { stream.finish() } else { stream.take(&piece[..count]) });
        let room = usize::try_from(read_to - written_to).unwrap_or(usize::MAX);
        let fits = if count == 0 { waiting.len() } else { room.min(waiting.len()) };
        if waiting.len() - fits > WAITING_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        file.seek(SeekFrom::Start(written_to))?;
        file.write_all(&waiting[..fits])?;
        waiting.drain(..fits);
        written_to += fits as u64;
        if count == 0 {
            break;
        }
    }
    file.set_len(written_to)
}

/// Puts a masked copy in the place of one name of a file; the file itself stays as it is under its other names.
fn replace(mut from: File, path: &Path, mask: &Mask, is_over: &dyn Fn() -> bool) -> std::io::Result<()> {
    let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    let copy = path.with_file_name(format!(".masking-{}", &name[..16]));
    std::fs::remove_file(&copy).or_else(allow_missing)?;
    let mut to = regular::options().write(true).create_new(true).mode(0o600).open(&copy)?;
    let written = from.seek(SeekFrom::Start(0)).and_then(|_| copy_masked(&mut from, &mut to, mask, is_over));
    let replaced = written.and_then(|()| {
        to.set_permissions(from.metadata()?.permissions())?;
        std::fs::rename(&copy, path)
    });
    if replaced.is_err() {
        let _gone = std::fs::remove_file(&copy);
    }
    replaced
}

fn copy_masked(
    from: &mut File,
    to: &mut File,
    mask: &Mask,
    is_over: &dyn Fn() -> bool,
) -> std::io::Result<()> {
    let mut stream = mask.stream();
    let (mut piece, mut read_to) = (vec![0; 64 * 1024], 0);
    loop {
        match read_piece(from, &mut piece, &mut read_to, is_over)? {
            0 => return to.write_all(&stream.finish()),
            count => to.write_all(&stream.take(&piece[..count]))?,
        }
    }
}

fn holds_some(file: &mut File, mask: &Mask, is_over: &dyn Fn() -> bool) -> std::io::Result<bool> {
    if file.metadata()?.len() > LEFT_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut stream = mask.stream();
    let (mut piece, mut read_to) = (vec![0; 64 * 1024], 0);
    loop {
        let count = read_piece(file, &mut piece, &mut read_to, is_over)?;
        let _shown = if count == 0 { stream.finish() } else { stream.take(&piece[..count]) };
        if count == 0 || stream.is_changed() {
            return Ok(stream.is_changed());
        }
    }
}

/// Reads the next piece, as long as there is time, and of a file that grows no more than the limit.
fn read_piece(
    file: &mut File,
    piece: &mut [u8],
    read_to: &mut u64,
    is_over: &dyn Fn() -> bool,
) -> std::io::Result<usize> {
    if is_over() {
        return Err(ErrorKind::TimedOut.into());
    }
    let count = file.read(piece)?;
    *read_to += count as u64;
    if *read_to > LEFT_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(count)
}

fn mask_copy(
    folder: &Path,
    cwd: &Path,
    path: &str,
    mask: &Mask,
    is_over: &dyn Fn() -> bool,
) -> std::io::Result<()> {
    let copy = copy_of(folder, path);
    // One of a former turn says nothing of the file as it is now.
    std::fs::remove_file(&copy).or_else(allow_missing)?;
    let ResolvedPath::Inside(found) = resolve(cwd, path) else { return Ok(()) };
    let about = std::fs::metadata(&found)?;
    if !about.is_file() || about.len() > FILE_BYTES_MAX {
        return Ok(());
    }
    let (mut from, mut to) = (regular::open(&found)?, private(&copy)?);
    let copied = copy_masked(&mut from, &mut to, mask, is_over).and_then(|()| to.sync_data());
    match copied {
        // Without room for a copy the file itself is kept, unless it holds a secret.
        Err(error) if is_shortage(&error) => {
            std::fs::remove_file(&copy).or_else(allow_missing)?;
            from.seek(SeekFrom::Start(0))?;
            if holds_some(&mut from, mask, is_over)? { Err(error) } else { Ok(()) }
        }
        // Half a copy is none.
        Err(error) => std::fs::remove_file(&copy).or_else(allow_missing).and(Err(error)),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn mask_all(folder: &Path, cwd: &Path, declared: &[String], mask: &Mask) -> Vec<String> {
        let masked = super::mask_all(folder, cwd, declared, mask, &|| false);
        assert_eq!((masked.removed, masked.is_cut), (vec![], false));
        masked.unmasked
    }

    #[test]
    fn a_file_that_is_too_large_to_be_masked_is_removed_unread_and_named() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("deep")).unwrap();
        let (holes, file) = (home.path().join("deep/core"), home.path().join("file"));
        File::create(&holes).unwrap().set_len(1 << 42).unwrap();
        std::fs::write(&file, "a t0ken-value").unwrap();
        let mask = Mask::new(["t0ken-value"]);
        let masked = super::mask_all(home.path(), home.path(), &[], &mask, &|| false);
        assert_eq!(masked, MaskingEnd { removed: vec!["deep/core".to_owned()], ..MaskingEnd::default() });
        assert!(!holes.exists());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a ***");
    }

    #[test]
    fn what_there_is_no_time_for_is_removed_and_what_the_engine_wrote_stays() {
        let home = tempfile::tempdir().unwrap();
        for name in [REQUEST, LOG, "output.json", "large"] {
            std::fs::write(home.path().join(name), "x".repeat(300_000)).unwrap();
        }
        std::fs::write(home.path().join("report"), "a t0ken-value").unwrap();
        let looks = Cell::new(0);
        let is_over = || looks.replace(looks.get() + 1) >= 2;
        let mask = Mask::new(["t0ken-value"]);
        let declared = ["report".to_owned()];
        let masked = super::mask_all(home.path(), home.path(), &declared, &mask, &is_over);
        assert_eq!(masked, MaskingEnd { unmasked: declared.to_vec(), removed: vec![], is_cut: true });
        for (name, stays) in [(REQUEST, true), (LOG, true), ("output.json", false), ("large", false)] {
            assert_eq!(home.path().join(name).exists(), stays, "{name}");
        }
    }

    #[test]
    fn a_name_that_looks_like_a_credential_or_holds_a_long_secret_is_masked_too() {
        let home = tempfile::tempdir().unwrap();
        let token = format!("ghp_{}", "aB3dE5gH7j".repeat(4).get(..36).unwrap());
        let folder = home.path().join(format!("dir-{token}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(&token), "x t0ken-value").unwrap();
        std::fs::write(home.path().join(format!("{token}.txt")), "one").unwrap();
        std::fs::write(home.path().join("***.txt"), "two").unwrap();
        std::fs::write(home.path().join("of-t0ken-value.md"), "three").unwrap();
        // A short value may be a word, and what the engine finds by its name stays where it is.
        for name in ["word.txt", OUTPUT] {
            std::fs::write(home.path().join(name), "four").unwrap();
        }
        let patterns = Patterns::new(&RedactSettings::default());
        let mask = Mask::new(["t0ken-value", "word", OUTPUT]).with_patterns(patterns);
        assert!(mask_all(home.path(), home.path(), &[], &mask).is_empty());
        let mut names: Vec<_> = std::fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["***.txt", "dir-***", "of-***.md", OUTPUT, "word.txt"]);
        assert_eq!(std::fs::read_to_string(home.path().join("dir-***/***")).unwrap(), "x ***");
        assert_eq!(std::fs::read_to_string(home.path().join("***.txt")).unwrap(), "two");
    }

    #[test]
    fn a_file_with_another_name_outside_of_the_folder_keeps_its_text_there() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let (folder, outside) = (home.path().join("attempt"), home.path().join("precious"));
        std::fs::create_dir(&folder).unwrap();
        let text = "x".repeat(65_530) + "t0ken-value";
        std::fs::write(&outside, &text).unwrap();
        std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o751)).unwrap();
        std::fs::hard_link(&outside, folder.join("hard")).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("soft")).unwrap();
        assert!(mask_all(&folder, home.path(), &[], &Mask::new(["t0ken-value"])).is_empty());
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), text);
        let masked = std::fs::read_to_string(folder.join("hard")).unwrap();
        assert_eq!(masked, text.replace("t0ken-value", "***"));
        let about = std::fs::metadata(folder.join("hard")).unwrap();
        assert_eq!((about.mode() & 0o777, about.nlink()), (0o751, 1));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "and nothing else is left");
    }

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
        assert_eq!(std::fs::read_to_string(copy_of(&folder, "plain")).unwrap(), "t0ken-valu");
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
    fn what_the_work_wrote_into_the_supervisors_own_files_is_masked_and_these_stay() {
        let home = tempfile::tempdir().unwrap();
        let names = [LOG, STDOUT, STDOUT_TAIL, STARTED];
        for name in names {
            std::fs::write(home.path().join(name), "tampered t0ken-value").unwrap();
        }
        File::create(home.path().join(EXIT_RESERVE)).unwrap().set_len(1 << 42).unwrap();
        assert!(mask_all(home.path(), home.path(), &[], &Mask::new(["t0ken-value"])).is_empty());
        for name in names {
            assert_eq!(std::fs::read_to_string(home.path().join(name)).unwrap(), "tampered ***", "{name}");
        }
        assert!(home.path().join(EXIT_RESERVE).exists());
    }

    #[test]
    fn numbers_of_json_that_become_longer_are_masked_in_place() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("numbers.json");
        let numbers = vec![1234; 100_000];
        std::fs::write(&file, serde_json::to_vec(&numbers).unwrap()).unwrap();
        assert!(mask_all(home.path(), home.path(), &[], &Mask::new(["1234"])).is_empty());
        let masked: Vec<String> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(masked, vec!["***"; numbers.len()]);
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
        assert_eq!(std::fs::read_to_string(copy_of(&folder, "report")).unwrap(), "none any more");
    }

    #[test]
    fn what_a_lost_supervisor_could_not_mask_is_removed_and_what_was_there_before_stays() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(home.path().join(name), "t0ken-value").unwrap();
        write("prompt.md");
        std::fs::create_dir_all(home.path().join("turns/1")).unwrap();
        std::fs::create_dir(home.path().join("older")).unwrap();
        write("turns/1/exit.json");
        let begun = || home.path().join(STARTED).metadata().map(|it| (it.ctime(), it.ctime_nsec())).unwrap();
        write(STARTED);
        let before = home.path().join("turns/1/exit.json").metadata().unwrap();
        // The clock of files goes in steps.
        while begun() <= (before.ctime(), before.ctime_nsec()) {
            write(STARTED);
        }
        std::fs::create_dir(home.path().join("own")).unwrap();
        std::fs::create_dir_all(home.path().join(EXIT).join("deep")).unwrap();
        for name in
            [LOG, STDOUT, REQUEST, SHIM_ERRORS, "progress.json", "output.json", "own/text", "turns/1/text"]
        {
            write(name);
        }
        std::os::unix::fs::symlink("/nowhere", home.path().join("link")).unwrap();
        assert!(remove_left(home.path()).unwrap().is_empty());
        let names = std::fs::read_dir(home.path()).unwrap();
        let mut names: Vec<_> = names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, [LOG, "older", "prompt.md", REQUEST, SHIM_ERRORS, STARTED, STDOUT, TURNS]);
        let left = |name: &str| home.path().join("turns/1").join(name).exists();
        assert!(left(EXIT) && !left("text"), "what the former turn left stays, and nothing else");
    }
}
