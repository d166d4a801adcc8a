//! JSON texts that say one thing: what could be lost on the way into a value is refused, not changed.
//!
//! Law: two bodies that are the same value have the same canonical bytes, whatever their spaces and the order of
//! their fields, so that a repeated write is recognised by what it says.

use std::collections::BTreeMap;

use super::{JsonText, Value};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A value whose objects have no name twice.
struct Once(Value);

/// The value of a JSON text that comes from outside.
///
/// # Errors
/// What is wrong with it: no JSON, a name that an object has twice, a whole number beyond 64 bits.
pub fn value(text: &[u8]) -> Result<Value, String> {
    let value = unambiguous(text).map_err(|error| error.to_string())?;
    match beyond_64_bits(text) {
        Some(number) => Err(format!("the number {number} does not fit into 64 bits; send it as a text")),
        None => Ok(value),
    }
}

/// The value of a JSON text whose objects have no name twice.
///
/// # Errors
/// It is no JSON; an object has a name twice, which is an error of category [`serde_json::error::Category::Data`].
pub fn unambiguous(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(text).map(|Once(value)| value)
}

/// The canonical bytes of a JSON text that comes from outside.
///
/// # Errors
/// Those of [`value`].
pub fn canonical(text: &[u8]) -> Result<Vec<u8>, String> {
    value(text).map(|value| JsonText::new(&value).as_str().as_bytes().to_vec())
}

/// The first whole number of a JSON text that does not fit into 64 bits, with or without a sign: a [`Value`] would hold
/// another one.
#[must_use]
pub fn beyond_64_bits(text: &[u8]) -> Option<&str> {
    whole(text, |number| number.parse::<u64>().is_err() && number.parse::<i64>().is_err())
}

/// The first whole number of a JSON text that does not fit into 64 bits with a sign: few functions of expressions take a larger one.
#[must_use]
pub fn beyond_whole(text: &str) -> Option<&str> {
    whole(text.as_bytes(), |number| number.parse::<i64>().is_err())
}

/// The first whole number of a JSON text of which this holds.
fn whole(text: &[u8], holds: impl Fn(&str) -> bool) -> Option<&str> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let rest = &text[at..];
                let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
                let number = std::str::from_utf8(&rest[..length]).ok()?;
                let is_whole = !number.contains(['.', 'e', 'E']);
                if is_whole && holds(number) {
                    return Some(number);
                }
                at += length;
            }
            _other => at += 1,
        }
    }
    None
}

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Once(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((name, Once(value))) = fields.next_entry::<String, Once>()? {
            if values.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format!("the field “{name}” stands there twice")));
            }
        }
        Ok(Value::Object(values.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_58_bodies_that_say_the_same_are_the_same() {
        let same = [r#"{"a":1,"b":[true,null,"x"]}"#, "{ \"b\" : [ true, null, \"\\u0078\" ],\n\t\"a\": 1 }"];
        let canonical = same.map(|text| canonical(text.as_bytes()).unwrap());
        assert_eq!(canonical[0], canonical[1]);
        assert_ne!(canonical[0], super::canonical(br#"{"a":2,"b":[true,null,"x"]}"#).unwrap());
    }

    #[test]
    fn row_58_what_would_be_changed_is_refused() {
        for (text, part) in [
            (r#"{"a": 18446744073709551616}"#, "18446744073709551616"),
            (r#"{"a": [{"b": -9223372036854775809}]}"#, "-9223372036854775809"),
            (r#"{"a": 1, "a": 1}"#, "“a”"),
            (r#"{"x": [{"b": 1, "c": {"d": 1, "d": 2}}]}"#, "“d”"),
        ] {
            let refused = canonical(text.as_bytes()).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        for text in [
            r#"{"a": 18446744073709551615, "b": -9223372036854775808, "c": 1.5e300, "d": 0}"#,
            r#"{"a": "18446744073709551616 \" 99999999999999999999"}"#,
        ] {
            assert!(canonical(text.as_bytes()).is_ok(), "{text}");
        }
    }
}
