//! Does what a plan says.
//!
//! Law: the journal is exchanged only for one that is whole; until then a failure leaves the store as it was, and from then
//! on the error names what was done.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::look::{Findings, look};
use super::rewritten_journal::RewrittenJournal;
use super::steps::{RepairError, RepairPlan, RepairStep, RestoreFrom};
use crate::files::{FileAccess, Files};
use crate::folder_contents::{check_folder, holds_store, refuse_remains};
use crate::journal::recover::{self, TornTail};
use crate::journal::salvage::SalvageItem;
use crate::journal::{compress, format, salvage};
use crate::lock;
use crate::lock::FolderLock;
use crate::manifest;
use crate::manifest::{FolderIdentity, IndexState, JournalEnd, Manifest};
use crate::options::SledOptions;
use crate::paths::{index_folder, journal_folder, remove_folder};
use crate::record;
use crate::shared_files::refuse_shared;
use crate::verify::{self, VerifyFault};
use everfold_base::id::Position;

/// Says what a repair would do, and what fills the journal's losses.
///
/// # Errors
/// [`RepairError::Open`] where the folder is in use, newer, not readable or no data folder.
pub fn plan(folder: &Path, options: &SledOptions, from: &RestoreFrom) -> Result<RepairPlan, RepairError> {
    let _lock = FolderLock::look(folder)?;
    check_folder(folder)?;
    lock::refuse_written(options.files.as_ref(), folder, FileAccess::Read)?;
    Ok(looked_through(folder, options, from)?.plan)
}

/// What [`look`] finds and, where the journal is whole, what is wrong with that which is made from it.
fn looked_through(folder: &Path, options: &SledOptions, from: &RestoreFrom) -> Result<Findings, RepairError> {
    refuse_shared(folder, manifest::read_known(folder)?.and_then(Result::ok).as_ref())?;
    let mut findings = look(folder, options, from)?;
    let plan = &mut findings.plan;
    let is_cut = plan.steps.iter().any(|step| matches!(step, RepairStep::CutJournal { .. }));
    if !plan.damage.is_empty() || !plan.lost.is_empty() || is_cut {
        return Ok(findings);
    }
    let is_bare = recover::list(&journal_folder(folder))?.0.is_empty() && findings.manifest.is_none();
    if is_bare && index_folder(folder).exists() {
        // Thrown away, it would be built from nothing.
        refuse_remains(folder)?;
    }
    for fault in verify::remakable_faults(folder, options)? {
        let is_kept = matches!(fault, VerifyFault::Description { .. }) || !index_folder(folder).exists();
        match is_kept {
            true => plan.notes.push(fault.to_string()),
            false if !plan.steps.contains(&RepairStep::RebuildIndex) => {
                plan.steps.push(RepairStep::RebuildIndex)
            }
            false => {}
        }
    }
    Ok(findings)
}

