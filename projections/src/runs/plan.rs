//! What the indexes answer of an expression over runs.
//!
//! Law: a run that the expression is true of is among those that the plan leaves. What a run shows while it lives counts
//! only now, as in lists by simple conditions.

use std::collections::BTreeSet;

use everfold_base::id::RunId;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::state::RunStatus;
use everfold_language::expr::{Comparison, FieldCondition, ITEM};

use super::index_terms;
use super::row_state::STATUSES;
use crate::index::predicate::Predicate;

/// The part of an expression that indexes answer.
#[derive(Debug, Default)]
pub(super) struct RunPlan {
    pub(super) predicate: Option<Predicate>,
    /// Runs that began then or before are none.
    pub(super) started_after: Option<Timestamp>,
    /// The fields that are asked for by index, sorted.
    pub(super) by_index: Vec<String>,
}

impl RunPlan {
    /// The plan for a condition; of a past moment where not `now`.
    pub(super) fn of(condition: &FieldCondition, now: bool) -> Self {
        let mut fields = BTreeSet::new();
        let predicate = Planner { now, fields: &mut fields }.predicate(condition);
        let started_after = started_after(condition);
        if started_after.is_some() {
            fields.insert("started_at".to_owned());
        }
        Self { predicate, started_after, by_index: fields.into_iter().collect() }
    }
}

/// The latest time that all of a condition asks runs to have begun after.
fn started_after(condition: &FieldCondition) -> Option<Timestamp> {
    match condition {
        FieldCondition::All(parts) => parts.iter().filter_map(started_after).max(),
        FieldCondition::Compare { path, how, with } if path == &["started_at"] => {
            let Timestamp(time) = with.as_str()?.parse().ok()?;
            match how {
                Comparison::Greater => Some(Timestamp(time)),
                Comparison::GreaterOrEqual | Comparison::Equal => Some(Timestamp(time.saturating_sub(1))),
                Comparison::Less | Comparison::LessOrEqual | Comparison::Unequal => None,
            }
        }
        _other => None,
    }
}

struct Planner<'a> {
    now: bool,
    fields: &'a mut BTreeSet<String>,
}

impl Planner<'_> {
    /// `None`: any run may fit.
    fn predicate(&mut self, condition: &FieldCondition) -> Option<Predicate> {
        if let Some(statuses) = statuses(condition) {
            return Some(self.in_status(&statuses));
        }
        match condition {
            FieldCondition::All(parts) => {
                let all: Vec<Predicate> = parts.iter().filter_map(|part| self.predicate(part)).collect();
                (!all.is_empty()).then_some(Predicate::All(all))
            }
            FieldCondition::Any(parts) => {
                // One part that any run may fit leaves all of them; then none of the others is asked for.
                let before = self.fields.clone();
                let any: Option<Vec<Predicate>> = parts.iter().map(|part| self.predicate(part)).collect();
                if any.is_none() {
                    *self.fields = before;
                }
                any.map(Predicate::Any)
            }
            FieldCondition::OfItem(part) => self.predicate(part),
            FieldCondition::Compare { path, how: Comparison::Equal, with } => {
                self.one_of(path, std::slice::from_ref(with))
            }
            FieldCondition::Compare { path, how: Comparison::Unequal, with: Value::Null } => self.has(path),
            // What has an order is there.
            FieldCondition::Compare {
                path,
                how:
                    Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual,
                ..
            } if is_search(path) => self.has(path),
            FieldCondition::OneOf { path, values } => self.one_of(path, values),
            FieldCondition::Holds { path, value } => self.holds(path, value.as_str()?),
            FieldCondition::Has { path } => self.has(path),
            FieldCondition::Compare { .. } | FieldCondition::Not(_) | FieldCondition::Other => None,
        }
    }

    fn in_status(&mut self, statuses: &[RunStatus]) -> Predicate {
        self.fields.insert("status".to_owned());
        let settled = statuses.iter().filter(|status| self.now || status.is_ended());
        Predicate::Any(settled.map(|status| index_terms::status_is(*status)).collect())
    }

    fn one_of(&mut self, path: &[String], values: &[Value]) -> Option<Predicate> {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let term = |value: &Value| match parts.as_slice() {
            ["pipeline"] => Some(index_terms::pipeline_is(value.as_str()?)),
            ["number"] => Some(index_terms::number_is(value.as_u64()?)),
            ["labels", key] => Some(index_terms::label_is(key, Some(&value.as_str()?.to_owned()))),
            ["search", name] => index_terms::search_is(name, value),
            ["parent", "run"] => Some(index_terms::parent_is(run(value)?)),
            ["origin", "run"] => Some(index_terms::origin_is(run(value)?)),
            ["parent", "top"] => Some(index_terms::top_is(run(value)?)),
            _scanned => None,
        };
        let any: Vec<Predicate> = values.iter().map(term).collect::<Option<_>>()?;
        self.fields.insert(path.join("."));
        Some(Predicate::Any(any))
    }

    fn holds(&mut self, path: &[String], value: &str) -> Option<Predicate> {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let (field, predicate) = match parts.as_slice() {
            ["active_steps"] => ("active_steps".to_owned(), index_terms::step_is(value)),
            ["awaits", ITEM, "roles"] => ("awaits".to_owned(), index_terms::role_may(value)),
            ["search"] => (format!("search.{value}"), index_terms::search_has(value)),
            ["search", name] => (format!("search.{name}"), index_terms::search_holds(name, value)),
            ["labels"] => (format!("labels.{value}"), index_terms::label_is(value, None)),
            _scanned => return None,
        };
        self.fields.insert(field);
        Some(predicate)
    }

    fn has(&mut self, path: &[String]) -> Option<Predicate> {
        match path {
            [map, key] if map == "labels" || map == "search" => self.holds(&path[..1], key),
            _scanned => None,
        }
    }
}

fn is_search(path: &[String]) -> bool {
    matches!(path, [map, _] if map == "search")
}

/// The statuses that a condition leaves, where it is about nothing else.
fn statuses(condition: &FieldCondition) -> Option<Vec<RunStatus>> {
    let is_status = |path: &[String]| path == ["status"];
    let named = |values: &[Value]| -> Vec<RunStatus> {
        let is_named =
            |status: &RunStatus| values.iter().any(|value| value.as_str() == Some(status.as_str()));
        STATUSES.into_iter().filter(is_named).collect()
    };
    let others = |statuses: Vec<RunStatus>| -> Vec<RunStatus> {
        STATUSES.into_iter().filter(|status| !statuses.contains(status)).collect()
    };
    match condition {
        FieldCondition::Compare { path, how: Comparison::Equal, with } if is_status(path) => {
            Some(named(std::slice::from_ref(with)))
        }
        FieldCondition::Compare { path, how: Comparison::Unequal, with } if is_status(path) => {
            Some(others(named(std::slice::from_ref(with))))
        }
        FieldCondition::OneOf { path, values } if is_status(path) => Some(named(values)),
        FieldCondition::Not(part) => statuses(part).map(others),
        _other => None,
    }
}

/// A run that is written as rows write it.
fn run(value: &Value) -> Option<RunId> {
    let text = value.as_str()?;
    text.parse().ok().filter(|run: &RunId| run.to_string() == text)
}
