//! The core of Everfold: what a pipeline is, what happened to a run, what follows from it, and,
//! with the feature `runtime`, the store that keeps the facts and the driver that acts on them.
//!
//! Law: [`definition`], [`build`], [`expr`], [`event`], [`state`], [`decide`], [`effect`], [`policy`] and [`text`] are
//! pure. They know no clock, no file system, no randomness and no thread; time and drawn bits come
//! in with the input. `cargo check -p everfold-engine --no-default-features` builds them alone.
#![forbid(unsafe_code)]

pub mod access;
pub mod actor;
pub mod breakers;
pub mod budgets;
pub mod build;
pub mod decide;
pub mod definition;
pub mod duration;
pub mod effect;
pub mod envelope;
pub mod event;
pub mod export;
pub mod expr;
pub mod fact;
pub mod failure;
pub mod halts;
pub mod hooks;
pub mod id;
pub mod input;
pub mod json;
pub mod kept;
pub mod keys;
pub mod notices;
pub mod policy;
pub mod prices;
pub mod saved;
pub mod schedules;
pub mod state;
pub mod stored;
pub mod text;
pub mod time;
pub mod trace;
pub mod triggers;

#[cfg(feature = "runtime")]
pub mod clock;
#[cfg(feature = "runtime")]
pub mod driver;
#[cfg(feature = "runtime")]
pub mod execution;
#[cfg(feature = "runtime")]
pub mod layout;
#[cfg(feature = "runtime")]
pub mod ledger;
#[cfg(feature = "runtime")]
pub mod store;
