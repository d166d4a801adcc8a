//! Opening a data folder: locks it, finds the end of its journal, decides whether its index is trusted.
//!
//! Law: nothing that was acknowledged is passed over. Recovery reports each repair as a warning; damage that it cannot
//! prove harmless is an error, and then nothing was changed.
//!
//! Called by [`super::SledStore::open`].

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::disk_reserve;
use super::error::{Damage, OpenError, ReadError};
use super::files::{FileAccess, Files, StoreFile};
use super::folder_contents::{check_folder, refuse_remains};
use super::journal::recover::Survey;
use super::journal::segment::Segment;
use super::journal::tail::JournalTail;
use super::journal::{prepare, recover, segment, writer};
use super::lock;
use super::lock::FolderLock;
use super::manifest;
use super::manifest::{FolderIdentity, IndexState, JournalEnd, Manifest};
use super::options::SledOptions;
use super::paths::{INDEX_FOLDER, JOURNAL_FOLDER, copied_index_folder, new_index_folder, remove_folder};
use super::rebuild_index;
use super::report::{IndexOpened, OpenReport};
use super::shared_files::refuse_shared;
use super::sled::Index;
use everfold_base::id::Position;
use everfold_system::clock::Stopwatch;
use everfold_system::folder::above;

/// A folder that is locked and looked through, ready to be worked on.
pub(crate) struct OpenedFolder {
    pub(crate) lock: Arc<FolderLock>,
    pub(crate) manifest: Manifest,
    pub(crate) index: Index,
    pub(crate) survey: Survey,
    pub(crate) active: (Arc<Segment>, Box<dyn StoreFile>),
    pub(crate) report: OpenReport,
}

/// How long it is looked again whether this process has let go of the folder itself: a program that it is just starting
/// holds its locked files until it has become that program.
const OWN_PATIENCE: Duration = Duration::from_secs(1);

