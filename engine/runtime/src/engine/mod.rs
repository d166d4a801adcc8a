//! The engine as callers hold it.
//!
//! `open` builds the parts and starts their tasks; `handle` is what callers hold; the other files add the
//! operations of one area each. Nothing below this folder knows of it.

pub(crate) mod budgets;
pub(crate) mod handle;
pub(crate) mod look;
pub(crate) mod notifications;
mod open;
mod pauses;
pub(crate) mod pipelines;
mod recovery;
pub(crate) mod schedules;
pub(crate) mod slots;
pub(crate) mod webhooks;
