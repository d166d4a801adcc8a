//! Files that other programs may have made: opened so that nothing but a file is ever read.
//!
//! Law: opening a pipe waits for its other end, and a device need have no end. A process may leave either under
//! any name that it knows, so every such name is opened here: without waiting, and only if it leads to a regular file.
//!
//! Called by the store and by the executors for what lies in a data folder.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The largest file that [`read`] takes into memory.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Options under which opening a pipe waits for nothing.
#[must_use]
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    options
}

/// Opens a file to read it.
///
/// # Errors
/// `InvalidInput` where it is a pipe, a folder, a socket or a device; else those of the operating system.
pub fn open(path: &Path) -> Result<File> {
    open_with(options().read(true), path)
}

/// Opens a file with options that were made of [`options`].
///
/// # Errors
/// As [`open`].
pub fn open_with(options: &OpenOptions, path: &Path) -> Result<File> {
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok(file)
}

/// Reads a file of at most `bytes_max`; `None` when it is larger.
///
/// # Errors
/// As [`open`].
pub fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    read_from(open(path)?, bytes_max)
}

/// Reads what has at most `bytes_max`; `None` when it is larger.
///
/// # Errors
/// Those of the operating system.
pub fn read_from(reader: impl Read, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

/// The same of a file that is no link; where one stands in its place, it is not followed.
///
/// # Errors
/// As [`open`]; [`is_of_link`] tells that a link stands there.
pub fn read_unlinked(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let file = open_with(OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()), path)?;
    read_from(file, bytes_max)
}

/// Whether a file was not read because it is a link.
#[must_use]
pub fn is_of_link(error: &Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// Reads a file.
///
/// # Errors
/// As [`open`]; `FileTooLarge` beyond 256 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let larger = || Error::new(ErrorKind::FileTooLarge, "it is larger than 256 MiB");
    read_bounded(path, BYTES_MAX)?.ok_or_else(larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_read_and_no_pipe_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zeros")).unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        let kind = |name: &str| open(&at(name)).unwrap_err().kind();
        for name in ["pipe", "zeros", "."] {
            assert_eq!(kind(name), ErrorKind::InvalidInput, "{name}");
        }
        assert_eq!(kind("none"), ErrorKind::NotFound);
        assert!(options().append(true).create(true).open(at("pipe")).is_err(), "no process reads it");
        assert_eq!(read(&at("link")).unwrap(), b"text");
        assert!(is_of_link(&read_unlinked(&at("link"), 4).unwrap_err()), "a link is not followed");
        assert_eq!(read_unlinked(&at("file"), 4).unwrap().as_deref(), Some(&b"text"[..]));
        assert_eq!(read_unlinked(&at("file"), 3).unwrap(), None);
        assert_eq!(read_bounded(&at("file"), 4).unwrap().as_deref(), Some(&b"text"[..]));
        assert_eq!(read_bounded(&at("file"), 3).unwrap(), None);
    }
}
