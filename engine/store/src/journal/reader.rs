//! Walks the groups of a segment, and the events of the whole journal from a position on.
//!
//! Law: nothing is given out whose checksums, sequence or chain of checksums are not right; the
//! place where they are not is named.
//!
//! Called by `read_all` and subscriptions, by recovery, rebuild and verification.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::compressed;
use super::format;
use super::format::{GROUP_HEADER, GroupHeader, SEGMENT_HEADER};
use super::segment::{GroupStart, Segment, Segments, SparseIndex};
use crate::error::{Damage, ReadError};
use crate::files::{Files, StoreFile};
use crate::record;
use everfold_base::envelope::{Envelope, EventView};
use everfold_base::id::Position;

const CHUNK: usize = 256 * 1024;

/// A window over a file that is read forwards.
pub(crate) struct Window {
    file: Box<dyn StoreFile>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    pub(crate) fn new(file: Box<dyn StoreFile>) -> Self {
        Self { file, start: 0, bytes: Vec::new() }
    }

    /// Up to `length` bytes at `offset`; fewer at the end of the file and at `end`, behind which
    /// bytes may still change.
    pub(crate) fn get(&mut self, offset: u64, length: usize, end: u64) -> std::io::Result<&[u8]> {
        let held = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + length as u64 > held {
            let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
            self.bytes.resize(length.max(CHUNK).min(left), 0);
            let read = self.file.read_at(&mut self.bytes, offset)?;
            self.bytes.truncate(read);
            self.start = offset;
        }
        let from = usize::try_from(offset - self.start).expect("a window is far below 4 GiB");
        Ok(&self.bytes[from..self.bytes.len().min(from + length)])
    }

    /// Bytes that the last [`Self::get`] covered.
    fn held(&self, offset: u64, length: usize) -> &[u8] {
        let from = usize::try_from(offset - self.start).expect("a window is far below 4 GiB");
        &self.bytes[from..from + length]
    }
}

/// Walks one segment's groups.
pub(crate) struct GroupWalk {
    segment: Arc<Segment>,
    window: Window,
    pub(crate) offset: u64,
    sequence: u64,
    previous_crc: u32,
    position: Position,
    /// The group that was stepped over last, and its offset.
    found: Option<(GroupHeader, u64)>,
}

impl GroupWalk {
    /// Starts at the segment's first group.
    pub(crate) fn open(files: &dyn Files, segment: &Arc<Segment>) -> Result<Self, ReadError> {
        let start = GroupStart {
            position: segment.header.first_position,
            offset: SEGMENT_HEADER as u64,
            sequence: segment.header.first_sequence,
            previous_crc: segment.header.previous_crc,
        };
        Self::open_at(files, segment, start)
    }

    /// Starts at a known group.
    pub(crate) fn open_at(
        files: &dyn Files,
        segment: &Arc<Segment>,
        at: GroupStart,
    ) -> Result<Self, ReadError> {
        if let Some(damage) = &segment.damage {
            return Err(damage.clone().into());
        }
        let file = compressed::open(files, &segment.path)
            .map_err(|source| ReadError::Io { path: segment.path.clone(), source })?;
        Ok(Self {
            segment: segment.clone(),
            window: Window::new(file),
            offset: at.offset,
            sequence: at.sequence,
            previous_crc: at.previous_crc,
            position: at.position,
            found: None,
        })
    }

    /// What the next group would be entered as in an index.
    pub(crate) fn place(&self) -> GroupStart {
        GroupStart {
            position: self.position,
            offset: self.offset,
            sequence: self.sequence,
            previous_crc: self.previous_crc,
        }
    }

    /// The next group; `None` at the segment's durable end.
    pub(crate) fn next_group(&mut self) -> Result<Option<(GroupHeader, GroupPlace<'_>)>, ReadError> {
        Ok(if self.step()? { self.current() } else { None })
    }

