//! The facts of the stream. Frozen once released, as those of runs are.

use serde::{Deserialize, Serialize};

use super::id::NoticeId;
use everfold_base::codec::stored;
use everfold_base::id::Position;

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

/// The notice was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeDelivered {
    /// Of what.
    pub id: NoticeId,
    /// How far its subscription has come with it; `None`: it was sent again, by order of a person.
    pub place: Option<Place>,
    /// Tries, this one included.
    pub tries: u32,
}

/// The notice could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Of what.
    pub id: NoticeId,
    /// How far its subscription has come with it; `None`: it was sent again, by order of a person.
    pub place: Option<Place>,
    /// The type of the event.
    pub event: String,
    /// Tries in all.
    pub tries: u32,
    /// Why.
    pub message: String,
}

/// What a person decided on an undelivered notice.
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
    /// It is dropped.
    Drop,
}

/// A person decided on an undelivered notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeDecided {
    /// Which.
    pub id: NoticeId,
    /// What.
    pub decision: Decision,
}

/// An event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeEvent {
    /// A subscription begins behind this position.
    Opened(Place),
    /// Up to here nothing more was for it.
    Reached(Place),
    /// The notice was delivered.
    Told(NoticeDelivered),
    /// The notice could not be delivered.
    GivenUp(GivenUp),
    /// A person decided on an undelivered notice.
    Decided(NoticeDecided),
}

stored!(NoticeEvent, BYTES_MAX, { Opened = 50, Reached = 51, Told = 52, GivenUp = 53, Decided = 54 });
