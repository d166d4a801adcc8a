//! What is read of interrupted work ([`super::interrupts`]), and how its sessions are noted.

use super::interrupts::InterruptedWork;
use super::run_state::RunState;
use crate::event::UsageRecorded;
use everfold_base::id::{AttemptId, StepPath};
use everfold_base::json::Value;
use everfold_language::expr::{EvalError, Loaded};

/// What an attempt goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    /// What the person who resumed the run says; `None`: nothing.
    pub prompt: Option<String>,
}

impl RunState {
    /// Whether work was interrupted that the run was not resumed for.
    #[must_use]
    pub fn has_interrupted(&self) -> bool {
        self.facts.interrupts.awaiting().next().is_some()
    }

    /// The steps and items whose work was interrupted and goes on when the run is resumed.
    pub fn interrupted(&self) -> impl Iterator<Item = &StepPath> {
        self.facts.interrupts.awaiting()
    }

    /// How many attempts of the present round of a step or item ended because they were interrupted.
    pub(crate) fn interruptions(&self, id: &AttemptId) -> u32 {
        self.facts.interrupts.of_round(&id.path, id.round).map_or(0, |entry| entry.count)
    }

    /// The session of interrupted work that an attempt goes on with.
    pub(crate) fn interrupted_session(&self, id: &AttemptId) -> Option<&String> {
        self.resumed(id)?.session.as_ref()
    }

    /// What an attempt after an interrupted one goes on with; `None`: it is none.
    ///
    /// # Errors
    /// [`EvalError::Needs`] where the prompt must be loaded first.
    pub(crate) fn resumption(
        &self,
        id: &AttemptId,
        loaded: &Loaded,
    ) -> Result<Option<Resumption>, EvalError> {
        let Some(entry) = self.resumed(id) else { return Ok(None) };
        let prompt = match entry.prompt.value(loaded)? {
            Value::String(prompt) => Some(prompt),
            _nothing => None,
        };
        Ok(Some(Resumption { prompt }))
    }

    fn resumed(&self, id: &AttemptId) -> Option<&InterruptedWork> {
        self.facts.interrupts.of_round(&id.path, id.round).filter(|entry| id.attempt > entry.attempt)
    }

    /// Remembers the session of work that was interrupted, or goes on since.
    pub(super) fn note_interrupted_session(&mut self, event: &UsageRecorded) {
        if let Some(session) = &event.usage.session {
            self.facts.interrupts.note_session(&event.id, session);
        }
    }

    /// The newest session that an attempt reported while it works.
    pub(super) fn reported_session(&self, id: &AttemptId) -> Option<String> {
        let used = self.facts.edge.used.get(id)?;
        used.iter().rev().find_map(|usage| usage.session.clone())
    }
}
