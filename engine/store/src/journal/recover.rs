//! Finds the end of a journal as it lies on disk.
//!
//! Law: a survey changes nothing. It passes over nothing either: what is not a valid group is a torn
//! tail only where it is the very last thing, no valid group follows, and `store.json` does not say that more was
//! there. Everything else is an error that names file, offset and positions.
//!
//! Called when a store is opened, verified or repaired.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compressed;
use super::format;
use super::format::{ALIGNMENT, BadHeader, GROUP_HEADER, GroupHeader, SEGMENT_HEADER, SegmentHeader};
use super::reader::{GroupWalk, Window};
use super::segment;
use super::segment::{GroupStart, Segment, Segments, SparseIndex};
use super::tail::{ExpectedJournal, JournalTail};
use crate::error::{Damage, OpenError};
use crate::files::{FileAccess, Files, StoreFile};
use everfold_base::id::Position;
use everfold_base::time::Timestamp;

/// What a journal's folder holds.
pub(crate) struct Survey {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) tail: JournalTail,
    /// Bytes behind the last group that are neither a group nor zero.
    pub(crate) torn: Option<TornTail>,
    /// The last segment takes no more, as where the next one is not in a copy.
    pub(crate) ends_sealed: bool,
    /// Temporary files that nothing needs.
    pub(crate) leftovers: Vec<PathBuf>,
    pub(crate) warnings: Vec<String>,
}

/// The remains of a write that was under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TornTail {
    pub(crate) path: PathBuf,
    /// The first byte that belongs to no group.
    pub(crate) from: u64,
    /// Behind the last byte that is not zero.
    pub(crate) to: u64,
}

impl std::fmt::Display for TornTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, from, to } = self;
        write!(
            f,
            "{} ends in an unfinished write: bytes {from} to {to} were never acknowledged",
            path.display()
        )
    }
}

impl TornTail {
    /// The same bytes as damage between two groups.
    pub(crate) fn between_groups(&self) -> Damage {
        let what = format!(
            "bytes {} to {} between two groups are not the zeros that were written; no event is concerned",
            self.from, self.to
        );
        Damage { file: self.path.clone(), offset: self.from, what, positions: None }
    }

    /// The same bytes as what is left where acknowledged groups are missing.
    pub(crate) fn of_what_is_missing(&self) -> String {
        let Self { path, from, to } = self;
        format!("{} ends in no whole group: bytes {from} to {to} are left of what is missing", path.display())
    }

    /// The same bytes as damage behind the end at which a store was closed.
    pub(crate) fn behind_close(&self) -> Damage {
        let what = format!(
            "bytes {} to {} stand behind the end at which the store was closed; `store repair` overwrites them with zeros",
            self.from, self.to
        );
        Damage { file: self.path.clone(), offset: self.from, what, positions: None }
    }

    /// The same bytes as what stands behind the end of a sealed segment, where nothing is read.
    pub(crate) fn behind_segment(&self) -> String {
        let Self { path, from, to } = self;
        format!(
            "{}: bytes {from} to {to}, behind the segment's end, are not the zeros that were written; no event is concerned",
            path.display()
        )
    }

    /// Overwrites the remains with zeros, durably.
    pub(crate) fn overwrite(&self, file: &dyn StoreFile) -> io::Result<()> {
        const CHUNK: u64 = 64 * 1024;
        let zeros = [0; CHUNK as usize];
        let mut offset = self.from;
        while offset < self.to {
            let length = (self.to - offset).min(CHUNK);
            file.write_at(&zeros[..usize::try_from(length).unwrap_or(zeros.len())], offset)?;
            offset += length;
        }
        file.sync()
    }
}

impl Survey {
    /// The shared list of the segments.
    pub(crate) fn segment_list(&self) -> Segments {
        Segments::new(self.segments.clone())
    }
}

