//! The supervisor's hold on its folder: the lock, the one start, the last record.
//!
//! Law: `started` is durable before the command runs, and room for `exit.json` is there before
//! `started` is. The record of the end is durable before it has its name. The supervisor that made `started` holds the lock until `exit.json` stands in the folder,
//! however long that cannot be written: only this process knows the outcome of the command. Folders that the command
//! made under the names of these files go, whatever they hold: the folder is the attempt's, and the names are the supervisor's.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use everfold_system::os_error::is_shortage;
use everfold_system::regular;
use rustix::fs::{FlockOperation, flock, fstat};

use super::in_the_way::{is_folder, remove_folder};
use super::protocol::{
    CANCEL, CommandRequest, EXIT, EXIT_RESERVE, ExitRecord, FolderRef, LOCK, OUTPUT, PROTOCOL_SECRETS,
    REQUEST, SHIM_ERRORS, STARTED, STDOUT, STDOUT_TAIL, ShimRecord, WAKE,
};

const RESERVED_BYTES: usize = 4096;
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// The pauses between the tries to write the last record.
const END_PAUSE_MIN: Duration = Duration::from_millis(20);
const END_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Why a supervisor could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    #[error("another supervisor holds the folder")]
    Held,
    #[error("could not {what}")]
    Io {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("for want of means it could not {what}: {source}")]
    NoRoom {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("request.json is unreadable: {0}")]
    Request(String),
    #[error("request.json has protocol {0}, this program knows up to {PROTOCOL_SECRETS}")]
    Newer(u32),
    #[error("the secrets of the command were not handed over")]
    NoSecrets,
}

/// What failed before the command may run, or before it is known whether it ran.
pub(super) fn before(what: &'static str) -> impl FnOnce(std::io::Error) -> ShimError {
    move |source| match is_shortage(&source) {
        true => ShimError::NoRoom { what, source },
        false => ShimError::Io { what, source },
    }
}

/// Whether the command may run.
pub(crate) enum Claim {
    Ours,
    StartedBefore,
    Cancelled,
}

