//! Breakers that people closed: one stream of the engine's own, `engine/breakers`.
//!
//! Law: pure: [`Resets::apply`] neither fails nor chooses. How a breaker stands is not durable, and a new
//! engine begins with closed ones; that a person let attempts go through again is a decision, so it is kept.
//!
//! Called by the node, the owner of a data folder, which records a reset before it closes the breaker.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, EventStamp};
use everfold_base::codec::stored;
use everfold_base::envelope::StreamId;
use everfold_base::time::Timestamp;

/// No event of the stream is longer.
const BYTES_MAX: u64 = 128 * 1024;
/// The longest reason.
pub const REASON_BYTES_MAX: usize = 64 * 1024;
/// Resets that are listed; the stream itself has all.
const RESETS_KEPT: usize = 20;

/// A person closed a breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerReset {
    /// The service behind it, `KIND.NAME`.
    pub service: String,
    /// Outages in a row that it had counted.
    pub failures: u32,
    /// Why.
    pub reason: Option<String>,
}

/// An event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerEvent {
    /// A breaker was closed by hand.
    BreakerReset(BreakerReset),
}

stored!(BreakerEvent, BYTES_MAX, { BreakerReset = 40 });

/// A reset, with its actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The service behind the breaker.
    pub service: String,
    /// Outages in a row that it had counted.
    pub failures: u32,
    /// Why.
    pub reason: Option<String>,
    /// Its actor.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The newest resets: a fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resets {
    newest: VecDeque<Reset>,
}

impl Resets {
    /// The newest resets, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Reset> {
        self.newest.iter().rev()
    }
}

impl Aggregate for Resets {
    type Event = BreakerEvent;

    fn stream() -> StreamId {
        StreamId::engine("breakers")
    }

    fn apply(&mut self, event: &BreakerEvent, stamp: &EventStamp<'_>) {
        let BreakerEvent::BreakerReset(BreakerReset { service, failures, reason }) = event.clone();
        self.newest.push_back(Reset { service, failures, reason, by: stamp.by.to_string(), at: stamp.at });
        if self.newest.len() > RESETS_KEPT {
            self.newest.pop_front();
        }
    }

    fn encode(event: &BreakerEvent) -> Result<(u16, u16, Vec<u8>), String> {
        event.encode().map_err(|error| error.to_string())
    }

    fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<BreakerEvent, String> {
        BreakerEvent::decode(kind, schema, bytes).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::stored_text;
    use everfold_base::actor::Actor;

    #[test]
    fn s9_a_reset_is_read_back_as_it_was_written_and_the_newest_are_listed() {
        let mut resets = Resets::default();
        for n in 0..25 {
            let event = BreakerEvent::BreakerReset(BreakerReset {
                service: "agent.claude".into(),
                failures: n,
                reason: (n == 24).then(|| "it is back".to_owned()),
            });
            let (kind, schema, bytes) = Resets::encode(&event).unwrap();
            assert_eq!(Resets::decode(kind, schema, &bytes).unwrap(), event);
            assert!(Resets::decode(kind, schema + 1, &bytes).is_err());
            resets.apply(&event, &EventStamp { by: &Actor::User("ada".into()), at: Timestamp(i64::from(n)) });
        }
        let newest: Vec<_> = resets.newest().collect();
        assert_eq!((newest.len(), newest[0].failures, newest[19].failures), (20, 24, 5));
        assert_eq!((newest[0].by.as_str(), newest[0].reason.as_deref()), ("user:ada", Some("it is back")));
    }

    #[test]
    fn the_stored_bytes_stay() {
        let reason = Some("it is back".to_owned());
        let reset = BreakerReset { service: "agent.claude".into(), failures: 3, reason };
        let reset = BreakerEvent::BreakerReset(reset);
        let stored = [stored_text::<Resets>(&reset)];
        assert_eq!(
            stored,
            ["40/1/0c000000000000006167656e742e636c6175646503000000010a000000000000006974206973206261636b",]
        );
    }
}
