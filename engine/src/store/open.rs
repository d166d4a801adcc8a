//! Opening a data folder: whose it is, where its journal ends, whether its index may be believed.
//!
//! Law: nothing that was acknowledged is passed over. What recovery mends, it says; what it cannot
//! prove harmless is an error, and then nothing was changed.
//!
//! Called by [`super::SledStore::open`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Access, Files, StoreFile};
use super::journal::prepare;
use super::journal::recover::{self, Survey, Torn};
use super::journal::segment::{self, Segment};
use super::journal::writer::{self, Owner, Tail};
use super::lock::{self, FolderLock};
use super::mark::{self, Found, IndexState, JournalMark, Place, StoreMark};
use super::renew::{self, INDEX_FOLDER};
use super::reserve;
use super::sled::Index;
use super::{Damage, IndexOpened, OpenError, OpenReport, ReadError, SledOptions, is_disk_full};
use crate::clock;
use crate::id::Position;

/// The journal's folder inside the data folder.
pub(crate) const JOURNAL_FOLDER: &str = "journal";

/// What other parts keep in a data folder; anything else, without a store, makes it a foreign one.
const NEIGHBOURS: [&str; 18] = [
    "attempts",
    "backups",
    "blobs",
    "definitions",
    "everfold.sock",
    "everfold.toml",
    "logs",
    "owner.json",
    "projections",
    "repos",
    "runs",
    "secrets",
    "tmp",
    "tokens.json",
    "workspaces",
    "worktrees",
    "README.md",
    "pipelines",
];

/// A folder that is locked and looked through, ready to be worked on.
pub(crate) struct Opened {
    pub(crate) lock: Arc<FolderLock>,
    pub(crate) mark: StoreMark,
    pub(crate) index: Index,
    pub(crate) survey: Survey,
    pub(crate) active: (Arc<Segment>, Box<dyn StoreFile>),
    pub(crate) report: OpenReport,
}

