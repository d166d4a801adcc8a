//! From the thread that reads the log to the one that folds it.
//!
//! Law: facts come in order, and only so many wait.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::watch;

use crate::source::Facts;

/// Reads of the log that wait to be folded.
const AHEAD: usize = 4;

/// The end of who reads the log.
pub(super) struct Giver {
    facts: SyncSender<Facts>,
    used: Receiver<Facts>,
    /// Changes no more when nobody folds.
    folding: watch::Receiver<()>,
}

/// The end of who folds.
pub(super) struct Taker {
    facts: Receiver<Facts>,
    used: SyncSender<Facts>,
    _folding: watch::Sender<()>,
}

/// Nobody folds any more.
pub(super) struct Gone;

/// Both ends.
pub(super) fn handover() -> (Giver, Taker) {
    let (facts, taken) = sync_channel(AHEAD);
    let (folded, used) = sync_channel(AHEAD + 1);
    let (alive, folding) = watch::channel(());
    (Giver { facts, used, folding }, Taker { facts: taken, used: folded, _folding: alive })
}

impl Giver {
    /// Facts that were folded, to be read into: they were allocated here, and who folds has more to do than letting
    /// go of them.
    pub(super) fn used(&self) -> Facts {
        self.used.try_iter().last().unwrap_or_default()
    }

    /// Hands over what comes next; waits where enough waits already.
    pub(super) fn give(&self, facts: Facts) -> Result<(), Gone> {
        self.facts.send(facts).map_err(|_| Gone)
    }

    /// Resolves when nobody folds any more.
    pub(super) async fn gone(&self) {
        let mut folding = self.folding.clone();
        while folding.changed().await.is_ok() {}
    }
}

impl Taker {
    /// What comes next.
    pub(super) fn take(&self, patience: Duration) -> Result<Facts, RecvTimeoutError> {
        self.facts.recv_timeout(patience)
    }

    /// Gives back what was folded. Where the reader is slow to take it, it is let go of here.
    pub(super) fn give_back(&self, facts: Facts) {
        let _full = self.used.try_send(facts);
    }
}
