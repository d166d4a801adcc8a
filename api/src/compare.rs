//! Two documents, compared: what was added, taken away and changed, by path.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One difference.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[schema(as = Difference)]
pub(crate) struct ValueDifference {
    /// Where: `steps.build.work.task.kind`.
    pub(crate) path: String,
    /// What was there; absent: nothing was.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    /// What is there now; absent: nothing is.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Value>,
}

/// Reads a member that is there: null is a value, which serde takes for an absent one otherwise.
fn present<'de, D: Deserializer<'de>>(member: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(member).map(Some)
}

/// What is different, in the order of the paths. Lists of things with an `id` are compared by it.
pub(crate) fn differences(before: &Value, after: &Value) -> Vec<ValueDifference> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<ValueDifference>) {
    match (before, after) {
        (one, other) if one == other => {}
        (Some(before), Some(after)) => match (fields(before), fields(after)) {
            (Some(before), Some(after)) => {
                let gone = before.iter().filter(|(name, _)| !after.iter().any(|(other, _)| other == name));
                for (name, value) in gone {
                    compare(join(&path, name), Some(value), None, found);
                }
                for (name, value) in &after {
                    let former = before.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
                    compare(join(&path, name), former, Some(value), found);
                }
            }
            _plain => {
                found.push(ValueDifference { path, before: Some(before.clone()), after: Some(after.clone()) })
            }
        },
        (before, after) => {
            found.push(ValueDifference { path, before: before.cloned(), after: after.cloned() });
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The parts of a map, or of a list whose things have ids.
fn fields(value: &Value) -> Option<Vec<(&str, &Value)>> {
    match value {
        Value::Object(fields) => Some(fields.iter().map(|(name, value)| (name.as_str(), value)).collect()),
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| Some((item.get("id")?.as_str()?, item))).collect()
        }
        _plain => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_compared_by_their_names_wherever_they_stand() {
        let before = json!({"name": "p", "steps": [{"id": "a", "x": 1}, {"id": "b", "x": [1, 2]}]});
        let after = json!({"name": "p", "steps": [{"id": "c"}, {"id": "b", "x": [1, 3]}], "output": 1});
        let found = differences(&before, &after);
        let paths: Vec<&str> = found.iter().map(|difference| difference.path.as_str()).collect();
        assert_eq!(paths, ["output", "steps.a", "steps.c", "steps.b.x"]);
        assert!(differences(&after, &after).is_empty());
    }

    #[test]
    fn a_member_that_is_null_differs_from_one_that_is_absent_also_behind_json() {
        for (before, after) in [
            (json!({}), json!({"x": null})),
            (json!({"x": null}), json!({})),
            (json!({"x": null}), json!({"x": 1})),
            (json!({"x": 1}), json!({"x": null})),
        ] {
            let found = differences(&before, &after);
            assert_eq!(found.len(), 1, "{before} and {after}");
            assert_eq!(
                (&found[0].before, &found[0].after),
                (&before.get("x").cloned(), &after.get("x").cloned())
            );
            let sent = serde_json::to_value(&found).expect("it is JSON");
            let read: Vec<ValueDifference> = serde_json::from_value(sent.clone()).expect("it is read again");
            assert_eq!(read, found, "{sent}");
        }
    }
}
