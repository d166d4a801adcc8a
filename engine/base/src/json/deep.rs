//! How deep values may be nested, and reading those that are deeper than `serde_json` goes.
//!
//! Law: nothing here recurses over a text, so no text costs more stack than another. Values that enter
//! the engine, and those that expressions make, stay within [`DEPTH_MAX`]; what was stored before there
//! was that limit, or comes with an imported history, is read all the same, up to [`STORED_DEPTH_MAX`].

use serde_json::{Map, Value};

/// How deep a value may be nested that enters the engine or that an expression makes: lists and maps
/// within each other. Documents that hold such a value stay within the 127 levels that parsers commonly
/// read.
pub const DEPTH_MAX: usize = 100;

/// How deep a stored value may be nested. Values recurse when they are dropped or written; this depth
/// fits a thread's stack of 2 MiB many times over.
pub const STORED_DEPTH_MAX: usize = 512;

/// Why a text is no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeepError {
    /// A text, number or word in it cannot be read.
    #[error(transparent)]
    Leaf(#[from] serde_json::Error),
    /// Something else stands where a value, a comma or an end is expected.
    #[error("malformed JSON at byte {0}")]
    Malformed(usize),
    /// It is nested deeper than anything that is kept.
    #[error("nested deeper than {STORED_DEPTH_MAX} levels")]
    TooDeep,
}

/// How many lists and maps lie within each other in a JSON text; 0 for a leaf.
#[must_use]
pub fn depth_of_text(text: &str) -> usize {
    let (mut open, mut deepest, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _part_of_a_leaf => {}
        }
    }
    deepest
}

/// How many lists and maps lie within each other in a value; 0 for a leaf.
#[must_use]
pub fn depth(value: &Value) -> usize {
    let (mut deepest, mut waiting) = (0, vec![(value, 0)]);
    while let Some((value, above)) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items.iter().map(|item| (item, above + 1))),
            Value::Object(fields) => waiting.extend(fields.values().map(|value| (value, above + 1))),
            _leaf => continue,
        }
        deepest = deepest.max(above + 1);
    }
    deepest
}

/// A list or map that is not closed yet.
enum OpenValue {
    List(Vec<Value>),
    /// With the key of the value that comes next.
    Map(Map<String, Value>, String),
}

/// Reads a text however deep it is nested, up to `depth_max`.
pub(crate) fn read(text: &str, depth_max: usize) -> Result<Value, DeepError> {
    let mut reader = DeepReader { text, at: 0 };
    let mut open: Vec<OpenValue> = Vec::new();
    loop {
        let mut value = match reader.peek() {
            Some(b'[') => {
                reader.at += 1;
                if !reader.takes(b']') {
                    open.push(OpenValue::List(Vec::new()));
                    if open.len() > depth_max {
                        return Err(DeepError::TooDeep);
                    }
                    continue;
                }
                Value::Array(Vec::new())
            }
            Some(b'{') => {
                reader.at += 1;
                if !reader.takes(b'}') {
                    open.push(OpenValue::Map(Map::new(), reader.key()?));
                    if open.len() > depth_max {
                        return Err(DeepError::TooDeep);
                    }
                    continue;
                }
                Value::Object(Map::new())
            }
            _leaf => reader.leaf()?,
        };
        // The value is complete; it may complete the lists and maps that it stands in.
        loop {
            match open.pop() {
                None if reader.peek().is_none() => return Ok(value),
                None => return Err(reader.malformed()),
                Some(OpenValue::List(mut items)) => {
                    items.push(value);
                    if reader.takes(b',') {
                        open.push(OpenValue::List(items));
                        break;
                    }
                    reader.must(b']')?;
                    value = Value::Array(items);
                }
                Some(OpenValue::Map(mut fields, key)) => {
                    fields.insert(key, value);
                    if reader.takes(b',') {
                        let key = reader.key()?;
                        open.push(OpenValue::Map(fields, key));
                        break;
                    }
                    reader.must(b'}')?;
                    value = Value::Object(fields);
                }
            }
        }
    }
}

struct DeepReader<'a> {
    text: &'a str,
    at: usize,
}

impl DeepReader<'_> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn takes(&mut self, wanted: u8) -> bool {
        let is_it = self.peek() == Some(wanted);
        self.at += usize::from(is_it);
        is_it
    }

    fn must(&mut self, wanted: u8) -> Result<(), DeepError> {
        if self.takes(wanted) { Ok(()) } else { Err(self.malformed()) }
    }

    fn malformed(&self) -> DeepError {
        DeepError::Malformed(self.at)
    }

    fn key(&mut self) -> Result<String, DeepError> {
        if self.peek() != Some(b'"') {
            return Err(self.malformed());
        }
        let Value::String(key) = self.leaf()? else { return Err(self.malformed()) };
        self.must(b':')?;
        Ok(key)
    }

    /// A text, number, `true`, `false` or `null`, read by `serde_json`.
    fn leaf(&mut self) -> Result<Value, DeepError> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = match rest.first() {
            Some(b'"') => {
                let mut is_escaped = false;
                let end = rest.iter().skip(1).position(|byte| match byte {
                    _ if is_escaped => {
                        is_escaped = false;
                        false
                    }
                    b'\\' => {
                        is_escaped = true;
                        false
                    }
                    byte => *byte == b'"',
                });
                end.map(|end| end + 2)
            }
            _word => rest
                .iter()
                .position(|byte| matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\n' | b'\r'))
                .or(Some(rest.len())),
        };
        let length = length.ok_or_else(|| self.malformed())?;
        let leaf = self.text.get(self.at..self.at + length).ok_or_else(|| self.malformed())?;
        let value = serde_json::from_str(leaf)?;
        self.at += length;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn what_serde_json_reads_is_read_alike() {
        for text in [
            "1",
            " -1.5e3 ",
            "null",
            r#""a \" b \\""#,
            "[]",
            "{}",
            "[ ]",
            r#"[1, [2, {"a": [], "b\"": {"c": "]}"}}], "é\u00fc"]"#,
            r#"{"a":1,"a":2, "z" : [true,false , null]}"#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text, 9).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "[",
            "]",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "1 2",
            "\"",
            "[1]]",
            "{1:2}",
            "[,1]",
        ] {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
            assert!(read(text, 9).is_err(), "{text}");
        }
    }

    #[test]
    fn the_depth_is_counted_without_recursion_and_bounded() {
        assert_eq!(depth_of_text(r#"{"a[[[": ["\"[["]}"#), 2);
        assert_eq!(depth(&json!({"a": [1, {"b": []}], "c": 2})), 4);
        assert_eq!((depth(&json!(1)), depth_of_text("1")), (0, 0));
        assert_eq!(depth_of_text(&nested(100_000)), 100_000);
        assert!(matches!(read(&nested(100_000), STORED_DEPTH_MAX), Err(DeepError::TooDeep)));
        let deepest = read(&nested(STORED_DEPTH_MAX), STORED_DEPTH_MAX).unwrap();
        assert_eq!(depth(&deepest), STORED_DEPTH_MAX);
        assert_eq!(deepest.to_string(), nested(STORED_DEPTH_MAX));
    }
}
