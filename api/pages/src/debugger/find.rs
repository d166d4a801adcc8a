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
#[derive(Debug, Clone, PartialEq)]
enum Term {
    /// Its type, its actor or its content has this text.
    Word(String),
    /// A field of this name, wherever it stands, has this value; `!=`: none has.
    Field { name: String, value: String, is_wanted: bool },
    /// A number in a field of this name is above or below another one.
    Number { name: String, than: f64, is_above: bool, or_equal: bool },
    /// A step or the run comes to a status: `step.status=blocked`.
    Status { of: &'static str, status: String, is_wanted: bool },
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SearchTerms(Vec<Term>);

impl SearchTerms {
    /// Reads terms with blanks between them; a field may be written with its root, `event.verdict=='fail'`.
    ///
    /// # Errors
    /// What cannot be searched for, for its reader.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut text = text.replace("&&", " ").replace("==", "=");
        for sign in ["!=", ">=", "<=", "=", ">", "<"] {
            for blank in [format!(" {sign} "), format!(" {sign}"), format!("{sign} ")] {
                text = text.replace(&blank, sign);
            }
        }
        Ok(Self(text.split_whitespace().map(term).collect::<Result<_, _>>()?))
    }

    pub(super) fn fits(&self, event: &PastEvent) -> bool {
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
                own.unwrap_or_else(|| has(&event.event, name, &|found| is(found, value))) == *is_wanted
            }
            Term::Number { name, than, is_above, or_equal } => has(&event.event, name, &|found| {
                found.as_f64().is_some_and(|found| {
                    (*or_equal && found == *than) || if *is_above { found > *than } else { found < *than }
                })
            }),
            Term::Status { of, status, is_wanted } => {
                let end = event.kind().strip_prefix(of).map(str::to_lowercase);
                (end.as_deref() == Some(status)) == *is_wanted
            }
        })
    }
}

fn term(text: &str) -> Result<Term, String> {
    if text == "||" || text.ends_with('(') || (text.contains(['(', '[']) && text.contains(['=', '<', '>'])) {
        return Err(format!(
            "“{text}” cannot be searched for: words and fields such as verdict=fail or round>2 can, and all must be true"
        ));
    }
    let signs = [("!=", false), (">=", true), ("<=", false), ("=", true), (">", true), ("<", false)];
    let found = signs.into_iter().find_map(|(sign, up)| Some((sign, up, text.split_once(sign)?)));
    let Some((sign, is_up, (path, value))) = found.filter(|(_, _, (path, _))| !path.is_empty()) else {
        return Ok(Term::Word(text.to_lowercase()));
    };
    let (root, name) = path.rsplit_once('.').unwrap_or(("", path));
    let name = name.to_lowercase();
    let value = value.trim_matches(['\'', '"']).to_lowercase();
    match (sign, root, name.as_str()) {
        ("=" | "!=", "step" | "run", "status") => {
            let of = if root == "step" { "Step" } else { "Run" };
            Ok(Term::Status { of, status: value, is_wanted: is_up })
        }
        ("=" | "!=", ..) => Ok(Term::Field { name, value, is_wanted: is_up }),
        _order => {
            let than = value.parse();
            let than =
                than.map_err(|_| format!("“{text}” compares with no number: round>2, exit_code>=1"))?;
            Ok(Term::Number { name, than, is_above: is_up, or_equal: sign.len() == 2 })
        }
    }
}

/// Whether a field of this name, at any depth, fits.
fn has(value: &Value, name: &str, fits: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(key, inner)| (key.to_lowercase() == name && fits(inner)) || has(inner, name, fits)),
        Value::Array(items) => items.iter().any(|item| has(item, name, fits)),
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
        SearchTerms::read(text).expect("terms").fits(&event.expect("the shape of an event"))
    }

    #[test]
    fn fields_are_found_at_any_depth() {
        assert!(fits("verdict=fail exit=1"));
        assert!(fits("event.evidence.exit == 1 && step=build"));
        assert!(!fits("verdict=pass"));
        assert!(fits("verdict!=pass actor=user:ada"));
    }

    #[test]
    fn numbers_are_compared_and_what_cannot_be_searched_for_is_refused() {
        assert!(fits("exit>0 exit <= 1"));
        assert!(!fits("exit>1"));
        for text in ["round>many", "a || b", "size(x) > 2"] {
            assert!(SearchTerms::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_status_is_found_where_it_begins() {
        let event = serde_json::from_value(json!({
            "version": 4, "recorded_at": "", "actor": "engine", "cause": { "input": "x" },
            "event": { "type": "StepBlocked", "path": { "step": "try" } },
        }));
        let event: PastEvent = event.expect("the shape of an event");
        let fits = |text: &str| SearchTerms::read(text).expect("terms").fits(&event);
        assert!(fits("step.status == 'blocked' && step=try"));
        assert!(!fits("run.status=blocked") && !fits("step.status=failed"));
    }

    #[test]
    fn words_are_found_without_case() {
        assert!(fits("gateevaluated TESTS"));
        assert!(!fits("approval"));
    }
}
