//! Where things lie in a data folder.

use std::path::{Path, PathBuf};

use crate::id::{AttemptId, EffectId, RunId};

const SETTINGS: &str = "everfold.toml";
const SOCKET: &str = "everfold.sock";
const OWNER: &str = "owner.json";
const ABORTS: &str = "aborts";
const SUSPECTS: &str = "suspects";
const BLOBS: &str = "blobs";
const PROJECTIONS: &str = "projections";
const TRACES: &str = "traces";
const ATTEMPTS: &str = "attempts";
const WORKTREES: &str = "worktrees";
const SCRATCH: &str = "scratch";
const CREDENTIALS: &str = "credentials";
const TELEGRAM: &str = "telegram";

/// The paths of one data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The names of all that the program keeps in a data folder beside its store.
    pub const NAMES: [&str; 13] = [
        SETTINGS,
        SOCKET,
        OWNER,
        ABORTS,
        SUSPECTS,
        BLOBS,
        PROJECTIONS,
        TRACES,
        ATTEMPTS,
        WORKTREES,
        SCRATCH,
        CREDENTIALS,
        TELEGRAM,
    ];

    /// The layout of the data folder at `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The layout of the data folder in which the folder of an attempt or a probe of this run lies.
    #[must_use]
    pub fn around(folder: &Path, run: RunId) -> Option<Self> {
        let run = run.to_string();
        let of_run =
            folder.ancestors().find(|folder| folder.file_name().is_some_and(|name| *name == *run))?;
        Some(Self::new(of_run.parent()?.parent()?))
    }

    /// The data folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Settings.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.root.join(SETTINGS)
    }

    /// The owner's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join(SOCKET)
    }

    /// The process that owns the folder, for readers; ownership itself does not depend on this file.
    #[must_use]
    pub fn owner(&self) -> PathBuf {
        self.root.join(OWNER)
    }

    /// One byte for each abort of an engine that no later engine has counted yet.
    #[must_use]
    pub fn aborts(&self) -> PathBuf {
        self.root.join(ABORTS)
    }

    /// The work that was in progress when engines aborted; may be removed.
    #[must_use]
    pub fn suspects(&self) -> PathBuf {
        self.root.join(SUSPECTS)
    }

    /// The blobs of all runs.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.root.join(BLOBS)
    }

    /// The read models of all runs; may be removed while no process owns the folder.
    #[must_use]
    pub fn projections(&self) -> PathBuf {
        self.root.join(PROJECTIONS)
    }

    /// Which requests started runs, where traces are sent; may be removed.
    #[must_use]
    pub fn traces(&self) -> PathBuf {
        self.root.join(TRACES)
    }

    /// The attempt folders of all runs.
    #[must_use]
    pub fn all_attempts(&self) -> PathBuf {
        self.root.join(ATTEMPTS)
    }

    /// The attempt folders of a run.
    #[must_use]
    pub fn attempts(&self, run: RunId) -> PathBuf {
        self.all_attempts().join(run.to_string())
    }

    /// The file that holds the attempt folders of a run that has ended a while ago: `attempts/RUN.zip`.
    #[must_use]
    pub fn archived_attempts(&self, run: RunId) -> PathBuf {
        self.all_attempts().join(format!("{run}.zip"))
    }

    /// The folder of one attempt: `attempts/RUN/STEP[.ITEM]-rROUND-aATTEMPT`.
    #[must_use]
    pub fn attempt(&self, id: &EffectId) -> PathBuf {
        let AttemptId { path, round, attempt } = &id.attempt;
        self.attempts(id.run).join(format!("{path}-r{round}-a{attempt}"))
    }

    /// The folder of one probe: `attempts/RUN/STEP[.ITEM]-rROUND-aATTEMPT-GATE-pNUMBER`.
    #[must_use]
    pub fn probe(&self, id: &EffectId, gate: &str, probe_no: u32) -> PathBuf {
        let AttemptId { path, round, attempt } = &id.attempt;
        self.attempts(id.run).join(format!("{path}-r{round}-a{attempt}-{gate}-p{probe_no}"))
    }

    /// The worktrees of all runs.
    #[must_use]
    pub fn worktrees(&self) -> PathBuf {
        self.root.join(WORKTREES)
    }

    /// Where the copies of a run's worktree lie that attempts are given.
    #[must_use]
    pub fn copies(&self, run: RunId) -> PathBuf {
        self.worktrees().join(format!("{run}.own"))
    }

    /// The copy of a run's worktree for one attempt: `worktrees/RUN.own/RUN-STEP[.ITEM]-rROUND-aATTEMPT`. Git
    /// names its record after the folder, for all worktrees of a repository: the run's id keeps the names of
    /// two runs from meeting there.
    #[must_use]
    pub fn copy(&self, id: &EffectId) -> PathBuf {
        let AttemptId { path, round, attempt } = &id.attempt;
        let name = format!("{path}-r{round}-a{attempt}");
        let copies = self.copies(id.run);
        // An older version, whose attempt may still be at work, named it without the run.
        let former = copies.join(&name);
        if former.is_dir() { former } else { copies.join(format!("{}-{name}", id.run)) }
    }

    /// What requests brought for runs that have not ended, sealed; a copy of the data folder has no use for it.
    #[must_use]
    pub fn credentials(&self) -> PathBuf {
        self.root.join(CREDENTIALS)
    }

    /// Which messages of a chat the functions `telegram.*` sent.
    #[must_use]
    pub fn sent_messages(&self) -> PathBuf {
        self.root.join(TELEGRAM)
    }

    /// The folder in which steps of a run work that have no workspace.
    #[must_use]
    pub fn scratch(&self, run: RunId) -> PathBuf {
        self.root.join(SCRATCH).join(run.to_string())
    }

    /// Whether a path is that of such a folder, in whatever data folder.
    #[must_use]
    pub fn is_scratch(path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        path.parent().is_some_and(|around| around.ends_with(SCRATCH))
            && name.is_some_and(|name| name.parse::<RunId>().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_begins_with_a_name_of_the_list() {
        let run: RunId = "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap();
        let layout = Layout::new("/srv/data");
        let paths = [
            layout.settings(),
            layout.socket(),
            layout.owner(),
            layout.aborts(),
            layout.suspects(),
            layout.blobs(),
            layout.projections(),
            layout.traces(),
            layout.attempts(run),
            layout.copies(run),
            layout.scratch(run),
            layout.credentials(),
            layout.sent_messages(),
        ];
        let first = |path: &PathBuf| {
            let below = path.strip_prefix(layout.root()).ok()?;
            Some(below.components().next()?.as_os_str().to_str()?.to_owned())
        };
        let names: Vec<String> = paths.iter().filter_map(first).collect();
        assert_eq!(names, Layout::NAMES);
    }

    #[test]
    fn the_data_folder_is_known_by_the_folder_of_an_attempt_or_a_probe() {
        let run: RunId = "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap();
        let id = EffectId { run, attempt: "build.3/2/1".parse().unwrap() };
        let layout = Layout::new("/srv/attempts/data");
        assert_eq!(Layout::around(&layout.attempt(&id), run), Some(layout.clone()));
        assert_eq!(Layout::around(&layout.probe(&id, "g", 4), run), Some(layout.clone()));
        assert_eq!(Layout::around(&layout.attempt(&id).join("turn-2"), run), Some(layout));
        assert_eq!(Layout::around(Path::new("/tmp/elsewhere"), run), None);
    }
}
