//! One owner: whatever becomes of the names in a folder, no process writes where another one does.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use everfold_store::files::Files as _;
use everfold_store::verify::{NoMeaning, verify_folder};
use everfold_store::{AppendError, EventStore, OpenError, SledOptions, SledStore, Writability};
use tempfile::TempDir;

use crate::fault_files::{Call, FaultFiles};
use crate::fixtures::{copy_folder, open, payloads, run, try_open};
use crate::writer::Writer;

fn is_in_use(opened: Result<Arc<SledStore>, OpenError>) -> bool {
    matches!(opened, Err(OpenError::InUse { .. }))
}

#[test]
fn row_01_a_removed_lock_makes_no_second_owner() {
    run(async {
        let folder = TempDir::new().unwrap();
        let first = open(folder.path(), &FaultFiles::default());
        let mut writer = Writer::new("a");
        first.append(writer.append(&[b"1"])).await.unwrap();
        fs::remove_file(folder.path().join("lock")).unwrap();
        assert!(is_in_use(try_open(folder.path(), &FaultFiles::default(), "boot")));
        assert!(!folder.path().join("lock").exists(), "who is refused leaves nothing");
        // The owner goes on, and everything that it acknowledges is there.
        for _ in 0..100 {
            first.append(writer.append(&[b"note"])).await.unwrap();
        }
        first.close().await.unwrap();
        assert!(folder.path().join("lock").exists(), "the owner has locked it again");
        drop(first);
        let next = try_open(folder.path(), &FaultFiles::default(), "boot").unwrap();
        assert_eq!(payloads(next.as_ref()).await.len(), 101);
        let report = verify(folder.path());
        assert!(report.is_err(), "in use: {report:?}");
        drop(next);
        assert!(verify(folder.path()).unwrap().is_sound());
    });
}

