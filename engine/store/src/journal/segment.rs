//! The list of segments, shared by the writer and the readers.
//!
//! Law: readers see a segment's bytes up to its durable end and no further.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

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

/// All segments of a journal in their order.
#[derive(Clone, Default)]
pub(crate) struct Segments(Arc<RwLock<Vec<Arc<Segment>>>>);

impl Segments {
    pub(crate) fn new(segments: Vec<Arc<Segment>>) -> Self {
        Self(Arc::new(RwLock::new(segments)))
    }

    pub(crate) fn push(&self, segment: Arc<Segment>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// The segments as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The segment that holds a position, or would hold it next.
    pub(crate) fn holding(&self, position: Position) -> Option<Arc<Segment>> {
        let segments = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.header.first_position <= position);
        // An abandoned or just opened segment may share its first position with its successor.
        segments.get(after.checked_sub(1)?).cloned()
    }

    /// The segment behind one.
    pub(crate) fn after(&self, number: u64) -> Option<Arc<Segment>> {
        let segments = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = segments.partition_point(|segment| segment.number <= number);
        segments.get(at).cloned()
    }
}
