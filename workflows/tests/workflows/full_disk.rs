//! Attempts on a disk that is really full: a small file system in memory.
//!
//! Needs root. Elsewhere it says so, loudly, and passes; with `EVERFOLD_REQUIRE_FULL_DISK=1` it fails.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::home::{FolderBlobs, Home, observer};
use everfold_ports::{AttemptResult, Executor as _, RequestedFile};
use everfold_workflows::command::CommandExecutor;

const PAGE: u64 = 4_096;

struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(at).output();
        let mount = mount.unwrap();
        if mount.status.success() {
            return Some(Self(at.to_owned()));
        }
        let why = String::from_utf8_lossy(&mount.stderr).trim().to_owned();
        let required = std::env::var("EVERFOLD_REQUIRE_FULL_DISK").is_ok_and(|value| value == "1");
        assert!(!required, "the full-disk test is required and cannot run: {why}");
        eprintln!("\n*** THE FULL-DISK TEST DID NOT RUN: it needs root and tmpfs ({why}) ***\n");
        None
    }

    /// Takes all room but some pages.
    fn fill_but(&self, pages: u64) {
        let mut file: File = OpenOptions::new().create(true).append(true).open(self.0.join("hog")).unwrap();
        while file.write_all(&vec![1; 4_096]).is_ok() {}
        let length = file.metadata().unwrap().len() / PAGE * PAGE;
        file.set_len(length - pages * PAGE).unwrap();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("hog")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _reported = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn s7_an_attempt_that_a_full_disk_keeps_from_beginning_begins_when_there_is_room() {
    let home = Home::new();
    let Some(disk) = Disk::mount(&home.path("disk")) else { return };
    let executor = CommandExecutor::new(home.processes());
    let mut held_back = 0;
    // The disk is full at another file each time.
    for pages in 0..8 {
        let mut request = home.shell("echo ran >> runs");
        request.folder = home.path("disk").join(format!("attempt{pages}"));
        disk.fill_but(pages);
        let end = executor.start(request.clone(), observer()).await;
        match &end.result {
            AttemptResult::NoRoom { .. } => held_back += 1,
            AttemptResult::Succeeded(_) => {}
            _other => panic!("{pages} pages: {end:?}"),
        }
        disk.make_room();
        let end = executor.start(request, observer()).await;
        assert!(matches!(end.result, AttemptResult::Succeeded(_)), "{pages} pages: {end:?}");
        assert_eq!(lines(&home.work("runs")), usize::try_from(pages).unwrap() + 1, "it ran once");
    }
    assert!(held_back >= 3, "{held_back}");
}

#[tokio::test]
async fn s7_files_that_a_full_disk_cannot_take_are_kept_when_there_is_room() {
    let home = Home::new();
    let Some(disk) = Disk::mount(&home.path("disk")) else { return };
    let mut processes = home.processes();
    processes.blobs = FolderBlobs::at(&home.path("disk"));
    let executor = CommandExecutor::new(processes);
    let mut request = home.shell("echo ran >> runs; echo report > report.md");
    let report = RequestedFile { path: "report.md".into(), optional: false, fresh: true };
    request.outputs.files.insert("report".into(), report);
    disk.fill_but(0);
    let end = executor.start(request.clone(), observer()).await;
    assert!(matches!(end.result, AttemptResult::NoRoom { .. }), "{end:?}");
    disk.make_room();
    let end = executor.start(request, observer()).await;
    assert!(matches!(end.result, AttemptResult::Succeeded(_)), "{end:?}");
    assert_eq!((end.artefacts.len(), lines(&home.work("runs"))), (1, 1));
}