/// Opens a folder, or makes a new store in an empty one.
pub(crate) fn open(folder: &Path, options: &SledOptions) -> Result<OpenedFolder, OpenError> {
    let began = Stopwatch::start();
    loop {
        match open_once(folder, options) {
            Err(OpenError::InUse { pid }) if pid == std::process::id() && began.elapsed() < OWN_PATIENCE => {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            opened => return opened,
        }
    }
}

fn open_once(folder: &Path, options: &SledOptions) -> Result<OpenedFolder, OpenError> {
    let files = options.files.as_ref();
    if !folder.exists() {
        files.create_folder(folder).map_err(OpenError::at(folder))?;
    }
    let lock = Arc::new(FolderLock::take(folder, || check_folder(folder))?);
    if manifest::read_known(folder)?.is_none() {
        // A process that made the folder may have been killed before it synced the one above. Where this user may not read
        // that one, another user made the folder.
        match files.sync_folder(above(folder)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(OpenError::at(folder))?,
        }
    }
    lock::refuse_written(files, folder, FileAccess::Write)?;
    let found = manifest::read_known(folder)?;
    let mut warnings = Vec::new();
    let (known, damaged) = match found {
        None => (None, None),
        Some(Ok(manifest)) => (Some(manifest), None),
        Some(Err(what)) => (None, Some(what)),
    };
    // What a verification that was killed left: it takes as much room as the index.
    let copy = copied_index_folder(folder);
    if let Err(error) = remove_folder(&copy) {
        warnings.push(format!("{} is not needed and could not be removed: {error}", copy.display()));
    }
    let journal = folder.join(JOURNAL_FOLDER);
    if known.as_ref().is_none_or(|manifest| !matches!(manifest.index, IndexState::Closed(_))) {
        sync_last_segment(files, &journal)?;
    }
    if disk_reserve::is_full(folder) {
        disk_reserve::give_up(files, folder);
    }
    let survey = recover::survey(files, &journal, manifest::expected(folder, known.as_ref())?)?;
    let is_new = known.is_none() && damaged.is_none() && survey.is_none();
    let place = FolderIdentity::of(folder).map_err(OpenError::at(folder))?;
    refuse_shared(folder, known.as_ref())?;
    let mut manifest = match known {
        Some(manifest) => manifest,
        None => {
            if !is_new {
                let what = damaged.unwrap_or_else(|| "it is missing".into());
                warnings.push(format!(
                    "{} could not be used ({what}); it is made again from the journal",
                    folder.join(manifest::FILE_NAME).display()
                ));
            }
            Manifest::draw(survey.as_ref(), place, is_new)
        }
    };
    let survey = survey.unwrap_or_else(|| Survey {
        segments: Vec::new(),
        tail: JournalTail::EMPTY,
        torn: None,
        ends_sealed: false,
        leftovers: Vec::new(),
        warnings: Vec::new(),
    });
    compare(&journal, &manifest, &survey)?;
    warnings.extend(survey.warnings.iter().cloned());
    let believed = is_believed(folder, &manifest, &place, options, survey.tail.position(), &mut warnings);
    // Before anything is written: what is written names the place as it is now.
    manifest.note_identity(place);
    (options.owned)(&manifest.epoch);
    let (index, index_opened) =
        open_index(folder, options, &survey, &mut manifest, believed, is_new, &mut warnings)?;
    if let Some(last) = survey.segments.last() {
        manifest.journal = JournalEnd {
            segment: last.number,
            end: last.end(),
            position: survey.tail.position(),
            crc: survey.tail.crc,
        };
    }
    manifest.index = IndexState::Open { boot: options.boot_id.clone() };
    manifest::write(files, folder, &manifest).map_err(OpenError::at(&folder.join(manifest::FILE_NAME)))?;
    let active = open_active(options, &journal, &manifest, &survey, &mut warnings)?;
    if !active.1.lock().map_err(OpenError::at(&active.0.path))? {
        return Err(lock::in_use(folder));
    }
    lock.set_active(&active.0.path, active.1.id().map_err(OpenError::at(&active.0.path))?);
    let mut survey = survey;
    if survey.segments.is_empty() || survey.ends_sealed {
        survey.segments.push(active.0.clone());
    }
    // The checkpointer makes that of a new store, at the first checkpoint: nothing needs it before.
    if !is_new && let Err(error) = disk_reserve::keep(files, folder, &options.segments) {
        warnings.push(format!("no room could be kept for a full disk: {error}"));
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let report = OpenReport {
        store: manifest.store.clone(),
        epoch: manifest.epoch.clone(),
        adopted: manifest.adopted,
        is_new,
        position: survey.tail.position(),
        index: index_opened,
        warnings,
    };
    Ok(OpenedFolder { lock, manifest, index, survey, active, report })
}

/// Makes the last segment's content durable, then has it read from the disk itself: what a process
/// wrote before it was killed may only be in the system's memory, and after a failed sync that memory
/// says what the disk does not have.
fn sync_last_segment(files: &dyn Files, journal: &Path) -> Result<(), OpenError> {
    let last = match fs::read_dir(journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries
            .map_err(OpenError::at(journal))?
            .filter_map(|entry| segment::number_of(&entry.ok()?.file_name().to_string_lossy()))
            .max(),
    };
    files.sync_folder(journal).map_err(OpenError::at(journal))?;
    let Some(last) = last else { return Ok(()) };
    let path = journal.join(segment::file_name(last));
    let file = files.open(&path, FileAccess::Write).map_err(OpenError::at(&path))?;
    file.sync().and_then(|()| file.forget_cached()).map_err(OpenError::at(&path))
}

/// Refuses a journal that holds less than was known to be durable.
fn compare(journal: &Path, manifest: &Manifest, survey: &Survey) -> Result<(), OpenError> {
    let (known, tail) = (manifest.journal, survey.tail);
    let last = survey.segments.last();
    let closed = matches!(manifest.index, IndexState::Closed(_));
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
        (Some(last), _) if known.segment > last.number && !(closed && known.position == tail.position()) => {
            Err(OpenError::Missing {
                folder: journal.to_owned(),
                first: tail.next_position,
                last: tail.next_position,
                what: format!(
                    "the store's mark names the segment {} as the last one, and it is missing",
                    segment::file_name(known.segment)
                ),
            })
        }
        (Some(last), _)
            if known.position == tail.position() && known.crc != tail.crc && known.segment > 0 =>
        {
            Err(damaged(last, "the last group is not the one that the store's mark names"))
        }
        _ => Ok(()),
    }
}

/// Whether the index may be used as it is, or must be built again.
fn is_believed(
    folder: &Path,
    manifest: &Manifest,
    place: &FolderIdentity,
    options: &SledOptions,
    position: Position,
    warnings: &mut Vec<String>,
) -> bool {
    match &manifest.index {
        IndexState::Building => false,
        // A copy made while the store was open is not what this boot wrote.
        IndexState::Open { boot } => !boot.is_empty() && *boot == options.boot_id && manifest.place.is(place),
        IndexState::Closed(files) => {
            let index = folder.join(INDEX_FOLDER);
            let same = match manifest.place.is(place) {
                true => files.are_unchanged(&index, &options.boot_id),
                false => files.are_the_same(&index),
            };
            if !same {
                warnings.push("the index's files are not what they were at the close".into());
            }
            same && manifest.journal.position == position
        }
    }
}

fn open_index(
    folder: &Path,
    options: &SledOptions,
    survey: &Survey,
    manifest: &mut Manifest,
    believed: bool,
    is_new: bool,
    warnings: &mut Vec<String>,
) -> Result<(Index, IndexOpened), OpenError> {
    let path = folder.join(INDEX_FOLDER);
    let last = survey.tail.position();
    let present = path.exists();
    let is_for_room = |error: &ReadError| disk_reserve::is_wanted_by(error, folder);
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
            Ok((_, index)) if believed => {
                match rebuild_index::fill(&index, options, &survey.segment_list(), last) {
                    Ok(0) => return Ok((index, IndexOpened::Kept)),
                    Ok(events) => {
                        index.flush().map_err(|error| OpenError::from_read(&path, error.into()))?;
                        return Ok((index, IndexOpened::CaughtUp { events }));
                    }
                    Err(ReadError::Damaged(damage)) => return Err(damage.into()),
                    Err(ReadError::IndexInUse(_)) => return Err(lock::in_use(folder)),
                    Err(error) if is_for_room(&error) => return Err(OpenError::Full { path }),
                    Err(error) => warnings.push(format!("the index failed ({error}); it is built again")),
                }
            }
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
    } else if !is_new && manifest.index != IndexState::Building {
        warnings.push("the index was missing and was built again from the journal".into());
    }
    if is_new && present {
        // Either it is one that was being made when its process was killed, or all that is left of the events was in it.
        refuse_remains(folder)?;
    }
    let failed = |error: ReadError| match is_for_room(&error) {
        true => OpenError::Full { path: path.clone() },
        false => OpenError::from_read(&path, error),
    };
    let segments = survey.segment_list();
    let writing = |manifest: &Manifest| {
        manifest::write(options.files.as_ref(), folder, manifest)
            .map_err(OpenError::at(&folder.join(manifest::FILE_NAME)))
    };
    let (index, events) = if present && !is_new {
        let built = rebuild_index::build(&new_index_folder(folder), options, &segments, last).map_err(failed);
        if built.is_err() {
            // Half an index would keep the room that others need.
            rebuild_index::discard(folder);
        }
        let (built, events) = built?;
        drop(built);
        manifest.index = IndexState::Building;
        writing(manifest)?;
        (rebuild_index::swap(folder, options).map_err(failed)?, events)
    } else {
        // A new store has no `store.json` until its index is there: an opener that finds neither that nor a journal makes
        // the store anew.
        if !is_new {
            manifest.index = IndexState::Building;
            writing(manifest)?;
        }
        rebuild_index::build(&path, options, &segments, last).map_err(failed)?
    };
    Ok((index, if is_new { IndexOpened::Kept } else { IndexOpened::Rebuilt { events } }))
}

