//! What the fold remembers beside the graph: sessions of agents, worktrees to be reset, a shared workspace, how
//! often the run was reworked by itself.
//!
//! Law: a history in which none of that occurs folds to the same bytes as before there was any of it:
//! these stand behind the other facts, and only where there are some ([`super::snapshot`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artefact::Usage;
use everfold_base::id::{AttemptId, RunId, StepPath};
use everfold_language::definition::Save;

/// What the fold remembers beside the graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EdgeFacts {
    /// The newest session of each step that continues its own.
    pub(super) sessions: BTreeMap<StepPath, String>,
    /// The newest session of each role that some step continues.
    pub(super) roles: BTreeMap<String, String>,
    /// The commit to which the worktree is brought back before the current attempt of a step.
    pub(super) resets: BTreeMap<StepPath, String>,
    /// The run that it shares the workspace of.
    pub(crate) shared: Option<SharedWorkspace>,
    /// What a run knows of the workspace of its origin.
    pub(crate) inherited: Inherited,
    /// The run that the history began with, where that is another one.
    pub(crate) root: Option<RunId>,
    /// What attempts that have not ended have used up so far, by model.
    pub(super) used: BTreeMap<AttemptId, Vec<Usage>>,
    /// How often steps were reworked without a person, by whatever route.
    pub(crate) reworks: u32,
}

/// What a run knows of the workspace of its origin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inherited {
    /// There was one: steps that lie behind have named it, and what is to come may do so in any expression.
    /// Until the run has its own, nothing of it goes on.
    pub(crate) is_owed: bool,
    /// The commit that it began with: what the run's work is compared with.
    pub(crate) begun: Option<String>,
}

/// A workspace that is another run's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedWorkspace {
    /// Whose it is.
    pub owner: RunId,
    /// Whether leftovers are committed there after each attempt.
    pub save: Save,
    /// The author of such commits; `None`: the settings'.
    pub author: Option<String>,
}

impl EdgeFacts {
    /// What a fork remembers of its origin.
    pub(super) fn of_fork(root: Option<RunId>, inherited: Inherited) -> Self {
        Self { root, inherited, ..Self::default() }
    }

    /// What an attempt that has not ended is known to have used up of a model.
    pub(crate) fn used_by(&self, id: &AttemptId, model: Option<&str>) -> Option<&Usage> {
        self.used.get(id)?.iter().find(|used| used.model.as_deref() == model)
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