fn verify(folder: &Path) -> Result<everfold_store::verify::VerifyReport, OpenError> {
    verify_folder(folder, &SledOptions::default(), &mut NoMeaning)
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// The folder's own lock is passed over as by an owner that did not know it: an older version's, or one
/// whose folder was renamed and its files moved into another one.
#[test]
fn row_01_files_that_an_owner_writes_are_refused_in_another_folder_too() {
    run(async {
        for moved in [&["journal"][..], &["sled"], &["journal", "sled", "store.json"]] {
            let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let first = open(folder.path(), &FaultFiles::default());
            let mut writer = Writer::new("a");
            first.append(writer.append(&[b"1"])).await.unwrap();
            for name in ["journal", "sled", "store.json"] {
                let (from, to) = (folder.path().join(name), other.path().join(name));
                if moved.contains(&name) {
                    fs::rename(from, to).unwrap();
                } else if from.is_dir() {
                    copy_folder(&from, &to);
                } else {
                    fs::copy(from, to).unwrap();
                }
            }
            let index = inode(&other.path().join("sled/db"));
            let opened = try_open(other.path(), &FaultFiles::default(), "boot");
            assert!(is_in_use(opened), "{moved:?}");
            assert_eq!(inode(&other.path().join("sled/db")), index, "nothing is built over it");
            drop(first);
        }
    });
}

#[test]
fn row_02_an_owner_whose_folder_was_removed_acknowledges_nothing_and_touches_no_other() {
    run(async {
        let above = TempDir::new().unwrap();
        let folder = above.path().join("data");
        let old = open(&folder, &FaultFiles::default());
        let mut writer = Writer::new("a");
        old.append(writer.append(&[b"1"])).await.unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let new = open(&folder, &FaultFiles::default());
        let mut fresh = Writer::new("b");
        new.append(fresh.append(&[b"new"])).await.unwrap();
        // More than the old owner's segment holds: it would make the next one by name.
        let refused = old.append(writer.append(&[&vec![1; 900_000]])).await.unwrap_err();
        assert!(matches!(refused, AppendError::NotOurs(_)), "{refused}");
        let refused = old.append(writer.append(&[&vec![1; 2_000_000]])).await.unwrap_err();
        assert!(matches!(refused, AppendError::NotOurs(_)), "{refused}");
        assert!(matches!(*old.writability().borrow(), Writability::NotOurs(_)));
        assert!(!old.is_ours() && new.is_ours());
        let names = || {
            let entries = fs::read_dir(folder.join("journal")).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            let mark: serde_json::Value =
                serde_json::from_slice(&fs::read(folder.join("store.json")).unwrap()).unwrap();
            (names, mark["everfold"]["store"].clone())
        };
        let before = names();
        old.close().await.unwrap();
        drop(old);
        assert_eq!(names(), before, "the end of the old owner leaves the new one's files alone");
        new.append(fresh.append(&[b"newer"])).await.unwrap();
        new.close().await.unwrap();
        drop(new);
        assert!(verify(&folder).unwrap().is_sound());
        let new = try_open(&folder, &FaultFiles::default(), "another boot").unwrap();
        assert_eq!(payloads(new.as_ref()).await, [b"new".to_vec(), b"newer".to_vec()]);
    });
}

#[test]
fn row_02_a_folder_that_was_moved_away_ends_writing() {
    run(async {
        let above = TempDir::new().unwrap();
        let folder = above.path().join("data");
        let store = open(&folder, &FaultFiles::default());
        let mut writer = Writer::new("a");
        store.append(writer.append(&[b"1"])).await.unwrap();
        fs::rename(&folder, above.path().join("elsewhere")).unwrap();
        let refused = store.append(writer.append(&[b"2"])).await.unwrap_err();
        assert!(matches!(refused, AppendError::NotOurs(_)), "{refused}");
        store.close().await.unwrap();
        assert!(!folder.exists());
    });
}

/// A backup put back by different tools into the folder that it came from.
#[test]
fn row_04_a_backup_put_back_into_the_same_folder_is_a_copy() {
    fn emptied(folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
    }
    run(async {
        /// Puts a backup back into a folder.
        type PutBack = fn(&Path, &Path);
        let put_back: [(&str, PutBack); 3] = [
            ("emptied first", |backup, folder| {
                emptied(folder);
                copy_folder(backup, folder);
            }),
            // `cp` writes into the files that are there: they stay the same files.
            ("written over", copy_folder),
            ("moved", |backup, folder| {
                emptied(folder);
                for entry in fs::read_dir(backup).unwrap() {
                    let entry = entry.unwrap();
                    fs::rename(entry.path(), folder.join(entry.file_name())).unwrap();
                }
            }),
        ];
        for (how, put_back) in put_back {
            for is_orderly in [true, false] {
                let above = TempDir::new().unwrap();
                let (folder, backup) = (above.path().join("data"), above.path().join("backup"));
                let files = FaultFiles::default();
                let store = open(&folder, &files);
                let mut writer = Writer::new("a");
                store.append(writer.append(&[b"the charge is to be made"])).await.unwrap();
                let epoch = store.report().epoch.clone();
                store.close().await.unwrap();
                drop(store);
                copy_folder(&folder, &backup);
                let files = FaultFiles::default();
                let store = open(&folder, &files);
                assert!(store.report().adopted);
                store.append(writer.clone().append(&[b"the charge was made"])).await.unwrap();
                if !is_orderly {
                    files.stop_after(0, false);
                }
                drop(store);
                put_back(&backup, &folder);
                for _ in 0..2 {
                    let store = open(&folder, &FaultFiles::default());
                    assert!(!store.report().adopted, "{how}");
                    assert_ne!(store.report().epoch, epoch, "{how}");
                    let refused = store.append(writer.clone().append(&[b"again"])).await.unwrap_err();
                    assert!(matches!(refused, AppendError::ReadOnly(_)), "{how}: {refused}");
                    assert_eq!(payloads(store.as_ref()).await.len(), 1);
                }
                let store = open(&folder, &FaultFiles::default());
                store.adopt().await.unwrap();
                store.append(writer.clone().append(&[b"again"])).await.unwrap();
                drop(store);
                assert!(open(&folder, &FaultFiles::default()).report().adopted, "{how}");
            }
        }
    });
}

/// Both had written to one journal, and acted.
#[test]
fn a_copy_by_hard_links_is_refused_before_anything_is_written_and_its_origin_goes_on() {
    run(async {
        let above = TempDir::new().unwrap();
        let (folder, linked, copied) =
            (above.path().join("data"), above.path().join("linked"), above.path().join("copied"));
        let mut writer = Writer::new("a");
        let store = open(&folder, &FaultFiles::default());
        store.append(writer.append(&[b"the charge is to be made"])).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        link_folder(&folder, &linked);
        let journal = bytes_of_files(&linked);
        let refused = try_open(&linked, &FaultFiles::default(), "boot").err().unwrap();
        assert!(matches!(refused, OpenError::Shared { .. }), "{refused}");
        assert_eq!(bytes_of_files(&linked), journal);
        let refused = everfold_store::repair::apply(
            &linked,
            &SledOptions::default(),
            &everfold_store::repair::RestoreFrom::Nothing,
        )
        .unwrap_err();
        assert!(refused.to_string().contains("has another name, too"), "{refused}");
        assert!(!verify(&linked).unwrap().is_sound() && verify(&folder).unwrap().is_sound());
        assert_eq!(bytes_of_files(&linked), journal);
        // Nor is it believed without its description.
        fs::remove_file(linked.join("store.json")).unwrap();
        let refused = try_open(&linked, &FaultFiles::default(), "boot").err().unwrap();
        assert!(matches!(refused, OpenError::Shared { .. }), "{refused}");
        copy_folder(&linked, &copied);
        assert_eq!(payloads(open(&copied, &FaultFiles::default()).as_ref()).await.len(), 1);
        let store = open(&folder, &FaultFiles::default());
        assert!(store.report().adopted, "links elsewhere are nothing to the origin");
        assert!(store.report().warnings.is_empty(), "{:?}", store.report().warnings);
        store.append(writer.append(&[b"the charge was made"])).await.unwrap();
    });
}

/// The bytes of every file of a folder, by its name.
fn bytes_of_files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry)
            } else {
                found.push((entry.clone(), fs::read(&entry).unwrap()))
            }
        }
    }
    found.sort();
    found
}

