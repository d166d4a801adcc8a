//! The files of an attempt folder, as they are on disk.
//!
//! Law: every file that a process leaves for a later engine carries [`PROTOCOL`]. A newer engine
//! reads all released numbers; an older one refuses a newer number instead of guessing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use everfold_ports::LogSeal;
use everfold_system::regular;
use serde::{Deserialize, Serialize};

use crate::redact::RedactSettings;

/// The number that these files carry.
pub const PROTOCOL: u32 = 1;
/// The number of a request whose secrets come on the supervisor's standard input: a supervisor that
/// does not know it refuses, where it would start the command without them.
pub const PROTOCOL_SECRETS: u32 = 2;

/// The supervisor's exit code when another one holds the folder.
pub const EXIT_HELD: u8 = 75;
/// The supervisor's exit code when there was no room on the disk, no handle or no memory for it to begin.
pub const EXIT_NO_ROOM: u8 = 73;
/// The supervisor's exit code when it could not begin.
pub const EXIT_UNABLE: u8 = 70;

/// What to run; written by the engine.
pub const REQUEST: &str = "request.json";
/// Held by `flock` as long as a supervisor lives; holds its [`ShimRecord`].
pub const LOCK: &str = "lock";
/// Made, exclusively, before the command may run: it never runs again after that.
pub const STARTED: &str = "started";
/// Where supervisors of former versions left their [`ShimRecord`].
pub const FORMER_SHIM: &str = "shim.json";
/// How it ended.
pub const EXIT: &str = "exit.json";
/// The room for [`EXIT`] on a disk that fills up; where it holds a whole record, it is that, and a crash came before its name.
pub const EXIT_RESERVE: &str = "exit.json.new";
/// Made by the process that cancels the attempt.
pub const CANCEL: &str = "cancel";
/// A FIFO that wakes the supervisor to look for [`CANCEL`].
pub const WAKE: &str = "wake";
/// The log, with times ([`super::log`]).
pub const LOG: &str = "log";
/// In which line a log differs from the one that was sealed can be said with it.
pub const LOG_INDEX: &str = "log.index";
/// Standard output as it came, up to a limit.
pub const STDOUT: &str = "stdout";
/// The end of a standard output that went over the limit.
pub const STDOUT_TAIL: &str = "stdout.tail";
/// What former turns left, in a folder for each.
pub const TURNS: &str = "turns";
/// The input of an attempt.
pub(crate) const INPUT: &str = "input.json";
/// Where the process may leave its output.
pub(crate) const OUTPUT: &str = "output.json";
/// Where the process may say how far it is.
pub(crate) const PROGRESS: &str = "progress.json";
/// What the supervisor itself complains about.
pub const SHIM_ERRORS: &str = "shim.err";

/// The variable that marks every process of an attempt; its value is the attempt's folder.
pub const MARK_VARIABLE: &str = "EVERFOLD_SHIM";

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRequest {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Added to the environment that the supervisor has.
    pub env: BTreeMap<String, String>,
    /// Taken from it before, by name; a trailing `*` stands for any ending.
    pub env_remove: Vec<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// What it reads on standard input; nothing without.
    pub stdin: Option<PathBuf>,
    /// Its time limit.
    pub timeout_ms: Option<u64>,
    /// From SIGTERM to SIGKILL.
    pub grace_ms: u64,
    /// The limit of [`LOG`].
    pub log_max_bytes: u64,
    /// The limit of [`STDOUT`].
    pub stdout_max_bytes: u64,
    /// The limit of [`STDOUT_TAIL`].
    pub stdout_tail_max_bytes: u64,
    /// Secrets come on the supervisor's standard input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secrets: bool,
    /// Files of the working folder of which a masked copy is made where they hold a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared: Vec<String>,
    /// What is masked by its form in all that it says; older engines wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redact: Option<RedactSettings>,
    /// How many files the command may have open, where the engine's own limit is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handles: Option<u64>,
}

/// A process that a pid alone does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRef {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`); 0 where unknown.
    pub start_ticks: u64,
}

/// A folder that its path alone does not name: one that was moved is the same, a copy is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRef {
    /// Its device, in the boot of the record.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
}

impl FolderRef {
    /// The folder that is open; `None` where the system does not say.
    pub(crate) fn of(folder: &std::fs::File) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        folder.metadata().ok().map(|about| Self { device: about.dev(), inode: about.ino() })
    }
}

/// Which process supervises which command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimRecord {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The boot in which the numbers mean something.
    pub boot_id: String,
    /// The folder that it holds; records of former versions name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderRef>,
    /// The supervisor, leader of its session.
    pub shim: ProcessRef,
    /// The command, leader of its process group.
    pub command: ProcessRef,
    /// When the command started, in milliseconds since 1970.
    pub started_at: i64,
}

impl ShimRecord {
    /// What the supervisor of a folder says of itself; `None` where it said nothing yet, or that cannot be read.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        let of = |name: &str| serde_json::from_slice(&regular::read(&folder.join(name)).ok()?).ok();
        of(LOCK).or_else(|| of(FORMER_SHIM))
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// What came of the command.
    #[serde(flatten)]
    pub outcome: CommandOutcome,
    /// When it started, in milliseconds since 1970; 0 where it never did.
    pub started_at: i64,
    /// When it ended, in milliseconds since 1970.
    pub ended_at: i64,
    /// How much it wrote to standard output.
    pub stdout_bytes: u64,
    /// Whether [`STDOUT`] lacks some of it.
    pub stdout_truncated: bool,
    /// How long [`STDOUT`] was when all was written and masked, 0 where there is none; older supervisors wrote nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout_kept_bytes: Option<u64>,
    /// How much output is missing in [`LOG`].
    pub log_lost_bytes: u64,
    /// Processes that could not be killed in time.
    pub left_over: u32,
    /// Declared files that may hold a secret and could not be masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmasked: Vec<String>,
    /// Files of the attempt's folder that were too large to be masked, and were removed: the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// [`LOG`] as it was when it was closed; older supervisors wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSeal>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CommandOutcome {
    /// It ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal that Everfold did not send ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// Its time limit passed.
    TimedOut,
    /// It was asked to end, or never began because of that.
    Cancelled,
    /// It could not be started.
    NotStarted {
        /// Whether the program does not exist.
        missing: bool,
        /// The reason.
        reason: String,
    },
    /// A former supervisor ended without a record.
    Lost {
        /// How that is known.
        reason: String,
    },
}

impl CommandOutcome {
    /// The record of an end with no more to say.
    #[must_use]
    pub fn record(self) -> ExitRecord {
        ExitRecord {
            protocol: PROTOCOL,
            outcome: self,
            started_at: 0,
            ended_at: super::wall_clock::now_ms(),
            stdout_bytes: 0,
            stdout_truncated: false,
            stdout_kept_bytes: None,
            log_lost_bytes: 0,
            left_over: 0,
            unmasked: Vec::new(),
            removed: Vec::new(),
            log: None,
        }
    }
}
