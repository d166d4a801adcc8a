//! What an approval shows, measured: what is looked for in the workspace, what was found, which votes count on.
//!
//! Law: a look and its result are facts of an attempt; the hashes of texts, the digest and the votes that count on follow
//! from the state alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::refusal::Refusal;
use super::scope::RunScope;
use crate::event::{KeptVote, Seen, SeenKind, SeenPart};
use crate::seen::{LookSpec, differences};
use crate::state::RunState;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{StepId, StepPath};
use everfold_base::json::{Hash, JsonText, Value};
use everfold_base::text::one_line;
use everfold_language::definition::{Approval, Step, may_be_path};
use everfold_language::expr::EvalError;

/// The most things that one approval shows.
const SHOWN_MAX: usize = 200;

/// The most letters of a text by which a part is named.
const NAME_CHARS_MAX: usize = 120;

/// One thing that is shown, rendered.
pub(super) struct ShownThing {
    pub(super) value: Value,
    /// It is a file, there or not.
    pub(super) is_file: bool,
}

impl ShownThing {
    /// The path under which it may lie in the workspace.
    fn path(&self) -> Option<&str> {
        self.value.as_str().filter(|text| self.is_file || may_be_path(text))
    }
}

/// What an approval must have looked up before people are asked.
pub(super) fn look(approval: &Approval, shown: &[ShownThing]) -> Result<LookSpec, Failure> {
    if shown.len() > SHOWN_MAX {
        let message = format!("the approval shows {} things; {SHOWN_MAX} are the most", shown.len());
        return Err(Failure::new(FailureKind::Validation, message)
            .with_hint("show a file that lists them, with their hashes"));
    }
    let mut files = BTreeMap::new();
    for thing in shown {
        if let Some(path) = thing.path() {
            *files.entry(path.to_owned()).or_insert(false) |= thing.is_file;
        }
    }
    Ok(LookSpec { files, commit: approval.commit })
}

/// The document of work that only looks.
pub(super) fn look_document(look: &LookSpec, approved: Value) -> Value {
    json!({"spec": look, "env": {}, "outputs": {}, "approved": approved})
}

/// What a look found, from its output.
pub(super) fn found(output: Value) -> Vec<SeenPart> {
    serde_json::from_value(output).unwrap_or_default()
}

/// Everything that an approval shows: title, texts, files, the value that may be replaced, the commit.
pub(super) fn parts(
    title: &str,
    shown: &[ShownThing],
    edit: Option<&Value>,
    found: &[SeenPart],
) -> Vec<SeenPart> {
    let text = |kind: SeenKind, value: &Value| {
        let whole = value.as_str().map_or_else(|| JsonText::new(value).as_str().to_owned(), str::to_owned);
        let hash = Some(Hash::of(whole.as_bytes()).to_string());
        let what = match kind {
            SeenKind::Title | SeenKind::Value => kind.as_str().to_owned(),
            // It is looked for by its whole name, at the vote and where it is used.
            SeenKind::Text if may_be_path(&whole) => whole,
            SeenKind::Text | SeenKind::File | SeenKind::Commit => begin_of(&whole),
        };
        SeenPart { kind, what, hash }
    };
    let file = |path: &str| found.iter().find(|part| part.kind == SeenKind::File && part.what == path);
    let mut parts = vec![text(SeenKind::Title, &Value::from(title))];
    parts.extend(shown.iter().map(|thing| match thing.path().and_then(file) {
        Some(file) => file.clone(),
        None => text(SeenKind::Text, &thing.value),
    }));
    parts.extend(edit.map(|value| text(SeenKind::Value, value)));
    parts.extend(found.iter().filter(|part| part.kind == SeenKind::Commit).cloned());
    parts
}

