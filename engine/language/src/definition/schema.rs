//! The JSON Schema of the language, for editors.
//!
//! It is looser than the checks (an editor sees no expressions and no graph), but refuses what the
//! checks refuse by shape alone. Look-ahead in it is for editors; nothing here evaluates it on input.

use serde_json::Value;

/// The JSON Schema (2020-12) of pipeline files.
#[must_use]
pub fn schema() -> Value {
    serde_json::from_str(include_str!("schema.json")).expect("the schema is JSON; a test reads it")
}

/// The JSON Schema (2020-12) of files with test cases.
#[must_use]
pub fn case_schema() -> Value {
    serde_json::from_str(include_str!("case_schema.json")).expect("the schema is JSON; a test reads it")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::read::{RUN_STATUSES, STEP_STATUSES, case_shapes, shapes};
    use super::{case_schema, schema};
    use crate::words::EVENT_NAMES;
    use everfold_base::failure::FailureKind;
    use serde_json::{Value, json};

    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        let schema = schema();
        let keys = |pointer: &str| -> BTreeSet<String> {
            let properties = schema.pointer(&format!("{pointer}/properties"));
            properties.and_then(|properties| properties.as_object()).unwrap().keys().cloned().collect()
        };
        for (pointer, read) in shapes() {
            let read: BTreeSet<String> = read.keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(keys(pointer), read, "{pointer}");
        }
    }

    #[test]
    fn the_schema_of_cases_has_the_keys_and_the_words_that_are_read() {
        let schema = case_schema();
        for (pointer, read) in case_shapes() {
            let properties = schema.pointer(&format!("{pointer}/properties")).and_then(Value::as_object);
            let keys: BTreeSet<&str> = properties.unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, read.iter().copied().collect(), "{pointer}");
            assert_eq!(
                schema.pointer(&format!("{pointer}/additionalProperties")),
                Some(&json!(false)),
                "{pointer}"
            );
            let described = |value: &Value| value.get("description").is_some() || value.get("$ref").is_some();
            assert!(properties.unwrap().values().all(described), "{pointer}");
        }
        let words = |pointer: &str| schema.pointer(pointer).cloned().unwrap();
        assert_eq!(words("/$defs/event/enum"), json!(EVENT_NAMES));
        assert_eq!(words("/$defs/failureKind/enum"), json!(FailureKind::ALL.map(FailureKind::as_str)));
        assert_eq!(words("/$defs/expect/properties/status/enum"), json!(RUN_STATUSES));
        assert_eq!(words("/$defs/expectedStep/properties/status/enum"), json!(STEP_STATUSES));
    }

    #[test]
    fn every_key_is_described() {
        let schema = schema();
        let described = |value: &serde_json::Value| {
            value.get("description").is_some()
                || value
                    .get("$ref")
                    .and_then(|name| schema.pointer(name.as_str()?.strip_prefix('#')?))
                    .is_some_and(|target| target.get("description").is_some())
        };
        for pointer in
            ["", "/$defs/step", "/$defs/gate", "/$defs/routeMap", "/$defs/approval", "/$defs/agent/oneOf/1"]
        {
            let properties = schema.pointer(&format!("{pointer}/properties")).unwrap().as_object().unwrap();
            for (key, value) in properties {
                assert!(described(value), "{pointer}/{key}");
            }
        }
    }
}
