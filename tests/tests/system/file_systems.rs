//! File systems that are really there: small ones in memory, filled by another writer, and layers, one over another.
//!
//! Needs root, for one test btrfs too. Elsewhere it says so, loudly, and passes; with
//! `EVERFOLD_REQUIRE_POWER_CUT=1` it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use everfold_engine::id::Position;
use everfold_engine::store::bench::Source;
use everfold_engine::store::verify::{NoMeaning, verify_folder};
use everfold_engine::store::{AppendError, EventStore, OpenError, SledOptions, SledStore, Writability};
use tempfile::TempDir;

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _reported = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(at: &Path) -> Result<Mounted, String> {
    command(Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "none"]).arg(at))?;
    Ok(Mounted(at.to_owned()))
}

/// A small btrfs: it writes nothing in place, so that room that was laid out ahead is none.
fn mount_btrfs(folder: &Path) -> Result<Mounted, String> {
    let (image, at) = (folder.join("disk.img"), folder.join("disk"));
    let file = fs::File::create(&image).map_err(|error| error.to_string())?;
    file.set_len(160 * 1024 * 1024).map_err(|error| error.to_string())?;
    fs::create_dir(&at).map_err(|error| error.to_string())?;
    command(Command::new("mkfs.btrfs").args(["-q", "--mixed"]).arg(&image))?;
    command(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))?;
    Ok(Mounted(at))
}

