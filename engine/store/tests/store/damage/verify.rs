//! What verification sees.

use std::fs;
use std::path::Path;

use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{Position, RunId};
use everfold_base::json::Hash;
use everfold_store::verify::{Meaning, NoMeaning, VerifyFault, VerifyReport, verify_folder};
use everfold_store::{EventStore, SledOptions, SledStore, Snapshot, info};
use tempfile::TempDir;

use super::sample::{self, RUN};
use crate::fault_files::FaultFiles;
use crate::fixtures::{open, run};
use crate::writer::Writer;

fn verify(folder: &Path) -> VerifyReport {
    verify_folder(folder, &SledOptions::default(), &mut NoMeaning).unwrap()
}

#[test]
fn a_sound_store_has_no_fault_and_is_not_changed_by_looking() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    let made = sample::make(&folder);
    let before: Vec<_> =
        sample::files(&folder).iter().map(|file| fs::read(folder.join(file)).unwrap()).collect();
    let report = verify(&folder);
    assert_eq!(report.faults, []);
    assert_eq!((report.events, report.streams), (made.log.len() as u64, 4));
    assert_eq!((report.blobs, report.snapshots), (1, 3));
    let after: Vec<_> =
        sample::files(&folder).iter().map(|file| fs::read(folder.join(file)).unwrap()).collect();
    assert!(before == after, "verification changed a file");
    let about = info::info(&folder).unwrap();
    assert_eq!((about.position.0, about.segments.len(), about.is_orderly), (31, 1, true));
}

#[test]
fn a_running_store_is_verified_beside_its_work() {
    let folder = TempDir::new().unwrap();
    run(async {
        let store = std::sync::Arc::new(SledStore::open(folder.path(), SledOptions::default()).unwrap());
        let writing = tokio::spawn({
            let store = store.clone();
            async move {
                let mut writer = Writer::run("a");
                for _ in 0..300 {
                    store.append(writer.append(&[b"1", b"2"])).await.unwrap();
                }
            }
        });
        for _ in 0..5 {
            let report = everfold_store::verify::verify_open(
                store.clone(),
                Box::new(NoMeaning),
                std::sync::Arc::new(|_| {}),
            )
            .await
            .unwrap();
            assert_eq!(report.faults, []);
        }
        writing.await.unwrap();
        let report = everfold_store::verify::verify_open(
            store.clone(),
            Box::new(NoMeaning),
            std::sync::Arc::new(|_| {}),
        )
        .await
        .unwrap();
        assert_eq!((report.faults, report.events), (vec![], 600));
        assert_eq!(store.info().position, Position(600));
    });
}

#[test]
fn damage_in_the_middle_is_named_with_the_positions_that_are_lost_and_the_rest_is_looked_at() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    sample::make(&folder);
    let segment = folder.join("journal/0000000001.segment");
    let mut bytes = fs::read(&segment).unwrap();
    let groups: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EVGR")).collect();
    bytes[groups[3] + 100] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let report = verify(&folder);
    let Some(VerifyFault::Journal(damage)) = report.faults.first() else { panic!("{:?}", report.faults) };
    assert_eq!(damage.offset, groups[3] as u64);
    assert_eq!(damage.positions, Some((Position(7), Position(8))));
    assert_eq!(report.events, 29);
    assert!(
        report.faults.iter().any(|fault| matches!(fault, VerifyFault::Event { .. })),
        "{:?}",
        report.faults
    );
}

/// Rejects the events, blobs and snapshots that a test selects.
#[derive(Default)]
struct Picky {
    events: u64,
    names: Option<Hash>,
}

impl Meaning for Picky {
    fn event(&mut self, event: &Envelope) -> Result<(), String> {
        self.events += 1;
        if event.position == Position(5) { Err("means nothing".into()) } else { Ok(()) }
    }

    fn blobs(&mut self, _event: &Envelope) -> Vec<(RunId, Hash)> {
        self.names.map(|hash| (RUN, hash)).into_iter().collect()
    }

    fn snapshot(&mut self, stream: &StreamId, _snapshot: &Snapshot) -> Result<(), String> {
        if stream.id == "b" { Err("is not the fold".into()) } else { Ok(()) }
    }
}

#[test]
fn blobs_that_cannot_be_listed_are_a_fault() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    sample::make(&folder);
    let blobs = folder.join("blobs");
    if blobs.exists() {
        fs::remove_dir_all(&blobs).unwrap();
    }
    assert!(verify(&folder).is_sound());
    fs::write(&blobs, "no folder").unwrap();
    let report = verify(&folder);
    assert!(
        matches!(&report.faults[..], [VerifyFault::BlobFolder { what }] if what.contains("/blobs")),
        "{report:?}"
    );
}

/// Readers and writers wait for a rebuild.
#[test]
fn an_index_is_closed_while_a_verification_of_the_open_store_goes_on() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = open(folder.path(), &FaultFiles::default());
        let mut writer = Writer::new("a");
        store.append(writer.append(&[b"1"])).await.unwrap();
        struct Closes(std::sync::Arc<SledStore>, bool);
        impl Meaning for Closes {
            fn event(&mut self, _event: &Envelope) -> Result<(), String> {
                if !std::mem::replace(&mut self.1, true) {
                    // Waits until no reader holds the index.
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(self.0.close()).unwrap();
                }
                Ok(())
            }

            fn blobs(&mut self, _event: &Envelope) -> Vec<(RunId, Hash)> {
                Vec::new()
            }

            fn snapshot(&mut self, _stream: &StreamId, _snapshot: &Snapshot) -> Result<(), String> {
                Ok(())
            }
        }
        let meaning = Box::new(Closes(store.clone(), false));
        let verified = everfold_store::verify::verify_open(store, meaning, std::sync::Arc::new(|_| {}));
        let report = tokio::time::timeout(std::time::Duration::from_secs(20), verified).await;
        let report = report.expect("it waits for itself").unwrap();
        assert_eq!(report.faults, []);
        assert!(report.notes.iter().any(|note| note.contains("not compared")), "{report:?}");
    });
}

