//! The real driver in virtual time, over a store and a machine that are anything but kind.
//!
//! One seed decides everything: the pipelines, what work and people do, where the engine dies, which
//! appends fail and which acknowledgements are lost. The same seed gives the same log, byte for byte.
//!
//! `EVERFOLD_SEEDS=10000` plays so many seeds, `EVERFOLD_SEED=N` one of them, with its story. Behind `EVERFOLD_SEEDS`,
//! `EVERFOLD_MORE_SEEDS_WHILE=FILE` plays more, 10,000 at most, for as long as there is such a file.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "virtual time comes from the paused runtime")]

mod coverage;
mod coverage_gaps;
mod fake_executors;
mod fake_machine;
mod fake_ports;
#[path = "../../../engine/runtime/tests/runtime/fixtures/fault_store.rs"]
mod fault_store;
mod faulty_store;
#[path = "../../../engine/core/tests/core/fixtures/generated_pipelines.rs"]
mod generated_pipelines;
mod invariants;
mod livelock;
mod luck;
mod orch_day;
mod plan;
mod play;
mod seeds;
mod shrink;
mod side_effects;
mod triggers;
mod user_acts;
#[path = "../../../engine/core/tests/core/fixtures/user_inputs.rs"]
mod user_inputs;
