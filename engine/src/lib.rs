//! Everfold's engine: pipelines, runs, the store that keeps their facts and the runtime that acts on them.
//!
//! Law: re-exports only. Each crate below says in its own header what it may know; its manifest enforces it.
#![forbid(unsafe_code)]

pub use everfold_base::{
    actor, blobs, codec, data_folder, duration, envelope, failure, id, json, text, time,
};
pub use everfold_core::{
    aggregate, artefact, asked_state, breaker_resets, budgets, decide, effect, event, export, hooks, input,
    notifications, pauses, pipeline_versions, policy, prices, progress, replay_input, run_numbers, schedules,
    seen, service_pauses, slots, state, tokens, triggers, unique_names, why,
};
pub use everfold_language::{builder, definition, expr, timetable};
pub use everfold_ports as execution;
pub use everfold_runtime as driver;
pub use everfold_runtime::aggregate_store;
pub use everfold_store as store;
pub use everfold_system::{clock, os_error, regular};
