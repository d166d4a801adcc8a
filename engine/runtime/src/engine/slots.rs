//! Queries about keys and slots.

use crate::engine::handle::Engine;
use crate::error::QueryError;
use crate::streams::slots::key_stream::KeyStream;
use everfold_base::id::RunId;
use everfold_core::event::WantedSlot;
use everfold_core::slots::{identity_stream, in_order};

impl Engine {
    /// The unended run that has a key as its identity. Costs as much as the key's history is long.
    ///
    /// # Errors
    /// [`QueryError::Store`]: the key cannot be read.
    pub async fn holder(&self, key: &str) -> Result<Option<RunId>, QueryError> {
        let key = KeyStream::load(&self.inner.shared, &identity_stream(key)).await;
        let state = key.map_err(|error| QueryError::Store(error.to_string()))?.state;
        Ok(state.living().next())
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
