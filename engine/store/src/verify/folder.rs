//! Verification of a folder that no process has open.

use std::path::Path;
use std::sync::Arc;

use super::index_source::IndexSource;
use super::meaning::{Meaning, NoMeaning};
use super::report::{VerifyFault, VerifyReport};
use super::walk::Verification;
use crate::blob::BlobStore;
use crate::error::OpenError;
use crate::files::FileAccess;
use crate::index_copy::{IndexCopy, NotCopied};
use crate::journal::recover;
use crate::lock;
use crate::lock::FolderLock;
use crate::manifest;
use crate::manifest::{IndexState, Manifest};
use crate::options::SledOptions;
use crate::paths::{index_folder, journal_folder};
use crate::shared_files::refuse_shared;
use everfold_base::id::Position;

/// Verifies a folder that no process has open. Blocks.
///
/// # Errors
/// Where nothing can be said: the folder is in use, newer, or not readable.
pub fn verify_folder(
    folder: &Path,
    options: &SledOptions,
    meaning: &mut dyn Meaning,
) -> Result<VerifyReport, OpenError> {
    let _lock = FolderLock::look(folder)?;
    lock::refuse_written(options.files.as_ref(), folder, FileAccess::Read)?;
    let mut verification = walk(folder, options, meaning)?;
    verification.blobs(&BlobStore::with_files(folder, options.files.clone()));
    Ok(verification.report)
}

/// What is wrong with the description of a folder, its index and its snapshots, all of which the journal can give again.
/// The caller holds the folder.
///
/// # Errors
/// Where nothing can be said: the folder is newer, or not readable.
pub(crate) fn remakable_faults(folder: &Path, options: &SledOptions) -> Result<Vec<VerifyFault>, OpenError> {
    let mut faults = walk(folder, options, &mut NoMeaning)?.report.faults;
    faults.retain(VerifyFault::is_of_remakable);
    Ok(faults)
}

/// The store's description, where it can be read.
fn described(folder: &Path, report: &mut VerifyReport) -> Result<Option<Manifest>, OpenError> {
    let what = match manifest::read_known(folder)? {
        Some(Ok(manifest)) => return Ok(Some(manifest)),
        Some(Err(what)) => what,
        None => "it is missing".to_owned(),
    };
    let what = format!("{what}; the next start makes it again, and `store adopt` lets the folder act then");
    report.fault(VerifyFault::Description { file: folder.join(manifest::FILE_NAME), what });
    Ok(None)
}

/// Names a journal of which nothing is left.
fn journal_is_there(folder: &Path, report: &mut VerifyReport) {
    let journal = journal_folder(folder);
    if journal.exists() {
        return;
    }
    let what = match index_folder(folder).exists() {
        true => "it is missing; `store repair --from-sled` says what the index can restore",
        false => "it is missing; `store repair --from DIR` takes it from a copy of the folder",
    };
    report.fault(VerifyFault::NoJournal { folder: journal, what: what.to_owned() });
}

/// Notes files in a journal's folder that nothing reads: one of them may be a segment under another name.
fn note_others(journal: &Path, report: &mut VerifyReport) {
    for name in recover::others(journal) {
        report
            .notes
            .push(format!("{}: no segment has such a name; nothing reads it", journal.join(name).display()));
    }
}

/// Goes through all but the blobs.
fn walk<'a>(
    folder: &Path,
    options: &'a SledOptions,
    meaning: &'a mut dyn Meaning,
) -> Result<Verification<'a>, OpenError> {
    let mut report = VerifyReport::default();
    let known = described(folder, &mut report)?;
    if let Some(manifest) = &known
        && let IndexState::Closed(files) = &manifest.index
        && index_folder(folder).exists()
        && !files.are_the_same(&index_folder(folder))
    {
        report.fault(VerifyFault::Index { what: "its files are not what they were at the close".into() });
    }
    match refuse_shared(folder, known.as_ref()) {
        Err(error @ OpenError::Shared { .. }) => {
            report.fault(VerifyFault::Shared { what: error.to_string() })
        }
        looked => looked?,
    }
    let is_to_come = known.as_ref().is_some_and(|manifest| matches!(manifest.index, IndexState::Building))
        && !index_folder(folder).exists();
    let is_missing = !is_to_come && !index_folder(folder).exists();
    if is_missing {
        let what = match journal_folder(folder).exists() {
            true => "it is missing; the next start builds it again from the journal",
            false => "it is missing, and so is the journal from which it is built",
        };
        let what = what.to_owned();
        report.fault(VerifyFault::Index { what });
    }
    // On a copy: opening sled changes its files, and a damaged one most of all.
    let copied = (!is_to_come && !is_missing)
        .then(|| IndexCopy::make(options.files.as_ref(), folder, options.cache_bytes));
    let index = match &copied {
        None if is_missing => None,
        None => {
            report.notes.push("there is no index, as after a repair: the next start builds it".into());
            None
        }
        Some(Ok(copy)) => Some(Arc::clone(&copy.index)),
        // The journal is looked at all the same, and counts.
        Some(Err(error @ NotCopied::Io { .. })) => {
            let what = format!(
                "{error}; it was not compared with the journal: make that possible and verify once more"
            );
            report.fault(VerifyFault::IndexUncompared { what });
            None
        }
        Some(Err(error)) => {
            report.fault(VerifyFault::Index { what: error.to_string() });
            None
        }
    };
    // Of an index with another layout only the position can be read.
    let indexed = index.as_ref().map_or(Position::ZERO, |index| index.held());
    let index = index.filter(|index| {
        if !index.is_readable() {
            let note = "the index has the layout of another version; the next start builds it again";
            report.notes.push(note.into());
        }
        index.is_readable()
    });
    let index = index.map_or(IndexSource::Absent, IndexSource::Copied);
    let journal = journal_folder(folder);
    let expected = manifest::expected(folder, known.as_ref())?;
    let last = Position(u64::MAX - 1);
    note_others(&journal, &mut report);
    let mut verification = Verification::new(report, meaning, index, options, last);
    let end =
        verification.journal(&journal, expected).map_err(|error| OpenError::from_read(folder, error))?;
    if let Some(what) = known.as_ref().and_then(|known| end.other_than(&known.journal)) {
        let file = folder.join(manifest::FILE_NAME);
        verification.report.fault(VerifyFault::Description { file, what });
    }
    let durable = known.as_ref().map_or(Position::ZERO, |manifest| manifest.journal.position);
    // Without a description the index is all that says that there was one.
    if durable.max(indexed) > Position::ZERO || known.is_none() {
        journal_is_there(folder, &mut verification.report);
    }
    let is_closed = known.as_ref().is_some_and(|known| matches!(known.index, IndexState::Closed(_)));
    verification.end_at(
        &end,
        &[
            (durable, "the store's description says that they were durable"),
            (indexed, "the index holds them"),
        ],
        is_closed,
    );
    // An index of a killed store is behind, and brought up at the next start.
    verification.index_to(if indexed < end.next { Some(indexed) } else { None });
    Ok(verification)
}
