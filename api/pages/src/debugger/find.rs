//! The next event where something is true: words that it has, and fields with values, as `verdict=fail`.

use serde_json::Value;

use super::event::PastEvent;
use super::step::ListAnswer;
use crate::frame::with_query;
use crate::problem::Problem;
use crate::rest::CallerRest;

/// Events that are looked through in one search.
const EVENTS_MAX: usize = 20_000;

/// One thing that is to be true of an event; all of a search are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// Its type, its actor or its content has this text.
    Word(String),
    /// A field of this name, wherever it stands, has this value; `!=`: none has.
    Field { name: String, value: String, is_wanted: bool },
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SearchTerms(Vec<Term>);

impl SearchTerms {
    /// Reads terms with blanks between them; a field may be written with its root, `event.verdict=='fail'`.
    pub(crate) fn read(text: &str) -> Self {
        let text = text.replace("==", "=").replace(" = ", "=").replace(" != ", "!=").replace("&&", " ");
        Self(text.split_whitespace().map(term).collect())
    }

    fn fits(&self, event: &PastEvent) -> bool {
        let mut all = String::new();
        self.0.iter().all(|term| match term {
            Term::Word(word) => {
                if all.is_empty() {
                    all = format!("{} {} {}", event.actor, event.place(), event.event).to_lowercase();
                }
                all.contains(word.as_str())
            }
            Term::Field { name, value, is_wanted } => {
                let own = match name.as_str() {
                    "actor" => Some(event.actor.to_lowercase() == *value),
                    "step" => Some(event.step().unwrap_or_default().to_lowercase() == *value),
                    _field => None,
                };
                own.unwrap_or_else(|| has(&event.event, name, value)) == *is_wanted
            }
        })
    }
}

fn term(text: &str) -> Term {
    let (name, value, is_wanted) = match text.split_once('=') {
        Some((name, value)) => (name.strip_suffix('!').unwrap_or(name), value, !name.ends_with('!')),
        None => return Term::Word(text.to_lowercase()),
    };
    let name = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    let value = value.trim_matches(['\'', '"']).to_lowercase();
    Term::Field { name, value, is_wanted }
}

/// Whether a field of this name has this value, at any depth.
fn has(value: &Value, name: &str, wanted: &str) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, inner)| {
            (key.to_lowercase() == name && is(inner, wanted)) || has(inner, name, wanted)
        }),
        Value::Array(items) => items.iter().any(|item| has(item, name, wanted)),
        _plain => false,
    }
}

fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text.to_lowercase() == wanted,
        Value::Object(_) | Value::Array(_) => false,
        plain => {
            let text = plain.to_string();
            text == wanted
        }
    }
}

/// The first version behind another one where all of it is true.
pub(crate) async fn next(
    rest: &CallerRest,
    run: &str,
    behind: u64,
    wanted: &SearchTerms,
) -> Result<Option<u64>, Problem> {
    let first = format!("/runs/{run}/events?from={}&limit=1000", behind + 1);
    let mut path = first.clone();
    let mut seen = 0;
    loop {
        let page: ListAnswer<PastEvent> = rest.get(&path).await?;
        if let Some(event) = page.items.iter().find(|event| wanted.fits(event)) {
            return Ok(Some(event.version));
        }
        seen += page.items.len();
        match page.next_cursor {
            Some(cursor) if seen < EVENTS_MAX => path = with_query(&first, "cursor", &cursor),
            _end => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(text: &str) -> bool {
        let event = serde_json::from_value(json!({
            "version": 4, "recorded_at": "", "actor": "user:ada", "cause": { "input": "x", "because": 1 },
            "event": { "type": "GateEvaluated", "gate": "tests", "verdict": "fail", "evidence": { "exit": 1 },
                "id": { "path": { "step": "Build", "item": null } } },
        }));
        SearchTerms::read(text).fits(&event.expect("the shape of an event"))
    }

    #[test]
    fn fields_are_found_at_any_depth() {
        assert!(fits("verdict=fail exit=1"));
        assert!(fits("event.evidence.exit == 1 && step=build"));
        assert!(!fits("verdict=pass"));
        assert!(fits("verdict!=pass actor=user:ada"));
    }

    #[test]
    fn words_are_found_without_case() {
        assert!(fits("gateevaluated TESTS"));
        assert!(!fits("approval"));
    }
}
