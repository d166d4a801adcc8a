//! Standard output as it came: its beginning in a file, and, where it goes on after the limit, its
//! end in another. What the disk has no room for waits in memory until it has.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::Duration;

use everfold_system::os_error::{is_at_size_limit, is_shortage};

use super::folder::{Folder, complain};
use super::in_the_way::remove_folder;
use super::protocol::{CommandRequest, STDOUT, STDOUT_TAIL};

/// The pauses between tries to write what waits for room when the command has ended.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The file of the beginning: made for the first byte, so that a command that says nothing has none.
enum StdoutFile {
    ToMake(PathBuf),
    Made(File),
    /// It could not be made, or not be written, for want of something else than room.
    Failed,
}

/// Whether the file may have room later. A limit of its size stays while the supervisor lives.
fn can_wait(error: &std::io::Error) -> bool {
    is_shortage(error) && !is_at_size_limit(error)
}

impl StdoutFile {
    /// Writes as much as it can, and takes that away from the bytes.
    fn write(&mut self, bytes: &mut &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let file = match self {
                Self::Made(file) => file,
                Self::ToMake(path) => {
                    *self = Self::Made(super::log::create(path)?);
                    continue;
                }
                Self::Failed => return Err(ErrorKind::Other.into()),
            };
            match file.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => *bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

pub(crate) struct Capture {
    output: StdoutFile,
    /// What comes next into the file.
    waiting: Vec<u8>,
    /// How much more may come into the file.
    room_bytes: u64,
    tail: VecDeque<u8>,
    tail_max_bytes: usize,
    /// Everything that came.
    pub(crate) seen_bytes: u64,
    /// Whether the file lacks some of it.
    pub(crate) truncated: bool,
}

impl Capture {
    pub(crate) fn new(folder: &Folder, request: &CommandRequest) -> Self {
        Self {
            output: StdoutFile::ToMake(folder.path(STDOUT)),
            waiting: Vec::new(),
            room_bytes: request.stdout_max_bytes,
            tail: VecDeque::new(),
            tail_max_bytes: usize::try_from(request.stdout_tail_max_bytes).unwrap_or(usize::MAX),
            seen_bytes: 0,
            truncated: false,
        }
    }

    /// Takes a piece. What there is no room for on the disk waits; it is no more than the file's limit.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.seen_bytes += bytes.len() as u64;
        let fits = usize::try_from(self.room_bytes).unwrap_or(usize::MAX).min(bytes.len());
        self.room_bytes -= fits as u64;
        // What it cannot write stays in memory; `finish` looks at why.
        let _in_memory = self.write_waiting();
        let mut begin = &bytes[..fits];
        let written = match self.waiting.is_empty() {
            true => self.output.write(&mut begin),
            false => Ok(()),
        };
        self.waiting.extend(begin);
        self.give_up_unless_short(written);
        if !bytes[fits..].is_empty() {
            self.truncated = true;
            self.keep_tail(&bytes[fits..]);
        }
    }

    fn write_waiting(&mut self) -> std::io::Result<()> {
        let mut left = &*self.waiting;
        let written = self.output.write(&mut left);
        let count = self.waiting.len() - left.len();
        self.waiting.drain(..count);
        written
    }

    /// A file that cannot be written at all lacks what waits.
    fn give_up_unless_short(&mut self, written: std::io::Result<()>) {
        let Err(error) = written else { return };
        if !can_wait(&error) {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.output = StdoutFile::Failed;
        let lost = std::mem::take(&mut self.waiting);
        self.truncated |= !lost.is_empty();
        self.keep_tail(&lost);
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(self.tail_max_bytes)..];
        let over = (self.tail.len() + kept.len()).saturating_sub(self.tail_max_bytes);
        self.tail.drain(..over.min(self.tail.len()));
        self.tail.extend(kept);
    }

    /// Writes what waits for room, and the end of what went over the limit, as soon as there is room; a cancel ends the
    /// waiting.
    pub(crate) fn finish(&mut self, folder: &Folder) {
        let mut pause = PAUSE_MIN;
        while let Err(error) = self.write_rest(folder) {
            if !can_wait(&error) || folder.is_cancelled() || folder.is_gone() {
                // The record still says that something is missing.
                if !self.waiting.is_empty() {
                    self.give_up();
                    let _tail = self.write_rest(folder);
                }
                return;
            }
            if pause == PAUSE_MIN {
                complain(
                    folder.name(),
                    &format_args!("write standard output: {error}; it is tried again until it can"),
                );
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn write_rest(&mut self, folder: &Folder) -> std::io::Result<()> {
        self.write_waiting()?;
        if !self.truncated {
            return Ok(());
        }
        let tail = folder.path(STDOUT_TAIL);
        remove_folder(&tail)?;
        std::fs::write(tail, self.tail.make_contiguous())
    }
}
