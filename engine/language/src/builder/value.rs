//! What the keys of the language take, as Rust says it.

use std::time::Duration;

use serde_json::Value;

use crate::definition::{
    Busy, CatchUp, FinishStatus, IfUnchanged, Keep, OnLimit, OnLost, OnOver, OnRefused, OnTaken, Overlap,
    OverlapBy, Period, Release, Save, StepRole, Vote,
};
use crate::words::UnblockDecision;

/// Declares how the choices of the language are written.
macro_rules! words {
    ($($choice:ident { $($variant:ident $word:literal),* $(,)? })*) => { $(
        impl From<$choice> for $crate::builder::value::Word<$choice> {
            fn from(choice: $choice) -> Self {
                Self::of(match choice { $($choice::$variant => $word),* })
            }
        }
    )* };
}

pub(super) use words;

/// Declares a kind of value and what it is made from.
macro_rules! values {
    ($($(#[$about:meta])* $name:ident { $($from:ty => $into:expr),* $(,)? })*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name(pub(super) Value);

        impl From<$name> for Value {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        $(impl From<$from> for $name {
            fn from(value: $from) -> Self {
                let into: fn($from) -> Value = $into;
                Self(into(value))
            }
        })*
    )* };
}

values! {
    /// A text; where the language allows it with `${…}`. An expression (`when`, `policy`, …) is one, too.
    Text {
        &str => |text| Value::String(text.to_owned()),
        String => Value::String,
        &String => |text| Value::String(text.clone()),
    }

    /// Several texts. One alone is a list of one.
    Texts {
        &str => |text| Value::Array(vec![text.into()]),
        String => |text| Value::Array(vec![text.into()]),
        Vec<&str> => |texts| texts.into(),
        Vec<String> => |texts| texts.into(),
        &[&str] => |texts| texts.to_vec().into(),
    }

    /// A whole number, or a text whose `${…}` gives one.
    Number {
        u32 => Value::from,
        i32 => Value::from,
        u64 => Value::from,
        usize => Value::from,
        &str => |text| text.into(),
        String => Value::from,
    }

    /// A duration: `Duration`, `"30s"`, or a text whose `${…}` gives one. Whole milliseconds count.
    Pause {
        Duration => |span| everfold_base::duration::format(span).into(),
        &str => |text| text.into(),
        String => Value::from,
    }

    /// An amount with its currency, `"5.00 USD"`, or a text whose `${…}` gives one.
    Money {
        &str => |text| text.into(),
        String => Value::from,
    }

    /// True, false, or where the language allows it an expression.
    Flag {
        bool => Value::Bool,
        &str => |text| text.into(),
        String => Value::from,
    }

    /// Any JSON, with `${…}` in its texts where the language allows it.
    Data {
        Value => |value| value,
        &str => |text| text.into(),
        String => Value::from,
        bool => Value::Bool,
        u32 => Value::from,
        i32 => Value::from,
        i64 => Value::from,
        f64 => Value::from,
        Vec<Value> => Value::Array,
        Vec<&str> => |texts| texts.into(),
        Vec<String> => |texts| texts.into(),
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Texts {
    fn from(texts: [T; N]) -> Self {
        Self(texts.into_iter().map(|text| Value::String(text.into())).collect())
    }
}

/// One of the choices of `T`, as the language writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<T> {
    word: &'static str,
    of: std::marker::PhantomData<T>,
}

impl<T> Word<T> {
    pub(super) fn of(word: &'static str) -> Self {
        Self { word, of: std::marker::PhantomData }
    }
}

impl<T> From<Word<T>> for Value {
    fn from(word: Word<T>) -> Self {
        word.word.into()
    }
}

words! {
    Busy { Defer "defer", Interrupt "interrupt", Ignore "ignore" }
    CatchUp { None "none", One "one", All "all" }
    FinishStatus { Succeeded "succeeded", Failed "failed", Cancelled "cancelled" }
    IfUnchanged { Block "block" }
    Keep { Never "never", Failed "failed", Always "always" }
    OnLimit { Queue "queue", Reject "reject", CancelOldest "cancel-oldest" }
    OnLost { Retry "retry", Block "block", Fail "fail" }
    OnOver { Pause "pause", Fail "fail", Stop "stop" }
    OnRefused { Refuse "refuse", Fail "fail" }
    OnTaken { Return "return", Reject "reject", Replace "replace" }
    Overlap { Skip "skip", Allow "allow", Queue "queue" }
    OverlapBy { Run "run", Key "key" }
    Period { Total "total", Day "day", Week "week", Month "month" }
    Release { Ended "ended", Unsuccessful "unsuccessful" }
    Save { None "none", Commit "commit", Push "push" }
    StepRole { Viewer "viewer", Approver "approver", Operator "operator" }
    UnblockDecision { Retry "retry", Recheck "recheck", Proceed "proceed", Skip "skip", Fail "fail" }
    Vote { Approve "approve", Changes "changes", Reject "reject" }
}
