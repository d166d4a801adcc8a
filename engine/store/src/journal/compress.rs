//! Compresses sealed segments, which have a successor; so they lose the zeros behind their end, too.
//!
//! Law: a segment is replaced only by a file that was read back and says the same, by a rename; one that cannot be read
//! as a whole stays as it is, and so does the first one, by which the folder knows itself.
//!
//! A thread of the store does the work, one segment at a time; the journal's writer adds to the list on which it waits. Repair
//! calls `rewrite`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block_layout::BLOCK_BYTES;
use super::compressed;
use super::compressed::CompressedBytes;
use super::format::{SEGMENT_HEADER, SegmentHeader};
use super::reader::GroupWalk;
use super::segment::{Segment, Segments};
use crate::disk_reserve;
use crate::error::ReadError;
use crate::files::{FileAccess, Files, StoreFile};
use crate::lock::{FolderLock, OwnershipLost};
use everfold_system::folder::above;
use everfold_system::room::bytes_left;

/// The name of a file that is being compressed; whatever has it at start is removed.
const COMPRESSING_NAME: &str = "compressing.tmp";
/// By the file of this segment a folder is known (`store.json`), so it stays that file.
const IDENTITY_SEGMENT: u64 = 1;
/// Bytes between syncs, so that the groups of the living segment get through between them.
const SYNC_BYTES: u64 = 1024 * 1024;

/// Compresses the sealed segments of an open store.
pub(crate) struct SegmentCompressor {
    pub(crate) files: Arc<dyn Files>,
    /// Of the journal.
    pub(crate) folder: PathBuf,
    pub(crate) segments: Segments,
    pub(crate) lock: Arc<FolderLock>,
    /// Segments that hold less stay as they are.
    pub(crate) bytes_min: u64,
}

