//! Keys of `projects.yaml` that nothing reads.
//!
//! Law: what is read is found in the pipeline itself, so that no second list of its settings is kept. A key whose inside
//! is read as a whole, or by a computed name, may hold anything.

use std::collections::{BTreeMap, BTreeSet};

use everfold_engine::definition::{Definition, similar};
use everfold_engine::json::Value;
use everfold_engine::text::one_line;

/// The keys that are named; of more it is said how many there are.
const NAMED_MAX: usize = 5;

/// What a pipeline reads of a settings document.
pub(crate) struct ReadKeys {
    /// Of each key: which keys below it are read; `None`: any.
    keys: BTreeMap<String, Option<BTreeSet<String>>>,
    /// Of each key with records: those that a record has.
    records: BTreeMap<String, BTreeSet<String>>,
}

impl ReadKeys {
    /// Those of the document of this name.
    pub(crate) fn of(pipeline: &Definition, document: &str) -> Self {
        let text = serde_json::to_string(pipeline).unwrap_or_default();
        let mut keys: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
        let start = format!("config.{document}");
        for (at, _) in text.match_indices(&start) {
            let Some((key, rest)) = field(&text[at + start.len()..]) else { continue };
            let below = field(rest).filter(|(_, behind)| !behind.starts_with('('));
            let known = keys.entry(key.to_owned()).or_insert_with(|| Some(BTreeSet::new()));
            match (below, known.as_mut()) {
                (Some((below, _)), Some(known)) => drop(known.insert(below.to_owned())),
                _whole => *known = None,
            }
        }
        let records = pipeline.config_records.iter().filter_map(|(path, schema)| {
            let key = path.strip_prefix(document)?.strip_prefix('.')?;
            let known = schema["properties"].as_object()?;
            Some((key.to_owned(), known.keys().cloned().collect()))
        });
        Self { keys, records: records.collect() }
    }

    /// What of a document nothing reads, each with the nearest key that there is.
    pub(crate) fn unread(&self, document: &Value) -> Vec<String> {
        let mut unread = Vec::new();
        for (key, value) in document.as_object().into_iter().flatten() {
            let below = match self.keys.get(key) {
                None => {
                    unread.push(named(key, "", self.keys.keys()));
                    continue;
                }
                Some(below) => below,
            };
            if let (Some(below), Some(map)) = (below, value.as_object()) {
                let foreign = map.keys().filter(|inner| !below.contains(*inner));
                unread.extend(foreign.map(|inner| named(inner, &format!("{key}."), below.iter())));
            }
            if let (Some(known), Some(records)) = (self.records.get(key), value.as_object()) {
                for (name, record) in records {
                    let foreign = record.as_object().into_iter().flatten().map(|(inner, _)| inner);
                    let foreign = foreign.filter(|inner| !known.contains(*inner));
                    unread.extend(foreign.map(|inner| named(inner, &format!("{key}.{name}."), known.iter())));
                }
            }
        }
        let more = unread.len().saturating_sub(NAMED_MAX);
        unread.truncate(NAMED_MAX);
        if more > 0 {
            unread.push(format!("and {more} more"));
        }
        unread
    }
}

/// The field that a chain goes on with, `.NAME` or `.?NAME`, and what stands behind it.
fn field(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('.')?;
    let text = text.strip_prefix('?').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    Some(text.split_at(end)).filter(|(name, _)| !name.is_empty())
}

fn named<'a>(key: &str, above: &str, known: impl Iterator<Item = &'a String>) -> String {
    let near = similar(key, known.map(String::as_str));
    let near = near.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
    format!("{above}{}{near}", one_line(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_engine::definition::{parse, value_of};
    use everfold_workflows::builtin;

    fn unread(text: &str) -> Vec<String> {
        let built_in = builtin::find("orch").unwrap();
        let pipeline = parse(built_in.text, built_in.name, built_in).unwrap().definition;
        ReadKeys::of(&pipeline, "orch").unread(&value_of(text).unwrap())
    }

    #[test]
    fn keys_of_the_settings_that_nothing_reads_are_told_with_the_nearest_one() {
        let example = include_str!("../../../workflows/pipelines/orch/projects.yaml");
        assert_eq!(unread(example), [""; 0], "all of the example is read");
        let found = unread(
            "cost_limt: 5\ntelegram: { chat: 7, buttns: true }\nmodels: { anyone: x }\n\
             projects: { P: { repo: a, prefix: A, deploi: {} } }\nci: { every: 1h }\n",
        );
        assert_eq!(
            found,
            [
                "cost_limt, did you mean cost_limit?",
                "projects.P.deploi, did you mean deploy?",
                "telegram.buttns, did you mean buttons?",
            ]
        );
    }
}
