//! The key of this machine: a file outside of the data folder, made when it is first needed.
//!
//! Law: it is made once, as a whole and durably, whichever processes need it at once; what another process made first
//! counts. A key that others can read, or that belongs to another user, is no key.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use everfold_ports::CredentialError;
use everfold_system::clock::draw_u128;
use everfold_system::folder::{above, create_private};
use everfold_system::os_error::is_disk_full;
use everfold_system::regular;

use super::seal::SealKey;

const KEY_BYTES: usize = 32;

/// Where the key lies unless a setting says otherwise: `$XDG_STATE_HOME/everfold/credentials.key`, else below
/// `~/.local/state`. `None`: neither XDG_STATE_HOME nor HOME names a folder.
#[must_use]
pub fn default_key_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("everfold/credentials.key"))
}

/// The key that seals credentials. It is read when it is first needed, and kept.
#[derive(Debug)]
pub struct MachineKey {
    file: Option<PathBuf>,
    /// The data folder, in which it must not lie.
    outside_of: PathBuf,
    read: OnceLock<SealKey>,
}

impl MachineKey {
    /// The key in a file; `None`: no place for it is known.
    #[must_use]
    pub fn at(file: Option<PathBuf>, outside_of: impl Into<PathBuf>) -> Self {
        Self { file, outside_of: outside_of.into(), read: OnceLock::new() }
    }

    /// The key; it is made where there is none.
    ///
    /// # Errors
    /// It cannot be made or read, others can read it, or it lies in the data folder.
    pub(super) fn made(&self) -> Result<SealKey, CredentialError> {
        if let Some(key) = self.read.get() {
            return Ok(key.clone());
        }
        let file = self.place()?;
        if !file.try_exists().map_err(|error| failed("read", file, &error))? {
            make(file).map_err(|error| failed("made", file, &error))?;
        }
        self.there()
    }

    /// The key that is there.
    ///
    /// # Errors
    /// As for [`Self::made`], and where there is none.
    pub(super) fn there(&self) -> Result<SealKey, CredentialError> {
        if let Some(key) = self.read.get() {
            return Ok(key.clone());
        }
        let key = read(self.place()?)?;
        Ok(self.read.get_or_init(|| key).clone())
    }

    /// Whether there is a place for the key, outside of the folder whose copies must not hold it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn check_place(&self) -> Result<(), CredentialError> {
        self.place().map(drop)
    }

    fn place(&self) -> Result<&Path, CredentialError> {
        let Some(file) = &self.file else {
            return Err(unusable(
                "there is no place for the key that seals credentials: neither XDG_STATE_HOME nor HOME names a folder"
                    .to_owned(),
                "name a file outside of the data folder: key under [credentials] in everfold.toml",
            ));
        };
        if is_within(file, &self.outside_of) {
            return Err(unusable(
                format!("the key {} lies in the data folder: a copy of that would hold both", file.display()),
                "name a file outside of it: key under [credentials] in everfold.toml",
            ));
        }
        Ok(file)
    }
}

/// Whether a path leads into a folder, links followed as far as the path is there.
fn is_within(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return path.starts_with(folder) };
    let there = path.ancestors().find_map(|part| part.canonicalize().ok().map(|real| (part, real)));
    match there {
        Some((part, real)) => {
            path.strip_prefix(part).map_or(real.clone(), |rest| real.join(rest)).starts_with(&folder)
        }
        None => path.starts_with(&folder),
    }
}

fn make(file: &Path) -> std::io::Result<()> {
    let folder = above(file);
    create_private(folder)?;
    let mut new = file.as_os_str().to_owned();
    new.push(format!(".{:032x}", draw_u128()));
    let new = PathBuf::from(new);
    let mut key = [0; KEY_BYTES];
    key[..16].copy_from_slice(&draw_u128().to_be_bytes());
    key[16..].copy_from_slice(&draw_u128().to_be_bytes());
    let written = (|| {
        let mut made = regular::options().write(true).create_new(true).mode(0o600).open(&new)?;
        made.write_all(&key)?;
        made.sync_all()?;
        // Unlike a rename it replaces no key that another process made meanwhile.
        match std::fs::hard_link(&new, file) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _made_or_there => Ok(()),
        }
    })();
    let removed = std::fs::remove_file(&new);
    written?;
    removed?;
    std::fs::File::open(folder)?.sync_all()
}

fn read(file: &Path) -> Result<SealKey, CredentialError> {
    let about = std::fs::metadata(file).map_err(|error| failed("read", file, &error))?;
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(unusable(
            format!("the key {} belongs to another user, who can read and change it", file.display()),
            "give it to the engine's user: chown; or name another file: key under [credentials] in everfold.toml",
        ));
    }
    if about.mode() & 0o077 != 0 {
        return Err(unusable(
            format!("others can read or change the key {}", file.display()),
            "keep it to the engine's user: chmod 600, and restart what used credentials that others may know",
        ));
    }
    let bytes = regular::read(file).map_err(|error| failed("read", file, &error))?;
    let key: Result<[u8; KEY_BYTES], _> = bytes.try_into();
    key.map(SealKey).map_err(|_| {
        unusable(
            format!("the file {} holds no key: that has {KEY_BYTES} bytes", file.display()),
            "remove it: the next request with credentials makes another one; what was sealed before must be brought again",
        )
    })
}

fn failed(what: &str, file: &Path, error: &std::io::Error) -> CredentialError {
    CredentialError {
        message: format!("the key that seals credentials cannot be {what}: {}: {error}", file.display()),
        hint:
            "key under [credentials] in everfold.toml names another file, which the engine's user can write"
                .to_owned(),
        is_full: is_disk_full(error),
    }
}

fn unusable(message: String, hint: &str) -> CredentialError {
    CredentialError { message, hint: hint.to_owned(), is_full: false }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn all_that_need_the_key_at_once_get_the_same_one() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("state/everfold/credentials.key");
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let take = || MachineKey::at(Some(file.clone()), "/nowhere").made().unwrap().0;
            let taking: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            taking.into_iter().map(|taken| taken.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]) && keys[0] != [0; 32]);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(above(&file)).unwrap().mode() & 0o777, 0o700);
        let left: Vec<_> = std::fs::read_dir(above(&file)).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_key_that_is_no_secret_is_refused_and_says_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let linked = home.path().join("linked");
        std::os::unix::fs::symlink(&data, &linked).unwrap();
        for file in [data.join("key"), linked.join("deeper/key")] {
            let refused = MachineKey::at(Some(file), &data).made().unwrap_err();
            assert!(refused.message.contains("lies in the data folder"), "{refused:?}");
        }
        let file = home.path().join("key");
        MachineKey::at(Some(file.clone()), &data).made().unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let open = MachineKey::at(Some(file.clone()), &data).made().unwrap_err();
        assert!(open.message.contains("others can read") && open.hint.contains("chmod 600"), "{open:?}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, "short").unwrap();
        let short = MachineKey::at(Some(file.clone()), &data).made().unwrap_err();
        assert!(short.message.contains("holds no key"), "{short:?}");
        // Root makes a file of another user; for any other user root's are.
        let foreign = match rustix::process::geteuid().is_root() {
            true => {
                std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
                file
            }
            false => PathBuf::from("/etc/passwd"),
        };
        let foreign = MachineKey::at(Some(foreign), &data).made().unwrap_err();
        assert!(foreign.message.contains("belongs to another user"), "{foreign:?}");
        let nowhere = MachineKey::at(None, &data).made().unwrap_err();
        assert!(nowhere.hint.contains("[credentials]"), "{nowhere:?}");
    }
}
