//! What an approval shows, by its hashes.

use everfold_engine::event::{KeptVote, Seen, SeenKind, SeenPart};
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What an approval shows, by its hashes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Seen)]
pub struct SeenView {
    /// BLAKE3 of all parts: a vote names it.
    pub digest: String,
    /// The parts, in the order in which they are shown.
    pub parts: Vec<SeenPartView>,
    /// Votes of former rounds that count on, because nothing has changed.
    pub kept: Vec<KeptVoteView>,
}

/// A part of what an approval shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SeenPart)]
pub struct SeenPartView {
    /// What it is.
    #[schema(value_type = schema::SeenKindSchema)]
    pub kind: SeenKind,
    /// The path of a file; the beginning of a text.
    pub what: String,
    /// BLAKE3 of the text, the value or the file's bytes; of a commit its id, behind that `+TREE` where the worktree
    /// holds more. Null: it was missing.
    pub hash: Option<String>,
}

/// A vote of a former round that counts on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = KeptVote)]
pub struct KeptVoteView {
    /// Whose.
    pub by: String,
    /// The round in which it was given.
    pub round: u32,
    /// When it was given.
    #[schema(value_type = schema::TimeSchema)]
    pub at: Timestamp,
    /// With which words.
    pub comment: Option<String>,
}

impl SeenView {
    /// What names it on a command line, where it shows any bytes of the workspace.
    pub(super) fn option(&self) -> String {
        match self.parts.iter().any(|part| part.kind.is_measured()) {
            true => format!(" --seen {:.12}", self.digest),
            false => String::new(),
        }
    }

    pub(super) fn of(seen: &Seen) -> Self {
        let part = |part: &SeenPart| SeenPartView {
            kind: part.kind,
            what: part.what.clone(),
            hash: part.hash.clone(),
        };
        let kept = |vote: &KeptVote| KeptVoteView {
            by: vote.by.clone(),
            round: vote.round.0,
            at: vote.at,
            comment: vote.comment.clone(),
        };
        Self {
            digest: seen.digest.to_string(),
            parts: seen.parts.iter().map(part).collect(),
            kept: seen.kept.iter().map(kept).collect(),
        }
    }
}