fn link_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = to.join(entry.file_name());
        if entry.path().is_dir() {
            link_folder(&entry.path(), &name)
        } else {
            fs::hard_link(entry.path(), name).unwrap()
        }
    }
}

/// A backup of a store at rest, made while its owner lived, is put into the files that lie there after a kill.
#[test]
fn row_04_what_is_written_after_a_rest_makes_a_backup_of_that_rest_a_copy() {
    run(async {
        let above = TempDir::new().unwrap();
        let (folder, backup) = (above.path().join("data"), above.path().join("backup"));
        let mut writer = Writer::new("a");
        let store = open(&folder, &FaultFiles::default());
        store.append(writer.append(&[b"the charge is to be made"])).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let files = FaultFiles::default();
        let options = SledOptions {
            files: Arc::new(files.clone()),
            boot_id: "boot".into(),
            renew_manifest_after: std::time::Duration::ZERO,
            ..SledOptions::default()
        };
        let store = SledStore::open(&folder, options).unwrap();
        copy_folder(&folder, &backup);
        let at_rest = inode(&folder.join("store.json"));
        store.append(writer.append(&[b"the charge was made"])).await.unwrap();
        while inode(&folder.join("store.json")) == at_rest {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        files.stop_after(0, false);
        drop(store);
        copy_folder(&backup, &folder);
        let store = open(&folder, &FaultFiles::default());
        assert!(!store.report().adopted);
    });
}

#[test]
fn row_04_a_store_that_stays_where_it_is_needs_no_word_whatever_its_end() {
    run(async {
        let folder = TempDir::new().unwrap();
        let mut writer = Writer::new("a");
        for round in 0..6 {
            let files = FaultFiles::default();
            let store =
                try_open(folder.path(), &files, if round % 3 == 0 { "boot" } else { "next" }).unwrap();
            assert!(store.report().adopted, "round {round}");
            store.append(writer.append(&[&vec![1; 300_000]])).await.unwrap();
            if round % 2 == 0 {
                files.stop_after(0, false);
            }
        }
        // A mark of an earlier version says less, and is believed as far as it goes.
        let mark = folder.path().join("store.json");
        let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&mark).unwrap()).unwrap();
        let place = value["everfold"]["place"].as_object_mut().unwrap();
        for name in ["journal", "segment", "mark"] {
            assert!(place.remove(name).is_some(), "{name}");
        }
        let text = everfold_base::json::canonical(&value["everfold"]);
        value["check"] = everfold_base::json::Hash::of(text.as_bytes()).to_string().into();
        fs::write(&mark, value.to_string()).unwrap();
        assert!(open(folder.path(), &FaultFiles::default()).report().adopted);
    });
}

#[test]
fn row_06_each_folder_above_a_new_store_is_made_durable_in_the_one_above_it() {
    let above = TempDir::new().unwrap();
    let files = FaultFiles::default();
    let folder = above.path().join("a/b/data");
    drop(open(&folder, &files));
    // As folders of attempts are made.
    files.create_private(&folder.join("attempts/run/attempt")).unwrap();
    let mode = fs::metadata(folder.join("attempts")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let calls = files.calls();
    let attempts = ["a/b/data/attempts", "a/b/data/attempts/run", "a/b/data/attempts/run/attempt"];
    for made in ["a", "a/b", "a/b/data", "a/b/data/journal"].iter().chain(&attempts) {
        let path = above.path().join(made);
        let at = calls.iter().position(|call| *call == Call::MakeFolder(path.clone())).unwrap();
        let synced = Call::SyncFolder(path.parent().unwrap().into());
        assert!(calls[at..].contains(&synced), "{made}");
    }
}
