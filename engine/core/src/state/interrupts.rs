//! Work that a person interrupted: what its round goes on with.
//!
//! Law: an entry is of one round of a step, or of an item of one; it says nothing of another round. It is made when the
//! work is asked to stop, and forgotten when work of that round has succeeded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stored_value::StoredValue;
use everfold_base::id::{Attempt, AttemptId, Round, StepId, StepPath};

/// Work of a round that was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InterruptedWork {
    round: Round,
    /// The newest attempt that was interrupted.
    pub(super) attempt: Attempt,
    /// How many attempts of the round ended so: they are no tries.
    pub(super) count: u32,
    /// The session of the agent, as it was last reported.
    pub(super) session: Option<String>,
    /// What the person who resumed the run says to the next attempt, and to the tries after that one.
    pub(super) prompt: StoredValue,
    /// The run was not resumed since.
    awaits: bool,
}

/// All of a run, by step or item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InterruptedRounds(BTreeMap<StepPath, InterruptedWork>);

impl InterruptedRounds {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was interrupted of a round.
    pub(super) fn of_round(&self, path: &StepPath, round: Round) -> Option<&InterruptedWork> {
        self.0.get(path).filter(|it| it.round == round)
    }

    /// The steps and items whose work goes on when the run is resumed.
    pub(super) fn awaiting(&self) -> impl Iterator<Item = &StepPath> {
        self.0.iter().filter(|(_, entry)| entry.awaits).map(|(path, _)| path)
    }

    /// Work that was interrupted, or goes on since, reports its session.
    pub(super) fn note_session(&mut self, id: &AttemptId, session: &str) {
        if let Some(entry) = self.0.get_mut(&id.path).filter(|it| it.round == id.round) {
            entry.session = Some(session.to_owned());
        }
    }

    /// An attempt is asked to stop; `session` is what it reported so far. What was said to one that `has_begun` is not
    /// said again.
    pub(super) fn begin(&mut self, id: &AttemptId, session: Option<String>, has_begun: bool) {
        let former = self.0.remove(&id.path).filter(|it| it.round == id.round);
        let (count, prompt, known) =
            former.map_or((0, StoredValue::Null, None), |it| (it.count, it.prompt, it.session));
        let prompt = if has_begun { StoredValue::Null } else { prompt };
        let session = session.or(known);
        let entry =
            InterruptedWork { round: id.round, attempt: id.attempt, count, session, prompt, awaits: true };
        self.0.insert(id.path.clone(), entry);
    }

    /// An attempt ended because it was interrupted.
    pub(super) fn end(&mut self, id: &AttemptId) {
        if let Some(entry) = self.0.get_mut(&id.path).filter(|it| it.round == id.round) {
            entry.count += 1;
        }
    }

    /// Work of a round succeeded.
    pub(super) fn forget(&mut self, path: &StepPath) {
        self.0.remove(path);
    }

    /// The run is resumed, with a word for what was interrupted.
    pub(super) fn resume(&mut self, prompt: Option<&StoredValue>) {
        for entry in self.0.values_mut().filter(|it| it.awaits) {
            entry.awaits = false;
            if let Some(prompt) = prompt {
                entry.prompt = prompt.clone();
            }
        }
    }

    /// A copied history: a session stays with its run, but where the step carries it over. Steps that begin anew were not
    /// interrupted.
    pub(super) fn fork(&mut self, reset: &[StepId], carries: impl Fn(&StepPath) -> bool) {
        self.0.retain(|path, _| !reset.contains(&path.step));
        for (path, entry) in &mut self.0 {
            entry.awaits = false;
            if !carries(path) {
                entry.session = None;
            }
        }
    }
}
