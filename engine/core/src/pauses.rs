//! Pauses of whole pipelines and of the engine: one stream of the engine's own, `engine/halts`.
//!
//! Law: pure, like the core of a run: applying a fact neither fails nor chooses, [`Pauses::decide`]
//! knows no clock. Each run gets a pause that applies to it as an input of that run, so a run's
//! own history says why it was paused.
//!
//! Called by the runtime, which keeps the stream and sends the runs their inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, EventStamp};
use crate::event::HaltScope;
use everfold_base::codec::stored;
use everfold_base::envelope::StreamId;
use everfold_base::time::Timestamp;

/// No event of the stream is longer.
const BYTES_MAX: u64 = 256 * 1024;
/// Pipelines that may be paused at once.
const PAUSES_MAX: usize = 1_000;
/// The longest reason.
pub const REASON_BYTES_MAX: usize = 64 * 1024;

/// A fact of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PauseEvent {
    /// A pipeline, or the engine, is paused.
    Halted(Halted),
    /// It goes on.
    Released(PauseReleased),
}

stored!(PauseEvent, BYTES_MAX, { Halted = 20, Released = 21 });

/// A pipeline, or the engine, is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halted {
    /// What.
    pub scope: HaltScope,
    /// Why.
    pub reason: Option<String>,
}

/// What was paused goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseReleased {
    /// What.
    pub scope: HaltScope,
    /// Why.
    pub reason: Option<String>,
}

/// A pause in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingPause {
    /// Why.
    pub reason: Option<String>,
    /// The actor that ordered it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

/// The pauses in force: a fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    in_force: BTreeMap<HaltScope, StandingPause>,
}

/// What an operator orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseOrder {
    /// A pause.
    Halt,
    /// Its end.
    Release,
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PauseRefusal {
    /// There is nothing to release.
    #[error("{0} is not paused")]
    NotHalted(HaltScope),
    /// Too many pipelines are paused.
    #[error("{PAUSES_MAX} pipelines are paused already")]
    TooMany,
    /// The reason is over its limit.
    #[error("the reason is over the limit of {REASON_BYTES_MAX} bytes")]
    TooLarge,
}

impl Pauses {
    /// What follows; `None` where it is so already.
    ///
    /// # Errors
    /// [`PauseRefusal`].
    pub fn decide(
        &self,
        wanted: PauseOrder,
        scope: &HaltScope,
        reason: Option<&str>,
    ) -> Result<Option<PauseEvent>, PauseRefusal> {
        if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Err(PauseRefusal::TooLarge);
        }
        let is_halted = self.in_force.contains_key(scope);
        let (scope, reason) = (scope.clone(), reason.map(str::to_owned));
        match (wanted, is_halted) {
            (PauseOrder::Halt, true) => Ok(None),
            (PauseOrder::Halt, false) if self.in_force.len() >= PAUSES_MAX => Err(PauseRefusal::TooMany),
            (PauseOrder::Halt, false) => Ok(Some(PauseEvent::Halted(Halted { scope, reason }))),
            (PauseOrder::Release, true) => Ok(Some(PauseEvent::Released(PauseReleased { scope, reason }))),
            (PauseOrder::Release, false) => Err(PauseRefusal::NotHalted(scope)),
        }
    }

    /// The pauses in force, that of the engine first.
    pub fn all(&self) -> impl Iterator<Item = (&HaltScope, &StandingPause)> {
        self.in_force.iter()
    }

    /// Whether nothing is paused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_force.is_empty()
    }

    /// Those that pause a run of this pipeline.
    pub fn of_pipeline(&self, name: &str) -> impl Iterator<Item = (&HaltScope, &StandingPause)> {
        self.in_force.iter().filter(move |(scope, _)| scope.pauses(name))
    }
}

impl Aggregate for Pauses {
    type Event = PauseEvent;

    fn stream() -> StreamId {
        StreamId::engine("halts")
    }

    fn apply(&mut self, event: &PauseEvent, stamp: &EventStamp<'_>) {
        match event {
            PauseEvent::Halted(halted) => {
                let halt = StandingPause {
                    reason: halted.reason.clone(),
                    by: stamp.by.to_string(),
                    since: stamp.at,
                };
                self.in_force.insert(halted.scope.clone(), halt);
            }
            PauseEvent::Released(released) => drop(self.in_force.remove(&released.scope)),
        }
    }

    fn encode(event: &PauseEvent) -> Result<(u16, u16, Vec<u8>), String> {
        event.encode().map_err(|error| error.to_string())
    }

    fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<PauseEvent, String> {
        PauseEvent::decode(kind, schema, bytes).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::stored_text;
    use everfold_base::actor::Actor;

    #[test]
    fn s9_a_pause_is_decided_folded_and_read_back_as_it_was_written() {
        let (mut halts, ada) = (Pauses::default(), Actor::User("ada".into()));
        let nightly = HaltScope::Pipeline("nightly".into());
        assert_eq!(
            halts.decide(PauseOrder::Release, &nightly, None),
            Err(PauseRefusal::NotHalted(nightly.clone()))
        );
        for scope in [nightly.clone(), HaltScope::Engine] {
            let event = halts.decide(PauseOrder::Halt, &scope, Some("freeze")).unwrap().unwrap();
            let (kind, schema, bytes) = Pauses::encode(&event).unwrap();
            assert_eq!(Pauses::decode(kind, schema, &bytes).unwrap(), event);
            halts.apply(&event, &EventStamp { by: &ada, at: Timestamp(7) });
            assert_eq!(halts.decide(PauseOrder::Halt, &scope, None), Ok(None), "the same again is no news");
        }
        assert_eq!(halts.of_pipeline("nightly").count(), 2);
        assert_eq!(halts.of_pipeline("other").count(), 1);
        let event = halts.decide(PauseOrder::Release, &HaltScope::Engine, None).unwrap().unwrap();
        halts.apply(&event, &EventStamp { by: &ada, at: Timestamp(8) });
        assert_eq!(halts.of_pipeline("other").count(), 0);
        assert!(Pauses::decode(99, 1, &[]).is_err());
    }

    #[test]
    fn the_stored_bytes_stay() {
        let (pipeline, reason) = (HaltScope::Pipeline("nightly".into()), Some("freeze".to_owned()));
        let halted = PauseEvent::Halted(Halted { scope: pipeline, reason });
        let released = PauseEvent::Released(PauseReleased { scope: HaltScope::Engine, reason: None });
        let stored = [stored_text::<Pauses>(&halted), stored_text::<Pauses>(&released)];
        assert_eq!(
            stored,
            ["20/1/0100000007000000000000006e696768746c79010600000000000000667265657a65", "21/1/0000000000",]
        );
    }
}
