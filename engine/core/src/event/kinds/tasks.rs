//! Events of tasks: approvals and questions that people answer.

use super::super::declare::event_payloads;
use super::super::former;
use super::super::parts::{ApprovalTerms, Comment, QuestionTerms, Seen};
use everfold_base::id::AttemptId;
use everfold_base::json::{Hash, Payload};
use everfold_language::definition::Vote;

event_payloads! {
    /// People are asked.
    ///
    /// Then: the task is in the inbox until votes suffice, time is up or the step ends.
    ApprovalRequested [former::ApprovalRequested1] then [former::ApprovalRequested2, unless has_no_record] {
        /// The task.
        id: AttemptId,
        /// What is asked.
        title: String,
        /// What is shown: a list of texts and paths.
        show: Payload,
        /// Who may answer, and what decides.
        terms: ApprovalTerms,
        /// The value that an approver may replace.
        edit: Option<Payload>,
        /// The hashes of all that is shown, and the votes of former rounds that count on. None: it was asked before
        /// Everfold recorded that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Seen>,
    }
    /// A person voted. Fact of `vote`.
    ///
    /// Then: `ApprovalDecided` where the votes suffice.
    VoteCast [former::VoteCast1] then [former::VoteCast2, unless names_nothing] {
        /// The task.
        id: AttemptId,
        /// What was said.
        vote: Vote,
        /// With which words.
        comment: Option<String>,
        /// The voter's roles at that time.
        roles: Vec<String>,
        /// Remarks on what was shown.
        comments: Vec<Comment>,
        /// What the approver put in the place of the shown value.
        edited: Option<Payload>,
        /// The digest of what the task showed. None: the task has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Hash>,
    }
    /// The votes suffice.
    ///
    /// Then: the step succeeds, or its `on_reject` or `on_changes` route is taken.
    ApprovalDecided [former::ApprovalDecided1, unless has_no_record] {
        /// The task.
        id: AttemptId,
        /// What they say.
        decision: Vote,
        /// Whose votes made it.
        by: Vec<String>,
        /// Their comments, joined.
        comment: Option<String>,
        /// What it was decided on. None: it was asked before Everfold recorded that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Seen>,
    }
    /// People are asked for an answer.
    ///
    /// Then: the task is in the inbox until it is answered, time is up or the step ends.
    QuestionAsked {
        /// The task.
        id: AttemptId,
        /// What is asked, in one line.
        title: String,
        /// What is asked, in full.
        text: Option<Payload>,
        /// What an answer may be, and which roles may give it.
        terms: QuestionTerms,
    }
    /// A person saved a part of an answer. Fact of `save answer`.
    ///
    /// Then: nothing; the parts are shown with the task.
    AnswerSaved {
        /// The task.
        id: AttemptId,
        /// `{choice?, text?, items?, states?}`.
        answer: Payload,
        /// Their roles at that time.
        roles: Vec<String>,
    }
    /// A person answered. Fact of `answer`.
    ///
    /// Then: the answer is the step's output, or goes to the attempt that asked.
    QuestionAnswered {
        /// The task.
        id: AttemptId,
        /// `{choice, text, items, states?, by}`.
        answer: Payload,
        /// Their roles at that time.
        roles: Vec<String>,
    }
}
