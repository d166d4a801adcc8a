//! `everfold serve` of the demo: another process of this program, as a service manager starts it.
//!
//! Law: it ends with the demo, however that goes: the demo holds the other end of its standard input.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use everfold_engine::data_folder::Layout;
use tokio::process::{Child, Command};

use super::super::fault::stopped;
use crate::fault::{Code, Fault};
use crate::node::read_record;

/// Last lines of its log in a report.
const LAST_LINES: usize = 12;

/// A server that runs.
pub(super) struct DemoService {
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl DemoService {
    /// Starts it; what it says goes into a file.
    pub(super) fn start(
        program: &Path,
        folder: &Path,
        environment: &[(&str, String)],
    ) -> Result<Self, Fault> {
        let failed = stopped("the server could not be started");
        let log = folder.join("serve.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).map_err(&failed)?;
        let other = file.try_clone().map_err(&failed)?;
        let child = Command::new(program)
            .arg("--dir")
            .arg(folder.join("data"))
            .args(["serve", "--listen", "127.0.0.1:0", "--until-input-ends"])
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(other)
            .kill_on_drop(true)
            .spawn()
            .map_err(&failed)?;
        let pid = child.id().ok_or_else(|| Fault::new(Code::DemoStopped, "the server ended at once"))?;
        Ok(Self { child, pid, log })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it serves; `None` while it does not yet.
    pub(super) fn url(&self, layout: &Layout) -> Option<String> {
        let record = read_record(&layout.owner())?;
        if record.pid == self.pid { record.url } else { None }
    }

    /// Fails where it has ended.
    pub(super) fn must_live(&mut self) -> Result<(), Fault> {
        match self.child.try_wait().map_err(stopped("the server cannot be looked at"))? {
            None => Ok(()),
            Some(status) => {
                let fault = Fault::new(Code::DemoStopped, format!("the server ended by itself ({status})"));
                Err(fault.hint(self.last_words()))
            }
        }
    }

    /// What it said last.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        format!("its last words, in {}, were\n    {}", self.log.display(), last.join("\n    "))
    }

    /// Kills it as `kill -9` does.
    pub(super) async fn kill(mut self) -> Result<(), Fault> {
        self.child.kill().await.map_err(stopped("the server could not be killed"))
    }
}
