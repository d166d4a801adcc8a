//! A file layer that counts, holds, fails and stops, and can lose what was not synced.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use everfold_store::files::{FileAccess, FileId, Files, StoreFile, SystemFiles};

/// One finished call that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Create(PathBuf),
    Write { path: PathBuf, offset: u64, bytes: Vec<u8> },
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeFolder(PathBuf),
    SyncFolder(PathBuf),
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// Calls until the machine stops.
    left: Option<usize>,
    /// The call that it stops in, if a write, writes its first half.
    tears: bool,
    hold_syncs: bool,
    held: usize,
    fail_syncs: usize,
    no_space: bool,
    /// There is no room for a file of this name.
    no_space_for: Option<&'static str>,
    /// As on a disk that fails: no file can be made.
    no_files: bool,
    /// No file can be made, and a thread that tries panics.
    panics: bool,
    /// What stood where something was written and not synced, newest last.
    unsynced: HashMap<PathBuf, Vec<(u64, Vec<u8>)>>,
}

/// The layer.
#[derive(Clone, Default)]
pub(crate) struct FaultFiles {
    state: Arc<Mutex<State>>,
    changed: Arc<Condvar>,
}

impl FaultFiles {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Stops the machine after so many further calls.
    pub(crate) fn stop_after(&self, calls: usize, tears: bool) {
        let mut state = self.state();
        (state.left, state.tears) = (Some(calls), tears);
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.state().left == Some(0)
    }

    pub(crate) fn fail_syncs(&self, count: usize) {
        self.state().fail_syncs = count;
    }

    pub(crate) fn set_no_space(&self, no_space: bool) {
        self.state().no_space = no_space;
    }

    pub(crate) fn set_no_space_for(&self, name: &'static str) {
        self.state().no_space_for = Some(name);
    }

    pub(crate) fn set_no_files(&self, no_files: bool) {
        self.state().no_files = no_files;
    }

    pub(crate) fn set_panics(&self, panics: bool) {
        self.state().panics = panics;
    }

    pub(crate) fn hold_syncs(&self, hold: bool) {
        self.state().hold_syncs = hold;
        self.changed.notify_all();
    }

    /// Waits until a sync is held.
    pub(crate) fn wait_for_held(&self) {
        let mut state = self.state();
        while state.held == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Loses what was not synced: each sector by itself, as `keeps` says.
    pub(crate) fn lose_unsynced(&self, mut keeps: impl FnMut() -> bool) {
        const SECTOR: u64 = 512;
        let mut state = self.state();
        for (path, writes) in std::mem::take(&mut state.unsynced) {
            let Ok(file) = SystemFiles.open(&path, FileAccess::Write) else { continue };
            for (offset, before) in writes.into_iter().rev() {
                let (mut at, end) = (offset, offset + before.len() as u64);
                while at < end {
                    let next = ((at / SECTOR + 1) * SECTOR).min(end);
                    if !keeps() {
                        file.write_at(&before[(at - offset) as usize..(next - offset) as usize], at).unwrap();
                    }
                    at = next;
                }
            }
        }
    }

    /// Whether the machine still runs; counts the call.
    fn step(&self) -> io::Result<bool> {
        let mut state = self.state();
        match &mut state.left {
            Some(0) => Err(io::Error::other("the machine has stopped")),
            Some(left) => {
                *left -= 1;
                Ok(*left > 0)
            }
            None => Ok(true),
        }
    }

    /// Does a call, unless the machine stops before it.
    fn call(&self, call: Call, body: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if !self.step()? {
            return Err(io::Error::other("the machine stops here"));
        }
        body()?;
        self.state().calls.push(call);
        Ok(())
    }
}

fn no_space() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl Files for FaultFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        if self.state().no_space {
            return Err(no_space());
        }
        if self.state().no_files {
            return Err(io::Error::other("the disk failed"));
        }
        let panics = self.state().panics;
        assert!(!panics, "as asked");
        let mut made = None;
        self.call(Call::Create(path.into()), || {
            made = Some(SystemFiles.create(path)?);
            Ok(())
        })?;
        Ok(Box::new(FaultFile { layer: self.clone(), path: Mutex::new(path.into()), file: made.unwrap() }))
    }

    fn open(&self, path: &Path, access: FileAccess) -> io::Result<Box<dyn StoreFile>> {
        let file = SystemFiles.open(path, access)?;
        Ok(Box::new(FaultFile { layer: self.clone(), path: Mutex::new(path.into()), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename(from.into(), to.into()), || {
            SystemFiles.rename(from, to)?;
            let mut state = self.state();
            if let Some(writes) = state.unsynced.remove(from) {
                state.unsynced.insert(to.into(), writes);
            }
            Ok(())
        })
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.call(Call::Rename(one.into(), other.into()), || SystemFiles.exchange(one, other))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !path.exists() {
            return SystemFiles.remove(path);
        }
        self.call(Call::Remove(path.into()), || {
            self.state().unsynced.remove(path);
            SystemFiles.remove(path)
        })
    }

    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        if self.state().no_space {
            return Err(no_space());
        }
        self.call(Call::MakeFolder(path.into()), || SystemFiles.make_folder(path, mode))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call(Call::SyncFolder(path.into()), || SystemFiles.sync_folder(path))
    }
}

