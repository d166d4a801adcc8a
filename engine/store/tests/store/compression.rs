//! Compressed segments: they answer as before, damage to them is named and costs a block, and the machine may stop at any
//! call while they are written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use everfold_base::id::{Position, Version};
use everfold_store::files::{Files, SystemFiles};
use everfold_store::verify::{NoMeaning, VerifyFault, verify_folder};
use everfold_store::{EventStore, OpenError, ReadError, SegmentSizes, SledOptions, SledStore};
use tempfile::TempDir;

use crate::fault_files::{Call, FaultFiles};
use crate::fixtures::{copy_folder_without, payloads, run};
use crate::writer::Writer;

/// Short segments, all of which are compressed but the first.
fn options(files: Arc<dyn Files>) -> SledOptions {
    SledOptions {
        files,
        segments: SegmentSizes { first: 64 * 1024, later: 512 * 1024 },
        compress_from: 1,
        renew_manifest_after: Duration::MAX,
        ..SledOptions::default()
    }
}

pub(crate) fn system() -> SledOptions {
    options(Arc::new(SystemFiles))
}

/// The segments' files in their order.
pub(crate) fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(folder.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    found.sort();
    found
}

fn is_compressed(segment: &Path) -> bool {
    fs::read(segment).unwrap().get(8) == Some(&2)
}

/// The segments that will be compressed: all but the first and the last.
pub(crate) fn ended(folder: &Path) -> Vec<PathBuf> {
    let mut segments = segments(folder);
    segments.pop();
    segments.drain(..1.min(segments.len()));
    segments
}