/// A layer over a folder: what is written comes into the upper one.
fn mount_layer(lower: &Path, folder: &Path) -> Result<Mounted, String> {
    let [upper, work, at] = ["upper", "work", "layered"].map(|name| folder.join(name));
    for made in [&upper, &work, &at] {
        fs::create_dir(made).map_err(|error| error.to_string())?;
    }
    let [lower, upper, work] = [lower, &upper, &work].map(|path| path.display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    command(Command::new("mount").args(["-t", "overlay", "-o", &options, "none"]).arg(&at))?;
    Ok(Mounted(at))
}

fn command(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {text}")) }
}

fn is_required() -> bool {
    std::env::var("EVERFOLD_REQUIRE_POWER_CUT").is_ok_and(|value| value == "1")
}

/// What was mounted for a test; where the machine cannot mount it, the test is skipped with a line that says so, unless
/// it is required.
fn mounted(test: &str, mount: Result<Mounted, String>) -> Option<Mounted> {
    match mount {
        Ok(mounted) => Some(mounted),
        Err(why) => {
            assert!(!is_required(), "the {test} test is required and cannot run: {why}");
            eprintln!(
                "\n*** THE TEST {test} DID NOT RUN: it needs root, and mkfs.btrfs for btrfs ({why}) ***\n"
            );
            None
        }
    }
}

/// Takes all room that is left.
fn fill(file: &Path) {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

/// Gives the room back, at once: a process that another test starts holds the file open until it has become its program.
fn free(file: &Path) {
    // A full btrfs has no room for that, and for the removal alone.
    let _emptied = fs::File::create(file);
    fs::remove_file(file).unwrap();
}

#[test]
fn a_verification_without_room_for_its_copy_looks_at_the_journal_and_says_that_the_index_was_not_compared() {
    let folder = TempDir::new().unwrap();
    let Some(_mounted) = mounted("full-disk verification", mount(folder.path())) else { return };
    let store_folder = folder.path().join("store");
    let hog = folder.path().join("hog");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        store.append(Source::new(2_000).next(3)).await.unwrap();
        store.close().await.unwrap();
    });
    let verified = || verify_folder(&store_folder, &SledOptions::default(), &mut NoMeaning).unwrap();
    fill(&hog);
    let found = verified();
    assert_eq!(found.events, 3, "the journal is looked at");
    let [fault] = found.faults.as_slice() else { panic!("{:?}", found.faults) };
    let said = format!("{fault:?}");
    assert!(said.contains("No space left") && said.contains("not compared"), "{said}");
    free(&hog);
    // The room of the copy that failed comes back when the threads of its index have let go of it.
    let report = (0..1_000).map(|_| verified()).find(|report| {
        let is_sound = report.is_sound();
        if !is_sound {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        is_sound
    });
    report.expect("there is room again");
}

#[test]
fn s7_on_a_full_disk_nothing_acknowledged_is_lost_and_the_store_goes_on_by_itself() {
    let folder = TempDir::new().unwrap();
    let Some(_mounted) = mounted("full-disk", mount(folder.path())) else { return };
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
        free(&hog);
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
        free(&hog);
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
        let reserve = store_folder.join("reserve");
        if reserve.exists() {
            fs::remove_file(reserve).unwrap();
        }
        fill(&hog);
        for wanted in [&store_folder, &folder.path().join("new")] {
            for _ in 0..2 {
                let error = SledStore::open(wanted, SledOptions::default()).map(drop).unwrap_err();
                assert!(matches!(error, OpenError::Full { .. }), "{error}");
            }
        }
        free(&hog);
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
    // A program that another test is just starting has the store's files for a moment.
    let remounts = (0..1_000).map(|_| {
        command(Command::new("mount").args(["-o", "remount,ro"]).arg(&mounted.0)).inspect_err(|_busy| {
            std::thread::sleep(std::time::Duration::from_millis(10));
        })
    });
    let tried: Vec<String> = remounts.map_while(Result::err).collect();
    assert!(tried.len() < 1_000, "{:?}", tried.last());
    let error = SledStore::open(&store_folder, SledOptions::default()).map(|_| ()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("ead-only"), "{error}: {cause}");
}

#[test]
fn row_03_on_a_full_btrfs_nothing_acknowledged_is_lost_and_the_store_goes_on_by_itself() {
    let folder = TempDir::new().unwrap();
    let Some(mounted) = mounted("btrfs", mount_btrfs(folder.path())) else { return };
    let (store_folder, hog) = (mounted.0.join("store"), mounted.0.join("hog"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        let mut source = Source::new(2_000);
        let mut acknowledged = 0;
        for _ in 0..20 {
            acknowledged = store.append(source.next(3)).await.unwrap().last_position().0;
        }
        for round in 0..2 {
            fill(&hog);
            // A group is written into room that was laid out, and finds none.
            let mut tries = 0;
            loop {
                let mut next = Source::new(2_000);
                match store.append(next.next(3)).await {
                    Ok(went) => acknowledged = went.last_position().0,
                    Err(AppendError::Full) => break,
                    Err(AppendError::Unknown(_)) => {}
                    Err(other) => panic!("round {round}: {other}"),
                }
                tries += 1;
                assert!(tries < 20_000, "the disk is not full");
            }
            assert_eq!(*store.writability().borrow(), Writability::Full);
            assert_eq!(store.read_all(Position(1), usize::MAX).await.unwrap().len() as u64, acknowledged);
            free(&hog);
            store.writability().wait_for(|now| *now == Writability::Writable).await.unwrap();
            let mut next = Source::new(100);
            acknowledged = store.append(next.next(2)).await.unwrap().last_position().0;
        }
        store.close().await.unwrap();
        drop(store);
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        assert_eq!(store.last_position().0, acknowledged);
        assert_eq!(store.read_all(Position(1), usize::MAX).await.unwrap().len() as u64, acknowledged);
    });
}

#[test]
fn row_06_a_folder_that_may_only_be_read_is_verified_and_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let Some(mounted) = mounted("read-only", mount(folder.path())) else { return };
    let store_folder = folder.path().join("store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(&store_folder, SledOptions::default()).unwrap();
        let mut source = Source::new(2_000);
        for _ in 0..20 {
            store.append(source.next(3)).await.unwrap();
        }
        store.close().await.unwrap();
    });
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&mounted.0).status().unwrap();
    assert!(remounted.success());
    let report = verify_folder(&store_folder, &SledOptions::default(), &mut NoMeaning).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.events, report.notes), (60, Vec::new()));
}

#[test]
fn a_folder_that_an_overlay_copies_up_with_its_first_file_is_still_the_owners() {
    let folder = TempDir::new().unwrap();
    // Layers have to be of a file system that can be one.
    let Some(_mounted) = mounted("overlay", mount(folder.path())) else { return };
    let lower = folder.path().join("lower");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut source = Source::new(2_000);
        let store = SledStore::open(lower.join("store"), SledOptions::default()).unwrap();
        store.append(source.next(3)).await.unwrap();
        store.close().await.unwrap();
        let Some(layered) = mounted("overlay", mount_layer(&lower, folder.path())) else { return };
        let store = SledStore::open(layered.0.join("store"), SledOptions::default()).unwrap();
        store.adopt().await.unwrap();
        store.append(source.next(3)).await.unwrap();
        store.close().await.unwrap();
    });
}
