//! Extends the journal by groups.
//!
//! Law: [`JournalWriter::write`] returns `Ok` only after the group's `fdatasync` did. After a failed
//! write or sync the file is neither written nor synced nor believed again: a new segment says where
//! its durable part ends. Until there is one no group is taken; [`JournalWriter::retry_segment`] tries again.
//!
//! Called by the store's writer thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::format;
use super::format::{GROUP_HEADER, GroupHeader, SEGMENT_HEADER, SegmentHeader};
use super::prepare::{NoSegment, PreparedSegment, Preparer};
use super::segment::{GroupStart, Segment, Segments, SparseIndex};
use super::tail::{JournalTail, Owner};
use crate::files::{Files, StoreFile};
use crate::lock::{FolderLock, OwnershipLost};
use everfold_base::time::Timestamp;

/// Why a group was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupError {
    /// There is no room; nothing was written.
    Full,
    /// The write or its sync failed.
    Unknown(String),
    /// The journal takes no groups until it has a new segment; nothing was written.
    ReadOnly(String),
    /// The folder belongs to another process; what was written cannot be read there.
    NotOurs(OwnershipLost),
}

/// The journal's one writer.
pub(crate) struct JournalWriter {
    files: Arc<dyn Files>,
    folder: PathBuf,
    segments: Segments,
    owner: Owner,
    preparer: Arc<Preparer>,
    /// The length of a new segment's file at most.
    capacity_max: u64,
    lock: Arc<FolderLock>,
    active: Arc<Segment>,
    file: Box<dyn StoreFile>,
    tail: JournalTail,
    broken: Option<Broken>,
}

/// The journal waits for a new segment.
struct Broken {
    why: NoSegment,
    /// The active segment was given up after a failed write or sync.
    abandoned: bool,
}

impl JournalWriter {
    /// Goes on behind `active`'s durable end; `file` is that segment's, open for writing.
    pub(crate) fn new(
        files: Arc<dyn Files>,
        folder: &Path,
        segments: Segments,
        owner: Owner,
        (preparer, capacity_max): (Arc<Preparer>, u64),
        active: (Arc<Segment>, Box<dyn StoreFile>),
        tail: JournalTail,
    ) -> Self {
        let (active, file) = active;
        let (folder, lock, broken) = (folder.to_owned(), preparer.lock(), None);
        Self { files, folder, segments, owner, preparer, capacity_max, lock, active, file, tail, broken }
    }

    /// Where the journal ends.
    pub(crate) fn tail(&self) -> JournalTail {
        self.tail
    }

