//! The indexes of the list: which terms are true of a run.
//!
//! Law: after [`update`] the exact terms are those of what the run shows. Parts of texts are only ever
//! added: whoever searches words looks at the rows that are found.

use std::collections::{BTreeMap, BTreeSet};

use everfold_engine::id::RunId;
use everfold_engine::state::RunStatus;
use serde::{Deserialize, Serialize};

use super::record::{Fixed, Record, Shown};
use crate::postings::{self, Changes, Condition, term};
use crate::projection::FoldError;
use crate::shelf::ShelfError;
use crate::tx::Tx;

const STATUS: u8 = b's';
const PIPELINE: u8 = b'p';
const LABEL: u8 = b'l';
const PARENT: u8 = b'o';
const STEP: u8 = b'a';
const STAGE: u8 = b'c';
const ROLE: u8 = b'r';
const GRAM: u8 = b'g';
const ID: u8 = b'd';

/// The role of what anyone may do.
const ANYONE: &str = "*";
/// Parts of texts that are looked for at once.
const TERMS_MAX: usize = 4_096;

/// What the indexes say of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Indexed {
    status: Option<RunStatus>,
    labels: BTreeMap<String, String>,
    steps: Vec<String>,
    stage: Option<String>,
    roles: BTreeSet<String>,
}

/// Brings a run's terms up to what it shows.
pub(super) fn update(tx: &mut Tx, terms: &mut Changes, number: u32, record: &mut Record) {
    let (fixed, shown) = (&record.fixed, &record.shown);
    let is_new = record.indexed.status.is_none();
    let old = &record.indexed;
    let stage = stage(shown);
    let roles = roles(shown);
    if is_new {
        terms.set(term(PIPELINE, &fixed.pipeline), number, true);
        terms.set(term(ID, &fixed.id.to_string()[..8]), number, true);
        if let Some(parent) = fixed.parent {
            terms.set(of_parent(parent), number, true);
        }
        tx.put(&short_key(fixed.id, number), vec![1]);
    }
    if old.status != Some(shown.status) {
        if let Some(status) = old.status {
            terms.set(term(STATUS, status.as_str()), number, false);
        }
        terms.set(term(STATUS, shown.status.as_str()), number, true);
    }
    change(terms, STEP, number, &old.steps, &shown.steps);
    change(terms, STAGE, number, old.stage.as_slice(), stage.as_slice());
    if old.roles != roles {
        let (old, new): (Vec<_>, Vec<_>) =
            (old.roles.iter().cloned().collect(), roles.iter().cloned().collect());
        change(terms, ROLE, number, &old, &new);
    }
    if is_new || old.labels != shown.labels {
        for (key, value) in &old.labels {
            if shown.labels.get(key) != Some(value) {
                terms.set(term(LABEL, &label(key, Some(value))), number, false);
            }
        }
        for (key, value) in &shown.labels {
            terms.set(term(LABEL, &label(key, None)), number, true);
            terms.set(term(LABEL, &label(key, Some(value))), number, true);
        }
        let mut grams = BTreeSet::new();
        texts(fixed, shown).for_each(|text| grams_of(text, &mut grams));
        for gram in grams {
            terms.set(term(GRAM, &gram), number, true);
        }
    }
    let steps = &shown.steps;
    let is_same = old.status == Some(shown.status) && old.labels == shown.labels;
    if !(is_same && old.steps == *steps && old.stage == stage && old.roles == roles) {
        record.indexed = Indexed {
            status: Some(shown.status),
            labels: shown.labels.clone(),
            steps: steps.clone(),
            stage,
            roles,
        };
    }
}

fn change(terms: &mut Changes, kind: u8, number: u32, old: &[String], new: &[String]) {
    for gone in old.iter().filter(|text| !new.contains(text)) {
        terms.set(term(kind, gone), number, false);
    }
    for come in new.iter().filter(|text| !old.contains(text)) {
        terms.set(term(kind, come), number, true);
    }
}

/// The column of a board of stages that a run stands in: the first step in progress, else its status.
pub(super) fn stage(shown: &Shown) -> Option<String> {
    if shown.status.is_ended() {
        return None;
    }
    Some(match shown.steps.first() {
        Some(step) => format!("step:{step}"),
        None => format!("status:{}", shown.status),
    })
}