/// Why a segment was not compressed.
#[derive(Debug, thiserror::Error)]
enum NotCompressed {
    #[error("the store is being closed")]
    Closed,
    #[error("the disk has no room for it beside what has begun")]
    Full,
    #[error("{0}")]
    Unreadable(#[from] ReadError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("what was written is not what was read")]
    Differs,
    #[error("{0}")]
    NotOurs(#[from] OwnershipLost),
}

impl SegmentCompressor {
    /// Compresses what can be compressed, until the list of segments is closed. The thread's whole life.
    pub(crate) fn run(&self) {
        // What was not compressed is looked at again by the next process.
        let mut seen = IDENTITY_SEGMENT;
        while let Some(segment) = self.segments.wait_for_ended(seen) {
            match self.compress(&segment) {
                Ok(()) => {}
                Err(NotCompressed::Closed) => return,
                // That the disk is full is told by those who need room; this only saves some.
                Err(error @ NotCompressed::Full) => tracing::debug!(file = %segment.path.display(), %error),
                Err(error) => {
                    let file = segment.path.display();
                    tracing::warn!(%file, %error, "a segment of the journal could not be compressed and stays as it is");
                }
            }
            seen = segment.number;
        }
    }

    /// Compresses a segment that is not compressed yet and holds enough.
    fn compress(&self, segment: &Arc<Segment>) -> Result<(), NotCompressed> {
        let end = segment.end();
        if segment.damage.is_some()
            || end < self.bytes_min
            || compressed::is_compressed(self.files.as_ref(), &segment.path)?
        {
            return Ok(());
        }
        if bytes_left(&self.folder) < end + disk_reserve::MARGIN_BYTES {
            return Err(NotCompressed::Full);
        }
        self.refuse_damaged(segment)?;
        let path = self.folder.join(COMPRESSING_NAME);
        self.lock.check()?;
        match self.files.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        if let Err(error) = self.replace(segment, end, &path) {
            // What was written would keep the room that others need.
            let _unimportant = self.files.remove(&path);
            return Err(error);
        }
        Ok(self.files.sync_folder(&self.folder)?)
    }

    /// Puts a compressed file in the place of the segment.
    fn replace(&self, segment: &Segment, end: u64, path: &Path) -> Result<(), NotCompressed> {
        self.write(segment, end, path)?;
        self.lock.check()?;
        Ok(self.files.rename(path, &segment.path)?)
    }

    /// Reads every group of the segment: damage must stay where it was found.
    fn refuse_damaged(&self, segment: &Arc<Segment>) -> Result<(), NotCompressed> {
        let mut walk = GroupWalk::open(self.files.as_ref(), segment)?;
        while walk.next_group()?.is_some() {
            self.refuse_closed()?;
        }
        Ok(())
    }

    fn refuse_closed(&self) -> Result<(), NotCompressed> {
        if self.segments.is_closed() { Err(NotCompressed::Closed) } else { Ok(()) }
    }

    /// Writes the compressed file and compares it to the segment, durably.
    fn write(&self, segment: &Segment, end: u64, path: &Path) -> Result<(), NotCompressed> {
        let source = self.files.open(&segment.path, FileAccess::Read)?;
        let source = SourceSegment { file: source.as_ref(), header: &segment.header, end };
        source.write(self.files.as_ref(), path, &|| self.refuse_closed())
    }
}

/// Writes a compressed segment anew, in a folder that no process has open: each block of it can be read, and the lengths of the
/// blocks are not what was written.
///
/// # Errors
/// Those of the operating system, and where what was written is not what was read; then the segment is as it was.
pub(crate) fn rewrite(files: &dyn Files, segment: &Path) -> io::Result<()> {
    let source = compressed::open(files, segment)?;
    let mut header = [0; SEGMENT_HEADER];
    let read = source.read_at(&mut header, 0)?;
    let damaged = |_| io::Error::new(io::ErrorKind::InvalidData, "its header is not what was written");
    let header = SegmentHeader::decode(&header[..read]).map_err(damaged)?;
    let end = source.length()?;
    let folder = above(segment);
    let path = folder.join(COMPRESSING_NAME);
    match files.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = SourceSegment { file: source.as_ref(), header: &header, end }
        .write(files, &path, &|| Ok(()))
        .map_err(io::Error::other)
        .and_then(|()| files.rename(&path, segment));
    if let Err(error) = written {
        let _unimportant = files.remove(&path);
        return Err(error);
    }
    files.sync_folder(folder)
}

/// A segment whose bytes are to be compressed.
struct SourceSegment<'a> {
    file: &'a dyn StoreFile,
    header: &'a SegmentHeader,
    end: u64,
}

impl SourceSegment<'_> {
    /// Writes the compressed file and compares it to the segment, durably. `proceed` is asked at each block.
    fn write(
        &self,
        files: &dyn Files,
        path: &Path,
        proceed: &dyn Fn() -> Result<(), NotCompressed>,
    ) -> Result<(), NotCompressed> {
        let target = files.create(path)?;
        let mut compressed = CompressedBytes::new()?;
        let mut offset = 0;
        let mut put = |bytes: &[u8]| -> io::Result<()> {
            target.write_at(bytes, offset)?;
            let before = offset;
            offset += bytes.len() as u64;
            if offset / SYNC_BYTES != before / SYNC_BYTES { target.sync() } else { Ok(()) }
        };
        put(&CompressedBytes::header(self.header))?;
        each_block(self.file, self.end, &mut |_, bytes| {
            proceed()?;
            Ok(put(&compressed.block(bytes)?)?)
        })?;
        put(&compressed.ending(self.end))?;
        target.sync()?;
        target.forget_cached()?;
        let written = compressed::open(files, path)?;
        if written.length()? != self.end {
            return Err(NotCompressed::Differs);
        }
        let mut again = vec![0; BLOCK_BYTES];
        each_block(self.file, self.end, &mut |at, bytes| {
            proceed()?;
            let read = written.read_at(&mut again[..bytes.len()], at)?;
            if again[..read] == *bytes { Ok(()) } else { Err(NotCompressed::Differs) }
        })
    }
}

/// What is called with the offset and the bytes of a block.
type BlockVisitor<'a> = dyn FnMut(u64, &[u8]) -> Result<(), NotCompressed> + 'a;

/// Calls `visit` with the offset and the bytes of each block of a segment.
fn each_block(source: &dyn StoreFile, end: u64, visit: &mut BlockVisitor<'_>) -> Result<(), NotCompressed> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = SEGMENT_HEADER as u64;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        if source.read_at(&mut block[..length], at)? != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        visit(at, &block[..length])?;
        at += length as u64;
    }
    Ok(())
}