/// Does what [`plan`] says.
///
/// # Errors
/// [`RepairError`]; but for [`RepairError::Step`] and [`RepairError::Unfinished`] the store is as it was.
pub fn apply(folder: &Path, options: &SledOptions, from: &RestoreFrom) -> Result<RepairPlan, RepairError> {
    // Where no store is nothing is repaired, and no lock is left; a plan says why.
    if !matches!(holds_store(folder), Ok(true)) {
        return plan(folder, options, from);
    }
    let files = options.files.as_ref();
    let lock = FolderLock::take(folder, || check_folder(folder))?;
    lock::refuse_written(files, folder, FileAccess::Read)?;
    let lock = Arc::new(lock);
    let looked = looked_through(folder, options, from)?;
    if let Some(&(first, last)) = looked.plan.lost.first() {
        if let Some((first, last)) = looked.plan.in_index {
            return Err(RepairError::InIndex { first, last });
        }
        return Err(match (from, looked.plan.has_index) {
            (RestoreFrom::Nothing, true) => RepairError::NotInJournal { first, last },
            // What is not there was asked in vain.
            (RestoreFrom::Index, false) => RepairError::Lost { from: RestoreFrom::Nothing, first, last },
            (asked, _) => RepairError::Lost { from: asked.clone(), first, last },
        });
    }
    // The one that was exchanged, once it was.
    let mut exchanged = None;
    for step in &looked.plan.steps {
        let done = match step {
            RepairStep::CutTail { file, from, to } => {
                let torn = TornTail { path: file.clone(), from: *from, to: *to };
                files.open(file, FileAccess::Write).and_then(|file| torn.overwrite(file.as_ref()))
            }
            RepairStep::RewriteSegment { file } => compress::rewrite(files, file),
            RepairStep::RewriteJournal { .. } | RepairStep::CutJournal { .. } => {
                rewrite(folder, options, &looked, step, &lock)?;
                exchanged = Some(step.kept_as());
                Ok(())
            }
            RepairStep::RebuildIndex => throw_index_away(files, folder),
        };
        done.map_err(|error| match exchanged {
            Some(kept_as) => {
                RepairError::Unfinished { kept_as: kept_as.map(Path::to_owned), why: error.to_string() }
            }
            None => RepairError::Step { step: Box::new(step.clone()), why: error.to_string() },
        })?;
    }
    Ok(looked.plan)
}

/// Removes the index; the next start builds it.
fn throw_index_away(files: &dyn Files, folder: &Path) -> io::Result<()> {
    // The manifest first: an index that is gone half-way is not believed.
    if let Ok(Some(Ok(mut manifest))) = manifest::read_known(folder) {
        manifest.note_identity(FolderIdentity::of(folder)?);
        manifest.index = IndexState::Building;
        manifest::write(files, folder, &manifest)?;
    }
    remove_folder(&index_folder(folder))?;
    files.sync_folder(folder)
}

/// Writes the new journal beside the old one and exchanges them.
fn rewrite(
    folder: &Path,
    options: &SledOptions,
    looked: &Findings,
    step: &RepairStep,
    lock: &Arc<FolderLock>,
) -> Result<(), RepairError> {
    let kept_as = step.kept_as();
    let failed = |error: io::Error| RepairError::Write(error.to_string());
    let files = options.files.as_ref();
    let beside = folder.join("journal.tmp");
    let mut manifest = match &looked.manifest {
        Some(manifest) => manifest.clone(),
        None => drawn_anew(folder, files, looked.store)?,
    };
    let mut last = Position(u64::MAX - 1);
    let is_cut = matches!(step, RepairStep::CutJournal { .. });
    if let RepairStep::CutJournal { given_up: (first, _), .. } = step {
        last = Position(first.0 - 1);
        // Positions that were known outside will be those of other events.
        manifest.go_on_as_another();
    }
    let in_the_way = |error: io::Error| RepairError::Write(format!("{}: {error}", beside.display()));
    remove_folder(&beside).and_then(|()| files.create_folder(&beside)).map_err(in_the_way)?;
    let target = RewrittenJournal::new(&options.files, &beside, manifest.owner(), lock);
    let put = target.and_then(|target| write_beside(folder, target, options, looked, last)).and_then(|end| {
        // A copy stays one when it is repaired.
        manifest.note_identity(FolderIdentity::of(folder).map_err(failed)?);
        manifest.index = IndexState::Building;
        // Of the two journals, whichever is there: the place of the end is another one in each.
        manifest.journal = JournalEnd { position: end, ..JournalEnd::EMPTY };
        // What is given up stands in the old one until the old journal is away: it says what another copy is to restore.
        if !is_cut {
            manifest::write(files, folder, &manifest).map_err(failed)?;
        }
        put_in_place(files, &beside, &journal_folder(folder), kept_as).map_err(failed)
    });
    if let Err(error) = put {
        // It would keep the room that others need.
        let _unimportant = remove_folder(&beside);
        return Err(error);
    }
    // The manifest names the journal's files, which are others now.
    let noted = files.sync_folder(folder).and_then(|()| manifest::write(files, folder, &manifest));
    noted.map_err(|error| RepairError::Unfinished {
        kept_as: kept_as.map(Path::to_owned),
        why: error.to_string(),
    })?;
    let end = manifest.journal.position;
    tracing::info!(%end, "the journal is written anew");
    Ok(())
}