/// Opens a folder, or makes a new store in an empty one.
pub(crate) fn open(folder: &Path, options: &SledOptions) -> Result<Opened, OpenError> {
    let files = options.files.as_ref();
    if !folder.exists() {
        files.create_folder(folder).map_err(at(folder))?;
    }
    refuse_foreign(folder, read_mark(folder)?.is_none())?;
    let lock = Arc::new(FolderLock::take(folder)?);
    lock::refuse_written(files, folder, Access::Write)?;
    let found = read_mark(folder)?;
    let mut warnings = Vec::new();
    let (known, damaged) = match found {
        None => (None, None),
        Some(Ok(mark)) => (Some(mark), None),
        Some(Err(what)) => (None, Some(what)),
    };
    let journal = folder.join(JOURNAL_FOLDER);
    if known.as_ref().is_none_or(|mark| !matches!(mark.index, IndexState::Closed { .. })) {
        settle(files, &journal)?;
    }
    if reserve::is_full(folder) {
        reserve::give_up(files, folder);
    }
    let store = known.as_ref().map(|mark| parse_id(&mark.store));
    let survey = recover::survey(files, &journal, store)?;
    let is_new = known.is_none() && damaged.is_none() && survey.is_none();
    let place = Place::of(folder).map_err(at(folder))?;
    let mut mark = match known {
        Some(mark) => mark,
        None => {
            if !is_new {
                let what = damaged.unwrap_or_else(|| "it is missing".into());
                warnings.push(format!(
                    "{} could not be used ({what}); it is made again from the journal",
                    folder.join(mark::FILE_NAME).display()
                ));
            }
            draw_mark(survey.as_ref(), place, is_new)
        }
    };
    let survey = survey.unwrap_or_else(|| Survey {
        segments: Vec::new(),
        tail: Tail::EMPTY,
        torn: None,
        leftovers: Vec::new(),
        warnings: Vec::new(),
    });
    compare(&journal, &mark, &survey)?;
    warnings.extend(survey.warnings.iter().cloned());
    let believed = is_believed(folder, &mark, &place, options, survey.tail.position(), &mut warnings);
    // Before anything is written: what is written names the place as it is now.
    settle_place(&mut mark, place);
    let (index, index_opened) =
        open_index(folder, options, &survey, &mut mark, believed, is_new, &mut warnings)?;
    if let Some(last) = survey.segments.last() {
        mark.journal = JournalMark {
            segment: last.number,
            end: last.end(),
            position: survey.tail.position(),
            crc: survey.tail.crc,
        };
    }
    mark.index = IndexState::Open { boot: options.boot_id.clone() };
    mark::write(files, folder, &mark).map_err(at(&folder.join(mark::FILE_NAME)))?;
    let active = open_active(options, &journal, &mark, &survey, &mut warnings)?;
    if !active.1.lock().map_err(at(&active.0.path))? {
        return Err(lock::in_use(folder));
    }
    lock.set_active(&active.0.path, active.1.id().map_err(at(&active.0.path))?);
    let mut survey = survey;
    if survey.segments.is_empty() {
        survey.segments.push(active.0.clone());
    }
    if let Err(error) = reserve::keep(files, folder, &options.segments) {
        warnings.push(format!("no room could be kept for a full disk: {error}"));
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let report = OpenReport {
        store: mark.store.clone(),
        epoch: mark.epoch.clone(),
        adopted: mark.adopted,
        is_new,
        position: survey.tail.position(),
        index: index_opened,
        warnings,
    };
    Ok(Opened { lock, mark, index, survey, active, report })
}

/// Takes note of where the folder is now. A copy draws an epoch of its own, and acts when somebody says so.
pub(crate) fn settle_place(mark: &mut StoreMark, place: Place) {
    if !mark.place.is(&place) {
        mark.epoch = draw_epoch();
        mark.adopted = false;
    }
    mark.place = place;
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| not_opened(path, source)
}

/// What the system refused, as a reason not to open.
pub(crate) fn not_opened(path: PathBuf, source: io::Error) -> OpenError {
    if is_disk_full(&source) { OpenError::Full { path } } else { OpenError::Io { path, source } }
}

/// `None` where there is no mark, an inner error where it is damaged.
pub(crate) fn read_mark(folder: &Path) -> Result<Option<Result<StoreMark, String>>, OpenError> {
    match mark::read(folder).map_err(at(&folder.join(mark::FILE_NAME)))? {
        Found::None => Ok(None),
        Found::Damaged(what) => Ok(Some(Err(what))),
        Found::Mark(mark) => Ok(Some(Ok(*mark))),
        Found::TooNew(found) => {
            Err(OpenError::TooNew { folder: folder.to_owned(), found, known: mark::STORE_FORMAT })
        }
    }
}

fn refuse_foreign(folder: &Path, without_mark: bool) -> Result<(), OpenError> {
    if !without_mark || folder.join(JOURNAL_FOLDER).exists() || folder.join(INDEX_FOLDER).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let name = entry.map_err(at(folder))?.file_name();
        let name = name.to_string_lossy();
        let ours = name == lock::FILE_NAME
            || name.starts_with('.')
            || name.ends_with(".tmp")
            || name == "lost+found"
            || NEIGHBOURS.contains(&name.as_ref());
        if !ours {
            return Err(OpenError::Foreign { folder: folder.to_owned(), found: name.into_owned() });
        }
    }
    Ok(())
}

/// Makes the last segment's content durable, then has it read from the disk itself: what a process
/// wrote before it was killed may only be in the system's memory, and after a failed sync that memory
/// says what the disk does not have.
fn settle(files: &dyn Files, journal: &Path) -> Result<(), OpenError> {
    let last = match fs::read_dir(journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries
            .map_err(at(journal))?
            .filter_map(|entry| segment::number_of(&entry.ok()?.file_name().to_string_lossy()))
            .max(),
    };
    files.sync_folder(journal).map_err(at(journal))?;
    let Some(last) = last else { return Ok(()) };
    let path = journal.join(segment::file_name(last));
    let file = files.open(&path, Access::Write).map_err(at(&path))?;
    file.sync().and_then(|()| file.forget_cached()).map_err(at(&path))
}

/// A store's id as a number.
pub(crate) fn parse_id(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap_or(0)
}

fn draw_epoch() -> String {
    format!("{:016x}", clock::draw_u64())
}

