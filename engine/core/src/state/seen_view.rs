//! What is read of what approvals showed ([`super::seen`]).

use super::key::Key;
use super::run_state::RunState;
use crate::event::{Seen, SeenPart};
use crate::seen::is_looked_at;
use everfold_base::id::{AttemptId, StepId};
use everfold_language::definition::Vote;

impl RunState {
    /// What an approval showed, where its newest request recorded that: also when it is decided.
    #[must_use]
    pub fn seen(&self, id: &AttemptId) -> Option<&Seen> {
        self.facts.seen.newest(&id.path).filter(|asked| asked.id == *id).map(|asked| &asked.seen)
    }

    /// What an approval showed that people decided before this run was forked: a fork forgets votes, so nobody has voted for
    /// it here.
    pub(crate) fn copied_approval(&self, id: &AttemptId) -> Option<&Seen> {
        let asked = self.facts.seen.newest(&id.path).filter(|asked| asked.id == *id);
        asked.filter(|asked| asked.approvals.is_empty()).map(|asked| &asked.seen)
    }

    /// Whether an approval of a unit is open.
    pub(crate) fn is_asking_approval(&self, key: Key) -> bool {
        self.facts.asking.contains(&key) && self.unit_at(key).is_some_and(|unit| unit.approval().is_some())
    }

    /// What lies, or may come to lie, in the workspace of what a step was approved for, where its approval was decided so.
    ///
    /// # Errors
    /// Why it is not approved, in words.
    pub(crate) fn approved_parts(&self, step: &StepId) -> Result<(AttemptId, Vec<SeenPart>), &'static str> {
        let at = self.graph.find(step).ok_or("there is no such step")?;
        let key = Key::step(at);
        let decision =
            self.unit_at(key).and_then(|unit| unit.approval()).and_then(|approval| approval.decision);
        match decision {
            Some(Vote::Approve) => {}
            Some(Vote::Reject | Vote::Changes) => return Err("people decided against it"),
            None => return Err("people did not decide on it"),
        }
        let id = self.attempt_id(key);
        let seen = self.seen(&id).ok_or("it was decided before Everfold recorded what is shown")?;
        let parts = seen.parts.iter().filter(|part| is_looked_at(part)).cloned().collect();
        Ok((id, parts))
    }
}
