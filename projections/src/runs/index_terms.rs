//! The indexes of the list: which terms are true of a run.
//!
//! Law: after [`update`] the exact terms are those of what the run shows. What never changes of a run, and
//! parts of texts, are only ever added: a search for words checks each row that it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use everfold_base::id::{RunId, StepId};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::event::SearchValue;
use everfold_core::state::RunStatus;

use super::row::RowIdentity;
use super::row_state::RowState;
use crate::columns::{NO_PLACE, StepColumns};
use crate::index::bitmap_index::{self, TermChanges, term};
use crate::index::predicate::Predicate;
use crate::index::short_ids;
use crate::snapshot::{KeyReader, ReadSnapshot};
use crate::storage::StorageError;

const STATUS: u8 = b's';
const PIPELINE: u8 = b'p';
const LABEL: u8 = b'l';
const PARENT: u8 = b'o';
const TOP: u8 = b't';
const ORIGIN: u8 = b'f';
const STEP: u8 = b'a';
const STAGE: u8 = b'c';
const ROLE: u8 = b'r';
const GRAM: u8 = b'g';
const ID: u8 = b'd';
const NUMBER: u8 = b'n';
const SEARCH: u8 = b'v';

/// The role of what anyone may do.
const ANYONE: &str = "*";
/// Parts of texts that are searched at once.
const TERMS_MAX: usize = 4_096;

/// What the indexes say of a run: what it showed when they last followed. It is not stored, for a row is
/// written after its indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct IndexedTerms {
    status: Option<RunStatus>,
    labels: Arc<BTreeMap<String, String>>,
    search: Arc<BTreeMap<String, SearchValue>>,
    steps: Vec<StepId>,
    roles: BTreeSet<String>,
}

impl IndexedTerms {
    pub(super) fn of(shown: &RowState) -> Self {
        Self {
            status: Some(shown.status),
            labels: Arc::clone(&shown.labels),
            search: Arc::clone(&shown.search),
            steps: shown.steps.clone(),
            roles: roles(shown),
        }
    }

    /// The column of a board of stages that the run stood in.
    fn stage(&self, stages: Option<&StepColumns>) -> Option<String> {
        stage_of(self.status?, &self.steps, stages)
    }
}

/// A row as its terms are made of it, and the terms that the indexes have.
pub(super) struct RowTerms<'a> {
    pub(super) fixed: &'a RowIdentity,
    pub(super) shown: &'a RowState,
    /// The columns of its definition.
    pub(super) stages: Option<&'a StepColumns>,
    pub(super) indexed: &'a mut IndexedTerms,
}

/// Brings a run's terms up to what it shows.
pub(super) fn update(terms: &mut TermChanges, number: u32, row: RowTerms<'_>) {
    let RowTerms { fixed, shown, stages, indexed } = row;
    let old = &*indexed;
    let is_new = old.status.is_none();
    let is_elsewhere = old.steps != shown.steps;
    let has_other_labels = !Arc::ptr_eq(&old.labels, &shown.labels) && old.labels != shown.labels;
    let roles = if shown.awaits.is_empty() { BTreeSet::new() } else { roles(shown) };
    let has_other_search = !Arc::ptr_eq(&old.search, &shown.search) && old.search != shown.search;
    let has_others = has_other_labels || has_other_search;
    if old.status == Some(shown.status) && !is_elsewhere && !has_others && old.roles == roles {
        return;
    }
    if is_new {
        terms.add(PIPELINE, &fixed.pipeline, number);
        add_window(terms, fixed.id, number);
        if let Some(given) = fixed.number {
            terms.add(NUMBER, &given.to_string(), number);
        }
        if let Some(parent) = &fixed.parent {
            terms.add(PARENT, &digits(parent.run), number);
            terms.add(TOP, &digits(parent.top), number);
        }
        if let Some(origin) = &fixed.origin {
            terms.add(ORIGIN, &digits(origin.run), number);
        }
    }
    if old.status != Some(shown.status) {
        if let Some(status) = old.status {
            terms.set(STATUS, status.as_str(), number, false);
        }
        terms.set(STATUS, shown.status.as_str(), number, true);
    }
    let (before, stage) = (old.stage(stages), stage(shown, stages));
    if is_elsewhere {
        change(terms, STEP, number, &old.steps, &shown.steps);
    }
    change(terms, STAGE, number, before.as_slice(), stage.as_slice());
    if old.roles != roles {
        let (old, new): (Vec<_>, Vec<_>) =
            (old.roles.iter().cloned().collect(), roles.iter().cloned().collect());
        change(terms, ROLE, number, &old, &new);
    }
    if is_new || has_other_labels {
        for (key, value) in &*old.labels {
            if shown.labels.get(key) != Some(value) {
                terms.set(LABEL, &label(key, Some(value)), number, false);
            }
        }
        for (key, value) in &*shown.labels {
            terms.set(LABEL, key, number, true);
            terms.set(LABEL, &label(key, Some(value)), number, true);
        }
        texts(fixed, shown).for_each(|text| grams_of(text, |gram| terms.add(GRAM, gram, number)));
    }
    if has_other_search {
        change(terms, SEARCH, number, &search_terms(&old.search), &search_terms(&shown.search));
    }
    indexed.status = Some(shown.status);
    if is_elsewhere {
        indexed.steps.clone_from(&shown.steps);
    }
    indexed.labels = Arc::clone(&shown.labels);
    indexed.search = Arc::clone(&shown.search);
    indexed.roles = roles;
}