/// Waits until all of them are.
async fn compressed(folder: &Path) {
    let all = async {
        while !ended(folder).iter().all(|segment| is_compressed(segment)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("the segments are compressed");
}

/// A payload that compresses to about half, other than each other one.
fn payload(number: u32) -> Vec<u8> {
    let mut state = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::new();
    while bytes.len() < 1_500 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
        bytes.extend_from_slice(b"the same");
    }
    bytes
}

async fn fill(store: &SledStore, appends: u32) {
    let mut writer = Writer::run("large");
    for number in 0..appends {
        store.append(writer.append(&[&payload(2 * number), &payload(2 * number + 1)])).await.unwrap();
    }
}

/// A closed store with compressed segments, and all payloads of its log.
pub(crate) fn make(folder: &Path) -> Vec<Vec<u8>> {
    run(async {
        let store = SledStore::open(folder, system()).unwrap();
        fill(&store, 450).await;
        compressed(folder).await;
        let log = payloads(&store).await;
        store.close().await.unwrap();
        log
    })
}

#[test]
fn s12_a_compressed_segment_gives_what_it_held_before_and_is_smaller() {
    let folder = TempDir::new().unwrap();
    let (before, raw) = run(async {
        let raw = SledOptions { compress_from: u64::MAX, ..system() };
        let store = SledStore::open(folder.path(), raw).unwrap();
        fill(&store, 450).await;
        let before = store.read_all(Position(1), usize::MAX).await.unwrap();
        store.close().await.unwrap();
        (before, ended(folder.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>())
    });
    assert!(ended(folder.path()).len() >= 3 && !ended(folder.path()).iter().any(|path| is_compressed(path)));
    run(async {
        let store = SledStore::open(folder.path(), system()).unwrap();
        let mut half = store.read_all(Position(400), 10).await.unwrap();
        compressed(folder.path()).await;
        half.extend(store.read_all(Position(410), 10).await.unwrap());
        assert_eq!(half, before[399..419]);
        for from in [1, 2, 77, 500, 899, 900] {
            let read = store.read_all(Position(from), usize::MAX).await.unwrap();
            assert_eq!(read, before[from as usize - 1..], "from {from}");
        }
        store.close().await.unwrap();
    });
    let small: u64 = ended(folder.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(small * 3 < raw * 2, "{small} bytes of {raw}");
    assert!(!is_compressed(&segments(folder.path())[0]), "by the first one the folder is known");
    let report = verify_folder(folder.path(), &system(), &mut NoMeaning).unwrap();
    assert_eq!((report.faults.as_slice(), report.events), ([].as_slice(), 900));
    // The index is built again from them.
    fs::remove_dir_all(folder.path().join("sled")).unwrap();
    run(async {
        let store = SledStore::open(folder.path(), system()).unwrap();
        let stream = Writer::run("large").stream;
        let events = store.read(&stream, Version(1), 1_000).await.unwrap();
        assert_eq!(events.len(), 900);
        assert!(events.iter().zip(&before).all(|(event, before)| *event == **before));
    });
}

#[test]
fn s12_a_flipped_bit_of_a_compressed_segment_costs_a_block_at_most_and_is_named() {
    let original = TempDir::new().unwrap();
    let folder = original.path().join("store");
    let expected = make(&folder);
    let number = ended(&folder).len() / 2;
    let whole = fs::read(&ended(&folder)[number]).unwrap();
    let mut reported = 0;
    for at in (128..whole.len()).step_by(whole.len() / 24).chain((whole.len() - 40..whole.len()).step_by(3)) {
        let copy = TempDir::new().unwrap();
        let damaged = copy.path().join("store");
        copy_folder_without(&folder, &damaged, "reserve");
        let segment = ended(&damaged)[number].clone();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&segment, &bytes).unwrap();
        let report = verify_folder(&damaged, &system(), &mut NoMeaning).unwrap();
        let lost: u64 = (report.faults.iter())
            .filter_map(|fault| match fault {
                VerifyFault::Journal(damage) => {
                    assert_eq!(damage.file, segment, "byte {at}");
                    assert!(damage.what.contains("block"), "byte {at}: {damage}");
                    damage.positions.map(|(first, last)| last.0 + 1 - first.0)
                }
                _ => None,
            })
            .sum();
        // 64 KiB hold some 20 groups of two events; those at its edges reach into the next block.
        assert!(lost <= 50, "byte {at}: {lost} events are lost: {:?}", report.faults);
        run(async {
            let store = SledStore::open(&damaged, system()).unwrap();
            match store.read_all(Position(1), usize::MAX).await {
                Ok(log) => {
                    assert_eq!(lost, 0, "byte {at}");
                    assert!(log.iter().map(|event| &event.payload).eq(&expected), "byte {at}: other events");
                }
                Err(ReadError::Damaged(damage)) => {
                    assert_eq!(damage.file, segment, "byte {at}");
                    assert!(lost > 0 && damage.what.contains("at byte"), "byte {at}: {damage}");
                    reported += 1;
                }
                Err(other) => panic!("byte {at}: {other}"),
            }
        });
    }
    assert!(reported > 15, "{reported}");
}

#[test]
fn s12_a_compressed_segment_that_is_cut_is_read_as_far_as_it_goes() {
    let original = TempDir::new().unwrap();
    let folder = original.path().join("store");
    make(&folder);
    let whole = fs::read(&ended(&folder)[1]).unwrap();
    for left in [60, 130, whole.len() / 2, whole.len() - 30, whole.len() - 1] {
        let copy = TempDir::new().unwrap();
        let damaged = copy.path().join("store");
        copy_folder_without(&folder, &damaged, "reserve");
        let segment = ended(&damaged)[1].clone();
        fs::write(&segment, &whole[..left]).unwrap();
        let lacks_blocks = left < whole.len() - 30;
        let report = verify_folder(&damaged, &system(), &mut NoMeaning).unwrap();
        let readable = report.faults.iter().filter(|fault| fault.to_string().contains("can be read")).count();
        assert!(!report.is_sound() && (readable == 1) != lacks_blocks, "{left} bytes: {:?}", report.faults);
        run(async {
            let store = SledStore::open(&damaged, system()).unwrap();
            assert_eq!(!store.report().warnings.is_empty(), lacks_blocks, "{left}: {:?}", store.report());
            match store.read_all(Position(1), usize::MAX).await {
                Ok(_) => assert!(!lacks_blocks, "{left} bytes"),
                Err(ReadError::Damaged(damage)) => assert_eq!(damage.file, segment, "{left} bytes"),
                Err(other) => panic!("{left} bytes: {other}"),
            }
        });
    }
}

#[test]
fn s2_a_compressed_segment_without_its_successor_is_missing_events() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    for path in segments(folder.path()).iter().rev().take(2) {
        fs::remove_file(path).unwrap();
    }
    fs::remove_file(folder.path().join("store.json")).unwrap();
    fs::remove_dir_all(folder.path().join("sled")).unwrap();
    match SledStore::open(folder.path(), system()) {
        Err(OpenError::Missing { what, .. }) => assert!(what.contains("it had a successor"), "{what}"),
        other => panic!("{:?}", other.map(|store| store.report().clone())),
    }
}

#[test]
fn s12_a_damaged_segment_is_not_compressed() {
    let folder = TempDir::new().unwrap();
    run(async {
        let store =
            SledStore::open(folder.path(), SledOptions { compress_from: u64::MAX, ..system() }).unwrap();
        fill(&store, 450).await;
        store.close().await.unwrap();
    });
    let damaged = ended(folder.path())[0].clone();
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[9_000] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    run(async {
        let store = SledStore::open(folder.path(), system()).unwrap();
        let others = async {
            while !ended(folder.path())[1..].iter().all(|segment| is_compressed(segment)) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), others).await.expect("the others are compressed");
        store.close().await.unwrap();
    });
    assert!(fs::read(&damaged).unwrap() == bytes, "it stays as it was found");
}

