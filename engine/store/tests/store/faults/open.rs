//! Whose folder it is, what is believed, and what is refused.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use everfold_base::id::{Position, Version};
use everfold_store::verify::{NoMeaning, verify_folder};
use everfold_store::{
    AppendError, EventStore, IndexOpened, OpenError, ReadError, SledOptions, SledStore, Writability,
    would_be_new,
};
use tempfile::TempDir;

use crate::fault_files::{Call, FaultFiles};
use crate::fixtures::{copy_folder, open, payloads, run, try_open};
use crate::writer::Writer;

/// A store that was killed: its end was not recorded.
async fn killed(folder: &Path, appends: usize) {
    let files = FaultFiles::default();
    let store = open(folder, &files);
    let mut writer = Writer::new("a");
    for number in 0..appends {
        store.append(writer.append(&[format!("{number}").as_bytes()])).await.unwrap();
    }
    files.stop_after(0, false);
}

/// An index as it was laid out first: a value for each append, and no word about the layout.
fn lay_out_as_before(folder: &Path, position: u64) {
    let index = folder.join("sled");
    fs::remove_dir_all(&index).unwrap();
    let db = sled::Config::new().path(&index).flush_every_ms(None).open().unwrap();
    db.insert(b"era\0\0\0\0\0\0\0\0\x01\0\0", vec![7; 100]).unwrap();
    db.insert(b"hra", vec![7; 49]).unwrap();
    db.insert(b"m", &position.to_le_bytes()).unwrap();
    db.flush().unwrap();
}

#[test]
fn s5_an_index_of_an_earlier_layout_is_built_again() {
    run(async {
        let folder = TempDir::new().unwrap();
        killed(folder.path(), 10).await;
        lay_out_as_before(folder.path(), 10);
        let store = try_open(folder.path(), &FaultFiles::default(), "boot").unwrap();
        assert_eq!(store.report().index, IndexOpened::Rebuilt { events: 10 });
        assert!(store.report().warnings.iter().any(|warning| warning.contains("layout")));
        assert_eq!(payloads(store.as_ref()).await.len(), 10);
        store.close().await.unwrap();
        drop(store);
        let store = try_open(folder.path(), &FaultFiles::default(), "boot").unwrap();
        assert_eq!(store.report().index, IndexOpened::Kept);
        assert_eq!(store.report().warnings, [""; 0]);
    });
}

#[test]
fn s5_an_index_of_an_earlier_layout_proves_what_the_journal_lost() {
    run(async {
        let folder = TempDir::new().unwrap();
        killed(folder.path(), 10).await;
        lay_out_as_before(folder.path(), 12);
        let refused = try_open(folder.path(), &FaultFiles::default(), "boot").err().unwrap();
        assert!(
            matches!(refused, OpenError::Missing { first: Position(11), last: Position(12), .. }),
            "{refused:?}"
        );
    });
}

#[test]
fn s5_after_a_kill_the_index_is_believed_and_after_another_boot_built_again() {
    run(async {
        let folder = TempDir::new().unwrap();
        killed(folder.path(), 10).await;
        let files = FaultFiles::default();
        let store = try_open(folder.path(), &files, "boot").unwrap();
        assert!(matches!(store.report().index, IndexOpened::Kept | IndexOpened::CaughtUp { .. }));
        files.stop_after(0, false);
        drop(store);
        let store = try_open(folder.path(), &FaultFiles::default(), "next boot").unwrap();
        assert_eq!(store.report().index, IndexOpened::Rebuilt { events: 10 });
        assert_eq!(payloads(store.as_ref()).await.len(), 10);
        store.close().await.unwrap();
        drop(store);
        // Closed in order, it is believed whatever boots.
        let store = try_open(folder.path(), &FaultFiles::default(), "third boot").unwrap();
        assert_eq!(store.report().index, IndexOpened::Kept);
        assert_eq!(store.report().warnings, [""; 0]);
    });
}