/// The description of a store that lost it: of the store that a segment names, else of the one that a copy is of, else of a
/// new one. It is to be adopted.
fn drawn_anew(folder: &Path, files: &dyn Files, copied: Option<u128>) -> Result<Manifest, RepairError> {
    let place = FolderIdentity::of(folder).map_err(|error| RepairError::Write(error.to_string()))?;
    let mut manifest = Manifest::draw(None, place, false);
    if let Some(store) = recover::store_named(files, &journal_folder(folder))?.or(copied) {
        manifest.store = format!("{store:032x}");
    }
    Ok(manifest)
}

/// Writes the new journal, up to a position, from what is whole in the old one and what is restored; gives its last position.
fn write_beside(
    folder: &Path,
    mut target: RewrittenJournal,
    options: &SledOptions,
    looked: &Findings,
    last: Position,
) -> Result<Position, RepairError> {
    let mut restored = looked.restored.iter().peekable();
    let mut fill = |target: &mut RewrittenJournal, until: Position| -> Result<(), RepairError> {
        while let Some((&position, batch)) = restored.next_if(|(position, _)| **position < until) {
            let unproven = || RepairError::Unproven { stream: batch.stream.clone(), version: batch.version };
            let is_put = match &batch.copied {
                Some((committed_at, bytes)) => target.put(bytes, position, *committed_at)?,
                None => {
                    let index = looked.index.as_ref().map(|copy| &copy.index).ok_or_else(unproven)?;
                    let found = index.batch(&batch.stream, batch.version).ok().flatten();
                    let (place, bytes) = found.ok_or_else(unproven)?;
                    target.put(&bytes, position, place.committed_at)?
                }
            };
            if !is_put {
                return Err(unproven());
            }
        }
        Ok(())
    };
    let expected = manifest::expected(folder, looked.manifest.as_ref())?;
    let mut outcome = Ok(());
    salvage::walk(options.files.as_ref(), &journal_folder(folder), expected, last, &mut |found| {
        let SalvageItem::Group(group, place) = found else { return Ok(()) };
        let mut copy = || -> Result<(), RepairError> {
            let mut position = group.first_position;
            for bytes in format::records(place.body).map_while(Result::ok) {
                if position > last {
                    break;
                }
                // It is restored with what stands behind it in the group.
                let Ok((head, _)) = record::decode_outline(bytes) else { break };
                fill(&mut target, position)?;
                // The batch that takes its place is written by the next call.
                let is_replaced = looked.restored.contains_key(&position);
                if !is_replaced && !target.put(bytes, position, group.committed_at)? {
                    return Err(RepairError::Unproven { stream: head.stream, version: head.first_version });
                }
                position = Position(position.0 + u64::from(head.count));
            }
            Ok(())
        };
        if outcome.is_ok() {
            outcome = copy();
        }
        Ok(())
    })?;
    outcome?;
    fill(&mut target, Position(u64::MAX))?;
    Ok(target.end())
}

/// Gives the new journal its name, and the old one, if there is one, its other name, at one moment.
fn put_in_place(files: &dyn Files, beside: &Path, journal: &Path, kept_as: Option<&Path>) -> io::Result<()> {
    let Some(kept_as) = kept_as else { return files.rename(beside, journal) };
    files.rename(beside, kept_as)?;
    files.exchange(kept_as, journal).inspect_err(|_| {
        let _unimportant = remove_folder(kept_as);
    })
}