/// Looks a journal's folder through; `None` where it holds no segment.
pub(crate) fn survey(
    files: &dyn Files,
    folder: &Path,
    expected: ExpectedJournal,
) -> Result<Option<Survey>, OpenError> {
    let (numbers, leftovers) = list(folder)?;
    if numbers.is_empty() && leftovers.is_empty() {
        return Ok(None);
    }
    let mut headers = Vec::with_capacity(numbers.len());
    for number in &numbers {
        headers.push(read_header(files, folder, *number, expected.store)?);
    }
    refuse_gaps(folder, &numbers, &headers)?;
    if numbers.is_empty() {
        let (segments, warnings) = (Vec::new(), Vec::new());
        let tail = JournalTail::EMPTY;
        return Ok(Some(Survey { segments, tail, torn: None, ends_sealed: false, leftovers, warnings }));
    }
    let mut survey = Survey {
        segments: Vec::new(),
        tail: JournalTail::EMPTY,
        torn: None,
        ends_sealed: false,
        leftovers,
        warnings: Vec::new(),
    };
    let last = headers.len() - 1;
    for (index, header) in headers.iter().enumerate() {
        let number = numbers[index];
        match header {
            Ok(header) if index == last => survey.end_with(files, folder, header, expected)?,
            Ok(header) => {
                let next = headers[index + 1].as_ref().ok();
                survey.seal(files, folder, header, next)?;
            }
            Err(damage) if index == last => return Err(damage.clone().into()),
            Err(damage) => survey.set_aside(folder, number, damage),
        }
    }
    Ok(Some(survey))
}

type Headers = Vec<Result<SegmentHeader, Damage>>;

fn refuse_gaps(folder: &Path, numbers: &[u64], headers: &Headers) -> Result<(), OpenError> {
    let mut expected = 1;
    for (index, &number) in numbers.iter().enumerate() {
        if number != expected {
            let before = index.checked_sub(1).and_then(|index| headers[index].as_ref().ok());
            // The exact end of the segment before the gap stood in the header that is missing.
            let first = before.map_or(Position::FIRST, |header| header.first_position);
            let last = headers[index]
                .as_ref()
                .map_or(Position(u64::MAX), |header| Position(header.first_position.0.saturating_sub(1)));
            let missing = segment::file_name(expected);
            let what = match before {
                None => format!("the segment {missing} is missing"),
                Some(_) => format!(
                    "the segment {missing} is missing; the positions are counted from the start of the \
                     segment before it"
                ),
            };
            return Err(OpenError::Missing { folder: folder.to_owned(), first, last, what });
        }
        expected = number + 1;
    }
    Ok(())
}

/// The segment numbers in a journal's folder, and the temporary files beside them.
pub(crate) fn list(folder: &Path) -> Result<(Vec<u64>, Vec<PathBuf>), OpenError> {
    let failed = |source| OpenError::Io { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        other => other.map_err(failed)?,
    };
    let (mut numbers, mut leftovers) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if let Some(number) = segment::number_of(&name) {
            numbers.push(number);
        } else if name.ends_with(".tmp") {
            leftovers.push(entry.path());
        }
    }
    numbers.sort_unstable();
    Ok((numbers, leftovers))
}

/// The names in a journal's folder of files that are neither segments nor temporary.
pub(crate) fn others(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names
        .retain(|name| segment::number_of(name).is_none() && !name.ends_with(".tmp") && name != "lost+found");
    names.sort_unstable();
    names
}

/// The store that the segments of a journal name: that of the first header that can be read.
pub(crate) fn store_named(files: &dyn Files, folder: &Path) -> Result<Option<u128>, OpenError> {
    for number in list(folder)?.0 {
        if let Ok(header) = read_header(files, folder, number, None)? {
            return Ok(Some(header.store));
        }
    }
    Ok(None)
}

/// A segment's header; the inner error says what stands there instead.
pub(crate) fn read_header(
    files: &dyn Files,
    folder: &Path,
    number: u64,
    store: Option<u128>,
) -> Result<Result<SegmentHeader, Damage>, OpenError> {
    let path = folder.join(segment::file_name(number));
    let failed = |source| OpenError::Io { path: path.clone(), source };
    let file = files.open(&path, FileAccess::Read).map_err(failed)?;
    let mut bytes = [0; SEGMENT_HEADER];
    let read = file.read_at(&mut bytes, 0).map_err(failed)?;
    let damage = |what: String| Damage { file: path.clone(), offset: 0, what, positions: None };
    Ok(match SegmentHeader::decode(&bytes[..read]) {
        Err(BadHeader::TooNew(found)) => {
            let folder = folder.to_owned();
            return Err(OpenError::TooNew { folder, found, known: format::COMPRESSED_FORMAT });
        }
        Err(BadHeader::Damaged(what)) => Err(damage(what)),
        Ok(header) if header.number != number => {
            Err(damage(format!("this is segment {} under the name of segment {number}", header.number)))
        }
        Ok(header) if store.is_some_and(|store| store != header.store) => {
            let (named, wanted) = (header.store, store.unwrap_or_default());
            Err(damage(format!(
                "this is a segment of another store: {named:032x}, and store.json is of {wanted:032x}"
            )))
        }
        Ok(header) => Ok(header),
    })
}