fn change<T: AsRef<str> + PartialEq>(terms: &mut TermChanges, kind: u8, number: u32, old: &[T], new: &[T]) {
    for gone in old.iter().filter(|text| !new.contains(text)) {
        terms.set(kind, gone.as_ref(), number, false);
    }
    for come in new.iter().filter(|text| !old.contains(text)) {
        terms.set(kind, come.as_ref(), number, true);
    }
}

/// The column of a board of stages that a run stands in: that of the first step in progress, else its status.
/// Columns stand in the order of these texts.
pub(super) fn stage(shown: &RowState, stages: Option<&StepColumns>) -> Option<String> {
    stage_of(shown.status, &shown.steps, stages)
}

fn stage_of(status: RunStatus, steps: &[StepId], stages: Option<&StepColumns>) -> Option<String> {
    if status.is_ended() {
        return None;
    }
    let named = stages.and_then(|stages| stages.first(steps));
    Some(match named.or_else(|| Some((NO_PLACE, steps.first()?.as_str()))) {
        Some((place, name)) => format!("step:{place:05}:{name}"),
        None => format!("status:{status}"),
    })
}

/// What such a text says: whether the column is of a step, and its name.
pub(super) fn column_of_stage(stage: &str) -> Option<(bool, &str)> {
    match stage.split_once(':')? {
        ("step", rest) => Some((true, rest.split_once(':')?.1)),
        (_status, name) => Some((false, name)),
    }
}

fn roles(shown: &RowState) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    for awaits in &shown.awaits {
        if awaits.roles.is_empty() {
            roles.insert(ANYONE.to_owned());
        }
        roles.extend(awaits.roles.iter().cloned());
    }
    roles
}

fn label(key: &str, value: Option<&String>) -> String {
    match value {
        Some(value) => format!("{key}\u{1}{value}"),
        None => key.to_owned(),
    }
}

/// The terms of search attributes: each by its name, by its value, and a list by each of its texts.
fn search_terms(search: &BTreeMap<String, SearchValue>) -> Vec<String> {
    let mut terms = Vec::new();
    for (name, value) in search {
        terms.push(name.clone());
        match value {
            SearchValue::Texts(texts) => terms.extend(texts.iter().map(|text| search_item(name, text))),
            _one => terms.extend(search_term(name, &value.json())),
        }
    }
    terms.sort_unstable();
    terms.dedup();
    terms
}

fn search_item(name: &str, text: &str) -> String {
    format!("{name}\u{1}i{text}")
}

/// The term of a value; `None`: values like it have none. Numbers that are equal in expressions have the same.
fn search_term(name: &str, value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => format!("{name}\u{1}t{text}"),
        Value::Bool(flag) => format!("{name}\u{1}b{flag}"),
        // `+ 0.0` makes 0 of -0.
        Value::Number(number) => format!("{name}\u{1}n{}", number.as_f64()? + 0.0),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    })
}

