//! The facts of a source. Frozen once released, as those of runs are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::triggers::{Outcome, Target};
use everfold_base::codec::stored;
use everfold_base::id::{RunId, Version};
use everfold_base::json::JsonText;

/// A delivery came, as its source reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReceived {
    /// What its sender calls it: the same one again is no news.
    pub id: String,
    /// What kind of event it reports, such as `push`.
    pub name: Option<String>,
    /// Who is behind it.
    pub sender: Option<String>,
    /// The headers that may be shown, in lower case; signatures and tokens are not among them.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: JsonText,
    /// What the source's reader says of it beside that: a map.
    pub about: JsonText,
}

/// A person asks for a delivery to be handled once more, as if it had come just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedeliveryAsked {
    /// The version of the delivery's own event.
    pub delivery: Version,
    /// How often it was handled with this time: from 2.
    pub nth: u32,
}

/// What a delivery led to by one trigger of one pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerOutcome {
    /// The pipeline.
    pub pipeline: String,
    /// Which of its triggers, from 0.
    pub trigger: u32,
    /// What it led to.
    pub outcome: Outcome,
}

/// A signal that no run takes yet, or a start that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedSignal {
    /// The pipeline whose trigger sends it.
    pub pipeline: String,
    /// Which of its triggers, from 0.
    pub trigger: u32,
    /// The signal; empty for a start.
    pub signal: String,
    /// The runs that it waits for.
    pub to: Target,
    /// What it says; `None`: the delivery.
    pub payload: Option<JsonText>,
}

/// What a delivery led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryHandled {
    /// The version of the delivery's own event.
    pub delivery: Version,
    /// How often it was handled with this time: from 1.
    pub nth: u32,
    /// By each trigger that names the source; none where no saved pipeline does.
    pub outcomes: Vec<TriggerOutcome>,
    /// What waits for a run that takes it.
    pub parked: Vec<ParkedSignal>,
}

/// What became of a signal that no run took at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedSettled {
    /// The version of the event that parked it.
    pub handled: Version,
    /// Its place there, from 0.
    pub at: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a signal is sent for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SignalOrigin {
    /// A trigger, for a delivery.
    Trigger {
        /// The version of the delivery's own event.
        delivery: Version,
        /// How often it is handled with this time.
        nth: u32,
        /// The pipeline.
        pipeline: String,
        /// Which of its triggers, from 0.
        trigger: u32,
    },
    /// A signal that waited.
    Parked {
        /// The version of the event that parked it.
        handled: Version,
        /// Its place there, from 0.
        at: u32,
    },
}

/// These runs are about to get the signal. After a crash the same ones get it, whichever would match by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalMeant {
    /// What for.
    pub by: SignalOrigin,
    /// The runs.
    pub runs: Vec<RunId>,
}

/// A fact of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum HookEvent {
    /// A delivery came.
    DeliveryReceived(DeliveryReceived),
    /// It is to be handled again.
    RedeliveryAsked(RedeliveryAsked),
    /// It led to something.
    DeliveryHandled(DeliveryHandled),
    /// A signal that was kept led to something.
    ParkedSettled(ParkedSettled),
    /// Runs are about to get a signal.
    SignalMeant(SignalMeant),
}

const BYTES_MAX: u64 = 4 * 1024 * 1024;

stored!(HookEvent, BYTES_MAX, {
    DeliveryReceived = 1,
    RedeliveryAsked = 2,
    DeliveryHandled = 3,
    ParkedSettled = 4,
    SignalMeant = 5,
});
