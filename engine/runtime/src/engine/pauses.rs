//! Pauses of pipelines and of the whole engine.

use std::sync::Arc;

use crate::engine::handle::Engine;
use crate::pauses;
use crate::pauses::{HaltError, Halting};
use crate::redaction::redact_option;
use crate::streams::triggers::by::By;
use everfold_core::event::HaltScope;
use everfold_core::pauses::{PauseOrder, Pauses};
use everfold_store::AppendError;

impl Engine {
    /// The pauses in force.
    ///
    /// # Errors
    /// [`HaltError`]: their stream cannot be read.
    pub async fn halts(&self) -> Result<Arc<Pauses>, HaltError> {
        Ok(self.inner.shared.halts.current().await?)
    }

    /// Pauses a pipeline or the whole engine, or ends such a pause. Resolves when that is durable and
    /// every unended run that it concerns has been informed. Both are done even if the caller goes away.
    ///
    /// # Errors
    /// [`HaltError`].
    pub async fn halt(
        &self,
        wanted: PauseOrder,
        scope: HaltScope,
        reason: Option<&str>,
        by: impl Into<By>,
    ) -> Result<Halting, HaltError> {
        let (shared, mut reason, by) = (Arc::clone(&self.inner.shared), reason.map(str::to_owned), by.into());
        if let Some(redactor) = &shared.edge.redactor {
            redact_option(&**redactor, &mut reason);
        }
        let halt = async move { pauses::halt(&shared, wanted, scope, reason.as_deref(), by).await };
        self.inner.complete(halt).await.unwrap_or(Err(HaltError::Append(AppendError::Closed)))
    }
}
