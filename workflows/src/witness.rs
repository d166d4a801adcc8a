//! Counts, for each attempt and probe, at how many aborts of the engine in a row it was in progress.
//!
//! An engine that aborts (a stack that overflows, memory that cannot be had) cannot record the cause. A
//! signal handler leaves one byte in the file `aborts`; the next engine counts, for each attempt and probe that it
//! finds outstanding and takes up again, at how many aborts in a row it was in progress. It writes the counts to
//! the file `suspects` before anything is taken up, so that they survive the next abort.
//!
//! Law: only aborts of the engine itself count. A kill or a power cut does not count: runs go on after it however
//! often it happens. Work whose own process lives on does not count either: the engine was not reading it.
//!
//! Called by the runtime for work that a former engine left; new work is never looked up here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use everfold_base::data_folder::Layout;
use everfold_ports::{ENDS_MAX, Witness};
use everfold_system::regular;

use crate::private_file::write_private;
use crate::process::is_held;

/// The first line of `suspects`. Another version may have mended the cause, so its counts are dropped.
const HEAD: &str = concat!("everfold ", env!("CARGO_PKG_VERSION"));
/// Entries that are kept from one engine to the next.
const SUSPECTS_MAX: usize = 10_000;

/// Counts in two files of the data folder.
#[derive(Debug)]
pub struct AbortWitness {
    aborts: PathBuf,
    suspects: PathBuf,
    session: Mutex<Option<EngineSession>>,
}

/// What one engine knows.
#[derive(Debug, Default)]
struct EngineSession {
    /// The engine before this one ended by itself.
    is_after_abort: bool,
    /// What the engines before this one noted.
    former: BTreeMap<String, u32>,
    /// What this one looked at.
    now: BTreeMap<String, u32>,
    file: Option<File>,
}

impl AbortWitness {
    /// Counts in the data folder of `layout`.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { aborts: layout.aborts(), suspects: layout.suspects(), session: Mutex::new(None) }
    }

    fn open(&self) -> io::Result<EngineSession> {
        let is_after_abort = match std::fs::metadata(&self.aborts) {
            Ok(found) => found.len() > 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let former = match regular::read(&self.suspects) {
            Ok(text) => parse(&String::from_utf8_lossy(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        if !is_after_abort && former.is_empty() {
            return Ok(EngineSession::default());
        }
        let lines = former.iter().take(SUSPECTS_MAX).map(|(name, ends)| line(name, *ends));
        write_private(&self.suspects, format!("{HEAD}\n{}", lines.collect::<String>()).as_bytes())?;
        let file = regular::open_with(regular::options().append(true), &self.suspects)?;
        if is_after_abort {
            regular::open_with(regular::options().write(true), &self.aborts)?.set_len(0)?;
        }
        Ok(EngineSession { is_after_abort, former, now: BTreeMap::new(), file: Some(file) })
    }
}

impl Witness for AbortWitness {
    fn ends_with(&self, folder: &Path) -> u32 {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let session = session.get_or_insert_with(|| {
            self.open().unwrap_or_else(|error| {
                tracing::warn!(%error, "what was in hand when the engine ended by itself cannot be counted");
                EngineSession::default()
            })
        });
        let Some(name) = name(folder).filter(|_| session.file.is_some()) else { return 0 };
        if let Some(ends) = session.now.get(&name) {
            return *ends;
        }
        let former = session.former.get(&name).copied().unwrap_or(0);
        let ends = match session.is_after_abort {
            true if is_held(folder).unwrap_or(true) => former,
            true => former.saturating_add(1),
            // Such work was not taken up again, so an end without an abort proves nothing about it.
            false if former >= ENDS_MAX => former,
            false => 0,
        };
        if ends != former
            && let Some(file) = &mut session.file
            && let Err(error) = file.write_all(line(&name, ends).as_bytes())
        {
            tracing::warn!(%error, "what is in hand cannot be noted");
        }
        session.now.insert(name, ends);
        ends
    }
}

fn line(name: &str, ends: u32) -> String {
    format!("{ends} {name}\n")
}

/// The last line of each counts; what another version noted does not.
fn parse(text: &str) -> BTreeMap<String, u32> {
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return BTreeMap::new();
    }
    let mut suspects = BTreeMap::new();
    for (ends, name) in lines.filter_map(|line| line.split_once(' ')) {
        match ends.parse::<u32>() {
            Ok(0) | Err(_) => suspects.remove(name),
            Ok(ends) => suspects.insert(name.to_owned(), ends),
        };
    }
    suspects
}

/// `RUN/FOLDER`.
fn name(folder: &Path) -> Option<String> {
    let own = folder.file_name()?.to_str()?;
    Some(format!("{}/{own}", folder.parent()?.file_name()?.to_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct WitnessFixture(tempfile::TempDir);

    impl WitnessFixture {
        fn layout(&self) -> Layout {
            Layout::new(self.0.path())
        }

        /// An engine begins that may find that the one before it ended by itself.
        fn next(&self, after_abort: bool) -> AbortWitness {
            std::fs::write(self.layout().aborts(), if after_abort { "X" } else { "" }).unwrap();
            AbortWitness::new(&self.layout())
        }

        fn folder(&self, name: &str) -> PathBuf {
            self.layout().all_attempts().join("0198c1f0-0000-7000-8000-0000deadbeef").join(name)
        }
    }

    #[test]
    fn row_38_ends_are_counted_in_a_row_for_what_was_in_hand_each_time() {
        let place = WitnessFixture(tempfile::tempdir().unwrap());
        let (bad, other) = (place.folder("parse-r1-a1-tests-p1"), place.folder("build-r1-a1"));
        assert_eq!(place.next(false).ends_with(&bad), 0);
        assert!(!place.layout().suspects().exists(), "nothing is noted where nothing happened");
        let second = place.next(true);
        assert_eq!((second.ends_with(&bad), second.ends_with(&bad)), (1, 1), "once for each engine");
        assert_eq!(std::fs::metadata(place.layout().aborts()).unwrap().len(), 0);
        let third = place.next(true);
        assert_eq!((third.ends_with(&bad), third.ends_with(&other)), (2, 1));
        assert_eq!(place.next(false).ends_with(&other), 0, "the one before it was killed, or ended in order");
        assert_eq!(place.next(true).ends_with(&other), 1, "it begins anew");
        let fourth = place.next(true);
        assert_eq!((fourth.ends_with(&bad), fourth.ends_with(&other)), (3, 2));
        assert_eq!(place.next(false).ends_with(&bad), 3, "it was not taken up, so nothing could happen");
    }

    #[test]
    fn row_38_what_another_version_could_not_do_this_one_tries() {
        let place = WitnessFixture(tempfile::tempdir().unwrap());
        let bad = place.folder("parse-r1-a1");
        let key = name(&bad).unwrap();
        std::fs::write(place.layout().suspects(), format!("everfold 0.0.0\n2 {key}\n")).unwrap();
        assert_eq!(place.next(true).ends_with(&bad), 1);
        std::fs::write(place.layout().suspects(), format!("{HEAD}\n2 {key}\nnonsense\n")).unwrap();
        assert_eq!(place.next(true).ends_with(&bad), 3);
    }
}
