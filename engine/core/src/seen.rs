//! What is looked at again to see whether what people approved still is what it was.
//!
//! Law: pure; who looks is the edge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{SeenKind, SeenPart};
use everfold_language::definition::may_be_path;

/// The code of a failure because something is not what people approved: nothing was started. A step's `retry` covers it
/// only where `only` names it.
pub const CHANGED_CODE: &str = "CHANGED_SINCE_APPROVED";

/// The code of a failure because an approval that the step names was not given.
pub const NOT_APPROVED_CODE: &str = "NOT_APPROVED";

/// What is to be found in the workspace: the parameters of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookSpec {
    /// Files, by path; where true, one that is missing is reported as missing, else it is left out.
    pub files: BTreeMap<String, bool>,
    /// Whether the commit is wanted.
    pub commit: bool,
}

impl LookSpec {
    /// What must be looked at again to see whether these parts still are what they were. A text that may be a path is
    /// looked for, too: once a file lies there, readers are shown that in its place.
    #[must_use]
    pub fn of(parts: &[SeenPart]) -> Self {
        let files = parts.iter().filter(|part| part.kind != SeenKind::Commit && is_looked_at(part));
        Self {
            files: files.map(|part| (part.what.clone(), part.kind == SeenKind::File)).collect(),
            commit: parts.iter().any(|part| part.kind == SeenKind::Commit),
        }
    }

    /// Whether there is nothing to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.commit
    }
}

/// Whether a part lies in the workspace, or may come to lie there.
#[must_use]
pub fn is_looked_at(part: &SeenPart) -> bool {
    part.kind.is_measured() || may_become_a_file(part)
}

fn may_become_a_file(part: &SeenPart) -> bool {
    part.kind == SeenKind::Text && may_be_path(&part.what)
}

/// The parts in the workspace that are others than they were: `plan.md (was 0123456789ab, is missing)`, and the texts that
/// are files now.
#[must_use]
pub fn differences(were: &[SeenPart], found: &[SeenPart]) -> Vec<String> {
    let mut all = changes(were, found);
    all.extend(were.iter().filter(|part| may_become_a_file(part)).filter_map(|part| {
        let file = found.iter().find(|it| it.kind == SeenKind::File && it.what == part.what)?;
        file.hash.as_deref().map(|hash| format!("{} (was a text, is the file {})", part.what, cut(hash)))
    }));
    all
}

fn changes(were: &[SeenPart], found: &[SeenPart]) -> Vec<String> {
    let measured = were.iter().filter(|part| part.kind.is_measured());
    let is_now = |part: &SeenPart| found.iter().find(|it| it.kind == part.kind && it.what == part.what);
    measured
        .filter_map(|part| {
            let now = is_now(part).and_then(|now| now.hash.as_deref());
            let differs = now != part.hash.as_deref();
            let (was, is) = (short(part.hash.as_deref()), short(now));
            let name = if part.kind == SeenKind::Commit { "the commit" } else { part.what.as_str() };
            differs.then(|| format!("{name} (was {was}, is {is})"))
        })
        .collect()
}

/// A hash as people compare it.
fn short(hash: Option<&str>) -> String {
    match hash {
        None => "missing".to_owned(),
        Some(hash) => {
            let (commit, more) = hash.split_once('+').unwrap_or((hash, ""));
            let more = if more.is_empty() { String::new() } else { format!("+{}", cut(more)) };
            format!("{}{more}", cut(commit))
        }
    }
}

fn cut(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
