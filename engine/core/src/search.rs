//! Search attributes of a run: values with types, by which runs are found.
//!
//! Law: a run holds declared attributes alone, each of its type, and few and small ones, whoever gives them.

use std::collections::BTreeMap;

use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_language::definition::{SearchAttribute, SearchType, similar};

use crate::event::{SearchNumber, SearchValue};

/// The longest text of an attribute, in bytes.
pub const SEARCH_TEXT_BYTES_MAX: usize = 1024;
/// The most texts of a list.
pub const SEARCH_TEXTS_MAX: usize = 64;
/// Names and values of all attributes together.
pub const SEARCH_BYTES_MAX: usize = 16 * 1024;

/// What is said of attributes: a value, or null where an attribute is taken away.
pub type SearchChanges = BTreeMap<String, Option<SearchValue>>;

/// Reads values that are given to attributes of a run, which has those of `known` already.
///
/// # Errors
/// Why they cannot be had: an unknown name, another type, too much.
pub fn fit<'a>(
    declared: &BTreeMap<String, SearchAttribute>,
    known: &BTreeMap<String, SearchValue>,
    given: impl Iterator<Item = (&'a String, &'a Value)>,
) -> Result<SearchChanges, String> {
    let mut changes = SearchChanges::new();
    for (name, value) in given {
        let Some(attribute) = declared.get(name) else {
            let near = similar(name, declared.keys().map(String::as_str));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("the pipeline declares no search attribute “{name}”{near}"));
        };
        let value = value_of(attribute.kind, value).map_err(|why| format!("“{name}” {why}"))?;
        changes.insert(name.clone(), value);
    }
    let kept = known.iter().filter(|(name, _)| !changes.contains_key(*name));
    let given = changes.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let bytes: usize = kept.chain(given).map(|(name, value)| name.len() + value.bytes()).sum();
    if bytes > SEARCH_BYTES_MAX {
        return Err(format!("names and values together are larger than {SEARCH_BYTES_MAX} bytes"));
    }
    Ok(changes)
}

/// Reads a value for an attribute of a type; null is none.
fn value_of(kind: Option<SearchType>, value: &Value) -> Result<Option<SearchValue>, String> {
    let short = |text: &str| match text.len() {
        0..=SEARCH_TEXT_BYTES_MAX => Ok(text.to_owned()),
        _long => Err(format!("is larger than {SEARCH_TEXT_BYTES_MAX} bytes")),
    };
    let is = |wanted: SearchType| kind.is_none_or(|kind| kind == wanted);
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::String(text) if kind == Some(SearchType::Time) => match text.parse::<Timestamp>() {
            Ok(time) => SearchValue::Time(time),
            Err(_) => {
                return Err(format!(
                    "is a time in RFC 3339, not “{}”",
                    text.chars().take(40).collect::<String>()
                ));
            }
        },
        Value::String(text) if is(SearchType::Text) => SearchValue::Text(short(text)?),
        Value::Number(number) if is(SearchType::Number) => match number.as_i64() {
            Some(whole) => SearchValue::Whole(whole),
            None => SearchValue::Number(SearchNumber::new(number.as_f64().unwrap_or_default())),
        },
        Value::Bool(flag) if is(SearchType::Bool) => SearchValue::Flag(*flag),
        Value::Number(_) | Value::Bool(_) if is(SearchType::Text) => SearchValue::Text(value.to_string()),
        Value::Array(items) if is(SearchType::List) => {
            if items.len() > SEARCH_TEXTS_MAX {
                return Err(format!("has more than {SEARCH_TEXTS_MAX} texts"));
            }
            let texts = items.iter().map(|item| match item {
                Value::String(text) => short(text),
                _other => Err("holds other values than texts".to_owned()),
            });
            SearchValue::Texts(texts.collect::<Result<_, _>>()?)
        }
        other => {
            let wanted = kind.map_or("a text, a number, a bool or a list of texts", SearchType::words);
            return Err(format!("is {wanted}, not {}", words(other)));
        }
    }))
}

fn words(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared() -> BTreeMap<String, SearchAttribute> {
        let of = |kind| SearchAttribute { kind, value: None };
        let all = SearchType::WORDS.map(|(word, kind)| (format!("a_{word}"), of(Some(kind))));
        all.into_iter().chain([("any".to_owned(), of(None))]).collect()
    }

    fn given(name: &str, value: Value) -> Result<SearchChanges, String> {
        let (name, none) = (name.to_owned(), BTreeMap::new());
        fit(&declared(), &none, [(&name, &value)].into_iter())
    }

    #[test]
    fn values_are_taken_as_the_types_that_are_declared() {
        let text = |text: &str| SearchValue::Text(text.to_owned());
        for (name, value, wanted) in [
            ("a_text", json!("x"), text("x")),
            ("a_text", json!(17), text("17")),
            ("a_number", json!(17), SearchValue::Whole(17)),
            ("a_number", json!(1.5), SearchValue::Number(SearchNumber::new(1.5))),
            ("a_time", json!("1970-01-01T00:00:01Z"), SearchValue::Time(Timestamp(1_000))),
            ("a_bool", json!(true), SearchValue::Flag(true)),
            ("a_list", json!(["a", "b"]), SearchValue::Texts(vec!["a".into(), "b".into()])),
            ("any", json!(2), SearchValue::Whole(2)),
            ("any", json!(true), SearchValue::Flag(true)),
        ] {
            assert_eq!(given(name, value.clone()).unwrap()[name], Some(wanted), "{name} {value}");
        }
        assert_eq!(given("any", Value::Null).unwrap()["any"], None);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        let long = "x".repeat(SEARCH_TEXT_BYTES_MAX + 1);
        for (name, value, why) in [
            ("a_number", json!("17"), "“a_number” is a number, not a text"),
            ("a_time", json!("soon"), "“a_time” is a time in RFC 3339, not “soon”"),
            ("a_list", json!(["a", 1]), "“a_list” holds other values than texts"),
            ("any", json!({}), "“any” is a text, a number, a bool or a list of texts, not a map"),
            ("any", json!(long), "“any” is larger than 1024 bytes"),
            (
                "a_txt",
                json!("x"),
                "the pipeline declares no search attribute “a_txt”; did you mean `a_text`?",
            ),
        ] {
            assert_eq!(given(name, value).unwrap_err(), why);
        }
        let many: Vec<String> = (0..SEARCH_TEXTS_MAX).map(|_| "x".repeat(300)).collect();
        assert!(given("a_list", json!(many)).unwrap_err().contains("larger than 16384 bytes"));
    }
}
