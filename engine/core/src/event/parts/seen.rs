//! What an approval showed, part by part. Frozen with the events that hold it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use everfold_base::id::Round;
use everfold_base::json::{Hash, JsonText};
use everfold_base::time::Timestamp;

/// What a part of an approval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenKind {
    /// What is asked.
    Title,
    /// A text.
    Text,
    /// The value that an approver may replace.
    Value,
    /// A file of the workspace.
    File,
    /// The commit of the workspace.
    Commit,
}

impl SeenKind {
    /// The word used in events and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Text => "text",
            Self::Value => "value",
            Self::File => "file",
            Self::Commit => "commit",
        }
    }

    /// Whether it lies in the workspace, where it may change while people are asked.
    #[must_use]
    pub fn is_measured(self) -> bool {
        matches!(self, Self::File | Self::Commit)
    }
}

/// A part of what an approval showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenPart {
    /// What it is.
    pub kind: SeenKind,
    /// The path of a file; of a text that may be a path all of it, else its beginning.
    pub what: String,
    /// BLAKE3 of the text, the value or the file's bytes; of a commit its id, behind that `+TREE` where the worktree
    /// holds more than the commit. Null: it was missing.
    pub hash: Option<String>,
}

/// An approval of a former round that counts on, because nothing that is shown has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVote {
    /// Whose.
    pub by: String,
    /// The round in which it was given.
    pub round: Round,
    /// When it was given.
    pub at: Timestamp,
    /// With which words.
    pub comment: Option<String>,
}

/// What an approval showed when people were asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// BLAKE3 of all parts: what a vote names.
    pub digest: Hash,
    /// The parts, in the order in which they are shown.
    pub parts: Vec<SeenPart>,
    /// Votes of former rounds that count on.
    pub kept: Vec<KeptVote>,
}

impl Seen {
    /// What these parts are together.
    #[must_use]
    pub fn new(parts: Vec<SeenPart>, kept: Vec<KeptVote>) -> Self {
        Self { digest: Self::digest_of(&parts), parts, kept }
    }

    /// A voter put a value, of this hash, in the place of the one that was shown.
    pub fn replace_value(&mut self, hash: Hash) {
        for part in self.parts.iter_mut().filter(|part| part.kind == SeenKind::Value) {
            part.hash = Some(hash.to_string());
        }
        self.digest = Self::digest_of(&self.parts);
    }

    /// BLAKE3 of the canonical JSON of `[[KIND, WHAT, HASH], …]`.
    #[must_use]
    pub fn digest_of(parts: &[SeenPart]) -> Hash {
        let parts = parts.iter().map(|part| json!([part.kind.as_str(), part.what, part.hash])).collect();
        JsonText::new(&parts).hash()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_apart_what_is_shown_and_in_which_order() {
        let part = |what: &str, hash: Option<&str>| SeenPart {
            kind: SeenKind::File,
            what: what.to_owned(),
            hash: hash.map(str::to_owned),
        };
        let digest = |parts: &[SeenPart]| Seen::digest_of(parts);
        let (a, b) = (part("a", Some("1")), part("b", Some("2")));
        assert_eq!(digest(&[a.clone(), b.clone()]), digest(&[a.clone(), b.clone()]));
        assert_ne!(digest(&[a.clone(), b.clone()]), digest(&[b, a.clone()]));
        assert_ne!(digest(&[a]), digest(&[part("a", None)]));
    }
}
