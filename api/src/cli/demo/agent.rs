//! The agent's process, as the kernel knows it, and what it writes.

use std::path::Path;

use everfold_engine::data_folder::Layout;
use everfold_engine::id::{Attempt, AttemptId, EffectId, Round, RunId, StepPath};
use everfold_engine::time::Timestamp;
use everfold_workflows::demo::{Execution, LONG_STEP};
use everfold_workflows::shim::log::{LogReader, LogSource};
use everfold_workflows::shim::protocol;
use rustix::process::{Pid, test_kill_process};

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// When it began, in the kernel's ticks; `None` where the system does not say.
    began: Option<u64>,
}

impl Process {
    /// The process of this number, if there is one that lives.
    pub(super) fn of(pid: i32) -> Option<Self> {
        test_kill_process(Pid::from_raw(pid)?).ok()?;
        if !Path::new("/proc/self/stat").exists() {
            return Some(Self { pid, began: None });
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold spaces and brackets; the fields begin behind its last one.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let is_dead = matches!(*fields.first()?, "Z" | "X");
        (!is_dead).then_some(Self { pid, began: fields.get(19)?.parse().ok() })
    }

    /// Whether this very process still lives.
    pub(super) fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// The first execution of the long step.
pub(super) fn at_work(executions: &[Execution]) -> Option<&Execution> {
    executions.iter().find(|execution| execution.step == LONG_STEP && execution.round == 1)
}

/// What the agent of the long step wrote in a round since a moment, read from the log on disk.
pub(super) fn written(
    layout: &Layout,
    run: RunId,
    round: u32,
    since: Timestamp,
) -> std::io::Result<Vec<String>> {
    let Ok(path) = LONG_STEP.parse::<StepPath>() else { return Ok(Vec::new()) };
    let id = EffectId { run, attempt: AttemptId { path, round: Round(round), attempt: Attempt(1) } };
    let log = layout.attempt(&id).join(protocol::LOG);
    let lines = LogReader::from_start(&log).read()?;
    let own = lines.into_iter().filter(|line| line.source != LogSource::Supervisor && line.at > since.0);
    Ok(own.map(|line| line.text).collect())
}
