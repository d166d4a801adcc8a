//! The folder `credentials` of a data folder: what is kept for which run.
//!
//! Law: a file is written as a whole and durable before its start is recorded. A child run's folder names the runs above
//! it whose credentials it uses where it has none of its own; the nearest one that has it counts.
//!
//! `credentials/RUN/NAME.sealed`, and `credentials/RUN/of` with the ids of other runs, one a line, the nearest first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use everfold_base::data_folder::Layout;
use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_language::definition::is_credential_name;
use everfold_ports::{BroughtCredentials, CredentialError, Credentials};
use everfold_system::os_error::is_disk_full;
use everfold_system::regular;

use super::former::FormerCredentials;
use super::machine_key::MachineKey;
use super::seal::{ADDED_BYTES, SealPlace, sealed_at};
use crate::private_file::{if_there, make_private, write_private};

/// The longest value.
pub(crate) const VALUE_BYTES_MAX: usize = 64 * 1024;
/// How the names of sealed files end; no credential has a dot in its name.
const SEALED: &str = ".sealed";
/// The file that names the runs above.
const OF: &str = "of";
/// The longest such file: the ids of more than 200 runs.
const OF_BYTES_MAX: usize = 8 * 1024;

/// Why a credential cannot be had.
#[derive(Debug)]
pub(crate) enum UnopenedCredential {
    /// It is not there: not brought, or removed because of its age, or with the end of the run that it belongs to.
    Missing,
    /// What is there does not open, or its key cannot be had.
    Unopened {
        /// Which file, and why.
        what: String,
        /// What to do; `None`: it is brought again.
        hint: Option<String>,
    },
}

/// Credentials that are kept sealed in a data folder.
#[derive(Debug)]
pub struct SealedCredentials {
    folder: PathBuf,
    /// What no copy of the data folder shares.
    identity: String,
    key: MachineKey,
    /// The runs for which something is kept.
    known: Mutex<BTreeSet<RunId>>,
    former: FormerCredentials,
}

impl SealedCredentials {
    /// Those of a data folder; no copy of it shares `identity`.
    #[must_use]
    pub fn new(layout: &Layout, identity: impl Into<String>, key: MachineKey) -> Self {
        let folder = layout.credentials();
        let known = runs_in(&folder).unwrap_or_default().into_iter().collect();
        let former = FormerCredentials::default();
        Self { folder, identity: identity.into(), key, known: Mutex::new(known), former }
    }

    /// Opens a value that a run can use.
    ///
    /// # Errors
    /// [`UnopenedCredential`]
    pub(crate) fn open(&self, run: RunId, name: &str) -> Result<String, UnopenedCredential> {
        let unread = |path: &Path, error: &dyn std::fmt::Display| UnopenedCredential::Unopened {
            what: format!("{}: {error}", path.display()),
            hint: None,
        };
        let find = |run: RunId| {
            let path = self.file(run, name);
            match if_there(read(&path)) {
                Ok(bytes) => Ok(bytes.map(|bytes| (run, path, bytes))),
                Err(error) => Err(unread(&path, &error)),
            }
        };
        let mut found = find(run)?;
        if found.is_none() {
            for above in self.of(run).map_err(|error| unread(&self.folder_of(run), &error))? {
                found = find(above)?;
                if found.is_some() {
                    break;
                }
            }
        }
        let (run, path, bytes) = found.ok_or(UnopenedCredential::Missing)?;
        let key = self
            .key
            .there()
            .map_err(|error| UnopenedCredential::Unopened { what: error.message, hint: Some(error.hint) })?;
        let place = SealPlace { folder: &self.identity, run, name };
        place.open(&key, &bytes).map_err(|error| unread(&path, &error))
    }

    /// Notes what a credential of a run is now; returns what it was before it was replaced.
    pub(crate) fn before(&self, run: RunId, name: &str, value: &str) -> Vec<String> {
        // Held meanwhile: a run that has ended is forgotten once, after it is known no more.
        let known = self.known();
        if known.contains(&run) { self.former.before(run, name, value) } else { Vec::new() }
    }

