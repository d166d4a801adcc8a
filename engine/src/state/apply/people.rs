//! What people were asked, and what they decided.

use std::collections::BTreeMap;

use crate::definition::Vote;
use crate::event::{ApprovalDecided, ApprovalRequested, UnblockDecision, Unblocked, VoteCast};
use crate::json::Value;
use crate::state::{ApprovalState, CastVote, EventMeta, Kept, Phase, RunState, Settling, Stage};
use crate::time::Timestamp;

impl RunState {
    pub(super) fn approval_requested(&mut self, event: &ApprovalRequested, at: Timestamp) {
        let Some(key) = self.current(&event.id) else { return };
        let show = Kept::of(&event.show, self.facts.version);
        self.facts.asking.insert(key.step);
        self.facts.steps[key.step].approval = Some(ApprovalState {
            title: event.title.clone(),
            show,
            terms: event.terms.clone(),
            asked_at: at,
            votes: BTreeMap::new(),
            decision: None,
        });
    }

    pub(super) fn vote_cast(&mut self, event: &VoteCast, meta: &EventMeta) {
        let Some(key) = self.current(&event.id) else { return };
        let Some(approval) = &mut self.facts.steps[key.step].approval else { return };
        let vote = CastVote { vote: event.vote, comment: event.comment.clone(), at: meta.at };
        approval.votes.insert(meta.actor.to_string(), vote);
    }

    pub(super) fn approval_decided(&mut self, event: &ApprovalDecided) {
        let Some(key) = self.current(&event.id) else { return };
        let Some(approval) = &mut self.facts.steps[key.step].approval else { return };
        approval.decision = Some(event.decision);
        let comments: Vec<Value> = approval
            .votes
            .iter()
            .filter_map(|(by, vote)| Some(serde_json::json!({"by": by, "text": vote.comment.as_ref()?})))
            .collect();
        let output = serde_json::json!({
            "decision": event.decision, "value": null, "edited": false,
            "by": event.by, "comment": event.comment, "comments": comments,
        });
        let step = &mut self.facts.steps[key.step];
        // Bounded by the quorum and by the limit of a comment, so it may stay in the state.
        step.output = Kept::Whole(output.into());
        self.facts.asking.remove(&key.step);
        if event.decision == Vote::Approve {
            self.open_gate(key.step, 0);
        } else {
            step.phase = Phase::Settling(Settling::Decided(event.decision));
            self.settle_later(key);
        }
    }

    pub(super) fn run_unblocked(&mut self, unblocked: &Unblocked) {
        let Some(key) = self.key(&unblocked.path) else { return };
        let version = self.facts.version;
        let output = unblocked.output.as_ref().map_or(Kept::Null, |output| Kept::of(output, version));
        self.unblock_key(key);
        if key.item.is_some() {
            if let Some(unit) = self.unit_mut(key) {
                unit.stage = Stage::Unblocked(unblocked.decision);
                if unblocked.decision == UnblockDecision::Proceed {
                    unit.output = output;
                }
            }
            return self.settle_later(key);
        }
        let step = &mut self.facts.steps[key.step];
        let reason = match std::mem::take(&mut step.phase) {
            Phase::Blocked(reason) => reason,
            // Only a blocked step is unblocked; a history that says otherwise keeps its step as it is.
            other => {
                step.phase = other;
                return;
            }
        };
        match unblocked.decision {
            UnblockDecision::Recheck => {
                self.judge_again(key, &unblocked.policies);
            }
            decision => {
                // A probe that is asked for by a person gets all its polls again.
                (step.judging.polls, step.judging.since) = (0, None);
                if decision == UnblockDecision::Proceed && output != Kept::Null {
                    step.output = output;
                }
                step.phase = Phase::Settling(Settling::Unblocked(decision, reason));
                self.settle_later(key);
            }
        }
        self.touch(key);
    }
}
