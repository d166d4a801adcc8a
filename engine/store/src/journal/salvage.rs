//! Walks a journal as far as it can be read, over damage, which it names.
//!
//! Law: every group that is given out is whole; every position is either given out or named as lost.
//!
//! Called by verification and repair. Unlike recovery it never ends at the first fault.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compressed;
use super::format;
use super::format::{ALIGNMENT, GROUP_HEADER, GroupHeader, SEGMENT_HEADER, SegmentHeader};
use super::reader::{GroupPlace, GroupWalk, Window};
use super::recover;
use super::recover::TornTail;
use super::segment;
use super::segment::{GroupStart, Segment};
use super::tail::ExpectedJournal;
use crate::error::{Damage, OpenError, ReadError};
use crate::files::Files;
use crate::manifest::JournalEnd;
use everfold_base::id::Position;

/// What the walk meets.
pub(crate) enum SalvageItem<'a> {
    Group(GroupHeader, GroupPlace<'a>),
    Lost(Damage),
    /// Bytes between two groups that are not the zeros that were written; no event is concerned.
    Padding(TornTail),
    /// Bytes of a write that was never acknowledged, at the journal's end.
    Unfinished(TornTail),
    /// Bytes that the last segment's file lacks at its end, and that no group had come to, in words.
    Unused(String),
    /// Bytes behind the end of a sealed segment that are not the zeros that were written; no event is concerned.
    Behind(TornTail),
    /// One of the two copies of the lengths of a compressed segment's blocks is not what was written. Whether the segment
    /// can be read as a whole all the same: then no event is concerned.
    Lengths {
        damage: Damage,
        is_readable: bool,
    },
}

/// Where a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WalkEnd {
    /// The position behind the last group.
    pub(crate) next: Position,
    /// The last group's checksum, where no damage lies behind it.
    pub(crate) crc: Option<u32>,
    /// The file in which the last group ends, and the byte behind it; none where no group was found.
    pub(crate) place: Option<(PathBuf, u64)>,
    /// The journal's end is lost: how far it went is not known from what is left of it.
    pub(crate) lacks_end: bool,
}

impl WalkEnd {
    /// What is wrong where `store.json` names another group as the last one: a start refuses such a folder.
    pub(crate) fn other_than(&self, known: &JournalEnd) -> Option<String> {
        let is_there = known.segment > 0 && known.position.next() == self.next;
        let is_other = self.crc.is_some_and(|crc| crc != known.crc);
        let what = "it names another last group than the journal has: one of the two was altered, or is another store's";
        (is_there && is_other).then(|| what.to_owned())
    }
}

/// Visits all groups of a journal up to the position `last`.
pub(crate) fn walk(
    files: &dyn Files,
    folder: &Path,
    expected: ExpectedJournal,
    last: Position,
    visit: &mut dyn FnMut(SalvageItem<'_>) -> Result<(), ReadError>,
) -> Result<WalkEnd, ReadError> {
    let (numbers, _) = recover::list(folder).map_err(unreadable)?;
    let mut headers = Vec::with_capacity(numbers.len());
    for number in &numbers {
        headers.push(recover::read_header(files, folder, *number, expected.store).map_err(unreadable)?);
    }
    let mut walk = SalvageWalk {
        files,
        folder,
        visit,
        expected,
        next: Position::FIRST,
        crc: Some(0),
        place: None,
        lacks_end: false,
        last,
    };
    let mut wanted = 1;
    for (index, (&number, header)) in numbers.iter().zip(&headers).enumerate() {
        let following = headers.get(index + 1).and_then(|header| header.as_ref().ok());
        let until = following.map(|header| header.first_position);
        while wanted < number {
            let until = header.as_ref().map_or(until, |header| Some(header.first_position));
            walk.lose(folder.join(segment::file_name(wanted)), 0, "the segment is missing".into(), until)?;
            wanted += 1;
        }
        wanted = number + 1;
        match header {
            Err(damage) => walk.lose(damage.file.clone(), 0, damage.what.clone(), until)?,
            Ok(header) => {
                let next = following.filter(|next| next.number == number + 1);
                walk.segment(header, next, index + 1 == numbers.len())?;
            }
        }
        if walk.next > last {
            return Ok(walk.end());
        }
    }
    let is_named = match (headers.last(), expected.was_copied_in_use) {
        (Some(Ok(header)), false) => walk.successor(header)?,
        _unknown => false,
    };
    let lacks_last = numbers.last().is_some_and(|number| *number < expected.last_segment);
    if lacks_last && !is_named && !walk.is_at_close() {
        let what = "the segment is missing, and the store's description names it as the last one".to_owned();
        walk.lose(folder.join(segment::file_name(expected.last_segment)), 0, what, None)?;
    }
    Ok(walk.end())
}

fn unreadable(error: OpenError) -> ReadError {
    match error {
        OpenError::Damaged(damage) => damage.into(),
        OpenError::Io { path, source } => ReadError::Io { path, source },
        other => ReadError::Index(other.to_string()),
    }
}

struct SalvageWalk<'a> {
    files: &'a dyn Files,
    folder: &'a Path,
    visit: &'a mut dyn FnMut(SalvageItem<'_>) -> Result<(), ReadError>,
    expected: ExpectedJournal,
    next: Position,
    /// The last group's checksum, where no damage lies between.
    crc: Option<u32>,
    /// The number of the segment in which the last group ends, and the byte behind it.
    place: Option<(u64, u64)>,
    lacks_end: bool,
    last: Position,
}

