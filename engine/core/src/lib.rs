//! Runs: what can happen to one, what follows from it, and the small aggregates beside runs (slots, budgets, hooks,
//! schedules, notifications, tokens, pauses, versions of pipelines, numbers of runs, names).
//!
//! Law: pure. No clock, no file, no thread, no randomness: time and drawn bits come in with the input. Applying an
//! event neither fails nor chooses. The manifest enforces it: no crate below this one is asynchronous or does IO.
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod artefact;
pub mod asked_state;
pub mod breaker_resets;
pub mod budgets;
pub mod decide;
pub mod effect;
pub mod event;
pub mod export;
pub mod hooks;
pub mod input;
pub mod notifications;
pub mod pauses;
pub mod pipeline_versions;
pub mod policy;
pub mod prices;
pub mod progress;
pub mod replay_input;
pub mod run_numbers;
pub mod schedules;
pub mod search;
pub mod seen;
pub mod service_pauses;
pub mod slots;
pub mod state;
pub mod tokens;
pub mod triggers;
pub mod unique_names;
pub mod why;