    fn folder_of(&self, run: RunId) -> PathBuf {
        self.folder.join(run.to_string())
    }

    fn file(&self, run: RunId, name: &str) -> PathBuf {
        self.folder_of(run).join(format!("{name}{SEALED}"))
    }

    /// The runs above a run whose credentials it uses, the nearest first.
    fn of(&self, run: RunId) -> std::io::Result<Vec<RunId>> {
        let file = self.folder_of(run).join(OF);
        let read = if_there(regular::read_bounded(&file, OF_BYTES_MAX as u64))?.flatten();
        let text = String::from_utf8(read.unwrap_or_default()).unwrap_or_default();
        Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
    }

    /// The names of a run's own, with their files.
    fn own(&self, run: RunId) -> std::io::Result<BTreeMap<String, PathBuf>> {
        let mut own = BTreeMap::new();
        for entry in if_there(std::fs::read_dir(self.folder_of(run)))?.into_iter().flatten() {
            let entry = entry?;
            let name =
                entry.file_name().to_str().and_then(|name| name.strip_suffix(SEALED)).map(str::to_owned);
            if let Some(name) = name.filter(|name| is_credential_name(name)) {
                own.insert(name, entry.path());
            }
        }
        Ok(own)
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes files into the folder of a run, and makes their names durable.
    fn write(&self, run: RunId, files: &[(PathBuf, Vec<u8>)]) -> std::io::Result<()> {
        let folder = self.folder_of(run);
        make_private(&folder)?;
        files.iter().try_for_each(|(path, bytes)| write_private(path, bytes))?;
        std::fs::File::open(folder)?.sync_all()?;
        self.known().insert(run);
        Ok(())
    }
}

impl Credentials for SealedCredentials {
    fn keep(&self, run: RunId, brought: &BroughtCredentials, now: Timestamp) -> Result<(), CredentialError> {
        let key = self.key.made()?;
        let seal = |(name, value): (&str, &str)| {
            let place = SealPlace { folder: &self.identity, run, name };
            (self.file(run, name), place.seal(&key, value, now))
        };
        let files: Vec<_> = brought.reveal().map(seal).collect();
        self.write(run, &files).map_err(|error| not_kept(&self.folder_of(run), &error))
    }

    fn share(&self, run: RunId, parent: RunId) -> Result<(), CredentialError> {
        let failed = |error: std::io::Error| not_kept(&self.folder_of(run), &error);
        let mut text = String::new();
        for above in std::iter::once(parent).chain(self.of(parent).map_err(failed)?) {
            let line = format!("{above}\n");
            // The farthest ones give way, so that the file can be read.
            if text.len() + line.len() > OF_BYTES_MAX {
                break;
            }
            text.push_str(&line);
        }
        self.write(run, &[(self.folder_of(run).join(OF), text.into_bytes())]).map_err(failed)
    }

    fn names(&self, run: RunId) -> std::io::Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> = self.own(run)?.into_keys().collect();
        for above in self.of(run)? {
            names.extend(self.own(above)?.into_keys());
        }
        Ok(names)
    }

    fn has_any(&self, run: RunId) -> bool {
        self.known().contains(&run)
    }

    fn remove(&self, run: RunId) -> std::io::Result<()> {
        if_there(std::fs::remove_dir_all(self.folder_of(run)))?;
        if_there(std::fs::File::open(&self.folder))?.map_or(Ok(()), |folder| folder.sync_all())?;
        self.known().remove(&run);
        self.former.forget(run);
        Ok(())
    }

    fn remove_older(&self, run: RunId, than: Timestamp) -> std::io::Result<usize> {
        let mut removed = 0;
        for path in self.own(run)?.into_values() {
            let at = if_there(read(&path))?.map(|bytes| sealed_at(&bytes));
            // What says no time opens neither.
            if at.is_some_and(|at| at.is_none_or(|at| at < than)) {
                if_there(std::fs::remove_file(&path))?;
                removed += 1;
            }
        }
        if removed > 0 {
            std::fs::File::open(self.folder_of(run))?.sync_all()?;
        }
        Ok(removed)
    }

