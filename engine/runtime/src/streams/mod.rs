//! The actors that own streams beside those of runs, what they are made of (a mailbox, a loop, a writer), and the work
//! of triggers and notifications.
//!
//! Law: one task is the only writer of its streams; it answers after the append is durable.

pub(crate) mod actor;
pub(crate) mod budgets;
pub(crate) mod folded_stream;
pub(crate) mod mailbox;
pub(crate) mod names;
pub(crate) mod notifications;
pub(crate) mod numbers;
pub(crate) mod schedules;
pub(crate) mod service_pauses;
pub(crate) mod slots;
pub(crate) mod stream_writer;
pub(crate) mod triggers;
pub(crate) mod webhooks;
