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
