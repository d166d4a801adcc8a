//! What an error of the operating system says about trying again.
//!
//! Law: a shortage (of room, handles, processes, memory) says nothing about the work that failed for it; the work
//! waits and goes on.
//!
//! Called by the store, by the runtime, and by the executors that touch files and processes.

use std::io;

/// Whether the system refused for want of room: on the disk, or in what the user may take of it.
#[must_use]
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the system has too little at this moment of what it was asked for: room on the disk or within the limit of a
/// file's size, file handles, processes, memory. Later it may have it; what failed says nothing about the work.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let is_scarce = |errno| {
        matches!(
            errno,
            Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM | Errno::NOBUFS | Errno::FBIG
        )
    };
    is_disk_full(error) || Errno::from_io_error(error).is_some_and(is_scarce)
}
