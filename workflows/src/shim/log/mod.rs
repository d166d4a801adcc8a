//! The attempt log: what a process wrote, with the time of each line.
//!
//! A record is one line, `MILLISECONDS KIND TEXT`:
//!
//! | kind | meaning |
//! |---|---|
//! | `O`, `E` | a line of standard output, of standard error |
//! | `o`, `e` | a piece of one, with more of it to come |
//! | `#` | a remark of the supervisor: not written by the process |
//!
//! Law: the texts of `O o` records, joined, with a line feed after each `O`, are what the process
//! wrote; likewise for standard error. Beyond the limit the middle is left out: the first records, a
//! remark that counts what is missing, and the last ones, which are written when the process ends.
//! A log that is opened again, by a further turn or another engine, goes on under the same limit; of
//! each such part the end is kept, up to twice the limit in all.
//!
//! | file | what it holds |
//! |---|---|
//! | `files` | a log and its index, opened |
//! | `record` | one record, as it is written and read |
//! | `write` | the writer, with the limit |
//! | `read` | the reader, and the last lines |
//! | `seal` | what is recorded of a log when it is closed, and where one differs from that |

mod files;
mod read;
mod record;
mod seal;
mod write;

#[cfg(test)]
mod tests;

pub use files::LogFiles;
pub use read::{LogReader, tail};
pub use record::{LogLine, LogSource};
pub use seal::{LogChange, LogCheck, check};
pub(crate) use seal::{index_bytes, seal};
pub(crate) use write::{LogWriter, create};