    /// Steps over groups up to the one that holds `from` or follows it; whether there is one.
    fn skip_to(&mut self, from: Position) -> Result<bool, ReadError> {
        while self.step()? {
            if self.position > from {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Steps over one group; `false` at the segment's durable end.
    fn step(&mut self) -> Result<bool, ReadError> {
        let end = self.segment.end();
        if self.offset >= end {
            return Ok(false);
        }
        let found = self.next_within(end);
        match found.map_err(|source| ReadError::Io { path: self.segment.path.clone(), source })? {
            Ok(found) => {
                self.found = Some(found);
                Ok(true)
            }
            Err(what) => Err(ReadError::Damaged(self.damage(what))),
        }
    }

    /// The group that was stepped over last.
    fn current(&self) -> Option<(GroupHeader, GroupPlace<'_>)> {
        let (header, offset) = self.found?;
        let body = self.body_of(&header, offset);
        Some((header, GroupPlace { path: &self.segment.path, offset, body }))
    }

    /// Reads and checks the group at the offset and steps over it. The inner error says what stands
    /// there instead of a valid group.
    pub(crate) fn next_within(&mut self, end: u64) -> std::io::Result<Result<(GroupHeader, u64), String>> {
        let (nonce, offset) = (self.segment.header.nonce, self.offset);
        let bytes = self.window.get(offset, GROUP_HEADER, end)?;
        let Some((header, crc)) = GroupHeader::decode(bytes, nonce, offset) else {
            return Ok(Err("no valid group header".into()));
        };
        if header.body_bytes as usize > format::GROUP_BODY_MAX || offset + header.length() > end {
            return Ok(Err(format!("a group of {} bytes that does not fit", header.body_bytes)));
        }
        let whole = self.window.get(offset, GROUP_HEADER + header.body_bytes as usize, end)?;
        let body = whole.get(GROUP_HEADER..).unwrap_or_default();
        if body.len() != header.body_bytes as usize {
            return Ok(Err("the file ends inside a group".into()));
        }
        if format::body_crc(nonce, offset, body) != header.body_crc {
            return Ok(Err(format!("group {} fails its checksum", header.sequence)));
        }
        if header.sequence != self.sequence
            || header.previous_crc != self.previous_crc
            || header.first_position != self.position
        {
            return Ok(Err(format!(
                "group {} at position {} stands where group {} at position {} belongs",
                header.sequence, header.first_position, self.sequence, self.position
            )));
        }
        self.offset += header.length();
        self.sequence += 1;
        self.previous_crc = crc;
        self.position = header.next_position();
        Ok(Ok((header, offset)))
    }

    /// Whether the bytes behind a group, up to where the next one may begin, are the zeros that were written.
    pub(crate) fn is_padded_with_zeros(
        &mut self,
        header: &GroupHeader,
        offset: u64,
        end: u64,
    ) -> std::io::Result<bool> {
        let length = usize::try_from(header.length()).expect("a group is far below 4 GiB");
        let whole = self.window.get(offset, length, end)?;
        let padding = whole.get(GROUP_HEADER + header.body_bytes as usize..).unwrap_or_default();
        Ok(padding.iter().all(|byte| *byte == 0))
    }

    /// The body of the group that was stepped over last.
    pub(crate) fn body_of(&self, header: &GroupHeader, offset: u64) -> &[u8] {
        self.window.held(offset + GROUP_HEADER as u64, header.body_bytes as usize)
    }

    /// What is wrong at the offset, with what the file itself knows of that place.
    pub(crate) fn explained(&mut self, what: String) -> String {
        let offset = self.offset;
        let header = self.window.get(offset, GROUP_HEADER, self.segment.end()).unwrap_or_default();
        let group = GroupHeader::decode(header, self.segment.header.nonce, offset);
        let length = group.map_or(GROUP_HEADER as u64, |(header, _)| header.length());
        match self.window.file.damage_in(offset..offset.saturating_add(length)) {
            Some(damage) => format!("{what}: {damage}"),
            None => what,
        }
    }

    fn damage(&mut self, what: String) -> Damage {
        Damage {
            file: self.segment.path.clone(),
            offset: self.offset,
            what: self.explained(what),
            positions: Some((self.position, self.position)),
        }
    }
}

/// Where a group lies.
pub(crate) struct GroupPlace<'a> {
    pub(crate) path: &'a Path,
    pub(crate) offset: u64,
    pub(crate) body: &'a [u8],
}

/// Walks the groups of the whole journal, from the one that holds a position on.
pub(crate) struct JournalGroups {
    files: Arc<dyn Files>,
    segments: Segments,
    from: Position,
    walk: Option<GroupWalk>,
}

impl JournalGroups {
    pub(crate) fn new(files: Arc<dyn Files>, segments: Segments, from: Position) -> Self {
        Self { files, segments, from, walk: None }
    }

    /// The next group that ends behind the position asked for; `None` at the durable end.
    pub(crate) fn next(&mut self) -> Result<Option<(GroupHeader, GroupPlace<'_>)>, ReadError> {
        if self.walk.is_none() {
            self.walk = self.seek()?;
        }
        loop {
            let Some(walk) = &mut self.walk else { return Ok(None) };
            match walk.skip_to(self.from)? {
                true => break,
                false => match self.segments.after(walk.segment.number) {
                    // It may have grown before it got a successor.
                    Some(_) if walk.offset < walk.segment.end() => {}
                    Some(next) => *walk = GroupWalk::open(self.files.as_ref(), &next)?,
                    None => return Ok(None),
                },
            }
        }
        let walk = self.walk.as_mut().expect("the loop above ends with a walk");
        Ok(walk.current())
    }

    /// The group that [`Self::next`] gave last.
    fn current(&self) -> Option<(GroupHeader, GroupPlace<'_>)> {
        self.walk.as_ref()?.current()
    }

    /// Opens the segment that holds the first position, near that position.
    fn seek(&self) -> Result<Option<GroupWalk>, ReadError> {
        let Some(segment) = self.segments.holding(self.from) else { return Ok(None) };
        let walk = match index(self.files.as_ref(), &segment, self.from)? {
            Some(entry) => GroupWalk::open_at(self.files.as_ref(), &segment, entry)?,
            None => GroupWalk::open(self.files.as_ref(), &segment)?,
        };
        Ok(Some(walk))
    }
}

/// Goes through the records of groups, one at a time.
struct Records {
    groups: JournalGroups,
    /// Within the group that was read last.
    inside: Option<Inside>,
}

/// A place between two records of a group.
struct Inside {
    /// Where the next record stands in the group's body, and where that ends.
    at: usize,
    end: usize,
    /// The position of the next record's first event.
    first: Position,
}

/// The record of an append, where it lies.
struct JournalRecord<'a> {
    bytes: &'a [u8],
    first: Position,
    group: GroupHeader,
    place: GroupPlace<'a>,
}

impl Records {
    /// The next record; the same again until it was [stepped](Self::step) over. `None` at the durable end.
    fn next(&mut self) -> Result<Option<JournalRecord<'_>>, ReadError> {
        while self.inside.as_ref().is_none_or(|inside| inside.at == inside.end) {
            let Some((group, place)) = self.groups.next()? else { return Ok(None) };
            self.inside = Some(Inside { at: 0, end: place.body.len(), first: group.first_position });
        }
        let inside = self.inside.as_ref().expect("the loop above ends inside of a group");
        let (group, place) = self.groups.current().expect("a group was read");
        let mut records = format::records(&place.body[inside.at..]);
        let record = records.next().expect("there are bytes behind the place");
        let first = inside.first;
        match record {
            Ok(bytes) => Ok(Some(JournalRecord { bytes, first, group, place })),
            Err(what) => Err(damage(&place, first, what).into()),
        }
    }

