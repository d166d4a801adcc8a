//! Work done by a process that outlives the engine.
//!
//! Law: starting and re-attaching are the same: look into the attempt's folder, wait for whoever
//! supervises, start a supervisor where nobody does, read its record. What is made of the record
//! (output, kept files, commit) is written down too, so that a report repeated after a crash is
//! the same report.
//!
//! Used by the executors `command` and `agent`, and by the prober `command`.

mod attach;
mod attempt;
mod descent;
mod files;
mod meter;
mod output;
mod report;
mod survivors;
mod told;
mod turns;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use attach::{Says, attach, cancel, is_held};
pub(crate) use attempt::{Answer, Begun, Check, Ended, Interpret, Meter, Plan, attempt, ended_now};
pub use descent::{Descent, descent};
pub(crate) use files::{Place, make_private, resolve, write_private};
#[cfg(test)]
pub(crate) use output::Stdout;
pub(crate) use output::{ANSWER, RESULT_BYTES_MAX, cost_micros, last_json};
pub use survivors::ProcessSurvivors;
pub use told::find_program;
pub(crate) use told::{INPUT, OUTPUT, ceiling, env_removed, millis, tell_data_folder};
pub(crate) use turns::{Former, Next, Turn, TurnKind};

use everfold_engine::driver::Blobs;
use everfold_engine::execution::AttemptRequest;

use crate::secret::SecretDesk;
use crate::settings::Settings;

/// The program that supervises, with its leading arguments; a folder follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimProgram {
    program: PathBuf,
}

impl ShimProgram {
    /// The running program itself; on Linux also after its file was replaced by a newer one.
    ///
    /// # Errors
    /// When the system does not tell where that is.
    pub fn current() -> std::io::Result<Self> {
        let itself = Path::new("/proc/self/exe");
        let program = if itself.exists() { itself.to_owned() } else { std::env::current_exe()? };
        Ok(Self { program })
    }

    /// Another program that understands `shim FOLDER`.
    #[must_use]
    pub fn at(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.program
    }
}

/// The request with paths that mean the same in the process's own working folder.
pub(crate) fn absolute(mut request: AttemptRequest) -> AttemptRequest {
    for path in [&mut request.folder, &mut request.workdir.path] {
        make_absolute(path);
    }
    request
}

/// A path that means the same in another working folder.
pub(crate) fn make_absolute(path: &mut PathBuf) {
    if let Ok(absolute) = std::path::absolute(&*path) {
        *path = absolute;
    }
}

/// What all executors of processes share.
#[derive(Clone)]
pub struct Processes {
    /// Supervises.
    pub shim: ShimProgram,
    /// Keeps declared files and prompts.
    pub blobs: Arc<dyn Blobs>,
    /// Limits, identity, profiles.
    pub settings: Arc<Settings>,
    /// Looks secrets up.
    pub(crate) secrets: SecretDesk,
}

impl Processes {
    /// What executors share that is of one owner of a data folder.
    #[must_use]
    pub fn new(shim: ShimProgram, blobs: Arc<dyn Blobs>, settings: Arc<Settings>) -> Self {
        Self { shim, blobs, settings, secrets: SecretDesk::default() }
    }
}
