//! What triggers do: the cache of triggers of the newest saved pipelines, and acting on what they match.

pub(crate) mod action;
pub(crate) mod by;
pub(crate) mod stopped;
pub(crate) mod trigger_cache;

mod read_triggers;
mod send_signal;
mod signal_reply;
