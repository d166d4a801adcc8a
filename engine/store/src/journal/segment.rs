//! The list of segments, shared by the writer and the readers.
//!
//! Law: readers see a segment's bytes up to its durable end and no further.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::format::SegmentHeader;
use crate::error::Damage;
use everfold_base::id::Position;

/// How long segment files are made; a group that needs more gets a file of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSizes {
    /// The first one, in bytes: small stores stay small.
    pub first: u64,
    /// Every later one at most, in bytes; until then each is twice the one before.
    pub later: u64,
}

impl Default for SegmentSizes {
    fn default() -> Self {
        Self { first: 1024 * 1024, later: 16 * 1024 * 1024 }
    }
}

/// The distance between entries of a segment's sparse index, in bytes.
pub(crate) const INDEX_STRIDE: u64 = 64 * 1024;

/// The name of a segment's file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:010}.segment")
}

/// The segment number that a file's name says.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let number: u64 = name.strip_suffix(".segment")?.parse().ok()?;
    (number > 0 && file_name(number) == name).then_some(number)
}

/// Where some groups start.
#[derive(Debug, Default)]
pub(crate) struct SparseIndex {
    entries: Vec<GroupStart>,
}

/// One known start of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupStart {
    pub(crate) position: Position,
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
    /// The checksum of the group before.
    pub(crate) previous_crc: u32,
}

impl SparseIndex {
    /// Takes note of a group, unless one nearby is known.
    pub(crate) fn offer(&mut self, entry: GroupStart) {
        if self.entries.last().is_none_or(|last| entry.offset >= last.offset + INDEX_STRIDE) {
            self.entries.push(entry);
        }
    }

    /// The last known group that starts at or before a position.
    pub(crate) fn before(&self, position: Position) -> Option<GroupStart> {
        let after = self.entries.partition_point(|entry| entry.position <= position);
        after.checked_sub(1).map(|index| self.entries[index])
    }
}

/// One segment.
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    end: AtomicU64,
    /// Filled by the writer as it goes, or by a walk at the first read of a sealed segment.
    pub(crate) index: Mutex<Option<SparseIndex>>,
    /// The segment cannot be read: its header is not what was written.
    pub(crate) damage: Option<Damage>,
}

impl Segment {
    pub(crate) fn new(folder: &Path, header: SegmentHeader, end: u64, index: Option<SparseIndex>) -> Self {
        Self {
            number: header.number,
            path: folder.join(file_name(header.number)),
            header,
            end: AtomicU64::new(end),
            index: Mutex::new(index),
            damage: None,
        }
    }

    /// Where its durable groups end.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }
}

#[derive(Default)]
struct SegmentList {
    segments: RwLock<Vec<Arc<Segment>>>,
    /// Locked while a segment is added, and when the list is closed; `true` from then on.
    is_closed: Mutex<bool>,
    grown: Condvar,
}

/// All segments of a journal in their order.
#[derive(Clone, Default)]
pub(crate) struct Segments(Arc<SegmentList>);

impl Segments {
    pub(crate) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self(Arc::new(SegmentList { segments: RwLock::new(segments), ..SegmentList::default() }))
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Segment>>> {
        self.0.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) -> MutexGuard<'_, bool> {
        self.0.is_closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let _adding = self.closed();
        self.0.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
        self.0.grown.notify_all();
    }

    /// The segments as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.read().clone()
    }

    /// The segment that holds a position, or would hold it next.
    pub(crate) fn holding(&self, position: Position) -> Option<Arc<Segment>> {
        let segments = self.read();
        let after = segments.partition_point(|segment| segment.header.first_position <= position);
        // An abandoned or just opened segment may share its first position with its successor.
        segments.get(after.checked_sub(1)?).cloned()
    }

    /// The segment behind one.
    pub(crate) fn after(&self, number: u64) -> Option<Arc<Segment>> {
        after(&self.read(), number).cloned()
    }

    /// Waits for a segment behind one that has a successor, so that it will not change; none once [closed](Self::close).
    pub(crate) fn wait_for_ended(&self, number: u64) -> Option<Arc<Segment>> {
        let mut is_closed = self.closed();
        loop {
            if *is_closed {
                return None;
            }
            let segments = self.read();
            let found = after(&segments, number);
            if let Some(ended) = found.filter(|found| after(&segments, found.number).is_some()) {
                return Some(ended.clone());
            }
            drop(segments);
            is_closed = self.0.grown.wait(is_closed).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed()
    }

    /// Ends [`Self::wait_for_ended`].
    pub(crate) fn close(&self) {
        *self.closed() = true;
        self.0.grown.notify_all();
    }
}

fn after(segments: &[Arc<Segment>], number: u64) -> Option<&Arc<Segment>> {
    segments.get(segments.partition_point(|segment| segment.number <= number))
}