#[test]
fn s12_stopped_at_any_call_while_segments_are_compressed_nothing_is_lost() {
    let original = TempDir::new().unwrap();
    let folder = original.path().join("store");
    let expected = run(async {
        let store = SledStore::open(&folder, SledOptions { compress_from: u64::MAX, ..system() }).unwrap();
        fill(&store, 140).await;
        store.close().await.unwrap();
        payloads_of(&folder).await
    });
    let mut calls = 0;
    loop {
        let copy = TempDir::new().unwrap();
        let stopped = copy.path().join("store");
        copy_folder_without(&folder, &stopped, "reserve");
        run(async {
            // A copy that was not adopted is left as it is.
            let raw = SledOptions { compress_from: u64::MAX, ..system() };
            let store = SledStore::open(&stopped, raw).unwrap();
            store.adopt().await.unwrap();
            store.close().await.unwrap();
        });
        let files = FaultFiles::default();
        files.stop_after(calls + 1, calls % 2 == 0);
        run(async {
            let Ok(_store) = SledStore::open(&stopped, options(Arc::new(files.clone()))) else { return };
            let done = async {
                while !files.has_stopped() && !ended(&stopped).iter().all(|segment| is_compressed(segment)) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), done)
                .await
                .expect("they are compressed, or it stopped");
        });
        let has_stopped = files.has_stopped();
        let mut state = calls as u64 | 1;
        files.lose_unsynced(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 63 == 0
        });
        assert!(run(payloads_of(&stopped)) == expected, "stopped behind {calls} calls");
        let report = verify_folder(&stopped, &system(), &mut NoMeaning).unwrap();
        assert_eq!(report.faults, [], "stopped behind {calls} calls");
        if !has_stopped {
            break;
        }
        calls += 1;
    }
    assert!(calls > 15, "{calls} places were tried");
}

/// Opens a store without compressing, reads all, closes.
async fn payloads_of(folder: &Path) -> Vec<Vec<u8>> {
    let store = SledStore::open(folder, SledOptions { compress_from: u64::MAX, ..system() }).unwrap();
    let found = payloads(&store).await;
    store.close().await.unwrap();
    found
}

