//! What approvals showed, and who approved that.
//!
//! Law: there is one entry for each step, that of its newest approval, whatever became of its round; one of an item is
//! forgotten when it is decided. Votes never count in another run: a fork forgets them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stored_value::StoredValue;
use crate::event::{ApprovalRequested, KeptVote, Seen, VoteCast};
use everfold_base::id::{AttemptId, StepId, StepPath};
use everfold_base::time::Timestamp;
use everfold_language::definition::Vote;

/// The newest approval of a step, or of an item of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenApproval {
    pub(super) id: AttemptId,
    /// What it shows: with the value that a voter put in the place of the first one.
    pub(crate) seen: Seen,
    /// The newest votes of people who approved that, those of former rounds that count on included.
    pub(crate) approvals: BTreeMap<String, KeptVote>,
    /// What it showed at first, where the value that it shows was replaced since.
    pub(crate) original: Option<Seen>,
}

/// All of a run, by step or item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenApprovals {
    asked: BTreeMap<StepPath, SeenApproval>,
    /// What was found in the workspace, until people are asked.
    looked: BTreeMap<StepPath, StoredValue>,
}

impl SeenApprovals {
    pub(crate) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.looked.is_empty()
    }

    /// The newest approval of a step, or of an item of one.
    pub(crate) fn newest(&self, path: &StepPath) -> Option<&SeenApproval> {
        self.asked.get(path)
    }

    /// What was found for an approval that people are to be asked for.
    pub(crate) fn found(&self, path: &StepPath) -> Option<&StoredValue> {
        self.looked.get(path)
    }

    /// Something was found in the workspace.
    pub(super) fn look(&mut self, path: StepPath, found: StoredValue) {
        self.looked.insert(path, found);
    }

    /// People are asked.
    pub(super) fn ask(&mut self, event: &ApprovalRequested) {
        let path = &event.id.path;
        self.looked.remove(path);
        let Some(seen) = &event.seen else {
            self.asked.remove(path);
            return;
        };
        let approvals = seen.kept.iter().map(|kept| (kept.by.clone(), kept.clone())).collect();
        let asked = SeenApproval { id: event.id.clone(), seen: seen.clone(), approvals, original: None };
        self.asked.insert(path.clone(), asked);
    }

    /// A person voted.
    pub(super) fn vote(&mut self, event: &VoteCast, by: &str, at: Timestamp) {
        let Some(asked) = self.asked.get_mut(&event.id.path).filter(|asked| asked.id == event.id) else {
            return;
        };
        if let Some(edited) = &event.edited {
            let first = asked.seen.clone();
            asked.original.get_or_insert(first);
            asked.seen.replace_value(edited.hash());
        }
        match event.vote {
            Vote::Approve => {
                let (by, comment) = (by.to_owned(), event.comment.clone());
                let vote = KeptVote { by: by.clone(), round: event.id.round, at, comment };
                asked.approvals.insert(by, vote);
            }
            Vote::Reject | Vote::Changes => drop(asked.approvals.remove(by)),
        }
    }

    /// An item is decided: nothing looks back at what it showed.
    pub(super) fn forget_item(&mut self, path: &StepPath) {
        if path.item.is_some() {
            self.asked.remove(path);
        }
    }

    /// The items of a step begin anew.
    pub(super) fn forget_items(&mut self, step: &StepId) {
        self.asked.retain(|path, _| path.step != *step || path.item.is_none());
        self.looked.retain(|path, _| path.step != *step || path.item.is_none());
    }

    /// The run goes its own way, and votes of another one do not count in it.
    pub(super) fn forget_votes(&mut self) {
        for asked in self.asked.values_mut() {
            if let Some(first) = asked.original.take() {
                asked.seen = first;
            }
            asked.approvals.clear();
            asked.seen.kept.clear();
        }
    }
}
