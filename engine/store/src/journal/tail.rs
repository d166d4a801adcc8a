//! Where a journal ends, and whose segments it consists of.

use super::format::SegmentHeader;
use super::segment::Segment;
use everfold_base::id::Position;
use everfold_base::time::Timestamp;
use everfold_system::clock;

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JournalTail {
    pub(crate) next_sequence: u64,
    /// The checksum of the last group's header.
    pub(crate) crc: u32,
    pub(crate) next_position: Position,
    pub(crate) committed_at: Timestamp,
}

impl JournalTail {
    /// The tail of a journal without groups.
    pub(crate) const EMPTY: Self =
        Self { next_sequence: 1, crc: 0, next_position: Position::FIRST, committed_at: Timestamp(0) };

    /// The last event's position.
    pub(crate) fn position(&self) -> Position {
        Position(self.next_position.0 - 1)
    }
}

/// What the description of a folder says of the journal in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExpectedJournal {
    /// The store that its segments name; `None`: the description does not say.
    pub(crate) store: Option<u128>,
    /// The folder is a copy of one in use. Who copied may have listed the segments before the last of them was sealed,
    /// and read it behind that: then its successor is not in the copy.
    pub(crate) was_copied_in_use: bool,
    /// The last position, where the store was closed in order: nothing stood behind that.
    pub(crate) closed_at: Option<Position>,
    /// The segment that was being written when the description was; 0: it does not say.
    pub(crate) last_segment: u64,
}

/// Who the segments belong to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) store: u128,
    pub(crate) epoch: u64,
}

impl Owner {
    /// The header of a journal's first segment, in a file of so many bytes.
    pub(crate) fn first_segment(self, capacity: u64) -> SegmentHeader {
        SegmentHeader {
            number: 1,
            nonce: clock::draw_u64(),
            store: self.store,
            epoch: self.epoch,
            first_position: JournalTail::EMPTY.next_position,
            first_sequence: JournalTail::EMPTY.next_sequence,
            previous_end: 0,
            previous_crc: JournalTail::EMPTY.crc,
            previous_abandoned: false,
            committed_at: JournalTail::EMPTY.committed_at,
            capacity,
        }
    }

    /// The header of the segment behind another, in a file of so many bytes.
    pub(crate) fn segment_behind(self, last: &Segment, tail: &JournalTail, capacity: u64) -> SegmentHeader {
        SegmentHeader {
            number: last.number + 1,
            nonce: clock::draw_u64(),
            store: self.store,
            epoch: self.epoch,
            first_position: tail.next_position,
            first_sequence: tail.next_sequence,
            previous_end: last.end(),
            previous_crc: tail.crc,
            previous_abandoned: false,
            committed_at: tail.committed_at,
            capacity,
        }
    }
}
