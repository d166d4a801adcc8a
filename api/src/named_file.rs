//! Files that a person names: read up to a limit, and never waited for.
//!
//! Law: opening a pipe waits for its other end, and a device need have no end, so nothing but a regular file is opened by its
//! name. What the shell of the caller has opened is read as it is, up to the limit: standard input, the pipe of a process
//! substitution, and `/dev/null` for nothing.

use std::fs::File;
use std::io::Result;
use std::path::Path;

use everfold_engine::regular;

/// Reads a file of at most `bytes_max`; `None` when it is larger.
///
/// # Errors
/// `InvalidInput` where it is a pipe, a folder, a socket or a device; else those of the operating system.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    match is_handed_over(path) {
        true => regular::read_from(File::open(path)?, bytes_max),
        false => regular::read_bounded(path, bytes_max),
    }
}

/// Whether a name stands for what this process was given opened, or for nothing.
fn is_handed_over(path: &Path) -> bool {
    let descriptors = [Path::new("/dev/fd"), Path::new("/proc/self/fd")];
    path == Path::new("/dev/stdin")
        || path == Path::new("/dev/null")
        || path.parent().is_some_and(|folder| descriptors.contains(&folder))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write as _};
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn files_and_what_the_shell_opened_are_read_up_to_the_limit_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink("/dev/zero", at("zeros")).unwrap();
        for path in [at("pipe"), at("zeros"), at("."), "/dev/zero".into()] {
            let error = read_bounded(&path, 4).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", path.display());
        }
        assert_eq!(read_bounded(&at("none"), 4).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(read_bounded(&at("file"), 4).unwrap().as_deref(), Some(&b"text"[..]));
        assert_eq!(read_bounded(&at("file"), 3).unwrap(), None);
        assert_eq!(read_bounded(Path::new("/dev/null"), 3).unwrap().as_deref(), Some(&b""[..]));
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"text").unwrap();
        drop(writer);
        let substituted = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(read_bounded(Path::new(&substituted), 4).unwrap().as_deref(), Some(&b"text"[..]));
    }
}
