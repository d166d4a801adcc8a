//! Attempts that do not go on because a signal stopped their process.
//!
//! Law: this is looked at and never recorded; what cannot be seen (another boot, a system without `/proc`) is not stopped.

use std::path::Path;

use crate::shim::os;
use crate::shim::protocol::{ProcessRef, ShimRecord};

/// What a signal stopped (`SIGSTOP`, `SIGTSTP`, a debugger).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspended {
    /// The supervisor, by its number: nothing reads the output, keeps the time limit or writes down the end.
    Supervisor(i32),
    /// The command, by its number; its time limit goes on.
    Command(i32),
}

/// Whether the supervisor of an attempt's folder, or its command, is stopped by a signal.
#[must_use]
pub fn suspended(folder: &Path) -> Option<Suspended> {
    let record = ShimRecord::read(folder)?;
    if record.boot_id.is_empty() || record.boot_id != os::boot_id() {
        return None;
    }
    if is_stopped(record.shim) {
        return Some(Suspended::Supervisor(record.shim.pid));
    }
    is_stopped(record.command).then_some(Suspended::Command(record.command.pid))
}

fn is_stopped(process: ProcessRef) -> bool {
    let is_it = |stat: &os::Stat| process.start_ticks != 0 && stat.start_ticks == process.start_ticks;
    os::stat(process.pid).filter(is_it).is_some_and(|stat| matches!(stat.state, b'T' | b't'))
}