impl SalvageWalk<'_> {
    fn end(&self) -> WalkEnd {
        let place = self.place.map(|(number, end)| (self.folder.join(segment::file_name(number)), end));
        WalkEnd { next: self.next, crc: self.crc, place, lacks_end: self.lacks_end }
    }

    /// Whether everything was found that the store had when it was closed in order.
    fn is_at_close(&self) -> bool {
        self.expected.closed_at.is_some_and(|position| position.next() == self.next)
    }

    /// Names what is lost, up to the position where the log goes on, if that is known.
    fn lose(
        &mut self,
        file: PathBuf,
        offset: u64,
        what: String,
        until: Option<Position>,
    ) -> Result<(), ReadError> {
        let positions = match until {
            Some(until) if until > self.next => Some((self.next, Position(until.0 - 1))),
            // Two faults in a row: the first one has named the positions.
            Some(_) => None,
            None => Some((self.next, self.next)),
        };
        self.next = until.map_or(self.next, |until| until.max(self.next));
        self.crc = None;
        self.lacks_end |= until.is_none();
        (self.visit)(SalvageItem::Lost(Damage { file, offset, what, positions }))
    }

    fn segment(
        &mut self,
        header: &SegmentHeader,
        next: Option<&SegmentHeader>,
        is_last: bool,
    ) -> Result<(), ReadError> {
        let path = self.folder.join(segment::file_name(header.number));
        let failed = |source| ReadError::Io { path: path.clone(), source };
        if header.first_position != self.next || self.crc.is_some_and(|crc| crc != header.previous_crc) {
            let what =
                format!("the segment goes on at position {}, not {}", header.first_position, self.next);
            self.lose(path.clone(), 0, what, Some(header.first_position))?;
        }
        let length = compressed::open(self.files, &path).and_then(|file| file.length()).map_err(failed)?;
        let end = next.map_or(length, |next| next.previous_end);
        self.lengths(&path, next.map(|next| next.previous_end))?;
        let segment = Arc::new(Segment::new(self.folder, *header, end, None));
        let mut groups = GroupWalk::open(self.files, &segment)?;
        (self.next, self.crc) = (header.first_position, Some(header.previous_crc));
        // What was lost before it ends here.
        self.lacks_end = false;
        while groups.offset < end && self.next <= self.last {
            match groups.next_within(end).map_err(failed)? {
                Ok((group, offset)) => {
                    let place = groups.place();
                    (self.next, self.crc) = (place.position, Some(place.previous_crc));
                    self.place = Some((header.number, place.offset));
                    let is_padded = groups.is_padded_with_zeros(&group, offset, end).map_err(failed)?;
                    let from = offset + GROUP_HEADER as u64 + u64::from(group.body_bytes);
                    let body = groups.body_of(&group, offset);
                    (self.visit)(SalvageItem::Group(group, GroupPlace { path: &path, offset, body }))?;
                    if !is_padded {
                        let padding = TornTail { path: path.clone(), from, to: groups.offset };
                        (self.visit)(SalvageItem::Padding(padding))?;
                    }
                }
                Err(what) => {
                    let (offset, what) = (groups.offset, groups.explained(what));
                    match self.resume(&segment, offset, end)? {
                        Some(at) => {
                            self.lose(path.clone(), offset, what, Some(at.position))?;
                            self.crc = Some(at.previous_crc);
                            groups = GroupWalk::open_at(self.files, &segment, at)?;
                        }
                        None if is_last => return self.ending(&path, header, groups.place(), (length, what)),
                        // Where its successor's header is damaged, only the zeros say where it ends.
                        None if next.is_none() && self.is_zero(&path, header, offset, length)? => {
                            return Ok(());
                        }
                        None => {
                            return self.lose(path, offset, what, next.map(|next| next.first_position));
                        }
                    }
                }
            }
        }
        if is_last && groups.offset >= end {
            return self.ending(&path, header, groups.place(), (length, String::new()));
        }
        // Behind an end that was given up after a failed sync anything may stand.
        if next.is_some_and(|next| !next.previous_abandoned) {
            let rest = recover::Rest::look(self.files, &path, header, end, length).map_err(unreadable)?;
            if let Some(to) = rest.last_nonzero {
                (self.visit)(SalvageItem::Behind(TornTail { path, from: end, to }))?;
            }
        }
        Ok(())
    }

    /// Names the segment that is missing behind the last one: what is compressed had a successor. Whether there is one to name.
    fn successor(&mut self, last: &SegmentHeader) -> Result<bool, ReadError> {
        let path = self.folder.join(segment::file_name(last.number));
        let is_sealed = compressed::is_compressed(self.files, &path);
        if !is_sealed.map_err(|source| ReadError::Io { path: path.clone(), source })? {
            return Ok(false);
        }
        let what = format!("{} is compressed, so it had a successor, and this is missing", path.display());
        self.lose(self.folder.join(segment::file_name(last.number + 1)), 0, what, None)?;
        Ok(true)
    }

    /// Names damage to the lengths of a compressed segment's blocks, which stand twice: one of the two may fail, but not
    /// without a word, since the other is all that is left then.
    fn lengths(&mut self, path: &Path, end: Option<u64>) -> Result<(), ReadError> {
        let found = compressed::damaged_lengths(self.files, path, end)
            .map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        let Some(found) = found else { return Ok(()) };
        let is_readable = found.is_readable;
        let kept = if is_readable {
            "; everything in the segment can be read, and `store repair` writes it anew"
        } else {
            ""
        };
        for (offset, what) in found.places {
            let damage =
                Damage { file: path.to_owned(), offset, what: format!("{what}{kept}"), positions: None };
            (self.visit)(SalvageItem::Lengths { damage, is_readable })?;
        }
        Ok(())
    }

    /// The next whole group behind a bad one.
    fn resume(&self, segment: &Segment, from: u64, end: u64) -> Result<Option<GroupStart>, ReadError> {
        let failed = |source| ReadError::Io { path: segment.path.clone(), source };
        let mut window = Window::new(compressed::open(self.files, &segment.path).map_err(failed)?);
        let nonce = segment.header.nonce;
        let mut offset = from.max(SEGMENT_HEADER as u64) + ALIGNMENT;
        while offset < end {
            let bytes = window.get(offset, GROUP_HEADER, end).map_err(failed)?;
            if bytes.len() < GROUP_HEADER {
                break; // The file is cut here.
            }
            if let Some((header, _)) = GroupHeader::decode(bytes, nonce, offset) {
                let whole = GROUP_HEADER + header.body_bytes as usize;
                let body = window.get(offset, whole, end).map_err(failed)?.get(GROUP_HEADER..whole);
                if body.is_some_and(|body| format::body_crc(nonce, offset, body) == header.body_crc) {
                    return Ok(Some(GroupStart {
                        position: header.first_position,
                        offset,
                        sequence: header.sequence,
                        previous_crc: header.previous_crc,
                    }));
                }
            }
            offset += ALIGNMENT;
        }
        Ok(None)
    }

    fn is_zero(
        &self,
        path: &Path,
        header: &SegmentHeader,
        offset: u64,
        length: u64,
    ) -> Result<bool, ReadError> {
        let rest = recover::Rest::look(self.files, path, header, offset, length).map_err(unreadable)?;
        Ok(rest.last_nonzero.is_none())
    }

    /// What stands behind the last group of the last segment, up to where its file ends, and what is no group there.
    fn ending(
        &mut self,
        path: &Path,
        header: &SegmentHeader,
        end: GroupStart,
        (length, what): (u64, String),
    ) -> Result<(), ReadError> {
        let is_sealed = compressed::is_compressed(self.files, path);
        if is_sealed.map_err(|source| ReadError::Io { path: path.to_owned(), source })? {
            // It holds groups up to its very end.
            return if end.offset < length {
                self.lose(path.to_owned(), end.offset, what, None)
            } else {
                Ok(())
            };
        }
        let rest = recover::Rest::look(self.files, path, header, end.offset, length).map_err(unreadable)?;
        if let Some(what) = rest.lacks_groups(header, &end, length, self.expected) {
            return self.lose(path.to_owned(), end.offset, what, None);
        }
        if length < header.capacity {
            (self.visit)(SalvageItem::Unused(recover::Rest::lacks_unused(path, header, length)))?;
        }
        match rest.last_nonzero {
            Some(to) => {
                let (path, from) = (path.to_owned(), end.offset);
                (self.visit)(SalvageItem::Unfinished(TornTail { path, from, to }))
            }
            None => Ok(()),
        }
    }
}
