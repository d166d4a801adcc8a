//! Leaves a mark when this process ends by itself: an abort cannot be told from a kill afterwards.
//!
//! Law: the mark is written by the signal's handler with one `write`, and the signal then does what it always
//! does. Its reader is [`everfold_workflows::AbortWitness`].

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::SIGABRT;
use signal_hook::{SigId, flag, low_level};

/// What the signal does where no mark is to be left: without it a handler that is gone would swallow it.
static AS_EVER: Mutex<Option<SigId>> = Mutex::new(None);

/// The mark is left as long as this is held.
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
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(place)?;
        let mut as_ever = AS_EVER.lock().unwrap_or_else(PoisonError::into_inner);
        // In the order in which they are registered: first the mark, then the end.
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