/// A folder that this process holds, wherever it is moved meanwhile.
pub(crate) struct Folder {
    /// What it was called at the start.
    name: PathBuf,
    handle: File,
    /// A path through the handle, where the system has such.
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Takes the lock. Others test it for a moment now and then, so it is tried a few times.
    pub(crate) fn lock(path: &Path) -> Result<Self, ShimError> {
        let handle = File::open(path).map_err(before("open the folder"))?;
        let name = path.to_owned();
        let path = through(&handle).unwrap_or_else(|| name.clone());
        let lock = open_new(&path.join(LOCK), false).map_err(before("open the lock"))?;
        for _ in 0..LOCK_TRIES {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { name, handle, path, lock }),
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
                Err(errno) => return Err(before("take the lock")(errno.into())),
            }
        }
        Err(ShimError::Held)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path by which this process reads and writes in it.
    pub(crate) fn root(&self) -> &Path {
        &self.path
    }

    /// What it was called when this process began: the mark of its processes, and its name for readers.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    /// Which folder it is: a copy of it is another one.
    pub(crate) fn identity(&self) -> Option<FolderRef> {
        FolderRef::of(&self.handle)
    }

    pub(crate) fn has_ended(&self) -> Result<bool, ShimError> {
        let exit = self.path(EXIT);
        Ok(!is_folder(&exit) && exit.try_exists().map_err(before("look for exit.json"))?)
    }

    pub(crate) fn has_started(&self) -> Result<bool, ShimError> {
        self.path(STARTED).try_exists().map_err(before("look for `started`"))
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.path(CANCEL).exists()
    }

    pub(crate) fn request(&self) -> Result<CommandRequest, ShimError> {
        let text = std::fs::read_to_string(self.path(REQUEST)).map_err(before("read request.json"))?;
        let bad = |error: serde_json::Error| ShimError::Request(error.to_string());
        let value: serde_json::Value = serde_json::from_str(&text).map_err(bad)?;
        match value["protocol"].as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) if number > PROTOCOL_SECRETS => Err(ShimError::Newer(number)),
            _ => serde_json::from_value(value).map_err(bad),
        }
    }

    /// Decides, once for ever, whether the command runs.
    pub(crate) fn claim(&self) -> Result<Claim, ShimError> {
        let reserve = self.path(EXIT_RESERVE);
        self.clear_way().map_err(before("reserve room for exit.json"))?;
        let mut room = open_new(&reserve, false).map_err(before("reserve room for exit.json"))?;
        room.write_all(&[b' '; RESERVED_BYTES]).map_err(before("reserve room for exit.json"))?;
        if self.is_cancelled() && !self.has_started()? {
            return Ok(Claim::Cancelled);
        }
        match open_new(&self.path(STARTED), true) {
            Ok(_empty) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Claim::StartedBefore),
            Err(error) => return Err(before("create `started`")(error)),
        }
        // One sync for the names of `started` and of the room: neither has content that counts yet.
        if let Err(error) = self.handle.sync_all() {
            if is_shortage(&error) {
                // Nothing has run, and the lock is held: without it the next supervisor may begin.
                std::fs::remove_file(self.path(STARTED)).map_err(before("take `started` back"))?;
            }
            return Err(before("sync `started`")(error));
        }
        Ok(Claim::Ours)
    }

    /// Writes down which process supervises which command, for a later engine: into the lock, in one write.
    pub(crate) fn introduce(&self, record: &ShimRecord) -> std::io::Result<()> {
        let text = serde_json::to_vec(record)?;
        self.lock.set_len(0)?;
        let mut lock = &self.lock;
        lock.seek(SeekFrom::Start(0))?;
        lock.write_all(&text)
    }

    /// Gives a whole record that a crash left in the room its name; whether there was one.
    pub(crate) fn finish_end(&self) -> Result<bool, ShimError> {
        let reserve = self.path(EXIT_RESERVE);
        let text = match regular::read(&reserve) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                return Ok(false);
            }
            Err(error) => return Err(before("read exit.json.new")(error)),
        };
        if serde_json::from_slice::<ExitRecord>(&text).is_err() {
            return Ok(false);
        }
        self.clear_way().map_err(before("rename exit.json"))?;
        std::fs::rename(reserve, self.path(EXIT)).map_err(before("rename exit.json"))?;
        Ok(true)
    }

    /// Puts on the disk what the record of the end speaks of: what cannot be is complained of.
    pub(crate) fn settle(&self) {
        for name in [STDOUT, STDOUT_TAIL, OUTPUT] {
            let synced = regular::open(&self.path(name)).and_then(|file| match file.metadata()?.len() {
                0 => Ok(()),
                _some => file.sync_data(),
            });
            match synced {
                Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                    complain(&self.name, &format_args!("could not sync {name}: {error}"));
                }
                _done => {}
            }
        }
    }

    /// Writes the last record, and retries until it is there. No other supervisor gets the lock meanwhile, so none
    /// takes the command for lost.
    ///
    /// # Errors
    /// When the folder is not there any more: there is no place to write it then.
    pub(crate) fn end(&self, record: &ExitRecord) -> Result<(), ShimError> {
        // Before the record: many tools cannot copy a folder that holds a FIFO, and no writer uses it any more.
        let wake = self.path(WAKE);
        let _gone = remove_folder(&wake).and_then(|()| std::fs::remove_file(&wake));
        let mut text = serde_json::to_vec(record)
            .map_err(|error| ShimError::Io { what: "write exit.json", source: error.into() })?;
        text.push(b'\n');
        if text.len() < RESERVED_BYTES {
            text.resize(RESERVED_BYTES, b' '); // Overwrites the room exactly; JSON allows the spaces.
        }
        let mut pause = END_PAUSE_MIN;
        while let Err(error) = self.write_end(&text) {
            if self.is_gone() {
                return Err(error);
            }
            if pause == END_PAUSE_MIN {
                complain(&self.name, &format_args!("{error}; it is tried again until it can"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(END_PAUSE_MAX);
        }
        // The folder is not synced again: where a power cut takes the new name back, the room has the record, and a name
        // that was durable before the command began.
        Ok(())
    }

    /// Into the reserved room, synced, then under its name.
    fn write_end(&self, text: &[u8]) -> Result<(), ShimError> {
        let reserve = self.path(EXIT_RESERVE);
        self.clear_way().map_err(before("make way for exit.json"))?;
        let mut file = open_new(&reserve, false).map_err(before("open exit.json.new"))?;
        file.seek(SeekFrom::Start(0)).map_err(before("write exit.json"))?;
        file.write_all(text).map_err(before("write exit.json"))?;
        file.sync_data().map_err(before("sync exit.json"))?;
        std::fs::rename(reserve, self.path(EXIT)).map_err(before("rename exit.json"))
    }

    /// Removes what the command put where the record goes and what it would not replace: folders, and of the room all that
    /// is no file, since opening a pipe waits for its other end.
    fn clear_way(&self) -> std::io::Result<()> {
        let reserve = self.path(EXIT_RESERVE);
        remove_folder(&self.path(EXIT))?;
        remove_folder(&reserve)?;
        match reserve.symlink_metadata() {
            Ok(about) if !about.is_file() => std::fs::remove_file(&reserve),
            _file_or_none => Ok(()),
        }
    }

    /// Whether the folder was deleted, and with it the lock that this process holds.
    pub(crate) fn is_gone(&self) -> bool {
        let is_unlinked = |file: &File| fstat(file).is_ok_and(|stat| stat.st_nlink == 0);
        is_unlinked(&self.lock) && is_unlinked(&self.handle)
    }
}

/// A path that leads to an open folder, whatever it is called by now.
fn through(folder: &File) -> Option<PathBuf> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    path.is_dir().then_some(path)
}

fn open_new(path: &Path, exclusive: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if exclusive {
        options.create_new(true)
    } else {
        options.create(true).truncate(false)
    };
    options.open(path)
}

/// Says something in `shim.err`, which is made for that. Where it cannot be written it is left out: what
/// keeps a command's record may not end for want of a place for its complaint.
pub(super) fn complain(folder: &Path, what: &dyn Display) {
    let line = format!("{}: {what}\n", folder.display());
    let errors = super::log::create(&folder.join(SHIM_ERRORS));
    let _unwritten = match errors {
        Ok(mut errors) => errors.write_all(line.as_bytes()),
        Err(_) => std::io::stderr().write_all(line.as_bytes()),
    };
}