/// The first line of a text, cut where it is long.
fn begin_of(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = one_line(line);
    match line.char_indices().nth(NAME_CHARS_MAX) {
        None => line.into_owned(),
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

/// Approvals of the former round that count on: the pipeline says so, and nothing that is shown has changed.
pub(super) fn kept(
    state: &RunState,
    path: &StepPath,
    approval: &Approval,
    parts: &[SeenPart],
) -> Vec<KeptVote> {
    let former = state.facts.seen.newest(path).filter(|_| approval.keep_unchanged);
    let digest = Seen::digest_of(parts);
    let former = former.filter(|former| former.seen.digest == digest && former.original.is_none());
    former.map(|former| former.approvals.values().cloned().collect()).unwrap_or_default()
}

/// What a vote says of what was seen: the digest that it names, and what lies in the workspace at that moment.
pub(super) struct Sight<'a> {
    pub(super) named: Option<Hash>,
    pub(super) found: Option<&'a [SeenPart]>,
}

/// Refuses a vote on something else than what the task shows. `approves`: it lets the bytes pass, so these must be
/// the ones that were shown.
pub(super) fn check_sight(
    path: &StepPath,
    shown: Option<&Seen>,
    sight: &Sight<'_>,
    approves: bool,
) -> Result<(), Refusal> {
    let changed = |what: Vec<String>| Err(Refusal::Changed { path: path.clone(), what });
    if let Some(named) = sight.named
        && shown.is_none_or(|seen| seen.digest != named)
    {
        return changed(Vec::new());
    }
    let (Some(seen), Some(found), true) = (shown, sight.found, approves) else { return Ok(()) };
    let what = differences(&seen.parts, found);
    if what.is_empty() { Ok(()) } else { changed(what) }
}

/// What of an approval stands in the document of work that needs it.
#[derive(Serialize, Deserialize)]
pub(super) struct ApprovedPart {
    pub(super) step: StepId,
    /// Why it is not approved; null: it is.
    pub(super) refused: Option<String>,
    pub(super) parts: Vec<SeenPart>,
}

/// What the approvals that a step names let pass, for the document of its work: null where it names none. `others`: what an
/// approval would show otherwise now.
pub(super) fn approved(
    scope: &RunScope<'_>,
    step: &Step,
    others: impl Fn(&RunScope<'_>, &StepId) -> Result<Vec<String>, EvalError>,
) -> Result<Value, EvalError> {
    if step.approved.is_empty() {
        return Ok(Value::Null);
    }
    let of = |step: &StepId| {
        let (refused, parts) = match scope.state().approved_parts(step) {
            Err(why) => (Some(why.to_owned()), Vec::new()),
            Ok((_, parts)) => match others(scope, step)?.as_slice() {
                [] => (None, parts),
                what => (Some(format!("it would show another {} now", what.join(", "))), Vec::new()),
            },
        };
        Ok(ApprovedPart { step: step.clone(), refused, parts })
    };
    Ok(json!(step.approved.iter().map(of).collect::<Result<Vec<_>, EvalError>>()?))
}

/// What of an approval is not what it was, of the texts that the state renders; files and the commit are looked at in the
/// workspace. `now` was rendered without a look.
pub(super) fn rendered_otherwise(were: &[SeenPart], now: &[SeenPart]) -> Vec<String> {
    let were: Vec<&SeenPart> = were.iter().filter(|part| part.kind != SeenKind::Commit).collect();
    if were.len() != now.len() {
        return vec!["number of things".to_owned()];
    }
    let is_same = |was: &SeenPart, now: &SeenPart| match was.kind {
        SeenKind::File => was.what == now.what,
        _rendered => (was.kind, &was.hash) == (now.kind, &now.hash),
    };
    let differ = were.into_iter().zip(now).filter(|(was, now)| !is_same(was, now));
    differ
        .map(|(was, _)| match was.kind {
            SeenKind::Title | SeenKind::Value | SeenKind::Commit => was.kind.as_str().to_owned(),
            SeenKind::Text | SeenKind::File => {
                format!("{} in the place of “{}”", was.kind.as_str(), was.what)
            }
        })
        .collect()
}

/// Reads them back.
pub(super) fn approved_parts(document: Value) -> Vec<ApprovedPart> {
    serde_json::from_value(document).unwrap_or_default()
}