#[test]
fn s12_without_room_for_a_compressed_segment_it_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    run(async {
        let store =
            SledStore::open(folder.path(), SledOptions { compress_from: u64::MAX, ..system() }).unwrap();
        fill(&store, 140).await;
        store.close().await.unwrap();
    });
    let before: Vec<_> = segments(folder.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    let files = FaultFiles::default();
    files.set_no_space_for("compressing.tmp");
    run(async {
        let store = SledStore::open(folder.path(), options(Arc::new(files.clone()))).unwrap();
        let tried = async {
            let is_removal =
                |call: &Call| matches!(call, Call::Remove(path) if path.ends_with("compressing.tmp"));
            while files.calls().iter().filter(|call| is_removal(call)).count() < ended(folder.path()).len() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), tried).await.expect("each was tried once");
        assert_eq!(payloads(&store).await.len(), 280);
        store.close().await.unwrap();
    });
    let after: Vec<_> = segments(folder.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(before == after, "a segment is another one");
    let left = fs::read_dir(folder.path().join("journal")).unwrap().count();
    assert_eq!(left, segments(folder.path()).len(), "half a file is left");
}

/// A copy of a store in use: its journal was listed before the last segment of the list was sealed, and that was read when
/// it was compressed. It was refused, and could not be mended.
#[test]
fn a_copy_in_which_the_last_segment_was_sealed_while_it_was_copied_ends_there_and_goes_on() {
    let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut held = Vec::new();
    run(async {
        let store = SledStore::open(folder.path(), system()).unwrap();
        fill(&store, 450).await;
        compressed(folder.path()).await;
        let listed = segments(folder.path());
        fs::create_dir(copy.path().join("journal")).unwrap();
        fs::copy(folder.path().join("store.json"), copy.path().join("store.json")).unwrap();
        for segment in &listed[..listed.len() - 1] {
            fs::copy(segment, copy.path().join("journal").join(segment.file_name().unwrap())).unwrap();
        }
        held.extend(payloads(&store).await);
        store.close().await.unwrap();
    });
    let report = verify_folder(copy.path(), &system(), &mut NoMeaning).unwrap();
    assert!(
        report.faults.iter().all(|fault| matches!(fault, VerifyFault::Index { .. })),
        "{:#?}",
        report.faults
    );
    for opened in 0..2 {
        run(async {
            let store = SledStore::open(copy.path(), system()).unwrap();
            let warns = store.report().warnings.iter().any(|warning| warning.contains("is not in the copy"));
            assert_eq!(warns, opened == 0, "{:?}", store.report().warnings);
            let found = payloads(&store).await;
            let (of_origin, more) = found.split_at(found.len() - opened);
            assert!(of_origin.len() > 100 && held.starts_with(of_origin), "{}", found.len());
            assert_eq!(more, vec![b"more".to_vec(); opened]);
            store.adopt().await.unwrap();
            let append = Writer::new(&format!("more-{opened}")).append(&[b"more"]);
            store.append(append).await.unwrap();
            store.close().await.unwrap();
        });
    }
}

/// Without `store.json` and the index nothing else knows that the journal went on.
#[test]
fn a_segment_that_is_missing_behind_a_compressed_one_is_named_also_where_nothing_else_tells_of_it() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    let newest = segments(folder.path()).pop().unwrap();
    fs::remove_file(&newest).unwrap();
    fs::remove_file(folder.path().join("store.json")).unwrap();
    fs::remove_dir_all(folder.path().join("sled")).unwrap();
    let refused = SledStore::open(folder.path(), system()).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Missing { .. }), "{refused}");
    let report = verify_folder(folder.path(), &system(), &mut NoMeaning).unwrap();
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let name = newest.file_name().unwrap().to_str().unwrap();
    assert!(
        faults.iter().any(|fault| fault.contains(name) && fault.contains("had a successor")),
        "{faults:#?}"
    );
    let plan =
        everfold_store::repair::plan(folder.path(), &system(), &everfold_store::repair::RestoreFrom::Nothing)
            .unwrap();
    assert!(plan.damage.iter().any(|damage| damage.file == newest), "{:?}", plan.damage);
}
