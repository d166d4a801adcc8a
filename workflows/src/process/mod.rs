//! Work done by a process that outlives the engine.
//!
//! Law: starting and re-attaching are the same: look into the attempt's folder, wait for its
//! supervisor, start one where none lives, read its record. What is made of the record
//! (output, kept files, commit) is written down too, so that a report repeated after a crash is
//! the same report.
//!
//! `attempt` is the course of one attempt: it makes the folder ready, calls `attach` (waits for the supervisor),
//! then `report` (reads what the process left), and begins the next of its `turns` where there is one.
//!
//! Used by the executors `command` and `agent`, and by the prober `command`.

mod absolute;
mod archive;
mod archived_damage;
mod attach;
mod attach_error;
mod attempt;
mod attempt_folder;
mod descent;
mod ended_folders;
pub(crate) mod environment;
mod meter;
mod orphan_processes;
mod outcome;
mod output;
pub(crate) mod plan;
mod process_input;
mod program;
mod progress_file;
mod report;
mod retention;
mod setup;
mod shim_program;
mod stored_end;
mod suspended;
mod turns;
mod unready;
mod usage;

pub(crate) use absolute::{absolute, make_absolute};
pub use archive::{LogFinder, StoredLog, archive_attempts};
pub use archived_damage::check_archives;
pub(crate) use attach::{attach, cancel};
pub(crate) use attach_error::Says;
pub(crate) use attempt::attempt;
pub(crate) use attempt_folder::is_held;
pub use descent::{Descent, descent};
pub use orphan_processes::ProcessSurvivors;
pub(crate) use outcome::is_killed;
pub(crate) use output::{ANSWER, last_json};
#[cfg(test)]
pub(crate) use plan::Stdout;
pub(crate) use plan::{
    Answer, AskAgain, Begun, EndedProcess, Former, Incomplete, Interpret, Meter, Next, OutputCheck, Plan,
    Turn, TurnKind,
};
pub(crate) use process_input::{ceiling, millis, tell_data_folder};
pub use program::find_program;
pub use retention::{remove_old_attempts, runs_with_attempts};
pub use setup::Processes;
pub use shim_program::ShimProgram;
pub use suspended::{Suspended, suspended};
pub use usage::cost_micros;
pub(crate) use usage::{sane, sane_dollars, sane_tokens};
