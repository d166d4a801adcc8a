//! What people are asked to answer: by a step, or by work in the middle of it.

use crate::event::{
    AnswerSaved, AskedBy, AttemptAsked, AttemptNotes, QuestionAnswered, QuestionAsked, StopReason,
};
use crate::state::apply::attempt::timed_out;
use crate::state::people::{AnsweredAsk, QuestionState};
use crate::state::step::AttemptEnding;
use crate::state::stored_value::StoredValue;
use crate::state::{EventMeta, HoldEnd, Key, RunState};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::time::Timestamp;

/// A note in the state; the event holds all of it.
const NOTE_CHARS_MAX: usize = 500;

impl RunState {
    pub(super) fn question_asked(&mut self, event: &QuestionAsked, at: Timestamp) {
        let Some(key) = self.current(&event.id) else { return };
        let version = self.facts.version;
        let question = QuestionState {
            title: event.title.clone(),
            text: event.text.as_ref().map_or(StoredValue::Null, |text| StoredValue::of(text, version)),
            terms: event.terms.clone(),
            asked_at: at,
            draft: StoredValue::Null,
            saved: None,
            answer: None,
        };
        if let Some(unit) = self.unit_mut(key) {
            unit.people_mut().question = Some(question);
        }
        self.begin_asking(key);
    }

    pub(super) fn answer_saved(&mut self, event: &AnswerSaved, meta: &EventMeta) {
        let Some(key) = self.current(&event.id) else { return };
        let version = self.facts.version;
        let Some(unit) = self.unit_mut(key) else { return };
        let Some(question) = &mut unit.people_mut().question else { return };
        question.draft = StoredValue::of(&event.answer, version);
        question.saved = Some((meta.actor.to_string(), meta.at));
    }

    pub(super) fn question_answered(&mut self, event: &QuestionAnswered) {
        let Some(key) = self.current(&event.id) else { return };
        let answer = StoredValue::of(&event.answer, self.facts.version);
        let Some(unit) = self.unit_mut(key) else { return };
        let attempt = unit.attempt;
        let people = unit.people_mut();
        let Some(question) = &mut people.question else { return };
        question.answer = Some(answer.clone());
        let by = question.terms.by;
        if by == AskedBy::Work {
            let ask = std::mem::take(&mut people.ask);
            people.answers.push(AnsweredAsk { attempt, ask, answer: answer.clone() });
        }
        self.end_asking(key);
        match by {
            AskedBy::Step => self.waiting_ended(key, answer, None),
            AskedBy::Work => self.settle_unit(key, AttemptEnding::Answered, None),
        }
    }

    /// An attempt ended with a question; what follows is on the agenda.
    pub(super) fn attempt_asked(&mut self, event: &AttemptAsked) {
        self.facts.workers.end(&event.id, HoldEnd::of(event.notes.report));
        let version = self.facts.version;
        let (key, stopped) = self.end_attempt(&event.id);
        self.note_commit(&event.id, event.commit.as_ref());
        let Some(key) = key else { return };
        self.apply_notes(key, &event.notes);
        match stopped {
            // What had ended with a question all the same asks it when the run goes on.
            None | Some(StopReason::Interrupt) => {
                if let Some(unit) = self.unit_mut(key) {
                    let people = unit.people_mut();
                    people.ask = StoredValue::of(&event.ask, version);
                    people.asks += 1;
                }
                self.settle_unit(key, AttemptEnding::Asked, None);
            }
            // What stopped it was recorded first, so the question does not count.
            Some(StopReason::Timeout) => {
                self.settle_unit(key, AttemptEnding::Failed, Some(timed_out()));
            }
            Some(_) => {
                let failure = Failure::new(FailureKind::Cancelled, "the work was stopped");
                self.settle_unit(key, AttemptEnding::Failed, Some(failure));
            }
        }
    }

    /// What work said beside its output.
    pub(super) fn apply_notes(&mut self, key: Key, notes: &AttemptNotes) {
        self.facts.labels.extend(notes.labels.clone());
        if let Some(unit) = self.unit_mut(key) {
            unit.note = notes.note.as_ref().map(|note| note.chars().take(NOTE_CHARS_MAX).collect());
            unit.code.clone_from(&notes.code);
        }
    }
}
