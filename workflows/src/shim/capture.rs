//! Standard output as it came: its beginning in a file, and, where it goes on after the limit, its
//! end in another.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::folder::Folder;
use super::in_the_way::remove_folder;
use super::protocol::{CommandRequest, STDOUT, STDOUT_TAIL};

/// The file of the beginning: made for the first byte, so that a command that says nothing has none.
enum StdoutFile {
    ToMake(PathBuf),
    Made(File),
    /// It could not be made, or not be written.
    Failed,
}

impl StdoutFile {
    /// Whether the bytes were written.
    fn write(&mut self, bytes: &[u8]) -> bool {
        if let (Self::ToMake(path), false) = (&self, bytes.is_empty()) {
            *self = super::log::create(path).map_or(Self::Failed, Self::Made);
        }
        let written = match self {
            Self::ToMake(_) => true,
            Self::Made(file) => file.write_all(bytes).is_ok(),
            Self::Failed => false,
        };
        if !written {
            *self = Self::Failed;
        }
        written
    }
}

pub(crate) struct Capture {
    output: StdoutFile,
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
            room_bytes: request.stdout_max_bytes,
            tail: VecDeque::new(),
            tail_max_bytes: usize::try_from(request.stdout_tail_max_bytes).unwrap_or(usize::MAX),
            seen_bytes: 0,
            truncated: false,
        }
    }

    /// Takes a piece; a disk without room only ends the file.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.seen_bytes += bytes.len() as u64;
        let fits = usize::try_from(self.room_bytes).unwrap_or(usize::MAX).min(bytes.len());
        let written = self.output.write(&bytes[..fits]);
        self.room_bytes -= fits as u64;
        let rest = if written { &bytes[fits..] } else { bytes };
        if !rest.is_empty() {
            self.truncated = true;
            self.keep_tail(rest);
        }
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(self.tail_max_bytes)..];
        let over = (self.tail.len() + kept.len()).saturating_sub(self.tail_max_bytes);
        self.tail.drain(..over.min(self.tail.len()));
        self.tail.extend(kept);
    }

    /// Writes the end of what did not fit.
    pub(crate) fn finish(&mut self, folder: &Folder) {
        if self.truncated {
            // Without room for it the record still says that something is missing.
            let tail = folder.path(STDOUT_TAIL);
            let _full = remove_folder(&tail).and_then(|()| std::fs::write(tail, self.tail.make_contiguous()));
        }
    }
}