#[test]
fn what_bytes_mean_is_asked_of_the_caller() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    sample::make(&folder);
    let mut picky = Picky { names: Some(Hash::of(b"never written")), ..Picky::default() };
    let report = verify_folder(&folder, &SledOptions::default(), &mut picky).unwrap();
    assert_eq!(picky.events, 31);
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].contains("position 5") && faults[0].contains("means nothing"));
    assert!(faults[1].contains("run/b") && faults[1].contains("is not the fold"));
    assert!(faults[2].contains("is missing"));
}

#[test]
fn without_room_for_a_copy_of_the_index_the_journal_is_verified_all_the_same() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    sample::make(&folder);
    let files = FaultFiles::default();
    files.set_no_space(true);
    let options = SledOptions { files: std::sync::Arc::new(files), ..SledOptions::default() };
    let report = verify_folder(&folder, &options, &mut NoMeaning).unwrap();
    assert_eq!((report.events, report.streams, report.blobs), (31, 4, 1));
    let [VerifyFault::IndexUncompared { what }] = report.faults.as_slice() else {
        panic!("{:?}", report.faults)
    };
    assert!(what.contains("sled.verify.tmp") && what.contains("not compared"), "{what}");
    let planned =
        everfold_store::repair::plan(&folder, &options, &everfold_store::repair::RestoreFrom::Nothing)
            .unwrap();
    let nothing = everfold_store::repair::RepairPlan { has_index: true, ..Default::default() };
    assert_eq!(planned, nothing, "nobody knows that it is damaged");
    assert!(verify(&folder).is_sound());
}

#[test]
fn a_start_removes_the_copy_that_a_killed_verification_left() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    sample::make(&folder);
    let left = folder.join("sled.verify.tmp");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("db"), "half").unwrap();
    SledStore::open(&folder, SledOptions::default()).unwrap();
    assert!(!left.exists());
}

/// The first segment, and where its groups start.
fn first_segment(folder: &Path) -> (std::path::PathBuf, Vec<u8>, Vec<usize>) {
    let segment = folder.join("journal/0000000001.segment");
    let bytes = fs::read(&segment).unwrap();
    let groups = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EVGR")).collect();
    (segment, bytes, groups)
}

#[test]
fn what_is_left_of_acknowledged_groups_is_not_called_unacknowledged() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    sample::make(&folder);
    let (segment, bytes, groups) = first_segment(&folder);
    let mut bytes = bytes;
    bytes[groups[6] + 90..].fill(0);
    fs::write(&segment, &bytes).unwrap();
    let report = verify(&folder);
    let missing = report.faults.iter().filter(|fault| matches!(fault, VerifyFault::Missing { .. })).count();
    assert_eq!(missing, 2, "the description and the index: {:?}", report.faults);
    assert!(!report.notes.iter().any(|note| note.contains("acknowledged")), "{:?}", report.notes);
    assert!(report.notes.iter().any(|note| note.contains("left of what is missing")), "{:?}", report.notes);
}

#[test]
fn bytes_behind_the_end_of_a_closed_store_are_a_fault_as_they_are_to_a_start() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("store");
    sample::make(&folder);
    let (segment, mut bytes, _) = first_segment(&folder);
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used + 64..used + 80].fill(9);
    fs::write(&segment, bytes).unwrap();
    SledStore::open(&folder, SledOptions::default()).map(drop).unwrap_err();
    let report = verify(&folder);
    let [VerifyFault::Journal(damage)] = report.faults.as_slice() else { panic!("{:?}", report.faults) };
    assert!(damage.file == segment && damage.what.contains("closed"), "{damage}");
}

#[test]
fn bytes_behind_the_end_of_a_sealed_segment_are_noted() {
    let folder = TempDir::new().unwrap();
    let options = SledOptions {
        segments: everfold_store::SegmentSizes { first: 16_384, later: 32_768 },
        compress_from: u64::MAX,
        ..SledOptions::default()
    };
    run(async {
        let store = SledStore::open(folder.path(), options).unwrap();
        let mut writer = Writer::run("a");
        for _ in 0..40 {
            store.append(writer.append(&[&[7; 1_500]])).await.unwrap();
        }
        store.close().await.unwrap();
    });
    assert_eq!(verify(folder.path()).notes, Vec::<String>::new());
    let (segment, mut bytes, _) = first_segment(folder.path());
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let at = bytes.len() - 3;
    assert!(end + 64 < at, "there are zeros behind the end");
    bytes[at] = 1;
    fs::write(&segment, bytes).unwrap();
    let report = verify(folder.path());
    assert_eq!(report.faults, []);
    let [note] = report.notes.as_slice() else { panic!("{:?}", report.notes) };
    assert!(note.contains("0000000001.segment") && note.contains(&format!("to {}", at + 1)), "{note}");
}
