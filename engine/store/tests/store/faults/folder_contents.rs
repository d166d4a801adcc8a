//! Folders that lost most of a store, or hold what is none: no new store is begun in them without a word.

use std::fs;
use std::path::Path;

use everfold_store::repair::{self, RestoreFrom};
use everfold_store::verify::{NoMeaning, VerifyFault, verify_folder};
use everfold_store::{EventStore, OpenError, SledOptions, SledStore, check_folder, would_be_new};
use tempfile::TempDir;

use crate::fixtures::run;
use crate::writer::Writer;

/// A closed store with an event, and what a run wrote.
fn with_run() -> TempDir {
    let folder = TempDir::new().unwrap();
    run(async {
        let store = SledStore::open(folder.path(), SledOptions::default()).unwrap();
        store.append(Writer::run("a").append(&[b"event"])).await.unwrap();
        store.close().await.unwrap();
    });
    fs::create_dir_all(folder.path().join("attempts/run")).unwrap();
    folder
}

fn remove(folder: &Path, names: &[&str]) {
    for path in names.iter().map(|name| folder.join(name)) {
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.unwrap();
    }
}

/// The names below a folder; a file `lock` informs alone.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

/// What is done to a folder, and what it is said to hold then.
type Loss<'a> = (&'a dyn Fn(&Path), &'a str);

/// Each of them was opened as a new store, which acts.
#[test]
fn a_folder_whose_events_are_gone_begins_no_new_store_whatever_is_left_of_it() {
    let segment = "journal/0000000001.segment";
    let losses: [Loss<'_>; 5] = [
        (
            &|folder| {
                remove(folder, &["journal", "sled"]);
                fs::write(folder.join("store.json"), "").unwrap();
            },
            "a damaged store.json",
        ),
        (
            &|folder| {
                remove(folder, &["store.json", "sled"]);
                fs::rename(folder.join(segment), folder.join("journal/0000000001.segment.gz")).unwrap();
            },
            "journal/0000000001.segment.gz",
        ),
        // As the place of a disk that is not mounted: it was no data folder, since it holds a journal.
        (
            &|folder| {
                remove(folder, &["store.json", "sled", segment]);
            },
            "an empty journal",
        ),
        (
            &|folder| {
                remove(folder, &["store.json", "journal"]);
                fs::write(folder.join("sled/db"), vec![7; 100_000]).unwrap();
            },
            "an index (sled) from which nothing can be read",
        ),
        (
            &|folder| {
                remove(folder, &["store.json", "journal", "sled"]);
                drop(sled::Config::new().path(folder.join("sled")).open().unwrap());
            },
            "an index (sled) from which nothing can be read",
        ),
    ];
    for (lose, said) in losses {
        let kept = with_run();
        let folder = kept.path();
        lose(folder);
        assert!(!would_be_new(folder), "{said}");
        let before = names(folder);
        let options = SledOptions::default();
        for yes in [repair::plan, repair::apply] {
            match yes(folder, &options, &RestoreFrom::Nothing) {
                Err(refused) => assert!(refused.to_string().contains(said), "{said}: {refused}"),
                other => panic!("{said}: {other:?}"),
            }
        }
        match SledStore::open(folder, options.clone()).map(drop) {
            Err(refused @ OpenError::Gone { .. }) => assert!(refused.to_string().contains(said), "{refused}"),
            other => panic!("{said}: {other:?}"),
        }
        let is_named = check_folder(folder).is_err()
            || verify_folder(folder, &options, &mut NoMeaning)
                .unwrap()
                .faults
                .iter()
                .any(|fault| matches!(fault, VerifyFault::NoJournal { .. }));
        assert!(is_named, "{said}");
        assert_eq!(names(folder), before, "{said}: nothing is made or removed");
    }
}

/// A store begins in a folder that a killed process had half made, and in one whose journal is an empty disk of its own.
#[test]
fn what_is_no_sign_of_events_keeps_no_store_from_being_begun() {
    let with_disk = TempDir::new().unwrap();
    fs::create_dir_all(with_disk.path().join("journal/lost+found")).unwrap();
    let half_made = TempDir::new().unwrap();
    drop(sled::Config::new().path(half_made.path().join("sled")).open().unwrap());
    fs::create_dir_all(half_made.path().join("blobs/run")).unwrap();
    for folder in [with_disk, half_made] {
        let store = SledStore::open(folder.path(), SledOptions::default()).unwrap();
        assert!(store.report().is_new && store.report().adopted, "{:?}", store.report());
    }
}

#[test]
fn a_file_in_the_journal_that_nothing_reads_is_noted() {
    let kept = with_run();
    let file = kept.path().join("journal/0000000002.segment.bak");
    fs::write(&file, "half").unwrap();
    let report = verify_folder(kept.path(), &SledOptions::default(), &mut NoMeaning).unwrap();
    assert_eq!(report.faults, []);
    assert!(report.notes.iter().any(|note| note.contains(&*file.to_string_lossy())), "{:?}", report.notes);
}