/// A search attribute has this value, or may have.
pub(super) fn search_is(name: &str, value: &Value) -> Option<Predicate> {
    let of = |value: &Value| search_term(name, value).map(|text| Predicate::Term(term(SEARCH, &text)));
    // A time may be written otherwise than it is stored.
    let time = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let time = time.and_then(|time| of(&Value::String(time.to_string())));
    Some(Predicate::Any(std::iter::once(of(value)?).chain(time).collect()))
}

/// It has the search attribute.
pub(super) fn search_has(name: &str) -> Predicate {
    Predicate::Term(term(SEARCH, name))
}

/// A text is in the list of a search attribute.
pub(super) fn search_holds(name: &str, text: &str) -> Predicate {
    Predicate::Term(term(SEARCH, &search_item(name, text)))
}

/// The first eight digits of an id: of one that a clock drew, which minute it was.
pub(super) fn window_of(run: RunId) -> u32 {
    (run.0.as_u128() >> 96) as u32
}

/// Notes the window of a new row.
pub(super) fn add_window(terms: &mut TermChanges, run: RunId, number: u32) {
    terms.add(ID, &format!("{:08x}", window_of(run)), number);
}

/// Shows the rows of a window among the first `count`, each with the last eight digits of its id.
pub(super) fn walk_window(
    batch: &dyn KeyReader,
    count: u32,
    window: u32,
    mut each: impl FnMut(u32, u32),
) -> Result<(), StorageError> {
    let mut shorts = short_ids::ShortIdReader::new(batch);
    let condition = Predicate::Term(term(ID, &format!("{window:08x}")));
    condition.walk(batch, 0..count, true, |number| {
        if let Some(short) = shorts.at(number)? {
            each(number, short);
        }
        Ok(ControlFlow::<()>::Continue(()))
    })?;
    Ok(())
}

fn digits(run: RunId) -> String {
    run.0.simple().to_string()
}

pub(super) fn status_is(status: RunStatus) -> Predicate {
    Predicate::Term(term(STATUS, status.as_str()))
}

pub(super) fn pipeline_is(name: &str) -> Predicate {
    Predicate::Term(term(PIPELINE, name))
}

pub(super) fn number_is(given: u64) -> Predicate {
    Predicate::Term(term(NUMBER, &given.to_string()))
}

pub(super) fn label_is(key: &str, value: Option<&String>) -> Predicate {
    Predicate::Term(term(LABEL, &label(key, value)))
}

pub(super) fn parent_is(parent: RunId) -> Predicate {
    Predicate::Term(term(PARENT, &digits(parent)))
}

/// Those that began with its history.
pub(super) fn origin_is(origin: RunId) -> Predicate {
    Predicate::Term(term(ORIGIN, &digits(origin)))
}

/// Those below it, at whatever depth.
pub(super) fn top_is(top: RunId) -> Predicate {
    Predicate::Term(term(TOP, &digits(top)))
}

pub(super) fn step_is(step: &str) -> Predicate {
    Predicate::Term(term(STEP, step))
}

pub(super) fn stage_is(stage: &str) -> Predicate {
    Predicate::Term(term(STAGE, stage))
}

/// The stages that runs stand in now.
pub(super) fn stages(batch: &ReadSnapshot<'_>) -> Result<Vec<String>, StorageError> {
    let terms = bitmap_index::terms_with(batch, STAGE, "", TERMS_MAX)?;
    Ok(terms.into_iter().map(|term| String::from_utf8_lossy(&term[2..term.len() - 1]).into_owned()).collect())
}

pub(super) fn role_may(role: &str) -> Predicate {
    let of = |role| Predicate::Term(term(ROLE, role));
    Predicate::Any(vec![of(role), of(ANYONE)])
}

/// The rows in which a word may stand: its parts stand in their texts, or their ids begin with it.
pub(super) fn may_mention(
    batch: &ReadSnapshot<'_>,
    count: u32,
    word: &str,
) -> Result<Predicate, StorageError> {
    let chars: Vec<char> = word.chars().collect();
    let mut any = Vec::new();
    if chars.len() < 3 {
        any.push(Predicate::Term(term(GRAM, word)));
    } else {
        let parts =
            chars.windows(3).map(|part| Predicate::Term(term(GRAM, &part.iter().collect::<String>())));
        any.push(Predicate::All(parts.collect()));
    }
    if is_id_start(word) {
        let ids = bitmap_index::terms_with(batch, ID, &word[..word.len().min(8)], TERMS_MAX)?;
        any.extend(ids.into_iter().map(Predicate::Term));
        any.push(Predicate::Numbers(short_ids::starting(batch, count, word, usize::MAX)?));
    }
    Ok(Predicate::Any(any))
}

