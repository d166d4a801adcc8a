//! An event of a run, as `GET /runs/{run}/events` tells it.

use serde::Deserialize;
use serde_json::Value;

/// An event.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) recorded_at: String,
    #[serde(default)]
    pub(crate) actor: String,
    /// What happened: `type` and its fields.
    pub(crate) event: Value,
}

/// A step or an item of it, with round and attempt as far as an event names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StepPlace {
    /// `build`, `build.3`.
    pub(crate) path: String,
    pub(crate) round: u64,
    pub(crate) attempt: u64,
}

impl StepPlace {
    /// The step without the item.
    pub(crate) fn step(&self) -> &str {
        self.path.split('.').next().unwrap_or(&self.path)
    }

    /// Whether it is an item of a `foreach`.
    pub(crate) fn is_item(&self) -> bool {
        self.path.contains('.')
    }

    /// `build 2.1`, `build 2`, `build`.
    pub(crate) fn words(&self) -> String {
        match (self.round, self.attempt) {
            (0, _) => self.path.clone(),
            (round, 0) => format!("{} {round}", self.path),
            (round, attempt) => format!("{} {round}.{attempt}", self.path),
        }
    }

    fn of(id: &Value, path: &Value) -> Option<Self> {
        let step = path.get("step")?.as_str()?;
        let path = match path.get("item").and_then(Value::as_u64) {
            Some(item) => format!("{step}.{item}"),
            None => step.to_owned(),
        };
        let number = |key: &str| id.get(key).and_then(Value::as_u64).unwrap_or(0);
        Some(Self { path, round: number("round"), attempt: number("attempt") })
    }
}

impl Event {
    /// Its name.
    pub(crate) fn kind(&self) -> &str {
        self.text("type")
    }

    /// A field of text; empty where there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.event.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.event.get(key).and_then(Value::as_u64)
    }

    /// What lies at a path of names.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.event.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Whether it ends an attempt that was interrupted, and goes on as another one.
    pub(crate) fn is_interruption(&self) -> bool {
        let failure = |key: &str| self.event.pointer("/failure").and_then(|it| it.get(key)?.as_str());
        failure("kind") == Some("cancelled") && failure("message") == Some("interrupted")
    }

    /// What it is about, where that is a step.
    pub(crate) fn place(&self) -> Option<StepPlace> {
        let event = &self.event;
        for id in
            [event.get("id"), event.pointer("/timer/id"), event.pointer("/source/id")].into_iter().flatten()
        {
            if let Some(place) = id.get("path").and_then(|path| StepPlace::of(id, path)) {
                return Some(place);
            }
        }
        for whole in [Some(event), event.get("unblocked")].into_iter().flatten() {
            if let Some(place) = whole.get("path").and_then(|path| StepPlace::of(whole, path)) {
                return Some(place);
            }
        }
        let step = self.text("step");
        (!step.is_empty()).then(|| StepPlace { path: step.to_owned(), ..StepPlace::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_says_what_it_is_about() {
        let event =
            |event: Value| Event { version: 1, recorded_at: String::new(), actor: String::new(), event };
        let words = |value: Value| event(value).place().map(|place| place.words());
        let id = json!({"path": {"step": "each", "item": 3}, "round": 2, "attempt": 1});
        assert_eq!(words(json!({"type": "AttemptStarted", "id": id})).as_deref(), Some("each.3 2.1"));
        let path = json!({"step": "build", "item": null});
        assert_eq!(
            words(json!({"type": "StepSucceeded", "path": path, "round": 2})).as_deref(),
            Some("build 2")
        );
        assert_eq!(words(json!({"type": "RunSucceeded"})), None);
    }
}
