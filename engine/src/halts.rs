//! Pauses of whole pipelines and of the engine: one stream of the engine's own, `engine/halts`.
//!
//! Law: pure, like the core of a run: applying a fact neither fails nor chooses, [`Halts::decide`]
//! knows no clock. What stands still here is told to each run as an input of that run, so a run's
//! own history says why it stood still.
//!
//! Called by the driver, which keeps the stream and tells the runs.

use std::collections::BTreeMap;

use bincode::Options as _;
use serde::{Deserialize, Serialize};

use crate::envelope::StreamId;
use crate::event::HaltScope;
use crate::kept::{Kept, Noted};
use crate::time::Timestamp;

/// No event of the stream is longer.
const BYTES_MAX: u64 = 256 * 1024;
/// Pipelines that may be paused at once.
const HALTS_MAX: usize = 1_000;
/// The longest reason.
pub const REASON_BYTES_MAX: usize = 64 * 1024;

/// A fact of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HaltEvent {
    /// A pipeline, or the engine, is paused.
    Halted(Halted),
    /// It goes on.
    Released(Released),
}

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
pub struct Released {
    /// What.
    pub scope: HaltScope,
    /// Why.
    pub reason: Option<String>,
}

/// A pause in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Why.
    pub reason: Option<String>,
    /// Who said so.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

/// The pauses in force: a fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Halts {
    in_force: BTreeMap<HaltScope, Halt>,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A pause.
    Halt,
    /// Its end.
    Release,
}

/// Why it cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HaltRefusal {
    /// There is nothing to release.
    #[error("{0} is not paused")]
    NotHalted(HaltScope),
    /// Too many pipelines are paused.
    #[error("{HALTS_MAX} pipelines are paused already")]
    TooMany,
    /// The reason is over its limit.
    #[error("the reason is over the limit of {REASON_BYTES_MAX} bytes")]
    TooLarge,
}

impl Halts {
    /// What follows; `None` where it is so already.
    ///
    /// # Errors
    /// [`HaltRefusal`].
    pub fn decide(
        &self,
        wanted: Wanted,
        scope: &HaltScope,
        reason: Option<&str>,
    ) -> Result<Option<HaltEvent>, HaltRefusal> {
        if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Err(HaltRefusal::TooLarge);
        }
        let is_halted = self.in_force.contains_key(scope);
        let (scope, reason) = (scope.clone(), reason.map(str::to_owned));
        match (wanted, is_halted) {
            (Wanted::Halt, true) => Ok(None),
            (Wanted::Halt, false) if self.in_force.len() >= HALTS_MAX => Err(HaltRefusal::TooMany),
            (Wanted::Halt, false) => Ok(Some(HaltEvent::Halted(Halted { scope, reason }))),
            (Wanted::Release, true) => Ok(Some(HaltEvent::Released(Released { scope, reason }))),
            (Wanted::Release, false) => Err(HaltRefusal::NotHalted(scope)),
        }
    }

    /// The pauses in force, that of the engine first.
    pub fn all(&self) -> impl Iterator<Item = (&HaltScope, &Halt)> {
        self.in_force.iter()
    }

    /// Whether nothing is paused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_force.is_empty()
    }

    /// Those that a run of this pipeline stands still with.
    pub fn of_pipeline(&self, name: &str) -> impl Iterator<Item = (&HaltScope, &Halt)> {
        self.in_force.iter().filter(move |(scope, _)| match scope {
            HaltScope::Engine => true,
            HaltScope::Pipeline(paused) => paused == name,
        })
    }
}

impl Kept for Halts {
    type Event = HaltEvent;

    fn stream() -> StreamId {
        StreamId::engine("halts")
    }

    fn apply(&mut self, event: &HaltEvent, noted: &Noted<'_>) {
        match event {
            HaltEvent::Halted(halted) => {
                let halt = Halt { reason: halted.reason.clone(), by: noted.by.to_string(), since: noted.at };
                self.in_force.insert(halted.scope.clone(), halt);
            }
            HaltEvent::Released(released) => drop(self.in_force.remove(&released.scope)),
        }
    }

    fn encode(event: &HaltEvent) -> Result<(u16, u16, Vec<u8>), String> {
        let (kind, bytes) = match event {
            HaltEvent::Halted(event) => (HALTED, options().serialize(event)),
            HaltEvent::Released(event) => (RELEASED, options().serialize(event)),
        };
        bytes.map(|bytes| (kind, SCHEMA, bytes)).map_err(|error| error.to_string())
    }

    fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<HaltEvent, String> {
        let event = match (kind, schema) {
            (HALTED, SCHEMA) => options().deserialize(bytes).map(HaltEvent::Halted),
            (RELEASED, SCHEMA) => options().deserialize(bytes).map(HaltEvent::Released),
            _newer => return Err(format!("kind {kind}, schema {schema} is of a newer everfold")),
        };
        event.map_err(|error| error.to_string())
    }
}

/// The numbers of the kinds in stored bytes.
const HALTED: u16 = 20;
const RELEASED: u16 = 21;
const SCHEMA: u16 = 1;

fn options() -> impl bincode::Options {
    crate::stored::options(BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Actor;

    #[test]
    fn s9_a_pause_is_decided_folded_and_read_back_as_it_was_written() {
        let (mut halts, ada) = (Halts::default(), Actor::User("ada".into()));
        let nightly = HaltScope::Pipeline("nightly".into());
        assert_eq!(
            halts.decide(Wanted::Release, &nightly, None),
            Err(HaltRefusal::NotHalted(nightly.clone()))
        );
        for scope in [nightly.clone(), HaltScope::Engine] {
            let event = halts.decide(Wanted::Halt, &scope, Some("freeze")).unwrap().unwrap();
            let (kind, schema, bytes) = Halts::encode(&event).unwrap();
            assert_eq!(Halts::decode(kind, schema, &bytes).unwrap(), event);
            halts.apply(&event, &Noted { by: &ada, at: Timestamp(7) });
            assert_eq!(halts.decide(Wanted::Halt, &scope, None), Ok(None), "the same again is no news");
        }
        assert_eq!(halts.of_pipeline("nightly").count(), 2);
        assert_eq!(halts.of_pipeline("other").count(), 1);
        let event = halts.decide(Wanted::Release, &HaltScope::Engine, None).unwrap().unwrap();
        halts.apply(&event, &Noted { by: &ada, at: Timestamp(8) });
        assert_eq!(halts.of_pipeline("other").count(), 0);
        assert!(Halts::decode(99, 1, &[]).is_err());
    }
}
