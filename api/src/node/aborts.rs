//! Leaves a mark in a file when this process aborts, since an abort looks like a kill afterwards.
//!
//! Law: the handler of SIGABRT writes the mark with one `write`, and the signal then has its usual effect.
//! [`everfold_workflows::AbortWitness`] reads the mark.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use everfold_engine::regular;
use signal_hook::consts::SIGABRT;
use signal_hook::{SigId, flag, low_level};

/// The handler that gives the signal its usual effect while no mark is set: signal-hook keeps the signal handled once
/// it was, so without a handler the signal would have no effect.
static AS_EVER: Mutex<Option<SigId>> = Mutex::new(None);

/// Aborts leave the mark as long as this exists.
#[derive(Debug)]
pub(crate) struct AbortMark {
    mark: SigId,
    end: SigId,
}

impl AbortMark {
    /// Leaves the mark in this file.
    ///
    /// # Errors
    /// The file cannot be opened, or the signal cannot be handled.
    pub(crate) fn in_file(place: &Path) -> io::Result<Self> {
        let file = regular::open_with(regular::options().append(true).create(true).mode(0o600), place)?;
        let mut as_ever = AS_EVER.lock().unwrap_or_else(PoisonError::into_inner);
        // Handlers run in the order of registration: first the mark, then the end of the process.
        let mark = low_level::pipe::register(SIGABRT, file)?;
        let end = match end_the_process() {
            Ok(end) => end,
            Err(error) => {
                low_level::unregister(mark);
                return Err(error);
            }
        };
        if let Some(former) = as_ever.take() {
            low_level::unregister(former);
        }
        Ok(Self { mark, end })
    }
}

impl Drop for AbortMark {
    fn drop(&mut self) {
        let mut as_ever = AS_EVER.lock().unwrap_or_else(PoisonError::into_inner);
        if as_ever.is_none() {
            *as_ever = end_the_process().ok();
        }
        low_level::unregister(self.mark);
        low_level::unregister(self.end);
    }
}

fn end_the_process() -> io::Result<SigId> {
    flag::register_conditional_default(SIGABRT, Arc::new(AtomicBool::new(true)))
}
