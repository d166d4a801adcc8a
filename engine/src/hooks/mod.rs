//! Hooks: deliveries of a source, and what they led to.
//!
//! Law: a source's stream says it all, and folding and deciding are pure. A delivery is a fact before
//! anybody is answered, once per id within 7 days; what it led to is another, for each trigger. What it
//! starts and sends has ids that derive from the first fact, so a repeat does nothing twice.
//!
//! Called by the driver's hook desk, the only writer of these streams.

mod event;
mod state;

pub use event::{
    DeliveryHandled, DeliveryReceived, HookEvent, MeantBy, ParkedSettled, ParkedSignal, RedeliveryAsked,
    SignalMeant, TriggerOutcome,
};
pub use state::{Entry, HookState, Parked, ParkedId};

use std::time::Duration;

use serde_json::json;

use crate::envelope::{StreamId, StreamKind};
use crate::json::Value;
use crate::time::Timestamp;
use crate::triggers::Occasion;

/// The largest body of a delivery.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The longest id of a delivery.
pub const ID_BYTES_MAX: usize = 160;
/// All headers of a delivery together.
pub const HEADERS_BYTES_MAX: usize = 32 * 1024;
/// How long a delivery's id is remembered, and how long a signal waits for somebody who hears it.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Signals of one source that wait for somebody who hears them.
pub const PARKED_MAX: usize = 1_000;
/// Deliveries of one source that are remembered; older ones are forgotten before their 7 days.
pub const REMEMBERED_MAX: usize = 100_000;

/// Changes with what the fold keeps: snapshots of another one are not used.
pub const FOLD_VERSION: u32 = 1;

/// The stream of a source.
#[must_use]
pub fn stream(source: &str) -> StreamId {
    StreamId { kind: StreamKind::Hook, id: source.into() }
}

/// Whether a text may name a source: as ids of the language do.
#[must_use]
pub fn is_source(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_rest = |byte: u8| is_first(byte) || byte == b'_' || byte == b'-';
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().next().is_some_and(is_first)
        && text.bytes().all(is_rest)
}

impl DeliveryReceived {
    /// What a trigger's expressions see of it: what its source's reader says, with `source`, `id`, `name`,
    /// `sender`, `headers`, `body` and `received_at`.
    #[must_use]
    pub fn occasion(&self, source: &str, received_at: Timestamp) -> Occasion {
        let mut event = match self.about.value() {
            Value::Object(about) => about,
            _nothing => serde_json::Map::new(),
        };
        let own = json!({
            "source": source, "id": self.id, "name": self.name, "sender": self.sender,
            "headers": self.headers, "received_at": received_at.to_string(),
        });
        if let Value::Object(own) = own {
            event.extend(own);
        }
        event.insert("body".to_owned(), self.body.value());
        let actor = self.sender.clone().unwrap_or_else(|| format!("hook:{source}"));
        Occasion { event: Value::Object(event), actor }
    }
}

#[cfg(test)]
mod tests;