    /// The segment that is being written, and where it ends.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.active.number, self.active.end())
    }

    /// Why no group is taken, if none is.
    pub(crate) fn broken(&self) -> Option<&NoSegment> {
        self.broken.as_ref().map(|broken| &broken.why)
    }

    /// Whether room is running out: what is left is for what has begun.
    pub(crate) fn is_short_of_room(&self) -> bool {
        self.preparer.is_short_of_room()
    }

    /// Goes on in a new segment, where one can be had now. `Some` with what that gave; `None` while it is being
    /// made, or where nothing is broken.
    pub(crate) fn retry_segment(&mut self) -> Option<Result<(), NoSegment>> {
        let abandoned = self.broken.as_ref()?.abandoned;
        let prepared = self.preparer.poll(self.next_capacity())?;
        let entered = prepared.and_then(|prepared| self.enter_segment(prepared, abandoned));
        match &entered {
            Ok(()) => self.broken = None,
            Err(why) => self.broken = Some(Broken { why: why.clone(), abandoned }),
        }
        Some(entered)
    }

    /// Writes and syncs one group. `buffer` starts with [`GROUP_HEADER`] bytes of any content, which
    /// are overwritten, followed by the body.
    pub(crate) fn write(
        &mut self,
        buffer: &mut [u8],
        appends: u32,
        events: u32,
        committed_at: Timestamp,
    ) -> Result<(), GroupError> {
        if let Some(Broken { why, .. }) = &self.broken {
            return Err(not_taken(why));
        }
        let length = format::group_length(buffer.len() - GROUP_HEADER);
        if self.active.end() + length > self.active.header.capacity {
            self.rotate(length)?;
        }
        let (nonce, offset) = (self.active.header.nonce, self.active.end());
        let (head, body) = buffer.split_at_mut(GROUP_HEADER);
        let header = GroupHeader {
            sequence: self.tail.next_sequence,
            previous_crc: self.tail.crc,
            body_crc: format::body_crc(nonce, offset, body),
            body_bytes: u32::try_from(body.len()).expect("groups are bounded far below 4 GiB"),
            appends,
            first_position: self.tail.next_position,
            events,
            committed_at,
        };
        let (bytes, crc) = header.encode(nonce, offset);
        head.copy_from_slice(&bytes);
        if let Err(error) = self.file.write_at(buffer, offset).and_then(|()| self.file.sync()) {
            return Err(self.abandon(&error));
        }
        // An acknowledged group must be found under the folder's name.
        self.lock.names_active().map_err(GroupError::NotOurs)?;
        self.enter(&header, crc, offset);
        Ok(())
    }

    fn enter(&mut self, header: &GroupHeader, crc: u32, offset: u64) {
        let place = GroupStart {
            position: header.first_position,
            offset,
            sequence: header.sequence,
            previous_crc: self.tail.crc,
        };
        if let Some(index) = self.active.index.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            index.offer(place);
        }
        self.tail = JournalTail {
            next_sequence: header.sequence + 1,
            crc,
            next_position: header.next_position(),
            committed_at: header.committed_at,
        };
        let end = offset + header.length();
        self.active.set_end(end);
        if end > self.active.header.capacity / 2 {
            self.preparer.request(self.next_capacity());
        }
    }

    /// The length of the next segment's file: twice that of this one, so that what is filled with zeros
    /// ahead stays in proportion to what is there.
    fn next_capacity(&self) -> u64 {
        self.active.header.capacity.saturating_mul(2).min(self.capacity_max)
    }

    /// Goes on in a new segment.
    fn rotate(&mut self, length: u64) -> Result<(), GroupError> {
        let whole = SEGMENT_HEADER as u64 + length;
        let mut needed = self.next_capacity();
        while needed < whole && needed < self.capacity_max {
            needed = needed.saturating_mul(2).clamp(1, self.capacity_max);
        }
        let needed = needed.max(whole);
        self.lock.check().map_err(GroupError::NotOurs)?;
        let mut prepared = self.preparer.take(needed);
        if prepared.as_ref().is_ok_and(|prepared| prepared.capacity < needed) {
            // It was made before this group was known.
            prepared = self.preparer.take(needed);
        }
        match prepared {
            // Smaller groups may find room in the rest.
            Err(why) if why.is_full => Err(GroupError::Full),
            prepared => prepared.and_then(|prepared| self.enter_segment(prepared, false)).map_err(|why| {
                let what = format!("a new segment of the journal could not be opened: {why}");
                let why = NoSegment { what, ..why };
                self.broken = Some(Broken { why: why.clone(), abandoned: false });
                not_taken(&why)
            }),
        }
    }

    /// Gives the segment up after a failed write or sync: what it holds behind its durable end may be
    /// on the disk, or only seem to be.
    fn abandon(&mut self, error: &std::io::Error) -> GroupError {
        tracing::error!(file = %self.active.path.display(), %error, "the journal could not be synced");
        let replaced =
            self.preparer.take(self.next_capacity()).and_then(|prepared| self.enter_segment(prepared, true));
        if let Err(second) = replaced {
            let what = format!(
                "{} could not be synced ({error}), and no new segment could be opened ({second})",
                self.active.path.display()
            );
            let why = NoSegment { what, is_full: second.is_full };
            self.broken = Some(Broken { why, abandoned: true });
        }
        GroupError::Unknown(error.to_string())
    }

    fn enter_segment(&mut self, prepared: PreparedSegment, abandoned: bool) -> Result<(), NoSegment> {
        let header = SegmentHeader {
            previous_abandoned: abandoned,
            ..self.owner.segment_behind(&self.active, &self.tail, prepared.capacity)
        };
        let lost = |lost: OwnershipLost| NoSegment { what: lost.to_string(), is_full: false };
        self.lock.check().map_err(lost)?;
        let (segment, file) = open_segment(self.files.as_ref(), &self.folder, &header, prepared)?;
        self.lock.set_active(&segment.path, file.id()?);
        self.segments.push(segment.clone());
        (self.active, self.file) = (segment, file);
        Ok(())
    }
}

fn not_taken(why: &NoSegment) -> GroupError {
    if why.is_full { GroupError::Full } else { GroupError::ReadOnly(why.what.clone()) }
}

/// Makes a prepared file the segment that `header` describes, durably.
pub(crate) fn open_segment(
    files: &dyn Files,
    folder: &Path,
    header: &SegmentHeader,
    prepared: PreparedSegment,
) -> std::io::Result<(Arc<Segment>, Box<dyn StoreFile>)> {
    // Locked before it has its name: another process that finds the segment finds it locked.
    if !prepared.file.lock()? {
        return Err(std::io::ErrorKind::ResourceBusy.into());
    }
    prepared.file.write_at(&header.encode(), 0)?;
    prepared.file.sync()?;
    let segment = Segment::new(folder, *header, SEGMENT_HEADER as u64, Some(SparseIndex::default()));
    files.rename(&prepared.path, &segment.path)?;
    files.sync_folder(folder)?;
    Ok((Arc::new(segment), prepared.file))
}
