//! A value of a run's state as answers show it.

use everfold_engine::state::StoredValue;
use serde_json::{Value, json};

/// What stands in place of a value that is too large for the state: where it is.
#[must_use]
pub fn small(kept: &StoredValue) -> Value {
    match kept {
        StoredValue::Null => Value::Null,
        StoredValue::Whole(text) => text.value(),
        StoredValue::Map { known, name, apart } => {
            let mut whole = known.value();
            whole[name] = small(apart);
            whole
        }
        StoredValue::Ref(reference) => json!({
            "large": { "version": reference.version, "hash": reference.hash, "size_bytes": reference.size_bytes },
        }),
    }
}

/// A value, with `apart` where it is kept apart.
#[must_use]
pub fn whole(kept: &StoredValue, apart: &Value) -> Value {
    match kept {
        StoredValue::Null => Value::Null,
        StoredValue::Whole(text) => text.value(),
        StoredValue::Ref(_) => apart.clone(),
        StoredValue::Map { known, name, apart: inner } => {
            let mut map = known.value();
            map[name] = whole(inner, apart);
            map
        }
    }
}
