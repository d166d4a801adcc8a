//! Slots that are reserved for a run that is about to start.

use crate::error::SubmitError;
use crate::runtime::Runtime;
use crate::streams::mailbox::MailboxClosed;
use crate::streams::slots::mailbox::{SlotCheck, SlotRequest, StartingRun};
use everfold_base::id::RunId;
use everfold_core::event::WantedSlot;
use std::sync::Arc;

/// What a start has reserved; dropping it gives the slots back. A run that has begun wants them by then.
pub(crate) struct SlotReservation {
    shared: Arc<Runtime>,
    run: RunId,
    origin: Option<RunId>,
}

impl SlotReservation {
    pub(crate) fn new(shared: Arc<Runtime>, run: RunId) -> Self {
        Self { shared, run, origin: None }
    }

    /// Of a run that takes the place of another one.
    pub(crate) fn instead_of(shared: Arc<Runtime>, run: RunId, origin: RunId) -> Self {
        Self { shared, run, origin: Some(origin) }
    }

    /// Asks for slots, and reserves the free ones.
    ///
    /// # Errors
    /// [`SubmitError::Store`]: a key cannot be read; [`SubmitError::ShuttingDown`]: the slot allocator is gone.
    pub(crate) async fn check(
        &self,
        pipeline: &str,
        slots: Vec<WantedSlot>,
        ancestors: Vec<RunId>,
    ) -> Result<SlotCheck, SubmitError> {
        let pipeline = pipeline.to_owned();
        let start = StartingRun { run: self.run, slots, pipeline, ancestors, origin: self.origin };
        let check = |answer| SlotRequest::Check { start, answer };
        let found = self.shared.mailboxes.slots.ask(check).await;
        found.map_err(|MailboxClosed| SubmitError::ShuttingDown)?.map_err(SubmitError::Store)
    }
}

impl Drop for SlotReservation {
    fn drop(&mut self) {
        self.shared.mailboxes.slots.put(SlotRequest::PutBack(self.run));
    }
}