fn draw_mark(survey: Option<&Survey>, place: Place, is_new: bool) -> StoreMark {
    let last = survey.and_then(|survey| survey.segments.last()).map(|segment| segment.header);
    StoreMark {
        format: mark::STORE_FORMAT,
        store: format!("{:032x}", last.map_or_else(clock::draw_u128, |header| header.store)),
        epoch: draw_epoch(),
        // Without its description a folder cannot say whether it is a copy.
        adopted: is_new,
        place,
        index: IndexState::Building,
        journal: JournalMark::EMPTY,
    }
}

/// Refuses a journal that holds less than was known to be durable.
fn compare(journal: &Path, mark: &StoreMark, survey: &Survey) -> Result<(), OpenError> {
    let (known, tail) = (mark.journal, survey.tail);
    let last = survey.segments.last();
    let closed = matches!(mark.index, IndexState::Closed { .. });
    let damaged = |segment: &Segment, what: &str| {
        let positions = Some((tail.next_position, known.position.max(tail.next_position)));
        let (file, offset) = (segment.path.clone(), segment.end());
        OpenError::Damaged(Damage { file, offset, what: what.to_owned(), positions })
    };
    match (last, &survey.torn) {
        (Some(last), Some(_)) if known.position > tail.position() => {
            Err(damaged(last, "a group that was durable is not readable"))
        }
        (Some(last), Some(_)) if closed && known.position == tail.position() => {
            Err(damaged(last, "there are bytes behind the end at which the store was closed"))
        }
        _ if known.position > tail.position() => Err(OpenError::Missing {
            folder: journal.to_owned(),
            first: tail.next_position,
            last: known.position,
            what: "the store's mark says that they were durable".into(),
        }),
        (Some(last), _)
            if known.position == tail.position() && known.crc != tail.crc && known.segment > 0 =>
        {
            Err(damaged(last, "the last group is not the one that the store's mark names"))
        }
        _ => Ok(()),
    }
}

fn is_believed(
    folder: &Path,
    mark: &StoreMark,
    place: &Place,
    options: &SledOptions,
    position: Position,
    warnings: &mut Vec<String>,
) -> bool {
    match &mark.index {
        IndexState::Building => false,
        // A copy made while the store was open is not what this boot wrote.
        IndexState::Open { boot } => !boot.is_empty() && *boot == options.boot_id && mark.place.is(place),
        IndexState::Closed { files } => {
            let same = renew::digest(&folder.join(INDEX_FOLDER)).is_ok_and(|now| now == *files);
            if !same {
                warnings.push("the index's files are not what they were at the close".into());
            }
            same && mark.journal.position == position
        }
    }
}

fn open_index(
    folder: &Path,
    options: &SledOptions,
    survey: &Survey,
    mark: &mut StoreMark,
    believed: bool,
    is_new: bool,
    warnings: &mut Vec<String>,
) -> Result<(Index, IndexOpened), OpenError> {
    let path = folder.join(INDEX_FOLDER);
    let last = survey.tail.position();
    let present = path.exists();
    let is_for_room = |error: &ReadError| reserve::is_wanted_by(error, folder);
    if present {
        match Index::open(&path, options.cache_bytes).and_then(|index| Ok((index.position()?, index))) {
            Ok((position, _)) if position > last => {
                return Err(OpenError::Missing {
                    folder: folder.join(JOURNAL_FOLDER),
                    first: survey.tail.next_position,
                    last: position,
                    what: "the index holds them".into(),
                });
            }
            // A new store that was killed before its index was first flushed.
            Ok((Position::ZERO, _)) if believed && last > Position::ZERO => {}
            Ok((_, index)) if !index.is_readable() => {
                warnings.push("the index has the layout of another version and is built again".into());
            }
            Ok((_, index)) if believed => match renew::fill(&index, options, &survey.shared(), last) {
                Ok(0) => return Ok((index, IndexOpened::Kept)),
                Ok(events) => {
                    index.flush().map_err(|error| unbuilt(&path, error.into()))?;
                    return Ok((index, IndexOpened::CaughtUp { events }));
                }
                Err(ReadError::Damaged(damage)) => return Err(damage.into()),
                Err(ReadError::IndexInUse(_)) => return Err(lock::in_use(folder)),
                Err(error) if is_for_room(&error) => return Err(OpenError::Full { path }),
                Err(error) => warnings.push(format!("the index failed ({error}); it is built again")),
            },
            Ok(_) => {}
            Err(error) => {
                let error = ReadError::from(error);
                if matches!(error, ReadError::IndexInUse(_)) {
                    return Err(lock::in_use(folder));
                }
                if is_for_room(&error) {
                    return Err(OpenError::Full { path });
                }
                warnings.push(format!("the index could not be opened ({error}); it is built again"))
            }
        }
    } else if !is_new && mark.index != IndexState::Building {
        warnings.push("the index was missing and was built again from the journal".into());
    }
    let failed = |error: ReadError| match is_for_room(&error) {
        true => OpenError::Full { path: path.clone() },
        false => unbuilt(&path, error),
    };
    let segments = survey.shared();
    let writing = |mark: &StoreMark| {
        mark::write(options.files.as_ref(), folder, mark).map_err(at(&folder.join(mark::FILE_NAME)))
    };
    let (index, events) = if present && !is_new {
        let built = renew::build(&renew::beside(folder), options, &segments, last).map_err(failed);
        if built.is_err() {
            // Half an index would keep the room that others need.
            renew::discard(folder);
        }
        let (built, events) = built?;
        drop(built);
        mark.index = IndexState::Building;
        writing(mark)?;
        (renew::swap(folder, options).map_err(failed)?, events)
    } else {
        mark.index = IndexState::Building;
        writing(mark)?;
        renew::build(&path, options, &segments, last).map_err(failed)?
    };
    Ok((index, if is_new { IndexOpened::Kept } else { IndexOpened::Rebuilt { events } }))
}