/// Whether a word stands in what the run's lists show of it, as [`may_mention`] finds it.
pub(super) fn mentions(fixed: &RowIdentity, shown: &RowState, word: &str) -> bool {
    let in_text = |text: &str| {
        let text = text.to_lowercase();
        if word.chars().count() >= 3 {
            text.contains(word)
        } else {
            starts(&text).any(|start| start.starts_with(word))
        }
    };
    let in_id = || {
        is_id_start(word) && (fixed.id.to_string().starts_with(word) || fixed.id.short().starts_with(word))
    };
    texts(fixed, shown).any(in_text) || in_id()
}

fn is_id_start(word: &str) -> bool {
    word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn texts<'a>(fixed: &'a RowIdentity, shown: &'a RowState) -> impl Iterator<Item = &'a str> {
    let labels = shown.labels.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
    [fixed.pipeline.as_str(), fixed.title.as_deref().unwrap_or_default()].into_iter().chain(labels)
}

/// Everything from the beginning of each word on, and from each sign that is neither of a word nor a blank: `#12` is
/// found by `#1`, and an emoji by itself.
fn starts(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.char_indices().filter_map(move |(at, char)| {
        let begins = if char.is_alphanumeric() { !inside } else { !char.is_whitespace() };
        inside = char.is_alphanumeric();
        begins.then(|| &text[at..])
    })
}

/// Every three characters in a row, and the first one and two of each word and from each sign on.
fn grams_of(text: &str, gram: impl FnMut(&str)) {
    let text = text.to_lowercase();
    if text.is_ascii() { grams_of_ascii(&text, gram) } else { grams_of_any(&text, gram) }
}

/// The same where each character is a byte, as most are.
fn grams_of_ascii(text: &str, mut gram: impl FnMut(&str)) {
    (3..=text.len()).for_each(|end| gram(&text[end - 3..end]));
    let mut inside = false;
    for (at, byte) in text.bytes().enumerate() {
        let is_inside = byte.is_ascii_alphanumeric();
        let begins = if is_inside { !inside } else { !char::from(byte).is_whitespace() };
        if begins {
            gram(&text[at..=at]);
            gram(&text[at..text.len().min(at + 2)]);
        }
        inside = is_inside;
    }
}

fn grams_of_any(text: &str, mut gram: impl FnMut(&str)) {
    // The ends of the last three characters and their beginning.
    let mut ends = [0; 3];
    for (at, char) in text.char_indices() {
        let end = at + char.len_utf8();
        let from = ends[0];
        ends = [ends[1], ends[2], end];
        if ends[0] > 0 {
            gram(&text[from..end]);
        }
    }
    for start in starts(text) {
        let mut chars = start.char_indices().skip(1).map(|(at, _)| at);
        gram(&start[..chars.next().unwrap_or(start.len())]);
        gram(&start[..chars.next().unwrap_or(start.len())]);
    }
}

/// Where a run may be found: the row among the first `count`, by both ends of its id.
pub(super) fn candidates(batch: &dyn KeyReader, count: u32, run: RunId) -> Result<Vec<u32>, StorageError> {
    let (wanted, mut found) = (short_ids::of(run), Vec::new());
    walk_window(batch, count, window_of(run), |number, short| {
        if short == wanted {
            found.push(number);
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_bytes_have_the_parts_that_they_have_as_characters() {
        for text in ["", "a", "ab", "a b", "fix the login-page #42", "  two  spaces ", "x1-", "-"] {
            let (mut quick, mut any) = (Vec::new(), Vec::new());
            grams_of_ascii(text, |gram| quick.push(gram.to_owned()));
            grams_of_any(text, |gram| any.push(gram.to_owned()));
            assert_eq!(quick, any, "{text:?}");
        }
    }
}