struct FaultFile {
    layer: FaultFiles,
    path: Mutex<PathBuf>,
    file: Box<dyn StoreFile>,
}

impl FaultFile {
    /// The file's name now: a prepared segment is renamed while it is open.
    fn path(&self) -> PathBuf {
        let mut path = self.path.lock().unwrap();
        let renamed = self.layer.state().calls.iter().rev().find_map(|call| match call {
            Call::Rename(from, to) if from == &*path => Some(to.clone()),
            _ => None,
        });
        // A name that was given away and taken again is another file's.
        if let Some(renamed) = renamed
            && !path.exists()
        {
            *path = renamed;
        }
        path.clone()
    }
}

impl StoreFile for FaultFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let path = self.path();
        let has_room = {
            let state = self.layer.state();
            !state.no_space && state.no_space_for.is_none_or(|name| !path.ends_with(name))
        };
        if !has_room && self.file.length()? < offset + bytes.len() as u64 {
            return Err(no_space());
        }
        let mut before = vec![0; bytes.len()];
        self.file.read_at(&mut before, offset)?;
        let note = |length: usize| {
            let write = (offset, before[..length].to_vec());
            self.layer.state().unsynced.entry(path.clone()).or_default().push(write);
        };
        if !self.layer.step()? {
            if self.layer.state().tears {
                note(bytes.len() / 2);
                self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            }
            return Err(io::Error::other("the machine stops here"));
        }
        note(bytes.len());
        self.file.write_at(bytes, offset)?;
        // Zero filling is of no interest.
        let kept = if bytes.iter().all(|byte| *byte == 0) { Vec::new() } else { bytes.to_vec() };
        self.layer.state().calls.push(Call::Write { path, offset, bytes: kept });
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        let path = self.path();
        let mut state = self.layer.state();
        state.held += 1;
        self.layer.changed.notify_all();
        while state.hold_syncs {
            state = self.layer.changed.wait(state).unwrap();
        }
        state.held -= 1;
        if state.fail_syncs > 0 && path.extension().is_some_and(|end| end == "segment") {
            state.fail_syncs -= 1;
            return Err(io::Error::other("the disk failed"));
        }
        drop(state);
        self.layer.call(Call::Sync(path.clone()), || {
            self.file.sync()?;
            self.layer.state().unsynced.remove(&path);
            Ok(())
        })
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.file.forget_cached()
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }

    fn lock(&self) -> io::Result<bool> {
        self.file.lock()
    }
}
