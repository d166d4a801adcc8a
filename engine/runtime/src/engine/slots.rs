//! Queries about keys.

use crate::engine::handle::Engine;
use crate::error::QueryError;
use crate::streams::slots::key_stream::KeyStream;
use everfold_base::id::RunId;
use everfold_core::slots::identity_stream;
use everfold_core::state::RunState;

impl Engine {
    /// The unended run that has a key as its identity; while that one makes room for another, the other. Costs as much as
    /// the key's history is long.
    ///
    /// # Errors
    /// [`QueryError::Store`]: the key cannot be read. Else as for [`Engine::with_state`].
    pub async fn holder(&self, key: &str) -> Result<Option<RunId>, QueryError> {
        let key = KeyStream::load(&self.inner.shared, &identity_stream(key)).await;
        let state = key.map_err(|error| QueryError::Store(error.to_string()))?.state;
        for run in state.claimant().into_iter().chain(state.living()) {
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
}
