//! Hooks: deliveries of a source, and what they led to.
//!
//! Law: a source's stream says it all, and folding and deciding are pure. A delivery is a fact before
//! its sender is answered, once per id within 7 days; what it led to is another, for each trigger. What it
//! starts and sends has ids that derive from the first fact, so a repeat does nothing twice.
//!
//! Called by the webhook actor of the runtime, the only writer of these streams.

mod event;
mod source;
mod state;
mod trigger_event;

pub use event::{
    DeliveryHandled, DeliveryReceived, HookEvent, ParkedSettled, ParkedSignal, RedeliveryAsked, SignalMeant,
    SignalOrigin, TriggerOutcome,
};
pub use source::{
    BODY_BYTES_MAX, FOLD_VERSION, HEADERS_BYTES_MAX, ID_BYTES_MAX, KEPT, PARKED_MAX, REMEMBERED_MAX,
    is_source, stream,
};
pub use state::{HookState, Parked, ParkedId, RememberedDelivery};

#[cfg(test)]
mod tests;
