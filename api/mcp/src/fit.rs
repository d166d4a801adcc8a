//! Bounds the size of an answer: texts, lists and maps are cut until the whole fits, and say what was left out.

use serde_json::{Map, Value};

/// How much of texts, lists and maps, and how deep; each step leaves less.
const STEPS: [CutMeasure; 7] = [
    CutMeasure { characters: 16_000, items: 200, depth: 24 },
    CutMeasure { characters: 4_000, items: 100, depth: 16 },
    CutMeasure { characters: 1_000, items: 50, depth: 12 },
    CutMeasure { characters: 400, items: 25, depth: 10 },
    CutMeasure { characters: 160, items: 12, depth: 8 },
    CutMeasure { characters: 80, items: 6, depth: 6 },
    CutMeasure { characters: 40, items: 3, depth: 4 },
];

#[derive(Debug, Clone, Copy)]
struct CutMeasure {
    characters: usize,
    items: usize,
    depth: usize,
}

/// The value, cut where its JSON is larger than this.
pub(crate) fn fitted(value: Value, bytes_max: usize) -> Value {
    if size(&value) <= bytes_max {
        return value;
    }
    for measure in STEPS {
        let cut = cut(&value, measure, 0);
        if size(&cut) <= bytes_max {
            return cut;
        }
    }
    serde_json::json!({ "cut": format!("the answer has {} bytes; ask for less of it", size(&value)) })
}

/// The value without nulls, empty lists and empty maps within maps.
pub(crate) fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(name, value)| (name, without_empty(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _other => false,
    }
}

fn size(value: &Value) -> usize {
    /// Counts, and keeps nothing.
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A counter takes every write, and a value has only texts as names.
    let _counted = serde_json::to_writer(&mut count, value);
    count.0
}

fn cut(value: &Value, measure: CutMeasure, depth: usize) -> Value {
    match value {
        Value::String(text) => Value::String(cut_text(text, measure.characters)),
        Value::Array(items) if depth >= measure.depth => Value::String(format!("… {} items", items.len())),
        Value::Object(fields) if depth >= measure.depth => {
            Value::String(format!("… {} fields", fields.len()))
        }
        Value::Array(items) => {
            let kept = items.iter().take(measure.items).map(|item| cut(item, measure, depth + 1));
            let left = items.len().saturating_sub(measure.items);
            let more = (left > 0).then(|| Value::String(format!("… {left} more")));
            Value::Array(kept.chain(more).collect())
        }
        Value::Object(fields) => {
            // What an answer itself names is not left out: only maps below it may have any number of names.
            let names = if depth == 0 { usize::MAX } else { measure.items.max(24) };
            let mut kept: Map<String, Value> = fields
                .iter()
                .take(names)
                .map(|(name, value)| (cut_text(name, 200), cut(value, measure, depth + 1)))
                .collect();
            if fields.len() > names {
                kept.insert("…".to_owned(), Value::String(format!("{} more", fields.len() - names)));
            }
            Value::Object(kept)
        }
        other => other.clone(),
    }
}

fn cut_text(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… (+{} bytes)", &text[..end], text.len() - end),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_stays_as_it_is() {
        let value = json!({ "a": [1, 2], "b": "x" });
        assert_eq!(fitted(value.clone(), 1000), value);
    }

    #[test]
    fn every_value_is_cut_to_its_size() {
        let mut deep = json!("x");
        for _level in 0..100 {
            deep = json!([deep]);
        }
        let wide: Map<String, Value> = (0..5000).map(|n| (format!("name{n}"), json!(n))).collect();
        for value in [
            json!({ "text": "ü".repeat(1_000_000) }),
            json!({ "items": (0..100_000).collect::<Vec<_>>() }),
            json!({ "deep": vec![deep; 500] }),
            json!({ "wide": wide }),
            Value::Object((0..5000).map(|n| (format!("name{n}"), json!("x".repeat(50)))).collect()),
        ] {
            let cut = fitted(value, 8_000);
            assert!(size(&cut) <= 8_000, "{cut}");
            assert!(cut.to_string().contains('…') || cut.get("cut").is_some(), "{cut}");
        }
    }

    #[test]
    fn empty_fields_are_left_out_and_false_and_zero_stay() {
        let value = json!({ "a": null, "b": [], "c": { "d": {} }, "e": false, "f": 0, "g": [null] });
        assert_eq!(without_empty(value), json!({ "e": false, "f": 0, "g": [null] }));
    }
}