    /// Steps over a record of so many bytes and events.
    fn step(&mut self, bytes: usize, events: u64) {
        if let Some(inside) = &mut self.inside {
            inside.at += format::RECORD_LENGTH + bytes;
            inside.first = Position(inside.first.0 + events);
        }
    }
}

fn damage(place: &GroupPlace<'_>, first: Position, what: String) -> Damage {
    Damage { file: place.path.to_owned(), offset: place.offset, what, positions: Some((first, first)) }
}

/// Reads events in the order of their positions, keeping its place between calls.
pub(crate) struct JournalCursor {
    records: Records,
    next: Position,
    /// Events of a record that was read and not given out yet.
    held: VecDeque<Arc<Envelope>>,
}

impl JournalCursor {
    /// Stands before the event at `from`.
    pub(crate) fn new(files: Arc<dyn Files>, segments: Segments, from: Position) -> Self {
        let next = from.max(Position::FIRST);
        let records = Records { groups: JournalGroups::new(files, segments, next), inside: None };
        Self { records, next, held: VecDeque::new() }
    }

    /// The position of the next event.
    pub(crate) fn position(&self) -> Position {
        self.next
    }

    /// Up to `limit` events up to and with the position `last`, fewer once they pass `bytes_max`; none
    /// where there are none.
    pub(crate) fn next_events(
        &mut self,
        last: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Envelope>>, ReadError> {
        let mut events = Vec::new();
        let mut bytes = 0;
        while self.next <= last && events.len() < limit && bytes < bytes_max {
            if self.held.is_empty() && !self.read_record()? {
                break;
            }
            while events.len() < limit
                && bytes < bytes_max
                && self.held.front().is_some_and(|event| event.position <= last)
                && let Some(event) = self.held.pop_front()
            {
                bytes += event.payload.len();
                self.next = event.position.next();
                events.push(event);
            }
        }
        Ok(events)
    }

    fn read_record(&mut self) -> Result<bool, ReadError> {
        let Some(record) = self.records.next()? else { return Ok(false) };
        let decoded = record::decode(record.bytes, record.first, record.group.committed_at);
        let (_, batch) = decoded.map_err(|what| damage(&record.place, record.first, what))?;
        let (bytes, count) = (record.bytes.len(), batch.len() as u64);
        self.records.step(bytes, count);
        self.held.extend(batch.into_iter().filter(|event| event.position >= self.next).map(Arc::new));
        Ok(true)
    }

    /// Calls `each` with the events up to and with the position `last` where they lie: those of whole appends, until `limit` events
    /// or `bytes_max` bytes were shown. Nothing is shown where there are none.
    pub(crate) fn show_events(
        &mut self,
        last: Position,
        limit: usize,
        bytes_max: usize,
        each: &mut dyn FnMut(&EventView<'_>),
    ) -> Result<(), ReadError> {
        let (mut shown, mut bytes) = (0, 0);
        while self.held.front().is_some_and(|event| event.position <= last)
            && let Some(event) = self.held.pop_front()
        {
            self.next = event.position.next();
            each(&EventView::from(&*event));
            shown += 1;
        }
        while self.held.is_empty() && self.next <= last && shown < limit && bytes < bytes_max {
            let from = self.next;
            let Some(record) = self.records.next()? else { break };
            let count = record::show(record.bytes, record.first, |event| {
                if event.position >= from {
                    shown += 1;
                    bytes += event.payload.len();
                    each(event);
                }
            });
            let count = count.map_err(|what| damage(&record.place, record.first, what))?;
            let (length, first) = (record.bytes.len(), record.first);
            self.records.step(length, count);
            self.next = self.next.max(Position(first.0 + count));
        }
        Ok(())
    }
}

/// Where to start reading in a segment for a position; walks the segment once if it has no index.
fn index(
    files: &dyn Files,
    segment: &Arc<Segment>,
    position: Position,
) -> Result<Option<GroupStart>, ReadError> {
    let mut held = segment.index.lock().unwrap_or_else(PoisonError::into_inner);
    if held.is_none() {
        let mut index = SparseIndex::default();
        let mut walk = GroupWalk::open(files, segment)?;
        loop {
            let place = walk.place();
            match walk.next_group() {
                Ok(Some(_)) => index.offer(place),
                // A damaged group ends the index; a reader that reaches it gets the error.
                Ok(None) | Err(ReadError::Damaged(_)) => break,
                Err(error) => return Err(error),
            }
        }
        *held = Some(index);
    }
    Ok(held.as_ref().and_then(|index| index.before(position)))
}
