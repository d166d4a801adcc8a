//! What people were asked, and what they decided.

use serde_json::json;

use crate::event::{
    ApprovalDecided, ApprovalRequested, BlockReason, KeptVote, ReminderOf, RunUnblocked, TimerId, TimerKind,
    UnblockDecision, VoteCast,
};
use crate::state::people::{ApprovalState, CastVote};
use crate::state::step::{AttemptEnding, Phase, Settling, Stage};
use crate::state::stored_value::StoredValue;
use crate::state::{EventMeta, Key, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::AttemptId;
use everfold_base::time::Timestamp;
use everfold_language::definition::Vote;

impl RunState {
    pub(super) fn approval_requested(&mut self, event: &ApprovalRequested, at: Timestamp) {
        let Some(key) = self.current(&event.id) else { return };
        let version = self.facts.version;
        let approval = ApprovalState {
            title: event.title.clone(),
            show: StoredValue::of(&event.show, version),
            terms: event.terms.clone(),
            edit: event.edit.as_ref().map(|edit| StoredValue::of(edit, version)),
            edited: None,
            edits: 0,
            asked_at: at,
            votes: event.seen.iter().flat_map(|seen| &seen.kept).map(kept_vote).collect(),
            decision: None,
        };
        self.facts.seen.ask(event);
        if let Some(unit) = self.unit_mut(key) {
            unit.people_mut().approval = Some(approval);
        }
        self.begin_asking(key);
    }

    /// A unit waits for people from here on.
    pub(super) fn begin_asking(&mut self, key: Key) {
        self.facts.agenda.remove(&crate::state::Agenda::Settle(key));
        if key.item.is_none() {
            self.facts.steps[key.step].phase = Phase::Working;
        }
        if let Some(unit) = self.unit_mut(key) {
            unit.stage = Stage::Asking;
        }
        if self.facts.asking.insert(key)
            && key.item.is_some()
            && let Some(items) = &mut self.facts.steps[key.step].items
        {
            items.asking += 1;
        }
        self.touch(key);
    }

    /// A unit waits for people no more.
    pub(super) fn end_asking(&mut self, key: Key) {
        if !self.facts.asking.remove(&key) {
            return;
        }
        if key.item.is_some()
            && let Some(items) = &mut self.facts.steps[key.step].items
        {
            items.asking = items.asking.saturating_sub(1);
        }
        let id = self.attempt_id(key);
        for kind in [TimerKind::Expiry, TimerKind::Reminder] {
            self.clear_timer(&TimerId { id: id.clone(), kind, name: String::new() });
        }
        self.end_reminders(&id.path, Some(ReminderOf::Task.name()));
        self.touch(key);
    }

    pub(super) fn vote_cast(&mut self, event: &VoteCast, meta: &EventMeta) {
        let Some(key) = self.current(&event.id) else { return };
        let version = self.facts.version;
        let Some(unit) = self.unit_mut(key) else { return };
        let Some(approval) = &mut unit.people_mut().approval else { return };
        let by = meta.actor.to_string();
        if let Some(edited) = &event.edited {
            approval.edits += 1;
            approval.edited = Some((by.clone(), StoredValue::of(edited, version)));
        }
        let cast = CastVote {
            vote: event.vote,
            comment: event.comment.clone(),
            comments: event.comments.clone(),
            at: meta.at,
            edits: approval.edits,
        };
        approval.votes.insert(by.clone(), cast);
        self.facts.seen.vote(event, &by, meta.at);
    }

    pub(super) fn approval_decided(&mut self, event: &ApprovalDecided) {
        let Some(key) = self.current(&event.id) else { return };
        let Some(unit) = self.unit_mut(key) else { return };
        let Some(approval) = &mut unit.people_mut().approval else { return };
        approval.decision = Some(event.decision);
        // Bounded by the quorum and by the limit of a vote's words, so it may stay in the state; the
        // value may be large.
        let known = json!({
            "decision": event.decision, "edited": approval.edited.is_some(), "by": event.by,
            "comment": event.comment, "comments": approval.remarks(),
        });
        let output = StoredValue::map(known, "value", approval.value().clone());
        let failure = match event.decision {
            Vote::Approve => None,
            Vote::Reject | Vote::Changes => Some(refused(event)),
        };
        self.facts.seen.forget_item(&event.id.path);
        self.end_asking(key);
        self.waiting_ended(key, output, failure);
    }

    /// People decided or answered; with a failure the unit's route follows.
    pub(super) fn waiting_ended(&mut self, key: Key, output: StoredValue, failure: Option<Failure>) {
        let ending = if failure.is_some() { AttemptEnding::Failed } else { AttemptEnding::Succeeded };
        if let Some(unit) = self.unit_mut(key) {
            unit.stage = Stage::Ended(ending);
            unit.failure = failure;
            if key.item.is_some() {
                unit.output = output.clone();
            }
        }
        match (key.item, ending) {
            (Some(_), AttemptEnding::Succeeded) => self.end_item(key, Stage::Succeeded),
            (Some(_), _) => self.settle_later(key),
            (None, AttemptEnding::Succeeded) => {
                self.facts.steps[key.step].output = output;
                self.open_gate(key.step, 0);
            }
            (None, _) => {
                let step = &mut self.facts.steps[key.step];
                step.output = output;
                step.phase = Phase::Settling(Settling::Work);
                self.settle_later(key);
            }
        }
    }

    /// No decision or answer came in time.
    pub(super) fn people_expired(&mut self, key: Key, id: &AttemptId, at: Timestamp) {
        if !self.facts.asking.contains(&key) {
            return;
        }
        let asked_at = self.unit_at(key).and_then(|unit| {
            unit.approval()
                .map(|approval| approval.asked_at)
                .or(unit.question().map(|question| question.asked_at))
        });
        self.end_asking(key);
        if let Some(unit) = self.unit_mut(key) {
            unit.people_mut().expired = true;
        }
        let seconds = asked_at.map_or(0, |asked_at| at.since(asked_at).as_secs());
        let message = format!("nobody answered “{}” within {seconds} s", id.path);
        let failure = Failure::new(FailureKind::Timeout, message)
            .with_hint("give it more time with `timeout`, or say with `on_timeout` what follows");
        self.settle_unit(key, AttemptEnding::Failed, Some(failure));
    }

    pub(super) fn run_unblocked(&mut self, event: &RunUnblocked) {
        let unblocked = &event.unblocked;
        let Some(key) = self.key(&unblocked.path) else { return };
        // What another decision leads to may be an end, behind which a new run keeps on.
        if key.item.is_none() && unblocked.decision == UnblockDecision::Retry {
            match event.keeps_items {
                true => self.keep_items(key.step),
                false => self.facts.kept.forget(&unblocked.path.step),
            }
        }
        let version = self.facts.version;
        let output =
            unblocked.output.as_ref().map_or(StoredValue::Null, |output| StoredValue::of(output, version));
        if unblocked.decision == UnblockDecision::Retry
            && let Some(unit) = self.unit_mut(key)
        {
            unit.tries_before = unit.tries();
        }
        if key.item.is_some() {
            let items = self.facts.steps[key.step].items.as_ref();
            let waits = unblocked.decision == UnblockDecision::Retry
                && items.is_some_and(|items| items.blocked > 0 && !items.has_place());
            if let Some(unit) = self.unit_mut(key) {
                unit.stage = Stage::Unblocked(unblocked.decision);
                if unblocked.decision == UnblockDecision::Proceed {
                    unit.output = output;
                }
            }
            if waits {
                // As many other items are in progress as may be; it stays where it is until one of them ends.
                return self.touch(key);
            }
            self.unblock_key(key);
            return self.settle_later(key);
        }
        self.unblock_key(key);
        if matches!(unblocked.decision, UnblockDecision::Proceed | UnblockDecision::Skip) {
            self.facts.refused.forget(&unblocked.path.step);
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
        if reason == BlockReason::Held {
            // Whatever the person decided on the held round, the next one is not held for it.
            step.order.hold = false;
        }
        match unblocked.decision {
            UnblockDecision::Retry if reason == BlockReason::Held => {
                step.phase = Phase::Pending;
                self.check_ready(key.step);
            }
            UnblockDecision::Recheck => {
                self.judge_again(key, &unblocked.policies);
            }
            decision => {
                // A probe that is asked for by a person gets all its polls again.
                (step.judging.polls, step.judging.since) = (0, None);
                self.facts.unread.remove(&self.graph.step(key.step).id);
                if decision == UnblockDecision::Proceed && output != StoredValue::Null {
                    step.output = output;
                }
                step.phase = Phase::Settling(Settling::Unblocked(decision, reason));
                self.settle_later(key);
            }
        }
        self.touch(key);
    }
}

/// A vote of a former round that counts on.
fn kept_vote(kept: &KeptVote) -> (String, CastVote) {
    let (comment, comments) = (kept.comment.clone(), Vec::new());
    (kept.by.clone(), CastVote { vote: Vote::Approve, comment, comments, at: kept.at, edits: 0 })
}

/// What a decision against the work is as a failure.
fn refused(event: &ApprovalDecided) -> Failure {
    let by = event.by.join(", ");
    let what = match event.decision {
        Vote::Changes => "changes wanted",
        Vote::Reject | Vote::Approve => "rejected",
    };
    let message = match &event.comment {
        None => format!("{what} by {by}"),
        Some(comment) => format!("{what} by {by}: {comment}"),
    };
    Failure::new(FailureKind::Rejected, message)
}