/// Opens the last segment for writing, cuts a torn tail, or makes the first segment.
fn open_active(
    options: &SledOptions,
    journal: &Path,
    manifest: &Manifest,
    survey: &Survey,
    warnings: &mut Vec<String>,
) -> Result<(Arc<Segment>, Box<dyn StoreFile>), OpenError> {
    let files = options.files.as_ref();
    for leftover in &survey.leftovers {
        files.remove(leftover).map_err(OpenError::at(leftover))?;
    }
    if let Some(last) = survey.segments.last() {
        if survey.ends_sealed {
            let made =
                prepare::prepare(files, journal, options.segments.first).map_err(OpenError::at(journal))?;
            let header = manifest.owner().segment_behind(last, &survey.tail, made.capacity);
            return writer::open_segment(files, journal, &header, made).map_err(OpenError::at(journal));
        }
        let file = files.open(&last.path, FileAccess::Write).map_err(OpenError::at(&last.path))?;
        // In a file that grows, a lost end looks like an end.
        prepare::fill(file.as_ref(), file.length().map_err(OpenError::at(&last.path))?, last.header.capacity)
            .map_err(OpenError::at(&last.path))?;
        if let Some(torn) = &survey.torn {
            torn.overwrite(file.as_ref()).map_err(OpenError::at(&torn.path))?;
            warnings.push(format!("{torn}; they were cut"));
        }
        return Ok((last.clone(), file));
    }
    files.create_folder(journal).map_err(OpenError::at(journal))?;
    if let Some(above) = journal.parent() {
        files.sync_folder(above).map_err(OpenError::at(above))?;
    }
    let made = prepare::prepare(files, journal, options.segments.first).map_err(OpenError::at(journal))?;
    let header = manifest.owner().first_segment(made.capacity);
    writer::open_segment(files, journal, &header, made).map_err(OpenError::at(journal))
}
