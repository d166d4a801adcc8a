//! What an error of the operating system says about trying again.
//!
//! Law: a shortage (of room, handles, processes, memory) says nothing about the work that failed for it; the work
//! waits and goes on.
//!
//! Called by the store, by the runtime, and by the executors that touch files and processes.

use std::error::Error;
use std::io;

use rustix::io::Errno;

/// Whether the system refused for want of room: on the disk, or in what the user may take of it.
#[must_use]
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the system has too little at this moment of what it was asked for: room on the disk or within the limit of a
/// file's size, file handles, processes, memory. Later it may have it; what failed says nothing about the work.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    let is_scarce = |errno| {
        matches!(
            errno,
            Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM | Errno::NOBUFS | Errno::FBIG
        )
    };
    is_disk_full(error) || errno(error).is_some_and(is_scarce)
}

/// Whether the file has the largest size that the process may give it. The limit is of this file and this process: no room
/// that others make ends the shortage.
#[must_use]
pub fn is_at_size_limit(error: &io::Error) -> bool {
    errno(error) == Some(Errno::FBIG)
}

/// The number that the system gave, also where the error that has it is the cause of this one: an error that says which
/// file it was about has no number itself.
#[must_use]
pub fn errno(error: &io::Error) -> Option<Errno> {
    if let Some(errno) = Errno::from_io_error(error) {
        return Some(errno);
    }
    let mut cause = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    while let Some(inner) = cause {
        if let Some(errno) = inner.downcast_ref().and_then(Errno::from_io_error) {
            return Some(errno);
        }
        cause = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct OfFile(io::Error);

    impl std::fmt::Display for OfFile {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("could not use the file")
        }
    }

    impl Error for OfFile {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_shortage_is_one_whatever_names_the_file_around_it() {
        for (of_system, is_short) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOMEM, true),
            (Errno::NOSPC, true),
            (Errno::IO, false),
            (Errno::ACCESS, false),
        ] {
            let plain = io::Error::from(of_system);
            assert_eq!(is_shortage(&plain), is_short, "{of_system:?}");
            let kind = plain.kind();
            let around = io::Error::new(kind, OfFile(io::Error::new(kind, OfFile(plain))));
            assert_eq!(is_shortage(&around), is_short, "{of_system:?}");
            assert_eq!(errno(&around), Some(of_system));
        }
        assert_eq!(errno(&io::Error::other("no number")), None);
    }
}
