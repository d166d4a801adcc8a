//! The channel from the thread that reads the log to the one that folds it.
//!
//! Law: batches arrive in order, and a bounded number of them waits.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::watch;

use crate::log_reader::FactBatch;

/// Batches that wait to be folded.
const AHEAD: usize = 4;

/// The end of the thread that reads the log.
pub(super) struct FactSender {
    facts: SyncSender<FactBatch>,
    used: Receiver<FactBatch>,
    /// Closed when the folding thread ends.
    folding: watch::Receiver<()>,
}

/// The end of the thread that folds.
pub(super) struct FactReceiver {
    facts: Receiver<FactBatch>,
    used: SyncSender<FactBatch>,
    _folding: watch::Sender<()>,
}

/// The folding thread has ended.
pub(super) struct Disconnected;

/// Both ends.
pub(super) fn channel() -> (FactSender, FactReceiver) {
    let (facts, taken) = sync_channel(AHEAD);
    let (folded, used) = sync_channel(AHEAD + 1);
    let (alive, folding) = watch::channel(());
    (FactSender { facts, used, folding }, FactReceiver { facts: taken, used: folded, _folding: alive })
}

impl FactSender {
    /// A batch that was folded, to be filled again: it was allocated here, and the folding thread does not spend time
    /// on freeing it.
    pub(super) fn used(&self) -> FactBatch {
        self.used.try_iter().last().unwrap_or_default()
    }

    /// Sends the next batch; waits while the channel is full.
    pub(super) fn give(&self, facts: FactBatch) -> Result<(), Disconnected> {
        self.facts.send(facts).map_err(|_| Disconnected)
    }

    /// Resolves when the folding thread has ended.
    pub(super) async fn gone(&self) {
        let mut folding = self.folding.clone();
        while folding.changed().await.is_ok() {}
    }
}

impl FactReceiver {
    /// Receives the next batch.
    pub(super) fn take(&self, patience: Duration) -> Result<FactBatch, RecvTimeoutError> {
        self.facts.recv_timeout(patience)
    }

    /// Returns a folded batch to the sender; drops it where the sender has enough.
    pub(super) fn give_back(&self, facts: FactBatch) {
        let _full = self.used.try_send(facts);
    }
}
