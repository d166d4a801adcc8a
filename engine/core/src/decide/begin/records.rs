//! Records of settings documents: those that fit their schema are kept, the others are left out.
//!
//! Law: pure, and before the parts of a document are put together, so that of a record that is left out the next part's
//! counts. What was left out, and why, is said.

use std::collections::BTreeMap;

use everfold_base::json::Value;
use everfold_language::definition::input::Checker;
use everfold_language::definition::similar;
use serde::Serialize;

/// Records that are named; of more it is said how many there are.
const NAMED_MAX: usize = 100;
/// Characters of what is wrong with a record.
const PROBLEM_CHARS_MAX: usize = 200;

/// A record that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedRecord {
    /// Its place: `DOCUMENT.KEY.NAME`.
    pub record: String,
    /// What is wrong with it.
    pub problem: String,
    /// It counts all the same: what is named is a key that nothing reads.
    #[serde(skip)]
    pub is_kept: bool,
}

/// Leaves records out of a part of the document `name` that do not fit the schema of their place in `rules`; defaults of
/// the schemas are filled in.
pub fn keep_sound(rules: &BTreeMap<String, Value>, name: &str, part: &mut Value) -> Vec<SkippedRecord> {
    let mut skipped = Vec::new();
    for (path, schema) in rules {
        let mut keys = path.split('.');
        if keys.next() != Some(name) {
            continue;
        }
        // The check of the pipeline compiled it.
        let Ok(checker) = Checker::new(schema) else { continue };
        let keys: Vec<&str> = keys.collect();
        RecordRule { path, schema, checker: &checker }.clean(part, &keys, &mut skipped);
    }
    skipped
}

/// The list of what was left out, as settings and evidence show it.
#[must_use]
pub fn skipped_list(skipped: &[SkippedRecord]) -> Value {
    let mut list: Vec<Value> =
        skipped.iter().take(NAMED_MAX).map(|record| serde_json::json!(record)).collect();
    if skipped.len() > NAMED_MAX {
        let more = skipped.len() - NAMED_MAX;
        list.push(serde_json::json!({ "record": "", "problem": format!("and {more} more") }));
    }
    Value::Array(list)
}

/// The list where some documents are others now: theirs is `now`, that of the others stays as it was.
#[must_use]
pub fn skipped_again(former: Option<&Value>, is_replaced: impl Fn(&str) -> bool, now: Value) -> Value {
    let document = |entry: &Value| {
        entry["record"].as_str().and_then(|place| place.split('.').next()).map(ToOwned::to_owned)
    };
    let stays = |entry: &&Value| document(entry).is_none_or(|name| !is_replaced(&name));
    let former = former.and_then(Value::as_array).into_iter().flatten().filter(stays).cloned();
    let now = if let Value::Array(now) = now { now } else { Vec::new() };
    Value::Array(former.chain(now).take(NAMED_MAX + 1).collect())
}

struct RecordRule<'a> {
    path: &'a str,
    schema: &'a Value,
    checker: &'a Checker,
}

