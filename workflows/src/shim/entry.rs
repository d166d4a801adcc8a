//! The entry point of the supervisor: `everfold shim FOLDER`.

use std::path::Path;
use std::process::ExitCode;

use super::folder::{Claim, Folder, ShimError, before, complain};
use super::handover::{Handover, remove_left};
use super::protocol::{self, CommandOutcome, CommandRequest, INPUT};
use super::{leftovers, os, supervise};

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

fn run(path: &Path) -> Result<(), ShimError> {
    os::detach();
    os::outlive_signals().map_err(|source| ShimError::Io { what: "set up its signals", source })?;
    let folder = Folder::lock(path)?;
    if folder.has_ended()? || folder.finish_end()? {
        return Ok(());
    }
    let request = folder.request()?;
    let begins = !folder.is_cancelled() && !folder.has_started()?;
    // Before the claim: a command that has begun cannot be given them later.
    let handover = if request.secrets && begins { Handover::read()? } else { Handover::default() };
    match folder.claim()? {
        Claim::Cancelled => folder.end(&CommandOutcome::Cancelled.record()),
        Claim::StartedBefore => {
            let killed = leftovers::kill(path);
            if request.secrets {
                // Nothing of it is read any more, and this supervisor has no secrets to mask it with.
                let _gone = std::fs::remove_file(folder.path(INPUT));
                let left = remove_left(folder.root());
                // Without a record of the end the engine calls a supervisor once more.
                for path in left.map_err(before("remove what the work left in the folder"))? {
                    complain(folder.name(), &format_args!("{} could not be removed", path.display()));
                }
            }
            // What the work wrote for itself has not been masked: its supervisor does that at the end. Of work that is
            // lost no declared file is kept.
            let mask = handover.mask(request.redact.as_ref());
            let request = CommandRequest { declared: Vec::new(), ..request };
            let _unmasked = supervise::mask_what_is_left(&folder, path, &request, &mask, None);
            let reason = match killed {
                0 => "its supervisor ended without a record".to_owned(),
                n => format!("its supervisor ended without a record; {n} processes it left were killed"),
            };
            folder.end(&CommandOutcome::Lost { reason }.record())
        }
        Claim::Ours => {
            let record = supervise::supervise(&folder, &request, &handover);
            folder.end(&record)
        }
    }
}
