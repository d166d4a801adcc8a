//! What people decide and answer.

use serde_json::Value;

use super::construct::{Construct as _, construct};
use super::remind::Remind;
use super::route::Routes;
use super::value::{Data, Flag, Number, Pause, Text, Texts, Word};
use crate::definition::Vote;

construct! {
    /// People approve, reject, or ask for changes.
    Approval
    set {
        /// What they are shown: texts and paths. See also [`Approval::show_file`].
        show "show": Texts;
        /// Whether the commit of the workspace is shown, too.
        commit "commit": Flag;
        /// The one value that they may replace.
        edit "edit": Text;
        /// Who may decide; without it anyone.
        roles "roles": Texts;
        /// How many must approve.
        quorum "quorum": Number;
        /// Whether one refusal decides.
        veto "veto": Flag;
        /// Whether who began the run may approve.
        self_approval "self_approval": Flag;
        /// How long they have.
        timeout "timeout": Pause;
        /// What follows when no decision came in time.
        on_timeout "on_timeout": Routes;
        /// When they are reminded.
        remind "remind": Remind;
        /// What follows when changes are asked for; without it that cannot be asked.
        on_changes "on_changes": Routes;
        /// What follows a rejection.
        on_reject "on_reject": Routes;
    }
    also ["title", "comment", "keep"]
}

impl Approval {
    /// What is asked, in one line.
    pub fn new(title: impl Into<Text>) -> Self {
        let title: Text = title.into();
        Self::empty().with_key("title", title)
    }

    /// Shows a file of the workspace, there or not, beside what is shown so far.
    pub fn show_file(mut self, path: impl Into<Text>) -> Self {
        let path: Text = path.into();
        let file = serde_json::json!({ "file": Value::from(path) });
        match self.keys().get_mut("show") {
            Some(Value::Array(shown)) => shown.push(file),
            _nothing_yet => return self.with_key("show", Value::Array(vec![file])),
        }
        self
    }

    /// Approvals of a former round count on where nothing that is shown has changed.
    pub fn keep_unchanged(self) -> Self {
        self.with_key("keep", "unchanged")
    }

    /// Decisions that need a comment.
    pub fn comment(self, votes: impl IntoIterator<Item = Vote>) -> Self {
        let votes: Value = votes.into_iter().map(|vote| Value::from(Word::from(vote))).collect();
        self.with_key("comment", votes)
    }
}

construct! {
    /// People answer.
    Question
    set {
        /// The question at length.
        text "text": Text;
        /// What may be chosen: texts, or one whole `${…}`.
        options "options": Data;
        /// The JSON Schema of the answer.
        schema "schema": Data;
        /// Whether an answer will do, over `answer`.
        accept "accept": Text;
        /// Who may answer; without it anyone.
        roles "roles": Texts;
        /// How long they have.
        timeout "timeout": Pause;
        /// What follows when no answer came in time.
        on_timeout "on_timeout": Routes;
        /// When they are reminded.
        remind "remind": Remind;
        /// Parts as one whole `${…}` gives them, instead of [`Question::part`].
        parts "items": Text;
    }
    push {
        /// A part that is answered by itself: a text, or [`Part`].
        part "items": Part;
    }
    also ["title"]
}

impl Question {
    /// What is asked, in one line.
    pub fn new(title: impl Into<Text>) -> Self {
        let title: Text = title.into();
        Self::empty().with_key("title", title)
    }
}

/// A part of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Part(Value);

impl Part {
    /// A part with a name of its own.
    #[must_use]
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self(serde_json::json!({ "id": id.into(), "text": text.into() }))
    }

    /// What may be chosen.
    #[must_use]
    pub fn options(mut self, options: impl Into<Texts>) -> Self {
        let options: Texts = options.into();
        if let Value::Object(part) = &mut self.0 {
            part.insert("options".to_owned(), options.into());
        }
        self
    }

    /// It may stay open.
    #[must_use]
    pub fn optional(mut self) -> Self {
        if let Value::Object(part) = &mut self.0 {
            part.insert("optional".to_owned(), true.into());
        }
        self
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<Part> for Value {
    fn from(part: Part) -> Self {
        part.0
    }
}

construct! {
    /// Questions that the work of a step may ask.
    Ask
    set {
        /// How many in one round.
        max "max": Number;
        /// Who may answer; without it anyone.
        roles "roles": Texts;
        /// How long they have.
        timeout "timeout": Pause;
        /// What follows when no answer came in time.
        on_timeout "on_timeout": Routes;
        /// When they are reminded.
        remind "remind": Remind;
    }
}

impl Ask {
    /// At most so many questions in one round.
    pub fn at_most(max: impl Into<Number>) -> Self {
        Self::empty().max(max)
    }
}
