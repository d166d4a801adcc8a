//! A disk that is really full: a small file system in memory, filled by somebody else.
//!
//! Needs root. Elsewhere it says so, loudly, and passes; with `EVERFOLD_REQUIRE_POWER_CUT=1` it fails.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use everfold_engine::id::Position;
use everfold_engine::store::bench::Source;
use everfold_engine::store::{AppendError, EventStore, OpenError, SledOptions, SledStore, Writability};
use tempfile::TempDir;

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _reported = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(at: &Path) -> Result<Mounted, String> {
    let output = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=48m", "none"])
        .arg(at)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(Mounted(at.to_owned())) } else { Err(text) }
}

/// Takes all room that is left.
fn fill(file: &Path) {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn s7_on_a_full_disk_nothing_acknowledged_is_lost_and_the_store_goes_on_by_itself() {
    let folder = TempDir::new().unwrap();
    let _mounted = match mount(folder.path()) {
        Ok(mounted) => mounted,
        Err(why) => {
            let required = std::env::var("EVERFOLD_REQUIRE_POWER_CUT").is_ok_and(|value| value == "1");
            assert!(!required, "the full-disk test is required and cannot run: {why}");
            eprintln!("\n*** THE FULL-DISK TEST DID NOT RUN: it needs root ({why}) ***\n");
            return;
        }
    };
    let store_folder = folder.path().join("store");
    let hog = folder.path().join("hog");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        let mut begun = Source::new(2_000);
        let mut acknowledged = 0;
        for _ in 0..20 {
            acknowledged = store.append(begun.next(3)).await.unwrap().last_position().0;
        }
        fill(&hog);
        // What has begun goes on until the rest is used up.
        let mut writability = store.writability();
        let mut went_on = 0;
        let refused = loop {
            match store.append(begun.next(3)).await {
                Ok(went) => acknowledged = went.last_position().0,
                Err(error) => break error,
            }
            went_on += 1;
            assert!(went_on < 1_000, "the disk is not full");
        };
        assert!(matches!(refused, AppendError::Full), "{refused}");
        assert_eq!(*writability.borrow(), Writability::Full);
        assert!(went_on > 40, "only {went_on} appends found room in the rest");
        // Everything that was acknowledged can be read all the while.
        assert_eq!(store.read_all(Position(1), usize::MAX).await.unwrap().len() as u64, acknowledged);
        fs::remove_file(&hog).unwrap();
        writability.wait_for(|now| *now == Writability::Writable).await.unwrap();
        let mut new = Source::new(100);
        let went = store.append(new.next(2)).await.unwrap();
        assert_eq!(went.first_position.0, acknowledged + 1);
        store.close().await.unwrap();
        drop(store);
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        assert_eq!(store.last_position().0, acknowledged + 2);
        assert_eq!(store.report().warnings, [""; 0]);

        // Closed on a full disk, and opened on it: nothing is lost, whatever else is refused.
        fill(&hog);
        drop(store);
        match SledStore::open(&store_folder, SledOptions::default()) {
            Ok(store) => assert_eq!(store.last_position().0, acknowledged + 2),
            Err(error) => assert!(matches!(error, OpenError::Full { .. }), "{error}"),
        }
        fs::remove_file(&hog).unwrap();
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        assert_eq!(store.read_all(Position(1), usize::MAX).await.unwrap().len() as u64, acknowledged + 2);
    });
}

#[test]
fn s7_opening_on_a_full_disk_names_the_full_disk_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let Ok(_mounted) = mount(folder.path()) else { return };
    let (store_folder, hog) = (folder.path().join("store"), folder.path().join("hog"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        let mut source = Source::new(2_000);
        for _ in 0..20 {
            store.append(source.next(3)).await.unwrap();
        }
        store.close().await.unwrap();
        drop(store);
        // The index is to be built again, and there is nothing left to build it in.
        fs::remove_dir_all(store_folder.join("sled")).unwrap();
        fs::remove_file(store_folder.join("reserve")).unwrap();
        fill(&hog);
        for wanted in [&store_folder, &folder.path().join("new")] {
            for _ in 0..2 {
                let error = SledStore::open(wanted, SledOptions::default()).map(drop).unwrap_err();
                assert!(matches!(error, OpenError::Full { .. }), "{error}");
            }
        }
        fs::remove_file(&hog).unwrap();
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        assert_eq!(store.read_all(Position(1), usize::MAX).await.unwrap().len(), 60);
        drop(SledStore::open(folder.path().join("new"), SledOptions::default()).unwrap());
    });
}

#[test]
fn a_read_only_folder_is_a_clear_error_and_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let Ok(mounted) = mount(folder.path()) else { return };
    let store_folder = folder.path().join("store");
    drop(SledStore::open(&store_folder, SledOptions::default()).unwrap());
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&mounted.0).status().unwrap();
    assert!(remounted.success());
    let error = SledStore::open(&store_folder, SledOptions::default()).map(|_| ()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("ead-only"), "{error}: {cause}");
}
