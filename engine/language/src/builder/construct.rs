//! How a construct of the language becomes a type: a map, and a method per key.
//!
//! Law: every key that a method can write stands in the type's `KEYS`, which a test compares with
//! what the reader knows.

use serde_json::{Map, Value};

/// How the types write keys in ways of their own.
pub(super) trait Construct: Sized {
    fn with_keys(keys: Map<String, Value>) -> Self;

    fn keys(&mut self) -> &mut Map<String, Value>;

    fn empty() -> Self {
        Self::with_keys(Map::new())
    }

    fn with_key(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys().insert(key.to_owned(), value.into());
        self
    }
}

/// Declares a construct. `set` keys are written once (the last one counts), `push` keys collect a
/// list, `entry` keys collect a map, `also` names keys that the type writes in ways of its own.
macro_rules! construct {
    (
        $(#[$about:meta])* $name:ident
        $(set { $($(#[$set_doc:meta])* $set:ident $set_key:literal: $set_type:ty;)* })?
        $(push { $($(#[$push_doc:meta])* $push:ident $push_key:literal: $push_type:ty;)* })?
        $(entry { $($(#[$entry_doc:meta])* $entry:ident $entry_key:literal: $entry_type:ty;)* })?
        $(also [$($also:literal),*])?
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        #[must_use]
        pub struct $name {
            pub(super) keys: serde_json::Map<String, serde_json::Value>,
        }

        impl $name {
            /// The keys that it can have.
            #[cfg(test)]
            pub(super) const KEYS: &'static [&'static str] = &[
                $($($set_key,)*)? $($($push_key,)*)? $($($entry_key,)*)? $($($also,)*)?
            ];

            $($(
                $(#[$set_doc])*
                pub fn $set(mut self, value: impl Into<$set_type>) -> Self {
                    let value: $set_type = value.into();
                    self.keys.insert($set_key.to_owned(), value.into());
                    self
                }
            )*)?

            $($(
                $(#[$push_doc])*
                pub fn $push(mut self, value: impl Into<$push_type>) -> Self {
                    let value: $push_type = value.into();
                    let list = self.keys.entry($push_key).or_insert_with(|| serde_json::json!([]));
                    if let serde_json::Value::Array(list) = list {
                        list.push(value.into());
                    }
                    self
                }
            )*)?

            $($(
                $(#[$entry_doc])*
                pub fn $entry(mut self, name: impl Into<String>, value: impl Into<$entry_type>) -> Self {
                    let value: $entry_type = value.into();
                    let map = self.keys.entry($entry_key).or_insert_with(|| serde_json::json!({}));
                    if let serde_json::Value::Object(map) = map {
                        map.insert(name.into(), value.into());
                    }
                    self
                }
            )*)?
        }

        impl $crate::builder::construct::Construct for $name {
            fn with_keys(keys: serde_json::Map<String, serde_json::Value>) -> Self {
                Self { keys }
            }

            fn keys(&mut self) -> &mut serde_json::Map<String, serde_json::Value> {
                &mut self.keys
            }
        }

        impl From<$name> for serde_json::Value {
            fn from(construct: $name) -> Self {
                Self::Object(construct.keys)
            }
        }
    };
}

pub(super) use construct;
