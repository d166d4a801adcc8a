//! Values as the state keeps them: small ones whole, large ones by reference (rule D3).

use serde::{Deserialize, Serialize};

use everfold_base::id::Version;
use everfold_base::json::{JsonText, Payload, Value};
use everfold_language::expr::{EvalError, Loaded, ValueRef};

/// Outputs over this size stay out of the state.
const KEPT_BYTES_MAX: usize = 1024;

/// A value of the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredValue {
    /// There is none: null.
    #[default]
    Null,
    /// The value itself.
    Whole(JsonText),
    /// Where the history holds it.
    Ref(ValueRef),
    /// A map of which one value is kept apart.
    Map {
        /// The other values.
        known: JsonText,
        /// The name of that value.
        name: String,
        /// That value.
        apart: Box<StoredValue>,
    },
}

impl StoredValue {
    /// Keeps a value of the event at `version`; whole up to 1 KiB.
    pub(crate) fn of(payload: &Payload, version: Version) -> Self {
        Self::up_to(KEPT_BYTES_MAX, payload, version)
    }

    /// Keeps a value whole as long as its event holds it: for the run's input, which nearly every
    /// expression mentions and of which there is one.
    pub(crate) fn inline(payload: &Payload, version: Version) -> Self {
        Self::up_to(everfold_base::json::INLINE_BYTES_MAX, payload, version)
    }

    fn up_to(bytes_max: usize, payload: &Payload, version: Version) -> Self {
        match payload {
            Payload::Inline(text) if text.as_str().len() <= bytes_max => Self::Whole(text.clone()),
            large => Self::Ref(ValueRef { version, hash: large.hash(), size_bytes: large.size_bytes() }),
        }
    }

    /// Whether it is the same value; `None`: null.
    pub(crate) fn is(&self, other: Option<&Payload>) -> bool {
        match (self, other) {
            (Self::Null, None) => true,
            (Self::Whole(text), Some(Payload::Inline(other))) => text == other,
            (Self::Ref(reference), Some(other)) => reference.hash == other.hash(),
            (Self::Null | Self::Whole(_) | Self::Ref(_) | Self::Map { .. }, _) => false,
        }
    }

    /// A map: `known` and one more value, wherever that is kept.
    pub(crate) fn map(mut known: Value, name: &str, value: Self) -> Self {
        let whole = match value {
            Self::Null => Value::Null,
            Self::Whole(text) => text.value(),
            apart @ (Self::Ref(_) | Self::Map { .. }) => {
                let (known, name, apart) = (known.into(), name.to_owned(), Box::new(apart));
                return Self::Map { known, name, apart };
            }
        };
        known[name] = whole;
        Self::Whole(known.into())
    }

    /// Where the history holds a value that is not loaded.
    #[must_use]
    pub fn reference(&self) -> Option<ValueRef> {
        match self {
            Self::Null | Self::Whole(_) => None,
            Self::Ref(reference) => Some(*reference),
            Self::Map { apart, .. } => apart.reference(),
        }
    }

    /// The value.
    ///
    /// # Errors
    /// [`EvalError::Needs`] where it must be loaded first.
    pub fn value(&self, loaded: &Loaded) -> Result<Value, EvalError> {
        match self {
            Self::Null => Ok(Value::Null),
            Self::Whole(text) => Ok(text.value()),
            Self::Ref(reference) => match loaded.get(reference) {
                Some(text) => Ok(text.value()),
                None => Err(EvalError::Needs(vec![*reference])),
            },
            Self::Map { known, name, apart } => {
                let mut whole = known.value();
                whole[name] = apart.value(loaded)?;
                Ok(whole)
            }
        }
    }
}
