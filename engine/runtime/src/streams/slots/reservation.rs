//! Slots that are reserved for a run that is about to start.

use crate::error::SubmitError;
use crate::runtime::Runtime;
use crate::streams::slots::mailbox::{SlotCheck, SlotRequest};
use everfold_base::id::RunId;
use everfold_core::event::WantedSlot;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a start has reserved; given back when it is dropped. A run that has begun wants it by then.
pub(crate) struct SlotReservation {
    shared: Arc<Runtime>,
    run: RunId,
}

impl SlotReservation {
    pub(crate) fn new(shared: Arc<Runtime>, run: RunId) -> Self {
        Self { shared, run }
    }

    /// Asks for slots, and reserves the free ones.
    ///
    /// # Errors
    /// [`SubmitError::Store`]: a key cannot be read; [`SubmitError::ShuttingDown`]: the slot allocator is gone.
    pub(crate) async fn check(
        &self,
        slots: Vec<WantedSlot>,
        ancestors: Vec<RunId>,
    ) -> Result<SlotCheck, SubmitError> {
        let (answer, found) = oneshot::channel();
        self.shared.mailboxes.slots.put(SlotRequest::Check { run: self.run, slots, ancestors, answer });
        found.await.map_err(|_| SubmitError::ShuttingDown)?.map_err(SubmitError::Store)
    }
}

impl Drop for SlotReservation {
    fn drop(&mut self) {
        self.shared.mailboxes.slots.put(SlotRequest::PutBack(self.run));
    }
}
