//! Ctrl-C: once leaves a run resumable, twice cancels it. A request to end from elsewhere (SIGTERM)
//! leaves it resumable.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::fault::{Code, Fault};

/// The signals that end a command that waits.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

/// Which of them came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// Ctrl-C.
    ByPerson,
    /// SIGTERM.
    BySystem,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Self, Fault> {
        let failed = |error| Fault::new(Code::Internal, format!("signals cannot be received: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Resolves with the next signal.
    pub(crate) async fn next(&mut self) -> Interrupted {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupted::ByPerson,
            _ = self.terminate.recv() => Interrupted::BySystem,
        }
    }
}
