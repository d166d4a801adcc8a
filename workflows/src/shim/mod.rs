//! The supervisor of one process: a tiny mode of the same binary, `everfold shim FOLDER`.
//!
//! Law: the attempt folder is the rendezvous. However often a supervisor is started on a folder,
//! its command runs at most once; whoever lives holds the lock; the last thing written is
//! `exit.json`, complete or not at all. No engine need be there for any of it.
//!
//! The command line calls [`shim_main`] before anything else; [`crate::process`] writes the request
//! and reads what is left behind. `docs/reference/processes.md` describes the files.

pub mod log;
pub mod protocol;

mod capture;
mod children;
mod folder;
mod handover;
pub(crate) mod os;
mod supervise;
pub(crate) mod survivors;

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use folder::{Claim, Folder, ShimError};
pub(crate) use handover::{Handover, copy_of};
use protocol::Outcome;

use crate::process::{INPUT, OUTPUT};

/// Supervises the command that `request.json` in `folder` asks for, until nothing of it is left.
///
/// Exits with 0 when `exit.json` stands in the folder, with 75 when another supervisor holds it, and,
/// a line on stderr, when it could not even begin: with 73 for want of room, handles or memory, else with 70.
/// It has started nothing then.
#[must_use]
pub fn shim_main(folder: &Path) -> ExitCode {
    let (error, code) = match run(folder) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(ShimError::Held) => return ExitCode::from(protocol::EXIT_HELD),
        Err(error @ ShimError::NoRoom { .. }) => (error, protocol::EXIT_NO_ROOM),
        Err(error) => (error, protocol::EXIT_UNABLE),
    };
    complain(folder, &error);
    ExitCode::from(code)
}

/// Says something on standard error, which is a file in the folder. Where that cannot be written it is left out: what
/// keeps a command's record may not end for want of a place for its complaint.
fn complain(folder: &Path, what: &dyn Display) {
    let _unwritten = writeln!(std::io::stderr(), "{}: {what}", folder.display());
}

fn run(path: &Path) -> Result<(), ShimError> {
    os::detach();
    os::outlive_signals().map_err(|source| ShimError::Io { what: "set up its signals", source })?;
    let folder = Folder::lock(path)?;
    if folder.has_ended()? {
        return Ok(());
    }
    let request = folder.request()?;
    let begins = !folder.is_cancelled() && !folder.has_started()?;
    // Before the claim: a command that has begun cannot be given them later.
    let handover = if request.secrets && begins { Handover::read()? } else { Handover::default() };
    match folder.claim()? {
        Claim::Cancelled => folder.end(&Outcome::Cancelled.record()),
        Claim::StartedBefore => {
            let killed = survivors::kill(path);
            if request.secrets {
                // Nothing of it is read any more, and nobody is here who could mask it.
                for name in [INPUT, OUTPUT] {
                    let _gone = std::fs::remove_file(folder.path(name));
                }
            }
            let reason = match killed {
                0 => "its supervisor ended without a record".to_owned(),
                n => format!("its supervisor ended without a record; {n} processes it left were killed"),
            };
            folder.end(&Outcome::Lost { reason }.record())
        }
        Claim::Ours => {
            let record = supervise::supervise(&folder, &request, &handover);
            folder.end(&record)
        }
    }
}
