//! The facts of the stream. Frozen once released, as those of runs are.

use bincode::Options as _;
use serde::{Deserialize, Serialize};

use super::NoticeId;
use crate::id::Position;

/// No event of the stream is longer.
const BYTES_MAX: u64 = 16 * 1024;

/// How far a subscription has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which.
    pub subscription: String,
    /// Up to where.
    pub position: Position,
}

/// Somebody was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Of what.
    pub id: NoticeId,
    /// How far its subscription has come with it; `None`: it was sent again, by somebody's wish.
    pub place: Option<Place>,
    /// Tries, this one included.
    pub tries: u32,
}

/// Nobody could be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Of what.
    pub id: NoticeId,
    /// How far its subscription has come with it; `None`: it was sent again, by somebody's wish.
    pub place: Option<Place>,
    /// The type of the event.
    pub event: String,
    /// Tries in all.
    pub tries: u32,
    /// Why.
    pub message: String,
}

/// What somebody decided on a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// It is sent again. What was known of it stands beside.
    Retry {
        /// The type of the event.
        event: String,
        /// Tries so far.
        tries: u32,
        /// Why the last one failed.
        message: String,
    },
    /// It is let be.
    Drop,
}

/// A fact of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeEvent {
    /// A subscription begins behind this position.
    Opened(Place),
    /// Up to here nothing more was for it.
    Reached(Place),
    /// Somebody was told.
    Told(Told),
    /// Nobody could be told.
    GivenUp(GivenUp),
    /// Somebody decided on a letter.
    Decided {
        /// Which.
        id: NoticeId,
        /// What.
        decision: Decision,
    },
}

/// The numbers of the kinds in stored bytes.
const OPENED: u16 = 50;
const REACHED: u16 = 51;
const TOLD: u16 = 52;
const GIVEN_UP: u16 = 53;
const DECIDED: u16 = 54;
const SCHEMA: u16 = 1;

impl NoticeEvent {
    pub(super) fn encode(&self) -> Result<(u16, u16, Vec<u8>), String> {
        let (kind, bytes) = match self {
            Self::Opened(place) => (OPENED, options().serialize(place)),
            Self::Reached(place) => (REACHED, options().serialize(place)),
            Self::Told(told) => (TOLD, options().serialize(told)),
            Self::GivenUp(given_up) => (GIVEN_UP, options().serialize(given_up)),
            Self::Decided { id, decision } => (DECIDED, options().serialize(&(id, decision))),
        };
        bytes.map(|bytes| (kind, SCHEMA, bytes)).map_err(|error| error.to_string())
    }

    pub(super) fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self, String> {
        let event = match (kind, schema) {
            (OPENED, SCHEMA) => options().deserialize(bytes).map(Self::Opened),
            (REACHED, SCHEMA) => options().deserialize(bytes).map(Self::Reached),
            (TOLD, SCHEMA) => options().deserialize(bytes).map(Self::Told),
            (GIVEN_UP, SCHEMA) => options().deserialize(bytes).map(Self::GivenUp),
            (DECIDED, SCHEMA) => {
                options().deserialize(bytes).map(|(id, decision)| Self::Decided { id, decision })
            }
            _newer => return Err(format!("kind {kind}, schema {schema} is of a newer everfold")),
        };
        event.map_err(|error| error.to_string())
    }
}

fn options() -> impl bincode::Options {
    crate::stored::options(BYTES_MAX)
}
