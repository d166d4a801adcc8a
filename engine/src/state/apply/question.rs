//! What people are asked to answer.

use crate::event::{AnswerSaved, AttemptAsked, QuestionAnswered, QuestionAsked};
use crate::state::EventMeta;
use crate::state::RunState;
use crate::time::Timestamp;

impl RunState {
    pub(super) fn question_asked(&mut self, _event: &QuestionAsked, _at: Timestamp) {}

    pub(super) fn answer_saved(&mut self, _event: &AnswerSaved, _meta: &EventMeta) {}

    pub(super) fn question_answered(&mut self, _event: &QuestionAnswered, _meta: &EventMeta) {}

    pub(super) fn attempt_asked(&mut self, _event: &AttemptAsked) {}
}