    fn runs(&self) -> std::io::Result<Vec<RunId>> {
        // Read before the lock is taken: whether a run has any is asked where nothing may wait for a disk.
        let runs = runs_in(&self.folder)?;
        self.known().extend(runs.iter().copied());
        Ok(runs)
    }
}

fn runs_in(folder: &Path) -> std::io::Result<Vec<RunId>> {
    let mut runs = Vec::new();
    for entry in if_there(std::fs::read_dir(folder))?.into_iter().flatten() {
        runs.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RunId>().ok()));
    }
    Ok(runs)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let larger = || std::io::Error::other("it is larger than any sealed credential");
    regular::read_bounded(path, (VALUE_BYTES_MAX + ADDED_BYTES) as u64)?.ok_or_else(larger)
}

fn not_kept(place: &Path, error: &std::io::Error) -> CredentialError {
    CredentialError {
        message: format!("credentials cannot be kept: {}: {error}", place.display()),
        hint: "make the folder writable for the engine's user, and repeat the request".to_owned(),
        is_full: is_disk_full(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const AT: Timestamp = Timestamp(1_790_000_000_000);

    struct Rig {
        home: tempfile::TempDir,
    }

    impl Rig {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            std::fs::create_dir(home.path().join("data")).unwrap();
            Self { home }
        }

        fn kept(&self, identity: &str, key: &str) -> SealedCredentials {
            let data = self.home.path().join("data");
            let key = MachineKey::at(Some(self.home.path().join(key)), &data);
            SealedCredentials::new(&Layout::new(data), identity, key)
        }
    }

    fn run(last: u8) -> RunId {
        format!("0198c1f0-0000-7000-8000-0000deadbe{last:02x}").parse().unwrap()
    }

    fn brought(values: &[(&str, &str)]) -> BroughtCredentials {
        let mut brought = BroughtCredentials::default();
        values.iter().for_each(|(name, value)| assert!(brought.add(*name, *value)));
        brought
    }

    fn why(result: Result<String, UnopenedCredential>) -> String {
        match result {
            Ok(_opened) => "opened".to_owned(),
            Err(UnopenedCredential::Missing) => "missing".to_owned(),
            Err(UnopenedCredential::Unopened { what, .. }) => what,
        }
    }

    #[test]
    fn what_is_kept_opens_for_its_run_here_and_nowhere_else() {
        let rig = Rig::new();
        let kept = rig.kept("one", "key");
        kept.keep(run(1), &brought(&[("claude", "sk-claude-1"), ("git", "ghp-1234")]), AT).unwrap();
        assert_eq!(kept.open(run(1), "claude").unwrap(), "sk-claude-1");
        assert_eq!(why(kept.open(run(1), "other")), "missing");
        assert_eq!(why(kept.open(run(2), "claude")), "missing");
        // Opened anew, as by the next engine.
        assert_eq!(rig.kept("one", "key").open(run(1), "git").unwrap(), "ghp-1234");
        assert!(rig.kept("one", "key").has_any(run(1)));
        // A copy has an identity of its own; another machine has another key, or none.
        let place = kept.file(run(1), "claude");
        let copy = why(rig.kept("two", "key").open(run(1), "claude"));
        assert!(copy.contains(&place.display().to_string()) && copy.contains("data folder"), "{copy}");
        assert!(why(rig.kept("one", "none").open(run(1), "claude")).contains("key that seals"));
        rig.kept("one", "other").keep(run(3), &brought(&[("x", "y y y")]), AT).unwrap();
        assert!(why(rig.kept("one", "other").open(run(1), "claude")).contains("another key"));
        // Another run's file, and another name's.
        make_private(&kept.folder_of(run(2))).unwrap();
        std::fs::copy(&place, kept.file(run(2), "claude")).unwrap();
        std::fs::copy(&place, kept.file(run(1), "taken")).unwrap();
        assert!(why(kept.open(run(2), "claude")).contains("for another run"));
        assert!(why(kept.open(run(1), "taken")).contains("for another run, name"));
        for (path, mode) in [(place, 0o600), (kept.folder_of(run(1)), 0o700)] {
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, mode, "{}", path.display());
        }
    }

    #[test]
    fn a_child_uses_those_of_the_nearest_run_above_that_has_them() {
        let rig = Rig::new();
        let kept = rig.kept("one", "key");
        kept.keep(run(1), &brought(&[("claude", "first value")]), AT).unwrap();
        kept.share(run(2), run(1)).unwrap();
        kept.share(run(3), run(2)).unwrap();
        assert_eq!(kept.open(run(3), "claude").unwrap(), "first value");
        kept.keep(run(1), &brought(&[("claude", "newer value"), ("more", "more value")]), AT).unwrap();
        assert_eq!(kept.open(run(3), "claude").unwrap(), "newer value");
        assert_eq!(kept.names(run(3)).unwrap().into_iter().collect::<Vec<_>>(), ["claude", "more"]);
        kept.keep(run(2), &brought(&[("claude", "nearer value"), ("own", "own value")]), AT).unwrap();
        assert_eq!(kept.open(run(3), "claude").unwrap(), "nearer value");
        assert_eq!(kept.open(run(3), "more").unwrap(), "more value");
        assert_eq!(kept.names(run(3)).unwrap().into_iter().collect::<Vec<_>>(), ["claude", "more", "own"]);
        kept.remove(run(2)).unwrap();
        assert_eq!(kept.open(run(3), "claude").unwrap(), "newer value", "the run between has ended");
        kept.remove(run(1)).unwrap();
        assert_eq!(why(kept.open(run(3), "claude")), "missing");
        assert!(!kept.has_any(run(1)) && kept.names(run(1)).unwrap().is_empty());
        kept.remove(run(1)).unwrap();
    }

    #[test]
    fn what_a_credential_was_is_known_until_its_run_has_ended() {
        let rig = Rig::new();
        let kept = rig.kept("one", "key");
        kept.keep(run(1), &brought(&[("claude", "first value")]), AT).unwrap();
        assert!(kept.before(run(1), "claude", "first value").is_empty());
        assert_eq!(kept.before(run(1), "claude", "second value"), ["first value"]);
        assert!(kept.before(run(2), "claude", "third value").is_empty(), "another run's, which has none");
        assert!(!format!("{kept:?}").contains("value"), "{kept:?}");
        kept.remove(run(1)).unwrap();
        assert!(kept.before(run(1), "claude", "third value").is_empty(), "it has ended");
        kept.keep(run(1), &brought(&[("claude", "third value")]), AT).unwrap();
        assert!(kept.before(run(1), "claude", "third value").is_empty(), "nothing was left of it");
    }

    #[test]
    fn what_is_too_old_is_removed_and_newer_ones_stay() {
        let rig = Rig::new();
        let kept = rig.kept("one", "key");
        kept.keep(run(1), &brought(&[("old", "old value")]), AT).unwrap();
        let later = Timestamp(AT.0 + 1_000);
        kept.keep(run(1), &brought(&[("new", "new value")]), later).unwrap();
        kept.share(run(2), run(1)).unwrap();
        assert_eq!(kept.remove_older(run(1), AT).unwrap(), 0);
        assert_eq!(kept.remove_older(run(1), later).unwrap(), 1);
        assert_eq!(
            (why(kept.open(run(1), "old")), why(kept.open(run(1), "new"))),
            ("missing".into(), "opened".into())
        );
        assert_eq!(kept.remove_older(run(2), later).unwrap(), 0, "what it shares has no age of its own");
        std::fs::write(kept.file(run(1), "torn"), "EVFC").unwrap();
        assert_eq!(kept.remove_older(run(1), AT).unwrap(), 1, "what says no time");
        let mut runs = kept.runs().unwrap();
        runs.sort();
        assert_eq!(runs, [run(1), run(2)]);
    }
}
