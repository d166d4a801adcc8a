//! The scratch project of `everfold demo`: a small real program with tests, and agents that are
//! shell scripts.
//!
//! Law: every execution of an agent leaves one line in a file outside the repository, so that what
//! ran is counted from the disk and not from the engine's own events.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use everfold_base::json::Value;
use serde_json::json;

use super::git::git;
use crate::builtin::write_files;

/// The task of the demo.
pub const TASK: &str = "Write every number from 1 to 3999 as a Roman numeral";
/// The step whose process outlives the engine in the demo; its first round takes four paces.
pub const LONG_STEP: &str = "develop";
/// What the agents execute in a run that is not retried: step and round.
pub const EXECUTIONS: [(&str, u32); 6] =
    [("analyse", 1), ("design", 1), ("develop", 1), ("review", 1), ("develop", 2), ("review", 2)];

const REPOSITORY: [(&str, &str); 4] = [
    ("README.md", include_str!("../../demo/repository/README.md")),
    ("roman.sh", include_str!("../../demo/repository/roman.sh")),
    ("test.sh", include_str!("../../demo/repository/test.sh")),
    ("cases.txt", include_str!("../../demo/repository/cases.txt")),
];
const AGENTS: [(&str, &str); 5] = [
    ("lib.sh", include_str!("../../demo/agents/lib.sh")),
    ("analyst.sh", include_str!("../../demo/agents/analyst.sh")),
    ("architect.sh", include_str!("../../demo/agents/architect.sh")),
    ("developer.sh", include_str!("../../demo/agents/developer.sh")),
    ("reviewer.sh", include_str!("../../demo/agents/reviewer.sh")),
];

/// A scratch project on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// The git repository, with one commit on `main`.
    pub repository: PathBuf,
    /// The folder of the agents' scripts.
    pub agents: PathBuf,
    /// One line per execution of an agent: `STEP ROUND ATTEMPT PID`.
    pub executions: PathBuf,
}

/// One execution of an agent, as it left its trace on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The step.
    pub step: String,
    /// The round.
    pub round: u32,
    /// The attempt.
    pub attempt: u32,
    /// The agent's process.
    pub pid: i32,
}

impl Scratch {
    /// Writes the project into a new or empty folder and makes its first commit.
    ///
    /// # Errors
    /// When a file cannot be written, or git is missing or fails.
    pub fn write(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let (repository, agents) = (folder.join("repository"), folder.join("agents"));
        write_files(&repository, REPOSITORY.into_iter())?;
        write_files(&agents, AGENTS.into_iter())?;
        for arguments in [
            &["init", "--quiet"][..],
            &["symbolic-ref", "HEAD", "refs/heads/main"],
            &["config", "user.name", "Demo"],
            &["config", "user.email", "demo@localhost"],
            &["config", "commit.gpgSign", "false"],
            // Hooks of the user's own are for their own commits.
            &["config", "core.hooksPath", "/dev/null"],
            &["add", "--all"],
            &["commit", "--quiet", "--no-verify", "-m", "A start: four numbers"],
        ] {
            git(&repository, arguments)?;
        }
        let executions = agents.join("executions.log");
        Ok(Self { repository, agents, executions })
    }

    /// Sets how long one piece of an agent's work takes; without it, a second.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_pace(&self, pace: Duration) -> io::Result<()> {
        std::fs::write(self.agents.join("pace"), pace.as_secs_f64().to_string())
    }

    /// Keeps the long step at work in its first round, half a minute at most, or lets it end.
    ///
    /// # Errors
    /// When the file that says so cannot be written or removed.
    pub fn hold(&self, hold: bool) -> io::Result<()> {
        let mark = self.agents.join("hold");
        if hold {
            return std::fs::write(mark, "");
        }
        match std::fs::remove_file(mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The input of the pipeline `delivery` for this project.
    #[must_use]
    pub fn input(&self) -> Value {
        json!({
            "repo": self.repository,
            "task": TASK,
            "profile": "script",
            "agents": self.agents,
        })
    }

    /// What the agents executed so far, in order.
    ///
    /// # Errors
    /// When the file cannot be read; that it is not there yet is none.
    pub fn executions(&self) -> io::Result<Vec<Execution>> {
        let text = match std::fs::read_to_string(&self.executions) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let execution = |line: &str| {
            let mut words = line.split(' ');
            Some(Execution {
                step: words.next()?.to_owned(),
                round: words.next()?.parse().ok()?,
                attempt: words.next()?.parse().ok()?,
                pid: words.next()?.parse().ok()?,
            })
        };
        Ok(text.lines().filter_map(execution).collect())
    }
}
