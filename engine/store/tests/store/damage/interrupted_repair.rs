//! A repair that is only planned, one without a journal, one that is stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use everfold_base::id::Position;
use everfold_store::repair::{self, RepairError, RepairStep, RestoreFrom};
use everfold_store::verify::{NoMeaning, verify_folder};
use everfold_store::{OpenError, SledOptions, SledStore};
use tempfile::TempDir;

use super::sample;
use crate::fault_files::FaultFiles;
use crate::fixtures::{copy_folder, run};

/// Everything in a folder.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |file: PathBuf| {
        let bytes = fs::read(folder.join(&file)).unwrap();
        (file, bytes)
    };
    sample::files(folder).into_iter().map(read).collect()
}

fn segment(folder: &Path) -> PathBuf {
    folder.join("journal/0000000001.segment")
}

/// Loses a group in the middle.
fn damage(folder: &Path) {
    let mut bytes = fs::read(segment(folder)).unwrap();
    let groups: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EVGR")).collect();
    bytes[groups[4] + 80] ^= 1;
    fs::write(segment(folder), bytes).unwrap();
}

#[test]
fn a_plan_changes_nothing_and_what_was_repaired_has_no_fault() {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("store");
    sample::make(&folder);
    let options = SledOptions::default();
    // As it was closed, and as a killed process leaves it.
    for is_closed in [true, false] {
        let damaged = kept.path().join(format!("closed-{is_closed}"));
        copy_folder(&folder, &damaged);
        if !is_closed {
            drop(SledStore::open(&damaged, options.clone()).unwrap());
        }
        damage(&damaged);
        let before = content(&damaged);
        for from in [RestoreFrom::Nothing, RestoreFrom::Index] {
            repair::plan(&damaged, &options, &from).unwrap();
            assert!(content(&damaged) == before, "closed: {is_closed}, from {from}");
        }
        repair::apply(&damaged, &options, &RestoreFrom::Index).unwrap();
        let report = verify_folder(&damaged, &options, &mut NoMeaning).unwrap();
        assert_eq!(report.faults, [], "closed: {is_closed}");
    }
}

#[test]
fn s5_a_journal_whose_folder_is_missing_is_written_anew_from_the_index() {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("store");
    let expected = sample::make(&folder);
    fs::remove_dir_all(folder.join("journal")).unwrap();
    let options = SledOptions::default();
    let plan = repair::plan(&folder, &options, &RestoreFrom::Index).unwrap();
    let whole = RepairStep::RewriteJournal {
        kept_as: None,
        restored: vec![(Position(1), Position(31))],
        from: RestoreFrom::Index,
    };
    assert_eq!(plan.steps, [whole, RepairStep::RebuildIndex]);
    assert_eq!(repair::apply(&folder, &options, &RestoreFrom::Index).unwrap(), plan);
    assert_eq!(verify_folder(&folder, &options, &mut NoMeaning).unwrap().faults, []);
    let store = SledStore::open(&folder, options).unwrap();
    assert!(run(sample::answers(&store)).unwrap() == expected);
}

#[test]
fn s5_a_repair_that_stops_anywhere_says_how_the_store_is_and_loses_nothing() {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("store");
    let expected = sample::make(&folder);
    for has_journal in [true, false] {
        let (mut calls, mut unfinished) = (0, 0);
        loop {
            let copy = TempDir::new().unwrap();
            let damaged = copy.path().join("store");
            copy_folder(&folder, &damaged);
            match has_journal {
                true => damage(&damaged),
                false => fs::remove_dir_all(damaged.join("journal")).unwrap(),
            }
            let before = fs::read(segment(&damaged)).ok();
            let files = FaultFiles::default();
            files.stop_after(calls + 1, calls % 2 == 0);
            let options = SledOptions { files: Arc::new(files.clone()), ..SledOptions::default() };
            match repair::apply(&damaged, &options, &RestoreFrom::Index) {
                Err(RepairError::Unfinished { kept_as, .. }) => {
                    unfinished += 1;
                    assert_eq!(kept_as.is_some(), has_journal, "behind {calls} calls");
                    let old = kept_as.map(|kept_as| fs::read(kept_as.join("0000000001.segment")).unwrap());
                    assert!(old == before, "behind {calls} calls: the old journal is kept");
                }
                Err(RepairError::Write(_) | RepairError::Open(OpenError::Io { .. })) => {
                    let now = fs::read(segment(&damaged)).ok();
                    assert!(now == before, "behind {calls} calls: the old journal is where it was");
                    repair::apply(&damaged, &SledOptions::default(), &RestoreFrom::Index).unwrap();
                }
                Err(other) => panic!("behind {calls} calls: {other}"),
                Ok(_) => {}
            }
            let store = SledStore::open(&damaged, SledOptions::default()).unwrap();
            assert!(run(sample::answers(&store)).unwrap() == expected, "behind {calls} calls");
            if !files.has_stopped() {
                break;
            }
            calls += 1;
        }
        assert!(calls > 30 && unfinished > 3, "{calls} calls, {unfinished} behind the exchange");
    }
}
