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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::read::shapes;
    use super::schema;

    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        let schema = schema();
        let keys = |pointer: &str| -> BTreeSet<String> {
            let properties = schema.pointer(&format!("{pointer}/properties"));
            properties.and_then(|properties| properties.as_object()).unwrap().keys().cloned().collect()
        };
        for (pointer, read) in shapes() {
            let read: BTreeSet<String> = read.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(keys(pointer), read, "{pointer}");
        }
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
