//! What an executor says of a process: what to run, and how its output is read.
//!
//! Law: values and function types only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_language::definition::OnLost;
use everfold_ports::Usage;
use serde::{Deserialize, Serialize};

/// What to run for an attempt, and how its output is read.
pub(crate) struct Plan {
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) stdin: Option<PathBuf>,
    /// Written into the folder before the start.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Kept as blobs of the run, under names that `outputs` cannot take.
    pub(crate) kept: Vec<(String, String)>,
    pub(crate) stdout_max_bytes: u64,
    pub(crate) stdout_tail_max_bytes: u64,
    pub(crate) progress: Progress,
    pub(crate) interpret: Interpret,
    /// Counts usage from the output while the process runs.
    pub(crate) meter: Option<fn() -> Box<dyn Meter>>,
    /// The model of usage that names none.
    pub(crate) model: Option<String>,
    /// Decides whether the program is called once more after it ended.
    pub(crate) next: Option<Next>,
    /// Written to the log before it begins.
    pub(crate) remark: Option<String>,
    /// What follows its loss where its step does not say.
    pub(crate) on_lost: OnLost,
    /// What to do when the program is not there.
    pub(crate) missing_hint: String,
}

/// Reads the output of a process that ended; also of one that failed, for its usage.
pub(crate) type Interpret = Arc<dyn Fn(&EndedProcess<'_>) -> Answer + Send + Sync>;

/// A process that ended by itself.
pub(crate) struct EndedProcess<'a> {
    pub(crate) exit_code: i32,
    pub(crate) stdout: &'a Stdout,
    /// The last lines of the log; empty where it ended well and has no further turn.
    pub(crate) said: &'a str,
    /// What the result file holds, without the reserved key.
    pub(crate) result: Option<&'a Value>,
}

/// What a process's output means.
pub(crate) struct Answer {
    /// The output, unless the step declares another one; a failure fails the attempt.
    pub(crate) output: Result<Value, Failure>,
    pub(crate) usage: Vec<Usage>,
    /// What the step's `outputs.json` and `outputs.match` read in place of standard output, where that
    /// is a protocol around it.
    pub(crate) text: Option<String>,
    /// What the step declares has to fit this, too.
    pub(crate) check: Option<OutputCheck>,
    /// An output that is not what the step declares is null, and fails nothing.
    pub(crate) keeps: bool,
    /// The program did not finish, and what there is will do, whatever its exit code.
    pub(crate) incomplete: Option<Incomplete>,
    /// What it called upon asks to be left alone.
    pub(crate) again: Option<AskAgain>,
    /// What readers are told of it where nothing else is said.
    pub(crate) remark: Option<String>,
}

impl Answer {
    /// An answer with nothing but its output.
    pub(crate) fn plain(output: Value) -> Self {
        Self {
            output: Ok(output),
            usage: Vec::new(),
            text: None,
            check: None,
            keeps: false,
            incomplete: None,
            again: None,
            remark: None,
        }
    }
}

/// Why an answer that counts is not complete.
pub(crate) struct Incomplete {
    /// In UPPER_CASE.
    pub(crate) code: String,
    /// For readers.
    pub(crate) note: String,
}

/// When a service may be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskAgain {
    /// After so long.
    After(Duration),
    /// From a moment on.
    From(Timestamp),
}

impl AskAgain {
    /// How long the service wants to be left alone, as of a moment.
    pub(crate) fn pause(self, now: Timestamp) -> Option<Duration> {
        let pause = match self {
            Self::After(span) => span,
            Self::From(at) => Duration::from_millis(u64::try_from(at.0.saturating_sub(now.0)).ok()?),
        };
        Some(pause).filter(|pause| !pause.is_zero())
    }
}

/// Counts what a process uses up, by its standard output while it works.
pub(crate) trait Meter: Send {
    /// Takes a line; whether it held usage.
    fn line(&mut self, line: &str) -> bool;

    /// All of it so far, by model.
    fn used(&self) -> Vec<Usage>;
}

/// Says what is wrong with an output, which the text names.
pub(crate) type OutputCheck = Arc<dyn Fn(&str, &Value) -> Result<(), Failure> + Send + Sync>;

/// What is known of an attempt that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It may not have begun.
    Perhaps,
    /// A former engine saw it begin.
    Surely,
}

/// Standard output as the supervisor kept it.
pub(crate) struct Stdout {
    /// Its beginning.
    pub(crate) text: String,
    /// Its end, where the beginning is not all of it.
    pub(crate) tail: Option<String>,
}

/// Turns a line of output into a line to show; `None` shows nothing.
pub(crate) type Progress = fn(&str) -> Option<String>;

/// How the program is called once more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// Why.
    pub(crate) kind: TurnKind,
    /// Written to the log.
    pub(crate) remark: String,
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) stdin: Option<PathBuf>,
    /// Written into the folder before.
    pub(crate) files: Vec<(String, String)>,
}

/// Why a program is called once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TurnKind {
    /// The session that it was to continue is not there.
    Session,
    /// Its answer could not be used.
    Repair,
}

/// A turn that just ended.
pub(crate) struct Former<'a> {
    pub(crate) ended: EndedProcess<'a>,
    /// What is wrong with its result file.
    pub(crate) broken: Option<&'a Failure>,
    /// What the step declares as its output, as it was read; `None` where it declares none.
    pub(crate) declared: Option<Result<Value, Failure>>,
    /// Why there were turns after the first.
    pub(crate) kinds: &'a [TurnKind],
}

/// Decides whether the program is called once more.
pub(crate) type Next = Arc<dyn Fn(&Former<'_>) -> Option<Turn> + Send + Sync>;
