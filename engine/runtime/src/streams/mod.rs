//! The actors that own streams beside those of runs, and what they write with.
//!
//! Law: one task is the only writer of its streams; it answers after the append is durable.

pub(crate) mod budgets;
pub(crate) mod linked_events;
pub(crate) mod notifications;
pub(crate) mod schedules;
pub(crate) mod slots;
pub(crate) mod stream_tail;
pub(crate) mod triggers;
pub(crate) mod webhooks;