impl Survey {
    /// A segment with a successor: the successor's header says where it ends.
    fn seal(
        &mut self,
        files: &dyn Files,
        folder: &Path,
        header: &SegmentHeader,
        next: Option<&SegmentHeader>,
    ) -> Result<(), OpenError> {
        let path = folder.join(segment::file_name(header.number));
        let failed = |source| OpenError::Io { path: path.clone(), source };
        let length = compressed::open(files, &path).and_then(|file| file.length()).map_err(failed)?;
        let end = match next {
            Some(next) => next.previous_end,
            // Its successor's header is damaged: the groups themselves tell, as far as they go.
            None => {
                let segment = Arc::new(Segment::new(folder, *header, length, None));
                let mut walk = GroupWalk::open(files, &segment).map_err(OpenError::from_journal)?;
                while walk.next_within(length).map_err(failed)?.is_ok() {}
                walk.offset
            }
        };
        if length < end {
            self.warnings.push(format!(
                "{} is cut: {length} bytes are left of {end}; what it held is missing from the log",
                path.display()
            ));
        }
        self.segments.push(Arc::new(Segment::new(folder, *header, end, None)));
        Ok(())
    }

    /// A segment with a damaged header and a successor: named, and never read.
    fn set_aside(&mut self, folder: &Path, number: u64, damage: &Damage) {
        self.warnings.push(format!("{damage}; what it held is missing from the log"));
        // Its place in the order is all that is known; the segment before it has a position before.
        let first_position = self.segments.last().map_or(Position::FIRST, |before| {
            Position(before.header.first_position.0 + u64::from(before.end() > SEGMENT_HEADER as u64))
        });
        let header = SegmentHeader {
            number,
            nonce: 0,
            store: 0,
            epoch: 0,
            first_position,
            first_sequence: 0,
            previous_end: 0,
            previous_crc: 0,
            previous_abandoned: false,
            committed_at: Timestamp(0),
            capacity: 0,
        };
        let mut segment = Segment::new(folder, header, 0, None);
        segment.damage = Some(damage.clone());
        self.segments.push(Arc::new(segment));
    }