#[test]
fn s5_an_index_ahead_of_the_journal_proves_loss_and_is_never_built_over() {
    run(async {
        let folder = TempDir::new().unwrap();
        killed(folder.path(), 10).await;
        // The journal's last group is gone without a trace.
        let segment = folder.path().join("journal/0000000001.segment");
        let mut bytes = fs::read(&segment).unwrap();
        let last = bytes.windows(4).rposition(|window| window == b"EVGR").unwrap();
        bytes[last..].fill(0);
        fs::write(&segment, bytes).unwrap();
        for boot in ["boot", "next boot"] {
            match try_open(folder.path(), &FaultFiles::default(), boot).map(|_| ()) {
                Err(OpenError::Missing { first, last, .. }) => {
                    assert_eq!((first, last), (Position(10), Position(10)));
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn s5_a_missing_segment_is_named_with_its_positions() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = open(folder.path(), &FaultFiles::default());
        let mut writer = Writer::new("a");
        for _ in 0..3 {
            store.append(writer.append(&[&vec![1; 900_000]])).await.unwrap();
            store.append(writer.append(&[&vec![1; 4_000_000]])).await.unwrap();
            store.append(writer.append(&[&vec![1; 4_000_000], b"x"])).await.unwrap();
            store.append(writer.append(&[&vec![1; 4_000_000]])).await.unwrap();
        }
        store.close().await.unwrap();
        drop(store);
        fs::remove_file(folder.path().join("journal/0000000002.segment")).unwrap();
        match try_open(folder.path(), &FaultFiles::default(), "boot").map(|_| ()) {
            Err(OpenError::Missing { last, what, .. }) => {
                assert!(last > Position(1) && what.contains("0000000002.segment"), "{what}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn s2_a_bad_group_before_a_valid_one_is_damage_and_only_the_last_may_be_cut() {
    run(async {
        let folder = TempDir::new().unwrap();
        killed(folder.path(), 3).await;
        // Without an index nothing else knows the last group.
        fs::remove_dir_all(folder.path().join("sled")).unwrap();
        let segment = folder.path().join("journal/0000000001.segment");
        let whole = fs::read(&segment).unwrap();
        let groups: Vec<usize> =
            (0..whole.len() - 4).filter(|at| whole[*at..].starts_with(b"EVGR")).collect();
        let mut bytes = whole.clone();
        bytes[groups[1] + 70] ^= 1;
        fs::write(&segment, &bytes).unwrap();
        match try_open(folder.path(), &FaultFiles::default(), "boot").map(|_| ()) {
            Err(OpenError::Damaged(damage)) => {
                assert_eq!((damage.file, damage.offset), (segment.clone(), groups[1] as u64));
                assert_eq!(damage.positions, Some((Position(2), Position(2))));
            }
            other => panic!("{other:?}"),
        }
        let mut bytes = whole;
        bytes[groups[2] + 70] ^= 1;
        fs::write(&segment, bytes).unwrap();
        let store = try_open(folder.path(), &FaultFiles::default(), "boot").unwrap();
        let warnings = store.report().warnings.join("\n");
        assert!(
            warnings.contains("unfinished write") && warnings.contains(&groups[2].to_string()),
            "{warnings}"
        );
        assert_eq!(payloads(store.as_ref()).await.len(), 2);
        let mut writer =
            Writer::at(&Writer::new("a").stream, store.head(&Writer::new("a").stream).await.unwrap());
        store.append(writer.append(&[b"goes on"])).await.unwrap();
    });
}

#[test]
fn s13_a_copy_draws_a_new_epoch_reads_at_once_and_writes_when_adopted() {
    run(async {
        let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let store = open(folder.path(), &FaultFiles::default());
        let mut writer = Writer::new("a");
        store.append(writer.append(&[b"1"])).await.unwrap();
        let epoch = store.report().epoch.clone();
        store.close().await.unwrap();
        drop(store);
        let copied = other.path().join("copy");
        copy_folder(folder.path(), &copied);
        let mut epochs = Vec::new();
        for _ in 0..2 {
            let store = open(&copied, &FaultFiles::default());
            assert!(!store.report().adopted);
            epochs.push(store.report().epoch.clone());
            assert_eq!(store.read(&writer.stream, Version(1), 9).await.unwrap().len(), 1);
            assert!(matches!(*store.writability().borrow(), Writability::ReadOnly(_)));
            let refused = store.append(writer.clone().append(&[b"2"])).await.unwrap_err();
            assert!(matches!(refused, AppendError::ReadOnly(_)), "{refused}");
        }
        assert!(epochs[0] == epochs[1] && epochs[0] != epoch, "{epochs:?} {epoch}");
        let store = open(&copied, &FaultFiles::default());
        store.adopt().await.unwrap();
        store.append(writer.clone().append(&[b"2"])).await.unwrap();
        drop(store);
        assert!(open(&copied, &FaultFiles::default()).report().adopted);
        let original = open(folder.path(), &FaultFiles::default());
        assert_eq!((original.report().epoch.clone(), original.report().adopted), (epoch, true));
    });
}

/// It said that `store.json` could not be read, which sent people to look at a file that was in order.
#[test]
fn store_json_that_cannot_be_replaced_is_said_to_be_unwritten() {
    run(async {
        let (folder, files) = (TempDir::new().unwrap(), FaultFiles::default());
        let store = open(folder.path(), &files);
        files.set_no_files(true);
        let refused = store.adopt().await.unwrap_err();
        files.set_no_files(false);
        assert_eq!(
            refused.to_string(),
            format!("could not write {}", folder.path().join("store.json").display())
        );
        assert!(matches!(refused, ReadError::Write { .. }), "{refused:?}");
    });
}

/// Each goes by way of the same file beside it, which another writer would remove or put in place half written.
#[test]
fn store_json_has_one_writer_at_a_time() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = open(folder.path(), &FaultFiles::default());
        store.append(Writer::new("a").append(&[b"1"])).await.unwrap();
        for _ in 0..10 {
            let writers: Vec<_> = (0..16)
                .map(|_| {
                    let store = std::sync::Arc::clone(&store);
                    tokio::spawn(async move { store.adopt().await })
                })
                .collect();
            for writer in writers {
                writer.await.unwrap().unwrap();
            }
        }
        store.close().await.unwrap();
        drop(store);
        let report = open(folder.path(), &FaultFiles::default()).report().clone();
        assert!(report.adopted, "{report:?}");
    });
}

#[test]
fn a_second_opener_gets_the_id_of_the_process_that_has_the_store() {
    let folder = TempDir::new().unwrap();
    let first = SledStore::open(folder.path(), SledOptions::default()).unwrap();
    match SledStore::open(folder.path(), SledOptions::default()).map(|_| ()) {
        Err(OpenError::InUse { pid }) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    drop(first);
    SledStore::open(folder.path(), SledOptions::default()).unwrap();
}

/// What is left where a store was removed.
#[test]
fn a_folder_that_holds_only_what_the_program_keeps_beside_its_store_is_no_foreign_one() {
    for name in everfold_base::data_folder::Layout::NAMES {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join(name)).unwrap();
        SledStore::open(folder.path(), SledOptions::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// A process that was killed between the two calls left it so.
#[test]
fn a_folder_that_was_made_and_not_synced_is_synced_by_the_next_process() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("data");
    let run = everfold_base::id::RunId(uuid::Uuid::from_u128(7));
    fs::create_dir_all(folder.join("blobs").join(run.to_string())).unwrap();
    let files = FaultFiles::default();
    let has_synced = |path: &std::path::Path| {
        files.calls().iter().any(|call| matches!(call, Call::SyncFolder(synced) if synced == path))
    };
    let blobs = everfold_store::BlobStore::with_files(&folder, std::sync::Arc::new(files.clone()));
    blobs.put_blocking(run, b"evidence").unwrap();
    assert!(has_synced(&folder) && has_synced(&folder.join("blobs")));
    assert!(!has_synced(home.path()));
    drop(open(&folder, &files));
    assert!(has_synced(home.path()));
    // Once is enough.
    let before = files.calls().len();
    blobs.put_blocking(run, b"more evidence").unwrap();
    let again = files.calls()[before..].iter().any(|call| *call == Call::SyncFolder(folder.clone()));
    assert!(!again);
}

#[test]
fn a_foreign_folder_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.tex"), "chapter one").unwrap();
    match SledStore::open(folder.path(), SledOptions::default()).map(|_| ()) {
        Err(OpenError::Foreign { found, .. }) => assert_eq!(found, "thesis.tex"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let file = folder.path().join("thesis.tex");
    assert!(matches!(SledStore::open(&file, SledOptions::default()), Err(OpenError::Io { .. })));
}

#[test]
fn a_secret_may_lie_in_the_folder_before_its_store() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("plane-hook.secret"), "sesame").unwrap();
    drop(SledStore::open(folder.path(), SledOptions::default()).unwrap());
    assert_eq!(fs::read_to_string(folder.path().join("plane-hook.secret")).unwrap(), "sesame");
}

#[test]
fn a_folder_without_a_store_is_known_without_making_one() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(would_be_new(folder.path()) && would_be_new(&at("none")));
    fs::write(at("everfold.toml"), "").unwrap();
    assert!(would_be_new(folder.path()), "settings are no store");
    fs::write(at("thesis.tex"), "").unwrap();
    assert!(!would_be_new(folder.path()), "it would be refused");
    fs::remove_file(at("thesis.tex")).unwrap();
    drop(SledStore::open(folder.path(), SledOptions::default()).unwrap());
    assert!(!would_be_new(folder.path()));
    fs::remove_file(at("store.json")).unwrap();
    assert!(!would_be_new(folder.path()), "its journal is there");
}

/// What the owner is just making is not foreign.
#[test]
fn a_folder_that_another_process_has_is_in_use_whatever_it_holds() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("store.json.tmp2"), "half").unwrap();
    let owner = fs::File::open(folder.path()).unwrap();
    rustix::fs::flock(&owner, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    match SledStore::open(folder.path(), SledOptions::default()).map(|_| ()) {
        Err(OpenError::InUse { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is made in it");
}

/// A program that is being started has every open file of the process for a moment, and its locks with them.
#[test]
fn a_folder_that_was_let_go_of_is_free_at_once_though_programs_are_started_meanwhile() {
    let folder = TempDir::new().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        let tried: Result<(), OpenError> = (0..100).try_for_each(|_| {
            drop(SledStore::open(folder.path(), SledOptions::default())?);
            verify_folder(folder.path(), &SledOptions::default(), &mut NoMeaning).map(|_| ())
        });
        is_over.store(true, Ordering::Relaxed);
        tried.unwrap();
    });
}

#[test]
fn a_pipe_in_the_place_of_a_file_of_the_store_is_refused_and_not_waited_for() {
    for name in ["store.json", "lock", "journal/0000000001.segment"] {
        let folder = TempDir::new().unwrap();
        drop(SledStore::open(folder.path(), SledOptions::default()).unwrap());
        let file = folder.path().join(name);
        fs::remove_file(&file).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        match SledStore::open(folder.path(), SledOptions::default()).map(|_| ()) {
            Err(OpenError::Io { path, source }) => {
                assert_eq!((path, source.kind()), (file, std::io::ErrorKind::InvalidInput), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    drop(SledStore::open(folder.path(), SledOptions::default()).unwrap());
    let mark = folder.path().join("store.json");
    let newer = r#"{"format":2,"what":"is to come"}"#;
    let check = everfold_base::json::Hash::of(newer.as_bytes());
    let text = format!(r#"{{"everfold":{newer},"check":"{check}"}}"#);
    fs::write(&mark, &text).unwrap();
    match SledStore::open(folder.path(), SledOptions::default()).map(|_| ()) {
        Err(OpenError::TooNew { found: 2, known: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_to_string(&mark).unwrap(), text);
}

#[test]
fn the_index_keeps_no_values_outside_of_its_log() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = open(folder.path(), &FaultFiles::default());
        let mut writer = Writer::new("a");
        for size in [10, 10_000, 100_000, 1_000_000] {
            store.append(writer.append(&[&vec![1; size], &vec![2; size]])).await.unwrap();
        }
        store.close().await.unwrap();
        let blobs = folder.path().join("sled/blobs");
        assert_eq!(fs::read_dir(blobs).unwrap().count(), 0);
    });
}
