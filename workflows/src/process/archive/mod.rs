//! Attempts of a run that has ended: one file in place of their folders, `attempts/RUN.zip`.
//!
//! An entry is `FOLDER/FILE`, deflated, as any program for ZIP files reads it. The file's time is the end of its last
//! attempt.
//!
//! Law: a folder goes when the archive that holds all of it is on the disk, and has been read once; whatever stops the
//! program in between, each attempt is whole in its folder, in the archive, or in both. A folder with anything but files in
//! it, and one that a supervisor holds, stays a folder.
//!
//! | file | what it holds |
//! |---|---|
//! | `write` | makes an archive of folders, and adds further ones |
//! | `read` | the files of an attempt out of its archive |
//! | `room` | what is left free on the disk |
//! | `log` | the log of an attempt, in its folder or in the archive |

mod log;
mod read;
mod room;
mod write;

#[cfg(test)]
mod tests;

pub use log::{LogFinder, StoredLog};
pub(super) use read::ArchivedRun;
pub use write::archive_attempts;
pub(super) use write::{ARCHIVE, UNFINISHED};