fn roles(shown: &Shown) -> BTreeSet<String> {
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

fn of_parent(parent: RunId) -> Vec<u8> {
    term(PARENT, &parent.0.simple().to_string())
}

pub(super) fn status_is(status: RunStatus) -> Condition {
    Condition::Term(term(STATUS, status.as_str()))
}

pub(super) fn pipeline_is(name: &str) -> Condition {
    Condition::Term(term(PIPELINE, name))
}

pub(super) fn label_is(key: &str, value: Option<&String>) -> Condition {
    Condition::Term(term(LABEL, &label(key, value)))
}

pub(super) fn parent_is(parent: RunId) -> Condition {
    Condition::Term(of_parent(parent))
}

pub(super) fn step_is(step: &str) -> Condition {
    Condition::Term(term(STEP, step))
}

pub(super) fn stage_is(stage: &str) -> Condition {
    Condition::Term(term(STAGE, stage))
}

/// The stages that runs stand in now.
pub(super) fn stages(tx: &Tx) -> Result<Vec<String>, ShelfError> {
    let terms = postings::terms_with(tx, STAGE, "", TERMS_MAX)?;
    Ok(terms.into_iter().map(|term| String::from_utf8_lossy(&term[2..term.len() - 1]).into_owned()).collect())
}

pub(super) fn role_may(role: &str) -> Condition {
    let of = |role| Condition::Term(term(ROLE, role));
    Condition::Any(vec![of(role), of(ANYONE)])
}

/// The rows in which a word may stand: its parts stand in their texts, or their ids begin with it.
pub(super) fn may_mention(tx: &Tx, word: &str) -> Result<Condition, ShelfError> {
    let chars: Vec<char> = word.chars().collect();
    let mut any = Vec::new();
    if chars.len() < 3 {
        any.push(Condition::Term(term(GRAM, word)));
    } else {
        let parts =
            chars.windows(3).map(|part| Condition::Term(term(GRAM, &part.iter().collect::<String>())));
        any.push(Condition::All(parts.collect()));
    }
    if is_id_start(word) {
        let ids = postings::terms_with(tx, ID, &word[..word.len().min(8)], TERMS_MAX)?;
        any.extend(ids.into_iter().map(Condition::Term));
        any.push(Condition::Numbers(with_short(tx, word, TERMS_MAX)?));
    }
    Ok(Condition::Any(any))
}

/// Whether a word stands in what the run's lists show of it, as [`may_mention`] finds it.
pub(super) fn mentions(fixed: &Fixed, shown: &Shown, word: &str) -> bool {
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

fn texts<'a>(fixed: &'a Fixed, shown: &'a Shown) -> impl Iterator<Item = &'a str> {
    let labels = shown.labels.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
    [fixed.pipeline.as_str(), fixed.title.as_deref().unwrap_or_default()].into_iter().chain(labels)
}

/// Everything from the beginning of each word on.
fn starts(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.char_indices().filter_map(move |(at, char)| {
        let begins = char.is_alphanumeric() && !inside;
        inside = char.is_alphanumeric();
        begins.then(|| &text[at..])
    })
}

/// Every three characters in a row, and the first one and two of each word.
fn grams_of(text: &str, grams: &mut BTreeSet<String>) {
    let text = text.to_lowercase();
    let chars: Vec<char> = text.chars().collect();
    grams.extend(chars.windows(3).map(|part| part.iter().collect::<String>()));
    for start in starts(&text) {
        grams.insert(start.chars().take(1).collect());
        grams.insert(start.chars().take(2).collect());
    }
}

fn short_number(run: RunId) -> u32 {
    run.0.as_u128() as u32
}

/// The key under which a run is found by its short id.
pub(super) fn short_key(run: RunId, number: u32) -> [u8; 9] {
    let ([a, b, c, d], [e, f, g, h]) = (short_number(run).to_be_bytes(), number.to_be_bytes());
    [b'n', a, b, c, d, e, f, g, h]
}

/// The rows of runs whose short ids begin with these digits, in their order.
pub(super) fn with_short(tx: &Tx, start: &str, limit: usize) -> Result<Vec<u32>, ShelfError> {
    let Ok(digits) = u32::from_str_radix(start, 16) else { return Ok(Vec::new()) };
    if start.len() > 8 {
        return Ok(Vec::new());
    }
    let open = 32 - 4 * start.len() as u32;
    let low = u64::from(digits) << open;
    let high = low + (1_u64 << open);
    let bound = |number: u64| -> Vec<u8> {
        match u32::try_from(number) {
            Ok(number) => [&[b'n'][..], &number.to_be_bytes()].concat(),
            Err(_) => vec![b'n' + 1],
        }
    };
    let pairs = tx.scan(&bound(low), &bound(high), false, limit)?;
    let number = |key: &[u8]| key.get(5..9).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let mut numbers: Vec<u32> = pairs.iter().filter_map(|(key, _)| number(key)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Where a run may be found, by the last four bytes of its id.
pub(super) fn candidates(tx: &Tx, run: RunId) -> Result<Vec<u32>, FoldError> {
    Ok(with_short(tx, &format!("{:08x}", short_number(run)), TERMS_MAX)?)
}
