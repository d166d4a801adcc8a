//! Queries about keys and slots.

use crate::engine::handle::Engine;
use crate::error::QueryError;
use crate::streams::slots::key_stream::KeyStream;
use everfold_base::id::RunId;
use everfold_core::event::WantedSlot;
use everfold_core::slots::{identity_stream, in_order};
use everfold_core::state::RunState;

impl Engine {
    /// The unended run that has a key as its identity. Costs as much as the key's history is long.
    ///
    /// # Errors
    /// [`QueryError::Store`]: the key cannot be read. Else as for [`Engine::with_state`].
    pub async fn holder(&self, key: &str) -> Result<Option<RunId>, QueryError> {
        let key = KeyStream::load(&self.inner.shared, &identity_stream(key)).await;
        let state = key.map_err(|error| QueryError::Store(error.to_string()))?.state;
        for run in state.living() {
            // The key learns of an end after it is durable, and of a start before it is.
            match self.with_state(run, RunState::is_ended).await {
                Ok(true) | Err(QueryError::NotFound(_)) => {}
                // A quarantined run has not ended, though it takes no input.
                Ok(false) | Err(QueryError::SetAside { .. }) => return Ok(Some(run)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The slots that a run waits for because others hold them or wait before it, with those others. Costs as much
    /// as the keys' histories are long.
    ///
    /// # Errors
    /// [`QueryError::Store`]: a key cannot be read.
    pub async fn awaited_slots(
        &self,
        run: RunId,
        slots: &[WantedSlot],
    ) -> Result<Vec<(WantedSlot, Vec<RunId>)>, QueryError> {
        let mut awaited = Vec::new();
        for (stream, slot) in in_order(slots) {
            let key = KeyStream::load(&self.inner.shared, &stream).await;
            let state = key.map_err(|error| QueryError::Store(error.to_string()))?.state;
            awaited.extend(state.awaited_by(run, &slot).map(|runs| (slot, runs)));
        }
        Ok(awaited)
    }
}