/// What could not be read, as a reason not to open.
pub(crate) fn unbuilt(index: &Path, error: ReadError) -> OpenError {
    match error {
        ReadError::Damaged(damage) => OpenError::Damaged(damage),
        ReadError::Io { path, source } => not_opened(path, source),
        ReadError::Full => OpenError::Full { path: index.to_owned() },
        other => OpenError::Index(other.to_string()),
    }
}

/// Opens the last segment for writing, cuts a torn tail, or makes the first segment.
fn open_active(
    options: &SledOptions,
    journal: &Path,
    mark: &StoreMark,
    survey: &Survey,
    warnings: &mut Vec<String>,
) -> Result<(Arc<Segment>, Box<dyn StoreFile>), OpenError> {
    let files = options.files.as_ref();
    for leftover in &survey.leftovers {
        files.remove(leftover).map_err(at(leftover))?;
    }
    if let Some(last) = survey.segments.last() {
        let file = files.open(&last.path, Access::Write).map_err(at(&last.path))?;
        if let Some(torn) = &survey.torn {
            cut(file.as_ref(), torn).map_err(at(&torn.path))?;
            warnings.push(format!("{torn}; they were cut"));
        }
        return Ok((last.clone(), file));
    }
    files.create_folder(journal).map_err(at(journal))?;
    if let Some(above) = journal.parent() {
        files.sync_folder(above).map_err(at(above))?;
    }
    let made = prepare::prepare(files, journal, options.segments.first).map_err(at(journal))?;
    let header = owner(mark).first_segment(made.capacity);
    writer::open_segment(files, journal, &header, made).map_err(at(journal))
}

/// Overwrites a torn tail with zeros, durably.
pub(crate) fn cut(file: &dyn StoreFile, torn: &Torn) -> io::Result<()> {
    const CHUNK: u64 = 64 * 1024;
    let zeros = [0; CHUNK as usize];
    let mut offset = torn.from;
    while offset < torn.to {
        let length = (torn.to - offset).min(CHUNK);
        file.write_at(&zeros[..usize::try_from(length).unwrap_or(zeros.len())], offset)?;
        offset += length;
    }
    file.sync()
}

/// Who the segments of a store belong to.
pub(crate) fn owner(mark: &StoreMark) -> Owner {
    Owner { store: parse_id(&mark.store), epoch: u64::from_str_radix(&mark.epoch, 16).unwrap_or(0) }
}

/// The journal's folder of a data folder.
pub(crate) fn journal_folder(folder: &Path) -> PathBuf {
    folder.join(JOURNAL_FOLDER)
}
