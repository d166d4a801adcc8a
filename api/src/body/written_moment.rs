//! A moment in a JSON body: a time, or a position of the log.

use serde::{Deserialize, Deserializer, de};

use super::whole_number::whole;

/// A moment as it may be written: a text, or a position as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenMoment {
    Text(String),
    Position(#[serde(deserialize_with = "whole")] u64),
}

/// The text of a moment that may be left out, however it is written.
pub(crate) fn moment_if<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let written = Option::<WrittenMoment>::deserialize(deserializer)
        .map_err(|_| de::Error::custom("a moment is a time in RFC 3339, or a position of the log"))?;
    Ok(written.map(|written| match written {
        WrittenMoment::Text(text) => text,
        WrittenMoment::Position(position) => position.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "super::moment_if")]
        at: Option<String>,
    }

    #[test]
    fn a_moment_is_a_text_or_a_whole_number() {
        let read = |at: Value| serde_json::from_value::<Body>(json!({ "at": at })).map(|body| body.at);
        assert_eq!(read(json!("400")).unwrap().as_deref(), Some("400"));
        assert_eq!(read(json!(400)).unwrap().as_deref(), Some("400"));
        assert_eq!(read(json!(400.0)).unwrap().as_deref(), Some("400"));
        assert_eq!(read(Value::Null).unwrap(), None);
        for bad in [json!(-1), json!(1.5), json!(true), json!([])] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
