//! A run's history, folded event by event from its first one.
//!
//! Law: after each event the state is that which [`crate::engine::handle::Engine::state_at`] gives for its version.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::LoadError;
use crate::load::{FoldedRun, decode};
use crate::runtime::Runtime;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{RunId, Version};
use everfold_core::state::RunState;

/// Events that are read at once.
const PAGE: usize = 1_000;

/// A run's history on its way from the first event on.
pub struct HistoryFold {
    deps: Arc<Runtime>,
    run: RunId,
    folded: Option<FoldedRun>,
    page: VecDeque<Envelope>,
}

impl HistoryFold {
    pub(crate) fn new(deps: Arc<Runtime>, run: RunId) -> Self {
        Self { deps, run, folded: None, page: VecDeque::new() }
    }

    /// Folds the next event; `None`: there is no more now.
    ///
    /// # Errors
    /// [`LoadError`]: no such run, or it cannot be folded.
    pub async fn next(&mut self) -> Result<Option<Envelope>, LoadError> {
        if self.page.is_empty() {
            let from = self.folded.as_ref().map_or(Version::FIRST, |folded| folded.version.next());
            self.page = self.deps.store.read(&StreamId::run(self.run), from, PAGE).await?.into();
        }
        let Some(envelope) = self.page.pop_front() else {
            return if self.folded.is_some() { Ok(None) } else { Err(LoadError::NotFound(self.run)) };
        };
        let event = decode(self.run, &envelope)?;
        let loader = self.deps.loader();
        let folded = match &mut self.folded {
            Some(folded) => folded,
            None => self.folded.insert(loader.beginning(self.run, &envelope).await?),
        };
        loader.go_on_by(self.run, &mut folded.state, &event).await?;
        folded.fold(self.run, &envelope, &event)?;
        Ok(Some(envelope))
    }

    /// The state after the events that were folded; `None` before the first.
    #[must_use]
    pub fn state(&self) -> Option<&RunState> {
        self.folded.as_ref().map(|folded| &folded.state)
    }
}