impl RecordRule<'_> {
    fn clean(&self, value: &mut Value, keys: &[&str], skipped: &mut Vec<SkippedRecord>) {
        let Some((key, rest)) = keys.split_first() else { return self.keep(value, skipped) };
        let Some(map) = value.as_object_mut() else { return };
        let Some(inner) = map.get_mut(*key) else { return };
        if rest.is_empty() && !inner.is_object() && !inner.is_array() {
            map.remove(*key);
            let problem = "is no map and no list of records".to_owned();
            skipped.push(SkippedRecord { record: self.path.to_owned(), problem, is_kept: false });
            return;
        }
        let had_records = inner.as_array().is_some_and(|list| !list.is_empty());
        self.clean(inner, rest, skipped);
        // A list takes the place of a later part's whole: one of which nothing is left would hide those that are sound.
        if rest.is_empty() && had_records && inner.as_array().is_some_and(Vec::is_empty) {
            map.remove(*key);
        }
    }

    fn keep(&self, records: &mut Value, skipped: &mut Vec<SkippedRecord>) {
        match records {
            Value::Object(map) => {
                let all = std::mem::take(map).into_iter();
                map.extend(all.filter_map(|(name, record)| {
                    Some((name.clone(), self.fitting(&name, &record, skipped)?))
                }));
            }
            Value::Array(list) => {
                let all = std::mem::take(list).into_iter().enumerate();
                list.extend(all.filter_map(|(at, record)| self.fitting(&at.to_string(), &record, skipped)));
            }
            _no_records => {}
        }
    }

    /// The record with its defaults; `None`: it does not fit.
    fn fitting(&self, name: &str, record: &Value, skipped: &mut Vec<SkippedRecord>) -> Option<Value> {
        let problems = match self.checker.check(record) {
            Ok(sound) => {
                skipped.extend(self.misspelt(name, record));
                return Some(sound);
            }
            Err(problems) => problems,
        };
        let problem = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
        let problem = problem.chars().take(PROBLEM_CHARS_MAX).collect();
        skipped.push(SkippedRecord { record: format!("{}.{name}", self.path), problem, is_kept: false });
        None
    }

    /// Keys of a record that are nearly one that the schema names, and that the record has not.
    fn misspelt(&self, name: &str, record: &Value) -> Vec<SkippedRecord> {
        let (Some(known), Some(keys)) = (self.schema["properties"].as_object(), record.as_object()) else {
            return Vec::new();
        };
        let unknown = keys.keys().filter(|key| !known.contains_key(*key));
        let near = unknown.filter_map(|key| {
            let near =
                similar(key, known.keys().map(String::as_str).filter(|known| !keys.contains_key(*known)))?;
            let problem =
                format!("nothing reads this key; did you mean {near}? The record counts without it");
            Some(SkippedRecord { record: format!("{}.{name}.{key}", self.path), problem, is_kept: true })
        });
        near.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::begin::merge;

    #[test]
    fn a_broken_record_is_left_out_and_the_next_part_has_its_turn() {
        let schema = json!({
            "type": "object", "required": ["repo"],
            "properties": {"repo": {"type": "string"}, "branch": {"type": "string", "default": "main"}},
        });
        let rules =
            BTreeMap::from([("team.projects".to_owned(), schema), ("other".to_owned(), json!(false))]);
        let mut file = json!({"projects": {"web": {"repo": "w"}, "old": {"repo": 7}, "api": "x"}, "lane": 1});
        let skipped = keep_sound(&rules, "team", &mut file);
        assert_eq!(file, json!({"projects": {"web": {"repo": "w", "branch": "main"}}, "lane": 1}));
        let places: Vec<&str> = skipped.iter().map(|record| record.record.as_str()).collect();
        assert_eq!(places, ["team.projects.api", "team.projects.old"]);
        assert!(skipped.iter().all(|record| !record.problem.is_empty()), "{skipped:?}");
        let defaults = json!({"projects": {"old": {"repo": "o"}}});
        let whole = merge([file, defaults]).unwrap();
        assert_eq!(whole["projects"]["old"], json!({"repo": "o"}), "its default counts");
        // What is no collection at all is left out as a whole.
        let mut odd = json!({"projects": "none", "lane": 1});
        assert_eq!(keep_sound(&rules, "team", &mut odd).len(), 1);
        assert_eq!(odd, json!({"lane": 1}));
        let mut list = json!({"projects": [{"repo": "a"}, {}]});
        assert_eq!(keep_sound(&rules, "team", &mut list)[0].record, "team.projects.1");
        assert_eq!(list["projects"].as_array().unwrap().len(), 1);
        // Of a list of which none is left the next part's counts; an empty one is what it says.
        let mut broken = json!({"projects": [{}, 7]});
        assert_eq!(keep_sound(&rules, "team", &mut broken).len(), 2);
        let whole = merge([broken, json!({"projects": [{"repo": "d"}]})]).unwrap();
        assert_eq!(whole, json!({"projects": [{"repo": "d"}]}));
        let mut none = json!({"projects": []});
        assert!(keep_sound(&rules, "team", &mut none).is_empty() && none == json!({"projects": []}));
        let many: Vec<SkippedRecord> = (0..150)
            .map(|at| SkippedRecord { record: at.to_string(), problem: "bad".to_owned(), is_kept: false })
            .collect();
        assert_eq!(skipped_list(&many).as_array().unwrap().len(), 101);
    }

    #[test]
    fn a_key_that_is_nearly_a_known_one_is_told_and_its_record_counts() {
        let schema = json!({"type": "object", "properties": {"repo": {}, "branch": {"default": "main"}}});
        let rules = BTreeMap::from([("team.projects".to_owned(), schema)]);
        let mut file = json!({"projects": {"web": {"repo": "w", "brnch": "next", "owner": "ada"}}});
        let told = keep_sound(&rules, "team", &mut file);
        assert_eq!(file["projects"]["web"]["repo"], "w");
        assert_eq!(told.len(), 1, "other keys are the pipeline's own: {told:?}");
        assert_eq!((told[0].record.as_str(), told[0].is_kept), ("team.projects.web.brnch", true));
        assert!(told[0].problem.contains("did you mean branch?"), "{told:?}");
    }

    #[test]
    fn what_was_left_out_of_a_document_that_is_replaced_is_listed_no_more() {
        let entry = |record: &str| json!({"record": record, "problem": "bad"});
        let former = json!([entry("team.projects.old"), entry("lanes.0")]);
        let again = |former: Option<&Value>, now: Value| skipped_again(former, |name| name == "team", now);
        assert_eq!(again(Some(&former), json!([])), json!([entry("lanes.0")]));
        let now = json!([entry("team.projects.new")]);
        assert_eq!(again(Some(&former), now.clone()), json!([entry("lanes.0"), entry("team.projects.new")]));
        assert_eq!(again(None, now.clone()), now);
        let many: Vec<Value> = (0..150).map(|at| entry(&format!("lanes.{at}"))).collect();
        assert_eq!(again(Some(&Value::Array(many)), now).as_array().unwrap().len(), 101);
    }
}
