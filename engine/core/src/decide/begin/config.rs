//! The settings documents of a run: their parts, and how they are merged.

use std::collections::BTreeMap;

use super::super::refusal::Refusal;
use super::beginning::{Beginning, failed};
use everfold_base::json::{Value, canonical};
use everfold_language::definition::{ConfigSource, Definition};
use everfold_language::expr::Loaded;

/// Settings are kept whole in the run's history.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// One part of a settings document, rendered.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// A YAML or JSON file; a missing one is skipped.
    File(String),
    /// A value of the pipeline file.
    Values(Value),
}

impl Beginning {
    /// The parts of each settings document, by name, the one that wins first.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed.
    pub fn documents(&self) -> Result<BTreeMap<String, Vec<Document>>, Refusal> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded);
        let render = |name: &str, source: &ConfigSource| match source {
            ConfigSource::Values(values) => Ok(Document::Values(values.clone())),
            ConfigSource::File(path) => {
                path.render_text(&scope).map(Document::File).map_err(|error| failed("config", name, &error))
            }
        };
        self.definition()
            .config
            .iter()
            .map(|(name, sources)| {
                let sources: Result<Vec<_>, _> = sources.iter().map(|source| render(name, source)).collect();
                Ok((name.clone(), sources?))
            })
            .collect()
    }
}

/// The parts of the settings documents at fixed paths, which are known before there is a run.
#[must_use]
pub fn fixed_documents(definition: &Definition) -> BTreeMap<String, Vec<Document>> {
    let part = |source: &ConfigSource| match source {
        ConfigSource::Values(values) => Document::Values(values.clone()),
        ConfigSource::File(path) => {
            Document::File(path.source().as_str().unwrap_or_default().replace("$${", "${"))
        }
    };
    let fixed = definition.fixed_config().into_iter();
    fixed.map(|(name, sources)| (name.to_owned(), sources.iter().map(part).collect())).collect()
}

/// Puts settings documents together: earlier ones win, maps are merged, everything else is taken whole.
/// `None`: there is none.
#[must_use]
pub fn merge(documents: impl IntoIterator<Item = Value>) -> Option<Value> {
    documents.into_iter().reduce(over)
}

fn over(winner: Value, under: Value) -> Value {
    match (winner, under) {
        (Value::Object(mut winner), Value::Object(under)) => {
            for (name, value) in under {
                let merged = match winner.remove(&name) {
                    Some(own) => over(own, value),
                    None => value,
                };
                winner.insert(name, merged);
            }
            Value::Object(winner)
        }
        (winner, _) => winner,
    }
}

/// Whether settings fit into a run's history.
///
/// # Errors
/// [`Refusal::TooLarge`]
pub fn check_config(config: &Value) -> Result<(), Refusal> {
    if canonical(config).len() > CONFIG_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the config", max: CONFIG_BYTES_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn l3_documents_are_merged_deeply_and_earlier_ones_win() {
        let merged = merge([
            json!({"a": {"x": 1}, "list": [1]}),
            json!({"a": {"x": 2, "y": null}, "list": [2, 3], "b": 1}),
            json!({"a": 7, "c": 1}),
        ]);
        assert_eq!(merged, Some(json!({"a": {"x": 1, "y": null}, "list": [1], "b": 1, "c": 1})));
        assert_eq!(merge([]), None);
    }
}
