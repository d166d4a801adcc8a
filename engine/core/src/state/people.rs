//! What people are asked and what they said so far, kept by the unit that asks.
//!
//! Law: a unit asks at most one thing at a time, and only while it stands in `facts.asking`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::stored_value::StoredValue;
use crate::event::{ApprovalTerms, Comment, QuestionTerms};
use everfold_base::actor::Person;
use everfold_base::id::Attempt;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_language::definition::Vote;

/// What a unit asks people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// The approval of the current attempt.
    pub approval: Option<ApprovalState>,
    /// The question of the current attempt.
    pub question: Option<QuestionState>,
    /// What the work asks, until it stands as a question: `{text, options, items}`.
    pub(crate) ask: StoredValue,
    /// Questions that the work asked in this round.
    pub asks: u32,
    /// The answers to them, oldest first.
    pub(crate) answers: Vec<AnsweredAsk>,
    /// No decision or answer came in time.
    pub expired: bool,
    /// Approvals of this round that were asked anew, with what lay in the workspace by then.
    pub(crate) outdated: u32,
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalState {
    /// What is asked.
    pub title: String,
    /// What is shown.
    pub show: StoredValue,
    /// Which roles may answer, and what decides.
    pub terms: ApprovalTerms,
    /// The value that an approver may replace.
    pub edit: Option<StoredValue>,
    /// What stands in its place, and who put it there.
    pub edited: Option<(String, StoredValue)>,
    /// How often it was replaced: an approval counts for the value that stood when it was given.
    pub edits: u32,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The newest vote of each person.
    pub votes: BTreeMap<String, CastVote>,
    /// What was decided.
    pub decision: Option<Vote>,
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CastVote {
    /// What was said.
    pub vote: Vote,
    /// With which words.
    pub comment: Option<String>,
    /// Remarks on what was shown.
    pub comments: Vec<Comment>,
    /// When.
    pub at: Timestamp,
    /// [`ApprovalState::edits`] at that time.
    pub edits: u32,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionState {
    /// What is asked, in one line.
    pub title: String,
    /// What is asked, in full.
    pub text: StoredValue,
    /// What an answer may be, and which roles may give it.
    pub terms: QuestionTerms,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The parts of an answer that were saved: `{choice?, text?, items?}`.
    pub draft: StoredValue,
    /// Who saved the newest of them, and when.
    pub saved: Option<(String, Timestamp)>,
    /// The answer: `{choice, text, items, by}`.
    pub answer: Option<StoredValue>,
}

/// A question of the work with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnsweredAsk {
    /// The attempt that asked.
    pub(crate) attempt: Attempt,
    /// `{text, options, items}`.
    pub(crate) ask: StoredValue,
    /// `{choice, text, items, by}`.
    pub(crate) answer: StoredValue,
}

impl ApprovalState {
    /// The value as it stands: what an approver put in its place, else what was shown.
    #[must_use]
    pub fn value(&self) -> &StoredValue {
        let edited = self.edited.as_ref().map(|(_, value)| value);
        edited.or(self.edit.as_ref()).unwrap_or(&StoredValue::Null)
    }

    /// What the votes say, if they suffice.
    ///
    /// With a veto one rejection, or one request for changes, decides; else the quorum does. Approvals
    /// count only for the value as it stands.
    #[must_use]
    pub fn outcome(&self) -> Option<Vote> {
        let quorum = self.terms.quorum as usize;
        let count = |vote: Vote| {
            let cast = self.votes.iter().filter(|(_, cast)| self.counts(cast, vote));
            cast.map(|(by, _)| Person::of_text(by)).collect::<BTreeSet<_>>().len()
        };
        let against = if self.terms.veto { 1 } else { quorum };
        if count(Vote::Reject) >= against {
            Some(Vote::Reject)
        } else if count(Vote::Changes) >= against {
            Some(Vote::Changes)
        } else if count(Vote::Approve) >= quorum {
            Some(Vote::Approve)
        } else {
            None
        }
    }

    /// Whose votes make this decision, and their comments, joined.
    pub(crate) fn deciders(&self, decision: Vote) -> (Vec<String>, Option<String>) {
        let made = || self.votes.iter().filter(|(_, cast)| self.counts(cast, decision));
        let comments: Vec<&str> = made().filter_map(|(_, cast)| cast.comment.as_deref()).collect();
        let comment = (!comments.is_empty()).then(|| comments.join("\n"));
        (made().map(|(by, _)| by.clone()).collect(), comment)
    }

    /// The newest vote of each person, but for approvals of a value that was replaced since.
    pub fn standing_votes(&self) -> impl Iterator<Item = (&String, &CastVote)> {
        self.votes.iter().filter(|(_, cast)| self.counts(cast, cast.vote))
    }

    /// Whether a vote is one for this decision.
    pub(crate) fn counts(&self, cast: &CastVote, vote: Vote) -> bool {
        cast.vote == vote && (vote != Vote::Approve || cast.edits == self.edits)
    }

    /// All remarks: `[{by, text, on, shown, line, quote}]`.
    pub(crate) fn remarks(&self) -> Vec<Value> {
        let mut remarks = Vec::new();
        for (by, cast) in &self.votes {
            if let Some(text) = &cast.comment {
                remarks.push(json!({
                    "by": by, "text": text, "on": null, "shown": null, "line": null, "quote": null,
                }));
            }
            remarks.extend(cast.comments.iter().map(|comment| {
                json!({
                    "by": by, "text": comment.text, "on": comment.on, "shown": comment.shown,
                    "line": comment.line, "quote": comment.quote,
                })
            }));
        }
        remarks
    }

    /// The remarks of the people who decided so, as text for the next attempt.
    pub(crate) fn remarks_text(&self, vote: Vote) -> Option<String> {
        let mut lines = Vec::new();
        for (by, cast) in self.votes.iter().filter(|(_, cast)| cast.vote == vote) {
            lines.extend(cast.comment.iter().map(|comment| format!("{by}: {comment}")));
            lines.extend(cast.comments.iter().map(|comment| remark(by, comment)));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// `ada on docs/brd.md:12 “must be fast”: say how fast`.
fn remark(by: &str, comment: &Comment) -> String {
    let mut place = String::new();
    if let Some(on) = &comment.on {
        place.push_str(&format!(" on {on}"));
    }
    if let Some(line) = comment.line {
        place.push_str(&format!("{}{line}", if comment.on.is_some() { ":" } else { " on line " }));
    }
    if let Some(quote) = &comment.quote {
        place.push_str(&format!(" “{quote}”"));
    }
    format!("{by}{place}: {}", comment.text)
}