    /// The last segment: its groups themselves tell where it ends.
    fn end_with(
        &mut self,
        files: &dyn Files,
        folder: &Path,
        header: &SegmentHeader,
        expected: ExpectedJournal,
    ) -> Result<(), OpenError> {
        let path = folder.join(segment::file_name(header.number));
        let failed = |source| OpenError::Io { path: path.clone(), source };
        let length = compressed::open(files, &path).and_then(|file| file.length()).map_err(failed)?;
        let walked = Arc::new(Segment::new(folder, *header, length, None));
        let mut walk = GroupWalk::open(files, &walked).map_err(OpenError::from_journal)?;
        let mut index = SparseIndex::default();
        let mut committed_at = header.committed_at;
        let found = loop {
            let place = walk.place();
            if place.offset >= length {
                break "the file ends here".to_owned();
            }
            match walk.next_within(length).map_err(failed)? {
                Ok((group, _)) => {
                    index.offer(place);
                    committed_at = group.committed_at;
                }
                Err(what) => break what,
            }
        };
        let end = walk.place();
        self.ends_sealed = compressed::is_compressed(files, &path).map_err(failed)?;
        if self.ends_sealed && !expected.was_copied_in_use {
            let missing = segment::file_name(header.number + 1);
            let what =
                format!("{} is compressed, so it had a successor, and {missing} is missing", path.display());
            let (first, last) = (end.position, end.position);
            return Err(OpenError::Missing { folder: folder.to_owned(), first, last, what });
        }
        let damaged = |what: String| {
            let positions = Some((end.position, end.position));
            OpenError::Damaged(Damage { file: path.clone(), offset: end.offset, what, positions })
        };
        if self.ends_sealed && end.offset < length {
            return Err(damaged(found));
        }
        let rest = Rest::look(files, &path, header, end.offset, length)?;
        if let Some(offset) = rest.valid_group_at {
            return Err(damaged(format!("{found}, and a valid group follows at byte {offset}")));
        }
        if self.ends_sealed {
            self.warnings.push(format!(
                "{} was sealed while the folder was copied: what was written behind it is not in the copy",
                path.display()
            ));
        } else if length < header.capacity {
            if let Some(what) = rest.lacks_groups(header, &end, length, expected) {
                return Err(damaged(what));
            }
            self.warnings
                .push(format!("{}; they are written anew", Rest::lacks_unused(&path, header, length)));
        }
        if let Some(to) = rest.last_nonzero {
            self.torn = Some(TornTail { path: path.clone(), from: end.offset, to });
        }
        self.tail = JournalTail {
            next_sequence: end.sequence,
            crc: end.previous_crc,
            next_position: end.position,
            committed_at,
        };
        self.segments.push(Arc::new(Segment::new(folder, *header, end.offset, Some(index))));
        Ok(())
    }
}

const ZEROS: [u8; 4096] = [0; 4096];

/// What stands behind the last valid group.
pub(crate) struct Rest {
    pub(crate) valid_group_at: Option<u64>,
    /// Behind the last byte that is not zero.
    pub(crate) last_nonzero: Option<u64>,
}

impl Rest {
    /// What is wrong with the file of the last segment, of so many bytes, where it is shorter than it was made and groups may
    /// have stood in what it lacks. None did where zeros follow the last group, nor where the store was closed behind it.
    pub(crate) fn lacks_groups(
        &self,
        header: &SegmentHeader,
        end: &GroupStart,
        length: u64,
        expected: ExpectedJournal,
    ) -> Option<String> {
        let next_fits = end.offset + ALIGNMENT <= header.capacity;
        let was_closed = expected.closed_at.is_some_and(|position| position.next() == end.position);
        let is_cut_at_group = length < end.offset + ALIGNMENT && next_fits && !was_closed;
        let lacks = length < header.capacity && (self.last_nonzero.is_some() || is_cut_at_group);
        lacks.then(|| {
            let lost = header.capacity - length;
            format!("the file's last {lost} bytes are missing, and groups with them")
        })
    }

    /// What is said of the file of the last segment where it only lacks bytes that no group has come to.
    pub(crate) fn lacks_unused(path: &Path, header: &SegmentHeader, length: u64) -> String {
        let lost = header.capacity - length;
        format!("{} lacks its last {lost} bytes, which were not used yet", path.display())
    }

    pub(crate) fn look(
        files: &dyn Files,
        path: &Path,
        header: &SegmentHeader,
        from: u64,
        length: u64,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        let mut window = Window::new(compressed::open(files, path).map_err(failed)?);
        let mut rest = Self { valid_group_at: None, last_nonzero: None };
        let mut offset = from;
        while offset < length {
            // Nearly always all of it is zero, and a comparison of slices is quick.
            let bytes = window.get(offset, ZEROS.len(), length).map_err(failed)?;
            if bytes.is_empty() {
                break;
            }
            if bytes == &ZEROS[..bytes.len()] {
                offset += bytes.len() as u64;
                continue;
            }
            let bytes = window.get(offset, GROUP_HEADER, length).map_err(failed)?;
            let step = &bytes[..bytes.len().min(usize::try_from(ALIGNMENT).unwrap_or(8))];
            if let Some(last) = step.iter().rposition(|byte| *byte != 0) {
                rest.last_nonzero = Some(offset + last as u64 + 1);
                if offset > from && GroupHeader::decode(bytes, header.nonce, offset).is_some() {
                    rest.valid_group_at = Some(offset);
                    break;
                }
            }
            offset += ALIGNMENT;
        }
        Ok(rest)
    }
}
