//! JSON inside events: canonical text, so that equal values have equal bytes and equal hashes.

mod deep;
pub mod strict;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
pub use serde_json::Value;
use smol_str::SmolStr;

pub use deep::{DEPTH_MAX, STORED_DEPTH_MAX, depth, depth_of_text};

/// The canonical text of a value: keys sorted by their bytes, no white space, numbers as
/// `serde_json` writes them.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            // Sorted here, because another crate may switch serde_json's maps to insertion order.
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            text.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_leaf(&Value::String(key.clone()), text);
                text.push(':');
                write_canonical(&fields[key], text);
            }
            text.push('}');
        }
        leaf => write_leaf(leaf, text),
    }
}

fn write_leaf(leaf: &Value, text: &mut String) {
    // Writing to a String cannot fail.
    let _infallible = write!(text, "{leaf}");
}

const NULL: SmolStr = SmolStr::new_static("null");

/// A JSON value as canonical text: what events hold. Cheap to clone; a short one needs no memory of its own.
///
/// In bincode it is the text; in JSON it is the value itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JsonText(SmolStr);

impl JsonText {
    /// The canonical text of `value`.
    #[must_use]
    pub fn new(value: &Value) -> Self {
        Self(canonical(value).into())
    }

    /// The text `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(NULL)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Value {
        // A text is written from a value, or was read once: only its depth can keep `serde_json` from it.
        serde_json::from_str(&self.0).or_else(|_deep| deep::read(&self.0, usize::MAX)).unwrap_or_default()
    }

    /// How many lists and maps lie within each other in it.
    #[must_use]
    pub fn depth(&self) -> usize {
        depth_of_text(&self.0)
    }

    /// Reads a text of any form and depth that is kept: up to [`STORED_DEPTH_MAX`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        let value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_malformed_or_deep) => {
                deep::read(text, STORED_DEPTH_MAX).map_err(|error| error.to_string())?
            }
        };
        Ok(Self::new(&value))
    }

    /// BLAKE3 of the text.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.0.as_bytes())
    }
}

impl Default for JsonText {
    fn default() -> Self {
        Self::null()
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> Self {
        Self::new(&value)
    }
}

impl std::fmt::Debug for JsonText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for JsonText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.value().serialize(serializer)
        } else {
            serializer.serialize_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Value::deserialize(deserializer).map(Self::from)
        } else {
            deserializer.deserialize_str(Stored)
        }
    }
}

/// The text as bincode has it, copied once.
struct Stored;

impl serde::de::Visitor<'_> for Stored {
    type Value = JsonText;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<JsonText, E> {
        // What most steps give.
        if text == NULL {
            return Ok(JsonText::null());
        }
        // Stored bytes are not trusted: `value` relies on this check.
        if serde_json::from_str::<ValidJson>(text).is_err() {
            deep::read(text, STORED_DEPTH_MAX).map_err(E::custom)?;
        }
        Ok(JsonText(text.into()))
    }
}

/// Any value, read as strictly as [`Value`] is and kept nowhere. `IgnoredAny` also takes what no value
/// can hold: half a surrogate pair, a number out of all range.
struct ValidJson;

impl<'de> Deserialize<'de> for ValidJson {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> serde::de::Visitor<'de> for ValidJson {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// A BLAKE3 hash. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands before the first event of a stream.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first 12 hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Hash {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes()))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

/// Values over this size are kept as a file of their run instead of inside the event.
pub const INLINE_BYTES_MAX: usize = 32 * 1024;

/// A JSON value in an event: inside it, or, over [`INLINE_BYTES_MAX`], as a blob of the run.
///
/// In JSON a value inside is the value itself; a blob is `{"$blob": {"hash": …, "size_bytes": …}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The value itself.
    Inline(JsonText),
    /// The blob `blobs/<run>/<hash>` holds the value's canonical text.
    Blob(BlobRef),
}

/// A [`Payload`] as bincode writes it; frozen with the events.
#[derive(Serialize, Deserialize)]
enum StoredPayload {
    Inline(JsonText),
    Blob(BlobRef),
}

const BLOB_KEY: &str = "$blob";

impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, serializer.is_human_readable()) {
            (Self::Inline(text), true) => text.serialize(serializer),
            (Self::Blob(blob), true) => {
                std::collections::BTreeMap::from([(BLOB_KEY, blob)]).serialize(serializer)
            }
            (Self::Inline(text), false) => StoredPayload::Inline(text.clone()).serialize(serializer),
            (Self::Blob(blob), false) => StoredPayload::Blob(*blob).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Ok(match StoredPayload::deserialize(deserializer)? {
                StoredPayload::Inline(text) => Self::Inline(text),
                StoredPayload::Blob(blob) => Self::Blob(blob),
            });
        }
        let value = Value::deserialize(deserializer)?;
        match value.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.get(BLOB_KEY)) {
            Some(blob) => BlobRef::deserialize(blob).map(Self::Blob).map_err(serde::de::Error::custom),
            None => Ok(Self::Inline(value.into())),
        }
    }
}

impl Payload {
    /// The canonical text, where it is inline.
    #[must_use]
    pub fn text(&self) -> Option<&JsonText> {
        match self {
            Self::Inline(text) => Some(text),
            Self::Blob(_) => None,
        }
    }

    /// The hash of the canonical text, wherever it is kept.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match self {
            Self::Inline(text) => text.hash(),
            Self::Blob(blob) => blob.hash,
        }
    }

    /// The size of the canonical text in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Inline(text) => text.as_str().len() as u64,
            Self::Blob(blob) => blob.size_bytes,
        }
    }
}

/// Names a blob of a run by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// BLAKE3 of the content: the file's name.
    pub hash: Hash,
    /// The content's length in bytes.
    pub size_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn h5_equal_values_have_one_text() {
        let value: Value = serde_json::from_str(r#"{"b":1,"a":[1.5,"é\n",null,{"z":0,"y":true}]}"#).unwrap();
        assert_eq!(canonical(&value), r#"{"a":[1.5,"é\n",null,{"y":true,"z":0}],"b":1}"#);
        assert_eq!(JsonText::new(&value).value(), value);
    }

    #[test]
    fn json_text_is_text_in_bincode_and_a_value_in_json() {
        let text = JsonText::new(&json!({"a": 1}));
        let bytes = bincode::serialize(&text).unwrap();
        assert_eq!(bincode::deserialize::<JsonText>(&bytes).unwrap(), text);
        assert_eq!(serde_json::to_string(&text).unwrap(), r#"{"a":1}"#);
        let broken = bincode::serialize("{").unwrap();
        assert!(bincode::deserialize::<JsonText>(&broken).is_err());
    }

    #[test]
    fn row_50_a_stored_value_of_any_depth_is_read_and_shown_and_what_no_value_holds_is_refused() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        for depth in [1, 127, 128, 129, 225, STORED_DEPTH_MAX] {
            let bytes = bincode::serialize(&nested(depth)).unwrap();
            let text = bincode::deserialize::<JsonText>(&bytes).unwrap();
            assert_eq!((text.depth(), super::depth(&text.value())), (depth, depth));
            assert_eq!(serde_json::to_string(&text).unwrap(), nested(depth), "an export does not break off");
            assert_eq!(JsonText::read(nested(depth).as_bytes()).unwrap(), text);
        }
        let beyond = nested(STORED_DEPTH_MAX + 1);
        for never in [beyond.as_str(), r#""\ud800""#, "1e999", "[1", "{\"a\":1,}", "\"\n\""] {
            let bytes = bincode::serialize(never).unwrap();
            assert!(bincode::deserialize::<JsonText>(&bytes).is_err(), "{never}");
            assert!(JsonText::read(never.as_bytes()).is_err(), "{never}");
        }
    }

    #[test]
    fn a_payload_is_the_value_itself_in_json_and_reads_back_from_both_forms() {
        let blob = BlobRef { hash: Hash::of(b"x"), size_bytes: 40_000 };
        for payload in [Payload::Inline(json!({"a": 1}).into()), Payload::Blob(blob)] {
            let bytes = bincode::serialize(&payload).unwrap();
            assert_eq!(bincode::deserialize::<Payload>(&bytes).unwrap(), payload);
            let text = serde_json::to_string(&payload).unwrap();
            assert_eq!(serde_json::from_str::<Payload>(&text).unwrap(), payload);
        }
        assert_eq!(serde_json::to_string(&Payload::Inline(json!([1]).into())).unwrap(), "[1]");
    }
}
