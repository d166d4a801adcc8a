//! Numbers of runs: one count per key, in the stream `engine/number:KEY`.
//!
//! Law: a number is given once. It is recorded here before the run's first event names it, so a crash in between
//! leaves a gap and never gives it twice. The same start that asks again gets the same number, while it is among the
//! newest [`STARTS_KEPT`]. Pure: folding neither fails nor chooses.
//!
//! Called by the runtime, the only writer of these streams.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::aggregate::stream_of;
use everfold_base::codec::stored;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::id::InputId;

/// No event of these streams is longer.
const BYTES_MAX: u64 = 1024;
/// The newest starts, which get the same number when they ask again.
pub const STARTS_KEPT: usize = 1_000;
/// What the fold's snapshots are numbered with: raised when the same events fold to another state.
pub const NUMBERS_FOLD_VERSION: u32 = 1;

/// A number is given to a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberTaken {
    /// From 1, one after the other.
    pub number: u64,
    /// The start that it is given to.
    pub start: InputId,
}

/// An event of a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberEvent {
    /// A number is given.
    NumberTaken(NumberTaken),
}

stored!(NumberEvent, BYTES_MAX, { NumberTaken = 60 });

/// The count of one key: a fold of its stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNumbers {
    last: u64,
    /// The newest starts, oldest first.
    newest: VecDeque<NumberTaken>,
}

impl RunNumbers {
    /// The stream of a key.
    #[must_use]
    pub fn stream(key: &str) -> StreamId {
        stream_of("number", key)
    }

    /// Whether a stream is that of a key's count.
    #[must_use]
    pub fn is_stream(stream: &StreamId) -> bool {
        stream.kind == StreamKind::Engine
            && (stream.id.starts_with("number:") || stream.id.starts_with("number#"))
    }

    /// Folds a fact.
    pub fn apply(&mut self, event: &NumberEvent) {
        let NumberEvent::NumberTaken(taken) = event;
        self.last = taken.number;
        self.newest.push_back(taken.clone());
        if self.newest.len() > STARTS_KEPT {
            self.newest.pop_front();
        }
    }

    /// The number that a start was given.
    #[must_use]
    pub fn of(&self, start: InputId) -> Option<u64> {
        self.newest.iter().rev().find(|taken| taken.start == start).map(|taken| taken.number)
    }

    /// Gives the next number to a start that has none.
    #[must_use]
    pub fn take(&self, start: InputId) -> Option<NumberEvent> {
        let next = || NumberEvent::NumberTaken(NumberTaken { number: self.last.saturating_add(1), start });
        self.of(start).is_none().then(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(text: &str) -> InputId {
        InputId::derive(text)
    }

    #[test]
    fn a_start_gets_one_number_however_often_it_asks_and_none_is_given_twice() {
        let mut numbers = RunNumbers::default();
        for text in ["a", "b", "a", "c", "b"] {
            if let Some(event) = numbers.take(start(text)) {
                numbers.apply(&event);
            }
        }
        let of = |text| numbers.of(start(text));
        assert_eq!((of("a"), of("b"), of("c"), of("d")), (Some(1), Some(2), Some(3), None));
    }

    #[test]
    fn the_newest_starts_are_remembered_and_the_count_goes_on() {
        let mut numbers = RunNumbers::default();
        for n in 0..=STARTS_KEPT {
            let event = numbers.take(start(&n.to_string())).expect("a new start");
            numbers.apply(&event);
        }
        assert_eq!((numbers.newest.len(), numbers.of(start("0"))), (STARTS_KEPT, None));
        assert_eq!(numbers.of(start(&STARTS_KEPT.to_string())), Some(STARTS_KEPT as u64 + 1));
    }

    #[test]
    fn the_stored_bytes_stay_and_long_keys_are_named_by_their_hash() {
        let event = NumberEvent::NumberTaken(NumberTaken { number: 7, start: InputId([3; 16]) });
        let (kind, schema, bytes) = event.encode().unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(format!("{kind}/{schema}/{hex}"), "60/1/070000000000000003030303030303030303030303030303");
        assert_eq!(NumberEvent::decode(kind, schema, &bytes).unwrap(), event);
        assert_eq!(RunNumbers::stream("deploy").to_string(), "engine/number:deploy");
        let long = RunNumbers::stream(&"x".repeat(201));
        assert!(long.id.starts_with("number#") && long.id.len() <= 255 && RunNumbers::is_stream(&long));
    }
}
