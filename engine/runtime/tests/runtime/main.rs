//! The driver over the memory store, with work that happens in memory, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admission;
mod attempts;
mod bounds;
mod budgets;
mod child_runs;
mod child_slots;
mod clock_jumps;
mod disk_full;
mod fixtures;
mod fork_definition;
mod forks;
mod gate_probes;
mod input_answers;
mod nesting_limit;
mod notice_delivery;
mod panics;
mod random_crashes;
mod recovery;
mod run_keys;
mod schedules;
mod scheduling;
mod signals_and_pauses;
mod simulation_regressions;
mod sled_store;
mod slots;
mod store_faults;
mod subscriptions;
mod timers;
mod trigger_retry;
mod unavailable_receivers;
mod unreadable_store;
mod webhook_triggers;
