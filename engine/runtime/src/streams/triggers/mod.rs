//! Triggers of deliveries and schedules: the cache of the newest saved pipelines' triggers, and the starts and signals
//! that follow where one matches.

pub(crate) mod action;
pub(crate) mod by;
pub(crate) mod key_overlap;
pub(crate) mod stopped;
pub(crate) mod trigger_cache;
pub(crate) mod trigger_config;

mod read_triggers;
mod send_signal;
mod signal_receivers;
mod signal_reply;
